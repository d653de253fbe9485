//! What edgecore serves on loopback (kubelet's health on 10350, metaServer on 10550) and remembers on disk.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Node, exit, runtime};
use crate::shared::klog;
use crate::shared::yaml::Yaml;

/// Starts the listeners; they live as long as the process.
pub(crate) fn serve(node: &Arc<Node>) {
    let kubelet = |key: &str| node.config.text(&format!("modules.edged.tailoredKubeletConfig.{key}"));
    let health = format!("{}:{}", kubelet("address"), kubelet("readOnlyPort"));
    listen(node, &health, |_, path| match path {
        "/healthz" | "/healthz/ping" | "/healthz/syncloop" => (200, "ok".into()),
        _ => (404, "404 page not found\n".into()),
    });
    let meta = |key: &str| node.config.text(&format!("modules.metaManager.metaServer.{key}"));
    if node.config.is_true("modules.metaManager.metaServer.enable") {
        listen(node, &meta("server"), answer_meta);
    }
    if node.config.is_true("modules.deviceTwin.enable") {
        let path = node.config.text("modules.deviceTwin.dmiSockPath");
        // ignoring: left by an earlier run, or not there
        let _ = fs::remove_file(&path);
        if let Ok(socket) = UnixListener::bind(&path) {
            thread::spawn(move || socket.incoming().for_each(drop));
        }
    }
}

/// The firewall's chains that every kubelet makes, and which stay when it ends.
pub(crate) fn make_chains() {
    const RULES: [&str; 8] = [
        "mangle -N KUBE-IPTABLES-HINT",
        "mangle -N KUBE-KUBELET-CANARY",
        "nat -N KUBE-KUBELET-CANARY",
        "filter -N KUBE-KUBELET-CANARY",
        "filter -N KUBE-FIREWALL",
        "filter -A INPUT -j KUBE-FIREWALL",
        "filter -A OUTPUT -j KUBE-FIREWALL",
        "filter -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment block-incoming-localnet -j DROP",
    ];
    let made_before = |rule: &str| iptables("iptables", &rule.replace(" -A ", " -C "));
    for rule in RULES.iter().filter(|rule| !rule.contains(" -A ") || !made_before(rule)) {
        iptables("iptables", rule);
    }
    for rule in RULES.iter().take(2) {
        iptables("ip6tables", rule);
    }
}

fn iptables(program: &str, rule: &str) -> bool {
    // ignoring: the real one only logs that the program is not there
    Command::new(program).args(["-w", "-t"]).args(rule.split(' ')).output().is_ok_and(|done| done.status.success())
}

fn listen(node: &Arc<Node>, address: &str, answer: fn(&Node, &str) -> (u16, String)) {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(e) => exit(1, "server.go:160", &format!("listen tcp {address}: bind: {e}")),
    };
    let node = Arc::clone(node);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let node = Arc::clone(&node);
            // ignoring: the peer went away
            thread::spawn(move || drop(reply(&node, stream, answer)));
        }
    });
}

