//! A whole node without systemd and without keadm: a jail, `edgelay supervise`, the native join against the stand-in cloud.

mod firstboot;
mod openrc;

pub(crate) use openrc::{FILES, until};

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::pod;
use crate::support::bed::{Ended, make_inputs, run};
use crate::support::jail::Jail;

const CONFIG: &str = r#"{"schema": 1, "cloud": {"host": "10.77.0.2"}, "token_file": "/root/token",
    "node": {"name": "edge-1", "ip": "10.77.0.2", "labels": {"site": "true"}}}"#;

/// The stand-in cloud, in the jail's own network.
struct Cloud {
    dir: PathBuf,
    server: Child,
}

fn standin() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/standin-cloud"))
}

impl Cloud {
    fn start(jail: &Jail, dir: &Path) -> Cloud {
        run(standin().arg("init").arg(dir).args(["--san", "IP:10.77.0.2"])).good();
        Cloud { dir: dir.to_owned(), server: Cloud::serve(jail, dir) }
    }

    /// Goes over to the network that the jail has after another boot.
    fn follow(&mut self, jail: &Jail) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        std::fs::remove_file(self.dir.join("ports")).unwrap();
        self.server = Cloud::serve(jail, &self.dir);
    }

    fn serve(jail: &Jail, dir: &Path) -> Child {
        jail.sh("ip link add v0 type veth peer name v1 && ip addr add 10.77.0.2/24 dev v0 && ip link set v0 up && ip link set v1 up")
            .good();
        let pid = jail.root().components().nth(2).unwrap().as_os_str().to_owned();
        let mut serve = Command::new("nsenter");
        serve.arg("-n").arg("-t").arg(pid).arg(standin().get_program()).arg("serve").arg(dir);
        let server = serve.args(["--bind", "10.77.0.2"]).stdin(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !dir.join("ports").exists() {
            assert!(start.elapsed() < Duration::from_secs(120), "the cloud does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn mint(&self, kind: &str) -> String {
        run(standin().arg("token").arg(&self.dir).arg(kind)).good().trim().to_owned()
    }

    /// Whether the node has registered.
    fn knows(&self, node: &str) -> bool {
        std::fs::metadata(self.dir.join("nodes").join(node)).is_ok_and(|file| file.len() > 0)
    }

    fn give_token(&self, jail: &Jail, kind: &str) -> String {
        let token = self.mint(kind);
        std::fs::write(jail.root().join("root/token"), format!("{token}\n")).unwrap();
        jail.sh("chmod 600 /root/token").good();
        token
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // ignoring: it has ended already
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Bundle and configuration in the jail's `/root`.
fn put_bundle(jail: &Jail, scratch: &Path) {
    let inputs = make_inputs(&scratch.join("inputs"), "1.7", "v1.22.0");
    create_bundle(&inputs, &jail.root().join("root/edge.bundle"));
    std::fs::write(jail.root().join("root/node.json"), CONFIG).unwrap();
}

fn create_bundle(inputs: &Path, file: &Path) {
    let mut create = Command::new(env!("CARGO_BIN_EXE_edgelay"));
    create
        .args(["bundle", "create", "--role", "edge", "--arch", "amd64", "--components"])
        .arg(inputs.join("components"));
    run(create.arg("--images").arg(inputs.join("images")).arg("-o").arg(file)).good();
}

fn install(jail: &Jail, flags: &[&str]) -> Ended {
    let all = ["edgelay", "edge", "install", "--bundle=/root/edge.bundle", "--config=/root/node.json"];
    jail.run(&[&all[..], &["--log-format=json"], flags].concat())
}

fn applied(ended: &Ended) -> Vec<String> {
    let events = ended.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let done = events.filter(|event| event["event"] == "step-ends" && event["outcome"] != "skipped");
    done.map(|event| event["step"].as_str().unwrap().to_owned()).collect()
}

/// Waits until `status` is green.
#[track_caller]
fn is_green(jail: &Jail) {
    let start = Instant::now();
    loop {
        let status = jail.run(&["edgelay", "status"]);
        if status.code == 0 {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(240), "{}\n{}", status.said(), logs(jail));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn logs(jail: &Jail) -> String {
    jail.sh("tail -n 30 /var/log/edgelay/*.log; ls -l /run/edgelay; ps -ef").said()
}

/// containerd is killed, again and again, and everything is told to read its files anew: it comes back, ever later, and
/// what runs in pods does not notice. Its log stays bounded meanwhile.
fn daemons_die_and_pods_go_on(jail: &Jail) {
    let pod = pod::start(jail);
    let processes = || jail.sh(openrc::PODS).good();
    let number = |name: &str| jail.sh(&format!("pgrep -x {name}")).out.trim().to_owned();
    let comes_back = |name: &str, old: &str| {
        openrc::until(
            jail,
            &format!("pid=$(pgrep -x {name}) && [ $pid != {old} ] && [ $pid = $(cat /run/edgelay/{name}.pid) ]"),
        );
    };
    let (pods, edgecore) = (processes(), number("edgecore"));
    jail.sh("head -c 1500000 /dev/zero | tr '\\0' x >>/var/log/edgelay/containerd.log").good();
    for pause in [1, 2] {
        let daemon = number("containerd");
        jail.sh(&format!("kill -9 {daemon}")).good();
        comes_back("containerd", &daemon);
        let note = format!("containerd process {daemon} was ended by SIGKILL; starting it again in {pause} s");
        jail.sh(&format!("grep -hF '{note}' /var/log/edgelay/containerd.log*")).good();
    }
    is_green(jail);
    assert_eq!((processes(), number("edgecore")), (pods.clone(), edgecore.clone()), "not only containerd ended");

    let daemon = number("containerd");
    jail.sh("kill -HUP $(cat /run/edgelay/supervise.lock)").good();
    comes_back("containerd", &daemon);
    comes_back("edgecore", &edgecore);
    is_green(jail);
    assert_eq!(processes(), pods);
    assert_eq!(pod.exec(jail, &["/bin/busybox", "hostname"]), "smoke\n");
    openrc::until(jail, "[ $(stat -c %s /var/log/edgelay/containerd.log.old) = 1048576 ]");
    jail.sh("[ $(stat -c %s /var/log/edgelay/containerd.log) -lt 1000000 ]").good();
    pod.end(jail);
}

fn yaml(jail: &Jail) -> String {
    std::fs::read_to_string(jail.root().join("etc/kubeedge/config/edgecore.yaml")).unwrap()
}

#[test]
fn a_node_without_service_manager_and_without_keadm() {
    let Some(jail) = Jail::start("a_node_without_service_manager_and_without_keadm") else { return };
    let scratch = tempfile::tempdir().unwrap();
    put_bundle(&jail, scratch.path());
    let cloud = Cloud::start(&jail, &scratch.path().join("cloud"));
    jail.sh("rm /usr/bin/sudo /bin/pidof /usr/bin/systemctl; find / -xdev -path /root -prune -o -print | sort >/root/before").good();

    // The cloud does not take the token: told at once, in EdgeCore's words, and the token lies nowhere.
    let forged = cloud.give_token(&jail, "forged");
    let start = Instant::now();
    let refused = install(&jail, &[]);
    assert!(start.elapsed() < Duration::from_secs(200), "it was waited for in vain");
    let said = refused.said();
    refused.fails(8, "EdgeCore gets no certificate: failed to get edge certificate from the cloudcore");
    assert!(!said.contains(&forged));
    assert!(!jail.root().join("etc/kubeedge/bootstrap-edgecore.conf").exists());
    assert_eq!(jail.sh("pgrep -x edgecore").out, "", "it goes on failing");

    // A machine made anew: the cloud knows its name already.
    std::fs::write(cloud.dir.join("nodes/edge-1"), "").unwrap();
    let token = cloud.give_token(&jail, "good");
    let done = install(&jail, &[]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), logs(&jail));
    assert!(cloud.knows("edge-1"), "it has not registered: {}", done.said());
    is_green(&jail);
    assert_eq!(jail.sh("stat -c %a /etc/kubeedge/config/edgecore.yaml /etc/kubeedge/certs").good(), "600\n700\n");
    assert!(!jail.root().join("etc/kubeedge/bootstrap-edgecore.conf").exists());
    let holders = jail.sh(&format!("grep -rlFs '{token}' /etc /var /run /usr/local | cat")).good();
    assert_eq!(holders, "", "the token lies about");
    let node: Value = serde_json::from_slice(&std::fs::read(cloud.dir.join("nodes/edge-1")).unwrap()).unwrap();
    assert_eq!(node["content"]["metadata"]["labels"]["site"], "true", "{node}");
    assert_eq!(applied(&install(&jail, &[])), [""; 0], "a second run has nothing to do");

    // EdgeCore dies and comes back.
    jail.sh("kill -9 $(cat /run/edgelay/edgecore.pid)").good();
    is_green(&jail);
    daemons_die_and_pods_go_on(&jail);

    // Certificates that are gone are got again with a new token; the node stays what it is.
    let database = || jail.sh("stat -c %i /var/lib/kubeedge/edgecore.db /usr/local/bin/edgecore").good();
    let before = database();
    jail.sh("rm /etc/kubeedge/certs/server.crt").good();
    cloud.give_token(&jail, "good");
    let renewed = install(&jail, &[]);
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.said(), logs(&jail));
    assert!(applied(&renewed).contains(&"join".to_owned()));
    assert_eq!(database(), before);
    is_green(&jail);

    // What changed since is followed; what is the cloud's is refused.
    let off = install(&jail, &["--edgemesh=false"]);
    assert_eq!(off.code, 0, "{}", off.said());
    assert!(!yaml(&jail).contains("169.254.96.16"), "{}", yaml(&jail));
    let status = jail.run(&["edgelay", "status"]);
    assert!(status.code == 0 && status.out.contains("not known  node-ready"), "{}", status.said());
    install(&jail, &["--node-labels=site=b"]).fails(3, "'node.labels' counts only when a node joins");

    // The machine is switched off and on: its boot hook starts the supervisor, and nothing else is needed.
    jail.sh("pkill -9 edgelay; pkill -9 edgecore; pkill -9 containerd; pkill -9 pause; rm -rf /run/edgelay /run/containerd/containerd.sock*; setsid edgelay supervise </dev/null >/dev/null 2>&1 &")
        .good();
    is_green(&jail);

    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    let after = jail.sh(
        "find / -xdev -path /root -prune -o -print | sort | diff /root/before - | grep -v -e /var/log/ -e '^[0-9]'",
    );
    assert_eq!(after.out, "", "{}", after.said());
    assert_eq!(jail.sh("pgrep -l 'edgelay|edgecore|containerd|pause'").out, "");
    drop(cloud);
    jail.close();
}
