//! What a child does between fork and exec.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

/// Lets what `command` starts die with us, whatever ends us, and what it mounts go with it.
///
/// The kernel sends the signal when the thread ends that started it: our only one.
pub fn tie(command: &mut Command) {
    let parent = getpid();
    let before_exec = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // We may have died before that.
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        match unshare(CloneFlags::CLONE_NEWNS) {
            Ok(()) => {}
            // In a container that may not: what it mounts, it must unmount itself.
            Err(Errno::EPERM) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)?;
        Ok(())
    };
    // WHY: only there can a child ask for the signal of its parent's death, and no safe call runs code there.
    // SAFETY: the closure makes five system calls, allocates nothing and takes no lock; paths are short enough for
    // nix to copy them on the stack.
    unsafe { command.pre_exec(before_exec) };
}
