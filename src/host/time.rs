//! The clock of a board without a battery: what it cannot be before, and whether somebody has set it.

use crate::clock::Clock;
use crate::error::Result;
use crate::ids::RelPath;
use crate::root::Root;

/// The time of an earlier run, in seconds since 1970. Only written while the clock was known to be right: a clock that
/// once stood in the future must not keep later runs waiting for that future.
pub const STAMP: RelPath<'static> = RelPath::literal("var/lib/edgelay/clock");

/// There since systemd-timesyncd set the clock, also across its restarts (systemd-timesyncd.service(8)).
const TIMESYNC: RelPath<'static> = RelPath::literal("run/systemd/timesync/synchronized");

/// The last time that an earlier run saw; 0 if there is none. What is no number says nothing.
pub fn stamp(target: &Root) -> u64 {
    let text = target.read_text(STAMP, 64).ok().flatten();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Keeps the time for later runs, if it is known to be right.
pub fn save_stamp(machine: &Root, target: &Root, clock: &dyn Clock) -> Result<()> {
    let now = clock.unix();
    // Once a day is enough for a lower bound, and spares the flash.
    const DAY: u64 = 24 * 3600;
    if is_set(machine, clock) == Some(true) && now >= stamp(target).saturating_add(DAY) {
        target.write(STAMP, 0o644, format!("{now}\n").as_bytes())?;
    }
    Ok(())
}

/// Whether the clock was set by something that keeps time; `None`: nobody tells.
pub fn is_set(machine: &Root, clock: &dyn Clock) -> Option<bool> {
    if matches!(machine.stat(TIMESYNC), Ok(Some(_))) {
        return Some(true);
    }
    clock.synchronised()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;
    use crate::clock::CountingClock;

    fn at(epoch: u64, synchronised: Option<bool>) -> CountingClock {
        let mut clock = CountingClock::default();
        (clock.epoch, clock.synchronised) = (epoch, synchronised);
        clock
    }

    #[test]
    fn only_a_right_clock_is_kept() {
        let tree = Tree::new();
        let root = tree.root();
        for clock in [at(5_000_000, None), at(5_000_000, Some(false))] {
            save_stamp(&root, &root, &clock).unwrap();
            assert_eq!(stamp(&root), 0);
        }
        save_stamp(&root, &root, &at(5_000_000, Some(true))).unwrap();
        assert_eq!(stamp(&root), 5_000_000);
        // An hour later is not worth a write, and an earlier time is never kept.
        for earlier in [5_003_600, 30] {
            save_stamp(&root, &root, &at(earlier, Some(true))).unwrap();
            assert_eq!(stamp(&root), 5_000_000);
        }
        save_stamp(&root, &root, &at(5_086_400, Some(true))).unwrap();
        assert_eq!(stamp(&root), 5_086_400);
    }

    #[test]
    fn timesyncd_tells_too_and_rubbish_says_nothing() {
        let tree = Tree::new().file("run/systemd/timesync/synchronized", "").file("var/lib/edgelay/clock", "soon\n");
        let root = tree.root();
        assert_eq!(is_set(&root, &at(1, Some(false))), Some(true));
        assert_eq!(stamp(&root), 0);
    }
}
