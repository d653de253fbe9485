//! Preflight on the machine that runs the tests: nothing of it is assumed but that it is a Linux.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edgelay::clock::SystemClock;
use edgelay::config::EdgeConfig;
use edgelay::host::preflight::{Cloud, Context, EDGE, Wanted, json, preflight};
use edgelay::ids::HostPort;
use edgelay::root::Root;

use super::support::peers::skip;

fn wanted() -> Wanted<'static> {
    let mut config = EdgeConfig::default();
    config.node.name = "edge-1".parse().ok();
    config.mqtt = true;
    Wanted::of_edge(Box::leak(Box::new(config)))
}

#[test]
fn every_check_answers_within_a_second() {
    let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
    let cx = Context::new(&root, &root, &clock, wanted());
    let start = Instant::now();
    let findings = preflight(&cx);
    let spent = start.elapsed();
    assert!(spent < Duration::from_secs(1), "{spent:?}");

    let text = json(&findings).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap()).collect();
    assert_eq!(names, EDGE.map(|check| check.name));
    assert_eq!(report["schema"], 1);
    // Everything that is asked here can be found out wherever /proc is mounted.
    for finding in findings {
        assert!(!finding.seen.starts_with("cannot be found out"), "{finding:?}");
    }
}

/// Where somebody else may not look, as in containerd's own directory, is one thing more that is unfit, not the end.
#[test]
fn whoever_is_not_root_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    if !nix::unistd::Uid::effective().is_root() {
        return skip("whoever_is_not_root_is_told_so", "not root");
    }
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let _containerd = std::os::unix::net::UnixListener::bind(closed.join("c.sock")).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    // Where the tests are may be closed to others, too.
    let program = dir.path().join("edgelay");
    // By a process of its own: what another test starts meanwhile would hold a file that this one writes, and so keep it busy.
    assert!(
        Command::new("cp")
            .args([env!("CARGO_BIN_EXE_edgelay").as_ref(), program.as_path()])
            .status()
            .unwrap()
            .success()
    );
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut edgelay = Command::new(program);
    edgelay.args(["preflight", "-o", "json", "--containerd-address"]).arg(closed.join("c.sock"));
    let done = edgelay.current_dir("/").uid(NOBODY).gid(NOBODY).output().unwrap();
    assert_eq!(done.status.code(), Some(4), "{}", String::from_utf8_lossy(&done.stderr));
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((&finding["check"], &finding["verdict"]), (&"root".into(), &"fail".into()), "{finding}");
}

#[test]
fn a_containerd_that_says_nothing_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("c.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut edgelay = Command::new(env!("CARGO_BIN_EXE_edgelay"));
    edgelay.args(["preflight", "-o", "json", "--containerd=existing", "--containerd-address"]).arg(&socket);
    let start = Instant::now();
    let done = edgelay.output().unwrap();
    let spent = start.elapsed();
    assert!(spent < Duration::from_secs(5), "{spent:?}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let finding = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == "containerd-cri").unwrap();
    let seen = format!("containerd does not serve pods: talk to '{}': no answer within 0.6 s", socket.display());
    assert_eq!((finding["verdict"].as_str().unwrap(), finding["seen"].as_str().unwrap()), ("fail", seen.as_str()));
    assert!(finding["advice"].as_str().unwrap().contains("restart it if it hangs"), "{finding}");
}

/// In a network namespace of its own, where nothing is up, no traffic can leave this machine.
fn cloud_finding(host: &'static str) -> Option<(String, Option<String>, Duration)> {
    let run = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
        let port = |port| HostPort::new(host, port).unwrap();
        let cloud = Cloud { websocket: port(10000), certificate: port(10002) };
        let cx = Context::new(&root, &root, &clock, Wanted { cloud: Some(cloud), ..Wanted::default() });
        let start = Instant::now();
        let finding = preflight(&cx).into_iter().find(|f| f.check == "cloud-ports").unwrap();
        Some((finding.seen, finding.advice, start.elapsed()))
    };
    std::thread::spawn(run).join().unwrap()
}

