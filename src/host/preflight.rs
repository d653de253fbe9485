//! Named checks whether this machine is fit: all findings at once, in a fixed order, none of them changing anything.
//!
//! A check is a name and a function from the [`Context`] to a verdict. Which checks a mode runs is a table; [`EDGE`]
//! is the one for an edge install. What is wanted of the machine comes in as data, so that nothing here knows a bundle
//! or a configuration file.

mod cloud;
mod identity;
mod ignore;
mod machine;
mod network;
mod programs;
mod render;
mod runtime;
mod services;
mod storage;
mod surroundings;
mod table;
mod target;
#[cfg(test)]
mod testing;
mod wanted;

pub use cloud::{CLOUD, PACKAGE_MANAGERS, untested};
pub use ignore::Ignored;
pub use render::{json, text};
pub use services::NETWORK;
pub use table::{EDGE, TARGET, render_doc};
pub use target::architecture_of;
pub use wanted::{
    Board, Cloud, Containerd, Context, Cri, DiskNeed, K3s, MemoryNeed, PortNeed, ProgramNeed, ProgramToRun, Wanted,
};

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Serialize;

use super::process::{self, Process};
use super::reach::Answer;
use crate::error::{Error, Kind, Result, Text};
use crate::gather::Gather;

/// What a check makes of what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not asked for, so not looked at.
    Skip,
    /// Fit.
    Pass,
    /// Goes on, but somebody should know; also: could not be found out.
    Warn,
    /// The install would fail, or the node would not work.
    Fail,
}

impl Verdict {
    /// `pass`, `warn`, `fail`, `skip`.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        }
    }
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check, for `--ignore-check`.
    pub check: &'static str,
    /// What it makes of it.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// One imperative sentence; there for every `Warn` and `Fail`.
    pub advice: Option<String>,
}

/// A check: its name and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name in kebab case.
    pub name: &'static str,
    /// What it looks at, and against which fault, for the documentation.
    pub about: &'static str,
    probe: fn(&Look<'_>) -> Result<Outcome>,
}

/// A finding that has no name yet.
// Boxed, as errors are: it moves at each `?`.
#[derive(Debug)]
struct Outcome(Box<Said>);

#[derive(Debug)]
struct Said {
    verdict: Verdict,
    seen: Cow<'static, str>,
    advice: Option<Cow<'static, str>>,
}

impl Outcome {
    fn new(verdict: Verdict, seen: Cow<'static, str>, advice: Option<Cow<'static, str>>) -> Self {
        Outcome(Box::new(Said { verdict, seen, advice }))
    }

    fn pass(seen: impl Text) -> Self {
        Outcome::new(Verdict::Pass, seen.text(), None)
    }

    fn skip(seen: impl Text) -> Self {
        Outcome::new(Verdict::Skip, seen.text(), None)
    }

    fn warn(seen: impl Text, advice: impl Text) -> Self {
        Outcome::new(Verdict::Warn, seen.text(), Some(advice.text()))
    }

    fn fail(seen: impl Text, advice: impl Text) -> Self {
        Outcome::new(Verdict::Fail, seen.text(), Some(advice.text()))
    }
}

/// What several checks look at, read once.
#[derive(Debug)]
struct Look<'a> {
    cx: &'a Context<'a>,
    processes: std::result::Result<Vec<Process>, String>,
    /// What came of connecting to the cloud's WebSocket port and its certificate port, once it was tried.
    answers: OnceCell<Vec<Answer>>,
}

/// Programs that clash with ours, by their process names.
const RIVALS: [&str; 11] = [
    "containerd",
    "dockerd",
    "edgecore",
    "firewalld",
    "k0s",
    "k3s",
    "k3s-agent",
    "k3s-server",
    "kubelet",
    "kubelite",
    "rke2",
];

impl Look<'_> {
    /// Running processes named `name` that are not ours.
    fn foreign(&self, name: &str) -> Result<impl Iterator<Item = &Process>> {
        Ok(self.rivals()?.iter().filter(move |p| p.name == name && !self.is_ours(p)))
    }

    fn rivals(&self) -> Result<&[Process]> {
        match &self.processes {
            Ok(processes) => Ok(processes),
            Err(why) => Err(Error::new(Kind::Host, why.clone())),
        }
    }

    /// Whether we installed the process's program, or the agent that we installed started it in a pod.
    fn is_ours(&self, process: &Process) -> bool {
        let own = &self.cx.wanted.own_programs;
        let agent = |p: &Process| p.name == "edgecore" && own.contains(&p.program);
        let agent_runs = || self.processes.as_ref().is_ok_and(|all| all.iter().any(agent));
        own.contains(&process.program) || (process.in_pod && agent_runs())
    }
}

/// Runs the checks of an edge install. Takes well under a second, plus at most [`Context::connect_limit`] for the cloud's ports, and
/// as much again for a certificate from a port that did answer.
pub fn preflight(cx: &Context<'_>) -> Vec<Finding> {
    run(cx, &EDGE)
}

