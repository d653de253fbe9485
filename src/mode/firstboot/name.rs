//! The node's name from a template: `edge-{serial:-8}`.

use std::path::Path;

use crate::board::{Facts, Identity, Profile, Set, Source, identity};
use crate::config::{Raw, Setting, VENDOR_NAMES};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host;
use crate::ids::NodeName;
use crate::note;
use crate::root::Root;

/// Where nothing else is said.
const DEFAULT: &str = "edge-{serial:-8}";

/// What `node.name` says.
pub(super) fn template(settings: &[Setting]) -> String {
    text(settings, "node.name").unwrap_or(DEFAULT).to_owned()
}

fn text<'s>(settings: &'s [Setting], path: &str) -> Option<&'s str> {
    let found = settings.iter().rev().find(|setting| setting.key.path == path)?;
    match &found.raw {
        Raw::One(text) => Some(text),
        _ => None,
    }
}

/// `template` with each `{NAME}`, `{NAME:N}` (the first N characters) and `{NAME:-N}` (the last N) put in.
pub(super) fn expand(template: &str, machine: &Root, settings: &[Setting]) -> Result<String> {
    let mut rest = template;
    let mut name = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((field, behind)) = after.split_once('}') else {
            return Err(bad(template, "has a '{' without its '}'"));
        };
        name.push_str(before);
        let (what, part) = field.split_once(':').map_or((field, None), |(what, part)| (what, Some(part)));
        let value = value(what, template, machine, settings)?;
        name.push_str(
            &cut(&value, part).ok_or_else(|| bad(template, "has a part that is no number, as in {serial:-8}"))?,
        );
        rest = behind;
    }
    name.push_str(rest);
    match name.parse::<NodeName>() {
        Ok(name) => Ok(name.to_string()),
        Err(e) => Err(bad(template, &format!("gives '{}', which {e}", name.escape_debug()))),
    }
}

/// The first `8` or the last `-8` characters.
fn cut(value: &str, part: Option<&str>) -> Option<String> {
    let Some(part) = part else { return Some(value.to_owned()) };
    let count = value.chars().count();
    let (n, from_end) = part.strip_prefix('-').map_or((part, false), |n| (n, true));
    let n = n.parse::<usize>().ok().filter(|n| (1..=63).contains(n))?;
    let skip = if from_end { count.saturating_sub(n) } else { 0 };
    Some(value.chars().skip(skip).take(n).gather())
}

fn value(what: &str, template: &str, machine: &Root, settings: &[Setting]) -> Result<String> {
    let sources = match what {
        "serial" => None,
        "mac" => Some(Source::Mac(None)),
        "machine-id" => Some(Source::MachineId),
        "hostname" => return host_name(machine),
        _ => return Err(bad(template, "knows {serial}, {mac}, {machine-id} and {hostname} only")),
    };
    let mut profile = profile(machine, settings)?;
    if let Some(source) = sources {
        profile.identity = vec![source];
    }
    let Identity { found, refused } = identity::find(machine, &profile);
    if let Some(found) = found {
        note::debug(format_args!("{{{what}}} is {} by {}", found.value, found.source));
        return Ok(found.value);
    }
    let problem = Identity { found: None, refused }.problem();
    Err(Error::new(Kind::Config, format_args!("no {{{what}}} for the node's name: {problem}"))
        .hint("give this machine a name of its own in node.name"))
}

fn profile(machine: &Root, settings: &[Setting]) -> Result<Profile> {
    let set = Set::load(text(settings, "board.profiles").map(Path::new))?;
    let facts = Facts::load(machine, &host::architecture()?);
    set.choose(text(settings, "board.profile"), &facts).map(|(profile, _)| profile)
}

/// One that every board of a vendor has is no name.
fn host_name(machine: &Root) -> Result<String> {
    let path = crate::ids::RelPath::literal("proc/sys/kernel/hostname");
    let name = machine.text_or_empty(path, 256)?.trim().to_ascii_lowercase();
    if name.is_empty() || name == "localhost" || VENDOR_NAMES.contains(&name.as_str()) {
        let what = format!("no {{hostname}} for the node's name: this machine is called '{}'", name.escape_debug());
        return Err(Error::new(Kind::Config, what).hint("use {serial} or {mac}, or give the machine a name of its own"));
    }
    Ok(name)
}

fn bad(template: &str, why: &str) -> Error {
    Error::new(Kind::Config, format_args!("node.name '{}' {why}", template.escape_debug()))
        .hint("write a template such as edge-{serial:-8}, or a plain name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_file;
    use crate::host::tree::Tree;

    fn machine() -> Tree {
        Tree::new()
            .file("proc/device-tree/serial-number", "10000000ABCD1234\0")
            .file("proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0")
            .file("sys/firmware/devicetree/base/serial-number", "10000000ABCD1234\0")
            .file("sys/class/dmi/id/product_serial", "10000000ABCD1234\n")
            .file("sys/class/net/eth0/address", "dc:a6:32:01:02:03\n")
            .file("sys/class/net/eth0/addr_assign_type", "0\n")
            .file("sys/class/net/eth0/type", "1\n")
            .dir("sys/class/net/eth0/device")
            .file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
            .file("proc/sys/kernel/hostname", "Gate-7\n")
    }

    #[test]
    fn templates() {
        let tree = machine();
        let root = tree.root();
        for (template, name) in [
            ("edge-{serial:-8}", "edge-abcd1234"),
            ("{mac}", "dca632010203"),
            ("n-{mac:-4}.{machine-id:4}", "n-0203.0123"),
            ("{hostname}", "gate-7"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(template, &root, &[]).unwrap(), name, "{template}");
        }
        for (template, why) in [
            ("edge-{serial", "node.name 'edge-{serial' has a '{' without its '}'"),
            ("{color}", "node.name '{color}' knows {serial}, {mac}, {machine-id} and {hostname} only"),
            ("{mac:x}", "node.name '{mac:x}' has a part that is no number, as in {serial:-8}"),
            ("{mac:0}", "node.name '{mac:0}' has a part that is no number, as in {serial:-8}"),
            ("a_{mac}", "node.name 'a_{mac}' gives 'a_dca632010203', which has a character that is not allowed"),
        ] {
            let e = expand(template, &root, &[]).unwrap_err();
            assert!(e.to_string().starts_with(why), "{e}");
        }
        assert_eq!(template(&parse_file(br#"{"node": {"name": "x-{mac}"}}"#, "c").unwrap()), "x-{mac}");
        assert_eq!(template(&[]), DEFAULT);
    }

    #[test]
    fn what_many_boards_share_is_no_name() {
        let tree = Tree::new().file("proc/sys/kernel/hostname", "raspberrypi\n");
        let e = expand("{hostname}", &tree.root(), &[]).unwrap_err();
        assert_eq!(e.to_string(), "no {hostname} for the node's name: this machine is called 'raspberrypi'");
        let e = expand("{mac}", &tree.root(), &[]).unwrap_err();
        assert!(e.to_string().starts_with("no {mac} for the node's name: this board has no serial number"), "{e}");
    }
}