#[test]
fn no_route_and_no_name_are_told_apart() {
    let Some((seen, advice, spent)) = cloud_finding("192.0.2.7") else {
        return skip("no_route_and_no_name_are_told_apart", "no right to make a network namespace");
    };
    assert_eq!(seen, "192.0.2.7:10000 no route, 192.0.2.7:10002 no route");
    assert_eq!(advice.as_deref(), Some("connect this machine to the cloud's network, or add a route to it"));
    assert!(spent < Duration::from_secs(4), "{spent:?}");

    let (seen, advice, spent) = cloud_finding("nowhere.invalid").unwrap();
    assert_eq!(seen, "nowhere.invalid:10000 name not resolved, nowhere.invalid:10002 name not resolved");
    assert_eq!(advice.as_deref(), Some("give the cloud's IP address, or add its name to /etc/hosts"));
    assert!(spent < Duration::from_secs(4), "{spent:?}");
}

/// A network that takes every packet and answers none, as behind a firewall: whoever waits for an answer is seen by the
/// time it takes.
fn behind_a_wall<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let run = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        let ip = |args: &str| {
            let done = Command::new("ip").args(args.split(' ')).status();
            done.is_ok_and(|status| status.success()).then_some(())
        };
        ip("link add wall type veth peer name far")?;
        ip("address add 198.51.100.2/24 dev wall")?;
        ip("link set far up")?;
        ip("link set wall up")?;
        // Nobody's: the other end throws away what comes for it.
        ip("neighbour add 198.51.100.1 lladdr 02:00:00:00:00:77 dev wall nud permanent")?;
        ip("route add default via 198.51.100.1 dev wall onlink")?;
        Some(work())
    };
    std::thread::spawn(run).join().unwrap()
}

#[test]
fn without_a_cloud_nothing_waits_for_the_network() {
    let judged = behind_a_wall(|| {
        let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
        let start = Instant::now();
        let findings = preflight(&Context::new(&root, &root, &clock, wanted()));
        (findings.len(), start.elapsed())
    });
    let Some((count, spent)) = judged else {
        return skip("without_a_cloud_nothing_waits_for_the_network", "no right to a network of its own, or no ip");
    };
    assert_eq!(count, EDGE.len());
    // A SYN or a query that nobody answers is waited for much longer (tcp(7), resolv.conf(5): 5 s a server).
    assert!(spent < Duration::from_secs(3), "{spent:?}");
}

#[test]
fn a_silent_cloud_is_waited_for_once() {
    let judged = behind_a_wall(|| {
        let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
        let port = |port| HostPort::new("192.0.2.7", port).unwrap();
        let cloud = Cloud { websocket: port(10000), certificate: port(10002) };
        let mut cx = Context::new(&root, &root, &clock, Wanted { cloud: Some(cloud), ..wanted() });
        cx.connect_limit = Duration::from_millis(500);
        let start = Instant::now();
        (preflight(&cx), start.elapsed())
    });
    let Some((findings, spent)) = judged else {
        return skip("a_silent_cloud_is_waited_for_once", "no right to a network of its own, or no ip");
    };
    let seen = |name: &str| findings.iter().find(|f| f.check == name).unwrap().seen.clone();
    assert_eq!(seen("cloud-ports"), "192.0.2.7:10000 timed out, 192.0.2.7:10002 timed out");
    assert_eq!(seen("cloud-certificate"), "192.0.2.7:10002 does not answer");
    assert!(spent < Duration::from_secs(4), "{spent:?}");
}

/// A TLS server that others wrote, with a key as CloudCore's is.
fn tls_server(names: &str, versions: &[&str]) -> (std::process::Child, u16, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"])
        .args(["-subj", "/CN=KubeEdge", "-addext", &format!("subjectAltName={names}"), "-keyout", "k", "-out", "c"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-key", "k", "-cert", "c", "-accept", &format!("127.0.0.1:{port}")])
        .args(versions)
        .current_dir(&dir)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "openssl s_server does not listen");
        std::thread::yield_now();
    }
    (server, port, dir)
}

