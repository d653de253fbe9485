//! Where keys and signatures are, and whether a bundle has to be signed: as soon as this machine has a key.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::bundle::signature::{ENDING, Keys, MAX_TEXT, Signed};
use crate::bundle::{Fault, Flaw};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result};
use crate::feed;
use crate::ids::RelPath;
use crate::root::Root;

/// Who may write here may put another directory in the place of the keys'.
const HOME: RelPath<'static> = RelPath::literal("etc/edgelay");

/// Keys of this machine, each a file `NAME.pub`.
const KEYS: RelPath<'static> = RelPath::literal("etc/edgelay/keys");

/// Where the signature of a bundle is.
#[derive(Debug)]
pub(super) enum Proof {
    /// In a file that was named: whoever does so wants it held against a key.
    At(PathBuf),
    /// In a file beside a bundle on a disk.
    Beside(PathBuf),
    /// Nowhere: a bundle that comes through a pipe has nothing beside it.
    Nowhere,
    /// Not asked for: the bundle lies where only one comes to that was judged.
    Given,
}

impl Proof {
    pub(super) fn beside(bundle: &Path) -> Self {
        let mut path = OsString::from(bundle);
        path.push(ENDING);
        Proof::Beside(path.into())
    }
}

/// The keys of the running system, whatever system is worked on.
pub(super) fn keys_of_this_machine() -> Result<Keys> {
    keys_of(&Root::open(Path::new("/"))?)
}

fn keys_of(root: &Root) -> Result<Keys> {
    let mut keys = Keys::default();
    let files = root.list_or_empty(KEYS)?;
    for file in &files {
        let Some(name) = file.strip_suffix(".pub") else { continue };
        let path = format!("{}/{file}", KEYS.as_str());
        let path = RelPath::parse(&path).lift(Kind::Config, || format!("key file '{}'", file.escape_debug()))?;
        let shown = root.absolute(path);
        [HOME, KEYS, path].into_iter().try_for_each(|there| guarded(root, there))?;
        add(&mut keys, name, &root.text_or_empty(path, MAX_TEXT)?, &shown)?;
    }
    // A key under another name must not turn into none at all.
    match files.first() {
        Some(file) if keys.is_empty() => {
            let what = format!("'{}' holds no key, but '{}'", root.absolute(KEYS).display(), file.escape_debug());
            Err(Error::new(Kind::Config, what).hint("give each key a name that ends in .pub, or remove the directory"))
        }
        _ => Ok(keys),
    }
}

/// Nobody but root, and whoever runs us, may say which keys there are.
fn guarded(root: &Root, path: RelPath<'_>) -> Result<()> {
    let Some(meta) = root.stat(path)? else { return Ok(()) };
    let shown = root.absolute(path);
    let (what, hint) = if meta.mode & 0o022 != 0 {
        let what = format!("'{}' may be written by others (mode {:04o})", shown.display(), meta.mode);
        (what, "look at the keys, then: chmod go-w /etc/edgelay; chmod -R go-w /etc/edgelay/keys")
    } else if meta.uid != 0 && meta.uid != geteuid().as_raw() {
        let what = format!("'{}' belongs to user {}, expected root", shown.display(), meta.uid);
        (what, "look at the keys, then: chown root: /etc/edgelay; chown -R root: /etc/edgelay/keys")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Config, what).hint(hint))
}

/// The keys in these files, and their names and texts.
pub(super) fn keys_in(files: &[PathBuf]) -> Result<(Keys, Vec<(String, String)>)> {
    let (mut keys, mut texts) = (Keys::default(), Vec::new());
    for path in files {
        let (name, text) = (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text(path)?);
        add(&mut keys, &name, &text, path)?;
        texts.push((name, text));
    }
    Ok((keys, texts))
}

fn add(keys: &mut Keys, name: &str, text: &str, path: &Path) -> Result<()> {
    keys.add(name, text).map_err(|why| {
        Error::new(Kind::Config, format_args!("key file '{}' {why}", path.display()))
            .hint("take the file NAME.pub that 'minisign -G' made")
    })
}

/// A short file from outside.
fn text(path: &Path) -> Result<String> {
    let failed = || format!("read '{}'", path.display());
    let mut file = File::open(path).lift(Kind::Host, failed)?;
    let bytes = feed::first(&mut file, MAX_TEXT).lift(Kind::Host, failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Who signed the bundle `name`; `None` if nobody has to. The flaw says what is wrong with the signature.
pub(super) fn judge(
    keys: &Keys,
    name: &str,
    identity: &Digest,
    proof: &Proof,
) -> Result<std::result::Result<Option<Signed>, Flaw>> {
    let unsigned = |what: String| Ok(Err(Flaw::new(Fault::Unsigned, what)));
    let path = match proof {
        Proof::At(_) if keys.is_empty() => {
            return Err(Error::new(Kind::Usage, "--signature: there is no key to hold it against")
                .hint("put its maker's key into /etc/edgelay/keys, or leave the flag out"));
        }
        _ if keys.is_empty() => return Ok(Ok(None)),
        Proof::Given => return Ok(Ok(None)),
        Proof::Nowhere => {
            return unsigned(format!("bundle '{name}' has no signature: a pipe's is given with --signature"));
        }
        Proof::At(path) | Proof::Beside(path) => path,
    };
    let signature = match text(path) {
        Ok(signature) => signature,
        Err(e) if e.errno() == Some(libc::ENOENT) => {
            return unsigned(format!("bundle '{name}' has no signature: there is no '{}'", path.display()));
        }
        Err(e) => return Err(e),
    };
    match keys.signer(identity, &signature) {
        Ok(signed) => Ok(Ok(Some(signed))),
        Err(why) => unsigned(format!("signature '{}' {why}", path.display())),
    }
}

/// As [`judge`], with the keys of this machine; an unsigned bundle is an error.
pub(super) fn demand(name: &str, identity: &Digest, proof: &Proof) -> Result<()> {
    if matches!(proof, Proof::Given) {
        return Ok(());
    }
    judge(&keys_of_this_machine()?, name, identity, proof)?.map(drop).map_err(Error::from)
}
