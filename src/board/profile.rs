//! A profile with its types, from a JSON text that was checked against [`FORM`].

use std::cell::OnceCell;
use std::str::FromStr;

use super::form::{FORM, SCHEMA};
use super::identity::Source;
use super::memory::Class;
use crate::error::{Error, Kind, Result};
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, BadName, RelPath};
use crate::json::{Data, JsonError, Member, Place, Value};

/// What one kind of board is.
#[derive(Debug)]
pub struct Profile {
    /// Its name in files and settings: `raspberry-pi-4`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The profile that it says the differences to.
    pub base: Option<String>,
    /// Its processor.
    pub architecture: Arch,
    /// How it is known; without rules it only serves as a base, or is chosen by hand.
    pub rules: Option<Rules>,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its storage.
    pub storage: Storage,
    /// What an installer that runs from elsewhere may write to.
    pub target: Target,
    /// Which iptables its kernels serve.
    pub iptables: Iptables,
    /// Whether a clock runs on while it is off.
    pub rtc: bool,
    /// Its memory class where all of its kind have one; else by what is found.
    pub memory_class: Option<Class>,
    /// What tells it from others of its kind, the best first.
    pub identity: Vec<Source>,
    /// Further values that its vendor puts where a serial number belongs, in lower case.
    pub junk: Vec<String>,
    /// What is odd about it.
    pub quirks: Vec<Quirk>,
    /// The whole of it as JSON, base included.
    pub value: Value,
    /// Whether it is not one of those that are built in.
    pub is_added: bool,
}

/// How a board is known. Without any rule: any board of its processor that no other profile knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Any of these in the device tree's `compatible`.
    pub compatible: Vec<String>,
    /// All fields of any of these.
    pub dmi: Vec<Rule>,
}

/// DMI fields and what they hold, with at most one `*` each.
pub type Rule = Vec<(String, String)>;

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Files that may hold its arguments; the first that is there does.
    pub arguments_in: Vec<ArgumentFile>,
    /// Arguments without which its memory cgroup is off.
    pub memory_cgroup: Vec<String>,
    /// Modules that it needs beyond those that every node needs.
    pub modules: Vec<String>,
}

/// A file that holds the kernel's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentFile {
    path: String,
    /// How they stand in it.
    pub format: Format,
}

impl ArgumentFile {
    /// Where it is.
    pub fn path(&self) -> Option<RelPath<'_>> {
        RelPath::from_absolute(&self.path).ok()
    }
}

/// How the kernel's arguments stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line of arguments and nothing else: `cmdline.txt` of a Raspberry Pi.
    Line,
    /// `APPEND` lines of extlinux.conf.
    Extlinux,
    /// A file of ours that GRUB's configuration takes in: `/etc/default/grub.d/*.cfg`. Needs `update-grub` or the like.
    Grub,
    /// `extraargs=` of armbianEnv.txt.
    Armbian,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Line, Format::Extlinux, Format::Grub, Format::Armbian];

    /// The word in a profile.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Line => "line",
            Format::Extlinux => "extlinux",
            Format::Grub => "grub",
            Format::Armbian => "armbian",
        }
    }
}

/// The storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Absolute paths that keep what is written to them over a reboot; `/` is all.
    pub persistent: Vec<String>,
    /// Where containerd's images belong, an absolute path.
    pub containerd_root: String,
    /// Whether the root file system cannot be written to while it runs.
    pub read_only_root: bool,
    /// Where programs go, an absolute path.
    pub prefix: String,
}

impl Storage {
    /// Whether what is written to `path` (absolute) is still there after a reboot.
    pub fn keeps(&self, path: &str) -> bool {
        let below = |dir: &String| {
            let dir = dir.trim_end_matches('/');
            path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.persistent.iter().any(below)
    }
}

/// What an installer that runs from a stick may write to: the one partition that lies on one of `disks`, holds one of
/// `file_systems` and has one of `labels`. None, or more than one, is a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Kernel names of whole disks, each with at most one `*`: `mmcblk*`.
    pub disks: Vec<String>,
    /// Labels of the file system, or names of the partition in a GPT; the first that is found wins.
    pub labels: Vec<String>,
    /// Kinds of file systems: `ext4`.
    pub file_systems: Vec<String>,
}

