//! What the machine says about itself, and which profile fits that best.

use super::profile::{DMI, Profile, Rule, fits};
use super::set::{Set, unknown};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host;
use crate::ids::RelPath;
use crate::root::Root;

/// What firmware and kernel say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The processor, in the container world's words.
    pub architecture: String,
    /// What the firmware calls the board.
    pub model: Option<String>,
    /// The device tree's `compatible`, the most exact first.
    pub compatible: Vec<String>,
    /// DMI fields that are there and not empty.
    pub dmi: Vec<(&'static str, String)>,
    /// Memory that the kernel manages, in bytes.
    pub memory: u64,
}

/// Why a profile was taken, the strongest last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It takes any board of this processor.
    Architecture,
    /// These DMI fields.
    Dmi(Rule),
    /// This entry of the device tree's `compatible`.
    Compatible(String),
    /// The configuration names it.
    Chosen,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Architecture => f.write_str("no profile knows this board; this one takes any of its processor"),
            Reason::Dmi(rule) => {
                let fields: Vec<String> = rule.iter().map(|(field, value)| format!("{field} is '{value}'")).gather();
                write!(f, "DMI: {}", fields.join(", "))
            }
            Reason::Compatible(name) => write!(f, "device tree: compatible with '{name}'"),
            Reason::Chosen => f.write_str("named by the configuration"),
        }
    }
}

/// Where the device tree is.
pub(super) const DEVICE_TREE: &str = "proc/device-tree";
/// Where DMI's fields are.
pub(super) const DMI_DIR: &str = "sys/class/dmi/id";

/// Most properties and fields are some bytes; the longest `compatible` has a dozen names.
const SMALL: usize = 4096;

/// A small text of the firmware, without its final NUL or newline. What cannot be read says nothing: DMI has fields for
/// root alone.
pub(super) fn firmware_text(root: &Root, path: &str) -> Option<String> {
    let path = RelPath::parse(path).ok()?;
    let text = root.read_text(path, SMALL).ok()??;
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

impl Facts {
    /// Reads the device tree, DMI and `/proc/meminfo` of the running `machine`, whose processor is `architecture`
    /// ([`crate::host::architecture`]).
    pub fn load(machine: &Root, architecture: &str) -> Facts {
        let compatible = firmware_text(machine, &format!("{DEVICE_TREE}/compatible")).unwrap_or_default();
        let field = |name: &&'static str| Some((*name, firmware_text(machine, &format!("{DMI_DIR}/{name}"))?));
        Facts {
            architecture: architecture.to_owned(),
            model: firmware_text(machine, &format!("{DEVICE_TREE}/model")),
            compatible: compatible.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).gather(),
            dmi: DMI.iter().filter_map(field).gather(),
            // Not knowing is no reason to take a small machine's settings.
            memory: host::memory(machine).unwrap_or(u64::MAX),
        }
    }

    fn has(&self, rule: &Rule) -> bool {
        rule.iter().all(|(field, pattern)| self.dmi.iter().any(|(name, value)| name == field && fits(pattern, value)))
    }

    /// How well `profile` fits: nothing if it does not. A device tree says more than DMI, its first names more than
    /// its last, and a rule with more fields more than one with fewer.
    fn rank(&self, profile: &Profile) -> Option<(u32, Reason)> {
        let rules = profile.rules.as_ref().filter(|_| profile.architecture.as_str() == self.architecture)?;
        if let Some(at) = self.compatible.iter().position(|name| rules.compatible.contains(name)) {
            let rank = 3000u32.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX)).max(2000);
            return Some((rank, Reason::Compatible(self.compatible.get(at)?.clone())));
        }
        let best = rules.dmi.iter().filter(|rule| self.has(rule)).max_by_key(|rule| rule.len());
        if let Some(rule) = best {
            return Some((1000 + u32::try_from(rule.len()).unwrap_or(0), Reason::Dmi(rule.clone())));
        }
        (rules.compatible.is_empty() && rules.dmi.is_empty()).then_some((1, Reason::Architecture))
    }
}

impl Set {
    /// The profile that fits best, and why. Of two that fit equally well, the one that the user's directory brings, then
    /// the one whose id comes first.
    pub fn detect(&self, facts: &Facts) -> Result<(&Profile, Reason)> {
        let mut best: Option<((u32, bool), &Profile, Reason)> = None;
        for profile in self.iter() {
            if let Some((rank, reason)) = facts.rank(profile)
                && best.as_ref().is_none_or(|(top, _, _)| (rank, profile.is_added) > *top)
            {
                best = Some(((rank, profile.is_added), profile, reason));
            }
        }
        best.map(|(_, profile, reason)| (profile, reason)).ok_or_else(|| {
            Error::new(Kind::Preflight, format_args!("no board profile is for the processor '{}'", facts.architecture))
                .hint("use a machine with an amd64 or arm64 kernel, or write a profile: board-profiles/README.md")
        })
    }

    /// The profile `id`, or if that is `None` the one that fits the machine best.
    pub fn choose(self, id: Option<&str>, facts: &Facts) -> Result<(Profile, Reason)> {
        let (id, reason) = match id {
            Some(id) => (id.to_owned(), Reason::Chosen),
            None => self.detect(facts).map(|(profile, reason)| (profile.id.clone(), reason))?,
        };
        let found = self.profiles.into_iter().find(|profile| profile.id == id);
        found.map(|profile| (profile, reason)).ok_or_else(|| unknown(&id))
    }
}
