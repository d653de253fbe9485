//! Has the kernel begin to write a file to the disk now, without waiting for it.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Begins to write `length` bytes from `offset` on (sync_file_range(2)). Nothing is promised by it, so nothing can fail:
/// what is not written now is written by the sync that follows.
pub fn begin(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else { return };
    // WHY: nix has no wrapper for it.
    // SAFETY: numbers only; the descriptor is open as long as `file` is.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
