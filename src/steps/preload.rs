//! Puts the bundle's images into the store of a system that does not run, with a containerd of this machine.
//!
//! It is a containerd of our own on the target's store, with a directory of its own for all else, and it ends with the
//! step. The next start of the target's containerd finds the images complete and unpacked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::containerd::import::{self, Options, View};
use crate::containerd::private::{self, Release, SOCKET_NAME};
use crate::containerd::{Client, config};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::exec::{Cmd, Exec, Host, Tied, find, shorten};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::note;
use crate::oci::Image;
use crate::plan::{Cx, Status, Step};
use crate::root::Root;

use super::images::Told;

/// A database of hundred images opens in a second from an SD card.
const LIMIT: Duration = Duration::from_secs(60);
/// Which images were put into the store.
const FACT: &str = "preloaded";
/// Below containerd's root.
const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
const CONFIG: RelPath<'static> = RelPath::literal("config.toml");
const LOG: RelPath<'static> = RelPath::literal("log");

/// Which containerd of this machine may do it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Directory to take it from, and no other.
    pub given: Option<PathBuf>,
    /// The target's own program, below the target's root, where this machine's processor can run it.
    pub own: Option<String>,
    /// Release of the target's containerd; no newer one may touch its store.
    pub newest: Option<Release>,
}

/// The step. It bears the name of [`super::Images`], whose work it does.
#[derive(Debug)]
pub struct Preload {
    images: Vec<Image>,
    line: Line,
    root: String,
}

impl Preload {
    /// Imports `images`, in this order, into the containerd whose data will lie in `root`.
    pub fn new(images: Vec<Image>, line: Line, root: RelPath<'_>) -> Self {
        Preload { images, line, root: root.as_str().to_owned() }
    }

    fn root(&self) -> RelPath<'_> {
        RelPath::parse(&self.root).unwrap_or(config::ROOT)
    }
}

/// All that is in a store with `images`.
pub(super) fn version(images: &[Image]) -> String {
    let lines = images.iter().map(|image| format!("{} {}\n", image.manifest.digest, image.label()));
    Digest::of(lines.gather::<String>().as_bytes()).to_string()
}

/// Whether no containerd has ever closed a database in the store `root`.
pub(super) fn is_empty(root: RelPath<'_>, cx: &Cx<'_>) -> Result<bool> {
    let database = format!("{root}/{DATABASE}");
    let database = RelPath::from_absolute(&database).lift(Kind::Bug, || "containerd's database".to_owned())?;
    Ok(cx.root.stat(database)?.is_none_or(|meta| meta.size == 0))
}

/// Imports `images` into the store `root`, which nobody has open, with `program`, a containerd of this machine.
pub(super) fn fill(images: &[Image], program: &Path, root: RelPath<'_>, cx: &mut Cx<'_>) -> Result<()> {
    let line = Root::open(Path::new("/"))?;
    let place = Place::make(&line, cx.root)?;
    let store = cx.root.real(root)?;
    let mut daemon = place.start(program, &store, cx)?;
    let imported = place.wait(&mut daemon, cx).and_then(|()| import_all(images, &place, &store, cx));
    let stopped = daemon.stop();
    imported.and(stopped).map_err(|e| place.explain(e))?;
    // What it wrote when it closed its databases.
    cx.root.sync_fs(root)
}

fn import_all(images: &[Image], place: &Place<'_>, store: &Path, cx: &mut Cx<'_>) -> Result<()> {
    let mut client = Client::connect(&place.socket())?;
    let mut told = Told { report: cx.report, done: 0, total: import::total(images) };
    let Some(blobs) = cx.blobs.as_deref_mut() else {
        return Err(super::images::no_bundle("the images"));
    };
    let options = Options { view: View::Files(store), ..Options::new(cx.clock) };
    import::import(&mut client, images, blobs, &options, &mut told).map(|_| ())
}

