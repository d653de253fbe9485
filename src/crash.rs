//! Crash points: places where a test cuts the power. Empty unless the feature `crash-points` is on.
//!
//! With the feature, [`point`] aborts the process the n-th time it is reached, n being the value given to [`arm`].
//! tests/it/crash.rs runs an install again and again with n = 0, 1, 2, ... until one run survives.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("crash points are for tests: no release build may carry them");

#[cfg(feature = "crash-points")]
static LEFT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(-1);

/// Lets the process die at crash point number `n`, counted from 0.
#[cfg(feature = "crash-points")]
pub fn arm(n: i64) {
    LEFT.store(n + 1, std::sync::atomic::Ordering::SeqCst);
}

/// A moment at which a power cut must do no harm: before and after each durable change.
#[inline]
pub fn point() {
    #[cfg(feature = "crash-points")]
    if LEFT.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}
