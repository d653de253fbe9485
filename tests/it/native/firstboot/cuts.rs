//! A first boot that is cut on its way to a node, on a machine that runs.
//!
//! Of its durable writes, some two hundred, every [`STRIDE`]-th is cut; with `EDGELAY_TEST_CUTS=N` every N-th. The
//! end of a first boot is cut everywhere by a test of its own (src/mode/firstboot/cuts.rs).

use super::result;
use crate::crash::{AT, DIR, VERB};
use crate::native::{Cloud, is_green};
use crate::support::bed::Ended;
use crate::support::jail::Jail;

const STRIDE: usize = 40;

/// What the boot found, with a configuration and a token beside it; and back to that.
const KEEP: &str = "set -e; rc-service edgelay-firstboot stop; rm /var/lib/edgelay/firstboot.json
    tar -C / -cpf /root/before.tar boot var/lib/edgelay etc/init.d etc/runlevels $(cd / && ls -d etc/systemd 2>/dev/null)";
const BACK: &str = "set -e; [ ! -e /etc/init.d/edgecore ] || rc-service edgecore stop
    rm -rf /etc/kubeedge /var/lib/kubeedge /var/lib/kubelet /usr/local/bin/edgecore /etc/init.d/edgecore
    rm -rf /etc/runlevels/default/edgecore /var/lib/edgelay /boot/edgelay; tar -C / -xpf /root/before.tar";

/// One try, by this very program, which can be cut.
fn try_once(jail: &Jail, at: Option<usize>) -> Ended {
    let (dir, verb) = (format!("{DIR}=/"), format!("{VERB}=firstboot"));
    let at = at.map(|at| format!("{AT}={at}"));
    let env: Vec<&str> = ["env", &dir, &verb].into_iter().chain(at.as_deref()).collect();
    let mut ended =
        jail.run(&[&env[..], &["/root/it", "--exact", "crash::child", "--ignored", "--nocapture"]].concat());
    // Its verdict is not one of this run.
    ended.out = ended.out.lines().map(|line| format!("| {line}\n")).collect();
    ended
}

pub(super) fn cut_anywhere_it_becomes_the_same_node(jail: &Jail, cloud: &Cloud) {
    /// Ended by a signal.
    const CUT: i32 = -1;
    jail.put(&std::env::current_exe().unwrap(), "root/it");
    jail.sh(KEEP).good();
    let token = cloud.mint("good");
    let config = r#"{"node": {"name": "edge-1", "ip": "10.77.0.2"}}"#;
    let give = format!(
        "mkdir /boot/edgelay; echo '{token}' >/boot/edgelay/token; echo '{config}' >/boot/edgelay/edgelay.json"
    );
    let stride = std::env::var("EDGELAY_TEST_CUTS").map_or(STRIDE, |text| text.parse().unwrap());
    let mut at = stride / 2;
    loop {
        jail.sh(BACK).good();
        jail.sh(&give).good();
        let cut = try_once(jail, Some(at));
        assert!([0, CUT].contains(&cut.code), "cut {at}: {}", cut.said());
        if cut.code == 0 {
            break;
        }
        let again = try_once(jail, None);
        assert_eq!(again.code, 0, "the try after cut {at}: {}", again.said());
        let done = result(jail);
        assert_eq!((&done["state"], &done["node"]), (&"done".into(), &"edge-1".into()), "after cut {at}: {done}");
        is_green(jail);
        let left = jail.sh(&format!(
            "grep -rlFs '{token}' /etc /var /run /usr/local /boot; ls /var/lib/edgelay/first-boot /etc/init.d/edgelay-firstboot; \
             find /etc /var/lib/edgelay /usr/local /boot /run/edgelay -name '*.edgelay-new'"
        ));
        assert_eq!(left.out, "", "after cut {at}");
        at += stride;
    }
    assert!(at > 2 * stride, "only {at} crash points were reached");
    jail.sh(BACK).good();
    jail.sh("rc-service edgelay-firstboot start").good();
}
