//! First boots without systemd: where the configuration is looked for, and a whole one under OpenRC.

#[cfg(feature = "crash-points")]
mod cuts;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::openrc::until;
use super::{Cloud, create_bundle, is_green};
use crate::box_firstboot::on_disk;
use crate::standins::program;
use crate::support::bed::{make_inputs, run};
use crate::support::jail::Jail;

/// A small disk with a labelled ext4. It is the kernel's only as long as we hold it open.
struct Stick(File);

impl Stick {
    fn new(dir: &Path, label: &str) -> Stick {
        let image = dir.join(format!("{label}.img"));
        File::create(&image).unwrap().set_len(8 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-L", label]).arg(&image)).good();
        let device = run(Command::new("losetup").args(["-f", "--show"]).arg(&image)).good();
        let held = File::open(device.trim()).unwrap();
        run(Command::new("losetup").args(["-d", device.trim()])).good();
        Stick(held)
    }

    /// Puts it into the jail as `/dev/NAME`: what the kernel tells of disks is what we say there.
    fn plug(&self, jail: &Jail, name: &str) {
        let id = self.0.metadata().unwrap().rdev();
        let line = format!(
            "set -e; D=/run/stand-in/{name}; mkdir -p $D /run/block; echo 16384 >$D/size; echo 1 >$D/removable
            ln -s $D /run/block/{name}; mknod /dev/{name} b {} {}
            mountpoint -q /sys/class/block || mount --bind /run/block /sys/class/block",
            id >> 8 & 0xfff,
            id & 0xff
        );
        jail.sh(&line).good();
    }
}

/// A line of bash with the disk `name` mounted where it stands.
fn on_stick(jail: &Jail, name: &str, line: &str) -> String {
    jail.sh(&format!("set -e; mount /dev/{name} /mnt; cd /mnt; {line}; cd /; umount /mnt")).good()
}

#[test]
fn a_configuration_is_found_in_each_place_in_the_order_of_the_page() {
    let Some(jail) = Jail::start("a_configuration_is_found_in_each_place_in_the_order_of_the_page") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let sticks = ["EDGELAY", "CIDATA"].map(|label| Stick::new(scratch.path(), label));
    sticks.iter().zip(["sdy", "sdz"]).for_each(|(stick, name)| stick.plug(&jail, name));
    // Each is as wrong as the other, and is named when it is read.
    jail.sh(
        r#"mkdir -p /var/lib/edgelay /boot/firmware/edgelay /boot/edgelay /etc/edgelay /srv
        echo '{"cloud": {"host": "10.77.0.2"}}' >/var/lib/edgelay/config.json; touch /var/lib/edgelay/{bundle.head,first-boot}
        for f in /boot/{firmware/,}{,edgelay/}edgelay.json /etc/edgelay/edgelay.json /srv/e.json; do echo '{"bad": 1}' >$f; done
        cat /proc/cmdline >/run/cmdline; mount --bind /run/cmdline /proc/cmdline"#,
    )
    .good();
    for name in ["sdy", "sdz"] {
        on_stick(
            &jail,
            name,
            "mkdir edgelay; for f in {,edgelay/,other-}edgelay.json; do echo '{\"bad\": 1}' >$f; done",
        );
    }
    let found_in = |place: &str| {
        let ended = jail.run(&["edgelay", "firstboot", "--once"]);
        let said = ended.said();
        ended.fails(3, &format!("'{place}', line 1, column 2: unknown key 'bad'"));
        let told = std::fs::read_to_string(jail.root().join("var/lib/edgelay/firstboot.json")).unwrap();
        assert!(told.contains(place) && told.contains("\"state\":\"failed\""), "{told}\n{said}");
    };
    let argument = |text: &str| jail.sh(&format!("echo 'quiet {text} ro' >/run/cmdline")).good();
    for (text, place) in [
        ("edgelay.config=/srv/e.json", "/srv/e.json"),
        ("edgelay.config=LABEL=CIDATA", "edgelay.json on /dev/sdz (ext4, label 'CIDATA')"),
        ("edgelay.config=LABEL=EDGELAY:/other-edgelay.json", "other-edgelay.json on /dev/sdy (ext4, label 'EDGELAY')"),
        ("edgelay.config=/dev/sdz:edgelay/edgelay.json", "edgelay/edgelay.json on /dev/sdz (ext4, label 'CIDATA')"),
    ] {
        argument(text);
        found_in(place);
    }
    argument("edgelay.config=/srv/none.json");
    jail.run(&["edgelay", "firstboot", "--once"]).fails(21, "no configuration at '/srv/none.json'");
    argument("");
    for place in [
        "/boot/firmware/edgelay.json",
        "/boot/firmware/edgelay/edgelay.json",
        "/boot/edgelay.json",
        "/boot/edgelay/edgelay.json",
        "/etc/edgelay/edgelay.json",
    ] {
        found_in(place);
        jail.sh(&format!("rm {place}")).good();
    }
    for (name, label) in [("sdy", "EDGELAY"), ("sdz", "CIDATA")] {
        for file in ["edgelay.json", "edgelay/edgelay.json"] {
            found_in(&format!("{file} on /dev/{name} (ext4, label '{label}')"));
            on_stick(&jail, name, &format!("rm {file}"));
        }
    }
    jail.run(&["edgelay", "firstboot", "--once"]).fails(21, "no configuration was found");
    assert_eq!(jail.sh("grep -c /run/edgelay /proc/mounts").out, "0\n", "a medium stays mounted");
    jail.close();
}

fn result(jail: &Jail) -> Value {
    let bytes = std::fs::read(jail.root().join("var/lib/edgelay/firstboot.json")).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[test]
fn a_sealed_image_boots_with_openrc_and_becomes_a_node_once() {
    let staged = |disk: &Path| {
        let line = r#""$EDGELAY" edge stage --root "$T" --bundle "$BUNDLE" --cloud-host 10.77.0.2 --progress none
            "$EDGELAY" factory seal --root "$T" --clean"#;
        on_disk(disk, line).good();
    };
    let test = "a_sealed_image_boots_with_openrc_and_becomes_a_node_once";
    let Some(mut jail) = Jail::with_openrc_on(test, staged) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::start(&jail, &scratch.path().join("cloud"));
    let log = |jail: &Jail| jail.sh("cat /var/log/edgelay/firstboot.log").said();

    // It waits for its configuration, and the boot does not wait for it.
    until(&jail, "grep -q '\"state\":\"failed\"' /var/lib/edgelay/firstboot.json");
    let waiting = result(&jail);
    assert_eq!(waiting["message"], "no configuration was found", "{waiting}\n{}", log(&jail));
    jail.sh("rc-service edgelay-firstboot status").good();

    #[cfg(feature = "crash-points")]
    cuts::cut_anywhere_it_becomes_the_same_node(&jail, &cloud);

    let stick = Stick::new(scratch.path(), "EDGELAY");
    stick.plug(&jail, "sdy");
    let token = cloud.mint("good");
    let config = r#"{"node": {"name": "edge-1", "ip": "10.77.0.2"}}"#;
    on_stick(&jail, "sdy", &format!("echo '{token}' >token; echo '{config}' >edgelay.json"));
    until(
        &jail,
        "grep -q '\"state\":\"done\"' /var/lib/edgelay/firstboot.json && [ ! -e /var/lib/edgelay/first-boot ]",
    );
    let done = result(&jail);
    assert_eq!((&done["node"], &done["token"]), (&"edge-1".into(), &"wiped".into()), "{done}");
    assert_eq!(done["configuration"], "edgelay.json on /dev/sdy (ext4, label 'EDGELAY')", "{done}");
    is_green(&jail);
    assert!(cloud.knows("edge-1"), "{}", log(&jail));
    let left = on_stick(&jail, "sdy", "ls; cat edgelay-edge-1.json");
    assert!(left.starts_with("edgelay-edge-1.json\nedgelay.json\nlost+found\n"), "{left}");
    assert!(left.contains("\"state\":\"done\""), "{left}");

    // Nothing of it is left but its words: no service, no token.
    until(&jail, "! pgrep -f '[e]dgelay firstboot'");
    assert_eq!(jail.sh("ls /etc/init.d /etc/runlevels/* | grep edgelay").out, "");
    let holders = jail.sh(&format!("grep -rlFs '{token}' /etc /var /run /usr/local /boot | cat")).good();
    assert_eq!(holders, "", "the token lies about");
    let said = log(&jail);
    jail.sh("openrc-shutdown --reboot now || true");
    jail.boot_again();
    cloud.follow(&jail);
    is_green(&jail);
    assert_eq!(log(&jail), said, "the first boot was done again");
    assert_eq!(result(&jail), done);
    drop(cloud);
    jail.close();
}

/// What a board's own init does: the root's programs are read-only, and two lines start all that is ours.
const INIT: &str = "set -e; for dir in /usr/local /opt; do mount --bind $dir $dir; mount -o remount,bind,ro $dir; done
    setsid edgelay supervise </dev/null >/dev/null 2>&1 &
    setsid edgelay firstboot --progress none </dev/null >/run/firstboot.log 2>&1 &";

#[test]
fn an_image_with_neither_manager_nor_writable_programs_becomes_a_node() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = scratch.path().join("edge.bundle");
    let staged = |disk: &Path| {
        // EdgeCore as a program of its own: it is staged, too, and nothing is left to be laid down.
        let inputs = make_inputs(&scratch.path().join("inputs"), "1.6", "v1.22.0");
        std::fs::copy(program("standin-edgecore"), inputs.join("components/edgecore")).unwrap();
        create_bundle(&inputs, &bundle);
        let line = format!(
            r#"rm "$T/usr/lib/systemd/systemd"
            "$EDGELAY" edge stage --root "$T" --bundle {} --cloud-host 10.77.0.2 --progress none
            "$EDGELAY" factory seal --root "$T" --clean; ls "$T/etc/edgelay/supervise""#,
            bundle.display()
        );
        let entries = on_disk(disk, &line).good();
        assert!(entries.ends_with("\ncontainerd\n"), "{entries}");
    };
    let test = "an_image_with_neither_manager_nor_writable_programs_becomes_a_node";
    let Some(jail) = Jail::start_on(test, staged) else { return };
    let cloud = Cloud::start(&jail, &scratch.path().join("cloud"));
    let token = cloud.mint("good");
    jail.sh(&format!(
        r#"mkdir -p /boot/edgelay; echo '{token}' >/boot/edgelay/token
        echo '{{"node": {{"name": "edge-1", "ip": "10.77.0.2"}}}}' >/boot/edgelay/edgelay.json"#
    ))
    .good();
    jail.sh(INIT).good();
    let log = || jail.sh("cat /run/firstboot.log; tail -n 30 /var/log/edgelay/*.log").said();
    let done = "grep -q '\"state\":\"done\"' /var/lib/edgelay/firstboot.json && [ ! -e /var/lib/edgelay/first-boot ]";
    let waited = jail.sh(&format!("for i in {{1..1200}}; do {done} && exit 0; sleep 0.1; done; exit 1"));
    assert_eq!(waited.code, 0, "{}\n{}", result(&jail), log());
    assert!(log().contains("without keadm"), "{}", log());
    is_green(&jail);
    assert!(cloud.knows("edge-1"), "{}", log());

    // The machine is switched off and on.
    jail.sh("pkill -9 edgelay; pkill -9 edgecore; pkill -9 containerd; pkill -9 pause; umount /usr/local /opt; rm -rf /run/edgelay /run/containerd/containerd.sock*")
        .good();
    jail.sh(INIT).good();
    is_green(&jail);
    until(&jail, "grep -q 'nothing to do' /run/firstboot.log");
    jail.sh("! touch /usr/local/bin/x").good();
    drop(cloud);
    jail.close();
}
