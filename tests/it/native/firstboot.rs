//! First boots without systemd: where the configuration is looked for, and a whole one under OpenRC.

#[cfg(feature = "crash-points")]
mod cuts;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::openrc::until;
use super::{Cloud, is_green};
use crate::box_firstboot::on_disk;
use crate::support::bed::run;
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
