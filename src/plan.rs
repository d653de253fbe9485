//! Steps, the engine that runs them, and the journal that survives a power cut. Knows no concrete step.

mod cx;
mod engine;
mod journal;
mod record;
mod step;

pub use cx::Cx;
pub use engine::{Finding, Summary, check_all, run, undo};
pub use journal::{Journal, Time};
pub use step::{Status, Step};

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::clock::CountingClock;
    use crate::exec::Script;
    use crate::report::{Report, Style};
    use crate::root::Root;

    /// A scratch root with a script that expects no program, and no bundle.
    pub(crate) fn with_cx<T>(test: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let (_dir, root) = Root::scratch();
        let mut journal = Journal::open(&root).unwrap();
        let report = Report::new(Box::new(std::io::sink()), Style::Plain);
        let (mut exec, clock) = (Script::default(), CountingClock::default());
        let (exec, journal) = (&mut exec, &mut journal);
        test(&mut Cx { root: &root, exec, clock: &clock, report: &report, journal, blobs: None })
    }
}
