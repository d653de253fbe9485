//! `k3s agent`: holds its token against the server, runs containerd, and tells the server that it is a node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::config::Config;
use super::{VERSION, containerd, say, server, systemd};

/// Where the real one talks to its server through a balancer of its own, and says so.
const BALANCER: &str = "https://127.0.0.1:6444";
const REJECTED: &str = "Node password rejected, duplicate hostname or contents of \
    '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag";
const FOLDER: &str = "/var/lib/rancher/k3s/agent";
/// What the runtime had when the kubelet was first started since boot.
const AT_START: &str = "/run/k3s/standin-kubelet-images";

/// So long it takes until the kubelet has something to say of its node.
const SILENT: Duration = Duration::from_secs(2);

/// `K10HASH::USER:PASSWORD`, `K10HASH::ID.SECRET` of `k3s token create`, or what stands behind `::` alone; of the first the
/// password alone.
struct Token {
    ca_hash: Option<String>,
    /// A line of curl's.
    credentials: String,
}

fn parse(text: &str) -> Result<Token, String> {
    if text.is_empty() {
        return Err("token must not be empty".to_owned());
    }
    let whole = match is_made(text) {
        _ if text.starts_with("K10") => text.to_owned(),
        true => format!("K10::{text}"),
        false => format!("K10:::{text}"),
    };
    let rest = whole.trim_start_matches("K10");
    let (hash, credentials) = rest.split_once("::").unwrap_or(("", rest));
    if !hash.is_empty() && hash.len() != 64 {
        return Err("invalid token CA hash length".to_owned());
    }
    let ca_hash = Some(hash.to_owned()).filter(|hash| !hash.is_empty());
    if is_made(credentials) {
        return Ok(Token { ca_hash, credentials: format!("header = \"Authorization: Bearer {credentials}\"\n") });
    }
    let password = credentials.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty());
    let password = password.ok_or("invalid token format")?;
    Ok(Token { ca_hash, credentials: format!("user = \"node:{password}\"\n") })
}

/// Of `k3s token create`: such a token ends.
fn is_made(text: &str) -> bool {
    let plain =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split_once('.').is_some_and(|(id, secret)| plain(id, 6) && plain(secret, 16))
}

/// What it says where it gets no further, and how often, as the real one; it never gives up.
pub(crate) fn run(config: Config) -> Result<(), String> {
    say("info", &format!("Starting k3s agent {VERSION} (stand-in)"));
    let url = config.one("server").unwrap_or_default().trim_end_matches('/').to_owned();
    let (text, (name, ip)) =
        (config.token()?.unwrap_or_default(), (server::node_name(&config), server::node_ip(&config)?));
    let host = url.trim_start_matches("https://");
    say("info", &format!("Running load balancer k3s-agent-load-balancer 127.0.0.1:6444 -> [{host}] [default: {host}]"));
    let token = loop {
        match parse(&text).and_then(|token| holds(&url, &token).map(|()| token)) {
            Ok(token) => break token,
            Err(why) => say("error", &format!("Failed to validate connection to cluster at {url}: {why}")),
        }
        std::thread::sleep(Duration::from_secs(2));
    };
    while let Err(why) = configure(&url, &token, &format!("{name} {ip}")) {
        say("info", &format!("Waiting to retrieve agent configuration; server is not ready: {why}"));
        std::thread::sleep(Duration::from_secs(5));
    }
    let mut daemon = containerd::start()?;
    let mut told = false;
    let started = format!("{:?}", std::time::SystemTime::now());
    Err(containerd::watch(&mut daemon, |found| {
        if !Path::new(AT_START).exists() {
            let all: String = found.iter().map(|name| format!("{name}\n")).collect();
            fs::write(AT_START, all).map_err(|e| format!("{AT_START}: {e}"))?;
        }
        if !told {
            std::thread::sleep(SILENT);
        }
        let labels = config.all("node-label");
        let body = serde_json::json!({"name": name, "ip": ip, "images": found, "labels": labels, "started": started});
        let answer = ask(&url, Some(&token), "/v1-k3s/standin-node", Some(&body.to_string()))?;
        write_private("kubelet.kubeconfig", &answer.replace("https://127.0.0.1:6443", &url))?;
        if !told {
            say("info", "k3s agent is up and running");
            systemd::ready();
            told = true;
        }
        Ok(())
    }))
}