impl Target {
    /// Whether a disk of this kernel name (`mmcblk0`) may be written to.
    pub fn allows_disk(&self, name: &str) -> bool {
        self.disks.iter().any(|pattern| fits(pattern, name))
    }
}

/// Which iptables a kernel serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iptables {
    /// Either; what is installed decides.
    Any,
    /// Only the old interface: nf_tables or its compatibility layer is missing.
    Legacy,
    /// Only nf_tables.
    Nft,
}

impl Iptables {
    /// Every one of them.
    pub const ALL: [Iptables; 3] = [Iptables::Any, Iptables::Legacy, Iptables::Nft];

    /// The word in a profile.
    pub const fn word(self) -> &'static str {
        match self {
            Iptables::Any => "any",
            Iptables::Legacy => "legacy",
            Iptables::Nft => "nft",
        }
    }
}

/// Something odd, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirk {
    /// What it is, and what it leads to.
    pub what: String,
    /// An issue, a manual.
    pub see: String,
}

/// Whether `text` is `pattern`, in which one `*` stands for anything.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

/// What messages call one that is built in.
pub(super) const BUILT_IN: &str = "built in";

/// A name: lower-case letters, digits and single `-` between them.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= 40 && text.split('-').all(plain)
}

impl Profile {
    /// From JSON with its base already in it; `name` is for messages.
    pub(super) fn from_value(value: Value, name: &str) -> Result<Profile> {
        let faults = FORM.check(&value);
        let checked = match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => read(value),
        };
        let mut profile = checked.map_err(|e| fault(name, &e))?;
        profile.is_added = name != BUILT_IN;
        Ok(profile)
    }

    /// The memory class of a board of this kind with so many bytes.
    pub fn class(&self, bytes: u64) -> Class {
        self.memory_class.unwrap_or(Class::of(bytes))
    }
}

/// A fault in the profile `name`.
pub(super) fn fault(name: &str, e: &JsonError) -> Error {
    Error::new(Kind::Config, format_args!("board profile '{name}': {e}"))
        .hint("board-profiles/README.md has every key; 'edgelay board check FILE' tries a file")
}

fn read(value: Value) -> std::result::Result<Profile, JsonError> {
    let reader = Reader { fault: OnceCell::new() };
    let profile = reader.profile(value);
    match reader.fault.into_inner() {
        Some(fault) => Err(fault),
        None => Ok(profile),
    }
}

/// DMI fields that do not name a single machine (below `/sys/class/dmi/id`).
pub(super) const DMI: [&str; 7] =
    ["sys_vendor", "product_name", "product_version", "product_family", "board_vendor", "board_name", "chassis_type"];

/// Stands for what is missing.
static NOTHING: Value = Value { place: Place::START, data: Data::Null };

/// The member `key` of what may not be there itself.
fn member<'v>(value: Option<&'v Value>, key: &str) -> Option<&'v Value> {
    value.and_then(|value| value.get(key))
}

fn stars(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| *byte == b'*').count()
}

/// Keeps the first fault and reads on, with something empty for what is wrong: of a profile with a fault nothing counts.
struct Reader {
    fault: OnceCell<JsonError>,
}

impl Reader {
    fn note(&self, fault: JsonError) {
        // Ignoring: there is one already, and that is the one to tell.
        let _ = self.fault.set(fault);
    }

    /// `path` leads to what is wrong, the innermost key first.
    fn wrong(&self, place: Place, what: &str, path: &[&str]) {
        let mut fault = JsonError::at(place, what.to_owned());
        for key in path {
            fault = fault.inside(key);
        }
        self.note(fault);
    }

