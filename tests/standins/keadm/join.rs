//! `keadm join`: ten steps, no rollback. Each check stands where the real one has it, as what is left behind by a
//! failure depends on it.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::End;
use super::copy;
use super::flags::{self, Flags};
use crate::shared::http::{Get, Trust, get, join_host_port, split_host_port};
use crate::shared::set::Fault;
use crate::shared::yaml::Yaml;
use crate::shared::{VERSION, fields, klog, set};

const MANAGEMENT: &str = "/etc/kubeedge/";
const CONFIG: &str = "/etc/kubeedge/config/edgecore.yaml";
const BOOTSTRAP: &str = "/etc/kubeedge/bootstrap-edgecore.conf";
const UNIT: &str = "/etc/systemd/system/edgecore.service";
/// 300 seconds in steps of ten.
const POLLS: u32 = 30;
const TICK: Duration = Duration::from_secs(10);

/// Numbers the steps as keadm does.
struct Steps(u32);

impl Steps {
    fn say(&mut self, place: &str, text: &str) {
        self.0 += 1;
        klog::line('I', place, &format!("{}. {text}", self.0));
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), End> {
    let flags = flags::parse(args)?;
    let mut steps = Steps(0);
    before(&flags, &mut steps)?;
    // required flags are looked at only now
    if !flags.given("cloudcore-ipport") {
        return Err("required flag(s) \"cloudcore-ipport\" not set".to_string().into());
    }
    let version = image_version(flags.text("kubeedge-version"));
    join(&flags, &version, &mut steps).map_err(|end| match end {
        End::Error(why) => End::Error(format!("edge node join failed: {why}")),
        panic => panic,
    })?;
    let script = flags.text("post-run");
    if !script.is_empty() {
        println!("Executing post-run script: {script}");
        if let Err(why) = run_script(script) {
            println!("Execute post-run script: {script} failed: {why}");
        }
    }
    Ok(())
}

/// Steps 0 to 3: look, refuse, write nothing.
fn before(flags: &Flags, steps: &mut Steps) -> Result<(), String> {
    let script = flags.text("pre-run");
    if !script.is_empty() {
        steps.say("join.go:65", &format!("Executing pre-run script: {script}"));
        run_script(script)?;
    }
    steps.say("join.go:70", "Check KubeEdge edgecore process status");
    // A bash that cannot be started counts as "running": the real one looks at an exit code that nobody set.
    match bash("pidof edgecore 2>&1") {
        Ok(_) | Err((0, _)) => {
            return Err("EdgeCore is already running on this node, please run reset to clean up first".into());
        }
        Err((1, _)) => {}
        Err((_, why)) => return Err(format!("check KubeEdge edgecore process status failed: {why}")),
    }
    steps.say("join.go:79", "Check if the management directory is clean");
    if let Ok(mut entries) = fs::read_dir(MANAGEMENT)
        && entries.next().is_some()
    {
        return Err(format!("the management directory {MANAGEMENT} is not clean, please remove it first"));
    }
    steps.say("join.go:94", "Check if the node name is valid");
    let (host, _) = split_host_port(flags.text("cloudcore-ipport"))
        .map_err(|why| format!("get current host and port failed: {why}"))?;
    let url = format!("https://{}/node/{}", join_host_port(&host, cert_port(flags)), node_name(flags));
    let request = Get { url: &url, trust: Trust::Anyone, headers: &[], body_file: None };
    match get(&request) {
        Ok((404, _)) => Ok(()),
        Ok(_) => Err("node already exists or internal error occurred, cannot register again".into()),
        Err(why) => Err(format!("error making request: {why}")),
    }
}

/// Steps 4 to 10.
fn join(flags: &Flags, version: &str, steps: &mut Steps) -> Result<(), End> {
    steps.say("join_others.go:180", "Create the necessary directories");
    for dir in [MANAGEMENT, "/etc/kubeedge/config", "/var/log/kubeedge/", "/var/lib/kubeedge"] {
        fs::create_dir_all(dir).map_err(|e| format!("create {dir} folder path failed: {e}"))?;
    }
    let mut runtime = copy::connect(flags.text("remote-runtime-endpoint"))?;
    let image = image(flags.text("image-repository"), version);
    steps.say("join_others.go:249", "Pull Images");
    copy::pull(&mut runtime, &image).map_err(|why| format!("pull Images failed: {why}"))?;
    steps.say("join_others.go:254", "Copy resources from the image to the management directory");
    copy::edgecore(&mut runtime, &image, flags.text("cgroupdriver"))
        .map_err(|why| format!("copy resources failed: {why}"))?;

    steps.say("join_others.go:191", "Generate systemd service file");
    if in_path("systemctl") {
        write(UNIT, 0o777, &unit()).map_err(|e| format!("failed to create edgecore systemd service, err: {e}"))?;
    } else if !in_path("openrc") {
        let why = "no supported init system detected, skipping checking for services";
        return Err(format!("failed to get ext system, err: {why}").into());
    }
    write(BOOTSTRAP, 0o666, flags.text("token")).map_err(|e| format!("create bootstrap file failed: {e}"))?;
    // from here on the bootstrap file goes, however this ends
    let end = start_and_wait(flags, steps);
    // ignoring: edgecore itself does not miss it, and nothing here depends on it
    let _ = fs::remove_file(BOOTSTRAP);
    end
}

fn start_and_wait(flags: &Flags, steps: &mut Steps) -> Result<(), End> {
    steps.say("join_others.go:207", "Generate EdgeCore default configuration");
    let config = configuration(flags).map_err(|end| match end {
        End::Error(why) => End::Error(format!("create edge config file failed: {why}")),
        panic => panic,
    })?;
    write(CONFIG, 0o644, &config.render()).map_err(|e| format!("create edge config file failed: {e}"))?;
    steps.say("join_others.go:212", "Run EdgeCore daemon");
    start().map_err(|why| format!("start edgecore failed: {why}"))?;
    let hub = |key: &str| config.text(&format!("modules.edgeHub.{key}"));
    let files = [hub("tlsCaFile"), hub("tlsCertFile"), hub("tlsPrivateKeyFile")];
    for _ in 0..POLLS {
        std::thread::sleep(tick());
        if files.iter().all(|file| Path::new(file).exists()) {
            steps.say("join_others.go:235", "Install Complete!");
            return Ok(());
        }
    }
    Err("timed out waiting for the condition".to_string().into())
}

/// Ten seconds; tests may shorten it, by the environment or, where that is not passed on, by a file.
fn tick() -> Duration {
    let given = std::env::var("STANDIN_KEADM_TICK_MS").ok();
    let given = given.or_else(|| fs::read_to_string("/run/standin/keadm-tick-ms").ok());
    given.and_then(|text| text.trim().parse().ok()).map_or(TICK, Duration::from_millis)
}

fn start() -> Result<(), String> {
    let systemd = bash("file /sbin/init").is_ok() || Path::new("/run/systemd/system").is_dir();
    let (command, tip) = if systemd {
        (
            "sudo systemctl daemon-reload && sudo systemctl enable edgecore && sudo systemctl start edgecore",
            "KubeEdge edgecore is running, For logs visit: journalctl -u edgecore.service -xe",
        )
    } else {
        (
            // a directory that nobody makes: edgecore never starts, and nobody is told
            "/usr/local/bin/edgecore > /etc/kubeedge/kubeedge/edge/edgecore.log 2>&1 &",
            "KubeEdge edgecore is running, For logs visit: /var/log/kubeedge/edgecore.log",
        )
    };
    let said = bash(command).map_err(|(_, why)| why)?;
    klog::line('I', "join_others.go:288", &said);
    klog::line('I', "join_others.go:289", tip);
    Ok(())
}

fn configuration(flags: &Flags) -> Result<Yaml, End> {
    klog::line(
        'I',
        "join_others.go:112",
        "The configuration does not exist or the parsing fails, and the default configuration is generated",
    );
    let mut config = fields::defaults();
    let mut put = |path: &str, text: &str| {
        *config.place(&path.split('.').collect::<Vec<_>>()) = Yaml::Str(text.into());
    };
    put("edgecoreVersion", VERSION);
    put("modules.edgeHub.token", flags.text("token"));
    put("modules.edged.hostnameOverride", &node_name(flags));
    match flags.text("cgroupdriver") {
        driver @ ("systemd" | "cgroupfs") => put("modules.edged.tailoredKubeletConfig.cgroupDriver", driver),
        other => return Err(format!("unsupported CGroupDriver: {other}").into()),
    }
    let endpoint = flags.text("remote-runtime-endpoint");
    put("modules.edged.tailoredKubeletConfig.containerRuntimeEndpoint", endpoint);
    put("modules.edged.tailoredKubeletConfig.imageServiceEndpoint", endpoint);
    let address = flags.text("cloudcore-ipport");
    let (host, _) = split_host_port(address).map_err(|why| format!("get current host and port failed: {why}"))?;
    put("modules.edgeHub.httpServer", &format!("https://{}", join_host_port(&host, cert_port(flags))));
    put("modules.edgeStream.server", &join_host_port(&host, "10004"));
    // the address is taken as it is, whatever its port is for
    let (websocket, quic) = (join_host_port(&host, "10000"), join_host_port(&host, "10001"));
    let by_quic = match flags.text("hub-protocol") {
        "websocket" => false,
        "quic" => true,
        other => return Err(format!("unsupported hub of protocol: {other}").into()),
    };
    put("modules.edgeHub.websocket.server", if by_quic { &websocket } else { address });
    put("modules.edgeHub.quic.server", if by_quic { address } else { &quic });
    *config.place(&["modules", "edgeHub", "websocket", "enable"]) = Yaml::Bool(!by_quic);
    *config.place(&["modules", "edgeHub", "quic", "enable"]) = Yaml::Bool(by_quic);
    for label in flags.labels.iter().filter(|label| !label.starts_with('=') && !label.is_empty()) {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        *config.place(&["modules", "edged", "nodeLabels", key]) = Yaml::Str(value.into());
    }
    for set in &flags.sets {
        set::apply(&mut config, set).map_err(|fault| match fault {
            Fault::Refused(why) => End::Error(why),
            Fault::Panic(why) => End::Panic(why),
        })?;
    }
    if config.text("modules.edged.nodeIP").is_empty() {
        klog::line('W', "validation.go:79", "NodeIP is empty , use default ip which can connect to cloud.");
    }
    // one line each, in brackets
    validate(&config).map_err(|why| format!("[\n  {why}\n]\n"))?;
    Ok(config)
}

fn validate(config: &Yaml) -> Result<(), String> {
    let name = config.text("modules.edged.hostnameOverride");
    let part = |part: &str| {
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ends_well(part.chars().next())
            && ends_well(part.chars().last())
            && part.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if name.len() > 253 || !name.split('.').all(part) {
        return Err(format!(
            "HostnameOverride: Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ));
    }
    let mode = config.text("modules.eventBus.mqttMode");
    if config.is_true("modules.eventBus.enable") && !["0", "1", "2"].contains(&mode.as_str()) {
        return Err(format!("Mode: Invalid value: {mode}: Mode need in [0,2] range"));
    }
    if config.is_true("modules.edgeHub.websocket.enable") == config.is_true("modules.edgeHub.quic.enable") {
        return Err(
            "enable: Invalid value: true: websocket.enable and quic.enable cannot be true and false at the same time"
                .into(),
        );
    }
    Ok(())
}

fn unit() -> String {
    "[Unit]\nDescription=edgecore.service\n\n[Service]\nType=simple\nExecStart=/usr/local/bin/edgecore\nRestart=always\n\
     RestartSec=10\nEnvironment=\nKillMode=process\n\n[Install]\nWantedBy=multi-user.target\n"
        .into()
}

fn node_name(flags: &Flags) -> String {
    let given = flags.text("edgenode-name");
    if !given.is_empty() {
        return given.into();
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    if host.is_empty() { "default-edge-node".into() } else { host }
}

fn cert_port(flags: &Flags) -> &str {
    Some(flags.text("certport")).filter(|port| !port.is_empty()).unwrap_or("10002")
}

/// The tag of the installation package.
fn image_version(given: &str) -> String {
    if given.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) {
        return format!("v{}", given.trim_start_matches('v'));
    }
    // the real one asks an address of the project first
    klog::line('W', "common.go:197", "could not fetch a KubeEdge version from the internet: unable to get URL");
    klog::line('W', "common.go:198", &format!("falling back to the local client version: {VERSION}"));
    VERSION.into()
}

fn image(repository: &str, version: &str) -> String {
    let repository = if repository.is_empty() { "kubeedge" } else { repository };
    format!("{repository}/installation-package:{version}")
}

fn run_script(file: &str) -> Result<(), String> {
    let status = Command::new("/bin/bash").arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("failed to execute script {file}: {status}")),
        Err(e) => Err(format!("failed to execute script {file}: {e}")),
    }
}

fn in_path(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .any(|dir| fs::metadata(Path::new(dir).join(program)).is_ok_and(|m| m.permissions().mode() & 0o111 != 0))
}

/// Runs a line in bash: its output, or exit code (0: could not be started) and complaint.
pub(super) fn bash(line: &str) -> Result<String, (i32, String)> {
    let what = format!("failed to exec [bash -c {line}]");
    let done = Command::new("bash")
        .args(["-c", line])
        .output()
        .map_err(|_| (0, format!("{what}, err: exec: \"bash\": executable file not found in $PATH")))?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() {
        return Ok(out.into_owned());
    }
    let said = if err.is_empty() { out } else { err };
    Err((done.status.code().unwrap_or(-1), format!("{what}, err: {said}")))
}

/// Writes like Go's os.WriteFile: the mode, less the umask, counts when the file is made.
fn write(path: &str, mode: u32, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
