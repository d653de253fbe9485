//! Systems that do not run are staged with their images, by a real containerd of this machine, and sealed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use edgelay::clock::SystemClock;
use edgelay::containerd::import::{CRI_NAMESPACE, State};
use edgelay::ids::Arch;
use edgelay::mode::{self, bundle::Format, image::Place};

use crate::support::bed::{Ended, run};
use crate::support::bundles::{Inputs, program};
use crate::support::daemon::{Daemon, Disk};
use crate::support::peers::peers_as_root;

/// The bundles' containerd is 2.1.4: this one may fill its store, and the 2.1 of the peers is newer.
const OLDER: &str = "1.7";
const NEWER: &str = "2.1";

struct Line {
    dir: tempfile::TempDir,
    peers: PathBuf,
}

impl Line {
    fn start(test: &str) -> Option<Line> {
        let peers = peers_as_root(test)?;
        let line = Line { dir: tempfile::tempdir().unwrap(), peers };
        for arch in [Arch::Amd64, Arch::Arm64] {
            let inputs = Inputs::new(&line.path(&format!("inputs-{arch}")), arch);
            let bundle = line.path(arch.as_str());
            mode::bundle::create(&inputs.request(), &bundle, Format::Text, &mut std::io::sink()).unwrap();
            std::fs::write(line.path(&format!("edgelay-{arch}")), program(arch, "edgelay")).unwrap();
        }
        Some(line)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A line of bash in mount and process namespaces of its own, with `/run` of its own; in it `$T` is the target
    /// `name`, with a disk for the images mounted in it, and `stage` stages `arch`.
    fn command(&self, name: &str, arch: Arch, line: &str) -> Command {
        let (target, disk) = (self.path(name), self.path(&format!("{name}.img")));
        std::fs::create_dir_all(target.join("var/lib/containerd")).unwrap();
        if !disk.exists() {
            std::fs::File::create(&disk).unwrap().set_len(96 << 20).unwrap();
            run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=1"]).arg(&disk)).good();
        }
        let all = format!(
            r#"set -euo pipefail
            mount -t tmpfs tmpfs /run; mount -o loop {disk} {target}/var/lib/containerd
            T={target}; B={dir}/{arch}
            stage() {{ {edgelay} edge stage --root "$T" --bundle "$B" --edgelay {dir}/edgelay-{arch} --ignore-check all --progress none \
                --line-containerd {peers}/{OLDER}/usr/bin "$@"; }}
            seal() {{ {edgelay} factory seal --root "$T" "$@"; }}
            {line}"#,
            disk = disk.display(),
            target = target.display(),
            dir = self.dir.path().display(),
            edgelay = env!("CARGO_BIN_EXE_edgelay"),
            peers = self.peers.display(),
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "-p", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "bash", "-c"]);
        command.arg(all).stdin(Stdio::null());
        command
    }

    fn sh(&self, name: &str, arch: Arch, line: &str) -> Ended {
        run(&mut self.command(name, arch, line))
    }
}

/// Everything about every file but what containerd's databases hold, and access times.
const LISTING: &str = r#"cd "$T"; find . -path ./var/lib/containerd/lost+found -prune -o -printf '%p %y %m %U:%G %T@ %l\n' | sort
    find . -type f ! -name '*.db' -exec sha256sum {} + | sort -k2; find . -name 'lock*' -o -name '*.log'"#;

