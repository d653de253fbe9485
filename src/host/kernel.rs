//! Kernel features that pods and their network need, told apart as there, not there, or unknown.
//!
//! Evidence in order of weight: what [`super::trial`] found by trying; traces that a loaded feature leaves in `/proc` and
//! `/sys`; the lists of built-in and loadable modules; the kernel's configuration. No module is loaded by looking.

use crate::feed;
use crate::gather::Gather;
use crate::sorted::{Map, Set};

use super::trial::Tried;
use super::{SMALL, TABLE, kernel_release};
use crate::error::Result;
use crate::ids::RelPath;
use crate::root::Root;

/// What is known of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is loaded, built in, or a module that is installed.
    Present,
    /// The kernel was built without it, or its module is not installed.
    Absent,
    /// No evidence either way.
    Unknown,
}

/// A feature without which there is no pod, or no pod network: any one of its modules, options or traces proves it.
#[derive(Debug)]
pub struct Feature {
    /// As users know it; for modules the module's name.
    pub name: &'static str,
    modules: &'static [&'static str],
    options: &'static [&'static str],
    trace: Trace,
}

impl Feature {
    /// Names of the modules that may bring it.
    pub fn modules(&self) -> &'static [&'static str] {
        self.modules
    }
}

#[derive(Debug)]
enum Trace {
    /// A line of `/proc/filesystems`.
    FileSystem,
    /// These exist once it is loaded.
    Paths(&'static [&'static str]),
    /// A line of `/proc/net/ip_tables_matches` or `ip_tables_targets`, besides `/sys/module`.
    Xtables(&'static str),
    /// Only `/sys/module`.
    Module,
}

const fn pods(
    name: &'static str,
    modules: &'static [&'static str],
    options: &'static [&'static str],
    trace: Trace,
) -> Feature {
    Feature { name, modules, options, trace }
}

/// What the agent, the bridge and portmap plugins and EdgeMesh use; its device is a bridge, too. Older names of a module
/// stand beside its new one.
pub const FEATURES: [Feature; 14] = [
    pods("namespaces", &[], &["NET_NS"], Trace::Paths(&["proc/self/ns/net", "proc/self/ns/pid", "proc/self/ns/ipc"])),
    pods("overlay", &["overlay", "overlayfs"], &["OVERLAY_FS"], Trace::FileSystem),
    pods("veth", &["veth"], &["VETH"], Trace::Module),
    pods("bridge", &["bridge"], &["BRIDGE"], Trace::Module),
    pods("br_netfilter", &["br_netfilter"], &["BRIDGE_NETFILTER"], Trace::Paths(&["proc/sys/net/bridge"])),
    pods("nf_conntrack", &["nf_conntrack"], &["NF_CONNTRACK"], Trace::Paths(&["proc/sys/net/netfilter"])),
    pods("nf_nat", &["nf_nat"], &["NF_NAT"], Trace::Module),
    pods("iptables nat", &["iptable_nat", "nft_compat"], &["IP_NF_NAT", "NFT_COMPAT"], Trace::Module),
    pods(
        "xt_MASQUERADE",
        &["xt_MASQUERADE", "ipt_MASQUERADE"],
        &["NETFILTER_XT_TARGET_MASQUERADE", "IP_NF_TARGET_MASQUERADE"],
        Trace::Xtables("MASQUERADE"),
    ),
    pods("xt_comment", &["xt_comment"], &["NETFILTER_XT_MATCH_COMMENT"], Trace::Xtables("comment")),
    pods("xt_mark", &["xt_mark"], &["NETFILTER_XT_MARK"], Trace::Xtables("mark")),
    pods("xt_conntrack", &["xt_conntrack"], &["NETFILTER_XT_MATCH_CONNTRACK"], Trace::Xtables("conntrack")),
    pods("xt_addrtype", &["xt_addrtype"], &["NETFILTER_XT_MATCH_ADDRTYPE"], Trace::Xtables("addrtype")),
    pods("xt_multiport", &["xt_multiport"], &["NETFILTER_XT_MATCH_MULTIPORT"], Trace::Xtables("multiport")),
];

/// What the machine says about its kernel, read once.
#[derive(Debug)]
pub struct Kernel<'a> {
    root: &'a Root,
    /// The release: `6.1.0-18-amd64`.
    pub release: String,
    /// What was found by trying.
    pub tried: Tried,
    /// Names of modules that can be loaded, and of built-in ones. `None`: that list is not there.
    loadable: Option<Set<String>>,
    built_in: Option<Set<String>>,
    /// Options without `CONFIG_`, and whether they are built in or modules. `None`: not told.
    options: Option<Map<String, char>>,
    filesystems: String,
    xtables: String,
    /// Whether it is the one that runs: only that leaves traces.
    runs: bool,
}

