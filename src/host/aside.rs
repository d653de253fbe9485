//! Work with a limit that nothing can cut short: a thread does it, and is left behind when the time is over.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::meaning;
use crate::note;
use crate::sys::thread;

/// What a thread is to find out.
pub(super) struct Aside<T>(Arc<(Mutex<Option<T>>, Condvar)>);

impl<T: Send + 'static> Aside<T> {
    /// Begins `work`.
    pub(super) fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(None), Condvar::new()));
        let told = Arc::clone(&shared);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            let answer = work();
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            told.1.notify_one();
        });
        if let Err(e) = thread::leave(work) {
            note::debug(format_args!(
                "no thread ({}), ignoring: nothing will have come of it when the time is over",
                meaning(e)
            ));
        }
        Aside(shared)
    }

    /// What came of it. `None`: nothing yet, after `limit`.
    pub(super) fn within(self, limit: Duration) -> Option<T> {
        let (answer, told) = &*self.0;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = told.wait_timeout_while(answer, limit, |answer| answer.is_none());
        answer.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}
