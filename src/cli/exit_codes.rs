//! The table of exit codes: for `help exit-codes` and docs/exit-codes.md.

use crate::error::Kind;
use crate::gather::Grow;

/// What scripts and units need to know about one class of failure.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The class.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub answer: &'static str,
}

const fn row(kind: Kind, meaning: &'static str, answer: &'static str) -> Row {
    Row { kind, meaning, answer }
}

/// Every class, in the order of its code.
pub const ROWS: [Row; Kind::ALL.len()] = [
    row(Kind::Bug, "a defect of edgelay itself", "report it with the message and the log"),
    row(Kind::Usage, "the command line cannot be understood", "change it; the same line fails again"),
    row(Kind::Config, "a setting has a bad value or is missing", "change it; the same settings fail again"),
    row(Kind::Preflight, "the host is not fit: a check failed", "do what the check says"),
    row(Kind::Bundle, "bundle or image damaged, incomplete, foreign or too new", "get the right file"),
    row(Kind::Host, "a file, device or program of this host failed", "make room or repair, then run again"),
    row(Kind::Runtime, "containerd refused, died or answered nonsense", "look at its log, then run again"),
    row(Kind::Cluster, "keadm, EdgeCore or CloudCore refused", "read its words in the message"),
    row(Kind::Locked, "another run of edgelay holds the lock", "wait for it, then run again"),
    row(Kind::Interrupted, "stopped by a signal", "run again: finished steps are skipped"),
    row(Kind::Drift, "something is not as it was installed", "run the install again, or repair by hand"),
    row(Kind::Reboot, "done, but a reboot is needed", "reboot"),
    row(Kind::Later, "cannot be done now, nothing is wrong here", "try again later"),
];

/// For the terminal.
pub fn render_text() -> String {
    let mut out = String::from("Exit codes (the number is the contract, see docs/exit-codes.md):\n\n");
    out.push_str("   0  done, or nothing to do\n");
    for Row { kind, meaning, answer } in ROWS {
        out.grow(format_args!("  {:2}  {meaning}\n      {answer}\n", kind.exit_code()));
    }
    out
}

/// docs/exit-codes.md
pub fn render_doc() -> String {
    let mut out = String::from(
        "# Exit codes\n\n\
         <!-- Made from the table in src/cli/exit_codes.rs: UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
         A contract: numbers and words are never changed, only added. The word stands in JSON output (`kind`), the\n\
         number is the exit status of the program. Treat an unknown number as a failure that a person has to look at.\n\n\
         | code | word | means | what to do |\n| ---: | --- | --- | --- |\n| 0 | `done` | done, or nothing to do | |\n",
    );
    for Row { kind, meaning, answer } in ROWS {
        out.grow(format_args!("| {} | `{}` | {meaning} | {answer} |\n", kind.exit_code(), kind.word()));
    }
    out.push_str(
        "\nFor a systemd unit that retries: `Restart=on-failure` with `RestartPreventExitStatus=2 3 4 5`, as those do not\n\
         mend themselves. A death by signal is, as everywhere, 128 + the signal's number as the shell shows it.\n\n\
         A defect that stops edgelay in the middle is told on standard error in one line of text, in any log format:\n\
         `error: a defect of edgelay 0.1.0 linux/amd64: SIGILL at 0x1a2b3c, called from 0x…`. The places are counted from\n\
         the program's beginning, and the maintainers find the source lines by them. `error: out of memory: …` ends with 6.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(ROWS.map(|row| row.kind), Kind::ALL);
    }
}