impl<'a> Kernel<'a> {
    /// Collects the evidence.
    pub fn load(root: &'a Root) -> Result<Self> {
        let release = kernel_release(root)?;
        let read = |path| root.text_or_empty(RelPath::literal(path), SMALL);
        let mut kernel = Kernel::of(root, release)?;
        kernel.options = options(root, &kernel.release)?;
        kernel.filesystems = read("proc/filesystems")?;
        kernel.xtables = read("proc/net/ip_tables_matches")? + &read("proc/net/ip_tables_targets")?;
        kernel.runs = true;
        Ok(kernel)
    }

    /// Those that are installed in a system that does not run, as far as they have modules.
    pub fn installed(root: &'a Root) -> Result<Vec<Self>> {
        let mut kernels = Vec::new();
        for release in root.list_or_empty(RelPath::literal("lib/modules"))? {
            let mut kernel = Kernel::of(root, release)?;
            if kernel.loadable.is_some() && kernel.built_in.is_some() {
                kernel.options = boot_options(root, &kernel.release)?;
                kernels.push(kernel);
            }
        }
        Ok(kernels)
    }

    /// One that does not run.
    fn of(root: &'a Root, release: String) -> Result<Self> {
        Ok(Kernel {
            root,
            tried: Tried::new(),
            loadable: modules(root, &release, "modules.dep")?,
            built_in: modules(root, &release, "modules.builtin")?,
            options: None,
            filesystems: String::new(),
            xtables: String::new(),
            runs: false,
            release,
        })
    }

    /// First number of the release; 0 if it is none.
    pub fn major(&self) -> u32 {
        self.release.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// What is known of `feature`.
    pub fn state(&self, feature: &Feature) -> State {
        if let Some(works) = self.tried.get(feature.name) {
            return if *works { State::Present } else { State::Absent };
        }
        if self.traced(feature) {
            return State::Present;
        }
        // One list alone proves nothing absent.
        let listed = self.loadable.as_ref().zip(self.built_in.as_ref()).map(|(loadable, built_in)| {
            feature.modules.iter().map(|m| plain(m)).any(|m| loadable.contains(&m) || built_in.contains(&m))
        });
        if listed == Some(true) {
            return State::Present;
        }
        let Some(options) = &self.options else {
            return if listed.is_none() || feature.modules.is_empty() { State::Unknown } else { State::Absent };
        };
        // A module that is configured but in no list of installed ones cannot be loaded.
        let built_in = feature.options.iter().any(|option| options.get(*option) == Some(&'y'));
        if built_in { State::Present } else { State::Absent }
    }

    /// Whether using any of `modules` would load it first.
    pub fn would_load(&self, modules: &[&str]) -> bool {
        let loadable = |name: &str| self.loadable.as_ref().is_some_and(|all| all.contains(&plain(name)));
        modules.iter().any(|name| loadable(name) && !self.exists(&format!("sys/module/{}", name.replace('-', "_"))))
    }

    fn exists(&self, path: &str) -> bool {
        RelPath::parse(path).is_ok_and(|path| matches!(self.root.lstat(path), Ok(Some(_))))
    }

    fn traced(&self, feature: &Feature) -> bool {
        if !self.runs {
            return false;
        }
        let exists = |path: &str| self.exists(path);
        let line = |text: &str, name: &str| text.lines().any(|line| line.split_whitespace().last() == Some(name));
        let traced = match feature.trace {
            Trace::FileSystem => line(&self.filesystems, feature.name),
            Trace::Paths(paths) => paths.iter().all(|path| exists(path)),
            Trace::Xtables(name) => line(&self.xtables, name),
            Trace::Module => false,
        };
        traced || feature.modules.iter().any(|name| exists(&format!("sys/module/{name}")))
    }
}

/// `kernel/net/netfilter/xt_mark.ko.xz: ...` and `kernel/net/bridge/bridge.ko` give `xt_mark` and `bridge`.
fn modules(root: &Root, release: &str, list: &str) -> Result<Option<Set<String>>> {
    let path = format!("lib/modules/{release}/{list}");
    let Ok(path) = RelPath::parse(&path) else { return Ok(None) };
    let Some(text) = root.read_text(path, TABLE)? else { return Ok(None) };
    let names = text.lines().map(|line| {
        let file = line.split(':').next().unwrap_or_default();
        let name = file.rsplit('/').next().unwrap_or_default();
        plain(name.split(".ko").next().unwrap_or_default())
    });
    Ok(Some(Set::from(names.gather::<Vec<_>>())))
}

/// Module names are equal up to `-` and `_`. Up to case, too, for us: `xt_MARK` and `xt_mark` were joined long ago.
fn plain(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

/// `/proc/config.gz`, else `/boot/config-RELEASE`.
fn options(root: &Root, release: &str) -> Result<Option<Map<String, char>>> {
    let Some(packed) = root.read(RelPath::literal("proc/config.gz"), TABLE)? else {
        return boot_options(root, release);
    };
    let mut reader = edgelay_codec::Gzip::new(packed.as_slice());
    // A damaged file is no evidence, so what was read up to the fault is not used either.
    let text = feed::first(&mut reader, TABLE).ok();
    Ok(text.map(|text| parse_options(&String::from_utf8_lossy(&text))))
}

fn boot_options(root: &Root, release: &str) -> Result<Option<Map<String, char>>> {
    let path = format!("boot/config-{release}");
    let text = RelPath::parse(&path).ok().map(|path| root.read_text(path, TABLE)).transpose()?.flatten();
    Ok(text.map(|text| parse_options(&text)))
}

fn parse_options(text: &str) -> Map<String, char> {
    let set = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
        let value = value.chars().next().filter(|c| matches!(c, 'y' | 'm'))?;
        Some((name.to_owned(), value))
    });
    set.gather()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn states(tree: Tree) -> Vec<(&'static str, State)> {
        let root = tree.file("proc/sys/kernel/osrelease", "6.1.0-edge\n");
        let root = root.root();
        let kernel = Kernel::load(&root).unwrap();
        FEATURES.iter().map(|feature| (feature.name, kernel.state(feature))).collect()
    }

