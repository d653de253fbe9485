//! standin-edgecore against standin-cloud on loopback, everything it writes below a temporary directory.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::cloud::{Cloud, wait_for};
use super::program;

const PATIENCE: Duration = Duration::from_secs(30);

struct Edge {
    folder: tempfile::TempDir,
    child: Child,
    meta: u16,
}

impl Edge {
    /// Starts it with this token, the WebSocket at this port, metaServer on.
    fn start(cloud: &Cloud, token: &str, ws: u16) -> Edge {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (health, meta) = (free_port(), free_port());
        let config = format!(
            "database:\n  dataSource: {db}\nmodules:\n  deviceTwin:\n    enable: false\n  eventBus:\n    enable: false\n  \
             edgeHub:\n    httpServer: https://127.0.0.1:{https}\n    tlsCaFile: {ca}\n    tlsCertFile: {cert}\n    \
             tlsPrivateKeyFile: {key}\n    token: {token}\n    websocket:\n      server: 127.0.0.1:{ws}\n  edged:\n    \
             hostnameOverride: n1\n    nodeIP: 127.0.0.1\n    rootDirectory: {root}\n    tailoredKubeletConfig:\n      \
             containerRuntimeEndpoint: unix://{socket}\n      readOnlyPort: {health}\n      staticPodPath: {root}\n      \
             podLogsDir: {root}\n  metaManager:\n    metaServer:\n      enable: true\n      server: 127.0.0.1:{meta}\n",
            db = at("db"),
            https = cloud.https,
            ca = at("ca.crt"),
            cert = at("server.crt"),
            key = at("server.key"),
            root = at("root"),
            socket = at("no.sock"),
        );
        fs::write(folder.path().join("edgecore.yaml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut edgecore = Command::new(program("standin-edgecore"));
        edgecore.arg(format!("--config={}", at("edgecore.yaml"))).stdout(Stdio::null()).stderr(log);
        let child = edgecore.spawn().unwrap();
        Edge { folder, child, meta }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn logs(&self, what: &str) -> bool {
        wait_for(PATIENCE, || self.text("log").contains(what).then_some(())).is_some()
    }

    fn meta(&self, path: &str) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}{path}", self.meta);
        let done = Command::new("curl").args(["-s", &url]).output().unwrap();
        serde_json::from_slice(&done.stdout).unwrap_or_default()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // ignoring: it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_good_token_becomes_three_private_files_and_is_blanked() {
    let cloud = Cloud::start();
    let edge = Edge::start(&cloud, &cloud.token("good"), cloud.ws);
    assert!(edge.logs("Websocket connect to cloud access successful"), "{}", edge.text("log"));
    let known = wait_for(PATIENCE, || cloud.path("nodes/n1").exists().then_some(()));
    assert!(known.is_some(), "{}", edge.text("log"));
    for name in ["ca.crt", "server.crt", "server.key"] {
        let mode = fs::metadata(edge.folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert!(edge.text("edgecore.yaml").contains("    token: \"\"\n"), "{}", edge.text("edgecore.yaml"));
    // no container runtime: the node is there, and not ready
    let node = wait_for(PATIENCE, || Some(edge.meta("/api/v1/nodes/n1")).filter(|node| node["kind"] == "Node"));
    let node = node.unwrap();
    let ready = node["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"KubeletNotReady".into()));
    assert_eq!(edge.meta("/api/v1/nodes/other")["code"], 404);
}

#[test]
fn the_certificate_port_gets_certificates_but_never_a_node() {
    let cloud = Cloud::start();
    let edge = Edge::start(&cloud, &cloud.token("good"), cloud.https);
    assert!(edge.logs("Init websocket connection failed websocket: bad handshake"), "{}", edge.text("log"));
    assert!(!edge.text("server.crt").is_empty());
    assert!(!cloud.path("nodes/n1").exists());
}

#[test]
fn bad_tokens_are_a_panic_with_exit_2() {
    let cloud = Cloud::start();
    let start = "failed to get edge certificate from the cloudcore, error: failed to call http, code: 401, message: ";
    for (kind, why) in [
        ("expired", format!("{start}token validation failure, err: token has invalid claims: token is expired")),
        ("forged", format!("{start}token validation failure, err: token signature is invalid: signature is invalid")),
        ("foreign", "failed to validate CA certificate. tokenCAhash: ".to_owned()),
        ("garbled", format!("token {} credentials are in the wrong format", cloud.token("garbled"))),
    ] {
        let token = cloud.token(kind);
        let mut edge = Edge::start(&cloud, &token, cloud.ws);
        let ended = wait_for(PATIENCE, || edge.child.try_wait().unwrap());
        assert_eq!(ended.and_then(|status| status.code()), Some(2), "{kind}: {}", edge.text("log"));
        let want = match kind {
            // minted anew, a second later it is another one
            "garbled" => "credentials are in the wrong format".to_owned(),
            _ => format!("panic: failed to apply the edge certs, err: {why}"),
        };
        assert!(edge.text("log").contains(&want), "{kind}: {}", edge.text("log"));
        assert_eq!(edge.text("server.crt"), "", "{kind}");
    }
}

#[test]
fn no_configuration_is_the_end() {
    let done = Command::new(program("standin-edgecore")).args(["--config", "/nonexistent/x.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.trim_end().ends_with("] config file /nonexistent/x.yaml not exist"), "{said}");
}