fn shown_certificate(host: &str, port: u16) -> String {
    let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
    let at = || HostPort::new(host, port).unwrap();
    let cloud = Cloud { websocket: at(), certificate: at() };
    let cx = Context::new(&root, &root, &clock, Wanted { cloud: Some(cloud), ..Wanted::default() });
    preflight(&cx).into_iter().find(|f| f.check == "cloud-certificate").unwrap().seen
}

#[test]
fn the_certificate_of_a_real_server_is_read() {
    let (mut server, port, _dir) = tls_server("IP:127.0.0.1,DNS:cloud.example,IP:2001:db8::1", &[]);
    let fits = shown_certificate("127.0.0.1", port);
    let other = shown_certificate("localhost", port);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(fits.starts_with("CloudCore's certificate is for 127.0.0.1, until "), "{fits}");
    let names = "127.0.0.1, cloud.example and 2001:db8::1";
    assert_eq!(other, format!("CloudCore's certificate is for {names}, not for localhost, so EdgeCore will refuse it"));

    let (mut server, port, _dir) = tls_server("DNS:cloud.example", &["-tls1_3"]);
    let hidden = shown_certificate("127.0.0.1", port);
    server.kill().unwrap();
    server.wait().unwrap();
    let why = "it wants TLS 1.3, which does not show its certificate to all";
    assert_eq!(hidden, format!("127.0.0.1:{port} shows no certificate: {why}"));
}

#[test]
fn the_bridge_that_is_no_clash_is_the_one_of_the_conflist() {
    let text = edgelay::cni::conflist("10.87.0.0/16".parse().unwrap());
    assert!(text.contains(&format!("\"bridge\":\"{}\"", wanted().pod_bridge)), "{text}");
}

/// As much of JSON Schema as docs/preflight.schema.json uses.
fn fits(schema: &serde_json::Value, value: &serde_json::Value, at: &str) {
    use serde_json::Value;
    let known = [
        "$schema",
        "title",
        "type",
        "required",
        "properties",
        "const",
        "enum",
        "items",
        "additionalProperties",
        "minimum",
        "minLength",
        "pattern",
    ];
    for key in schema.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "this test does not know '{key}'");
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    match &schema["type"] {
        Value::String(kind) => assert!(is(kind), "{at} is no {kind}: {value}"),
        Value::Array(kinds) => assert!(kinds.iter().any(|kind| is(kind.as_str().unwrap())), "{at}: {value}"),
        _ => {}
    }
    if let Some(wanted) = schema.get("const") {
        assert_eq!(value, wanted, "{at}");
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value}");
    }
    if schema.get("minLength").is_some() {
        assert!(!value.as_str().unwrap().is_empty(), "{at} is empty");
    }
    if schema.get("pattern").is_some() {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(value.as_str().unwrap().bytes().all(plain), "{at}: {value}");
    }
    for key in schema["required"].as_array().unwrap_or(&Vec::new()) {
        assert!(value.get(key.as_str().unwrap()).is_some(), "{at} has no {key}");
    }
    for (key, inner) in value.as_object().unwrap_or(&serde_json::Map::new()) {
        let schema = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
        assert!(schema.is_object(), "{at}.{key} is not in the schema");
        fits(schema, inner, &format!("{at}.{key}"));
    }
    for item in value.as_array().unwrap_or(&Vec::new()) {
        fits(&schema["items"], item, &format!("{at}[]"));
    }
}

#[test]
fn the_report_fits_its_schema() {
    let (root, clock) = (Root::open(Path::new("/")).unwrap(), SystemClock::default());
    let report = json(&preflight(&Context::new(&root, &root, &clock, wanted()))).unwrap();
    let schema = super::support::source::read("docs/preflight.schema.json");
    fits(&serde_json::from_str(&schema).unwrap(), &serde_json::from_str(&report).unwrap(), "report");
}
