//! Whether the kernel knows its clock to be right (adjtimex(2)).
#![allow(unsafe_code)]

/// Whether something that keeps time (ntpd, chrony, systemd-timesyncd) has set the clock. `None`: the kernel does not
/// tell.
pub fn synchronised() -> Option<bool> {
    let mut timex = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // WHY: nix has no wrapper of adjtimex.
    // SAFETY: every field of `timex` is a number, so all zeros is a value of it; with `modes` zero the kernel only
    // writes to the structure, which is as large as it thinks (adjtimex(2)).
    let (state, status) = unsafe {
        let state = libc::adjtimex(timex.as_mut_ptr());
        (state, (*timex.as_ptr()).status)
    };
    (state >= 0).then_some(status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells() {
        // What it says depends on the machine; that it says the same a moment later does not.
        assert_eq!(synchronised(), synchronised());
    }
}
