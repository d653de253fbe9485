//! `edgelay initramfs create`, as a person runs it.

use std::process::{Command, Stdio};

use edgelay::ids::Arch;

use crate::support::bed::run;
use crate::support::bundles::program;

/// Each image as it is when nobody else is at work in the directory.
#[test]
fn images_made_at_once_in_one_directory_do_not_disturb_each_other() {
    let (dir, apart) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let create = |n: u8, dir: &std::path::Path| {
        let mut bytes = program(Arch::Arm64, "edgelay");
        // Not all alike, so that packing takes its time.
        bytes.extend((0..3_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761 + u32::from(n)).to_be_bytes()[1]));
        let binary = apart.path().join(format!("program-{n}"));
        std::fs::write(&binary, bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgelay"));
        command.args(["initramfs", "create", "--arch", "arm64", "--kernel-modules", "none", "--binary"]).arg(binary);
        command.arg("-o").arg(dir.join(format!("{n}.img")));
        command
    };
    let begun: Vec<_> = (0..4).map(|n| create(n, dir.path()).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in begun {
        assert!(child.wait().unwrap().success());
    }
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "something is left: {names:?}");
    for n in 0..4 {
        run(&mut create(n, apart.path())).good();
        let read = |dir: &std::path::Path| std::fs::read(dir.join(format!("{n}.img"))).unwrap();
        assert!(read(dir.path()) == read(apart.path()), "image {n} is not what it should be");
    }
}
