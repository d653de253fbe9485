//! Threads: one whose end is waited for, and one that is left behind.
//!
//! Rather than `std::thread`: that gives each a name, hooks, and a place in a tree of stacks whose overflow is told in
//! words; 12 KiB of them on amd64. A panic ends the process, in a thread as elsewhere, and `fault` tells of it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use nix::errno::Errno;

use super::fault;

/// What a thread does.
type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Stack for work that is not known to need less, as std has it; memory is taken where it is touched.
pub const STACK: usize = 2 << 20;

/// Does `aside` in a thread with a stack of so many bytes, and `here` meanwhile in this one; what came of both, when both
/// are done. An error: there is no thread to be had, and neither was begun.
pub fn beside<T: Send, U>(
    stack: usize,
    aside: impl FnOnce() -> T + Send,
    here: impl FnOnce() -> U,
) -> nix::Result<(T, U)> {
    let mut told = None;
    let thread = Joined(begin(stack, Box::new(|| told = Some(aside())))?);
    let here = here();
    drop(thread);
    // It always has told, as it could not have ended otherwise.
    told.map(|told| (told, here)).ok_or(Errno::ECHILD)
}

/// Does `work` in a thread that nobody waits for.
pub fn leave(work: Box<dyn FnOnce() + Send>) -> nix::Result<()> {
    let thread = begin(STACK, work)?;
    // SAFETY: the thread is ours, and its number is used for nothing else.
    Errno::result(unsafe { libc::pthread_detach(thread) }).map(drop)
}

/// A thread that is waited for, however this value goes.
struct Joined(libc::pthread_t);

impl Drop for Joined {
    fn drop(&mut self) {
        // Nothing can be wrong with it: it is there, not waited for elsewhere, and not this one; ignoring.
        // SAFETY: the number is a thread's that was neither joined nor detached; what it returns, nothing, is not wanted.
        let _ = unsafe { libc::pthread_join(self.0, null_mut()) };
    }
}

/// Begins a thread. Whoever calls it must not let it live longer than what `work` borrows.
fn begin(stack: usize, work: Work<'_>) -> nix::Result<libc::pthread_t> {
    let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // A pointer to what is itself one of two words.
    let work = Box::into_raw(Box::new(work));
    // WHY: nix has no threads.
    // SAFETY: the attributes are used after they were made, and unmade once; the number of the thread is read if there is
    // one. `work` is a box's own pointer, which `run` makes a box again; if no thread does, it is done here. What it
    // borrows lives until the thread has ended: `leave` takes only what borrows nothing, and `beside` joins before it
    // returns, whatever happens in between.
    unsafe {
        let mut error = libc::pthread_attr_init(attributes.as_mut_ptr());
        if error == 0 {
            // An odd size is refused, and the thread has the usual one then, ignoring.
            let _ = libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack.saturating_add(fault::STACK));
            error = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, work.cast());
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        if error != 0 {
            drop(Box::from_raw(work));
            return Err(Errno::from_raw(error));
        }
        Ok(thread.assume_init())
    }
}

/// Where a thread begins. A panic does not get out of it: it ends the process.
extern "C" fn run(work: *mut c_void) -> *mut c_void {
    // SAFETY: `begin` made this pointer of a box of this type, for this one call.
    let work = unsafe { Box::from_raw(work.cast::<Work<'static>>()) };
    fault::covered(*work);
    null_mut()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a thread that is late, on purpose")]
mod tests {
    use super::*;
    use nix::unistd::gettid;
    use std::sync::{Barrier, mpsc::channel};
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn both_are_done_when_it_returns() {
        let (mut aside, mut here) = (vec![1], vec![1]);
        // Neither goes on before the other has begun.
        let meeting = Barrier::new(2);
        let both = beside(
            64 << 10,
            || {
                meeting.wait();
                sleep(Duration::from_millis(20));
                aside.push(2);
                gettid()
            },
            || {
                meeting.wait();
                here.push(3);
                gettid()
            },
        );
        let (other, this) = both.unwrap();
        assert!(other != this && this == gettid());
        assert_eq!((aside, here), (vec![1, 2], vec![1, 3]));
    }

    #[test]
    fn a_panic_here_waits_too() {
        let mut done = false;
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let slow = || {
                sleep(Duration::from_millis(50));
                done = true;
            };
            beside(STACK, slow, || panic!("as a test")).map(|((), ())| ())
        }));
        assert!(caught.is_err() && done);
    }

    #[test]
    fn one_that_is_left_goes_on_by_itself() {
        let (tell, told) = channel();
        leave(Box::new(move || tell.send(gettid()).unwrap())).unwrap();
        assert_ne!(told.recv().unwrap(), gettid());
    }

    #[test]
    fn a_stack_is_as_large_as_it_was_asked_for() {
        // More than the usual one in any libc, 8 MiB at most.
        let deep = || {
            let array = [1u8; 9 << 20];
            std::hint::black_box(&array).len()
        };
        assert_eq!(beside(20 << 20, deep, || 7), Ok((9 << 20, 7)));
    }

    #[test]
    fn where_there_is_no_thread_neither_is_begun() {
        let mut begun = (false, false);
        // No address space has room for it.
        let both = beside((usize::MAX / 4) & !0xffff, || begun.0 = true, || begun.1 = true);
        assert_eq!((both, begun), (Err(Errno::EAGAIN), (false, false)));
    }
}
