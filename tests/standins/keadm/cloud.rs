//! keadm's commands on the cloud side: init, upgrade cloud, gettoken, reset cloud; with helm's refusals, as helm is
//! inside keadm.

mod chart;
mod release;
mod values;

use std::time::{Duration, Instant};

use serde_json::Value;

use super::End;
use crate::shared::VERSION;
use crate::shared::kube::{Kube, unbase64};

const NAMESPACE: &str = "/api/v1/namespaces/kubeedge";
const KUBECONFIG: &str = "/root/.kube/config";
/// helm's patience, unless the switch `keadm-wait-ms` says otherwise.
const WAIT: Duration = Duration::from_secs(60);
/// Files by which tests are told apart from the real world: see `join`, too. With `keadm-cut` an upgrade is killed when
/// so many of the release's objects are in the cluster; with `keadm-last` it takes its caller along when it is done.
const TOLD: &str = "/run/standin";
/// Flags with a value, then those without, of init and upgrade; all of them may be written `--flag=value`.
const VALUED: &str = "advertise-address kubeedge-version kube-config set profile image-repository external-helm-root values \
    files manifests";
const SWITCHES: &str = "force dry-run print-final-values skip-crds reuse-values help";
/// Of a keadm that looks at the cluster first, as those after v1.23 do; where there is the switch `keadm-preflight` it is
/// one, and comes too early for the cluster's DNS.
const UNCHECKED: &str = "skip-preflight-checks";

#[derive(Debug, Default)]
struct Flags {
    texts: Vec<(String, String)>,
}

impl Flags {
    fn parse(args: &[String]) -> Result<Flags, String> {
        let (mut flags, mut args) = (Flags::default(), args.iter());
        let listed = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix("--") else { return Err(format!("unknown command \"{arg}\"")) };
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
            let value = match value {
                Some(value) if listed(VALUED, name) || listed(SWITCHES, name) => value,
                None if listed(SWITCHES, name) || (name == UNCHECKED && is_newer()) => "true".into(),
                None if listed(VALUED, name) => {
                    args.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?
                }
                _ => return Err(format!("unknown flag: --{name}")),
            };
            flags.texts.push((name.to_owned(), value));
        }
        Ok(flags)
    }

    fn text(&self, name: &str) -> &str {
        self.texts.iter().rev().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn sets(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().filter(|(name, _)| name == "set").map(|(_, value)| value.as_str())
    }

    fn kubeconfig(&self) -> &str {
        Some(self.text("kube-config")).filter(|path| !path.is_empty()).unwrap_or(KUBECONFIG)
    }

    fn version(&self) -> String {
        let given = self.text("kubeedge-version").trim_start_matches('v');
        if given.is_empty() { VERSION.into() } else { format!("v{given}") }
    }

    /// What the chart is rendered with.
    fn values(&self) -> Result<Value, String> {
        let mut values = values::defaults();
        for name in ["cloudCore", "iptablesManager", "controllerManager"] {
            values::set(&mut values, &format!("{name}.image.tag={}", self.version()))?;
        }
        for (at, address) in self.text("advertise-address").split(',').filter(|a| !a.is_empty()).enumerate() {
            values::set(&mut values, &format!("cloudCore.modules.cloudHub.advertiseAddress[{at}]={address}"))?;
        }
        for one in self.sets() {
            values::set(&mut values, one)?;
        }
        Ok(values)
    }
}

/// The real one looks for a package manager before anything else and cannot do without.
fn package_manager() -> Result<(), End> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |name: &str| path.split(':').any(|dir| std::path::Path::new(dir).join(name).exists());
    match ["apt", "yum", "pacman"].into_iter().any(found) {
        true => Ok(()),
        false => Err(End::Panic("Failed to detect supported package manager command(apt, yum, pacman), exit".into())),
    }
}

