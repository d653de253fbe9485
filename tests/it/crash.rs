//! A power cut at every durable change: what is visible is old or new, never torn, and the next run converges.
//!
//! The cut is an abort of the process, so this sees wrong order and missing atomicity; missing syncs it cannot see.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use edgelay::board::Format;
use edgelay::clock::SystemClock;
use edgelay::config::{CloudConfig, Reboot, parse_file, resolve};
use edgelay::crash;
use edgelay::error::Kind;
use edgelay::exec::Host;
use edgelay::host::preflight::Ignored;
use edgelay::ids::Arch;
use edgelay::mode;
use edgelay::mode::cloud;
use edgelay::mode::edge::{BundleSource, Factory, ImagesWhen, Request, Scope, install, uninstall};
use edgelay::mode::{factory, firstboot};
use edgelay::plan::{self, Cx, Journal};
use edgelay::report::{Report, Style};
use edgelay::root::Root;
use edgelay::steps::{KernelArguments, System, WantedArguments};

use crate::support::bundles::{Inputs, program};

pub(crate) const DIR: &str = "EDGELAY_TEST_CRASH_DIR";
pub(crate) const AT: &str = "EDGELAY_TEST_CRASH_AT";
pub(crate) const VERB: &str = "EDGELAY_TEST_CRASH_VERB";

/// A config file of someone else's, which an install replaces and an uninstall puts back.
const FOREIGN: &str = "etc/containerd/config.toml";
const THEIRS: &[u8] = b"# theirs\n";

/// Path below the target → permission bits and content. Journal, lock and log tell of the runs, not of their result.
type Tree = BTreeMap<String, (u32, Vec<u8>)>;

