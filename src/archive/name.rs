//! Names of entries: relative, without `..`, in one form.

use super::{MAKE_AGAIN, bad};
use crate::error::Result;
use crate::gather::Gather;

/// Linux `PATH_MAX`.
const MAX_NAME: usize = 4096;

/// The name of an entry in its one form: no leading `./`, no trailing `/`, no empty part. Empty for the archive's own
/// root directory. Absolute names, names with `..` and with control characters are refused: nobody makes them in good faith.
pub fn entry_name(raw: &[u8]) -> Result<String> {
    let shown = || String::from_utf8_lossy(raw.get(..raw.len().min(200)).unwrap_or(raw)).escape_debug().to_string();
    let refuse = |why: &str| Err(bad(format_args!("entry name '{}' {why}", shown())).hint(MAKE_AGAIN));
    if raw.len() > MAX_NAME {
        return refuse(&format!("has {} bytes, the limit is {MAX_NAME}", raw.len()));
    }
    let Ok(text) = std::str::from_utf8(raw) else { return refuse("is not UTF-8") };
    if text.starts_with('/') {
        return refuse("is absolute, expected a relative one");
    }
    // Names stand in messages, where these would make lines of their own.
    if text.contains(char::is_control) {
        return refuse("holds a control character");
    }
    let mut name = String::with_capacity(text.len());
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("has a '..' part"),
            part => {
                if !name.is_empty() {
                    name.push('/');
                }
                name.push_str(part);
            }
        }
    }
    Ok(name)
}

/// Where a symbolic link in an archive leads: `target` seen from the directory of the entry `name`.
pub fn resolve_link(name: &str, target: &str) -> Result<String> {
    let out =
        || bad(format_args!("link '{name}' leads out of the archive, to '{}'", target.escape_debug())).hint(MAKE_AGAIN);
    if target.starts_with('/') {
        return Err(out());
    }
    let mut parts: Vec<&str> = name.split('/').gather();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(out)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (raw, name) in
            [("a", "a"), ("./a/b", "a/b"), ("a/b/", "a/b"), ("a//b/./c", "a/b/c"), ("./", ""), ("..a/.b", "..a/.b")]
        {
            assert_eq!(entry_name(raw.as_bytes()).unwrap(), name);
        }
        for (raw, why) in [
            (&b"/etc/passwd"[..], "entry name '/etc/passwd' is absolute, expected a relative one"),
            (b"a/../../b", "entry name 'a/../../b' has a '..' part"),
            (b"..", "entry name '..' has a '..' part"),
            (b"a\0b", "entry name 'a\\0b' holds a control character"),
            (b"a\nerror: b", "entry name 'a\\nerror: b' holds a control character"),
            (b"a\xff\x1b", "entry name 'a\u{fffd}\\u{1b}' is not UTF-8"),
        ] {
            assert_eq!(entry_name(raw).unwrap_err().to_string(), why);
        }
        assert!(entry_name(&[b'a'; 5000]).unwrap_err().to_string().ends_with("has 5000 bytes, the limit is 4096"));
    }

    #[test]
    fn links_stay_inside() {
        assert_eq!(resolve_link("b/layer.tar", "../a/layer.tar").unwrap(), "a/layer.tar");
        assert_eq!(resolve_link("b/layer.tar", "x").unwrap(), "b/x");
        for target in ["../../a", "/a", "../a/../../b"] {
            let why = format!("link 'b/l' leads out of the archive, to '{target}'");
            assert_eq!(resolve_link("b/l", target).unwrap_err().to_string(), why);
        }
    }
}
