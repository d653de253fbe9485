//! How many files this process may have open.
#![allow(unsafe_code)]

use nix::errno::Errno;

/// Sets the limit that counts, and the one up to which that may be raised.
pub fn files(soft: u64, hard: u64) -> nix::Result<()> {
    let wanted = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // WHY: nix has setrlimit only, and musl's stops every thread where the kernel is older than 2.6.36: 2 KiB.
    // SAFETY: `wanted` is there as long as the call; the null pointer asks for nothing to be written (prlimit(2)).
    let done = unsafe { libc::prlimit(0, libc::RLIMIT_NOFILE, &raw const wanted, std::ptr::null_mut()) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{Resource, getrlimit};

    use super::*;

    #[test]
    fn limits_are_those_that_were_set() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(files(hard, soft.min(hard - 1)), Err(Errno::EINVAL));
        files(hard - 1, hard).unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard - 1, hard)));
        files(soft, hard).unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((soft, hard)));
    }
}
