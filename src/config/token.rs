//! Reading the token file.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Kind, Lift, Result};
use crate::gather::Grow;
use crate::ids::Token;

/// A token has about 250 bytes; this leaves room for its largest form and a stray newline.
const MAX_FILE: u64 = 8 << 10;

/// Permission of others to read (4) or write (2).
const OTHERS: u32 = 0o006;

/// Reads the token from `path`, a bare one or that in a join file. No error shows its content.
pub fn load_token(path: &Path) -> Result<Token> {
    let name = path.display().to_string();
    let mut text = read(path, "write the token that 'keadm gettoken' prints in the cloud to that file")?;
    let outcome = parse(&text, &name).map_err(|e| match e.hint_text() {
        Some(_) => e,
        None => e.hint("write the token exactly as 'keadm gettoken' prints it in the cloud"),
    });
    wipe(&mut text);
    outcome
}

/// KubeEdge's version in the cloud, if `path` is a join file that says it. What is wrong with the file, [`load_token`] tells.
pub fn cloud_version(path: &Path) -> Option<String> {
    let mut text = read(path, "").ok()?;
    let version = super::join_file_value(text.as_bytes(), "kubeedge");
    wipe(&mut text);
    version
}

/// The same care that Token takes when it is dropped.
fn wipe(text: &mut String) {
    let length = text.len();
    text.clear();
    text.add_all(std::iter::repeat_n('0', length));
}

/// Reads the token that a k3s server has for its workers: one word.
pub fn load_secret(path: &Path) -> Result<String> {
    let hint = "copy '/var/lib/rancher/k3s/server/node-token' of the server to that file";
    let text = read(path, hint)?;
    let word = text.trim();
    if word.is_empty() || word.bytes().any(|b| !b.is_ascii_graphic()) {
        let what = format!("token file '{}' does not hold one word", path.display());
        return Err(Error::new(Kind::Config, what).hint(hint));
    }
    Ok(word.to_owned())
}

/// The text of a regular file that others can neither read nor write. `hint` says where to get the token.
fn read(path: &Path, hint: &'static str) -> Result<String> {
    let name = path.display();
    // Does not wait for a writer where the path is a FIFO; that is refused below.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .lift(Kind::Config, || format!("open token file '{name}'"))
        .map_err(|e| e.hint(hint))?;
    let meta = file.metadata().lift(Kind::Config, || format!("look at token file '{name}'"))?;
    if !meta.is_file() {
        return Err(Error::new(Kind::Config, format_args!("token file '{name}' is not a regular file")));
    }
    if meta.mode() & OTHERS != 0 {
        let what = format!("token file '{name}' has mode {:04o}: everyone can read or change it", meta.mode() & 0o7777);
        return Err(Error::new(Kind::Config, what)
            .hint(format_args!("run 'chmod 600 {name}'; if others have used this machine, make a new token")));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .lift(Kind::Config, || format!("read token file '{name}'"))
        .map_err(|e| e.hint(hint))?;
    Ok(text)
}

/// A bare token, or the one in a join file.
fn parse(text: &str, name: &str) -> Result<Token> {
    match text.trim_start().starts_with('{') {
        true => super::join_file::token_of(text.as_bytes(), name)?.parse(),
        false => text.parse::<Token>(),
    }
    .lift(Kind::Config, || format!("token file '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
    fn rules() {
        let dir = tempfile::tempdir().unwrap();
        let secret = format!("{}.aGVhZA.Y2xhaW1z.c2ln", "a".repeat(64));
        let file = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        for (name, mode) in [("a", 0o600), ("b", 0o640), ("c", 0o400)] {
            let token = load_token(&file(name, &format!("{secret}\n"), mode)).unwrap();
            assert_eq!(token.reveal(), secret);
        }
        for (name, text, want) in [
            ("j", "{\"kubeedge\": \"v1.22.1\"}", Some("v1.22.1")),
            ("k", "{\"schema\": 1}", None),
            ("l", secret.as_str(), None),
        ] {
            assert_eq!(cloud_version(&file(name, text, 0o600)).as_deref(), want);
        }
        let open = file("open", &secret, 0o644);
        let big = file("big", &"a".repeat(9000), 0o600);
        let binary = file("binary", "", 0o600);
        std::fs::write(&binary, [0xff; 3]).unwrap();
        for (path, what) in [
            (open.clone(), "has mode 0644: everyone can read or change it"),
            (file("wx", &secret, 0o602), "has mode 0602: everyone can read or change it"),
            (file("empty", "\n", 0o600), ": is empty"),
            (file("short", &secret[..70], 0o600), "is not four parts joined by '.' (a CA hash and a JWT)"),
            (big, "is longer than 4096 bytes"),
            (binary, "stream did not contain valid UTF-8"),
            (dir.path().to_owned(), "is not a regular file"),
            (dir.path().join("none"), "No such file or directory (os error 2)"),
        ] {
            let e = load_token(&path).unwrap_err();
            assert!(e.to_string().ends_with(what), "{e}");
            assert!(!format!("{e:?}").contains("aGVhZA"), "{e:?}");
            assert_eq!(e.kind(), Kind::Config);
        }
        let hint = load_token(&open).unwrap_err();
        assert!(hint.hint_text().unwrap().starts_with(&format!("run 'chmod 600 {}'", open.display())));
    }
}
