//! Names that travel in request headers, checked before they do.

use std::fmt;
use std::str::FromStr;

use crate::ids::BadName;

/// Longest namespace and lease identifier that containerd takes (its `identifiers` package).
const MAX_LEN: usize = 76;

/// A containerd namespace: `[A-Za-z0-9]+([._-][A-Za-z0-9]+)*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// `k8s.io`: the only one that the kubelet and EdgeCore look at.
    pub fn k8s() -> Self {
        Namespace("k8s.io".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        check(text).map(|()| Namespace(text.to_owned()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identifier of a lease, by the same rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(String);

impl LeaseId {
    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LeaseId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        check(text).map(|()| LeaseId(text.to_owned()))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(BadName::TooLong(MAX_LEN));
    }
    if let Some(at) = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))) {
        return Err(BadName::Byte(at));
    }
    if text.split(['.', '_', '-']).any(str::is_empty) {
        return Err(BadName::Shape("starts, ends or goes on with '.', '_' or '-' where a letter or digit must be"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_what_containerd_takes() {
        for good in ["k8s.io", "default", "a", "A-1_b.c", &"x".repeat(76)] {
            assert_eq!(good.parse::<Namespace>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", BadName::Empty),
            (&"x".repeat(77), BadName::TooLong(76)),
            ("a/b", BadName::Byte(1)),
            ("a\nb", BadName::Byte(1)),
            ("ä", BadName::Byte(0)),
        ] {
            assert_eq!(bad.parse::<Namespace>(), Err(why));
            assert_eq!(bad.parse::<LeaseId>(), Err(why));
        }
        for bad in [".a", "a.", "a..b", "-", "a-_b"] {
            assert!(matches!(bad.parse::<Namespace>(), Err(BadName::Shape(_))), "{bad}");
        }
    }
}
