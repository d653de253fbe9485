//! Time, and the only way to wait: for a named thing, with a limit.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};

/// Where time comes from.
pub trait Clock {
    /// Monotonic time since an arbitrary start. Not affected by a clock that is set.
    fn elapsed(&self) -> Duration;
    /// Seconds since 1970 by the wall clock; boards without a battery start near 0.
    fn unix(&self) -> u64;
    /// Lets time pass.
    fn sleep(&self, pause: Duration);
    /// Whether something that keeps time has set the wall clock; `None`: nobody tells.
    fn synchronised(&self) -> Option<bool>;
    /// Seconds by which the wall clock was set forward (or back) since it was first looked at. Like the one before, without
    /// a default: a clock in front of another one must not forget to ask it.
    fn moved(&self) -> i64;
}

impl std::fmt::Debug for dyn Clock + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// The machine's clocks, and the wall clock's time at their start.
#[derive(Debug)]
pub struct SystemClock(Instant, Duration);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now(), now())
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix(&self) -> u64 {
        now().as_secs()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one home of sleeping")]
    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    fn synchronised(&self) -> Option<bool> {
        crate::sys::timex::synchronised()
    }

    fn moved(&self) -> i64 {
        // Not of whole seconds each: such a difference would come and go by one.
        let (now, due) = (now(), self.1 + self.elapsed());
        now.saturating_sub(due).as_secs().cast_signed() - due.saturating_sub(now).as_secs().cast_signed()
    }
}

/// A clock for tests: sleeping only counts.
#[derive(Debug, Default)]
pub struct CountingClock {
    slept: std::cell::Cell<Duration>,
    /// What [`Clock::unix`] gives at the start.
    pub epoch: u64,
    /// What [`Clock::synchronised`] gives.
    pub synchronised: Option<bool>,
    /// What [`Clock::moved`] gives.
    pub moved: i64,
}

impl Clock for CountingClock {
    fn elapsed(&self) -> Duration {
        self.slept.get()
    }

    fn unix(&self) -> u64 {
        self.epoch + self.slept.get().as_secs()
    }

    fn sleep(&self, pause: Duration) {
        self.slept.set(self.slept.get() + pause);
    }

    fn synchronised(&self) -> Option<bool> {
        self.synchronised
    }

    fn moved(&self) -> i64 {
        self.moved
    }
}

/// What a probe saw.
#[derive(Debug)]
pub enum Probe {
    /// It is there.
    Ready,
    /// Not yet; the text says what was seen, for the error should it never come.
    NotYet(String),
}

/// First pause between two probes; doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Probes until `what` is there, at most for `limit`. A probe's own error ends the waiting at once.
///
/// The error at the limit is of [`Kind::Runtime`] and carries what the last probe saw.
pub fn wait_for(
    clock: &dyn Clock,
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Probe>,
) -> Result<()> {
    wait(clock, what, limit, &mut probe)
}

/// The same for every probe.
fn wait(clock: &dyn Clock, what: &str, limit: Duration, probe: &mut dyn FnMut() -> Result<Probe>) -> Result<()> {
    let (start, mut pause) = (clock.elapsed(), FIRST_PAUSE);
    while let Probe::NotYet(seen) = probe()? {
        crate::sys::signal::check()?;
        let spent = clock.elapsed().saturating_sub(start);
        if spent >= limit {
            let text = format!("waited {} s for {what}; last seen: {seen}", limit.as_secs());
            return Err(Error::new(Kind::Runtime, text));
        }
        clock.sleep(pause.min(limit - spent));
        pause = (pause * 2).min(LAST_PAUSE);
    }
    Ok(())
}

/// `2026-11-23T08:30:00Z` from seconds since 1970 (RFC 3339, UTC).
pub fn rfc3339(unix: u64) -> String {
    // Civil date from days, proleptic Gregorian, with eras of 400 years that begin on 1 March.
    let (days, rest) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_say_what_was_seen() {
        let clock = CountingClock::default();
        let mut probes = 0;
        let e = wait_for(&clock, "the socket", Duration::from_secs(30), || {
            probes += 1;
            Ok(Probe::NotYet("connection refused".into()))
        })
        .unwrap_err();
        assert_eq!(e.to_string(), "waited 30 s for the socket; last seen: connection refused");
        assert_eq!(clock.elapsed(), Duration::from_secs(30));
        assert!(probes < 50, "{probes} probes in 30 s");
    }

    #[test]
    fn a_ready_probe_costs_no_pause() {
        let clock = CountingClock::default();
        wait_for(&clock, "x", Duration::ZERO, || Ok(Probe::Ready)).unwrap();
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_set_is_told_by_how_much_and_which_way() {
        let (begun, hour) = (Instant::now(), Duration::from_millis(3_600_500));
        assert_eq!(SystemClock(begun, now() - hour).moved(), 3600);
        assert_eq!(SystemClock(begun, now() + hour).moved(), -3600);
        let ago = begun.checked_sub(hour).unwrap();
        assert_eq!(SystemClock(ago, now() - hour).moved(), 0);
    }

    #[test]
    fn dates() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix), text);
        }
    }
}
