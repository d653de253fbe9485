//! standin-cloud on loopback, and what it answers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running stand-in for CloudCore; gone on drop.
#[derive(Debug)]
pub(crate) struct Cloud {
    folder: tempfile::TempDir,
    child: Child,
    /// Certificates and node check.
    pub(crate) https: u16,
    /// WebSocket.
    pub(crate) ws: u16,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/standin-cloud")
}

/// Waits until `what` yields something.
pub(crate) fn wait_for<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = what() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Cloud {
    pub(crate) fn start() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new(script()).arg("init").arg(folder.path()).status().unwrap();
        assert!(made.success());
        let mut serve = Command::new(script());
        serve.arg("serve").arg(folder.path()).args(["--bind", "127.0.0.1", "--https", "0", "--ws", "0"]);
        let child = serve.stdin(Stdio::null()).spawn().unwrap();
        let ports = wait_for(Duration::from_secs(30), || std::fs::read_to_string(folder.path().join("ports")).ok());
        let ports: Vec<u16> = ports.unwrap().split_whitespace().map(|p| p.parse().unwrap()).collect();
        Cloud { folder, child, https: ports[0], ws: ports[1] }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn token(&self, kind: &str) -> String {
        let done = Command::new(script()).arg("token").arg(self.folder.path()).arg(kind).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Status and body of a GET on the HTTPS port.
    pub(crate) fn get(&self, path: &str, more: &[&str]) -> (String, String) {
        let Output { stdout, .. } = Command::new("curl")
            .args(["-sk", "-X", "GET", "-w", "\n%{http_code}", &format!("https://127.0.0.1:{}{path}", self.https)])
            .args(more)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap();
        (code.to_owned(), body.to_owned())
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // ignoring: it may have died by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(code: &str, body: &str) -> (String, String) {
    (code.to_owned(), body.to_owned())
}

#[test]
fn a_node_is_found_once_it_registered() {
    let cloud = Cloud::start();
    assert_eq!(cloud.get("/node/n1", &[]), answer("404", "Node not found"));
    std::fs::write(cloud.path("nodes/n1"), "").unwrap();
    assert_eq!(cloud.get("/node/n1", &[]), answer("200", "Node founded"));
    std::fs::write(cloud.path("fail-node"), "").unwrap();
    assert_eq!(cloud.get("/node/n1", &[]), answer("500", "Failed to query node information"));
}

#[test]
fn a_websocket_on_the_certificate_port_is_no_page() {
    let upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Key: AAAA"];
    assert_eq!(Cloud::start().get("/project/n1/events", &upgrade).0, "404");
}

#[test]
fn only_good_tokens_are_signed_for() {
    let cloud = Cloud::start();
    let (key, request) = (cloud.path("k"), cloud.path("r"));
    let made = Command::new("openssl")
        .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-outform", "DER"])
        .args(["-subj", "/O=system:nodes/CN=system:node:n1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&request)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let body = format!("@{}", request.display());
    let sign = |bearer: &str| {
        let header = format!("Authorization: {bearer}");
        cloud.get("/edge.crt", &["--data-binary", &body, "-H", "NodeName: n1", "-H", &header])
    };
    let why = "token validation failure, err: ";
    for (kind, want) in [
        ("expired", "token has invalid claims: token is expired"),
        ("garbled", "token is malformed: token contains an invalid number of segments"),
        ("foreign", "token signature is invalid: signature is invalid"),
        ("forged", "token signature is invalid: signature is invalid"),
    ] {
        let token = cloud.token(kind);
        let jwt = token.split_once('.').unwrap().1;
        assert_eq!(sign(&format!("Bearer {jwt}")), answer("401", &format!("{why}{want}")), "{kind}");
    }
    let good = cloud.token("good");
    let jwt = good.split_once('.').unwrap().1;
    assert_eq!(sign(""), answer("401", "token validation failure, token is empty"));
    assert_eq!(sign(jwt), answer("401", "token validation failure, token cannot be splited"));
    assert_eq!(sign(&format!("Bearer {jwt}")).0, "200");
    std::fs::write(&request, "no request").unwrap();
    assert_eq!(sign(&format!("Bearer {jwt}")).0, "500");
}