fn connect(flags: &Flags) -> Result<Kube, String> {
    let fault =
        |why: String| format!("failed to verify k8s component installed, err: failed to build config, err: {why}");
    let kube = Kube::open(flags.kubeconfig()).map_err(fault)?;
    kube.must("GET", "/version", None)
        .map_err(|why| format!("failed to verify k8s component installed, err: {why}"))?;
    Ok(kube)
}

fn is_newer() -> bool {
    std::path::Path::new(TOLD).join("keadm-preflight").exists()
}

pub(crate) fn init(args: &[String]) -> Result<(), End> {
    let flags = Flags::parse(args)?;
    if flags.is_on("help") {
        for name in VALUED.split(' ').chain(SWITCHES.split(' ')).chain(is_newer().then_some(UNCHECKED)) {
            println!("      --{name}");
        }
        return Ok(());
    }
    package_manager()?;
    let kube = connect(&flags)?;
    if is_newer() && !flags.is_on(UNCHECKED) {
        let why = "pre-flight check failed: no Ready CoreDNS/kube-dns pod found in kube-system; DNS must be healthy before \
                   installing cloudcore";
        return Err(why.to_owned().into());
    }
    if !flags.is_on("force") && runs(&kube)? {
        let why = "the cloudcore is already running on this node, please run reset to clean up first";
        return Err(why.to_owned().into());
    }
    println!("Kubernetes version verification passed, KubeEdge {} installation will start...", flags.version());
    let values = flags.values()?;
    if release::last(&kube)?.is_some() {
        let why = "the cloudcore release already exists, and you can upgrade the cloudcore using the `keadm upgrade`";
        return Err(why.to_owned().into());
    }
    let fault = |why: String| format!("failed to install release cloudcore, err: {why}");
    let objects = chart::objects(&values);
    let space = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeedge"}});
    if kube.get(NAMESPACE).map_err(fault)?.is_none() {
        kube.must("POST", "/api/v1/namespaces", Some(("application/json", &space))).map_err(fault)?;
    }
    release::adoptable(&kube, &objects).map_err(fault)?;
    release::write(&kube, 1, "pending-install", &values).map_err(fault)?;
    let done = install(&kube, &objects, &flags);
    release::write(&kube, 1, if done.is_ok() { "deployed" } else { "failed" }, &values).map_err(fault)?;
    done.map_err(fault)?;
    say(1);
    Ok(())
}

fn install(kube: &Kube, objects: &[Value], flags: &Flags) -> Result<(), String> {
    release::apply(kube, objects)?;
    if flags.is_on("force") { Ok(()) } else { wait(kube) }
}

