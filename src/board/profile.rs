//! A profile with its types, from a JSON text that was checked against [`FORM`].

use crate::gather::Gather;
use std::str::FromStr;

use super::form::{FORM, SCHEMA};
use super::identity::Source;
use super::memory::Class;
use crate::error::{Error, Kind, Result};
use crate::ids::{Arch, RelPath};
use crate::json::{JsonError, Value};

/// What came of reading a part.
type Read<T> = std::result::Result<T, JsonError>;

/// What one kind of board is.
#[derive(Debug, Clone)]
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
            None => read(&value),
        };
        let profile = checked.map_err(|e| fault(name, &e))?;
        Ok(Profile { value, is_added: name != BUILT_IN, ..profile })
    }

    /// The memory class of a board of this kind with so many bytes.
    pub fn class(&self, bytes: u64) -> Class {
        self.memory_class.unwrap_or(Class::of(bytes))
    }
}

/// A fault in the profile `name`.
pub(super) fn fault(name: &str, e: &JsonError) -> Error {
    Error::new(Kind::Config, format!("board profile '{name}': {e}"))
        .hint("board-profiles/README.md has every key; 'edgelay board check FILE' tries a file")
}

fn read(value: &Value) -> Read<Profile> {
    let schema = value.need("schema")?;
    if schema.whole()? != SCHEMA {
        return Err(
            JsonError::at(schema.place, format!("must be {SCHEMA}, the only version there is")).inside("schema")
        );
    }
    let id = value.need("id")?;
    if !is_id(id.text()?) {
        let what = "must be at most 40 lower-case letters and digits, in parts joined by '-'";
        return Err(JsonError::at(id.place, what).inside("id"));
    }
    let rules = match value.get("match") {
        Some(rules) => Some(read_rules(rules)?),
        None => None,
    };
    Ok(Profile {
        id: id.text()?.to_owned(),
        name: value.need("name")?.text()?.to_owned(),
        base: optional(value, "base")?,
        architecture: parsed(value.need("architecture")?, "architecture")?,
        rules,
        kernel: read_kernel(value)?,
        storage: read_storage(value)?,
        target: read_target(value)?,
        iptables: match value.get("iptables") {
            Some(word) => one_of(word, "iptables", &[Iptables::Any, Iptables::Legacy, Iptables::Nft], Iptables::word)?,
            None => Iptables::Any,
        },
        rtc: value.get("rtc").map(Value::flag).transpose()?.unwrap_or(false),
        memory_class: value.get("memory_class").map(|class| parsed(class, "memory_class")).transpose()?,
        identity: list_of(value, "identity")?,
        junk: texts(value, "junk")?.into_iter().map(|text| text.to_lowercase()).gather(),
        quirks: read_quirks(value)?,
        value: value.clone(),
        is_added: false,
    })
}

/// DMI fields that do not name a single machine (below `/sys/class/dmi/id`).
pub(super) const DMI: [&str; 7] =
    ["sys_vendor", "product_name", "product_version", "product_family", "board_vendor", "board_name", "chassis_type"];

fn read_rules(value: &Value) -> Read<Rules> {
    let mut dmi = Vec::new();
    for rule in value.get("dmi").map(Value::items).transpose()?.unwrap_or_default() {
        let mut fields = Vec::new();
        for member in rule.members()? {
            if !DMI.contains(&member.key.as_str()) {
                let what = format!("must have the fields {} only", DMI.join(", "));
                return Err(JsonError::at(member.place, what).inside("dmi").inside("match"));
            }
            let pattern = member.value.text()?;
            if pattern.matches('*').count() > 1 {
                let what = "must have at most one '*' in a field";
                return Err(JsonError::at(member.place, what).inside("dmi").inside("match"));
            }
            fields.push((member.key.clone(), pattern.to_owned()));
        }
        if fields.is_empty() {
            return Err(JsonError::at(rule.place, "must name a field").inside("dmi").inside("match"));
        }
        dmi.push(fields);
    }
    Ok(Rules { compatible: texts(value, "compatible")?, dmi })
}

