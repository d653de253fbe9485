//! Finding the configuration: the places of docs/first-boot.md, in their order; the first that has one counts.

use std::fmt;
use std::path::Path;

use crate::config::{MAX_FILE, Raw, Setting};
use crate::error::{Error, Kind, Lift, Result};
use crate::host::block::{self, Device, Selector};
use crate::ids::RelPath;
use crate::note;
use crate::root::Root;

use super::medium::{Access, Medium};

/// Files of the system itself.
const FILES: [&str; 5] = [
    "boot/firmware/edgelay.json",
    "boot/firmware/edgelay/edgelay.json",
    "boot/edgelay.json",
    "boot/edgelay/edgelay.json",
    "etc/edgelay/edgelay.json",
];
/// Labels of file systems, and files on them.
const LABELS: [&str; 2] = ["EDGELAY", "CIDATA"];
const ON_MEDIUM: [&str; 2] = ["edgelay.json", "edgelay/edgelay.json"];

const CMDLINE: RelPath<'static> = RelPath::literal("proc/cmdline");
const ARGUMENT: &str = "edgelay.config=";
/// A token and its line break.
const MAX_TOKEN: usize = 8 << 10;

/// Where a configuration was found.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The file system that it is on; none: the system's own.
    device: Option<Device>,
    /// The file, below the root of that file system.
    pub(super) file: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "{} on {device}", self.file),
            None => write!(f, "/{}", self.file),
        }
    }
}

/// The error where there is none yet.
pub(super) fn nothing(root: &Root) -> Error {
    let what = match argument(root) {
        Some(wanted) => format!("no configuration at '{wanted}', which the kernel's argument {ARGUMENT} names"),
        None => "no configuration was found".to_owned(),
    };
    Error::new(Kind::Later, what)
        .hint("put edgelay.json into /boot, or onto a file system labelled EDGELAY: docs/first-boot.md")
}

