//! standin-k3s: behaves like k3s v1.34 as an installer sees it. Not k3s: a stand-in for tests.
//!
//! `server` and `agent` read config.yaml strictly and run a real containerd; behind port 6443 answers a small stand-in
//! for the Kubernetes API; `kubectl` is the real one. Like the real k3s the program carries what it needs in itself (see
//! `payload`) and unpacks it at the first start.
//!
//! Switches for tests, files in /run/standin: `k3s-dies` ends the server at its start, with the file's text as the
//! reason; with `k3s-never-ready` the API does not become ready; `cloudcore-late` holds how many seconds CloudCore takes
//! longer to serve.

mod agent;
mod config;
mod containerd;
mod payload;
mod server;
mod systemd;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The version that is claimed.
pub(crate) const VERSION: &str = "v1.34.2+k3s1";
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// The whole program.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version" | "-v", ..] => {
            println!("k3s version {VERSION} (stand-in)\ngo version go1.24.9");
            Ok(())
        }
        ["server", ..] => {
            named("k3s-server");
            config::load(config::Role::Server, &args[1..]).and_then(server::run)
        }
        ["agent", ..] => {
            named("k3s-agent");
            config::load(config::Role::Agent, &args[1..]).and_then(agent::run)
        }
        ["kubectl", ..] => Err(kubectl(&args[1..])),
        ["ctr", ..] => Err(ctr(&args[1..])),
        [] => Ok(()),
        [other, ..] => Err(format!("No help topic for '{other}'")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say("fatal", &why);
            ExitCode::from(1)
        }
    }
}

/// Shows itself by this name, as the real one does, which becomes a program of this name.
fn named(name: &str) {
    // ignoring: only tests that look for it would miss it
    let _ = std::fs::write("/proc/self/comm", name);
}

/// A line of k3s's log.
pub(crate) fn say(level: &str, text: &str) {
    let now = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let now = now.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned()).unwrap_or_default();
    eprintln!("time=\"{now}\" level={level} msg={text:?}");
}

/// Becomes the real kubectl, with k3s's kubeconfig unless another is named.
fn kubectl(args: &[String]) -> String {
    let mut command = Command::new(match payload::program("kubectl") {
        Ok(path) => path,
        Err(why) => return why,
    });
    if std::env::var_os("KUBECONFIG").is_none() {
        command.env("KUBECONFIG", KUBECONFIG);
    }
    format!("kubectl: {}", command.args(args).exec())
}

fn ctr(args: &[String]) -> String {
    let program = match payload::program("ctr") {
        Ok(path) => path,
        Err(why) => return why,
    };
    format!("ctr: {}", Command::new(program).args(["-a", containerd::SOCKET, "-n", "k8s.io"]).args(args).exec())
}
