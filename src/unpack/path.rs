//! Names in an archive as paths below the root that they are unpacked to: bytes, and nothing but text work.
//!
//! A path has no leading `/`, no empty part, no `.` and no `..`; the root itself is empty.

/// How a name begins. It matters only for where a link in its first part leads (see `tree::Tree::resolve`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With a name.
    Relative,
    /// With `/` or `..`.
    Rooted,
}

/// The path that `name` means, `..` taken back by the text alone and never beyond the root (Go's `path.Clean`).
pub(super) fn clean(name: &[u8]) -> (Vec<u8>, Start) {
    let mut start = if name.starts_with(b"/") { Start::Rooted } else { Start::Relative };
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if path.is_empty() => start = Start::Rooted,
            b".." => path.truncate(split(&path).0.len()),
            part => push(&mut path, part),
        }
    }
    (path, start)
}

/// `base` with `more` behind it, cleaned.
pub(super) fn join(base: &[u8], more: &[u8]) -> Vec<u8> {
    clean(&[base, b"/", more].concat()).0
}

/// Directory and last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// The parts of a path.
pub(super) fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// Adds a name to a path.
pub(super) fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        use Start::{Relative, Rooted};
        for (name, path, start) in [
            ("a", "a", Relative),
            ("./a/b/", "a/b", Relative),
            ("/a//b/.", "a/b", Rooted),
            ("a/../b", "b", Relative),
            ("a/../../b", "b", Rooted),
            ("../../etc/passwd", "etc/passwd", Rooted),
            ("/../x", "x", Rooted),
            ("a/b/../../..", "", Rooted),
            (".", "", Relative),
            ("", "", Relative),
            ("..a/.b", "..a/.b", Relative),
        ] {
            assert_eq!(clean(name.as_bytes()), (path.as_bytes().to_vec(), start), "{name}");
        }
        assert_eq!(join(b"a/b", b"../c"), b"a/c");
        assert_eq!(join(b"", b"/x/./y"), b"x/y");
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