    fn profile(&self, whole: Value) -> Profile {
        let value = &whole;
        self.schema(self.need(value, "schema"));
        Profile {
            id: self.id(self.need(value, "id")),
            rules: value.get("match").map(|rules| self.rules(rules)),
            name: self.text(self.need(value, "name")),
            base: value.get("base").map(|base| self.text(base)),
            architecture: self.parsed(self.need(value, "architecture"), "architecture").unwrap_or(Arch::Amd64),
            kernel: self.kernel(value.get("kernel")),
            storage: self.storage(value.get("storage")),
            target: self.target(value.get("target")),
            iptables: self.iptables(value.get("iptables")),
            rtc: self.flag(value.get("rtc")),
            memory_class: value.get("memory_class").and_then(|class| self.parsed(class, "memory_class")),
            identity: self.identity(value.get("identity")),
            junk: self.texts(value.get("junk")).iter().map(|text| text.to_ascii_lowercase()).gather(),
            quirks: self.quirks(value.get("quirks")),
            value: whole,
            is_added: false,
        }
    }

    fn schema(&self, schema: &Value) {
        match schema.whole() {
            Ok(SCHEMA) => {}
            Ok(_) => {
                let what = format!("must be {SCHEMA}, the only version there is");
                self.wrong(schema.place, &what, &["schema"]);
            }
            Err(fault) => self.note(fault),
        }
    }

    fn id(&self, value: &Value) -> String {
        let id = self.text(value);
        if !is_id(&id) {
            let what = "must be at most 40 lower-case letters and digits, in parts joined by '-'";
            self.wrong(value.place, what, &["id"]);
        }
        id
    }

    fn rules(&self, rules: &Value) -> Rules {
        const PATH: [&str; 2] = ["dmi", "match"];
        let mut dmi = Vec::new();
        for rule in self.items(rules.get("dmi")) {
            let mut fields = Vec::new();
            for field in self.members(rule) {
                if !DMI.contains(&field.key.as_str()) {
                    self.wrong(field.place, &format!("must have the fields {} only", DMI.join(", ")), &PATH);
                }
                let pattern = self.text(&field.value);
                if stars(&pattern) > 1 {
                    self.wrong(field.place, "must have at most one '*' in a field", &PATH);
                }
                fields.push((field.key.clone(), pattern));
            }
            if fields.is_empty() {
                self.wrong(rule.place, "must name a field", &PATH);
            }
            dmi.push(fields);
        }
        Rules { compatible: self.texts(rules.get("compatible")), dmi }
    }

    fn kernel(&self, kernel: Option<&Value>) -> Kernel {
        let mut arguments_in = Vec::new();
        for file in self.items(member(kernel, "arguments_in")) {
            let format = self.need(file, "format");
            let format = self.one_of(format, "format", &Format::ALL.map(Format::word));
            let format = format.and_then(|at| Format::ALL.get(at).copied()).unwrap_or(Format::Line);
            let path = self.need(file, "path");
            arguments_in.push(ArgumentFile { path: self.path(path, &[]), format });
        }
        let memory_cgroup = self.words(kernel, "memory_cgroup");
        Kernel { arguments_in, memory_cgroup, modules: self.words(kernel, "modules") }
    }

    fn words(&self, kernel: Option<&Value>, key: &str) -> Vec<String> {
        let words = self.texts(member(kernel, key));
        for word in &words {
            let bad = word.bytes().any(|c| !c.is_ascii_graphic() || b"\"'$\\`".contains(&c));
            if let (Some(kernel), true) = (kernel, bad || word.is_empty()) {
                self.wrong(kernel.place, &format!("must have plain words in '{key}'"), &["kernel"]);
            }
        }
        words
    }

