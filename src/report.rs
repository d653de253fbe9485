//! What the user sees of a run: one line per step, progress, warnings; as text or as JSON lines; and the install log.
//!
//! The sink is given by the caller; this module prints nothing by itself. Known secrets are masked in everything.
//! The JSON events are documented in docs/events.md and carry `schema` 1.

mod log_file;
mod text;

pub use log_file::LogFile;
pub use text::{bytes, one_line, printable, seconds};

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::exec::mask;
use crate::gather::Grow;
use crate::ids::Token;
use crate::json::Text;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people: a bar that is redrawn while a step works.
    Terminal {
        /// ANSI colours.
        color: bool,
    },
    /// For people reading a file or a serial console: a line now and then instead of a bar.
    Plain,
    /// As [`Style::Plain`], without those lines.
    Steps,
    /// Only warnings and errors, as text.
    Quiet,
    /// One JSON object per line.
    Json,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its check said that nothing was to do.
    Skipped,
    /// It was applied and its check agrees.
    Done,
    /// It was undone.
    Undone,
}

impl Outcome {
    /// Stable word for events and the journal.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Skipped => "skipped",
            Outcome::Done => "done",
            Outcome::Undone => "undone",
        }
    }
}

/// The bar is redrawn at most this often.
const REDRAW: Duration = Duration::from_millis(100);
/// Without a bar, a sign of life comes this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// One run's report. Shared by everything that has something to say, hence the inner cell.
#[derive(Debug)]
pub struct Report {
    inner: RefCell<Inner>,
}

struct Inner {
    clock: SystemClock,
    sink: Box<dyn Write>,
    style: Style,
    log: Option<LogFile>,
    secrets: Vec<String>,
    warnings: Vec<String>,
    seq: u64,
    step: Option<Step>,
    /// Number of the step and of all steps.
    count: (usize, usize),
    bar_shown: bool,
}

