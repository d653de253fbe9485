//! Reading a blob: a server stream as [`Read`].

use std::io::{self, Read};

use std::time::Duration;

use crate::containerd::api::content::{ReadContentRequest, ReadContentResponse};
use crate::containerd::client::{Link, read};
use crate::containerd::{CallResult, Client};
use crate::digest::Digest;
use crate::error::Error;
use crate::pb::Writer;
use crate::rpc::conn::Patience;
use crate::rpc::grpc::{Exchange, Last, Method};

/// A disk that gives nothing for this long has failed.
const METHOD: Method = Method::unary(super::content_path!("Read")).within(Patience::Progress(Duration::from_secs(60)));

/// A blob that is being read. The bytes are as they come: compare the digest.
#[derive(Debug)]
pub struct ContentReader<'c> {
    call: Exchange<'c, Link>,
    rest: io::Cursor<Vec<u8>>,
}

impl<'c> ContentReader<'c> {
    pub(super) fn open(client: &'c mut Client, digest: &Digest, offset: u64) -> CallResult<Self> {
        // No blob is that large; the daemon answers OUT_OF_RANGE.
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let request = Writer::encode(&ReadContentRequest { digest: digest.to_string(), offset, size: 0 });
        let mut call = client.start(METHOD)?;
        call.send(&request, &[], Last::Yes)?;
        let mut reader = ContentReader { call, rest: io::Cursor::default() };
        // So that a blob that is not there is an error here and not in the middle of the caller's work.
        reader.fill()?;
        Ok(reader)
    }

    fn fill(&mut self) -> CallResult<bool> {
        while let Some(answer) = self.call.receive()? {
            let part: ReadContentResponse = read(METHOD, &answer)?;
            if !part.data.is_empty() {
                self.rest = io::Cursor::new(part.data);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.rest.read(buf)?;
            if n > 0 || buf.is_empty() || !self.fill().map_err(Error::from)? {
                return Ok(n);
            }
        }
    }
}
