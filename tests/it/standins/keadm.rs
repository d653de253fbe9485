//! standin-keadm, as far as it can be run without writing to the machine. The rest is tried in a box.

use std::process::Command;

use super::program;

/// Exit code and last line of stderr.
fn keadm(args: &[&str]) -> (i32, String) {
    let done = Command::new(program("standin-keadm")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code().unwrap(), said.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn what_the_real_one_does_not_know_is_refused() {
    for (args, why) in [
        (&["join", "--with-mqtt=false"][..], "Error: unknown flag: --with-mqtt"),
        (&["join", "--runtimetype=remote"], "Error: unknown flag: --runtimetype"),
        (&["join", "-z"], "Error: unknown shorthand flag: 'z' in -z"),
        (&["install"], "Run 'keadm --help' for usage."),
        (&["version", "-o", "xml"], "Error: invalid output format: xml"),
    ] {
        assert_eq!(keadm(args), (1, why.to_owned()), "{args:?}");
    }
}

#[test]
fn version_is_the_one_stood_in_for() {
    let done = Command::new(program("standin-keadm")).args(["version", "-o", "short"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "v1.22.0\n");
}

#[test]
fn without_bash_it_takes_edgecore_for_running() {
    // sic: nobody sets the exit code that the real one looks at
    let mut keadm = Command::new(program("standin-keadm"));
    let done = keadm.args(["join", "-e", "127.0.0.1:1"]).env("PATH", "/nonexistent").output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    let last = "Error: EdgeCore is already running on this node, please run reset to clean up first";
    assert_eq!(said.lines().last(), Some(last));
}
