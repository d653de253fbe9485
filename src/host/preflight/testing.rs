//! For tests: a machine that is fit for everything, to be spoilt one thing at a time.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{
    Board, Check, Cloud, Context, DiskNeed, EDGE, Finding, MemoryNeed, Outcome, PortNeed, ProgramNeed, Said, Verdict,
    Wanted, run,
};
use crate::clock::CountingClock;
use crate::host::tree::Tree;
use crate::host::{served, x509};
use crate::ids::{Arch, HostPort, RelPath, Token};

/// 2026-02-02T02:40:00Z.
pub(super) const NOW: u64 = 1_770_000_000;

pub(super) struct Bed {
    tree: Tree,
    pub(super) now: u64,
    pub(super) synchronised: Option<bool>,
    pub(super) architecture: &'static str,
    websocket: TcpListener,
    certificate: TcpListener,
    /// Set when the thread that answers at the certificate port is to end.
    over: Arc<AtomicBool>,
}

const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
    eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
    eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
const OWN: &str = "Local:\n  |-- 10.0.0.5\n    /32 host LOCAL\n  |-- 127.0.0.1\n    /32 host LOCAL\n";
const CONFIG: &str = "CONFIG_NET_NS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_VETH=y\nCONFIG_BRIDGE=y\nCONFIG_BRIDGE_NETFILTER=y\n\
    CONFIG_NF_CONNTRACK=y\nCONFIG_NF_NAT=y\nCONFIG_IP_NF_NAT=y\nCONFIG_NETFILTER_XT_TARGET_MASQUERADE=y\n\
    CONFIG_NETFILTER_XT_MATCH_COMMENT=y\nCONFIG_NETFILTER_XT_MARK=y\nCONFIG_NETFILTER_XT_MATCH_CONNTRACK=y\n\
    CONFIG_NETFILTER_XT_MATCH_ADDRTYPE=y\nCONFIG_NETFILTER_XT_MATCH_MULTIPORT=y\n";

