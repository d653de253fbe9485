//! The images of a further node, in k3s's store before k3s starts: its kubelet looks for them at once, and for one that
//! it does not find again only after a while. A node may not hold its pods back by a taint, as a server can.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Data;
use crate::containerd::health;
use crate::containerd::private::Release;
use crate::error::Result;
use crate::exec::{Cmd, Exec};
use crate::host::SMALL;
use crate::ids::RelPath;
use crate::k3s::{CARRIED, DATA, OWN_CONFIG, PROGRAM, SOCKET};
use crate::plan::{Cx, Status, Step};
use crate::root::{Root, Type};
use crate::service::{Manager, Service};
use crate::steps::{Images, preload};

/// Which images were put into the store.
const FACT: &str = "preloaded";
/// Before that digest: they were not, as this k3s is of another make.
const LATER: &str = "later ";
/// The root directory of k3s's containerd.
const STORE: RelPath<'static> = RelPath::literal("var/lib/rancher/k3s/agent/containerd");
/// k3s's secrets lie beside it.
const AGENT: RelPath<'static> = RelPath::literal("var/lib/rancher/k3s/agent");
/// For 250 MB to an SD card.
const UNPACK: Duration = Duration::from_secs(300);
/// Settings of the user's by which k3s's containerd would have its images elsewhere.
const ELSEWHERE: [&str; 2] = ["data-dir", "snapshotter"];

/// The step. It bears the name of [`Images`], whose work it does.
#[derive(Debug)]
pub struct WorkerImages {
    images: Images,
    service: (Manager, Service),
    data: Data,
}

impl WorkerImages {
    /// `images` by way of the socket, for a k3s that runs as this service; `data`: what becomes of its data.
    pub fn new(images: Images, service: (Manager, Service), data: Data) -> Self {
        WorkerImages { images, service, data }
    }

    fn runs() -> bool {
        health::answers(Path::new(SOCKET)).is_ok()
    }

    /// With the containerd that k3s carries. `false`: there is none that would do.
    fn put_in(&self, cx: &mut Cx<'_>) -> Result<bool> {
        // A k3s that waits for its server, or to be started again, would open the same store.
        cx.services(self.service.0).stop(&self.service.1)?;
        cx.will_make(DATA)?;
        let program = match carried(cx.root, cx.exec)? {
            Ok(program) => program,
            Err(why) => {
                cx.report.warn(&format!("{why}: the images follow when k3s runs, and pods may fail until then"));
                return Ok(false);
            }
        };
        for dir in [AGENT, STORE] {
            cx.root.mkdir(dir, 0o700)?;
        }
        preload::fill(self.images.all(), &program, STORE, cx)?;
        self.images.tell(cx.report);
        Ok(true)
    }
}

