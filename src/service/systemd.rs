//! systemd, through `systemctl` and `journalctl`.

use std::time::Duration;

use super::State;
use crate::error::{Kind, Result, Trail};
use crate::exec::{Cmd, Exec, shorten};
use crate::gather::{Gather, Grow};

/// A unit may take its stop timeout (90 s by default) to end before it is started again.
const LIMIT: Duration = Duration::from_secs(150);

pub(super) fn state(exec: &mut dyn Exec, name: &str) -> Result<State> {
    let output = exec.run(&Cmd::new("systemctl", &["is-active", &unit(name)]))?;
    Ok(if output.code == 0 { State::Active } else { State::Inactive })
}

/// By its state, and by what systemd was told to do with it: between its end and its new start it is inactive.
pub(super) fn is_coming(exec: &mut dyn Exec, names: &[&str], at_once: bool) -> Result<bool> {
    let mut args = vec!["show", "--property=ActiveState", "--property=Job"];
    let units: Vec<String> = names.iter().map(|name| unit(name)).gather();
    args.add_all(units.iter().map(String::as_str));
    let shown = exec.succeed(&Cmd::new("systemctl", &args))?.stdout;
    Ok(shown.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| match (key, value) {
        ("ActiveState", "active") => !at_once,
        ("ActiveState", state) => matches!(state, "activating" | "deactivating" | "reloading"),
        (_, job) => !matches!(job, "" | "0"),
    }))
}

pub(super) fn reload(exec: &mut dyn Exec) -> Result<()> {
    exec.succeed(&Cmd::new("systemctl", &["daemon-reload"]).limit(LIMIT)).map(|_| ())
}

pub(super) fn restart(exec: &mut dyn Exec, name: &str) -> Result<()> {
    // A unit that failed too often in a row would refuse a start, ignoring: a unit that never failed has nothing to reset.
    let _ = exec.run(&Cmd::new("systemctl", &["reset-failed", &unit(name)]))?;
    let started = exec.succeed(&Cmd::new("systemctl", &["restart", &unit(name)]).limit(LIMIT));
    match started {
        Ok(_) => Ok(()),
        Err(e) => {
            let said = last_words(exec, name);
            // What it said when it ran before is no part of why it does not start now.
            let said = said.rsplit_once("\nStarting ").map_or(&*said, |(_, last)| last);
            let e = e.reclassify(Kind::Runtime).hint("mend what its last words name and run again");
            Err(e).doing(|| format!("start {name} ({said})"))
        }
    }
}

pub(super) fn stop(exec: &mut dyn Exec, name: &str) -> Result<()> {
    if state(exec, name)? == State::Inactive {
        // It may be waiting for its next restart: `stop` cancels that; a unit that is not known is fine, ignoring: status 5.
        let _ = exec.run(&Cmd::new("systemctl", &["stop", &unit(name)]).limit(LIMIT))?;
        return Ok(());
    }
    exec.succeed(&Cmd::new("systemctl", &["stop", &unit(name)]).limit(LIMIT)).map(|_| ())
}

pub(super) fn last_words(exec: &mut dyn Exec, name: &str) -> String {
    let cmd = Cmd::new("journalctl", &["--no-pager", "-o", "cat", "-n", "20", "-u", &unit(name)]);
    exec.run(&cmd).map(|output| shorten(output.stdout.trim(), 2000)).unwrap_or_default()
}

/// From the journal's clock, which is the machine's.
pub(super) fn words_since(exec: &mut dyn Exec, name: &str, unix: u64) -> String {
    let since = format!("--since=@{unix}");
    let cmd = Cmd::new("journalctl", &["--no-pager", "-o", "cat", "-n", "200", &since, "-u", &unit(name)]);
    exec.run(&cmd).map(|output| shorten(output.stdout.trim(), 20_000)).unwrap_or_default()
}

fn unit(name: &str) -> String {
    format!("{name}.service")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;

    #[test]
    fn a_start_that_fails_is_told_by_its_own_words() {
        let words =
            "level=info\nStopped x.service.\nStarting x.service - X...\nx: no such disk\nFailed to start x.service.\n";
        for (log, said) in [
            (words, "x.service - X...\nx: no such disk\nFailed to start x.service."),
            ("x: no such disk\n", "x: no such disk"),
        ] {
            let mut exec = Script::default()
                .expect("systemctl reset-failed x.service", 0, "")
                .expect("systemctl restart x.service", 1, "")
                .expect("journalctl --no-pager -o cat -n 20 -u x.service", 0, log);
            let e = restart(&mut exec, "x").unwrap_err();
            assert_eq!(e.kind(), Kind::Runtime);
            assert!(e.to_string().starts_with(&format!("start x ({said}): ")), "{e}");
            assert_eq!(e.hint_text(), Some("mend what its last words name and run again"));
        }
    }

    #[test]
    fn what_is_about_to_serve() {
        let cmd = "systemctl show --property=ActiveState --property=Job a.service b.service";
        for (shown, at_once, want) in [
            ("ActiveState=inactive\n\nActiveState=failed\n", false, false),
            ("ActiveState=inactive\n\nJob=0\nActiveState=activating\n", true, true),
            ("ActiveState=deactivating\n\nActiveState=inactive\n", true, true),
            ("Job=4711\nActiveState=inactive\n\nActiveState=inactive\n", true, true),
            ("ActiveState=inactive\n\nActiveState=active\n", true, false),
            ("ActiveState=inactive\n\nActiveState=active\n", false, true),
        ] {
            let mut exec = Script::default().expect(cmd, 0, shown);
            assert_eq!(is_coming(&mut exec, &["a", "b"], at_once).unwrap(), want, "{shown:?}");
        }
    }
}
