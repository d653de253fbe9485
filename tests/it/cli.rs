//! The real program: what it says where, and how it exits.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use edgelay::config::{Form, KEYS, Raw};
use edgelay::ids::Arch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::bundles::Inputs;
use crate::support::daemon::{Daemon, wait_until};
use crate::support::images::shapes;

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

/// What `--show-config -o json` says about `path`: value and origin.
fn shown(out: &str, path: &str) -> (serde_json::Value, String) {
    let all: serde_json::Value = serde_json::from_str(out).unwrap();
    let one = &all["settings"][path];
    (one["value"].clone(), format!("{} {}", one["origin"].as_str().unwrap(), one["place"].as_str().unwrap()))
}

/// For each key three different good values: as JSON in the file, in the environment, as a flag.
const VALUES: [(&str, [&str; 3]); 22] = [
    ("cloud.host", [r#""10.0.0.1""#, "10.0.0.2", "10.0.0.3"]),
    ("cloud.websocket_port", ["10", "11", "12"]),
    ("cloud.cert_port", ["20", "21", "22"]),
    ("token_file", [r#""/a""#, "/b", "/c"]),
    ("node.name", [r#""a""#, "b", "c"]),
    ("node.ip", [r#""10.0.0.1""#, "10.0.0.2", "2001:db8::1"]),
    ("node.labels", [r#"{"a":"1"}"#, "b=2", "c=3,d="]),
    ("node.taints", [r#"["a:NoSchedule"]"#, "b:NoExecute", "c=d:NoSchedule,e:NoSchedule"]),
    ("pod_cidr", [r#""10.1.0.0/16""#, "10.2.0.0/16", "10.3.0.0/16"]),
    ("edgemesh", ["false", "true", "false"]),
    ("edge_stream", ["false", "true", "false"]),
    ("mqtt", ["true", "false", "true"]),
    ("containerd", [r#""existing""#, "managed", "existing"]),
    ("containerd_address", [r#""/a.sock""#, "/b.sock", "/c.sock"]),
    ("containerd_root", [r#""/a/b""#, "/b", "/c"]),
    ("join.method", [r#""keadm""#, "native", "auto"]),
    ("join_timeout", [r#""5m""#, "2m", "1h"]),
    ("board.profile", [r#""rk3588""#, "rk3568", "generic-arm64"]),
    ("board.profiles", [r#""/a""#, "/b", "/c"]),
    ("board.kernel_arguments", ["false", "true", "false"]),
    ("board.reboot", [r#""once""#, "never", "once"]),
    ("clock_wait", [r#""5m""#, "2m", "1h"]),
];

/// A text value as the JSON output has it.
fn as_json(form: Form, text: &str) -> serde_json::Value {
    match Raw::parse(form, text).unwrap() {
        Raw::One(text) if matches!(form, Form::Number | Form::Switch) => serde_json::from_str(&text).unwrap(),
        Raw::One(text) => text.into(),
        Raw::List(items) => items.into(),
        Raw::Map(pairs) => pairs.into_iter().map(|(k, v)| (k, serde_json::Value::from(v))).collect(),
    }
}

#[test]
fn every_setting_follows_default_file_environment_flag() {
    assert_eq!(VALUES.map(|(path, _)| path).to_vec(), KEYS.iter().map(|key| key.path).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.json");
    for ((path, [in_file, in_env, in_flag]), key) in VALUES.into_iter().zip(KEYS) {
        let json = match path.split_once('.') {
            Some((group, name)) => format!("{{\"{group}\": {{\n\"{name}\": {in_file}}}}}"),
            None => format!("{{\n\"{path}\": {in_file}}}"),
        };
        std::fs::write(&file, json).unwrap();
        let file_name = file.to_str().unwrap();
        let show = |args: &[&str], env: Option<&str>| {
            // No host name of this machine: another root is another machine.
            let base = ["edge", "install", "--root", "/mnt", "--show-config", "-o", "json"];
            let mut command = edgelay(&[&base, args].concat());
            command.envs(env.map(|value| (key.env, value)));
            let (code, out, err) = said(command.output().unwrap());
            assert_eq!((code, err.as_str()), (0, ""), "{path}");
            shown(&out, path)
        };
        let (value, origin) = show(&[], None);
        let default = key.default;
        let unset = if matches!(key.form, Form::List | Form::Map) { as_json(key.form, "") } else { ().into() };
        assert_eq!(value, if default.is_empty() { unset } else { as_json(key.form, default) }, "{path}");
        assert_eq!(origin, "default ");
        let column = key.path.rsplit('.').next().unwrap().len() + 5;
        let in_file: serde_json::Value = serde_json::from_str(in_file).unwrap();
        let config = ["--config", file_name];
        assert_eq!(show(&config, None), (in_file, format!("file {file_name}:2:{column}")), "{path}");
        let env = (as_json(key.form, in_env), format!("environment {}", key.env));
        assert_eq!(show(&config, Some(in_env)), env, "{path}");
        let flag = format!("--{}", key.flag);
        let args = [&config[..], &[&flag, in_flag]].concat();
        assert_eq!(show(&args, Some(in_env)), (as_json(key.form, in_flag), format!("flag {flag}")), "{path}");
    }
}

#[test]
fn bad_settings_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.json");
    std::fs::write(&file, "{\n  \"pod_cdir\": 1\n}").unwrap();
    let name = file.to_str().unwrap();
    let place = format!("error: '{name}', line 2, column 3: unknown key 'pod_cdir'\nhint: did you mean 'pod_cidr'?\n");
    assert_eq!(run(&["preflight", "--config", name]), (3, String::new(), place));

    let cases = [
        (&["--cloud-host", "10.0.0.1:10002"][..], "carries port 10002, which only hands out certificates"),
        (&["--cloud-websocket-port", "10002"], "only hands out certificates"),
        (&["--node-taints", "a=true:NoSchedule"], "looks like a number or a truth value"),
        (&["--config", "/nonexistent"], "No such file or directory"),
    ];
    for (args, what) in cases {
        let (code, out, err) = run(&[&["preflight"], args].concat());
        assert_eq!((code, out.as_str()), (3, ""), "{args:?}: {err}");
        assert!(err.contains(what), "{args:?}: {err}");
    }
    let (code, _, err) = said(edgelay(&["preflight"]).env("EDGELAY_POD_CDIR", "x").output().unwrap());
    assert_eq!(code, 3);
    assert!(err.ends_with("hint: did you mean EDGELAY_POD_CIDR? otherwise unset it\n"), "{err}");
    let bytes = OsStr::from_bytes(b"edge-\xff");
    let (code, _, err) = said(edgelay(&["preflight"]).env("EDGELAY_NODE_NAME", bytes).output().unwrap());
    let want =
        "error: the value of variable 'EDGELAY_NODE_NAME' is not UTF-8\nhint: set it again in UTF-8, or unset it\n";
    assert_eq!((code, err.as_str()), (3, want));
}

#[test]
fn the_configuration_comes_from_a_pipe_too() {
    let mut command =
        edgelay(&["edge", "install", "--config", "-", "--show-config", "-o", "json", "--node-labels", "a=1"]);
    command.args(["--node-labels", "b=2"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"mqtt": true}"#).unwrap();
    let (code, out, err) = said(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(shown(&out, "mqtt"), (true.into(), "file -:1:10".to_owned()));
    let labels = serde_json::json!({"a": "1", "b": "2"});
    assert_eq!(shown(&out, "node.labels"), (labels, "flag --node-labels".to_owned()), "repeated lists are joined");

    let both = run(&["edge", "install", "--config", "-", "--bundle", "-"]);
    assert_eq!((both.0, both.1.as_str()), (2, ""));
}

#[test]
fn a_token_that_all_can_read_is_refused_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let secret = format!("{}.aGVhZA.Y2xhaW1z.c2ln", "a".repeat(64));
    let token = dir.path().join("token");
    std::fs::write(&token, &secret).unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let args = |file: &str| {
        let fixed = ["preflight", "--node-name", "a", "--cloud-host", "192.0.2.1", "--root", root.to_str().unwrap()];
        run(&[&fixed[..], &["--token-file", file]].concat())
    };
    let (code, out, err) = args(token.to_str().unwrap());
    assert_ne!(code, 0);
    assert!(format!("{out}{err}").contains("mode 0644"), "{out}{err}");
    for file in [token.to_str().unwrap(), &secret, "-"] {
        let (code, out, err) = args(file);
        assert_ne!(code, 0);
        assert!(!format!("{out}{err}").contains("aGVhZA"), "{out}{err}");
    }
    let (code, out, err) = said(edgelay(&["preflight"]).env("EDGELAY_TOKEN", &secret).output().unwrap());
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("EDGELAY_TOKEN_FILE") && !err.contains("aGVhZA"), "{err}");
}

#[test]
fn commands_that_destroy_want_consent_and_those_that_look_touch_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let (code, out, err) = run(&["edge", "uninstall", "--root", root]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.ends_with("hint: add --yes if that is wanted\n"), "{err}");
    let (code, _, err) = run(&["status", "--root", root]);
    assert_eq!(code, 11);
    assert_eq!(err, "error: no edge node is installed here\nhint: run 'edgelay edge stage --root' first\n");
    assert_eq!(run(&["edge", "status", "--root", root]), run(&["status", "--root", root]));
    let (_, out, _) = run(&["preflight", "--root", root, "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((out.lines().count(), &findings["schema"]), (1, &1.into()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
    for verb in ["install", "join"] {
        let (code, _, err) = run(&["edge", verb, "--root", root, "--bundle", "edge.bundle"]);
        assert!(code == 2 && err.starts_with("error: only the machine that runs can join"), "{err}");
    }
    for side in ["edge", "cloud"] {
        // What an install that was refused leaves: its lock and an empty journal.
        let home = dir.path().join("var/lib/edgelay");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("lock"), "7\n").unwrap();
        std::fs::write(home.join("journal.jsonl"), "").unwrap();
        let (code, _, err) = run(&[side, "uninstall", "--yes", "--root", root]);
        assert!(code == 0 && !home.exists(), "{side}: {err}");
    }
}

#[test]
fn images_go_into_a_containerd_and_are_listed() {
    let Some(daemon) = Daemon::start("cli::images", "1.7") else { return };
    let dir = tempfile::tempdir().unwrap();
    let good = shapes::good(4).into_iter().next().unwrap();
    let file = dir.path().join(good.name);
    good.pack.save(&file, good.outer);
    let address = daemon.address();
    let image = |args: &[&str]| {
        let (code, out, err) = run(&[&["image"], args, &["--address", &address, "-o", "json"]].concat());
        assert_eq!(code, 0, "{args:?}: {err}");
        (serde_json::from_str::<serde_json::Value>(&out).unwrap(), err)
    };
    let file = file.to_str().unwrap();
    let (first, err) = image(&["import", file]);
    assert_eq!((&first["schema"], &first["images"][0]["action"]), (&1.into(), &"imported".into()));
    assert!(err.contains("imported, 0 were there already"), "{err}");
    let (second, _) = image(&["import", file]);
    assert_eq!((&second["images"][0]["action"], &second["images"][0]["sent"]), (&"kept".into(), &0.into()));
    let (list, _) = image(&["list"]);
    let listed = &list["images"][0];
    assert_eq!(listed["name"], first["images"][0]["name"]);
    assert_eq!((&listed["state"], &listed["pinned"]), (&"whole".into(), &true.into()));
    let (none, _) = image(&["list", "--namespace", "empty"]);
    assert_eq!(none["images"].as_array().unwrap().len(), 0);

    std::fs::write(dir.path().join("bad.tar"), "no tar").unwrap();
    let bad = dir.path().join("bad.tar");
    let (code, out, err) = run(&["image", "import", bad.to_str().unwrap(), "--address", &address]);
    assert_eq!((code, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("bad.tar"), "{err}");
}

#[test]
fn image_commands_check_what_they_are_given() {
    for (args, code, what) in [
        (&["image", "import"][..], 2, "'image import' needs FILE..."),
        (&["image", "list", "--address", "x"], 2, "flag '--address': 'x' is not an absolute path"),
        (&["image", "list", "--namespace", "a b"], 2, "flag '--namespace': 'a b' "),
        (&["image", "list", "--address", "/nonexistent/c.sock"], 7, "/nonexistent/c.sock"),
        (
            &["image", "import", "x.tar", "--address", "/nonexistent/c.sock"],
            7,
            "use the socket '/nonexistent/c.sock': No such file or directory (os error 2)\nhint: is containerd running?",
        ),
    ] {
        let (got, out, err) = run(args);
        assert_eq!((got, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(what), "{err}");
    }
}

#[test]
fn a_signal_ends_an_installation_that_waits_for_its_bundle() {
    let root = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut command = edgelay(&["edge", "stage", "--bundle", "-", "--root", root.path().to_str().unwrap()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        // It reads from the pipe, which stays open and empty.
        assert!(wait_until(|| reads_standard_input(pid)), "{signal}");
        kill(pid, signal).unwrap();
        let (code, out, err) = said(wait_with_open_stdin(child));
        assert_eq!((code, out.as_str()), (10, ""), "{signal}: {err}");
        assert!(
            err.ends_with("stopped by a signal\nhint: run the same command again: finished steps are skipped\n"),
            "{err}"
        );
    }
}

/// As `nohup` starts it: the terminal's end is not its own.
#[test]
fn who_ignores_a_hangup_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" edge stage --bundle - --root "$1""#, env!("CARGO_BIN_EXE_edgelay")]);
    command.arg(root.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    assert!(wait_until(|| reads_standard_input(pid)));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{status}");
    kill(pid, Signal::SIGHUP).unwrap();
    kill(pid, Signal::SIGTERM).unwrap();
    let (code, _, err) = said(wait_with_open_stdin(child));
    assert_eq!(code, 10, "{err}");
}

/// System call 0 with descriptor 0 (x86-64), or 63 (arm64).
fn reads_standard_input(pid: Pid) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    call.starts_with("0 0x0 ") || call.starts_with("63 0x0 ")
}

#[test]
fn what_is_for_an_initramfs_is_refused_on_a_machine_that_runs_from_a_disk() {
    let mut child = edgelay(&["initramfs", "run"]).stderr(Stdio::piped()).spawn().unwrap();
    let ends = wait_until(|| child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    let (code, _, err) = said(child.wait_with_output().unwrap());
    assert!(ends && code == 4 && err.starts_with("error: 'initramfs run' is for an initramfs"), "{err}");
}

/// As `Child::wait_with_output`, which would close the pipe first.
fn wait_with_open_stdin(mut child: Child) -> Output {
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
}

#[test]
fn a_bundle_is_made_shown_verified_and_planned_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let arch = Arch::of_this_binary().unwrap();
    let inputs = Inputs::new(dir.path(), arch);
    let (bundle, images) = (path("edge.bundle"), inputs.images.to_str().unwrap());
    let components = inputs.components.to_str().unwrap();
    let images: Vec<String> =
        std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    let make = |to: &str| {
        let fixed = ["bundle", "create", "--role", "edge", "--components", components, "-o", to, "--images"];
        // As the shell leaves `--images *.tar`.
        let all: Vec<&str> = fixed.into_iter().chain(images.iter().map(String::as_str)).collect();
        said(edgelay(&all).stdout(Stdio::piped()).output().unwrap())
    };
    let (code, _, err) = make(&bundle);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut piped = edgelay(&[
        "bundle",
        "create",
        "--components",
        components,
        "-o",
        "-",
        "--images",
        inputs.images.to_str().unwrap(),
    ]);
    assert!(piped.output().unwrap().stdout == std::fs::read(&bundle).unwrap(), "same input, same bytes");

    let (code, out, err) = run(&["bundle", "show", &bundle, "-o", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["manifest"]["architecture"], arch.as_str());
    assert_eq!(run(&["bundle", "verify", &bundle, "--arch", arch.as_str()]).0, 0);
    let other = if arch == Arch::Amd64 { "arm64" } else { "amd64" };
    assert_eq!(run(&["bundle", "verify", &bundle, "--arch", other]).0, 5);

    let root = path("root");
    std::fs::create_dir(&root).unwrap();
    let plan = ["edge", "stage", "--bundle", &bundle, "--root", &root, "--dry-run", "-o", "json"];
    let (code, out, err) = run(&plan);
    assert_eq!(code, 0, "{err}");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&plan["schema"], &plan["status"]), (&1.into(), &"todo".into()));
    assert!(plan["steps"].as_array().unwrap().len() > 3, "{out}");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "nothing was written");
}

#[test]
fn what_everybody_may_run_can_be_reached_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, target) = (dir.path().join("b"), dir.path().join("target"));
    std::fs::create_dir(&target).unwrap();
    let request = Inputs::new(dir.path(), Arch::Amd64).request();
    edgelay::mode::bundle::create(&request, &bundle, edgelay::mode::bundle::Format::Text, &mut std::io::sink())
        .unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_edgelay"), "edge", "stage"]);
    shell.args(["--ignore-check=all", "--images=first-boot", "--root"]).arg(&target).arg("--bundle").arg(&bundle);
    let (code, _, err) = said(shell.output().unwrap());
    assert_eq!(code, 0, "{err}");
    let mode = |path: &str| std::fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o7777;
    for (path, bits) in [
        ("usr", 0o755),
        ("opt/cni/bin", 0o755),
        ("opt/cni/bin/bridge", 0o755),
        ("etc/cni/net.d", 0o755),
        ("var/lib/edgelay/journal.jsonl", 0o600),
        ("var/lib/edgelay/config.json", 0o600),
        ("var/lib/edgelay/edge.bundle", 0o600),
    ] {
        assert_eq!(mode(path), bits, "{path}");
    }
}