    fn storage(&self, storage: Option<&Value>) -> Storage {
        let mut persistent = Vec::new();
        for dir in self.items(member(storage, "persistent")) {
            let root = matches!(&dir.data, Data::Text(text) if text == "/");
            persistent.push(if root { "/".to_owned() } else { self.path(dir, &[]) });
        }
        if member(storage, "persistent").is_none() {
            persistent.push("/".to_owned());
        }
        Storage {
            persistent,
            containerd_root: self.dir(storage, "containerd_root", "/var/lib/containerd"),
            read_only_root: self.flag(member(storage, "read_only_root")),
            prefix: self.dir(storage, "prefix", "/usr/local"),
        }
    }

    fn dir(&self, storage: Option<&Value>, key: &str, default: &str) -> String {
        match member(storage, key) {
            Some(at) => self.path(at, &["storage"]),
            None => default.to_owned(),
        }
    }

    fn target(&self, target: Option<&Value>) -> Target {
        let disks = self.texts(member(target, "disks"));
        if let (Some(target), true) = (target, disks.iter().any(|name| stars(name) > 1)) {
            self.wrong(target.place, "must have at most one '*' in a name", &["disks", "target"]);
        }
        Target {
            disks,
            labels: self.texts(member(target, "labels")),
            file_systems: self.texts(member(target, "file_systems")),
        }
    }

    fn iptables(&self, word: Option<&Value>) -> Iptables {
        let known = word.and_then(|word| self.one_of(word, "iptables", &Iptables::ALL.map(Iptables::word)));
        known.and_then(|at| Iptables::ALL.get(at).copied()).unwrap_or(Iptables::Any)
    }

    fn identity(&self, sources: Option<&Value>) -> Vec<Source> {
        let mut identity = Vec::new();
        for source in self.items(sources) {
            identity.add_all(self.parsed(source, "identity"));
        }
        identity
    }

    fn quirks(&self, quirks: Option<&Value>) -> Vec<Quirk> {
        let mut all = Vec::new();
        for quirk in self.items(quirks) {
            let what = self.text(self.need(quirk, "what"));
            all.push(Quirk { what, see: self.text(self.need(quirk, "see")) });
        }
        all
    }

    fn need<'v>(&self, value: &'v Value, key: &'static str) -> &'v Value {
        value.need(key).unwrap_or_else(|fault| {
            self.note(fault);
            &NOTHING
        })
    }

    fn text(&self, value: &Value) -> String {
        match value.text() {
            Ok(text) => text.to_owned(),
            Err(fault) => {
                self.note(fault);
                String::new()
            }
        }
    }

    fn flag(&self, value: Option<&Value>) -> bool {
        value.is_some_and(|value| {
            value.flag().unwrap_or_else(|fault| {
                self.note(fault);
                false
            })
        })
    }

    fn items<'v>(&self, list: Option<&'v Value>) -> &'v [Value] {
        match list.map(Value::items) {
            Some(Ok(items)) => items,
            Some(Err(fault)) => {
                self.note(fault);
                &[]
            }
            None => &[],
        }
    }

    fn members<'v>(&self, object: &'v Value) -> &'v [Member] {
        object.members().unwrap_or_else(|fault| {
            self.note(fault);
            &[]
        })
    }

    fn texts(&self, list: Option<&Value>) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.items(list) {
            texts.push(self.text(item));
        }
        texts
    }

    /// An absolute path without tricks.
    fn path(&self, value: &Value, inside: &[&str]) -> String {
        let text = self.text(value);
        if let Err(e) = RelPath::from_absolute(&text) {
            self.wrong(value.place, &format!("'{}' {e}", text.escape_debug()), inside);
        }
        text
    }

    fn parsed<T: FromStr<Err = BadName>>(&self, value: &Value, key: &str) -> Option<T> {
        match self.text(value).parse() {
            Ok(parsed) => Some(parsed),
            Err(e) => {
                self.wrong(value.place, &e.to_string(), &[key]);
                None
            }
        }
    }

    /// Which of `words` it is.
    fn one_of(&self, value: &Value, key: &str, words: &[&str]) -> Option<usize> {
        let text = self.text(value);
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            self.wrong(value.place, &format!("must be one of: {}", words.join(", ")), &[key]);
        }
        found
    }
}
