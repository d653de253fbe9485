//! Recognising an unchanged big file without reading it.
//!
//! After a file was written and verified, the journal keeps its digest with inode, size and change times. As long as
//! these are the same, so are the bytes: the kernel sets the change time and nobody can set it back. Otherwise the
//! file is hashed.

use crate::digest::{Digest, measure};
use crate::error::{Kind, Lift, Result};
use crate::ids::RelPath;
use crate::plan::Cx;
use crate::root::Type;

/// Whether `path` is a file with permission bits `mode` that holds exactly the blob `digest` of `size` bytes.
pub(super) fn holds(cx: &Cx<'_>, path: RelPath<'_>, mode: u32, digest: Digest, size: u64) -> Result<bool> {
    let Some(meta) = cx.root.lstat(path)? else { return Ok(false) };
    if meta.kind != Type::File || meta.mode != mode || meta.size != size {
        return Ok(false);
    }
    if cx.journal.fact(&key(path)) == Some(&value(cx, path, digest)?) {
        return Ok(true);
    }
    let Some(mut file) = cx.root.open_file(path)? else { return Ok(false) };
    Ok(measure(&mut file).lift(Kind::Host, || format!("read '{path}'"))? == (digest, size))
}

/// To be called right after the file was written and verified.
///
/// In a system that will boot elsewhere, numbers of this machine's file system mean nothing.
pub(super) fn remember(cx: &mut Cx<'_>, path: RelPath<'_>, digest: Digest) -> Result<()> {
    if !cx.root.is_live() {
        return Ok(());
    }
    let value = value(cx, path, digest)?;
    cx.journal.remember(&key(path), &value)
}

/// To be called when the file is removed.
pub(super) fn forget(cx: &mut Cx<'_>, path: RelPath<'_>) -> Result<()> {
    cx.journal.forget(&key(path))
}

fn key(path: RelPath<'_>) -> String {
    format!("file:{}", path.as_str())
}

fn value(cx: &Cx<'_>, path: RelPath<'_>, digest: Digest) -> Result<String> {
    Ok(format!("{digest} {}", cx.root.stamp(path)?))
}
