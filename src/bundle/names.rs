//! Checked values of the edgelay manifest: role, version, permissions, destination.

use std::fmt;
use std::str::FromStr;

use crate::ids::{BadName, RelPath};

/// What kind of node a bundle makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// An edge node: containerd, CNI plugins, EdgeCore.
    Edge,
    /// The cloud side: k3s, CloudCore.
    Cloud,
}

impl Role {
    /// `edge`, `cloud`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Cloud => "cloud",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text {
            "edge" => Ok(Role::Edge),
            "cloud" => Ok(Role::Cloud),
            _ => Err(BadName::Shape("is not 'edge' or 'cloud'")),
        }
    }
}

/// A version of KubeEdge: `v1.22.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(String);

impl Version {
    /// With its leading `v`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Numbers of major and minor release: `(1, 22)`. One that is beyond 64 bits counts as the largest.
    pub fn release(&self) -> (u64, u64) {
        let mut numbers = self.0.trim_start_matches('v').split('.').map(|n| n.parse().unwrap_or(u64::MAX));
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
    }

    /// Without the patch: `v1.22`.
    pub fn minor(&self) -> &str {
        let end = self.0.match_indices('.').nth(1).map_or(self.0.len(), |(at, _)| at);
        self.0.get(..end).unwrap_or_default()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Version {
    type Err = BadName;

    /// `1.22.0` is taken as well.
    fn from_str(text: &str) -> Result<Self, BadName> {
        const MAX: usize = 64;
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split(['-', '+']).next().unwrap_or_default();
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
        if bare.len() > MAX {
            return Err(BadName::TooLong(MAX));
        }
        if numbers.split('.').count() != 3 || !numbers.split('.').all(number) || !bare.bytes().all(rest) {
            return Err(BadName::Shape("is no version as in v1.22.0"));
        }
        Ok(Version(format!("v{bare}")))
    }
}

/// Permissions of a component: readable by its owner, writable by nobody else, and never setuid, setgid or sticky.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// 0755.
    pub const EXECUTABLE: Mode = Mode(0o755);

    /// Whether its owner may run it.
    pub const fn is_executable(self) -> bool {
        self.0 & 0o100 != 0
    }

    /// Permission bits, as for `chmod`.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for Mode {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let four = text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            // No setuid, setgid, sticky bit; not writable by group and others; readable by the owner.
            Ok(bits) if four && bits & 0o7022 == 0 && bits & 0o400 != 0 => Ok(Mode(bits)),
            _ => Err(BadName::Shape("is no mode that a component may have (0755, 0644)")),
        }
    }
}

/// Directories that components may go into. A bundle is trusted with programs, not with the rest of the host:
/// configuration and units are edgelay's own.
const ALLOWED: [&str; 4] = ["usr/local/bin/", "usr/local/sbin/", "opt/cni/bin/", "usr/local/share/edgelay/"];

/// Where a component goes: a relative path below one of a few directories.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination(String);

impl Destination {
    /// The path below the root of the target.
    pub fn path(&self) -> RelPath<'_> {
        // Checked by `from_str`; the fallback keeps this total without a panic.
        RelPath::parse(&self.0).unwrap_or(RelPath::literal("usr/local/share/edgelay/unnamed"))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Destination {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        RelPath::parse(text)?;
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'+'));
        if !plain || !ALLOWED.iter().any(|dir| text.starts_with(dir)) {
            return Err(BadName::Shape(
                "is not below usr/local/bin, usr/local/sbin, opt/cni/bin or usr/local/share/edgelay",
            ));
        }
        Ok(Destination(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, normal) in [
            ("v1.22.0", "v1.22.0"),
            ("1.22.0", "v1.22.0"),
            ("v1.34.2+k3s1", "v1.34.2+k3s1"),
            ("v1.0.0-rc.1", "v1.0.0-rc.1"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().as_str(), normal);
        }
        for bad in ["", "v", "1.22", "v1.2.3.4", "v1.22.x", "latest", "v1.2.3/..", "v1..3", "v1.2.3 "] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn modes() {
        for good in ["0755", "0644", "0555", "0400", "0711"] {
            assert_eq!(good.parse::<Mode>().unwrap().to_string(), good);
        }
        for bad in ["755", "4755", "2755", "1755", "0777", "0775", "0000", "0111", "0o75", "+755", "00755", ""] {
            assert!(bad.parse::<Mode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn destinations() {
        for good in ["usr/local/bin/containerd", "usr/local/sbin/runc", "opt/cni/bin/host-local"] {
            assert_eq!(good.parse::<Destination>().unwrap().path().as_str(), good);
        }
        for bad in [
            "etc/passwd",
            "usr/local/bin",
            "usr/local/bin/",
            "/usr/local/bin/x",
            "usr/local/bin/../../../etc/passwd",
            "usr/bin/runc",
            "usr/local/binx/y",
            "usr/local/bin/a b",
            "usr/local/bin/a\n",
            "usr/local/bin/./x",
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }
}
