//! The scripts under tools/ that judge binaries must be able to say no.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::support::source::project;

fn tool(name: &str, arguments: &[&Path]) -> Output {
    Command::new(project().join("tools").join(name)).args(arguments).output().unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "accepted: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_dynamic_binary_is_not_static() {
    let ours = std::env::current_exe().unwrap(); // the host toolchain's test binary needs an interpreter
    let said = complaint(&tool("check-static", &[&ours]));
    assert!(said.contains("is not static") && said.contains("INTERP") && said.contains("(NEEDED)"), "{said}");
    let said = complaint(&tool("check-static", &[&project().join("Cargo.toml")]));
    assert!(said.contains("is not an ELF file"), "{said}");
}

#[test]
fn a_release_that_breaks_its_promise_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::copy(std::env::current_exe().unwrap(), file("x-linux-amd64")).unwrap();
    assert!(complaint(&tool("check-dist", &[&file("x-linux-amd64")])).contains("is not static"));
    assert!(complaint(&tool("check-dist", &[&file("x")])).contains("names no architecture"));
    for (flaw, wanted) in [
        (Flaw::Machine, "is not for AArch64"),
        (Flaw::Size, "bytes, the budget is "),
        (Flaw::Path, "holds a path of this machine"),
    ] {
        let path = file(if flaw == Flaw::Machine { "y-linux-arm64" } else { "y-linux-amd64" });
        fs::write(&path, flawed_elf(flaw)).unwrap();
        let said = complaint(&tool("check-dist", &[&path]));
        assert!(said.contains(wanted), "want '{wanted}' in: {said}");
    }
}

#[test]
fn a_package_with_another_digest_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, dest) = (dir.path().join("folder"), dir.path().join("dest"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.deb"), "abc").unwrap();
    let fetch = |sum: &str| {
        let mut command = Command::new(project().join("tools/fetch-deb"));
        // no mirror has this path, so only the folder can serve it
        command.args(["pool/none/such/a.deb", sum]).arg(&dest).env("MUSL_STD_DEBS", &folder).output().unwrap()
    };
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4, "abc"
    assert!(fetch(of_abc).status.success());
    assert_eq!(fs::read(&dest).unwrap(), b"abc");
    fs::remove_file(&dest).unwrap();
    assert!(complaint(&fetch(&of_abc.replace('b', "0"))).contains("MUSL_STD_DEBS"));
    assert!(!dest.exists());
}

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    Machine,
    Size,
    Path,
}

/// The smallest thing that readelf takes for a static x86-64 program: a header and no segments.
fn flawed_elf(flaw: Flaw) -> Vec<u8> {
    let mut elf = vec![0u8; 64];
    elf[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf[16] = 2; // ET_EXEC
    elf[18] = 62; // EM_X86_64
    elf[20] = 1; // EV_CURRENT
    elf[52] = 64; // e_ehsize
    match flaw {
        Flaw::Machine => {}
        Flaw::Size => elf.resize(2 << 20, 0),
        Flaw::Path => elf.extend(project().join("src/main.rs").to_str().unwrap().bytes()),
    }
    elf
}