/// The configuration with its text. `None`: none yet.
pub(super) fn find(root: &Root, given: Option<&Path>) -> Result<Option<(Source, Vec<u8>)>> {
    if let Some(path) = given {
        let path = std::path::absolute(path).lift(Kind::Usage, || format!("find '{}'", path.display()))?;
        let text = path.to_str().unwrap_or_default();
        let found = on_system(root, text)?;
        return found
            .map(Some)
            .ok_or_else(|| Error::new(Kind::Config, format_args!("there is no file '{}'", path.display())));
    }
    if let Some(wanted) = argument(root) {
        return named(root, &wanted);
    }
    for file in FILES {
        if let Some(found) = on_system(root, &format!("/{file}"))? {
            return Ok(Some(found));
        }
    }
    for label in LABELS {
        if let Some(found) = on_device(root, &Selector::Label(label.to_owned()), &ON_MEDIUM)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `edgelay.config=` among the kernel's arguments; the last one counts.
fn argument(root: &Root) -> Option<String> {
    let text = root.read_text(CMDLINE, MAX_FILE).ok()??;
    let mut values = text.split_whitespace().filter_map(|word| word.strip_prefix(ARGUMENT));
    values.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// `/path` on the system, or `LABEL=NAME`, `UUID=...`, `/dev/NAME`, each with `:/path` if it is another file.
fn named(root: &Root, wanted: &str) -> Result<Option<(Source, Vec<u8>)>> {
    if wanted.starts_with('/') && !wanted.starts_with("/dev/") {
        return on_system(root, wanted);
    }
    let (device, file) = wanted.split_once(':').map_or((wanted, None), |(device, file)| (device, Some(file)));
    let selector: Selector = device.parse().lift(Kind::Config, || format!("{ARGUMENT}{wanted}: '{device}'"))?;
    match file {
        Some(file) => on_device(root, &selector, &[file.trim_start_matches('/')]),
        None => on_device(root, &selector, &ON_MEDIUM),
    }
}

fn on_system(root: &Root, path: &str) -> Result<Option<(Source, Vec<u8>)>> {
    let rel = RelPath::from_absolute(path).lift(Kind::Config, || format!("path '{path}'"))?;
    let text = root.read(rel, MAX_FILE)?;
    Ok(text.map(|text| (Source { device: None, file: rel.as_str().to_owned() }, text)))
}

/// Two that could be meant are as bad as none: which one is taken must not hang on the order of sockets.
fn on_device(root: &Root, selector: &Selector, files: &[&str]) -> Result<Option<(Source, Vec<u8>)>> {
    let devices = block::devices(root)?;
    let mut found: Vec<(Source, Vec<u8>)> = Vec::new();
    for device in selector.among(&devices) {
        let medium = match Medium::mount(root, device, Access::Read) {
            Ok(medium) => medium,
            Err(e) => {
                note::debug(format_args!("{e}, ignoring: it may hold no configuration anyway"));
                continue;
            }
        };
        for file in files {
            let rel = RelPath::parse(file).lift(Kind::Config, || format!("file '{file}'"))?;
            if let Some(text) = medium.root.read(rel, MAX_FILE)? {
                found.push((Source { device: Some(device.clone()), file: (*file).to_owned() }, text));
                break;
            }
        }
    }
    if let [(first, _), (second, _), ..] = found.as_slice() {
        let what = format!("two configurations are labelled alike: {first}, and {second}");
        return Err(Error::new(Kind::Config, what).hint("take one of them away"));
    }
    Ok(found.pop())
}

/// What is done with the files of the system or of a medium.
type Work<'a> = dyn FnMut(&Root) -> Result<()> + 'a;

impl Source {
    /// Calls `work` with the files of the system or the medium.
    pub(super) fn with(&self, root: &Root, access: Access, work: &mut Work<'_>) -> Result<()> {
        match &self.device {
            None => work(root),
            Some(device) => work(&Medium::mount(root, device, access)?.root),
        }
    }

    /// Copies the token to `to`. False: there is none.
    pub(super) fn take_token(&self, root: &Root, settings: &[Setting], to: RelPath<'_>) -> Result<bool> {
        let path = self.token(settings);
        let rel = RelPath::parse(&path).lift(Kind::Config, || format!("token file '{path}'"))?;
        let mut text = None;
        self.with(root, Access::Read, &mut |files| {
            text = files.read(rel, MAX_TOKEN)?;
            Ok(())
        })?;
        let Some(text) = text else {
            root.remove(to)?;
            return Ok(false);
        };
        root.write(to, 0o600, &text)?;
        Ok(true)
    }

    /// The token's file: `token_file`, from the configuration's directory, or `token` there.
    pub(super) fn token(&self, settings: &[Setting]) -> String {
        let given = settings.iter().rev().find(|setting| setting.key.path == "token_file");
        let given = given.and_then(|setting| match &setting.raw {
            Raw::One(text) => Some(text.as_str()),
            _ => None,
        });
        match given.unwrap_or("token") {
            absolute if absolute.starts_with('/') => absolute.trim_start_matches('/').to_owned(),
            relative => match self.file.rsplit_once('/') {
                Some((dir, _)) => format!("{dir}/{relative}"),
                None => relative.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_file;
    use crate::host::tree::Tree;

    fn place(tree: &Tree) -> Option<String> {
        find(&tree.root(), None).unwrap().map(|(source, text)| format!("{source} {}", String::from_utf8_lossy(&text)))
    }

    #[test]
    fn the_first_place_counts() {
        let tree = Tree::new().dir("sys/class/block").file("proc/cmdline", "quiet root=/dev/sda1\n");
        assert_eq!(place(&tree), None);
        let tree = tree.file("etc/edgelay/edgelay.json", "5").file("boot/edgelay.json", "3");
        assert_eq!(place(&tree).unwrap(), "/boot/edgelay.json 3");
        let tree = tree.file("boot/firmware/edgelay/edgelay.json", "2");
        assert_eq!(place(&tree).unwrap(), "/boot/firmware/edgelay/edgelay.json 2");
        // The kernel's argument leaves no choice.
        let tree = tree.file("proc/cmdline", "edgelay.config=/x quiet edgelay.config=/srv/e.json\n");
        assert_eq!(place(&tree), None);
        assert!(nothing(&tree.root()).to_string().contains("'/srv/e.json'"));
        let tree = tree.file("srv/e.json", "0");
        assert_eq!(place(&tree).unwrap(), "/srv/e.json 0");
        let tree = tree.file("proc/cmdline", "edgelay.config=LABEL=NONE:/e.json");
        assert_eq!(place(&tree), None);
        let e = find(&tree.file("proc/cmdline", "edgelay.config=stick").root(), None).unwrap_err();
        assert_eq!(e.kind(), Kind::Config);
    }

    #[test]
    fn the_token_lies_beside_the_configuration() {
        let source = |file: &str| Source { device: None, file: file.into() };
        let with = |text: &str| parse_file(text.as_bytes(), "c").unwrap();
        assert_eq!(source("boot/edgelay/edgelay.json").token(&[]), "boot/edgelay/token");
        assert_eq!(source("edgelay.json").token(&[]), "token");
        assert_eq!(source("a/edgelay.json").token(&with(r#"{"token_file": "t"}"#)), "a/t");
        assert_eq!(source("a/edgelay.json").token(&with(r#"{"token_file": "/root/t"}"#)), "root/t");
    }
}