impl Step for Preload {
    fn id(&self) -> &'static str {
        "images"
    }

    fn summary(&self) -> String {
        format!("put {} images into the store{}", self.images.len(), config::elsewhere(&self.root))
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        // The fact is noted when all is synced, and nobody but us has been at the store of a system that never ran.
        if is_empty(self.root(), cx)? {
            return Ok(Status::todo("the store is empty"));
        }
        Ok(match cx.journal.fact(FACT) {
            Some(version) if version == self::version(&self.images) => Status::Done,
            Some(_) => Status::todo("the store holds the images of another bundle"),
            None => Status::todo("the images were not put in to the end"),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let line = Root::open(Path::new("/"))?;
        let program = self.line.choose(&line, cx)?;
        cx.will_make(self.root())?;
        cx.root.mkdir(self.root(), 0o711)?;
        fill(&self.images, &program, self.root(), cx)?;
        cx.journal.remember(FACT, &version(&self.images))
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.remove_made(|path| path == self.root)?;
        cx.journal.forget(FACT)
    }
}

impl Line {
    /// The first that runs here and is not newer than the target's.
    fn choose(&self, line: &Root, cx: &Cx<'_>) -> Result<PathBuf> {
        let mut exec = Host::new(line, cx.clock);
        let mut refused = Vec::new();
        for program in self.candidates(line, cx.root) {
            match self.judge(&program, &mut exec) {
                Ok(release) => {
                    note::debug(format_args!("'{}' is containerd {release}", program.display()));
                    return Ok(program);
                }
                Err(why) => refused.push(format!("'{}' {why}", program.display())),
            }
        }
        if refused.is_empty() {
            refused.push("none is here".to_owned());
        }
        let newest = self.newest.map_or(String::new(), |release| format!(", which is {release}"));
        let what = format!("no containerd can fill the store of the target's{newest}: {}", refused.join("; "));
        Err(Error::new(Kind::Host, what).hint(
            "name the directory of one of that release or an older one with --line-containerd, \
             or leave the images to the first boot with --images first-boot",
        ))
    }

    fn candidates(&self, line: &Root, target: &Root) -> Vec<PathBuf> {
        if let Some(dir) = &self.given {
            let places = [dir.join("containerd"), dir.join("bin/containerd")];
            let there = places.iter().find(|program| program.is_file()).or(places.first());
            return there.cloned().into_iter().gather();
        }
        let own = self.own.as_deref().and_then(|path| target.real(RelPath::parse(path).ok()?).ok());
        own.into_iter().chain(find(line, "containerd")).gather()
    }

    fn judge(&self, program: &Path, exec: &mut dyn Exec) -> std::result::Result<Release, String> {
        let cmd = Cmd::new(&program.display().to_string(), &["--version"]).limit(Duration::from_secs(20));
        let output = exec.run(&cmd).map_err(|e| format!("does not run here: {e}"))?;
        let said = || shorten(&output.last_words(), 200);
        let release = Release::of_program("containerd", &output.stdout).filter(|_| output.code == 0);
        let release = release.ok_or_else(|| format!("does not tell its version: {}", said()))?;
        match self.newest {
            Some(newest) if release > newest => Err(format!("is {release}, which is newer")),
            // The target's own, whatever the bundle calls it.
            None if self.given.is_some() || self.own.is_none() => {
                Err(format!("is {release}, but the bundle does not tell the target's"))
            }
            _ => Ok(release),
        }
    }
}

/// A directory of this machine for all that is not the store: private, named after the target, gone afterwards.
struct Place<'a> {
    line: &'a Root,
    dir: String,
}

impl<'a> Place<'a> {
    /// What a killed run on this target left is removed first; the target's lock keeps others out.
    fn make(line: &'a Root, target: &Root) -> Result<Self> {
        let dir = format!("run/edgelay/stage-{}", target.id()?);
        let place = Place { line, dir };
        place.clear()?;
        line.mkdir(place.path()?, 0o700)?;
        Ok(place)
    }

    fn path(&self) -> Result<RelPath<'_>> {
        RelPath::parse(&self.dir).map_err(|e| Error::new(Kind::Bug, format_args!("directory '{}': {e}", self.dir)))
    }

    fn clear(&self) -> Result<()> {
        self.line.remove_tree(self.path()?)?;
        self.line.remove_empty_dir(RelPath::literal("run/edgelay")).map(|_| ())
    }

    fn absolute(&self) -> PathBuf {
        Path::new("/").join(&self.dir)
    }

    fn socket(&self) -> PathBuf {
        self.absolute().join(SOCKET_NAME)
    }

    fn start(&self, program: &Path, store: &Path, cx: &Cx<'_>) -> Result<Tied> {
        let root = Root::open(&self.absolute())?;
        root.mkdir(RelPath::literal("tmp"), 0o700)?;
        root.write(CONFIG, 0o600, private::render(&self.absolute(), store)?.as_bytes())?;
        let config = root.absolute(CONFIG).display().to_string();
        let cmd = Cmd::new(&program.display().to_string(), &["--config", &config]);
        Tied::start(&mut Host::new(&root, cx.clock), cmd, LOG).doing(|| "start a containerd for the store".into())
    }

    fn wait(&self, daemon: &mut Tied, cx: &Cx<'_>) -> Result<()> {
        let socket = self.socket();
        wait_for(cx.clock, "a containerd for the store", LIMIT, || {
            if let Some(how) = daemon.ended() {
                return Err(Error::new(
                    Kind::Runtime,
                    format_args!("the containerd for the store did not start: {how}"),
                ));
            }
            let version = Client::connect(&socket).and_then(|mut client| Ok(client.version()?));
            Ok(version.map_or_else(|e| Probe::NotYet(e.to_string()), |_| Probe::Ready))
        })
    }

    /// The error with what the daemon said last.
    fn explain(&self, e: Error) -> Error {
        let log = Root::open(&self.absolute()).and_then(|root| root.read_text(LOG, 1 << 20));
        match log.ok().flatten().filter(|said| e.kind() == Kind::Runtime && !said.trim().is_empty()) {
            None => e,
            Some(said) => {
                let hint = e.hint_text().unwrap_or("see what it says, mend it and run again").to_owned();
                Error::new(Kind::Runtime, format_args!("{e}; its last words: {}", shorten(said.trim(), 1000)))
                    .hint(hint)
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.clear() {
            note::debug(format_args!("{e}, ignoring: it is below /run, and the next run on this target removes it"));
        }
    }
}