impl Step for WorkerImages {
    fn id(&self) -> &'static str {
        self.images.id()
    }

    fn summary(&self) -> String {
        format!("{} before k3s starts", self.images.summary())
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if Self::runs() {
            return self.images.check(cx);
        }
        let (noted, wanted) = (cx.journal.fact(FACT).unwrap_or_default(), preload::version(self.images.all()));
        Ok(if noted.strip_prefix(LATER) == Some(wanted.as_str()) {
            Status::Unknown("they follow when k3s runs".to_owned())
        } else if noted != wanted {
            Status::todo("the images were not put in to the end")
        } else if preload::is_empty(STORE, cx)? {
            Status::todo("k3s's store is empty")
        } else {
            Status::Done
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let version = preload::version(self.images.all());
        let there = if Self::runs() { self.images.apply(cx).map(|()| true) } else { self.put_in(cx) }?;
        cx.journal.remember(FACT, &if there { version } else { format!("{LATER}{version}") })
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        // Where k3s has run, this is done already.
        cx.remove_made(|path| path == DATA.as_str() && self.data == Data::Purge)?;
        cx.journal.forget(FACT)
    }
}

/// The containerd that k3s will run, unpacked; inside: why none is known.
fn carried(root: &Root, exec: &mut dyn Exec) -> Result<std::result::Result<PathBuf, String>> {
    if let Some(why) = elsewhere(root)? {
        return Ok(Err(why));
    }
    // Whatever tool of its own it is to run, it unpacks first.
    let said = exec.succeed(&Cmd::new(PROGRAM, &["ctr", "--version"]).limit(UNPACK)).map_err(|e| {
        e.hint(format_args!(
            "k3s needs room below '{DATA}', where it unpacks its programs, and programs must be allowed to run there"
        ))
    })?;
    let Some(release) = Release::of_program("ctr", &said.stdout) else {
        return Ok(Err("this k3s does not tell the version of its ctr".to_owned()));
    };
    // Its link `current` may point to another release: k3s turns it when it unpacks, not when it comes back to one.
    for name in &root.list_or_empty(CARRIED)? {
        let path = format!("{CARRIED}/{name}/bin/containerd");
        // Not all that lies there is a directory.
        let there = RelPath::from_absolute(&path).ok().and_then(|path| root.stat(path).ok().flatten());
        if there.is_some_and(|meta| meta.kind == Type::File)
            && let Ok(output) = exec.run(&Cmd::new(&path, &["--version"]))
            && Release::of_program("containerd", &output.stdout) == Some(release)
        {
            return Ok(Ok(PathBuf::from(path)));
        }
    }
    Ok(Err(format!("this k3s did not unpack a containerd {release} below '{CARRIED}'")))
}

/// Why the images would not be found where they were put.
fn elsewhere(root: &Root) -> Result<Option<String>> {
    for name in &root.list_or_empty(OWN_CONFIG)? {
        let path = format!("{OWN_CONFIG}/{name}");
        let Ok(rel) = RelPath::from_absolute(&path) else { continue };
        let text = root.read_text(rel, SMALL).ok().flatten().unwrap_or_default();
        if let Some(key) = ELSEWHERE
            .iter()
            .find(|key| text.lines().any(|line| line.trim_start_matches([' ', '"', '\'']).starts_with(**key)))
        {
            return Ok(Some(format!("'{path}' sets '{key}'")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;

    const UNPACKED: &str = "/usr/local/bin/k3s ctr --version";
    const SAID: &str = "ctr github.com/k3s-io/containerd/v2 v2.1.5-k3s1\n";

    #[test]
    fn the_containerd_that_belongs_to_this_k3s() {
        let told = |release: &str| format!("containerd github.com/k3s-io/containerd/v2 {release} abc\n");
        let (_dir, root) = Root::scratch();
        let at = |name: &str| format!("{CARRIED}/{name}/bin/containerd");
        let put = |path: &str| root.write(RelPath::from_absolute(path).unwrap(), 0o755, b"x").map(drop).unwrap();
        // No directory, one of an older release, one without a containerd, one that does not run.
        put(&format!("{CARRIED}/.lock"));
        ["aaa", "bbb", "ccc", "ddd"].iter().for_each(|name| put(&at(name)));
        root.mkdir(RelPath::literal("var/lib/rancher/k3s/data/cni"), 0o755).unwrap();
        let asked = |ours: &str| {
            let script = Script::default().expect(UNPACKED, 0, ours).expect(
                &format!("{} --version", at("aaa")),
                0,
                &told("v2.1.4-k3s2"),
            );
            script.expect(&format!("{} --version", at("bbb")), 1, "").expect(
                &format!("{} --version", at("ccc")),
                0,
                &told("v2.1.5-k3s1"),
            )
        };
        let mut script = asked(SAID);
        assert_eq!(carried(&root, &mut script).unwrap(), Ok(PathBuf::from(at("ccc"))));
        assert!(script.done());
        let mut script = asked("ctr github.com/k3s-io/containerd/v2 v2.0.0\n").expect(
            &format!("{} --version", at("ddd")),
            0,
            "what?",
        );
        let why = format!("this k3s did not unpack a containerd 2.0.0 below '{CARRIED}'");
        assert_eq!(carried(&root, &mut script).unwrap(), Err(why));
        let mut script = Script::default().expect(UNPACKED, 0, "ctr\n");
        assert_eq!(carried(&root, &mut script).unwrap(), Err("this k3s does not tell the version of its ctr".into()));
        let mut script = Script::default().expect(UNPACKED, 1, "extracting data: no space left on device");
        let e = carried(&root, &mut script).unwrap_err();
        assert_eq!(e.kind().exit_code(), 6);
        assert!(e.to_string().ends_with("no space left on device") && e.hint_text().is_some(), "{e}");
    }

    #[test]
    fn a_store_that_is_elsewhere_is_left_alone() {
        let (_dir, root) = Root::scratch();
        let own = |text: &str| {
            root.write(RelPath::literal("etc/rancher/k3s/config.yaml.d/own.yaml"), 0o600, text.as_bytes()).map(drop)
        };
        own("# snapshotter\nkubelet-arg:\n- max-pods=20\n").unwrap();
        assert_eq!(elsewhere(&root).unwrap(), None);
        for (text, key) in [("data-dir: /mnt\n", "data-dir"), ("debug: true\n\"snapshotter\": native\n", "snapshotter")]
        {
            own(text).unwrap();
            let why = format!("'/etc/rancher/k3s/config.yaml.d/own.yaml' sets '{key}'");
            assert_eq!(carried(&root, &mut Script::default()).unwrap(), Err(why));
        }
    }
}
