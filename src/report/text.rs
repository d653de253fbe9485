//! How lines look: pure text, no state.

use std::time::Duration;

use crate::gather::{Gather, Grow};

use super::{Outcome, Style};

/// `3.0 MiB`; whole bytes below 1 KiB.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // Tenths, in whole numbers: no floating point is needed for one digit.
    let (mut tenths, mut unit) = (n.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&"?"))
}

/// `text` as it may go to a terminal or a log. Programs, files and daemons have put words into it: what moves the
/// cursor, colours lines or rings is replaced. Line breaks stay.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).gather()
}

/// As [`printable`], for a row of a table: line breaks go, too.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).gather()
}

/// `1.2 s`, from a minute on `2 min 05 s`.
pub fn seconds(d: Duration) -> String {
    match d.as_secs() {
        s @ 0..60 => format!("{s}.{} s", d.subsec_millis() / 100),
        s => format!("{} min {:02} s", s / 60, s % 60),
    }
}

pub(super) fn step_line(count: (usize, usize), summary: &str, outcome: Outcome, spent: (Duration, u64)) -> String {
    let mut line = format!("{:<56} {:<8}", numbered(count, summary), outcome.word());
    if outcome != Outcome::Skipped {
        line.grow(format_args!("{:>8}", seconds(spent.0)));
        if spent.1 > 0 {
            line.grow(format_args!(" {:>10}", bytes(spent.1)));
        }
    }
    line.trim_end().to_owned()
}

fn numbered((number, of): (usize, usize), summary: &str) -> String {
    let width = of.to_string().len();
    format!("[{number:>width$}/{of}] {summary}")
}

pub(super) fn heartbeat(summary: &str, spent: Duration, done: u64, total: u64) -> String {
    match (done, total) {
        (0, 0) => format!("  ... {summary}: {}", seconds(spent)),
        _ => format!("  ... {summary}: {} of {}, {}", bytes(done), bytes(total), seconds(spent)),
    }
}

const BAR: u64 = 20;

pub(super) fn bar(count: (usize, usize), summary: &str, spent: Duration, work: (u64, u64)) -> String {
    let head = numbered(count, summary);
    let (done, total) = work;
    if total == 0 {
        return format!("{head} ... {}", seconds(spent));
    }
    let filled = done.min(total).saturating_mul(BAR) / total;
    let cells: String = (0..BAR).map(|i| if i < filled { '#' } else { '.' }).gather();
    format!("{head} [{cells}] {} of {}, {}", bytes(done), bytes(total), seconds(spent))
}

pub(super) fn colored(line: &str, event: &str, style: Style) -> String {
    let code = match event {
        "error" => "31",
        "warning" => "33",
        "run-ends" => "32",
        _ => return line.to_owned(),
    };
    if style == (Style::Terminal { color: true }) { format!("\x1b[{code}m{line}\x1b[0m") } else { line.to_owned() }
}

/// An event without a line of its own, for the log.
pub(super) fn plain(event: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(event.to_owned(), |text, (key, value)| format!("{text} {key}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        for (n, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (168 << 20, "168.0 MiB")]
        {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn words_of_others_cannot_steer_a_terminal() {
        let hostile = "a\u{1b}[2J\r\u{9b}1m\tb\nc";
        assert_eq!(printable(hostile), "a?[2J??1m?b\nc");
        assert_eq!(one_line(hostile), "a?[2J??1m?b?c");
    }

    #[test]
    fn bars() {
        let half = bar((2, 12), "import", Duration::from_secs(1), (1 << 20, 2 << 20));
        assert_eq!(half, "[ 2/12] import [##########..........] 1.0 MiB of 2.0 MiB, 1.0 s");
        assert_eq!(bar((1, 1), "wait", Duration::ZERO, (0, 0)), "[1/1] wait ... 0.0 s");
    }
}