    fn named(states: &[(&'static str, State)], state: State) -> Vec<&'static str> {
        states.iter().filter(|(_, s)| *s == state).map(|(name, _)| *name).collect()
    }

    #[test]
    fn without_any_evidence_nothing_is_claimed() {
        let all = states(Tree::new());
        assert_eq!(named(&all, State::Unknown).len(), FEATURES.len());
    }

    #[test]
    fn module_lists() {
        let dep = "kernel/fs/overlayfs/overlay.ko.xz:\nkernel/net/netfilter/xt_mark.ko: kernel/x.ko\n\
            kernel/net/ipv4/netfilter/ipt_MASQUERADE.ko.zst:\nkernel/net/netfilter/nft-compat.ko:\n";
        let tree = Tree::new()
            .file("usr/lib/modules/6.1.0-edge/modules.dep", dep)
            .file("usr/lib/modules/6.1.0-edge/modules.builtin", "kernel/net/bridge/bridge.ko\n")
            .link("lib", "usr/lib")
            .dir("sys/module/veth")
            .dir("proc/sys/net/bridge")
            .file("proc/net/ip_tables_matches", "comment\nconntrack\n");
        let all = states(tree);
        let present = [
            "overlay",
            "veth",
            "bridge",
            "br_netfilter",
            "iptables nat",
            "xt_MASQUERADE",
            "xt_comment",
            "xt_mark",
            "xt_conntrack",
        ];
        assert_eq!(named(&all, State::Present), present);
        assert_eq!(named(&all, State::Unknown), ["namespaces"]);
        assert_eq!(named(&all, State::Absent), ["nf_conntrack", "nf_nat", "xt_addrtype", "xt_multiport"]);
    }

    #[test]
    fn the_configuration_decides_where_there_are_no_modules() {
        let config =
            "CONFIG_NET_NS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_VETH=m\n# CONFIG_NF_NAT is not set\nCONFIG_BRIDGE=y\n";
        let all = states(Tree::new().file("boot/config-6.1.0-edge", config).file("proc/filesystems", "nodev\tproc\n"));
        assert_eq!(named(&all, State::Present), ["namespaces", "overlay", "bridge"]);
        assert_eq!(named(&all, State::Unknown), [""; 0]);

        let gz = Tree::new().file("proc/config.gz", "not gzip");
        assert_eq!(named(&states(gz), State::Unknown).len(), FEATURES.len());
    }

    #[test]
    fn installed_kernels_are_judged_by_their_own_files() {
        let dep = "kernel/fs/overlayfs/overlay.ko.xz:\nkernel/drivers/net/veth.ko:\n";
        let tree = Tree::new()
            .file("lib/modules/6.1.0-a/modules.dep", dep)
            .file("lib/modules/6.1.0-a/modules.builtin", "")
            .file("lib/modules/5.0.0-b/kernel/x.ko", "")
            .dir("sys/module/bridge")
            .file("proc/filesystems", "nodev\toverlay\n");
        let root = tree.root();
        let kernels = Kernel::installed(&root).unwrap();
        let [kernel] = kernels.as_slice() else { panic!("{kernels:?}") };
        let all: Vec<_> = FEATURES.iter().map(|feature| (feature.name, kernel.state(feature))).collect();
        assert_eq!((kernel.release.as_str(), named(&all, State::Present)), ("6.1.0-a", vec!["overlay", "veth"]));
        assert_eq!(named(&all, State::Unknown), ["namespaces"]);
    }

    /// The machine that runs the tests has containers, so it has these.
    #[test]
    fn this_machine() {
        let root = Root::open(std::path::Path::new("/")).unwrap();
        let kernel = Kernel::load(&root).unwrap();
        assert!(kernel.major() >= 4, "{}", kernel.release);
        let state = |name| kernel.state(FEATURES.iter().find(|f| f.name == name).unwrap());
        assert_eq!((state("namespaces"), state("overlay")), (State::Present, State::Present));
    }
}