fn reply(node: &Node, stream: TcpStream, answer: fn(&Node, &str) -> (u16, String)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (code, body) = answer(node, first.split(' ').nth(1).unwrap_or_default());
    let (reason, kind) = match code {
        200 if body.starts_with('{') => ("OK", "application/json"),
        200 => ("OK", "text/plain; charset=utf-8"),
        _ => ("Not Found", "text/plain; charset=utf-8"),
    };
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// metaServer serves what was stored locally, cloud or no cloud.
fn answer_meta(node: &Node, path: &str) -> (u16, String) {
    let here = format!("/api/v1/nodes/{}", node.name);
    let old = status_delay().is_some();
    let known = node.registered.load(Ordering::SeqCst) || old;
    let heard = match node.heard.load(Ordering::SeqCst) {
        // a machine of this name was here a moment ago
        0 if old => now() - 30,
        heard => heard,
    };
    match path.split('?').next().unwrap_or_default() {
        "/api/v1/services" => (200, json!({"kind": "ServiceList", "apiVersion": "v1", "items": []}).to_string()),
        "/api/v1/nodes" if known => {
            (200, json!({"kind": "NodeList", "apiVersion": "v1", "items": [object(node, heard)]}).to_string())
        }
        path if path == here && known => (200, object(node, heard).to_string()),
        path => {
            let name = path.rsplit('/').next().unwrap_or_default();
            let message = format!("nodes {name:?} not found");
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                                "message": message, "code": 404});
            (404, status.to_string())
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// How long a test wants the first status to take; the cloud has an older object of the node meanwhile.
pub(crate) fn status_delay() -> Option<Duration> {
    let text = fs::read_to_string("/run/standin/status-delay-ms").ok()?;
    text.trim().parse().ok().map(Duration::from_millis)
}

/// RFC 3339, as the kubelet writes it.
fn time(unix: u64) -> String {
    let done = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{unix}")]).output();
    done.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned()).unwrap_or_default()
}

/// The node object as the cloud heard of it at this time; its Ready condition is what the container runtime says this
/// very moment.
pub(crate) fn object(node: &Node, heard: u64) -> Value {
    let edged = |key: &str| node.config.at(&format!("modules.edged.{key}")).map_or(Value::Null, to_json);
    let endpoint = node.config.text("modules.edged.tailoredKubeletConfig.containerRuntimeEndpoint");
    let (status, reason, message) = match runtime::fault(&endpoint) {
        None => ("True", "EdgeReady", "edge is posting ready status".to_string()),
        Some(why) => ("False", "KubeletNotReady", why),
    };
    let mut labels = edged("nodeLabels");
    if labels.is_null() {
        labels = json!({});
    }
    labels["kubernetes.io/hostname"] = json!(node.name);
    labels["node-role.kubernetes.io/edge"] = json!("");
    labels["node-role.kubernetes.io/agent"] = json!("");
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"taints": edged("tailoredKubeletConfig.registerWithTaints")},
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory",
                 "message": "kubelet has sufficient memory available"},
                {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure",
                 "message": "kubelet has no disk pressure"},
                {"type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID",
                 "message": "kubelet has sufficient PID available"},
                {"type": "Ready", "status": status, "lastHeartbeatTime": time(heard), "reason": reason, "message": message},
            ],
            "addresses": [{"type": "InternalIP", "address": edged("nodeIP")}, {"type": "Hostname", "address": node.name}],
            "nodeInfo": {"kubeletVersion": format!("v1.31.12-kubeedge-{}", super::version()), "operatingSystem": "linux"},
        }
    })
}

fn to_json(value: &Yaml) -> Value {
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => json!(b),
        Yaml::Int(n) => json!(n),
        Yaml::Str(text) => json!(text),
        Yaml::List(items) => items.iter().map(to_json).collect(),
        Yaml::Map(map) => map.iter().map(|(k, v)| (k.clone(), to_json(v))).collect(),
    }
}

/// An address is configured, or the name leads to one, or a default route has one.
pub(crate) fn has_address(node: &Node) -> bool {
    if !node.config.text("modules.edged.nodeIP").is_empty() {
        return true;
    }
    let local = (node.name.as_str(), 0).to_socket_addrs().is_ok_and(|mut found| found.any(|a| !a.ip().is_loopback()));
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    local || routes.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some("00000000"))
}

fn store(config: &Yaml) -> String {
    config.text("database.dataSource")
}

/// When the cloud heard of this node last, if an earlier run stored it.
pub(crate) fn remembered(config: &Yaml, name: &str) -> Option<u64> {
    let text = fs::read_to_string(store(config)).ok()?;
    text.lines().find_map(|line| line.split_once(' ').filter(|(found, _)| *found == name)?.1.parse().ok())
}

/// A build that migrates makes another schema of the database, and another version of the configuration; others read
/// neither of them any more.
pub(crate) fn check_schema(config: &Yaml, version: &str) {
    const MIGRATED: &str = "schema 9\n";
    let known = fs::read_to_string(store(config)).unwrap_or_default();
    if version.ends_with("-migrating") {
        if let Err(e) = fs::write(store(config), MIGRATED) {
            klog::line('E', "dbm.go:40", &format!("failed to migrate: {e}"));
        }
    } else if known == MIGRATED {
        exit(255, "dbm.go:31", "failed to sync the database: no such column: heard");
    } else if config.text("apiVersion").ends_with("v1alpha9") {
        exit(
            1,
            "server.go:77",
            "no kind \"EdgeCore\" is registered for version \"edgecore.config.kubeedge.io/v1alpha9\"",
        );
    }
}

pub(crate) fn remember(node: &Node) {
    let path = store(&node.config);
    if let Some(dir) = Path::new(&path).parent() {
        // ignoring: the write below will complain
        let _ = fs::create_dir_all(dir);
    }
    if let Err(e) = fs::write(&path, format!("{} {}\n", node.name, node.heard.load(Ordering::SeqCst))) {
        klog::line('E', "dbm.go:40", &format!("failed to store node {}: {e}", node.name));
    }
}
