//! The program itself trips: what it says, and how it ends. All kinds of faults: src/sys/fault.rs.

use std::process::Command;

use super::support::source::project;

#[test]
#[cfg(target_arch = "x86_64")]
fn the_program_tells_where_it_tripped() {
    let trip = |args: &[&str]| {
        let mut command = Command::new(project().join("tests/trip"));
        let ended = command.arg(env!("CARGO_BIN_EXE_edgelay")).args(args).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap())
    };
    for args in [&["version"][..], &["edge", "install", "--bundle", "/no/such"]] {
        let (code, out, said) = trip(args);
        assert_eq!(code, Some(1), "{said}");
        let place = out.lines().find(|line| line.starts_with("0x")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let head = format!("error: a defect of edgelay {version} linux/amd64: SIGILL at {place}, called from 0x");
        assert!(said.starts_with(&head), "{head} in {said}");
        assert!(
            said.ends_with("\nhint: report the line above; run the same command again: finished steps are skipped\n")
        );
    }
}

/// Without a stack for the handler and without memory nothing can be told, but both are there before all else.
#[test]
fn the_program_tells_what_it_lacks() {
    let limited = |limit: &str| {
        let line = format!("ulimit {limit}; exec \"$0\" help");
        let ended =
            Command::new("bash").args(["-c", &line, env!("CARGO_BIN_EXE_edgelay")]).env_clear().output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let full = (20..64).map(|kib| limited(&format!("-s {kib}"))).find(|(code, _)| *code == Some(1));
    let (_, said) = full.unwrap();
    assert!(said.contains(": SIGSEGV at 0x") && said.contains(", the stack is full"), "{said}");
}
