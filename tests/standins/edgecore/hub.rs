//! EdgeHub: the WebSocket to the cloud, over which the node registers; and EventBus's lonely calls for a broker.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Node;
use super::local;
use crate::shared::http::{dial, split_host_port};
use crate::shared::klog;

const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(5);
/// Twice the heartbeat.
const AFTER: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The key of RFC 6455's own example; this end checks no answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Connects for ever.
pub(crate) fn run(node: &Node) {
    loop {
        klog::line('I', "websocket.go:64", "Websocket start to connect Access");
        let mut connected = false;
        for _ in 0..TRIES {
            match connect(node) {
                Ok(link) => {
                    klog::line('I', "websocket.go:105", "Websocket connect to cloud access successful");
                    connected = true;
                    hold(node, link);
                    break;
                }
                Err((why, response)) => {
                    let said = format!("dial websocket error({why}), response message: {response}");
                    klog::line('E', "ws.go:84", &said);
                    klog::line('E', "websocket.go:102", &format!("Init websocket connection failed {why}"));
                }
            }
            thread::sleep(BETWEEN);
        }
        if connected {
            klog::line('W', "edgehub.go:142", "connection is broken, will reconnect after 30s");
        } else {
            let why = "max retry count reached when connecting to cloud";
            klog::line('E', "edgehub.go:122", &format!("connection failed: {why}, will reconnect after 30s"));
        }
        thread::sleep(AFTER);
    }
}

/// The WebSocket and the connection are ours, as whoever looks for them will find; TLS is openssl's. It sits in between:
///
/// ```text
///  WebSocket ── pipes ── openssl ── loopback ── relay ── TCP ── cloud
/// ```
///
/// With this process gone its ends of all of them are closed, and openssl goes, too.
struct Link {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // ignoring: it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reason, and what the other side answered.
fn connect(node: &Node) -> Result<Link, (String, String)> {
    let mute = |why: String| (why, String::new());
    let hub = |key: &str| node.config.text(&format!("modules.edgeHub.{key}"));
    let address = hub("websocket.server");
    let cloud = dial(&address).map_err(mute)?;
    let (host, _) = split_host_port(&address).map_err(mute)?;
    let named = if host.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
    let loopback = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (local, listener) = loopback.map_err(|e| mute(format!("listen tcp: {e}")))?;
    thread::spawn(move || listener.accept().map(|(openssl, _)| relay(&openssl, &cloud)));
    let local = local.to_string();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-verify_quiet", "-verify_return_error", "-connect", &local, named, &host]);
    openssl.args(["-CAfile", &hub("tlsCaFile"), "-cert", &hub("tlsCertFile"), "-key", &hub("tlsPrivateKeyFile")]);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = openssl.spawn().map_err(|e| mute(format!("openssl: {e}")))?;
    let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(mute("openssl: no pipes".into()));
    };
    let mut link = Link { child, to, from: BufReader::new(from) };
    let (project, name) = (hub("projectID"), &node.name);
    let upgrade = format!(
        "GET /{project}/{name}/events HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nnode_id: {name}\r\nproject_id: {project}\r\n\
         ConnectionUse: msg\r\n\r\n"
    );
    let handshake = |_| mute("remote error: tls: handshake failure".into());
    link.to.write_all(upgrade.as_bytes()).map_err(handshake)?;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        let got = link.from.read_line(&mut line).map_err(handshake)?;
        if got == 0 {
            return Err(mute("EOF".into()));
        }
        if line == "\r\n" {
            break;
        }
        head.push(line);
    }
    let code = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("0").to_string();
    if code == "101" {
        return Ok(link);
    }
    // anything but an upgrade: a wrong port looks like this
    Err(("websocket: bad handshake".into(), format!("response code: {code}, response body: ")))
}

/// Passes bytes both ways until one side is done.
fn relay(one: &TcpStream, other: &TcpStream) {
    let pass = |mut from: &TcpStream, mut to: &TcpStream| {
        // ignoring: however it ends, it ends
        let _ = std::io::copy(&mut from, &mut to);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    };
    thread::scope(|scope| {
        scope.spawn(|| pass(one, other));
        pass(other, one);
    });
}