#[test]
fn ten_targets_at_once_hold_their_images_and_are_alike() {
    const TEST: &str = "ten_targets_at_once_hold_their_images_and_are_alike";
    let Some(line) = Line::start(TEST) else { return };
    let arch = |n: usize| if n.is_multiple_of(2) { Arch::Arm64 } else { Arch::Amd64 };
    let begun: Vec<_> = (0..10)
        .map(|n| {
            let all = format!("stage; test ! -e /run/edgelay; {LISTING}");
            let mut command = line.command(&format!("t{n}"), arch(n), &all);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let done: Vec<_> = begun.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for (n, output) in done.iter().enumerate() {
        assert!(output.status.success(), "{n}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let listing = |n: usize| String::from_utf8_lossy(&done[n].stdout).into_owned();
    for n in 2..10 {
        let (one, other) = (listing(n % 2), listing(n));
        let differ: Vec<_> = one.lines().zip(other.lines()).filter(|(a, b)| a != b).collect();
        assert!(one == other, "{n}: {differ:?}");
    }
    assert!(!listing(0).contains("/lock") && !listing(0).contains("introspection"), "{}", listing(0));

    // The target's own containerd, with CRI: all there, unpacked, pinned, and trusted without another look.
    for n in [0, 1] {
        let disk = Disk::Image(line.path(&format!("t{n}.img")));
        let daemon = Daemon::start_on(TEST, OLDER, disk).unwrap();
        let clock = SystemClock::default();
        let place = Place { socket: daemon.socket(), namespace: CRI_NAMESPACE.parse().unwrap(), clock: &clock };
        let images = mode::image::list(&place).unwrap();
        assert_eq!(images.len(), 2, "{images:?}");
        assert!(images.iter().all(|image| image.pinned && image.state == State::Whole), "{images:?}");
    }
}

#[test]
fn the_same_work_makes_the_same_sealed_image_at_another_time() {
    let Some(line) = Line::start("the_same_work_makes_the_same_sealed_image_at_another_time") else { return };
    for (arch, board) in [(Arch::Arm64, "raspberry-pi-4"), (Arch::Amd64, "generic-amd64")] {
        for images in ["now", "first-boot"] {
            let boot = r#"mkdir -p "$T/boot/firmware"; echo 'console=tty1 rootwait' >"$T/boot/firmware/cmdline.txt""#;
            let settle = r#"touch -d @1 "$T/boot/firmware" "$T/boot/firmware/cmdline.txt" "$T/boot""#;
            let script = |from: &str| {
                format!(
                    r#"{boot}; {settle}; {from} stage --images {images} --board-profile {board} >/dev/null
                    seal --clean -o json | sed 's/"sealed":"[^"]*"//'; {LISTING}"#
                )
            };
            let one = line.sh(&format!("{arch}-{images}-a"), arch, &script("")).good();
            std::thread::sleep(std::time::Duration::from_millis(1100));
            // Out of a pipe this time, which must not make a difference.
            let pipe = format!(r#"B=-; cat {}/{arch} |"#, show(&line));
            let other = line.sh(&format!("{arch}-{images}-b"), arch, &script(&pipe)).good();
            let differ: Vec<_> = one.lines().zip(other.lines()).filter(|(a, b)| a != b).collect();
            assert!(one == other, "{arch}, {images}: {differ:?}");
            assert!(one.contains("/var/lib/edgelay/first-boot f "), "{one}");
            assert_eq!(one.contains("/edge.bundle"), images == "first-boot", "{one}");
            assert_eq!(one.contains("cmdline.txt.edgelay-saved"), arch == Arch::Arm64, "{one}");
        }
    }
}

#[test]
fn staging_goes_on_and_sealing_comes_after() {
    let Some(line) = Line::start("staging_goes_on_and_sealing_comes_after") else { return };
    let arm = Arch::Arm64;
    line.sh("a", arm, "seal").fails(11, "no edge node is installed here");
    let staged = line.sh("a", arm, "stage; if stage 2>&1 | grep -E '^\\[.* done '; then exit 9; fi");
    assert!(staged.said().contains("after 'edgelay factory seal' it becomes a node"), "{}", staged.said());
    staged.good();
    // A machine's own traces, one of each kind that may go.
    let used = r#"put() { mkdir -p "$(dirname "$T/$1")"; echo "${2:-x}" >"$T/$1"; }
        for f in etc/ssh/ssh_host_rsa_key var/lib/dhcp/dhclient.leases var/log/syslog var/log/journal/0123/system.journal \
            var/lib/systemd/random-seed root/.bash_history etc/kubeedge/certs/server.crt var/lib/kubeedge/edgecore.db \
            var/lib/containerd/io.containerd.grpc.v1.introspection/uuid; do put "$f"; done
        put etc/machine-id 0123456789abcdef0123456789abcdef"#;
    let named = "certificates, edgecore-db, history, journald, leases, logs, machine-id, random-seed, ssh-host-keys";
    line.sh("a", arm, &format!("{used}; seal")).fails(4, &format!("not fit for being copied: {named}"));
    line.sh("a", arm, "test -e \"$T/etc/ssh/ssh_host_rsa_key\" && ! test -e \"$T/var/lib/edgelay/first-boot\"").good();
    // What a person must decide stops it before anything is touched.
    let key = r#"mkdir -p "$T/root/.ssh"; echo k >"$T/root/.ssh/id_rsa"; seal --clean"#;
    line.sh("a", arm, key).fails(4, "private-keys");
    line.sh("a", arm, "test -e \"$T/etc/ssh/ssh_host_rsa_key\"; rm \"$T/root/.ssh/id_rsa\"").good();
    let sealed = line.sh(
        "a",
        arm,
        r#"seal --clean; cd "$T"; test -e etc/machine-id; test ! -s etc/machine-id; test ! -e etc/ssh/ssh_host_rsa_key
        test ! -e var/lib/containerd/io.containerd.grpc.v1.introspection; test -s var/lib/edgelay/first-boot
        test ! -e var/lib/edgelay/lock; grep -qx 'disable \*' etc/systemd/system-preset/00-edgelay.preset; seal -o json"#,
    );
    assert!(sealed.clone().good().contains("\"images_are\":\"stored\""), "{}", sealed.said());
    let named = r#"stage --node-name edge-1 --node-ip 10.0.0.7; seal --clean"#;
    line.sh("b", arm, named).fails(4, "not fit for being copied: node-ip, node-name");
}

#[test]
fn a_target_without_room_is_told_and_goes_on_when_there_is_some() {
    let Some(line) = Line::start("a_target_without_room_is_told_and_goes_on_when_there_is_some") else { return };
    let script = format!(
        r#"D="$T/var/lib/containerd"; dd if=/dev/zero of="$D/balloon" bs=64K 2>/dev/null || true; sync
        code=0; stage 2>/run/said || code=$?; cat /run/said; test $code = 6; if pgrep -xl containerd; then exit 9; fi
        rm "$D/balloon"; stage; {} status --root "$T"; seal --clean"#,
        env!("CARGO_BIN_EXE_edgelay"),
    );
    let said = line.sh("full", Arch::Arm64, &script).good();
    assert!(
        said.to_ascii_lowercase().contains("no space left on device") && said.contains("hint: free space"),
        "{said}"
    );
}

/// What is a board's own disk to it, such as `/data`, is no place of this machine.
#[test]
fn links_of_a_target_lead_to_where_they_lead_in_it() {
    let Some(line) = Line::start("links_of_a_target_lead_to_where_they_lead_in_it") else { return };
    let script = |images: &str| {
        format!(
            r#"mkdir -p "$T/edgelay-data/edgelay"; umount "$T/var/lib/containerd"; rmdir "$T/var/lib/containerd"
            mkdir "$T/edgelay-data/store"; mount -o loop "$T.img" "$T/edgelay-data/store"
            ln -s /edgelay-data/store "$T/var/lib/containerd"; ln -s /edgelay-data/edgelay "$T/var/lib/edgelay"
            ln -s ../../../../../edgelay-data "$T/var/log"; ln -s /edgelay-data/bin "$T/usr"
            stage --images {images}; {edgelay} status --root "$T"; seal --clean
            test ! -e /edgelay-data; ls "$T/edgelay-data" "$T/edgelay-data/store"
            {edgelay} edge uninstall --root "$T" --yes; test -L "$T/var/lib/containerd"; test ! -e /edgelay-data"#,
            edgelay = env!("CARGO_BIN_EXE_edgelay"),
        )
    };
    let said = line.sh("now", Arch::Arm64, &script("now")).good();
    assert!(said.contains("io.containerd.metadata.v1.bolt"), "{said}");
    let said = line.sh("later", Arch::Arm64, &script("first-boot")).good();
    assert!(!said.contains("io.containerd.metadata.v1.bolt"), "{said}");
}

const GATE: &str = r#"{"schema": 1, "id": "acme-gate", "name": "Acme Gate", "base": "generic-arm64", "architecture": "arm64",
    "storage": {"containerd_root": "/var/lib/containerd/images"}}"#;

#[test]
fn a_board_decides_where_the_images_lie() {
    let Some(line) = Line::start("a_board_decides_where_the_images_lie") else { return };
    let arm = Arch::Arm64;
    std::fs::create_dir(line.path("profiles")).unwrap();
    std::fs::write(line.path("profiles/acme-gate.json"), GATE).unwrap();
    let script = format!(
        r#"gate() {{ stage --board-profile acme-gate --board-profiles {dir}/profiles "$@"; }}
        at() {{ grep -qx "root = \"/$1\"" "$T/etc/containerd/config.toml"; test -s "$T/$1/io.containerd.metadata.v1.bolt/meta.db"; }}
        gate --dry-run >/run/plan; grep -F '(in /var/lib/containerd/images)' /run/plan
        gate; at var/lib/containerd/images; test ! -e "$T/var/lib/containerd/io.containerd.metadata.v1.bolt"
        if gate 2>&1 | grep -E '^\[.* done '; then exit 9; fi
        {edgelay} status --root "$T"
        code=0; gate --containerd-root /opt/images || code=$?; test $code = 3
        mkdir -p "$T/var/lib/containerd/images/io.containerd.grpc.v1.cri/sandboxes/x"
        echo pod >"$T/var/lib/containerd/images/io.containerd.grpc.v1.cri/sandboxes/x/status"
        code=0; seal --clean || code=$?; test $code = 4
        rm -r "$T/var/lib/containerd/images/io.containerd.grpc.v1.cri"
        seal --clean -o json; test ! -e "$T/var/lib/containerd/images/io.containerd.grpc.v1.introspection"
        {edgelay} edge uninstall --root "$T" --yes; test ! -e "$T/var/lib/containerd/images"
        # What is set stands above the profile.
        gate --containerd-root /var/lib/containerd; at var/lib/containerd"#,
        dir = show(&line),
        edgelay = env!("CARGO_BIN_EXE_edgelay"),
    );
    let said = line.sh("gate", arm, &script).good();
    let board = r#""board":{"profile":"acme-gate","name":"Acme Gate","containerd_root":"/var/lib/containerd/images"}"#;
    assert!(said.contains(board), "{said}");
}

#[test]
fn a_containerd_that_must_not_touch_the_store_does_not() {
    let Some(line) = Line::start("a_containerd_that_must_not_touch_the_store_does_not") else { return };
    let edgelay = env!("CARGO_BIN_EXE_edgelay");
    let try_with = |dir: &str| {
        let flags = format!("--ignore-check all --edgelay {}/edgelay-arm64", line.dir.path().display());
        line.sh(
            "a",
            Arch::Arm64,
            &format!("{edgelay} edge stage --root $T --bundle $B {flags} --line-containerd {dir}"),
        )
    };
    try_with(&format!("{}/{NEWER}/usr/bin", line.peers.display())).fails(6, "which is newer");
    try_with("/none").fails(6, "'/none/containerd' does not run here");
    line.sh("a", Arch::Arm64, "test -z \"$(ls \"$T/var/lib/containerd\" | grep -v lost+found)\"").good();
}

/// A containerd that takes its time: there is always a moment in which to stop.
const SLOW: &str = r#"#!/bin/sh
case $1 in --version) ;; *) touch /run/begun; sleep 5 ;; esac
exec OLDER "$@"
"#;

#[test]
fn stopped_or_killed_it_leaves_no_containerd_and_converges() {
    let Some(line) = Line::start("stopped_or_killed_it_leaves_no_containerd_and_converges") else { return };
    let slow = line.path("slow");
    std::fs::create_dir(&slow).unwrap();
    let real = line.peers.join(OLDER).join("usr/bin/containerd").display().to_string();
    std::fs::write(slow.join("containerd"), SLOW.replace("OLDER", &real)).unwrap();
    std::fs::set_permissions(slow.join("containerd"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (signal, code) in [("TERM", 10), ("KILL", 137)] {
        let script = format!(
            r#"{edgelay} edge stage --root $T --bundle $B --edgelay {dir}/edgelay-arm64 --ignore-check all --line-containerd {slow} & p=$!
            until [ -e /run/begun ]; do sleep 0.05; done
            kill -{signal} $p; code=0; wait $p || code=$?; test $code = {code}
            for i in $(seq 100); do pgrep -x containerd >/dev/null || break; sleep 0.1; done
            if pgrep -xl containerd; then exit 9; fi
            stage; test ! -e /run/edgelay; {edgelay} status --root $T"#,
            edgelay = env!("CARGO_BIN_EXE_edgelay"),
            dir = line.dir.path().display(),
            slow = slow.display(),
        );
        line.sh(&format!("t{code}"), Arch::Arm64, &script).good();
    }
}

#[test]
fn a_bundle_is_left_for_the_first_boot_whole_or_not_at_all() {
    let Some(line) = Line::start("a_bundle_is_left_for_the_first_boot_whole_or_not_at_all") else { return };
    let arm = Arch::Arm64;
    let kept = "var/lib/edgelay/edge.bundle";
    let script = format!(
        r#"stage --images first-boot; cmp "$B" "$T/{kept}"; if stage --images first-boot 2>&1 | grep -E '^\[.* done '; then exit 9; fi
        stage; test ! -e "$T/{kept}""#
    );
    line.sh("file", arm, &script).good();
    let script = format!(
        r#"B=- ; cat {}/arm64 | stage --images first-boot; cmp {}/arm64 "$T/{kept}""#,
        show(&line),
        show(&line)
    );
    line.sh("pipe", arm, &script).good();
    let whole = std::fs::read(line.path("arm64")).unwrap();
    let at = whole.len() / 2;
    let damaged: Vec<u8> = whole.iter().enumerate().map(|(n, byte)| if n == at { byte ^ 1 } else { *byte }).collect();
    std::fs::write(line.path("damaged"), damaged).unwrap();
    let script = format!(
        r#"B={}/damaged; code=0; stage --images first-boot || code=$?; ls "$T/var/lib/edgelay"; exit $code"#,
        show(&line)
    );
    let ended = line.sh("damaged-target", arm, &script);
    assert!(!ended.out.contains("edge.bundle"), "{}", ended.said());
    ended.fails(5, "damaged");
}

fn show(line: &Line) -> String {
    let dir: &Path = line.dir.path();
    dir.display().to_string()
}
