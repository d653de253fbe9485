//! Extended attributes (xattr(7)) of what lies in an open directory; a symbolic link is taken itself, not followed.
//!
//! The calls that take a directory handle came with Linux 6.13. Before, `/proc/self/fd/N/NAME` is the way to a name in
//! an open directory that cannot be led elsewhere, so `/proc` must be mounted.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::gather::Gather;

use nix::errno::Errno;

/// Longest list of names and longest value that the kernel gives (limits.h: `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX_ANSWER: usize = 64 << 10;

/// Whether an attribute may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It gets the new value.
    Replaced,
    /// It keeps its own; `EEXIST` tells.
    Kept,
}

/// `name` in `dir`, or `dir` itself for the name `.`.
fn path(dir: BorrowedFd<'_>, name: &[u8]) -> nix::Result<CString> {
    let text = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
    CString::new(text).map_err(|_| Errno::EINVAL)
}

fn key(key: &[u8]) -> nix::Result<CString> {
    CString::new(key).map_err(|_| Errno::EINVAL)
}

/// Sets an attribute (lsetxattr(2)).
pub fn set(dir: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8], existing: Existing) -> nix::Result<()> {
    let (path, attribute) = (path(dir, name)?, key(attribute)?);
    let flags = match existing {
        Existing::Replaced => 0,
        Existing::Kept => libc::XATTR_CREATE,
    };
    // WHY: nix has no wrapper for extended attributes.
    // SAFETY: path and attribute end with NUL and live through the call, as does `value`, whose length is its own.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), attribute.as_ptr(), value.as_ptr().cast(), value.len(), flags) };
    Errno::result(done).map(drop)
}

/// The value of an attribute (lgetxattr(2)).
pub fn get(dir: BorrowedFd<'_>, name: &[u8], attribute: &[u8]) -> nix::Result<Vec<u8>> {
    let (path, attribute) = (path(dir, name)?, key(attribute)?);
    answer(|buffer| {
        // WHY: as in `set`.
        // SAFETY: both strings end with NUL and live through the call; the kernel writes at most the buffer's length.
        unsafe { libc::lgetxattr(path.as_ptr(), attribute.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    })
}

/// The names of all attributes (llistxattr(2)).
pub fn list(dir: BorrowedFd<'_>, name: &[u8]) -> nix::Result<Vec<Vec<u8>>> {
    let path = path(dir, name)?;
    let names = answer(|buffer| {
        // WHY: as in `set`.
        // SAFETY: the path ends with NUL and lives through the call; the kernel writes at most the buffer's length.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    })?;
    Ok(names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).gather())
}

fn answer(call: impl Fn(&mut [u8]) -> libc::ssize_t) -> nix::Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_ANSWER];
    let length = Errno::result(call(&mut buffer))?;
    buffer.truncate(usize::try_from(length).unwrap_or(0));
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn attributes_of_a_name_and_of_the_directory_itself() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "").unwrap();
        std::os::unix::fs::symlink("f", dir.path().join("l")).unwrap();
        let open = std::fs::File::open(dir.path()).unwrap();
        let at = open.as_fd();
        match set(at, b"f", b"user.a", b"1", Existing::Replaced) {
            Err(Errno::ENOTSUP) => return, // the file system has none
            done => done.unwrap(),
        }
        set(at, b".", b"user.d", b"", Existing::Kept).unwrap();
        assert_eq!(set(at, b"f", b"user.a", b"2", Existing::Kept), Err(Errno::EEXIST));
        set(at, b"f", b"user.a", b"2", Existing::Replaced).unwrap();
        assert_eq!(get(at, b"f", b"user.a").unwrap(), b"2");
        assert_eq!(get(at, b".", b"user.d").unwrap(), b"");
        assert!(list(at, b"f").unwrap().contains(&b"user.a".to_vec()));
        assert!(!list(at, b"l").unwrap().contains(&b"user.a".to_vec()), "the link was followed");
        assert_eq!(get(at, b"f", b"user.none"), Err(Errno::ENODATA));
        assert_eq!(set(at, b"f\0", b"user.a", b"", Existing::Replaced), Err(Errno::EINVAL));
    }
}
