//! The Kubernetes API by way of a kubeconfig and curl, as keadm's client library uses it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::yaml;

/// An API server and how to speak to it.
#[derive(Debug)]
pub(crate) struct Kube {
    server: String,
    /// ca.crt, client.crt, client.key
    folder: std::path::PathBuf,
}

impl Kube {
    /// The error is that of Go's client library.
    pub(crate) fn open(path: &str) -> Result<Kube, String> {
        let text = std::fs::read_to_string(path).map_err(|_| format!("stat {path}: no such file or directory"))?;
        let fault = |why: String| format!("error loading config file \"{path}\": {why}");
        let config = yaml::parse(&text).map_err(fault)?;
        let first = |list: &str, item: &str, key: &str| match config.at(list) {
            Some(yaml::Yaml::List(entries)) => {
                entries.first().map(|e| e.text(&format!("{item}.{key}"))).unwrap_or_default()
            }
            _ => String::new(),
        };
        let server = first("clusters", "cluster", "server");
        if server.is_empty() {
            return Err("invalid configuration: no configuration has been provided".into());
        }
        let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("standin-keadm-{}", random.trim()));
        let make = || -> std::io::Result<()> {
            std::fs::create_dir(&folder)?;
            std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        };
        make().map_err(|e| fault(e.to_string()))?;
        let kube = Kube { server, folder };
        for (name, data) in [
            ("ca.crt", first("clusters", "cluster", "certificate-authority-data")),
            ("client.crt", first("users", "user", "client-certificate-data")),
            ("client.key", first("users", "user", "client-key-data")),
        ] {
            let bytes = unbase64(&data).ok_or_else(|| fault(format!("illegal base64 data in {name}")))?;
            std::fs::write(kube.folder.join(name), bytes).map_err(|e| fault(e.to_string()))?;
        }
        Ok(kube)
    }

    /// Status code and answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Result<(u16, Value), String> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "30", "-X", method, "-A", "Helm/3", "-w", "\n%{http_code}", "--data-binary", "@-"]);
        for (flag, name) in [("--cacert", "ca.crt"), ("--cert", "client.crt"), ("--key", "client.key")] {
            curl.arg(flag).arg(self.folder.join(name));
        }
        let kind = body.map_or("application/json", |(kind, _)| kind);
        curl.arg("-H").arg(format!("Content-Type: {kind}")).arg(format!("{}{path}", self.server));
        let mut child = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("curl, which this stand-in needs: {e}"))?;
        if let (Some(mut pipe), Some((_, body))) = (child.stdin.take(), body) {
            pipe.write_all(body.to_string().as_bytes()).map_err(|e| format!("curl: {e}"))?;
        }
        let done = child.wait_with_output().map_err(|e| format!("curl: {e}"))?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (text, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
        match code.parse() {
            Ok(code) if code > 0 => Ok((code, serde_json::from_str(text).unwrap_or(Value::String(text.into())))),
            _ => {
                let host = self.server.trim_start_matches("https://");
                let words = "connect: connection refused";
                Err(format!("Kubernetes cluster unreachable: Get \"{}{path}\": dial tcp {host}: {words}", self.server))
            }
        }
    }

    /// An answer that must be good; the error is the server's message.
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<(&str, &Value)>) -> Result<Value, String> {
        let (code, answer) = self.ask(method, path, body)?;
        if code < 300 {
            return Ok(answer);
        }
        Err(answer["message"]
            .as_str()
            .unwrap_or("an error on the server has prevented the request from succeeding")
            .into())
    }

    /// The object; none if there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, String> {
        match self.ask("GET", path, None)? {
            (404, _) => Ok(None),
            (200, found) => Ok(Some(found)),
            (_, status) => Err(status["message"].as_str().unwrap_or("unknown").into()),
        }
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        // ignoring: a leftover in /tmp harms nobody
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, n| word << 8 | u32::from(chunk.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * n) & 63) as usize];
            out.push(if n <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|c| *c != b'=' && !c.is_ascii_whitespace()) {
        let value = ALPHABET.iter().position(|c| *c == letter)?;
        word = word << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(word >> bits & 255).ok()?);
        }
    }
    Some(out)
}

/// A fresh path for objects of these kinds: collection, or one by name.
pub(crate) fn path_of(object: &Value) -> Option<(String, String)> {
    let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    let plural = match kind {
        "Namespace" => "namespaces",
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Service" => "services",
        "ServiceAccount" => "serviceaccounts",
        "Deployment" => "deployments",
        "DaemonSet" => "daemonsets",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "CustomResourceDefinition" => "customresourcedefinitions",
        _ => return None,
    };
    let base = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let space =
        object["metadata"]["namespace"].as_str().map(|space| format!("/namespaces/{space}")).unwrap_or_default();
    let all = format!("{base}{space}/{plural}");
    let one = format!("{all}/{}", object["metadata"]["name"].as_str()?);
    Some((all, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_there_and_back() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(unbase64("Zm9v!"), None);
    }
}