/// Registers the node and keeps the connection until it breaks.
fn hold(node: &Node, mut link: Link) {
    if super::version().ends_with("-dying") {
        // as one does that cannot read the rows of another one: healthy, connected, and then gone
        thread::sleep(Duration::from_secs(2));
        super::exit(255, "dbm.go:52", "failed to query the database: no such column: heard_at");
    }
    if !local::has_address(node) {
        // without an address the node's status is never sent, so the cloud never hears of the node
        let why = "error: no default routes found in \"/proc/net/route\" or \"/proc/net/ipv6_route\"";
        klog::line('E', "setters.go:86", &format!("can't get ip address of node {}. {why}", node.name));
    } else {
        if let Some(delay) = local::status_delay() {
            thread::sleep(delay);
        }
        let object = local::object(node, local::now()).to_string();
        let insert = format!("{{\"operation\":\"insert\",\"node\":{:?},\"content\":{object}}}", node.name);
        if write_text(&mut link.to, &insert).is_err() {
            return;
        }
    }
    let Link { child, to, from } = &mut link;
    thread::scope(|scope| {
        // the thread ends with the pipe: a dead connection takes openssl with it
        scope.spawn(move || while beat(to).is_ok() {});
        listen(node, from);
        // ignoring: it may have ended by itself
        let _ = child.kill();
    });
}

fn beat(to: &mut ChildStdin) -> std::io::Result<()> {
    thread::sleep(HEARTBEAT);
    to.write_all(&[0x89, 0x80, 0, 0, 0, 0])?;
    to.flush()
}

/// Reads what the cloud says until the connection breaks.
fn listen(node: &Node, from: &mut impl Read) {
    let mut head = [0; 2];
    while from.read_exact(&mut head).is_ok() {
        let mut body = vec![0; usize::from(head[1] & 0x7f)];
        if from.read_exact(&mut body).is_err() {
            return;
        }
        if body.starts_with(b"{\"operation\":\"response\"") {
            node.heard.store(local::now(), Ordering::SeqCst);
            node.registered.store(true, Ordering::SeqCst);
            local::remember(node);
            klog::line('I', "kubelet_node_status.go:76", &format!("Successfully registered node {}", node.name));
        }
    }
}

/// A masked text frame (RFC 6455, 5.2), mask of zeros.
fn write_text(to: &mut ChildStdin, text: &str) -> std::io::Result<()> {
    let length = u16::try_from(text.len()).map_err(std::io::Error::other)?;
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Asks for the tunnel every two seconds until somebody answers; what it says of it fills the log, and nothing else
/// minds.
pub(crate) fn want_tunnel(server: &str, node_ip: &str) {
    loop {
        klog::line('I', "edgestream.go:121", "Start a new tunnel stream connection ...");
        if node_ip.is_empty() {
            klog::line('I', "edgestream.go:131", "get node local IP address successfully: 192.0.2.1");
        }
        let Err(why) = dial(server) else { return };
        klog::line('E', "edgestream.go:147", &format!("dial wss://{server}/v1/kubeedge/connect error {why}"));
        klog::line('E', "edgestream.go:114", &format!("TLSClientConnect error {why}"));
        thread::sleep(Duration::from_secs(2));
    }
}

/// Without a broker this goes on for ever, and nothing else minds.
pub(crate) fn want_broker(server: &str) {
    let address = server.trim_start_matches("tcp://").to_string();
    loop {
        klog::line('I', "common.go:97", "start connect to mqtt server with client id: hub-client-sub");
        match dial(&address) {
            Ok(_) => return,
            Err(why) => {
                klog::line('I', "common.go:99", "client hub-client-sub isconnected: false");
                klog::line('E', "common.go:101", &format!("connect error: network Error : {why}"));
            }
        }
        thread::sleep(BETWEEN);
    }
}
