//! The connection's state machine (RFC 9113 §5, §6): frames in, bytes to be sent out. No I/O, no time.
//!
//! At most one stream is open. A broken rule ends the connection: with one call at a time there is nothing to save.

mod stream;

use std::fmt;

use super::flow::{FlowError, START_WINDOW, Window};
use super::frame::{self, Frame, FrameError, MAX_PAYLOAD_LEN, Setting, Settings};
use super::hpack::{self, HpackError, MAX_BLOCK, MAX_BLOCK_LEN};
use super::inbox::InboxError;
use super::status::{Code, Status, http2_error, printable};
pub use stream::Stream;

/// Frames in a row that bring no message any further. grpc-go answers each of our DATA bursts with about two.
const MAX_QUIET_FRAMES: u32 = 10_000;
/// Received bytes after which we open the windows again: half of what they start with.
const CREDIT: u32 = 1 << 30;
/// Highest stream identifier (§5.1.1).
const MAX_STREAM: u32 = 0x7fff_ffff;
/// Error code CANCEL (§7).
const CANCEL: u32 = 8;

/// Which rule the peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// A frame that is wrong by itself.
    Frame(FrameError),
    /// A header block that cannot be read.
    Hpack(HpackError),
    /// A window out of bounds.
    Flow(FlowError),
    /// A message that cannot be taken.
    Inbox(InboxError),
    /// A frame that must not come now, in words.
    Order(&'static str),
    /// More than the allowed number of frames without progress.
    Flood,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Frame(e) => e.fmt(f),
            SessionError::Hpack(e) => e.fmt(f),
            SessionError::Flow(e) => e.fmt(f),
            SessionError::Inbox(e) => e.fmt(f),
            SessionError::Order(rule) => f.write_str(rule),
            SessionError::Flood => write!(f, "{MAX_QUIET_FRAMES} frames without progress"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<FrameError> for SessionError {
    fn from(e: FrameError) -> Self {
        SessionError::Frame(e)
    }
}

impl From<FlowError> for SessionError {
    fn from(e: FlowError) -> Self {
        SessionError::Flow(e)
    }
}

impl From<HpackError> for SessionError {
    fn from(e: HpackError) -> Self {
        SessionError::Hpack(e)
    }
}

impl From<InboxError> for SessionError {
    fn from(e: InboxError) -> Self {
        SessionError::Inbox(e)
    }
}

/// A header block whose CONTINUATION frames are still to come.
#[derive(Debug)]
struct Block {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    /// To be sent before anything else; its front may be a half-sent frame.
    out: Vec<u8>,
    greeted: bool,
    window: Window,
    peer_initial_window: u32,
    received: u32,
    quiet: u32,
    block: Option<Block>,
    stream: Option<Stream>,
    last_stream: u32,
    going_away: Option<String>,
}

impl Default for Session {
    fn default() -> Self {
        Session {
            out: frame::preface(MAX_BLOCK),
            greeted: false,
            window: Window::new(START_WINDOW),
            peer_initial_window: START_WINDOW,
            received: 0,
            quiet: 0,
            block: None,
            stream: None,
            last_stream: 0,
            going_away: None,
        }
    }
}

impl Session {
    /// Whether the peer sent its first SETTINGS: it does speak HTTP/2.
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// Why the peer takes no more calls on this connection, if it said so.
    pub fn going_away(&self) -> Option<&str> {
        self.going_away.as_deref()
    }

    /// Bytes that wait to be sent. The owner removes what it has sent from the front.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Opens the next stream with this header block and takes answers of up to `limit` bytes.
    /// `false`: the connection has no streams left, or one is still open.
    pub fn open(&mut self, block: &[u8], limit: usize) -> bool {
        let id = if self.last_stream == 0 { 1 } else { self.last_stream.saturating_add(2) };
        if self.going_away.is_some() || id > MAX_STREAM || self.stream.is_some() || block.len() > MAX_PAYLOAD_LEN {
            return false;
        }
        self.last_stream = id;
        frame::headers(&mut self.out, id, block);
        self.stream = Some(Stream::new(id, Window::new(self.peer_initial_window), limit));
        self.quiet = 0;
        true
    }

    /// The open stream.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut()
    }

    /// How many DATA bytes may go into one frame now.
    pub fn sendable(&self) -> usize {
        let stream = self.stream.as_ref().map_or(0, |stream| stream.window.available());
        stream.min(self.window.available()).min(MAX_PAYLOAD_LEN)
    }

    /// A DATA frame with `bytes` is about to be sent on the open stream: its identifier.
    pub fn spend(&mut self, bytes: usize, end_stream: bool) -> Result<u32, SessionError> {
        let bytes = u32::try_from(bytes).map_err(|_| FlowError)?;
        let stream = self.stream.as_mut().ok_or(SessionError::Order("no stream is open"))?;
        self.window.spend(bytes)?;
        stream.window.spend(bytes)?;
        stream.local_end |= end_stream;
        self.quiet = 0;
        Ok(stream.id)
    }

    /// Forgets the open stream; if it is not over on both sides, the peer is told.
    pub fn close_stream(&mut self) {
        if let Some(stream) = self.stream.take()
            && !stream.closed()
        {
            frame::reset(&mut self.out, stream.id, CANCEL);
        }
    }

    /// Takes in one frame.
    pub fn receive(&mut self, frame: Frame<'_>) -> Result<(), SessionError> {
        self.check_order(&frame)?;
        self.quiet += 1;
        if self.quiet > MAX_QUIET_FRAMES {
            return Err(SessionError::Flood);
        }
        match frame {
            Frame::Data { stream, data, flow, end_stream } => self.on_data(stream, data, flow, end_stream),
            Frame::Headers { stream, block, end_stream, end_headers } => {
                self.check_known(stream)?;
                self.block = Some(Block { stream, end_stream, bytes: block.to_owned() });
                if end_headers { self.on_block() } else { Ok(()) }
            }
            Frame::Continuation { block, end_headers, .. } => self.on_continuation(block, end_headers),
            Frame::Reset { stream, code } => self.on_reset(stream, code),
            Frame::Settings(settings) => self.on_settings(&settings),
            Frame::Ping(data) => {
                frame::ping_ack(&mut self.out, data);
                Ok(())
            }
            Frame::GoAway { last, code, debug } => {
                self.on_goaway(last, code, debug);
                Ok(())
            }
            Frame::WindowUpdate { stream, increment } => self.on_window_update(stream, increment),
            Frame::SettingsAck | Frame::PingAck | Frame::Ignored => Ok(()),
        }
    }

    /// §3.4: SETTINGS come first. §6.10: nothing may come between the parts of a header block.
    fn check_order(&mut self, frame: &Frame<'_>) -> Result<(), SessionError> {
        if !self.greeted && !matches!(frame, Frame::Settings(_)) {
            return Err(SessionError::Order("first frame is not SETTINGS"));
        }
        let fits = match (&self.block, frame) {
            (Some(block), Frame::Continuation { stream, .. }) => block.stream == *stream,
            (None, Frame::Continuation { .. }) => false,
            (open, _) => open.is_none(),
        };
        if fits { Ok(()) } else { Err(SessionError::Order("header block is interrupted or has no start")) }
    }

    /// Frames of streams that we closed are late but harmless; streams that we never opened are not (§5.1).
    fn check_known(&self, stream: u32) -> Result<(), SessionError> {
        if stream.is_multiple_of(2) || stream > self.last_stream {
            return Err(SessionError::Order("frame on a stream that was never opened"));
        }
        Ok(())
    }

    fn current(&mut self, id: u32) -> Result<Option<&mut Stream>, SessionError> {
        self.check_known(id)?;
        Ok(self.stream.as_mut().filter(|stream| stream.id == id))
    }

    fn on_data(&mut self, id: u32, data: &[u8], flow: u32, end_stream: bool) -> Result<(), SessionError> {
        self.received += flow;
        if self.received >= CREDIT {
            frame::window_update(&mut self.out, 0, self.received);
            self.received = 0;
        }
        let Some(stream) = self.current(id)? else { return Ok(()) };
        let credit = stream.on_data(data, flow, end_stream)?;
        if !data.is_empty() {
            self.quiet = 0;
        }
        if let Some(credit) = credit {
            frame::window_update(&mut self.out, id, credit);
        }
        Ok(())
    }

    fn on_continuation(&mut self, part: &[u8], end_headers: bool) -> Result<(), SessionError> {
        let Some(block) = &mut self.block else { return Ok(()) };
        if block.bytes.len() + part.len() > MAX_BLOCK_LEN {
            return Err(SessionError::Hpack(HpackError::Size));
        }
        block.bytes.extend_from_slice(part);
        if end_headers { self.on_block() } else { Ok(()) }
    }

    fn on_block(&mut self) -> Result<(), SessionError> {
        let Some(block) = self.block.take() else { return Ok(()) };
        // Without a dynamic table the blocks of closed streams may stay unread.
        let Some(stream) = self.current(block.stream)? else { return Ok(()) };
        stream.on_headers(&hpack::decode(&block.bytes)?, block.end_stream)?;
        self.quiet = 0;
        Ok(())
    }

    fn on_reset(&mut self, id: u32, code: u32) -> Result<(), SessionError> {
        if let Some(stream) = self.current(id)? {
            stream.on_reset(code);
        }
        Ok(())
    }

    fn on_settings(&mut self, settings: &Settings<'_>) -> Result<(), SessionError> {
        for setting in settings.iter() {
            match setting {
                Setting::InitialWindow(size) => {
                    let old = std::mem::replace(&mut self.peer_initial_window, size);
                    // §6.9.2; without this, uploads to grpc-go stop for ever.
                    if let Some(stream) = &mut self.stream {
                        stream.window.rebase(old, size)?;
                    }
                }
                // We never send more than the smallest value it can have.
                Setting::MaxFrame(_) => {}
            }
        }
        self.greeted = true;
        frame::settings_ack(&mut self.out);
        Ok(())
    }

    /// §6.8: streams above `last` were not worked on; others may still end well.
    fn on_goaway(&mut self, last: u32, code: u32, debug: &[u8]) {
        let mut why = http2_error(code).to_owned();
        if !debug.is_empty() {
            why = format!("{why}, '{}'", printable(debug));
        }
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.id > last) {
            stream.end(Status::new(Code::Unavailable, format!("the peer takes no more calls ({why})")));
        }
        self.going_away = Some(why);
    }

    fn on_window_update(&mut self, id: u32, increment: u32) -> Result<(), SessionError> {
        if id == 0 {
            self.window.grow(increment)?;
        } else if let Some(stream) = self.current(id)? {
            stream.window.grow(increment)?;
        }
        Ok(())
    }
}
