//! Reading archives from outside: compression told by its first bytes, tar entries one after the other, and names that
//! cannot lead out.
//!
//! No files here: everything reads from what it is given, forward, and keeps no more than a header in memory.

mod compression;
mod header;
mod members;
mod name;
mod pax;
mod walk;

pub use compression::{Compression, HEAD, MAX_LAYER, Window, decoder, layer_reader, layer_stream};
pub use members::{MAX_MEMBERS, MAX_NAME, Member, MemberKind, Members, Segment, shown};
pub use name::{entry_name, resolve_link};
pub use walk::{Entry, EntryKind, Forward, Seekable, Skip, Walk};

use std::io::ErrorKind;

use edgelay_codec::Fault;

use crate::error::{Error, Kind, Lift, Text};

/// For archives that were cut or altered on their way.
pub(crate) const COPY_AGAIN: &str = "copy the file again from where it was made; the medium may be failing";

/// For archives that no tool should have made like this.
pub(crate) const MAKE_AGAIN: &str = "make the archive again, with 'docker save' or as an OCI layout";

/// For streams that were compressed in a way that needs more than there is here.
const COMPRESS_AGAIN: &str = "compress it again, with gzip, or with zstd without '--ultra', '--long' and dictionaries";

/// An error about the content of an archive.
pub(crate) fn bad(what: impl Text) -> Error {
    Error::new(Kind::Bundle, what)
}

/// What a failed read of archive bytes means: decoders tell a cut stream by the kind `UnexpectedEof`; an error of ours
/// that travelled through a reader says all but the place.
pub(crate) fn unreadable(e: std::io::Error, what: &str) -> Error {
    let hint = match e.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Fault::Window { .. } | Fault::Dictionary(_)) => COMPRESS_AGAIN,
        _ => COPY_AGAIN,
    };
    let ours = e.get_ref().is_some_and(|inner| inner.is::<Error>());
    let text = match e.kind() {
        _ if ours => what.to_owned(),
        ErrorKind::UnexpectedEof => format!("{what} is truncated"),
        _ => format!("{what} cannot be read"),
    };
    match Err::<(), _>(e).lift(Kind::Bundle, || text) {
        Ok(()) => bad(what.to_owned()),
        Err(e) => e.hint(hint),
    }
}
