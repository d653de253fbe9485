//! `k3s server`: the API first, then containerd, then the word to systemd; one that ends takes the rest along.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use super::config::Config;
use super::{KUBECONFIG, VERSION, containerd, payload, say, systemd};

const DB: &str = "/var/lib/rancher/k3s/server/db";
const IMAGES: &str = "/run/k3s/standin-images.json";
const READY: &str = "/run/k3s/standin-ready";
const SWITCHES: &str = "/run/standin";
/// The python of the machine; the tests' machines have it.
const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn run(config: Config) -> Result<(), String> {
    say("info", &format!("Starting k3s {VERSION} (stand-in)"));
    if let Ok(why) = fs::read_to_string(Path::new(SWITCHES).join("k3s-dies")) {
        // As v1.34 does where one of its parts ends: the reason, what the others say about it, and status 0.
        say("error", &format!("Shutdown request received: {}", why.trim()));
        for part in 1..30 {
            say(
                "info",
                &format!("Part {part} of k3s is told to stop, and says so in a line that is about as long as others"),
            );
        }
        return Ok(());
    }
    for stale in [IMAGES, READY] {
        // ignoring: after a boot there are none
        let _ = fs::remove_file(stale);
    }
    let mut api = api(&config)?;
    let mut daemon = containerd::start()?;
    std::thread::spawn(move || {
        let status = api.wait();
        say("fatal", &format!("apiserver exited: {status:?}"));
        std::process::exit(1);
    });
    std::thread::spawn(|| {
        while !Path::new(READY).exists() {
            std::thread::sleep(Duration::from_millis(100));
        }
        say("info", "k3s is up and running");
        systemd::ready();
    });
    Err(containerd::watch(&mut daemon, |found| {
        let new = format!("{IMAGES}.new");
        let text = serde_json::to_string(found).map_err(|e| e.to_string())?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, IMAGES)).map_err(|e| format!("{IMAGES}: {e}"))
    }))
}

/// Name of this node.
pub(crate) fn node_name(config: &Config) -> String {
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    config.one("node-name").map_or_else(host, str::to_owned)
}

/// Address of this node: as told, or that of the default route.
pub(crate) fn node_ip(config: &Config) -> Result<String, String> {
    if let Some(ip) = config.all("node-ip").first() {
        return Ok((*ip).to_owned());
    }
    let done = std::process::Command::new("ip").args(["-4", "route", "get", "192.0.2.1"]).output();
    let said = done.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    let mut words = said.split_whitespace().skip_while(|word| *word != "src");
    let none = || "Error: unable to select an IP from default routes".to_owned();
    words.nth(1).map(str::to_owned).ok_or_else(none)
}

fn api(config: &Config) -> Result<Child, String> {
    let (ip, name) = (node_ip(config)?, node_name(config));
    fs::create_dir_all(DB).map_err(|e| format!("{DB}: {e}"))?;
    fs::create_dir_all("/run/k3s").map_err(|e| format!("/run/k3s: {e}"))?;
    let advertised = config.one("advertise-address").unwrap_or(&ip).to_owned();
    let mut names = config.all("tls-san");
    names.push(&advertised);
    let mut command = containerd::bound(Path::new(PYTHON));
    command.arg("-B").arg(payload::folder()?.join("apiserver"));
    for (flag, value) in [
        ("--db", DB),
        ("--bind", config.one("bind-address").unwrap_or("0.0.0.0")),
        ("--port", config.one("https-listen-port").unwrap_or("6443")),
        ("--node", &name),
        ("--ip", &ip),
        ("--san", &names.join(",")),
        ("--images", IMAGES),
        ("--kubeconfig", config.one("write-kubeconfig").unwrap_or(KUBECONFIG)),
        ("--mode", config.one("write-kubeconfig-mode").unwrap_or("600")),
        ("--version", VERSION),
        ("--token", &config.token()?.unwrap_or_default()),
        ("--pause", config.one("pause-image").unwrap_or(containerd::PAUSE)),
        ("--disable", &config.all("disable").join(",")),
        ("--labels", &config.all("node-label").join(",")),
        ("--taints", &config.all("node-taint").join(",")),
        ("--dns", config.one("cluster-dns").unwrap_or("10.43.0.10")),
        ("--service-ip", &first_of(config.one("service-cidr").unwrap_or("10.43.0.0/16"))),
        ("--ready-file", READY),
        ("--switches", SWITCHES),
    ] {
        command.arg(format!("{flag}={value}"));
    }
    command.spawn().map_err(|e| format!("apiserver: {PYTHON}: {e}"))
}

/// The first address of a range.
fn first_of(cidr: &str) -> String {
    let ip = cidr.split('/').next().unwrap_or_default();
    ip.rsplit_once('.').map_or_else(|| format!("{ip}1"), |(start, _)| format!("{start}.1"))
}
