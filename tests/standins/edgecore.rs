//! standin-edgecore: behaves like edgecore v1.22.0 as far as a machine's installer can see. Not EdgeCore: a stand-in.
//!
//! It reads the configuration, fetches certificates with the token or dies of it, holds the WebSocket to the cloud,
//! registers the node, and answers on its two local ports with what the real container runtime says. It runs no pods.

mod certs;
mod hub;
mod local;
mod runtime;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use crate::shared::yaml::{Yaml, parse};
use crate::shared::{VERSION, fields, klog};

const CONFIG: &str = "/etc/kubeedge/config/edgecore.yaml";
const BOOTSTRAP: &str = "/etc/kubeedge/bootstrap-edgecore.conf";
/// How long the real one tries to make its CSINode object before it gives up.
const CSI_PATIENCE: Duration = Duration::from_secs(30);

/// What the modules share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Yaml,
    pub(crate) name: String,
    /// The cloud knows the node, now or from an earlier run.
    pub(crate) registered: AtomicBool,
    /// When the cloud heard the node's status last, in seconds since 1970.
    pub(crate) heard: AtomicU64,
}

/// The whole program.
pub fn main() {
    let path = config_path();
    let mut config = load(&path);
    let file_token = config.text("modules.edgeHub.token");
    if let Ok(token) = fs::read_to_string(BOOTSTRAP) {
        *config.place(&["modules", "edgeHub", "token"]) = Yaml::Str(token.trim().into());
    }
    let version = version();
    klog::line('I', "server.go:102", &format!("Version: {version}"));
    local::check_schema(&config, &version);
    if version.ends_with("-migrating") {
        *config.place(&["apiVersion"]) = Yaml::Str("edgecore.config.kubeedge.io/v1alpha9".into());
        save(&path, &config);
    }
    if version.ends_with("-broken") || version.ends_with("-migrating") {
        exit(1, "server.go:102", "this build does not start");
    }
    if config.text("edgecoreVersion") != version {
        *config.place(&["edgecoreVersion"]) = Yaml::Str(version);
        save(&path, &config);
    }
    check_environment(&config);
    start(config, path, !file_token.is_empty());
}

/// The version that this program stands in for: what was written behind it, or the usual one.
pub(crate) fn version() -> String {
    let bytes = fs::read("/proc/self/exe").unwrap_or_default();
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(64)..]).into_owned();
    let said = tail.lines().last().and_then(|line| line.strip_prefix("stands in for "));
    said.unwrap_or(VERSION).to_owned()
}

fn config_path() -> String {
    let mut args = std::env::args().skip(1);
    let mut path = CONFIG.to_string();
    while let Some(arg) = args.next() {
        match arg.split_once('=').unwrap_or((&arg, "")) {
            ("--config", "") => path = args.next().unwrap_or_default(),
            ("--config", given) => path = given.into(),
            ("--defaultconfig", _) => {
                print!("{}", fields::defaults().render());
                std::process::exit(0);
            }
            ("-v" | "--v", _) => {}
            (other, _) => {
                eprintln!("Error: unknown flag: {other}");
                std::process::exit(1);
            }
        }
    }
    path
}

/// The file over the defaults; unknown keys do no harm.
fn load(path: &str) -> Yaml {
    let Ok(text) = fs::read_to_string(path) else {
        exit(1, "server.go:66", &format!("config file {path} not exist"));
    };
    let mut config = fields::defaults();
    *config.place(&["modules", "edged", "hostnameOverride"]) = Yaml::Str(host_name());
    match parse(&text) {
        Ok(Yaml::Null) => {}
        Ok(file) => config.overlay(file),
        Err(why) => exit(1, "server.go:71", &format!("error converting YAML to JSON: yaml: {why}")),
    }
    config
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase()
}

fn save(path: &str, config: &Yaml) {
    if let Err(e) = fs::write(path, config.render()) {
        exit(1, "server.go:109", &format!("failed to update edgecore config file, err: {e}"));
    }
}

/// Ends the process as klog.Exit (code 1) or klog.Fatal (255) does.
pub(crate) fn exit(code: i32, place: &str, why: &str) -> ! {
    klog::line('F', place, why);
    std::process::exit(code);
}

fn check_environment(config: &Yaml) {
    let skip = std::env::var("CHECK_EDGECORE_ENVIRONMENT").is_ok_and(|value| value == "false");
    if skip || config.is_true("modules.metaManager.metaServer.enable") {
        return;
    }
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    if names.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok()).any(|name| name.trim() == "kubelet")
    {
        let why = "kubelet should not be running on edge node when starting edgecore";
        exit(1, "server.go:118", &format!("failed to check the running environment: {why}"));
    }
}

fn start(config: Yaml, path: String, token_in_file: bool) {
    let name = config.text("modules.edged.hostnameOverride");
    let known = local::remembered(&config, &name);
    let (registered, heard) = (AtomicBool::new(known.is_some()), AtomicU64::new(known.unwrap_or(0)));
    let node = Arc::new(Node { config, name, registered, heard });
    for dir in ["tailoredKubeletConfig.staticPodPath", "tailoredKubeletConfig.podLogsDir", "rootDirectory"] {
        // ignoring: the real one only logs it, too
        let _ = fs::create_dir_all(node.config.text(&format!("modules.edged.{dir}")));
    }
    // as every kubelet does, for plugins
    let _ = fs::create_dir_all("/usr/libexec/kubernetes/kubelet-plugins/volume/exec");
    local::make_chains();
    local::serve(&node);
    let hub_node = Arc::clone(&node);
    let hub = thread::spawn(move || {
        if certs::obtain(&hub_node).is_new() && token_in_file {
            let mut config = hub_node.config.clone();
            *config.place(&["modules", "edgeHub", "token"]) = Yaml::Str(String::new());
            save(&path, &config);
        }
        // as the real one: not before there is a certificate
        if hub_node.config.is_true("modules.edgeStream.enable") {
            let text = |key: &str| hub_node.config.text(&format!("modules.{key}"));
            let (server, ip) = (text("edgeStream.server"), text("edged.nodeIP"));
            thread::spawn(move || hub::want_tunnel(&server, &ip));
        }
        hub::run(&hub_node);
    });
    if node.config.is_true("modules.eventBus.enable") && node.config.text("modules.eventBus.mqttMode") != "0" {
        let broker = node.config.text("modules.eventBus.mqttServerExternal");
        thread::spawn(move || hub::want_broker(&broker));
    }
    let without_csi = "modules.edged.tailoredKubeletConfig.featureGates.DisableCSIVolumePlugin";
    if !node.config.is_true(without_csi) {
        thread::sleep(CSI_PATIENCE);
        if !node.registered.load(std::sync::atomic::Ordering::SeqCst) {
            let why = "Failed to initialize CSINode after retrying: timed out waiting for the condition";
            exit(255, "csi_plugin.go:309", why);
        }
    }
    // the hub never ends well
    let _ = hub.join();
    exit(2, "server.go:140", "edgehub ended");
}
