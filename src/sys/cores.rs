//! How many processors this process may run on (sched_getaffinity(2)).

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// At least one.
pub fn count() -> usize {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return 1 };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count().max(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_one_at_least() {
        let all = std::thread::available_parallelism().unwrap().get();
        assert!((1..=4096).contains(&super::count()) && super::count() >= all);
    }
}
