//! Running steps: check, journal, apply, check again, journal. Undoing them in reverse.

use std::time::Duration;

use super::{Cx, Status, Step};
use crate::clock::{Probe, wait_for};
use crate::crash;
use crate::error::{Error, Kind, Result, Trail};
use crate::report::Outcome;
use crate::sys::signal;

/// How many steps a run changed and how many it found done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Applied.
    pub applied: usize,
    /// Skipped.
    pub skipped: usize,
}

/// What one step's check said, for plans and `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The step.
    pub id: &'static str,
    /// Its summary.
    pub summary: String,
    /// What was seen.
    pub status: Status,
}

/// Brings about every step in order; stops at the first that fails.
pub fn run(steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Summary> {
    let mut summary = Summary::default();
    for step in steps {
        signal::check()?;
        cx.report.step_begins(step.id(), &step.summary());
        if one(step.as_ref(), cx).doing(|| format!("step {}", step.id()))? {
            summary.applied += 1;
            cx.report.step_ends(Outcome::Done);
        } else {
            summary.skipped += 1;
            cx.report.step_ends(Outcome::Skipped);
        }
    }
    Ok(summary)
}

/// Whether the step had to be applied.
fn one(step: &dyn Step, cx: &mut Cx<'_>) -> Result<bool> {
    let status = step.check(cx)?;
    // What was never brought about is not taken for done because nobody tells.
    let finished = cx.journal.knows(step.id()) && !cx.journal.is_unfinished(step.id());
    if status == Status::Done || (finished && status.is_settled()) {
        // It may have been cut between the last touch and the journal.
        if cx.journal.is_unfinished(step.id()) {
            cx.journal.finished(step.id())?;
        }
        return Ok(false);
    }
    cx.journal.started(step.id())?;
    crash::point();
    step.apply(cx)?;
    crash::point();
    settle(step, cx)?;
    cx.journal.finished(step.id())?;
    Ok(true)
}

/// A daemon that was just started may not answer every time; it gets this long to settle.
const SETTLE: Duration = Duration::from_secs(10);

/// The proof: the step's own check agrees.
fn settle(step: &dyn Step, cx: &mut Cx<'_>) -> Result<()> {
    let (clock, mut left) = (cx.clock, String::new());
    let waited = wait_for(clock, "the step's check", SETTLE, || {
        Ok(match step.check(cx)? {
            Status::Done | Status::Unknown(_) => Probe::Ready,
            Status::Todo(why) => {
                left.clone_from(&why);
                Probe::NotYet(why)
            }
        })
    });
    match waited {
        Err(e) if e.kind() == Kind::Runtime && !left.is_empty() => {
            Err(Error::new(Kind::Runtime, format_args!("applied, but still: {left}"))
                .hint("run again; if it stays, report this with the install log"))
        }
        other => other,
    }
}

/// What every step's check says. A check that fails outright is a finding, too: `status` shows all of them.
pub fn check_all(steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::with_capacity(steps.len());
    for step in steps {
        signal::check()?;
        let status = step.check(cx).unwrap_or_else(|e| Status::Todo(e.to_string()));
        findings.push(Finding { id: step.id(), summary: step.summary(), status });
    }
    Ok(findings)
}

/// Undoes the steps that the journal knows, last first. Goes on after a failure; the first one is returned.
pub fn undo(steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<usize> {
    let mut first: Option<Error> = None;
    let mut undone = 0;
    for step in steps.iter().rev() {
        if !cx.journal.knows(step.id()) {
            continue;
        }
        // What runs a program would fail from now on, and what it needs would be removed under it.
        signal::check()?;
        cx.report.step_begins(step.id(), &format!("undo: {}", step.summary()));
        let result = step.undo(cx).and_then(|()| cx.journal.undone(step.id()));
        match result.doing(|| format!("undo step {}", step.id())) {
            Ok(()) => {
                undone += 1;
                cx.report.step_ends(Outcome::Undone);
            }
            Err(e) if first.is_none() => first = Some(e),
            Err(e) => cx.report.warn(&format!("{e}; going on")),
        }
    }
    first.map_or(Ok(undone), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RelPath;
    use crate::plan::tests::with_cx;

    /// Writes one file; can be told to fail, to apply without effect, or that its check fails or does not tell.
    #[derive(Debug)]
    struct Toy(&'static str, RelPath<'static>, &'static str);

    impl Step for Toy {
        fn id(&self) -> &'static str {
            self.0
        }
        fn summary(&self) -> String {
            format!("write {}", self.1)
        }
        fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
            let there = cx.root.holds(self.1, 0o644, b"x")?;
            match self.2 {
                "untold" => Ok(Status::Unknown("nobody tells".into())),
                "sick" if there => Err(Error::new(Kind::Runtime, "toy does not answer")),
                _ => Ok(if there { Status::Done } else { Status::todo("missing") }),
            }
        }
        fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
            match self.2 {
                "fail" => Err(Error::new(Kind::Host, "toy is broken")),
                "lazy" => Ok(()),
                _ => cx.put(self.1, 0o644, b"x").map(|_| ()),
            }
        }
        fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
            match self.2 {
                "stuck" => Err(Error::new(Kind::Host, "toy is stuck")),
                _ => cx.take_back_file(self.1.as_str()),
            }
        }
    }

    fn toys(last: &'static str) -> Vec<Box<dyn Step>> {
        told(["", "", last])
    }

    fn told([a, b, c]: [&'static str; 3]) -> Vec<Box<dyn Step>> {
        let paths = [RelPath::literal("a"), RelPath::literal("b"), RelPath::literal("c")];
        vec![Box::new(Toy("a", paths[0], a)), Box::new(Toy("b", paths[1], b)), Box::new(Toy("c", paths[2], c))]
    }

    fn done(cx: &mut Cx<'_>) -> Vec<bool> {
        check_all(&toys(""), cx).unwrap().iter().map(|finding| finding.status == Status::Done).collect()
    }

    #[test]
    fn a_second_run_applies_nothing() {
        with_cx(|cx| {
            assert_eq!(run(&toys(""), cx).unwrap(), Summary { applied: 3, skipped: 0 });
            assert_eq!(run(&toys(""), cx).unwrap(), Summary { applied: 0, skipped: 3 });
            assert_eq!(done(cx), [true; 3]);
        });
    }

    #[test]
    fn what_nobody_tells_is_done_once_it_was_brought_about() {
        with_cx(|cx| {
            assert_eq!(run(&toys("untold"), cx).unwrap(), Summary { applied: 3, skipped: 0 });
            assert_eq!(run(&toys("untold"), cx).unwrap(), Summary { applied: 0, skipped: 3 });
            // cut in the middle
            cx.journal.started("c").unwrap();
            assert_eq!(run(&toys("untold"), cx).unwrap(), Summary { applied: 1, skipped: 2 });
            // and what is told to be missing is brought about again
            cx.root.remove(RelPath::literal("b")).unwrap();
            assert_eq!(run(&toys("untold"), cx).unwrap(), Summary { applied: 1, skipped: 2 });
        });
    }

    #[test]
    fn a_check_that_fails_after_its_step_speaks_for_itself() {
        with_cx(|cx| {
            let e = run(&toys("sick"), cx).unwrap_err();
            assert_eq!(e.to_string(), "step c: toy does not answer");
        });
    }

    #[test]
    fn undo_goes_on_after_a_failure_and_tells_the_first() {
        with_cx(|cx| {
            run(&toys(""), cx).unwrap();
            let e = undo(&told(["", "stuck", "stuck"]), cx).unwrap_err();
            assert_eq!(e.to_string(), "undo step c: toy is stuck");
            assert_eq!(done(cx), [false, true, true]);
            assert!(cx.journal.knows("b") && cx.journal.knows("c") && !cx.journal.is_empty());
        });
    }

    #[test]
    fn a_failure_is_told_with_its_step_and_the_next_run_goes_on() {
        with_cx(|cx| {
            let e = run(&toys("fail"), cx).unwrap_err();
            assert_eq!(e.to_string(), "step c: toy is broken");
            assert!(cx.journal.is_unfinished("c") && !cx.journal.is_unfinished("b"));
            assert_eq!(run(&toys(""), cx).unwrap(), Summary { applied: 1, skipped: 2 });
            assert!(!cx.journal.is_unfinished("c"));
        });
    }

    #[test]
    fn a_step_that_brings_nothing_about_is_an_error() {
        with_cx(|cx| {
            let e = run(&toys("lazy"), cx).unwrap_err();
            assert_eq!((e.kind(), e.to_string().as_str()), (Kind::Runtime, "step c: applied, but still: missing"));
        });
    }

    #[test]
    fn undo_takes_back_what_the_journal_knows() {
        with_cx(|cx| {
            run(&toys(""), cx).unwrap();
            assert_eq!(undo(&toys(""), cx).unwrap(), 3);
            assert_eq!(undo(&toys(""), cx).unwrap(), 0);
            assert!(cx.journal.is_empty());
            assert_eq!(done(cx), [false; 3]);
        });
    }
}
