//! What XFS alone tells of itself.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

/// `XFS_IOC_FSGEOMETRY_V1` (ioctl_xfs_fsgeometry(2)): direction "read", 112 bytes, type 'X', number 100.
#[allow(clippy::cast_possible_wrap, reason = "32 bits, that some C libraries take as a signed number")]
const GEOMETRY: libc::Ioctl = 0x8070_5864_u32 as libc::Ioctl;
/// Of `struct xfs_fsop_geom_v1`: its size in words, and which of them are the flags.
const WORDS: usize = 112 / 4;
const FLAGS: usize = 92 / 4;
const FTYPE: u32 = 1 << 16;

/// Whether directories of the XFS that holds `file` tell the kind of their entries (`mkfs.xfs -n ftype=1`, the default
/// since 2015). `None`: it is no XFS.
pub fn has_ftype(file: &impl AsFd) -> Option<bool> {
    let mut geometry = [0_u32; WORDS];
    // WHY: nix has no wrapper for it.
    // SAFETY: the kernel writes 112 bytes, which is what `geometry` has; the descriptor is open as long as it is borrowed.
    let answer = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), GEOMETRY, geometry.as_mut_ptr()) };
    (answer == 0).then(|| geometry.get(FLAGS).is_some_and(|flags| flags & FTYPE != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_systems_know_no_such_question() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(has_ftype(&proc), None);
    }
}