/// The server's CA by the token's hash; the password is not looked at yet.
fn holds(url: &str, token: &Token) -> Result<(), String> {
    let ca = ask(url, None, "/cacerts", None).map_err(|why| format!("failed to get CA certs: {why}"))?;
    let found: String = Sha256::digest(ca.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if let Some(hash) = token.ca_hash.as_ref().filter(|hash| **hash != found) {
        return Err(format!("token CA hash does not match the Cluster CA certificate hash: {hash} != {found}"));
    }
    write_private("server-ca.crt", &ca)
}

/// The server's part of the configuration, and a certificate for a node of this name.
fn configure(url: &str, token: &Token, node: &str) -> Result<(), String> {
    let config = ask(url, Some(token), "/v1-k3s/config", None);
    config.map_err(|why| format!("failed to retrieve configuration from server: {why}"))?;
    let certificate = ask(url, Some(token), "/v1-k3s/serving-kubelet.crt", Some(node));
    certificate.map(drop).map_err(|why| format!("{FOLDER}/serving-kubelet.crt: {why}"))
}

fn ask(url: &str, token: Option<&Token>, path: &str, body: Option<&str>) -> Result<String, String> {
    let mut curl = Command::new("curl");
    curl.args(["-sk", "-m", "20", "-w", "\n%{http_code}"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // names and passwords by standard input: command lines are for everybody to read
    let mut settings = format!("url = \"{url}{path}\"\n");
    if let Some(token) = token {
        settings.push_str(&token.credentials);
    }
    if let Some(body) = body {
        let quoted = body.replace('\\', "\\\\").replace('"', "\\\"");
        settings.push_str(&format!("data-binary = \"{quoted}\"\n"));
    }
    let mut child = curl.args(["-K", "-"]).spawn().map_err(|e| format!("curl: {e}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        std::io::Write::write_all(&mut pipe, settings.as_bytes()).map_err(|e| format!("curl: {e}"))?;
    }
    let done = child.wait_with_output().map_err(|e| format!("curl: {e}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (text, code) = text.rsplit_once('\n').unwrap_or(("", "000"));
    match code {
        "200" => Ok(text.to_owned()),
        // Where a certificate is asked for the agent takes this for the node's password, whatever the server says.
        "403" if path.ends_with(".crt") => Err(REJECTED.to_owned()),
        "401" | "403" => Err(message(text)),
        // the balancer takes every connection, and drops it when the server does not
        "000" => Err(format!(
            "Get \"{BALANCER}{path}\": read tcp 127.0.0.1:39534->127.0.0.1:6444: read: connection reset by peer"
        )),
        other => Err(format!("{BALANCER}{path}: {other}")),
    }
}

/// What a Status says.
fn message(text: &str) -> String {
    let status: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    status["message"].as_str().unwrap_or(text).to_owned()
}

fn write_private(name: &str, text: &str) -> Result<(), String> {
    let path = Path::new(FOLDER).join(name);
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(FOLDER).map_err(fault)?;
    fs::write(&path, text).map_err(fault)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_tokens() {
        let (hash, user) = ("a".repeat(64), "user = \"node:pw\"\n");
        let made = "header = \"Authorization: Bearer abcdef.0123456789abcdef\"\n";
        for (good, credentials, ca_hash) in [
            ("pw", user, None),
            ("abcdef.0123456789abcdef", made, None),
            (&format!("K10{hash}::server:pw"), user, Some(hash.clone())),
            (&format!("K10{hash}::abcdef.0123456789abcdef"), made, Some(hash.clone())),
        ] {
            let token = parse(good).unwrap();
            assert_eq!((token.credentials.as_str(), token.ca_hash), (credentials, ca_hash), "{good}");
        }
        let long = format!("K10{}::server:", "a".repeat(64));
        for (bad, why) in [
            ("", "token must not be empty"),
            ("K10abc", "invalid token format"),
            ("K10abc::server:pw", "invalid token CA hash length"),
            (&long, "invalid token format"),
        ] {
            assert_eq!(parse(bad).err().as_deref(), Some(why), "{bad}");
        }
    }
}
