//! Image references, normalised the way containerd's CRI looks them up.

use std::fmt;
use std::str::FromStr;

use crate::gather::Gather;

use super::BadName;

/// A full image name with registry and tag, `docker.io/kubeedge/pause:3.6`, or with registry and digest,
/// `docker.io/kubeedge/pause@sha256:…`.
///
/// Rules of the distribution reference grammar: no registry means `docker.io`, one part means `library/`, no tag
/// means `latest`. Where there is a digest, CRI takes no notice of a tag beside it, and so it is dropped. A name stored
/// in any other form is invisible to CRI.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef(String);

/// Limit of the grammar for the name without tag.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

impl ImageRef {
    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('@').or_else(|| self.0.rsplit_once(':')).unwrap_or((&self.0, ""))
    }

    /// The part before the tag or digest: `docker.io/kubeedge/pause`.
    pub fn repository(&self) -> &str {
        self.parts().0
    }

    /// The tag, `3.6`, or the digest in its place.
    pub fn tag(&self) -> &str {
        self.parts().1
    }

    /// The digest, where the image is named by it.
    pub fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// File name under which a `docker save` archive of this image is looked for:
    /// `docker.io-kubeedge-pause-3.6.tar`.
    pub fn archive_name(&self) -> String {
        let mut name: String = self.0.chars().map(|c| if matches!(c, '/' | ':' | '@') { '-' } else { c }).gather();
        name.push_str(".tar");
        name
    }
}

impl FromStr for ImageRef {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        let (text, digest) = text.split_once('@').map_or((text, None), |(text, digest)| (text, Some(digest)));
        if is_hex(text) {
            return Err(BadName::Shape("is an image id, not a name"));
        }
        let (registry, rest) = split_registry(text);
        let (path, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
        check_tag(tag)?;
        check_path(path)?;
        let library = if registry == "docker.io" && !path.contains('/') { "library/" } else { "" };
        let name = format!("{registry}/{library}{path}");
        if name.len() > MAX_NAME {
            return Err(BadName::TooLong(MAX_NAME));
        }
        check_registry(registry)?;
        match digest {
            None => Ok(ImageRef(format!("{name}:{tag}"))),
            Some(digest) if digest.strip_prefix("sha256:").is_some_and(is_hex) => {
                Ok(ImageRef(format!("{name}@{digest}")))
            }
            Some(_) => Err(BadName::Shape("has a digest that is not 'sha256:' and 64 hexadecimal digits")),
        }
    }
}

/// The digits of a SHA-256 digest.
fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first part is a registry only if it cannot be a path: `localhost`, or with a `.`, a `:` or an upper-case letter.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (if first == "index.docker.io" { "docker.io" } else { first }, rest)
        }
        _ => ("docker.io", text),
    }
}

fn check_registry(registry: &str) -> Result<(), BadName> {
    let (host, port) = match registry.strip_prefix('[') {
        // An IPv6 registry keeps its brackets.
        Some(v6) => v6.split_once(']').ok_or(BadName::Shape("has a registry with an open bracket"))?,
        None => registry.split_once(':').map_or((registry, ""), |(host, port)| (host, port)),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let good = |label: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
        edge(label.bytes().next())
            && edge(label.bytes().next_back())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let v6 = registry.starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_ok();
    if !(v6 || host.split('.').all(good)) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadName::Shape("has a registry that is no host name"));
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), BadName> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if tag.is_empty() || tag.len() > MAX_TAG || !tag.bytes().all(good) || tag.starts_with(['.', '-']) {
        return Err(BadName::Shape("has a tag that is not [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), BadName> {
    if path.split('/').all(is_component) {
        return Ok(());
    }
    Err(BadName::Shape("has a path that is not lower-case letters and digits joined by '.', '_', '__' or '-'"))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let alnum = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let edges = |b: Option<u8>| b.is_some_and(alnum);
    let mut bytes = part.bytes();
    if !edges(bytes.clone().next()) || !edges(bytes.next_back()) {
        return false;
    }
    part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|sep| matches!(sep, "" | "." | "_" | "__") || sep.bytes().all(|b| b == b'-'))
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn normal_forms() {
        for (text, full) in [
            ("pause", "docker.io/library/pause:latest"),
            ("kubeedge/pause:3.6", "docker.io/kubeedge/pause:3.6"),
            ("docker.io/kubeedge/pause:3.6", "docker.io/kubeedge/pause:3.6"),
            ("docker.io/eclipse-mosquitto:1.6.15", "docker.io/library/eclipse-mosquitto:1.6.15"),
            ("index.docker.io/a/b:1", "docker.io/a/b:1"),
            ("localhost/x:1", "localhost/x:1"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("registry.example/a/b__c/d--e:V1.x", "registry.example/a/b__c/d--e:V1.x"),
            (&format!("pause@{DIGEST}"), &format!("docker.io/library/pause@{DIGEST}")),
            // As CRI looks it up.
            (&format!("localhost:5000/x:3.6@{DIGEST}"), &format!("localhost:5000/x@{DIGEST}")),
        ] {
            let image: ImageRef = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(image.as_str(), full);
            assert_eq!(full.parse::<ImageRef>(), Ok(image), "normal form is stable");
        }
    }

    #[test]
    fn refused() {
        let id = "a".repeat(64);
        let long = format!("docker.io/{}", "a".repeat(300));
        for bad in [
            "",
            ":",
            "a:",
            "/a",
            "a/",
            "a//b",
            "a/B",
            "a_b_/c",
            "a___b",
            "a..b",
            "-a",
            "a:.x",
            "a b",
            "a:b:c",
            "../etc",
            "a@sha256:00",
            "a@",
            "a:.x@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "a@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad@x",
            "@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            &id,
            &long,
            "a.b/",
            "x.y:z/a",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?} gave {:?}", bad.parse::<ImageRef>());
        }
    }

    #[test]
    fn parts() {
        let image: ImageRef = "kubeedge/pause:3.6".parse().unwrap();
        assert_eq!((image.repository(), image.tag()), ("docker.io/kubeedge/pause", "3.6"));
        assert_eq!(image.archive_name(), "docker.io-kubeedge-pause-3.6.tar");
        assert_eq!(image.digest(), None);
        let image: ImageRef = format!("localhost:5000/x@{DIGEST}").parse().unwrap();
        assert_eq!((image.repository(), image.tag()), ("localhost:5000/x", DIGEST));
        assert_eq!(image.digest(), Some(DIGEST));
        assert!(image.archive_name().starts_with("localhost-5000-x-sha256-ba78"));
    }
}