/// Runs the checks of a system that does not run; `cx.machine` is that system, too.
pub fn preflight_target(cx: &Context<'_>) -> Vec<Finding> {
    run(cx, &TARGET)
}

/// Runs `checks` in their order. One that cannot find out what it has to becomes a warning.
pub fn run(cx: &Context<'_>, checks: &[Check]) -> Vec<Finding> {
    let processes = process::named(cx.machine, &RIVALS).map_err(|e| e.to_string());
    let look = Look { cx, processes, answers: OnceCell::new() };
    let finding = |check: &Check| {
        let outcome = (check.probe)(&look).unwrap_or_else(|e| {
            let advice = e.hint_text().unwrap_or("look at the cause, or leave this check out with --ignore-check");
            Outcome::warn(format_args!("cannot be found out: {e}"), advice.to_owned())
        });
        let Said { verdict, seen, advice } = *outcome.0;
        Finding { check: check.name, verdict, seen: seen.into_owned(), advice: advice.map(Cow::into_owned) }
    };
    checks.iter().map(finding).gather()
}

/// Checks whose failure can pass by itself: the same command may be run again later without any change here.
const TEMPORARY: [&str; 2] = ["clock", "cloud-ports"];

/// The error that failed findings amount to: [`Kind::Preflight`], or [`Kind::Later`] if only time can help.
pub fn failure(findings: &[Finding]) -> Option<Error> {
    let failed: Vec<&Finding> = findings.iter().filter(|f| f.verdict == Verdict::Fail).gather();
    let first = failed.first()?;
    let names: Vec<&str> = failed.iter().map(|f| f.check).gather();
    let kind = if names.iter().all(|name| TEMPORARY.contains(name)) { Kind::Later } else { Kind::Preflight };
    let what = match failed.as_slice() {
        [one] => format!("preflight check '{}' failed: {}", one.check, one.seen),
        _ => format!("{} preflight checks failed: {}", failed.len(), names.join(", ")),
    };
    let error = Error::new(kind, what);
    Some(match &first.advice {
        Some(advice) if failed.len() == 1 => error.hint(advice.clone()),
        _ => error.hint("run 'edgelay preflight' for what to do about each"),
    })
}

/// `a`, `a and b`, `a, b and c`.
fn list<T: std::fmt::Display>(items: &[T]) -> String {
    joined(&items.iter().map(T::to_string).gather::<Vec<_>>())
}

fn joined(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Bed;
    use super::*;

    #[test]
    fn a_fit_machine_passes_every_check() {
        let bed = Bed::new();
        for finding in bed.run(|_| {}) {
            // These look at the real file system that holds the scratch directory.
            if matches!(finding.check, "disk-space" | "containerd-store" | "persistence") {
                continue;
            }
            if matches!(finding.check, "containerd-config" | "containerd-cri" | "bundle-programs") {
                assert_eq!(finding.verdict, Verdict::Skip);
                continue;
            }
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
            assert_eq!(finding.advice, None, "{finding:?}");
        }
    }

    #[test]
    fn an_empty_machine_breaks_nothing_and_every_fault_has_advice() {
        let bed = Bed::empty();
        let findings = bed.run(|_| {});
        let names: Vec<&str> = findings.iter().map(|f| f.check).collect();
        assert_eq!(names, EDGE.map(|check| check.name));
        for finding in findings {
            let faulty = finding.verdict >= Verdict::Warn;
            assert_eq!(finding.advice.is_some(), faulty, "{finding:?}");
            if let Some(advice) = finding.advice {
                assert!(!advice.ends_with('.') && !advice.starts_with(char::is_uppercase), "{advice}");
            }
        }
    }

    #[test]
    fn nothing_wanted_is_nothing_refused() {
        let bed = Bed::new();
        let mut skipped = bed.run(|wanted| *wanted = Wanted::default());
        // Looks at the real file system that holds the scratch directory, which may be one of memory.
        skipped.retain(|f| f.check != "persistence");
        assert!(skipped.iter().all(|f| f.verdict <= Verdict::Pass), "{skipped:?}");
    }

    #[test]
    fn failures_become_one_error() {
        let finding = |check, verdict| {
            let advice = (verdict == Verdict::Fail).then(|| "do it".to_owned());
            Finding { check, verdict, seen: "it is so".into(), advice }
        };
        let pass = finding("root", Verdict::Pass);
        assert!(failure(&[pass.clone(), finding("token", Verdict::Warn)]).is_none());

        let one = failure(&[pass.clone(), finding("cloud-ports", Verdict::Fail)]).unwrap();
        assert_eq!(one.to_string(), "preflight check 'cloud-ports' failed: it is so");
        assert_eq!((one.kind(), one.hint_text()), (Kind::Later, Some("do it")));

        let two = failure(&[finding("clock", Verdict::Fail), pass, finding("ports", Verdict::Fail)]).unwrap();
        assert_eq!(two.to_string(), "2 preflight checks failed: clock, ports");
        assert_eq!(two.kind(), Kind::Preflight);
        assert_eq!(two.hint_text(), Some("run 'edgelay preflight' for what to do about each"));
    }
}