/// Until the Deployment's and the DaemonSets' pods are ready, as helm waits.
fn wait(kube: &Kube) -> Result<(), String> {
    let (start, limit) = (Instant::now(), switch("keadm-wait-ms").map_or(WAIT, Duration::from_millis));
    while start.elapsed() < limit {
        let mut all = true;
        for (kind, have, want) in
            [("deployments", "readyReplicas", "replicas"), ("daemonsets", "numberReady", "desiredNumberScheduled")]
        {
            let list = kube.must("GET", &format!("/apis/apps/v1/namespaces/kubeedge/{kind}"), None)?;
            for item in list["items"].as_array().into_iter().flatten() {
                let count = |key: &str| item["status"][key].as_u64();
                all &= count(want).is_some() && count(have).unwrap_or(0) == count(want).unwrap_or(1);
            }
        }
        if all {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Err("context deadline exceeded".into())
}

/// The number in a switch.
fn switch(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("{TOLD}/{name}")).ok()?.trim().parse().ok()
}

/// A pod of CloudCore on this host is a process of it.
fn runs(kube: &Kube) -> Result<bool, String> {
    let pods = kube.must("GET", &format!("{NAMESPACE}/pods?labelSelector=kubeedge%3Dcloudcore"), None)?;
    Ok(pods["items"].as_array().into_iter().flatten().any(|pod| pod["status"]["phase"] == "Running"))
}

fn say(revision: u64) {
    println!(
        "CLOUDCORE started\n=========CHART DETAILS=======\nName: cloudcore\nLAST DEPLOYED: \nNAMESPACE: kubeedge\n\
         STATUS: deployed\nREVISION: {revision}"
    );
}

pub(crate) fn upgrade(args: &[String]) -> Result<(), End> {
    let flags = Flags::parse(args)?;
    package_manager()?;
    let kube = connect(&flags)?;
    println!("Kubernetes version verification passed, KubeEdge upgradation will start...");
    if kube.get(&format!("{NAMESPACE}/configmaps/cloudcore"))?.is_none() {
        return Err("failed to get cloudcore history config, err: configmaps \"cloudcore\" not found"
            .to_owned()
            .into());
    }
    let Some((revision, state)) = release::last(&kube)? else {
        let why = "the cloudcore release not found, and you can init the cloudcore using the `keadm init`";
        return Err(why.to_owned().into());
    };
    let fault = |why: String| format!("failed to upgrade release cloudcore, err: {why}");
    if state.starts_with("pending") {
        return Err(fault("another operation (install/upgrade/rollback) is in progress".into()).into());
    }
    if !["failed", "superseded"].contains(&state.as_str()) && !release::deployed(&kube).map_err(fault)? {
        return Err(fault("\"cloudcore\" has no deployed releases".into()).into());
    }
    let values = flags.values()?;
    let objects = chart::objects(&values);
    let next = revision + 1;
    release::write(&kube, next, "pending-upgrade", &values).map_err(fault)?;
    if let Some(count) = switch("keadm-cut") {
        release::apply(
            &kube,
            objects.iter().take(usize::try_from(count).unwrap_or(0)).cloned().collect::<Vec<_>>().as_slice(),
        )?;
        // all of them: it was about to say so
        if usize::try_from(count).unwrap_or(0) >= objects.len() {
            release::supersede(&kube, next).map_err(fault)?;
        }
        std::process::abort();
    }
    let done = install(&kube, &objects, &flags).and_then(|()| release::prune(&kube, &objects));
    if done.is_ok() {
        release::supersede(&kube, next).map_err(fault)?;
    }
    release::write(&kube, next, if done.is_ok() { "deployed" } else { "failed" }, &values).map_err(fault)?;
    done.map_err(fault)?;
    say(next);
    if std::path::Path::new(TOLD).join("keadm-last").exists() {
        // ignoring: whoever called us has ended already
        let _ =
            std::process::Command::new("kill").args(["-9", &std::os::unix::process::parent_id().to_string()]).status();
    }
    Ok(())
}

pub(crate) fn gettoken(args: &[String]) -> Result<(), End> {
    let flags = Flags::parse(args)?;
    let fault = |why: String| format!("failed to get token, err is {why}");
    let kube = Kube::open(flags.kubeconfig()).map_err(fault)?;
    let secret = kube.must("GET", &format!("{NAMESPACE}/secrets/tokensecret"), None).map_err(fault)?;
    let token = secret["data"]["tokendata"].as_str().and_then(unbase64).unwrap_or_default();
    println!("{}", String::from_utf8_lossy(&token));
    Ok(())
}

/// Nothing happens where there are no pods, or no cluster; the namespace goes on ending afterwards.
pub(crate) fn reset(args: &[String]) -> Result<(), End> {
    let flags = Flags::parse(args)?;
    let Ok(kube) = Kube::open(flags.kubeconfig()) else { return Ok(()) };
    let Ok(pods) = kube.must("GET", &format!("{NAMESPACE}/pods"), None) else { return Ok(()) };
    if pods["items"].as_array().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    kube.must("DELETE", NAMESPACE, None).map_err(|why| format!("failed to clean kubeedge namespace, err: {why}"))?;
    for dir in ["/etc/kubeedge", "/var/log/kubeedge"] {
        // ignoring: the real one only logs it
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(())
}