impl Bed {
    /// A machine without anything.
    pub(super) fn empty() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (certificate, over) = (listen(), Arc::new(AtomicBool::new(false)));
        let (listener, stop) = (certificate.try_clone().unwrap(), Arc::clone(&over));
        std::thread::spawn(move || show_certificate(&listener, &stop));
        Bed {
            tree: Tree::new(),
            now: NOW,
            synchronised: None,
            architecture: "arm64",
            websocket: listen(),
            certificate,
            over,
        }
    }

    /// Debian 12 on an arm64 board, with nothing installed that is in the way.
    pub(super) fn new() -> Self {
        Self::empty().with(|tree| {
            tree.file("proc/1/comm", "systemd\n")
                .dir("run/systemd/system")
                .link("proc/self", "1")
                .file("proc/1/status", "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n")
                .file("proc/1/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
                .file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
                .file("proc/meminfo", "MemTotal:        1995824 kB\n")
                .file("proc/sys/kernel/osrelease", "6.1.0-18-arm64\n")
                .file("boot/config-6.1.0-18-arm64", CONFIG)
                .file("dev/kmsg", "")
                .program("usr/sbin/iptables")
                .program("usr/bin/bash")
                .program("usr/bin/pidof")
                .program("usr/bin/sudo")
                .program("usr/bin/mount")
                .program("lib/ld-linux-aarch64.so.1")
                .dir("etc/kubeedge")
                .link("proc/net", "self/net")
                .file("proc/1/net/tcp", TCP)
                .file("proc/1/net/route", ROUTES)
                .file("proc/1/net/fib_trie", OWN)
                .file("etc/resolv.conf", "nameserver 10.0.0.1\n")
        })
    }

    pub(super) fn with(mut self, change: impl FnOnce(Tree) -> Tree) -> Self {
        self.tree = change(std::mem::replace(&mut self.tree, Tree::new()));
        self
    }

    /// A process that listens on `port` of the loopback interface.
    pub(super) fn listening(self, port: u16, pid: u32, exe: &str) -> Self {
        let line = format!(
            "   0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {pid}00 1 0 100 0\n"
        );
        self.with(|tree| {
            tree.file("proc/1/net/tcp", &format!("{TCP}{line}"))
                .process(pid, exe, &[exe])
                .link(&format!("proc/{pid}/fd/3"), &format!("socket:[{pid}00]"))
        })
    }

    pub(super) fn websocket_port(&self) -> u16 {
        self.websocket.local_addr().unwrap().port()
    }

    pub(super) fn certificate_port(&self) -> u16 {
        self.certificate.local_addr().unwrap().port()
    }

    /// All findings of an edge; `edit` changes what is wanted.
    pub(super) fn run(&self, edit: impl FnOnce(&mut Wanted<'static>)) -> Vec<Finding> {
        self.run_of(&EDGE, edit)
    }

    /// All findings of `checks`.
    pub(super) fn run_of(&self, checks: &[Check], edit: impl FnOnce(&mut Wanted<'static>)) -> Vec<Finding> {
        let mut wanted = Wanted {
            architecture: Some(Arch::Arm64),
            memory: Some(MemoryNeed::EDGE),
            disk: vec![DiskNeed { path: RelPath::literal("var/lib/containerd"), bytes: 1, what: None }],
            writable: Wanted::EDGE_WRITABLE.to_vec(),
            containerd_store: Some(RelPath::literal("var/lib/containerd")),
            joins_with_keadm: true,
            programs: ProgramNeed::KEADM.to_vec(),
            ports: vec![PortNeed::AGENT, PortNeed::META_SERVER, PortNeed::MQTT],
            edgemesh: true,
            node_name: Some(Ok("edge-1".parse().unwrap())),
            pod_cidr: Some("10.88.0.0/24".parse().unwrap()),
            pod_bridge: "cni0",
            time_floor: Some(NOW - 1),
            token: Some(Ok(token(NOW + 12 * 3600).parse::<Token>().unwrap())),
            cloud: Some(Cloud {
                websocket: HostPort::new("127.0.0.1", self.websocket_port()).unwrap(),
                certificate: HostPort::new("127.0.0.1", self.certificate_port()).unwrap(),
            }),
            board: Some(Board {
                seen: "raspberry-pi-4: device tree; memory class large".into(),
                identity: Ok("device-tree 10000000a1b2c3d4".into()),
                rtc: false,
                memory_cgroup: String::new(),
                arguments_in: None,
                will_edit: false,
                iptables: None,
                prefix: None,
                fleeting: Vec::new(),
            }),
            ..Wanted::default()
        };
        edit(&mut wanted);
        let (root, mut clock) = (self.tree.root(), CountingClock::default());
        clock.epoch = self.now;
        clock.synchronised = self.synchronised;
        let context = Context {
            machine: &root,
            target: &root,
            clock: &clock,
            architecture: self.architecture.to_owned(),
            connect_limit: Duration::from_secs(3),
            wanted,
        };
        run(&context, checks)
    }

    /// The finding of one check: verdict, what was seen, advice.
    pub(super) fn one(&self, check: &str, edit: impl FnOnce(&mut Wanted<'static>)) -> (Verdict, String, String) {
        self.one_of(&EDGE, check, edit)
    }

    /// The same of other checks than an edge's.
    pub(super) fn one_of(
        &self,
        checks: &[Check],
        check: &str,
        edit: impl FnOnce(&mut Wanted<'static>),
    ) -> (Verdict, String, String) {
        let finding = self.run_of(checks, edit).into_iter().find(|f| f.check == check).unwrap();
        (finding.verdict, finding.seen, finding.advice.unwrap_or_default())
    }
}

impl Outcome {
    /// Verdict, what was seen, advice.
    pub(super) fn told(self) -> (Verdict, String, String) {
        let Said { verdict, seen, advice } = *self.0;
        (verdict, seen.into_owned(), advice.unwrap_or_default().into_owned())
    }
}

/// CloudCore's certificate port, as far as it goes before keys are exchanged.
fn show_certificate(listener: &TcpListener, stop: &AtomicBool) {
    let answer = served::answer(&x509::sample(&[(0x87, &[127, 0, 0, 1])]), 1000);
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // Whoever only tried the port is gone, ignoring: there is nobody to answer.
        let _ = stream.unwrap().write_all(&answer);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.certificate.local_addr().unwrap()));
    }
}

/// What [`Bed::one`] is to give.
pub(super) fn told(verdict: Verdict, seen: &str, advice: &str) -> (Verdict, String, String) {
    (verdict, seen.to_owned(), advice.to_owned())
}

pub(super) const CANARY: &str = "U2lnbmF0dXJlQ2FuYXJ5";

/// The text of a token that ends at `exp`.
pub(super) fn token(exp: u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let claims = format!("{{\"exp\":{exp}}}");
    let mut encoded = String::new();
    for chunk in claims.as_bytes().chunks(3) {
        let bits = chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |bits, b| bits << 8 | u32::from(*b));
        for i in 0..=chunk.len() {
            encoded.push(char::from(LETTERS[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    format!("{}.eyJhbGciOiJIUzI1NiJ9.{encoded}.{CANARY}", "a".repeat(64))
}
