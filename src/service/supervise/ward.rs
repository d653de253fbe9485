//! One supervised service: what is to be done about it, decided from times alone.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Pause before the first start again; doubles with every start that did not last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A start lasted if the service ran so long.
const LASTED: Duration = Duration::from_secs(60);
/// A service that has not ended so long after SIGTERM is killed.
const GRACE: Duration = Duration::from_secs(20);

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Up,
    Down,
    /// Leave it alone.
    AsItIs,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Start,
    Signal(Pid, Signal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running {
        pid: Pid,
        since: Duration,
    },
    /// It was told to end.
    Ending {
        pid: Pid,
        kill_at: Duration,
    },
    Waiting {
        until: Duration,
    },
}

/// A service under supervision.
#[derive(Debug)]
pub(super) struct Ward {
    /// Program and arguments of the next start.
    pub(super) command: Vec<String>,
    /// Whether its entry is there.
    pub(super) listed: bool,
    phase: Phase,
    /// Its process is no child of ours.
    is_adopted: bool,
    failed: u32,
}

impl Ward {
    pub(super) fn new(command: Vec<String>) -> Self {
        Ward { command, listed: true, phase: Phase::Idle, is_adopted: false, failed: 0 }
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        match self.phase {
            Phase::Running { pid, .. } | Phase::Ending { pid, .. } => Some(pid),
            Phase::Idle | Phase::Waiting { .. } => None,
        }
    }

    /// Its process, if that is no child of ours.
    pub(super) fn adopted(&self) -> Option<Pid> {
        self.pid().filter(|_| self.is_adopted)
    }

    /// How many starts in a row did not last.
    pub(super) fn failed(&self) -> u32 {
        self.failed
    }

    pub(super) fn adopt(&mut self, pid: Pid, now: Duration) {
        self.phase = Phase::Running { pid, since: now };
        self.is_adopted = true;
    }

    pub(super) fn started(&mut self, pid: Pid, now: Duration) {
        self.phase = Phase::Running { pid, since: now };
        self.is_adopted = false;
    }

    pub(super) fn not_started(&mut self, now: Duration) {
        self.fail(now);
    }

    /// Its process has ended. How long until the next start, if it was not told to end.
    pub(super) fn ended(&mut self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Running { since, .. } => {
                if now.saturating_sub(since) >= LASTED {
                    self.failed = 0;
                }
                Some(self.fail(now))
            }
            _ => {
                self.phase = Phase::Idle;
                self.failed = 0;
                None
            }
        }
    }

    fn fail(&mut self, now: Duration) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1u32.checked_shl(self.failed).unwrap_or(u32::MAX)).min(LAST_PAUSE);
        self.failed = self.failed.saturating_add(1);
        self.phase = Phase::Waiting { until: now.saturating_add(pause) };
        pause
    }

    /// Lets it start at once if it waits for that.
    pub(super) fn forgive(&mut self) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Idle;
            self.failed = 0;
        }
    }

    /// What is due at `now`. A deed counts as done: it is not asked for again.
    pub(super) fn due(&mut self, wish: Wish, now: Duration) -> Deed {
        match (wish, self.phase) {
            (Wish::Up, Phase::Idle) => Deed::Start,
            (Wish::Up, Phase::Waiting { until }) if now >= until => Deed::Start,
            (Wish::Down, Phase::Running { pid, .. }) => {
                self.phase = Phase::Ending { pid, kill_at: now.saturating_add(GRACE) };
                Deed::Signal(pid, Signal::SIGTERM)
            }
            (_, Phase::Ending { pid, kill_at }) if now >= kill_at => {
                self.phase = Phase::Ending { pid, kill_at: now.saturating_add(GRACE) };
                Deed::Signal(pid, Signal::SIGKILL)
            }
            (Wish::Down, Phase::Waiting { .. }) => {
                self.phase = Phase::Idle;
                self.failed = 0;
                Deed::Nothing
            }
            _ => Deed::Nothing,
        }
    }

    /// How long until something may be due by itself.
    pub(super) fn wakes(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until: at } | Phase::Ending { kill_at: at, .. } => Some(at.saturating_sub(now)),
            Phase::Idle | Phase::Running { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ward() -> Ward {
        Ward::new(vec!["/x".into()])
    }

    #[test]
    fn a_service_that_dies_is_started_again_ever_later_until_it_lasts() {
        let (mut ward, pid, mut now) = (ward(), Pid::from_raw(7), s(0));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(ward.due(Wish::Up, now), Deed::Start);
            ward.started(pid, now);
            assert_eq!(ward.due(Wish::Up, now), Deed::Nothing);
            let pause = ward.ended(now).unwrap();
            assert_eq!(ward.wakes(now), Some(pause));
            assert_eq!(ward.due(Wish::Up, now + pause - Duration::from_millis(1)), Deed::Nothing);
            now += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(ward.failed(), 9);
        ward.started(pid, now);
        assert_eq!(ward.ended(now + LASTED), Some(s(1)), "it had lasted");
        (0..100).for_each(|_| ward.not_started(now));
        assert_eq!(ward.wakes(now), Some(LAST_PAUSE));
        ward.forgive();
        assert_eq!((ward.failed(), ward.due(Wish::Up, now)), (0, Deed::Start));
    }

    #[test]
    fn a_service_is_told_to_end_and_killed_if_it_does_not() {
        let (mut ward, pid) = (ward(), Pid::from_raw(7));
        ward.started(pid, s(0));
        assert_eq!(ward.due(Wish::Down, s(1)), Deed::Signal(pid, Signal::SIGTERM));
        assert_eq!(ward.due(Wish::Down, s(2)), Deed::Nothing);
        // The wish changed: it ends nevertheless, and is started anew.
        assert_eq!(ward.due(Wish::Up, s(3)), Deed::Nothing);
        assert_eq!(ward.due(Wish::Up, s(1) + GRACE), Deed::Signal(pid, Signal::SIGKILL));
        assert_eq!(ward.ended(s(22)), None);
        assert_eq!((ward.failed(), ward.due(Wish::Up, s(22))), (0, Deed::Start));
    }

    #[test]
    fn what_waits_for_its_next_start_can_be_told_to_stay_down() {
        let mut ward = ward();
        ward.not_started(s(0));
        assert_eq!(ward.due(Wish::Down, s(0)), Deed::Nothing);
        assert_eq!((ward.due(Wish::Down, s(99)), ward.wakes(s(99))), (Deed::Nothing, None));
        assert_eq!(ward.due(Wish::AsItIs, s(99)), Deed::Nothing);
        assert_eq!(ward.due(Wish::Up, s(99)), Deed::Start);
        ward.adopt(Pid::from_raw(8), s(99));
        assert_eq!((ward.adopted(), ward.pid()), (Some(Pid::from_raw(8)), Some(Pid::from_raw(8))));
    }
}