struct Step {
    id: String,
    summary: String,
    start: Duration,
    shown: Duration,
    done: u64,
    total: u64,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("style", &self.style).field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl Report {
    /// Reports to `sink`.
    pub fn new(sink: Box<dyn Write>, style: Style) -> Self {
        Report {
            inner: RefCell::new(Inner {
                clock: SystemClock::default(),
                sink,
                style,
                log: None,
                secrets: Vec::new(),
                warnings: Vec::new(),
                seq: 0,
                step: None,
                count: (0, 0),
                bar_shown: false,
            }),
        }
    }

    /// From now on everything also goes to the install log.
    pub fn log_to(&self, log: LogFile) {
        self.inner.borrow_mut().log = Some(log);
    }

    /// `token` is masked in everything reported from now on, and so are its parts.
    pub fn hide(&self, token: &Token) {
        self.inner.borrow_mut().secrets.add_all(token.secrets());
    }

    /// `text` with the known secrets masked.
    pub fn mask(&self, text: &str) -> String {
        mask(text, &self.inner.borrow().secrets)
    }

    /// A run of `total` steps begins.
    pub fn run_begins(&self, verb: &str, total: usize) {
        let mut inner = self.inner.borrow_mut();
        inner.count = (0, total);
        inner.event("run-begins", &[("verb", verb)], &[("steps", total as u64)], None);
    }

    /// Step `id` begins to work.
    pub fn step_begins(&self, id: &str, summary: &str) {
        let mut inner = self.inner.borrow_mut();
        let now = inner.clock.elapsed();
        inner.count.0 += 1;
        let step = Step { id: id.into(), summary: summary.into(), start: now, shown: now, done: 0, total: 0 };
        inner.step = Some(step);
        inner.event("step-begins", &[("step", id), ("summary", summary)], &[], None);
        inner.bar();
    }

    /// The step at work has done `done` of `total` bytes; 0 of 0 where nobody knows.
    pub fn progress(&self, done: u64, total: u64) {
        let mut inner = self.inner.borrow_mut();
        if let Some(step) = &mut inner.step {
            (step.done, step.total) = (done, total);
        }
        inner.beat();
    }

    /// A sign of life while waiting; cheap, may be called often.
    pub fn beat(&self) {
        self.inner.borrow_mut().beat();
    }

    /// The step at work ended well.
    pub fn step_ends(&self, outcome: Outcome) {
        let mut inner = self.inner.borrow_mut();
        let Some(step) = inner.step.take() else { return };
        let spent = inner.clock.elapsed().saturating_sub(step.start);
        let line = text::step_line(inner.count, &step.summary, outcome, (spent, step.done));
        let ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        let words = [("step", step.id.as_str()), ("outcome", outcome.word())];
        inner.event("step-ends", &words, &[("step_ms", ms), ("bytes", step.done)], Some(&line));
    }

    /// Something worth a line.
    pub fn info(&self, message: &str) {
        self.inner.borrow_mut().event("info", &[("message", message)], &[], Some(message));
    }

    /// Something that is not as it should be, but does not stop the run. Counted for the end.
    pub fn warn(&self, message: &str) {
        let mut inner = self.inner.borrow_mut();
        let masked = mask(message, &inner.secrets);
        inner.warnings.push(masked);
        inner.event("warning", &[("message", message)], &[], Some(&format!("warning: {message}")));
    }

    /// The run ended with `error`.
    pub fn error(&self, error: &Error) {
        let mut inner = self.inner.borrow_mut();
        let step = inner.step.take();
        let (message, hint) = (error.to_string(), error.hint_text().unwrap_or_default());
        let id = step.as_ref().map_or("", |s| s.id.as_str());
        let words = [("step", id), ("kind", error.kind().word()), ("message", &message), ("hint", hint)];
        let mut line = format!("error: {message}");
        if !hint.is_empty() {
            line.push_str("\nhint: ");
            line.push_str(hint);
        }
        inner.event("error", &words, &[("exit_code", u64::from(error.kind().exit_code()))], Some(&line));
    }

    /// The run ended well; `message` says what is there now.
    pub fn run_ends(&self, message: &str) {
        let mut inner = self.inner.borrow_mut();
        let line = match inner.warnings.len() {
            0 => message.to_owned(),
            1 => format!("{message}, with 1 warning"),
            n => format!("{message}, with {n} warnings"),
        };
        let warnings = inner.warnings.len() as u64;
        inner.event("run-ends", &[("message", message)], &[("warnings", warnings)], Some(&line));
    }

    /// Every warning of the run so far.
    pub fn warnings(&self) -> Vec<String> {
        self.inner.borrow().warnings.clone()
    }
}

impl Inner {
    /// One event: to the sink as the style wants it, and to the log.
    fn event(&mut self, event: &str, words: &[(&str, &str)], numbers: &[(&str, u64)], line: Option<&str>) {
        self.seq += 1;
        if self.style == Style::Json {
            let json = self.json(event, words, numbers);
            self.say(&json);
        } else if let Some(line) = line {
            let loud = matches!(event, "warning" | "error");
            if loud || self.style != Style::Quiet {
                self.clear_bar();
                let line = text::printable(&mask(line, &self.secrets));
                let line = text::colored(&line, event, self.style);
                self.say(&line);
            }
        }
        if let Some(log) = &mut self.log {
            let fallback = text::plain(event, words);
            let text = mask(line.unwrap_or(&fallback), &self.secrets);
            log.line(&text::printable(&text));
        }
    }

    fn json(&self, event: &str, words: &[(&str, &str)], numbers: &[(&str, u64)]) -> String {
        let ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut json = format!("{{\"schema\":1,\"seq\":{},\"ms\":{ms},\"event\":{}", self.seq, Text(event));
        for (key, value) in words {
            let masked = mask(value, &self.secrets);
            json.grow(format_args!(",{}:{}", Text(key), Text(&masked)));
        }
        for (key, value) in numbers {
            json.grow(format_args!(",{}:{value}", Text(key)));
        }
        json.push('}');
        json
    }

    /// A terminal that went away must not stop an installation half-way, ignoring: any error of the sink.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.sink, "{line}");
        let _ = self.sink.flush();
    }

