//! The real program: what it says where, and how it exits.

use std::process::{Command, Output};

/// The program with an empty environment.
fn edgelay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgelay"));
    command.env_clear().args(args);
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    said(edgelay(args).output().unwrap())
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn data_goes_to_stdout_and_complaints_to_stderr() {
    let (code, out, err) = run(&["version", "-o", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let version: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&version["schema"], &version["version"]), (&1.into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(run(&["--version"]), run(&["version"]));

    for (args, what, hint) in [
        (&[][..], "no command is given", "'edgelay help' lists the commands"),
        (&["verison"], "unknown command 'verison'", "did you mean 'version'?"),
        (&["version", "--ouptut", "json"], "unknown flag '--ouptut'", "did you mean '--output'?"),
        (&["version", "x"], "'version' does not take 'x'", "write 'edgelay version'"),
        (&["version", "-o", "yaml"], "flag '--output' does not take 'yaml'", "give one of text, json"),
        (&["version", "-o", "json", "-o", "text"], "flag '--output' is given twice", ""),
        (&["completion", "-o", "json", "bash"], "'completion' has no flag '--output'", "leave it out; it belongs to"),
        (&["version", "-v", "-q"], "flags '--verbose' and '--quiet' exclude each other", "give one of them"),
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}") };
        assert!(err.starts_with(&format!("error: {what}\n{hint}")), "{args:?}: {err}");
        assert!(err.lines().count() <= 2, "{err}");
    }
}

#[test]
fn an_error_is_one_json_line_where_that_was_asked_for() {
    for args in [&["--log-format", "json", "verison"][..], &["--log-format=json", "--zzz"]] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
        let event: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!((&event["event"], &event["exit_code"]), (&"error".into(), &2.into()));
    }
}

#[test]
fn help_comes_in_every_way_people_ask() {
    for args in [&["help"][..], &["--help"], &["-h"]] {
        let (code, out, err) = run(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(out.contains("\nCommands:\n"), "{out}");
    }
    let one = run(&["help", "version"]);
    assert!(one.1.starts_with("Usage: edgelay version [FLAGS]\n"), "{}", one.1);
    assert_eq!(one, run(&["version", "--help"]));
    assert_eq!(one, run(&["version", "-h", "needless"]));
    assert!(run(&["help", "exit-codes"]).1.contains("21  cannot be done now"));
    assert_eq!(run(&["help", "verison"]).0, 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let script = format!("{{ sleep 0.2; {}  help; echo $? >&2; }} | true", env!("CARGO_BIN_EXE_edgelay"));
    let (_, _, err) = said(Command::new("sh").args(["-c", &script]).output().unwrap());
    assert_eq!(err, "0\n");
    // Anything else that keeps the data from its reader is one.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, _, err) = said(edgelay(&["help"]).stdout(full).output().unwrap());
    assert_eq!((code, err.as_str()), (6, "error: write to stdout: No space left on device (os error 28)\n"));
}

#[test]
fn bash_accepts_the_completion_script() {
    let (code, script, _) = run(&["completion", "bash"]);
    assert_eq!(code, 0);
    let ask = format!(
        "{script}\nCOMP_WORDS=(edgelay ver); COMP_CWORD=1; _edgelay; echo \"${{COMPREPLY[*]}}\"\n\
         COMP_WORDS=(edgelay version --o); COMP_CWORD=2; _edgelay; echo \"${{COMPREPLY[*]}}\"\n\
         COMP_WORDS=(edgelay version --output ''); COMP_CWORD=3; _edgelay; echo \"${{COMPREPLY[*]}}\"\n"
    );
    let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(said(output), (0, "version\n--output\ntext json\n".to_owned(), String::new()));
}