fn read_kernel(value: &Value) -> Read<Kernel> {
    let Some(kernel) = value.get("kernel") else {
        return Ok(Kernel { arguments_in: Vec::new(), memory_cgroup: Vec::new(), modules: Vec::new() });
    };
    let mut arguments_in = Vec::new();
    for file in kernel.get("arguments_in").map(Value::items).transpose()?.unwrap_or_default() {
        let format = one_of(file.need("format")?, "format", &Format::ALL, Format::word)?;
        arguments_in.push(ArgumentFile { path: path(file.need("path")?)?, format });
    }
    let words = |key: &str| -> Read<Vec<String>> {
        let list = texts(kernel, key)?;
        let bad =
            |word: &String| word.is_empty() || word.contains(|c: char| !c.is_ascii_graphic() || "\"'$\\`".contains(c));
        match list.iter().find(|word| bad(word)) {
            Some(_) => Err(JsonError::at(kernel.place, format!("must have plain words in '{key}'")).inside("kernel")),
            None => Ok(list),
        }
    };
    Ok(Kernel { arguments_in, memory_cgroup: words("memory_cgroup")?, modules: words("modules")? })
}

fn read_storage(value: &Value) -> Read<Storage> {
    let empty = Value { place: value.place, data: crate::json::Data::Object(Vec::new()) };
    let storage = value.get("storage").unwrap_or(&empty);
    let place = |key: &str, default: &str| match storage.get(key) {
        Some(at) => path(at).map_err(|e| e.inside("storage")),
        None => Ok(default.to_owned()),
    };
    let mut persistent = Vec::new();
    for dir in storage.get("persistent").map(Value::items).transpose()?.unwrap_or_default() {
        persistent.push(if dir.text()? == "/" { "/".to_owned() } else { path(dir)? });
    }
    if storage.get("persistent").is_none() {
        persistent.push("/".to_owned());
    }
    Ok(Storage {
        persistent,
        containerd_root: place("containerd_root", "/var/lib/containerd")?,
        read_only_root: storage.get("read_only_root").map(Value::flag).transpose()?.unwrap_or(false),
        prefix: place("prefix", "/usr/local")?,
    })
}

fn read_target(value: &Value) -> Read<Target> {
    let Some(target) = value.get("target") else {
        return Ok(Target { disks: Vec::new(), labels: Vec::new(), file_systems: Vec::new() });
    };
    let list = |key| texts(target, key);
    let disks = list("disks")?;
    if disks.iter().any(|name| name.matches('*').count() > 1) {
        return Err(JsonError::at(target.place, "must have at most one '*' in a name")
            .inside("disks")
            .inside("target"));
    }
    Ok(Target { disks, labels: list("labels")?, file_systems: list("file_systems")? })
}

fn read_quirks(value: &Value) -> Read<Vec<Quirk>> {
    let quirks = value.get("quirks").map(Value::items).transpose()?.unwrap_or_default();
    let text = |quirk: &Value, key| Ok::<String, JsonError>(quirk.need(key)?.text()?.to_owned());
    quirks.iter().map(|quirk| Ok(Quirk { what: text(quirk, "what")?, see: text(quirk, "see")? })).gather()
}

fn optional(value: &Value, key: &str) -> Read<Option<String>> {
    value.get(key).map(|text| text.text().map(str::to_owned)).transpose()
}

fn texts(value: &Value, key: &str) -> Read<Vec<String>> {
    let items = value.get(key).map(Value::items).transpose()?.unwrap_or_default();
    items.iter().map(|item| item.text().map(str::to_owned)).gather()
}

/// An absolute path without tricks.
fn path(value: &Value) -> Read<String> {
    let text = value.text()?;
    match RelPath::from_absolute(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(JsonError::at(value.place, format!("'{}' {e}", text.escape_debug()))),
    }
}

fn parsed<T: FromStr<Err = crate::ids::BadName>>(value: &Value, key: &str) -> Read<T> {
    value.text()?.parse().map_err(|e| JsonError::at(value.place, format!("{e}")).inside(key))
}

fn list_of<T: FromStr<Err = crate::ids::BadName>>(value: &Value, key: &str) -> Read<Vec<T>> {
    let items = value.get(key).map(Value::items).transpose()?.unwrap_or_default();
    items.iter().map(|item| parsed(item, key)).gather()
}

fn one_of<T: Copy>(value: &Value, key: &str, all: &[T], word: fn(T) -> &'static str) -> Read<T> {
    let text = value.text()?;
    all.iter().copied().find(|one| word(*one) == text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).gather();
        JsonError::at(value.place, format!("must be one of: {}", words.join(", "))).inside(key)
    })
}