    fn beat(&mut self) {
        if self.style == Style::Steps {
            return;
        }
        let now = self.clock.elapsed();
        let pause = if matches!(self.style, Style::Terminal { .. }) { REDRAW } else { HEARTBEAT };
        let Some(step) = &mut self.step else { return };
        if now.saturating_sub(step.shown) < pause {
            return;
        }
        step.shown = now;
        if matches!(self.style, Style::Terminal { .. }) {
            self.bar();
            return;
        }
        let Some(step) = &self.step else { return };
        let (id, done, total) = (step.id.clone(), step.done, step.total);
        let line = text::heartbeat(&step.summary, now.saturating_sub(step.start), done, total);
        self.event("progress", &[("step", &id)], &[("bytes", done), ("total", total)], Some(&line));
    }

    fn bar(&mut self) {
        let (Style::Terminal { .. }, Some(step)) = (self.style, &self.step) else { return };
        let spent = self.clock.elapsed().saturating_sub(step.start);
        let bar = text::bar(self.count, &one_line(&step.summary), spent, (step.done, step.total));
        self.bar_shown = true;
        // As in `say`, ignoring: any error of the sink.
        let _ = write!(self.sink, "\r\x1b[K{bar}");
        let _ = self.sink.flush();
    }

    fn clear_bar(&mut self) {
        if std::mem::take(&mut self.bar_shown) {
            let _ = write!(self.sink, "\r\x1b[K");
        }
    }
}

/// The machine's clocks; every pause is also a sign of life.
#[derive(Debug)]
pub struct BeatingClock<'a> {
    clock: SystemClock,
    report: &'a Report,
}

impl<'a> BeatingClock<'a> {
    /// Lets `report` beat.
    pub fn new(report: &'a Report) -> Self {
        BeatingClock { clock: SystemClock::default(), report }
    }
}

impl Clock for BeatingClock<'_> {
    fn elapsed(&self) -> Duration {
        self.report.beat();
        self.clock.elapsed()
    }

    fn unix(&self) -> u64 {
        self.clock.unix()
    }

    fn sleep(&self, pause: Duration) {
        self.report.beat();
        self.clock.sleep(pause);
    }

    fn synchronised(&self) -> Option<bool> {
        self.clock.synchronised()
    }

    fn moved(&self) -> i64 {
        self.clock.moved()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const SECRET: &str = "s3cret-and-signature";

    fn run(style: Style) -> String {
        let sink = Shared::default();
        let report = Report::new(Box::new(sink.clone()), style);
        report.hide(&format!("{}.head.claims.{SECRET}", "a".repeat(64)).parse().unwrap());
        report.run_begins("install", 2);
        report.step_begins("a", "first thing");
        report.progress(3 << 20, 4 << 20);
        report.step_ends(Outcome::Done);
        report.warn(&format!("about {SECRET}"));
        report.step_begins("b", "second thing");
        report.error(&Error::new(Kind::Host, format_args!("token {SECRET} \"bad\"\x1b[2J")).hint("look"));
        let bytes = sink.0.borrow().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn plain_lines() {
        let said = run(Style::Plain);
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[0].starts_with("[1/2] first thing") && lines[0].contains("done") && lines[0].ends_with("3.0 MiB"),
            "{said}"
        );
        assert_eq!(&lines[1..], ["warning: about (hidden)", "error: token (hidden) \"bad\"?[2J", "hint: look"]);
    }

    #[test]
    fn quiet_says_only_what_is_wrong() {
        assert_eq!(run(Style::Quiet).lines().count(), 3);
    }

    #[test]
    fn json_lines_parse_and_hide_secrets() {
        let said = run(Style::Json);
        assert!(!said.contains(SECRET));
        let events: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let names: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["run-begins", "step-begins", "step-ends", "warning", "step-begins", "error"]);
        assert!(events.iter().enumerate().all(|(i, e)| e["seq"] == i as u64 + 1 && e["schema"] == 1));
        assert_eq!((&events[2]["outcome"], &events[2]["bytes"]), (&"done".into(), &(3u64 << 20).into()));
        assert_eq!((&events[5]["exit_code"], &events[5]["step"]), (&6.into(), &"b".into()));
    }

    #[test]
    fn the_bar_is_cleared_before_a_line() {
        let said = run(Style::Terminal { color: false });
        assert!(said.contains("\r\x1b[K[1/2] first thing"), "{said:?}");
        assert!(
            said.contains("\r\x1b[Kwarning: about (hidden)\n") || said.contains("\nwarning: about (hidden)\n"),
            "{said:?}"
        );
    }
}
