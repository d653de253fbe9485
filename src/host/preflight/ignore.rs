//! `--ignore-check`: failures that the user takes on.

use super::{Check, EDGE, Finding, Verdict};
use crate::config::nearest;
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;

/// Checks whose failure is only warned about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    all: bool,
    names: Vec<&'static str>,
}

/// Every name at once.
const ALL: &str = "all";

impl Ignored {
    /// From `NAME[,NAME]` with the names of edge checks, or `all`.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_among(text, &EDGE)
    }

    /// From `NAME[,NAME]` with names out of `known`, or `all`.
    pub fn parse_among(text: &str, known: &[Check]) -> Result<Self> {
        let mut ignored = Ignored::default();
        for name in text.split(',').map(str::trim) {
            match known.iter().find(|check| check.name == name) {
                Some(check) => ignored.names.push(check.name),
                None if name == ALL => ignored.all = true,
                None => {
                    let names: Vec<&str> = known.iter().map(|check| check.name).chain([ALL]).gather();
                    let what = format!("unknown check '{}'; known checks: {}", name.escape_debug(), names.join(", "));
                    let hint = nearest(name, &names).map(|near| format!("write '--ignore-check {near}'"));
                    let hint = hint.unwrap_or_else(|| "give names out of this list to --ignore-check".to_owned());
                    return Err(Error::new(Kind::Usage, what).hint(hint));
                }
            }
        }
        Ok(ignored)
    }

    /// Whether a failure of the check `name` is ignored.
    pub fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(&name)
    }

    /// Turns the failures among `findings` that are ignored into warnings that say so; returns how many.
    pub fn apply(&self, findings: &mut [Finding]) -> usize {
        let hit = |f: &&mut Finding| f.verdict == Verdict::Fail && self.has(f.check);
        let mut count = 0;
        for finding in findings.iter_mut().filter(hit) {
            finding.verdict = Verdict::Warn;
            finding.seen.push_str(" (a failure that is ignored)");
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_failures_become_warnings() {
        let finding = |check, verdict| Finding { check, verdict, seen: "x".into(), advice: Some("y".into()) };
        let all =
            || vec![finding("root", Verdict::Fail), finding("ports", Verdict::Fail), finding("token", Verdict::Pass)];
        let ignored = Ignored::parse("root, token").unwrap();
        let mut findings = all();
        assert_eq!(ignored.apply(&mut findings), 1);
        let told: Vec<_> = findings.iter().map(|f| (f.verdict, f.seen.as_str())).collect();
        assert_eq!(
            told,
            [(Verdict::Warn, "x (a failure that is ignored)"), (Verdict::Fail, "x"), (Verdict::Pass, "x")]
        );
        assert_eq!(Ignored::parse("all").unwrap().apply(&mut all()), 2);
        assert_eq!(Ignored::default().apply(&mut all()), 0);
    }

    #[test]
    fn unknown_names_are_a_usage_error_with_the_known_ones() {
        for bad in ["", "rot", "root,", "all,\n"] {
            let e = Ignored::parse(bad).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{bad:?}");
        }
        let e = Ignored::parse_among("rot", EDGE.get(..2).unwrap()).unwrap_err();
        assert_eq!(e.to_string(), "unknown check 'rot'; known checks: root, capabilities, all");
        assert_eq!(e.hint_text(), Some("write '--ignore-check root'"));
    }
}
