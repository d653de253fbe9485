//! File names with placeholders: `containerd-{version}-linux-{arch}.tar.gz/bin/containerd`.

use std::fmt;
use std::str::FromStr;

use super::names::Version;
use crate::ids::{Arch, BadName};

/// A file name, or the name of an archive and a path inside, with `{arch}`, `{kubeedge}` and at most one `{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl FromStr for Pattern {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let rest = text.replace("{arch}", "").replace("{kubeedge}", "");
        let (file, inside) = rest.split_once('/').unwrap_or((&rest, ""));
        if file.replacen("{version}", "", 1).contains(['{', '}']) || inside.contains(['{', '}']) {
            return Err(BadName::Shape(
                "has a placeholder other than {arch}, {kubeedge} and, once in the file name, {version}",
            ));
        }
        if file.is_empty() || text.ends_with('/') {
            return Err(BadName::Empty);
        }
        Ok(Pattern(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern with everything filled in but the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    before: String,
    /// What follows `{version}`; `None`: no such placeholder.
    after: Option<String>,
    /// Path inside the archive; `None`: the file itself is meant.
    pub(super) inside: Option<String>,
}

impl Pattern {
    pub(super) fn fill(&self, arch: Arch, kubeedge: &Version) -> Filled {
        let text = self.0.replace("{arch}", arch.as_str()).replace("{kubeedge}", kubeedge.as_str());
        let (file, inside) = match text.split_once('/') {
            Some((file, inside)) => (file, Some(inside.to_owned())),
            None => (text.as_str(), None),
        };
        match file.split_once("{version}") {
            Some((before, after)) => Filled { before: before.into(), after: Some(after.into()), inside },
            None => Filled { before: file.into(), after: None, inside },
        }
    }
}

impl Filled {
    /// Whether `file` has this name; with its version, where the name tells it.
    pub(super) fn matches(&self, file: &str) -> Option<Option<String>> {
        let Some(after) = &self.after else {
            return (file == self.before).then_some(None);
        };
        let version = file.strip_prefix(self.before.as_str())?.strip_suffix(after.as_str())?;
        // `containerd-static-2.1.4` is no version of `containerd-{version}`.
        let starts = version.strip_prefix('v').unwrap_or(version).starts_with(|c: char| c.is_ascii_digit());
        let plain = version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_'));
        (starts && plain && version.len() <= 64).then(|| Some(version.to_owned()))
    }

    /// For "looked for": `containerd-*-linux-arm64.tar.gz`.
    pub(super) fn shown(&self) -> String {
        match &self.after {
            Some(after) => format!("{}*{after}", self.before),
            None => self.before.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_release_names() {
        let kubeedge: Version = "v1.22.0".parse().unwrap();
        let version = |v: &str| Some(Some(v.to_owned()));
        for (pattern, file, found) in [
            ("containerd-{version}-linux-{arch}.tar.gz/bin/x", "containerd-2.1.4-linux-arm64.tar.gz", version("2.1.4")),
            (
                "containerd-{version}-linux-{arch}.tar.gz/bin/x",
                "containerd-2.2.0-rc.1-linux-arm64.tar.gz",
                version("2.2.0-rc.1"),
            ),
            ("containerd-{version}-linux-{arch}.tar.gz/bin/x", "containerd-2.1.4-linux-amd64.tar.gz", None),
            ("containerd-{version}-linux-{arch}.tar.gz/bin/x", "containerd-static-2.1.4-linux-arm64.tar.gz", None),
            ("cni-plugins-linux-{arch}-{version}.tgz/bridge", "cni-plugins-linux-arm64-v1.9.1.tgz", version("v1.9.1")),
            ("cni-plugins-linux-{arch}-{version}.tgz/bridge", "cni-plugins-linux-arm64-v1.9.1.tgz.sha256", None),
            ("runc.{arch}", "runc.arm64", Some(None)),
            ("runc.{arch}", "runc.amd64", None),
            ("keadm-{kubeedge}-linux-{arch}.tar.gz/k", "keadm-v1.22.0-linux-arm64.tar.gz", Some(None)),
            ("keadm-{kubeedge}-linux-{arch}.tar.gz/k", "keadm-v1.21.0-linux-arm64.tar.gz", None),
            ("keadm", "keadm", Some(None)),
        ] {
            let filled = pattern.parse::<Pattern>().unwrap().fill(Arch::Arm64, &kubeedge);
            assert_eq!(filled.matches(file), found, "{pattern} {file}");
        }
        let keadm: Pattern = "keadm-{kubeedge}.tgz/keadm-{kubeedge}-{arch}/keadm".parse().unwrap();
        assert_eq!(keadm.fill(Arch::Amd64, &kubeedge).inside.as_deref(), Some("keadm-v1.22.0-amd64/keadm"));
    }

    #[test]
    fn only_known_placeholders() {
        for bad in ["", "{os}", "a{version}b{version}", "a/{version}", "a{", "a/", "/a"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
