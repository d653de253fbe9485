//! A smoke pod on the bridge network, through our own client of CRI.

use std::time::{Duration, Instant};

use edgelay::containerd::api::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata,
};
use edgelay::ids::Cidr;

use crate::support::jail::Jail;

pub(crate) const IMAGE: &str = "docker.io/kubeedge/installation-package:v1.22.0";

/// A running pod with one container.
pub(crate) struct Pod {
    id: String,
    pub(crate) container: String,
    pub(crate) address: String,
}

/// Starts it; its container says "it works" and sleeps.
pub(crate) fn start(jail: &Jail) -> Pod {
    let pod = PodSandboxConfig {
        metadata: PodSandboxMetadata { name: "smoke".into(), uid: "1".into(), namespace: "default".into(), attempt: 0 },
        hostname: "smoke".into(),
        log_directory: "/var/log/pods/smoke".into(),
        linux: LinuxPodSandboxConfig { cgroup_parent: "/smoke".into(), ..Default::default() },
        ..Default::default()
    };
    let container = ContainerConfig {
        metadata: ContainerMetadata { name: "sh".into(), attempt: 0 },
        image: ImageSpec { image: IMAGE.into(), annotations: edgelay::sorted::Map::new() },
        command: ["/bin/sh", "-c", "echo it works; exec sleep 1000"].map(str::to_owned).to_vec(),
        log_path: "sh.log".into(),
        ..Default::default()
    };
    let mut client = jail.client();
    let mut cri = client.cri();
    let id = cri.run_pod(pod.clone()).unwrap();
    let container = cri.create_container(&id, container, pod).unwrap();
    cri.start_container(&container).unwrap();
    let address = cri.pod_status(&id).unwrap().network.ip;
    Pod { id, container, address }
}

impl Pod {
    /// What a program in it says; it must succeed.
    pub(crate) fn exec(&self, jail: &Jail, cmd: &[&str]) -> String {
        let done = jail.client().cri().exec(&self.container, cmd, Duration::from_secs(20)).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(done.exit_code, 0, "{cmd:?}: {}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }

    /// Ends it and leaves nothing.
    pub(crate) fn end(self, jail: &Jail) {
        let mut client = jail.client();
        let mut cri = client.cri();
        cri.stop_pod(&self.id).unwrap();
        cri.remove_pod(&self.id).unwrap();
    }

    /// Address, route, gateway, masquerade rule, log: all that a pod has of its node.
    pub(crate) fn works(&self, jail: &Jail, pods: &str) {
        let range: Cidr = pods.parse().unwrap();
        assert!(range.contains(self.address.parse().unwrap()), "{} in {pods}", self.address);
        let routes = self.exec(jail, &["/bin/busybox", "ip", "route"]);
        let gateway = routes.split_whitespace().skip_while(|word| *word != "via").nth(1);
        let gateway = gateway.unwrap_or_else(|| panic!("no default route in {routes}"));
        assert!(routes.starts_with("default via"), "{routes}");
        self.exec(jail, &["/bin/busybox", "ping", "-c", "1", "-W", "5", gateway]);
        let rules = jail.sh("iptables -t nat -S").good();
        let source = format!("-s {}/32", self.address);
        assert!(rules.contains("-j MASQUERADE") && rules.contains(&source), "{rules}");
        assert_eq!(self.exec(jail, &["/bin/busybox", "hostname"]), "smoke\n");
        let log = jail.root().join("var/log/pods/smoke/sh.log");
        let start = Instant::now();
        while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("stdout F it works\n")) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", log.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
