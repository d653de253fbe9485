//! The name of a Kubernetes node.

use std::fmt;
use std::str::FromStr;

use super::BadName;

/// A DNS-1123 subdomain in lower case, at most 63 bytes long in all.
///
/// Kubernetes allows 253, but the name also becomes the value of the label `kubernetes.io/hostname`, which allows 63.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

const MAX: usize = 63;

impl NodeName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = BadName;

    /// Upper case is lowered, as keadm does with host names; everything else must fit as it is.
    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.len() > MAX {
            return Err(BadName::TooLong(MAX));
        }
        let name = text.to_ascii_lowercase();
        for (at, byte) in name.bytes().enumerate() {
            if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.') {
                return Err(BadName::Byte(at));
            }
        }
        for label in name.split('.') {
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(BadName::Shape("has a part that is empty or begins or ends with '-'"));
            }
        }
        Ok(NodeName(name))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for (text, name) in [("edge-1", "edge-1"), ("Edge-1.Site", "edge-1.site"), ("0", "0")] {
            assert_eq!(text.parse::<NodeName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(64);
        for (text, why) in [
            ("", BadName::Empty),
            (long.as_str(), BadName::TooLong(63)),
            ("a_b", BadName::Byte(1)),
            ("a b", BadName::Byte(1)),
            ("-a", BadName::Shape("has a part that is empty or begins or ends with '-'")),
            ("a..b", BadName::Shape("has a part that is empty or begins or ends with '-'")),
        ] {
            assert_eq!(text.parse::<NodeName>(), Err(why), "{text}");
        }
    }
}
