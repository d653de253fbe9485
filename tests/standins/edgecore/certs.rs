//! From a token to three certificate files; every failure is a Go panic, process exit 2, and systemd tries again.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Node;
use crate::shared::http::{Get, Trust, get};
use crate::shared::klog;
use sha2::{Digest, Sha256};

/// Where the certificates came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Source {
    Disk,
    Cloud,
}

impl Source {
    pub(crate) fn is_new(self) -> bool {
        self == Source::Cloud
    }
}

/// The three files, kept if they load and name this node; expiry is not looked at.
pub(crate) fn obtain(node: &Node) -> Source {
    let Err(why) = current(node) else { return Source::Disk };
    klog::line('W', "certmanager.go:78", &format!("unable to get the current edge certs, reason: {why}"));
    klog::line('I', "certmanager.go:79", "Reuse the token to obtain the certificate");
    if let Err(why) = apply(node) {
        eprintln!("panic: failed to apply the edge certs, err: {why}\n\ngoroutine 1 [running]:");
        std::process::exit(2);
    }
    Source::Cloud
}

fn file(node: &Node, key: &str) -> String {
    node.config.text(&format!("modules.edgeHub.{key}"))
}

fn current(node: &Node) -> Result<(), String> {
    let (cert, key) = (file(node, "tlsCertFile"), file(node, "tlsPrivateKeyFile"));
    for path in [&cert, &key] {
        if !Path::new(path).exists() {
            return Err(format!("unable to load cert/key pair: open {path}: no such file or directory"));
        }
    }
    let subject = openssl(&["x509", "-in", &cert, "-noout", "-subject", "-nameopt", "multiline"], &[])
        .map_err(|why| format!("unable to load cert/key pair: {why}"))?;
    let subject = String::from_utf8_lossy(&subject);
    let name = subject.lines().find_map(|line| line.trim().strip_prefix("commonName")).unwrap_or_default();
    let name = name.trim().trim_start_matches('=').trim();
    if name == format!("system:node:{}", node.name) {
        Ok(())
    } else {
        Err(format!("certificate CN {name} does not match node name {}", node.name))
    }
}

fn apply(node: &Node) -> Result<(), String> {
    let server = file(node, "httpServer");
    let url = format!("{server}/ca.crt");
    let (_, ca) = get(&Get { url: &url, trust: Trust::Anyone, headers: &[], body_file: None })
        .map_err(|why| format!("failed to get CA certificate, err: {why}"))?;
    let token = file(node, "token");
    let jwt = check_token(&token, &ca)?;
    let ca_file = file(node, "tlsCaFile");
    write_private(&ca_file, &pem(&ca)?)?;
    let (certificate, key) = sign(node, &server, &ca_file, &jwt)
        .map_err(|why| format!("failed to get edge certificate from the cloudcore, error: {why}"))?;
    write_private(&file(node, "tlsCertFile"), &pem(&certificate)?)?;
    write_private(&file(node, "tlsPrivateKeyFile"), &key)
}

/// The token names the cluster by the hash of its CA; the rest is for the cloud to judge.
fn check_token(token: &str, ca: &[u8]) -> Result<String, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [hash, jwt @ ..] = &parts[..] else { return Err(String::new()) };
    if jwt.len() != 3 {
        // sic, with the token
        return Err(format!("token {token} credentials are in the wrong format"));
    }
    let found: String = Sha256::digest(ca).iter().map(|byte| format!("{byte:02x}")).collect();
    if *hash != found {
        return Err(format!("failed to validate CA certificate. tokenCAhash: {hash}, CAhash: {found}"));
    }
    Ok(jwt.join("."))
}

/// A new key and its certificate, signed by the cloud: a GET with a body.
fn sign(node: &Node, server: &str, ca_file: &str, jwt: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let key = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], &[])?;
    let subject = format!("/C=CN/O=system:nodes/L=Hangzhou/ST=Zhejiang/CN=system:node:{}", node.name);
    let request = openssl(&["req", "-new", "-key", "/dev/stdin", "-outform", "DER", "-subj", &subject], &key)?;
    let body = format!("{}.request", file(node, "tlsPrivateKeyFile"));
    write_private(&body, &request)?;
    let bearer = format!("Bearer {jwt}");
    let answer = get(&Get {
        url: &format!("{server}/edge.crt"),
        trust: Trust::Ca(ca_file),
        headers: &[("Authorization", &bearer), ("NodeName", &node.name)],
        body_file: Some(&body),
    });
    // ignoring: it holds no secret
    let _ = fs::remove_file(&body);
    match answer {
        Ok((200, certificate)) => Ok((certificate, key)),
        Ok((code, text)) => {
            Err(format!("failed to call http, code: {code}, message: {}", String::from_utf8_lossy(&text)))
        }
        Err(why) => Err(format!("failed to request the cloudcore server, err: {why}")),
    }
}

fn pem(der: &[u8]) -> Result<Vec<u8>, String> {
    openssl(&["x509", "-inform", "DER"], der).map_err(|why| format!("failed to save the certificate: {why}"))
}

fn write_private(path: &str, content: &[u8]) -> Result<(), String> {
    use std::io::Write;
    let fault = |e: std::io::Error| format!("failed to save the certificate file {path}, err: {e}");
    if let Some(dir) = Path::new(path).parent() {
        fs::create_dir_all(dir).map_err(fault)?;
    }
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(fault)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(fault)?;
    file.write_all(content).map_err(fault)
}

fn openssl(args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Write;
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("openssl: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(|e| format!("openssl: {e}"))?;
    }
    let done = child.wait_with_output().map_err(|e| format!("openssl: {e}"))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(format!("openssl {}: {}", args.first().unwrap_or(&""), said.lines().next().unwrap_or_default()))
}
