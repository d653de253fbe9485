//! A path below a root, in a form that cannot climb out of it by itself.

use std::fmt;

use super::BadName;

/// A relative path without empty, `.` or `..` parts and without NUL: `etc/containerd/config.toml`.
///
/// Symbolic links are not its business: [`crate::root::Root`] resolves them against the root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath<'a>(&'a str);

/// Linux `PATH_MAX`.
const MAX: usize = 4096;

impl<'a> RelPath<'a> {
    /// For constants: a bad literal does not compile.
    ///
    /// ```
    /// use edgelay::ids::RelPath;
    /// const CONFIG: RelPath<'static> = RelPath::literal("etc/containerd/config.toml");
    /// assert_eq!(CONFIG.as_str(), "etc/containerd/config.toml");
    /// ```
    #[allow(clippy::panic, reason = "evaluated at compile time when used for a constant, as it is meant to be")]
    pub const fn literal(text: &'a str) -> Self {
        match Self::parse(text) {
            Ok(path) => path,
            Err(_) => panic!("not a relative path"),
        }
    }

    /// Checks `text`.
    #[allow(clippy::indexing_slicing, reason = "const fn: `at` is below the length; no iterators in const context")]
    pub const fn parse(text: &'a str) -> Result<Self, BadName> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(BadName::Empty);
        }
        if bytes.len() > MAX {
            return Err(BadName::TooLong(MAX));
        }
        let (mut at, mut start) = (0, 0);
        while at <= bytes.len() {
            if at == bytes.len() || bytes[at] == b'/' {
                match at - start {
                    0 => return Err(BadName::Shape("has an empty part (a leading, doubled or trailing '/')")),
                    1 if bytes[start] == b'.' => return Err(BadName::Shape("has a '.' part")),
                    2 if bytes[start] == b'.' && bytes[start + 1] == b'.' => {
                        return Err(BadName::Shape("has a '..' part"));
                    }
                    _ => start = at + 1,
                }
            } else if bytes[at] == 0 {
                return Err(BadName::Byte(at));
            }
            at += 1;
        }
        Ok(RelPath(text))
    }

    /// From an absolute path: `/etc/x` becomes `etc/x`.
    pub fn from_absolute(text: &'a str) -> Result<Self, BadName> {
        Self::parse(text.strip_prefix('/').ok_or(BadName::Shape("does not start with '/'"))?)
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Directory part (none for a single name) and file name.
    pub fn split(&self) -> (Option<RelPath<'a>>, &'a str) {
        match self.0.rsplit_once('/') {
            Some((dir, name)) => (Some(RelPath(dir)), name),
            None => (None, self.0),
        }
    }

    /// The parts, first to last.
    pub fn parts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split('/')
    }
}

impl fmt::Display for RelPath<'_> {
    /// As the user knows it, with a leading `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for RelPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_pass() {
        for good in ["a", "a/b", "etc/containerd/config.toml", "a/.b", "..a/b..", "a/..."] {
            assert_eq!(RelPath::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "/a", "a//b", "a/", ".", "./a", "a/.", "..", "../a", "a/../b", "a/..", "a\0b"] {
            assert!(RelPath::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RelPath::parse("a/b").unwrap().split(), (Some(RelPath::literal("a")), "b"));
    }
}