fn tree(dir: &Path) -> Tree {
    let (mut tree, mut todo) = (Tree::new(), vec![dir.to_path_buf()]);
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                todo.push(path);
            } else if meta.is_symlink() {
                tree.insert(name, (0, std::fs::read_link(&path).unwrap().display().to_string().into_bytes()));
            } else if !name.contains("edgelay/journal")
                && !name.ends_with("edgelay/lock")
                && !name.contains("install.log")
            {
                tree.insert(name, (meta.permissions().mode() & 0o7777, std::fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// What the child does: one run on `DIR/target`, cut at point `AT`.
#[test]
#[ignore = "started by the other tests of this module"]
fn child() {
    let Ok(dir) = std::env::var(DIR).map(PathBuf::from) else { return };
    if let Ok(at) = std::env::var(AT) {
        crash::arm(at.parse().unwrap());
    }
    let report = Report::new(Box::new(std::io::sink()), Style::Quiet);
    let root = dir.join("target");
    if let Some(verb) = std::env::var(VERB).ok().filter(|verb| verb.starts_with("cloud")) {
        return cloud_side(&dir, verb == "cloud-uninstall", &report);
    }
    // Of the machine that it runs in, which is a throw-away one.
    if std::env::var(VERB).as_deref() == Ok("live-cloud") {
        return live_cloud(&report);
    }
    if std::env::var(VERB).as_deref() == Ok("live-edge") {
        return live_edge(dir, &report);
    }
    if std::env::var(VERB).as_deref() == Ok("uninstall") {
        return uninstall(&root, &report).unwrap();
    }
    // Of the machine that it runs in, which is a throw-away one.
    if std::env::var(VERB).as_deref() == Ok("firstboot") {
        let once = firstboot::Request { config: None, patience: firstboot::Patience::Once };
        return firstboot::run(&once, &report).unwrap();
    }
    if std::env::var(VERB).as_deref() == Ok("arguments") {
        return edit_arguments(&root, &report);
    }
    if std::env::var(VERB).as_deref() == Ok("seal") {
        let sealed = factory::seal(&factory::Request { root, unique: factory::Unique::Remove }, &report).unwrap();
        assert!(matches!(sealed, factory::Outcome::Sealed(_)), "{sealed:?}");
        return;
    }
    let request = Request {
        root,
        config: Box::default(),
        bundle: Some(BundleSource::file(dir.join("bundle.tar"))),
        scope: Scope::Stage,
        ignored: Ignored::parse("all").unwrap(),
        // A bundle of toys has no containerd that could fill a store.
        factory: Factory { images: ImagesWhen::FirstBoot, edgelay: Some(dir.join("edgelay")), ..Factory::default() },
    };
    install(request, &report).unwrap();
}

/// k3s and its files on a system that does not run; the first boot does the rest.
fn cloud_side(dir: &Path, gone: bool, report: &Report) {
    let root = dir.join("target");
    if gone {
        return cloud::uninstall(&root, cloud::Data::Purge, report).unwrap();
    }
    let config = CloudConfig {
        addresses: vec!["192.0.2.10".parse().unwrap()],
        name: Some("cloud-1".parse().unwrap()),
        ..CloudConfig::default()
    };
    let bundle = Some(BundleSource::file(dir.join("bundle.tar")));
    let ignored = Ignored::parse("all").unwrap();
    cloud::install(
        cloud::Request { root, config: Box::new(config), bundle, scope: cloud::Scope::Install, ignored },
        report,
    )
    .unwrap();
}

/// What `edgelay cloud install` does with the bundle and the configuration of the tests of the cloud.
fn live_cloud(report: &Report) {
    let config = CloudConfig {
        addresses: vec!["10.77.0.10".parse().unwrap()],
        name: Some("cloud-1".parse().unwrap()),
        ..CloudConfig::default()
    };
    let bundle = Some(BundleSource::file("/root/cloud.bundle".into()));
    let (root, scope, ignored) = ("/".into(), cloud::Scope::Install, Ignored::default());
    cloud::install(cloud::Request { root, config: Box::new(config), bundle, scope, ignored }, report).unwrap();
}

/// What `edgelay edge install` does with this bundle, and the configuration and name that the tests of the edge have.
fn live_edge(bundle: PathBuf, report: &Report) {
    let settings = parse_file(&std::fs::read("/root/node.json").unwrap(), "node.json").unwrap();
    let mut config = resolve(&[settings.as_slice()], None).unwrap().config;
    config.node.name = Some("edge-1".parse().unwrap());
    let bundle = Some(BundleSource::file(bundle));
    let (root, ignored, factory) = ("/".into(), Ignored::default(), Factory::default());
    install(Request { root, config, bundle, scope: Scope::Install, ignored, factory }, report).unwrap();
}

const ARGUMENTS: &str = "boot/firmware/cmdline.txt";

/// The step alone, as on a running board: `target` has its own `/proc` and `/sys`.
fn edit_arguments(target: &Path, report: &Report) {
    let (root, clock) = (Root::open(target).unwrap(), SystemClock::default());
    let mut journal = Journal::open(&root).unwrap();
    let mut exec = Host::new(&root, &clock);
    let mut cx = Cx { root: &root, exec: &mut exec, clock: &clock, report, journal: &mut journal, blobs: None };
    let arguments = vec!["cgroup_enable=memory".to_owned()];
    let wanted = WantedArguments { path: ARGUMENTS.to_owned(), format: Format::Line, arguments };
    let step = KernelArguments::new(Some(wanted), System::Running, Reboot::Never);
    let ended = plan::run(&[Box::new(step)], &mut cx).unwrap_err();
    assert_eq!((ended.kind(), ended.kind().exit_code()), (Kind::Reboot, 20), "{ended}");
}

fn run(dir: &Path, verb: &str, at: Option<usize>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--ignored", "--quiet"]).env(DIR, dir).env(VERB, verb);
    if let Some(at) = at {
        command.env(AT, at.to_string());
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// In memory where that can be: hundreds of runs sync all that they write, and what a sync is good for is not seen here.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn new(inputs: fn(&Path, Arch) -> Inputs) -> Self {
        let dir = scratch();
        let inputs = inputs(dir.path(), Arch::Amd64);
        let bundle = dir.path().join("bundle.tar");
        mode::bundle::create(&inputs.request(), &bundle, mode::bundle::Format::Text, &mut std::io::sink()).unwrap();
        std::fs::write(dir.path().join("edgelay"), program(Arch::Amd64, "edgelay")).unwrap();
        Bench(dir)
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("target")
    }

    /// A target with nothing but the foreign file.
    fn reset(&self) {
        let _ = std::fs::remove_dir_all(self.target());
        let file = self.target().join(FOREIGN);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, THEIRS).unwrap();
    }

    fn run(&self, verb: &str, at: Option<usize>) -> bool {
        run(self.0.path(), verb, at).success()
    }
}

/// Every visible file is as one of the two trees has it. Temporary files have names that nobody reads.
fn assert_not_torn(seen: &Tree, trees: [&Tree; 2], at: usize) {
    for (name, file) in seen {
        let temporary = name.rsplit('/').next().is_some_and(|n| n.starts_with('.') && n.ends_with(".edgelay-new"));
        let saved = name.ends_with(".edgelay-saved") && file.1 == THEIRS;
        let known = trees.iter().any(|tree| tree.get(name) == Some(file));
        assert!(temporary || saved || known, "torn '{name}' after cut {at}: {} bytes", file.1.len());
    }
}

#[test]
fn an_install_cut_anywhere_is_never_torn_and_converges() {
    cut_anywhere(&Bench::new(Inputs::new), "install", &["usr/local/bin/containerd", "var/lib/edgelay/config.json"], 50);
}

#[test]
fn a_cloud_side_cut_anywhere_is_never_torn_and_converges() {
    let made = ["usr/local/bin/k3s", "etc/rancher/k3s/config.yaml"];
    cut_anywhere(&Bench::new(Inputs::cloud), "cloud", &made, 40);
}

fn cut_anywhere(bench: &Bench, verb: &str, made: &[&str], least: usize) {
    bench.reset();
    let before = tree(&bench.target());
    assert!(bench.run(verb, None));
    let whole = tree(&bench.target());
    assert!(made.iter().all(|path| whole.contains_key(*path)), "{:?}", whole.keys());
    let mut at = 0;
    loop {
        bench.reset();
        let survived = bench.run(verb, Some(at));
        assert_not_torn(&tree(&bench.target()), [&before, &whole], at);
        assert!(bench.run(verb, None), "run after cut {at}");
        assert_eq!(tree(&bench.target()), whole, "after cut {at} and another run");
        if survived {
            break;
        }
        at += 1;
    }
    assert!(at > least, "only {at} crash points were reached");
}

#[test]
fn an_uninstall_cut_anywhere_converges_to_what_was_there_before() {
    uninstall_cut_anywhere(&Bench::new(Inputs::new), ["install", "uninstall"], 30);
}

#[test]
fn an_uninstall_of_a_cloud_side_cut_anywhere_converges() {
    uninstall_cut_anywhere(&Bench::new(Inputs::cloud), ["cloud", "cloud-uninstall"], 20);
}

fn uninstall_cut_anywhere(bench: &Bench, [install, uninstall]: [&str; 2], least: usize) {
    bench.reset();
    let before = tree(&bench.target());
    let mut at = 0;
    loop {
        bench.reset();
        assert!(bench.run(install, None));
        let survived = bench.run(uninstall, Some(at));
        assert!(bench.run(uninstall, None), "run after cut {at}");
        assert_eq!(tree(&bench.target()), before, "after cut {at} and another run");
        if survived {
            break;
        }
        at += 1;
    }
    assert!(at > least, "only {at} crash points were reached");
}

#[test]
fn a_sealing_cut_anywhere_is_no_sealed_system_or_a_whole_one() {
    let bench = Bench::new(Inputs::new);
    let stage_and_use = || {
        bench.reset();
        assert!(bench.run("install", None));
        for (path, text) in [
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("etc/ssh/ssh_host_rsa_key", "key"),
            ("var/log/syslog", "said"),
            ("var/lib/containerd/io.containerd.grpc.v1.introspection/uuid", "id"),
        ] {
            let file = bench.target().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    };
    stage_and_use();
    assert!(bench.run("seal", None));
    let whole = tree(&bench.target());
    assert_eq!(whole["etc/machine-id"].1, b"");
    let mut at = 0;
    loop {
        stage_and_use();
        let survived = bench.run("seal", Some(at));
        if bench.target().join("var/lib/edgelay/first-boot").exists() {
            assert_eq!(tree(&bench.target()), whole, "marked as sealed after cut {at}");
        }
        assert!(bench.run("seal", None), "run after cut {at}");
        assert_eq!(tree(&bench.target()), whole, "after cut {at} and another run");
        if survived {
            break;
        }
        at += 1;
    }
    assert!(at > 8, "only {at} crash points were reached");
}

#[test]
fn kernel_arguments_cut_anywhere_are_old_or_new_with_the_old_kept_aside() {
    const BEFORE: &str = "console=tty1 rootwait\n";
    const AFTER: &str = "console=tty1 rootwait cgroup_enable=memory\n";
    let dir = scratch();
    let target = dir.path().join("target");
    let read = |path: &str| std::fs::read_to_string(target.join(path)).ok();
    let saved = format!("{ARGUMENTS}.edgelay-saved");
    let mut at = 0;
    loop {
        let _ = std::fs::remove_dir_all(&target);
        for (path, text) in [
            (ARGUMENTS, BEFORE),
            ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n"),
            ("proc/sys/kernel/random/boot_id", "boot-1\n"),
            ("proc/cmdline", BEFORE),
        ] {
            std::fs::create_dir_all(target.join(path).parent().unwrap()).unwrap();
            std::fs::write(target.join(path), text).unwrap();
        }
        let survived = run(dir.path(), "arguments", Some(at)).success();
        let (file, copy) = (read(ARGUMENTS).unwrap(), read(&saved));
        assert!(file == BEFORE || (file == AFTER && copy.is_some()), "after cut {at}: {file:?}, {copy:?}");
        assert!(copy.is_none_or(|copy| copy == BEFORE), "torn copy after cut {at}");
        // Twice: with nothing left to write it still wants the reboot.
        for _ in 0..2 {
            assert!(run(dir.path(), "arguments", None).success(), "run after cut {at}");
            let end = (read(ARGUMENTS), read(&saved));
            assert_eq!(end, (Some(AFTER.to_owned()), Some(BEFORE.to_owned())), "after cut {at} and another run");
        }
        let dirty = tree(&target).into_keys().find(|name| name.ends_with(".edgelay-new"));
        assert_eq!(dirty, None, "after cut {at} and another run");
        if survived {
            break;
        }
        at += 1;
    }
    assert!(at > 6, "only {at} crash points were reached");
}

#[test]
fn an_uninstall_that_failed_is_tried_again_with_all_it_needs_to_know() {
    let bench = Bench::new(Inputs::new);
    bench.reset();
    let before = tree(&bench.target());
    assert!(bench.run("install", None));
    // A directory in the place of a file of ours: it cannot be removed.
    let obstacle = bench.target().join("usr/local/bin/containerd");
    std::fs::remove_file(&obstacle).unwrap();
    std::fs::create_dir(&obstacle).unwrap();
    assert!(!bench.run("uninstall", None));
    assert!(bench.target().join("var/lib/edgelay/config.json").exists(), "what was installed is still known");
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(bench.run("uninstall", None));
    assert_eq!(tree(&bench.target()), before);
}
