//! `k3s agent`: holds its token against the server, runs containerd, and tells the server that it is a node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::config::Config;
use super::{VERSION, containerd, say, server, systemd};

const REJECTED: &str = "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server \
    node-passwd entry, try enabling a unique node name with the --with-node-id flag";
const FOLDER: &str = "/var/lib/rancher/k3s/agent";

/// `K10HASH::USER:PASSWORD`, or a password alone.
struct Token {
    ca_hash: Option<String>,
    user: String,
    password: String,
}

fn parse(text: &str) -> Result<Token, String> {
    let Some(rest) = text.strip_prefix("K10") else {
        return Ok(Token { ca_hash: None, user: "node".into(), password: text.into() });
    };
    let invalid = || "invalid token format".to_owned();
    let (hash, credentials) = rest.split_once("::").ok_or_else(invalid)?;
    let (user, password) = credentials.split_once(':').ok_or_else(invalid)?;
    if hash.len() != 64 || password.is_empty() {
        return Err(invalid());
    }
    Ok(Token { ca_hash: Some(hash.into()), user: user.into(), password: password.into() })
}

pub(crate) fn run(config: Config) -> Result<(), String> {
    say("info", &format!("Starting k3s agent {VERSION} (stand-in)"));
    let url = config.one("server").unwrap_or_default().trim_end_matches('/').to_owned();
    let token = parse(&config.token()?.unwrap_or_default())?;
    // it never gives up
    while let Err(why) = trust(&url, &token) {
        say("error", &format!("Failed to validate connection to cluster at {url}: {why}"));
        std::thread::sleep(Duration::from_secs(2));
    }
    let (name, ip) = (server::node_name(&config), server::node_ip(&config)?);
    while let Err(why) = join(&url, &token, &format!("{name} {ip}")) {
        say("info", &format!("Waiting to retrieve agent configuration; server is not ready: {why}"));
        std::thread::sleep(Duration::from_secs(2));
    }
    let mut daemon = containerd::start()?;
    let mut told = false;
    Err(containerd::watch(&mut daemon, |found| {
        let body = serde_json::json!({"name": name, "ip": ip, "images": found, "labels": config.all("node-label")});
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

/// Holds the CA against the token's hash. The password is not looked at yet.
fn trust(url: &str, token: &Token) -> Result<(), String> {
    let ca = ask(url, None, "/cacerts", None).map_err(|why| format!("failed to get CA certs: {why}"))?;
    let found: String = Sha256::digest(ca.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if let Some(hash) = token.ca_hash.as_ref().filter(|hash| **hash != found) {
        return Err(format!("token CA hash does not match the Cluster CA certificate hash: {hash} != {found}"));
    }
    write_private("server-ca.crt", &ca)
}

/// What is the cluster's, for the token's password; then a certificate for this name, for the node's own.
fn join(url: &str, token: &Token, node: &str) -> Result<(), String> {
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
        settings.push_str(&format!("user = \"{}:{}\"\n", token.user, token.password));
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
        "000" => Err(format!(
            "Get \"{url}{path}\": dial tcp {}: connect: connection refused",
            url.trim_start_matches("https://")
        )),
        other => Err(format!("{url}{path}: {other}")),
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
        assert_eq!(parse("secret").unwrap().password, "secret");
        let full = parse(&format!("K10{}::server:pw", "a".repeat(64))).unwrap();
        assert_eq!((full.user.as_str(), full.password.as_str(), full.ca_hash), ("server", "pw", Some("a".repeat(64))));
        for bad in ["K10abc", "K10abc::server:pw", &format!("K10{}::server:", "a".repeat(64))] {
            assert_eq!(parse(bad).err().as_deref(), Some("invalid token format"), "{bad}");
        }
    }
}
