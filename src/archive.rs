//! Reading archives from outside: compression told by its first bytes, tar entries one after the other, and names that
//! cannot lead out.
//!
//! No files here: everything reads from what it is given, forward, and keeps no more than a header in memory.

mod compression;
mod name;
mod walk;
mod zstd;

pub use compression::{Compression, HEAD, MAX_LAYER, decoder, layer_reader};
pub use name::{entry_name, resolve_link};
pub use walk::{Entry, EntryKind, Forward, Seekable, Skip, Walk};

use crate::error::{Error, Kind};

/// For archives that were cut or altered on their way.
pub(crate) const COPY_AGAIN: &str = "copy the file again from where it was made; the medium may be failing";

/// For archives that no tool should have made like this.
pub(crate) const MAKE_AGAIN: &str = "make the archive again, with 'docker save' or as an OCI layout";

/// An error about the content of an archive.
pub(crate) fn bad(what: impl Into<String>) -> Error {
    Error::new(Kind::Bundle, what.into())
}

/// What a failed read of archive bytes means: decoders tell a cut stream by the kind `UnexpectedEof`.
pub(crate) fn unreadable(e: std::io::Error, what: &str) -> Error {
    let cut = e.kind() == std::io::ErrorKind::UnexpectedEof;
    let text = if cut { format!("{what} is truncated") } else { format!("read {what}") };
    let lifted: crate::error::Result<()> = crate::error::Lift::lift(Err(e), Kind::Bundle, || text);
    match lifted {
        Ok(()) => bad(what),
        Err(e) => e.hint(COPY_AGAIN),
    }
}
