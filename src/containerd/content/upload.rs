//! Writing a blob: `Content.Write`, one request and one answer at a time.
//!
//! ```text
//! STAT(ref, total, expected) → offset      ALREADY_EXISTS: nothing to do · UNAVAILABLE: somebody else writes it
//! WRITE(offset, data)        → new offset  as often as needed; offset 0 starts again
//! COMMIT(total, offset, ...) → digest      answered twice, then the end
//! ```

use std::time::Duration;

use crate::containerd::api::Map;
use crate::containerd::api::content::{WriteAction, WriteContentRequest, WriteContentResponse};
use crate::containerd::client::{Link, SLOW, nonsense, read};
use crate::containerd::{CallResult, Client, Code};
use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::pb::Writer;
use crate::rpc::conn::Patience;
use crate::rpc::grpc::{Exchange, Last, Method};

/// Longest piece of data in one message: the fastest size on all daemons, see DESIGN.md.
pub const MAX_WRITE: usize = 256 * 1024;

const METHOD: Method = Method::unary(super::content_path!("Write")).within(Patience::Progress(Duration::from_secs(60)));
/// Field of the data in a `WriteContentRequest`.
const DATA: u32 = 6;

/// A locked reference is free again as soon as the daemon noticed that the last writer left (0.2 s), or when another
/// client finished the same blob.
const LOCK_PAUSES: [u64; 8] = [16, 50, 100, 250, 500, 1000, 2000, 2000];

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Name of the write. It must contain the digest: an interrupted write is continued by its name.
    pub reference: String,
    /// Digest that the bytes must have.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

/// How a write begins.
#[derive(Debug)]
pub enum Opened<'c> {
    /// The blob is there already (and belongs to our lease now). Its labels may not be ours.
    Exists,
    /// It is to be sent from [`Upload::offset`] on.
    Ready(Box<Upload<'c>>),
}

/// How a write ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// With our labels.
    Stored,
    /// Somebody else was faster; the labels may not be ours.
    Exists,
}

/// A write that is open. Dropped without a commit, it can be continued by the same reference.
#[derive(Debug)]
pub struct Upload<'c> {
    call: Exchange<'c, Link>,
    ingest: Ingest,
    offset: u64,
}

pub(super) fn open(client: &mut Client, ingest: Ingest) -> CallResult<Opened<'_>> {
    let mut upload = Box::new(Upload { call: client.start(METHOD)?, ingest, offset: 0 });
    let mut pauses = LOCK_PAUSES.iter();
    loop {
        match upload.stat() {
            Ok(offset) => upload.offset = offset,
            Err(e) if e.is(Code::AlreadyExists) => return Ok(Opened::Exists),
            Err(e) if e.is(Code::Unavailable) => {
                let pause = pauses.next().ok_or(e)?;
                upload.call.restart_after(Duration::from_millis(*pause))?;
                continue;
            }
            Err(e) => return Err(e),
        }
        return Ok(Opened::Ready(upload));
    }
}

impl Upload<'_> {
    /// Where to go on: everything before it is in the daemon already. Equal to the size if only the commit is missing
    /// (another namespace has the blob).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of bytes of the whole blob.
    pub fn size(&self) -> u64 {
        self.ingest.size
    }

    /// Starts again: the next write drops everything that was sent so far.
    pub fn rewind(&mut self) {
        self.offset = 0;
    }

    /// Sends the next bytes and waits until the daemon has them. Best in pieces of [`MAX_WRITE`].
    pub fn write(&mut self, data: &[u8]) -> CallResult<()> {
        for piece in data.chunks(MAX_WRITE) {
            self.write_piece(piece)?;
        }
        Ok(())
    }

    fn write_piece(&mut self, piece: &[u8]) -> CallResult<()> {
        let end = self.offset.saturating_add(piece.len() as u64);
        if end > self.ingest.size {
            let what = format!("{} bytes for blob {} of {} bytes", end, self.ingest.digest, self.ingest.size);
            return Err(Error::new(Kind::Bug, what).into());
        }
        let request =
            WriteContentRequest { action: WriteAction::WRITE, offset: signed(self.offset), ..Default::default() };
        let mut head = Writer::default();
        head.merge(&request);
        head.announce(DATA, piece.len());
        self.call.send(&head.into_bytes(), piece, Last::No)?;
        let offset = self.answer()?;
        if offset != end {
            let what = format!("containerd has {offset} bytes of blob {}, sent are {end}", self.ingest.digest);
            return Err(Error::new(Kind::Runtime, what).into());
        }
        self.offset = end;
        Ok(())
    }

    /// Ends the write: the daemon compares size and digest, stores the blob with these labels, and flushes it.
    ///
    /// [`Code::FailedPrecondition`] means that size or digest are wrong: abort the reference, then write again.
    pub fn commit(mut self, labels: Map) -> CallResult<Committed> {
        let (total, offset) = (signed(self.ingest.size), signed(self.offset));
        let expected = self.ingest.digest.to_string();
        let action = WriteAction::COMMIT;
        // Without the offset the daemon would drop what it has.
        let request = WriteContentRequest { action, total, expected, offset, labels, ..Default::default() };
        self.call.set_patience(SLOW);
        self.call.send(&Writer::encode(&request), &[], Last::Yes)?;
        // The answer comes twice, so only the end tells.
        loop {
            match self.call.receive() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Committed::Stored),
                Err(e) if e.is(Code::AlreadyExists) => return Ok(Committed::Exists),
                Err(e) => return Err(e),
            }
        }
    }

    fn stat(&mut self) -> CallResult<u64> {
        let request = WriteContentRequest {
            action: WriteAction::STAT,
            reference: self.ingest.reference.clone(),
            total: signed(self.ingest.size),
            expected: self.ingest.digest.to_string(),
            ..Default::default()
        };
        self.call.send(&Writer::encode(&request), &[], Last::No)?;
        let offset = self.answer()?;
        if offset > self.ingest.size {
            return Err(nonsense(METHOD, "the write is longer than the blob"));
        }
        Ok(offset)
    }

    /// The offset in the next answer.
    fn answer(&mut self) -> CallResult<u64> {
        let answer = self.call.receive()?.ok_or_else(|| nonsense(METHOD, "the write ended early"))?;
        let answer: WriteContentResponse = read(METHOD, &answer)?;
        u64::try_from(answer.offset).map_err(|_| nonsense(METHOD, "negative offset"))
    }
}

/// Sizes come from descriptors, which cannot be larger.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
