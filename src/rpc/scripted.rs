//! A peer for tests that plays a dialogue byte by byte, in chunks of any size, with time that only counts.
//!
//! What it says and what it expects alternate strictly: while it has something to say it takes nothing, so a client
//! that does not read while it wants to write is stuck.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::transport::{Interest, Ready, Transport};
use crate::testing::hex;

#[derive(Debug)]
enum Step {
    Say(VecDeque<u8>),
    Expect(VecDeque<u8>),
    /// Any bytes of that number.
    Swallow(usize),
    End,
    /// Says nothing for that long.
    Silence(Duration),
}

#[derive(Debug)]
struct State {
    steps: VecDeque<Step>,
    chunk: usize,
    now: Instant,
    wrong: Option<String>,
}

/// The script, shared between the connection that plays it and the test that checks it.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Mutex<State>>);

impl Peer {
    /// Reads and writes move at most `chunk` bytes at a time.
    pub(crate) fn new(chunk: usize) -> Self {
        let state = State { steps: VecDeque::new(), chunk, now: Instant::now(), wrong: None };
        Peer(Arc::new(Mutex::new(state)))
    }

    fn push(self, step: Step) -> Self {
        self.0.lock().unwrap().steps.push_back(step);
        self
    }

    /// The peer sends these bytes.
    pub(crate) fn say(self, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.push(Step::Say(bytes.iter().copied().collect())) }
    }

    /// [`Self::say`] in hexadecimal.
    pub(crate) fn say_hex(self, text: &str) -> Self {
        self.say(&hex(text))
    }

    /// The client must send exactly these bytes.
    pub(crate) fn expect(self, bytes: &[u8]) -> Self {
        self.push(Step::Expect(bytes.iter().copied().collect()))
    }

    /// [`Self::expect`] in hexadecimal.
    pub(crate) fn expect_hex(self, text: &str) -> Self {
        self.expect(&hex(text))
    }

    /// The client must send this many bytes.
    pub(crate) fn swallow(self, count: usize) -> Self {
        self.push(Step::Swallow(count))
    }

    /// The peer closes.
    pub(crate) fn end(self) -> Self {
        self.push(Step::End)
    }

    /// The peer does nothing for a while.
    pub(crate) fn silence(self, time: Duration) -> Self {
        self.push(Step::Silence(time))
    }

    /// What the client did wrong or did not do.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let state = self.0.lock().unwrap();
        match (&state.wrong, state.steps.front()) {
            (Some(wrong), _) => Err(wrong.clone()),
            (None, None | Some(Step::End)) => Ok(()),
            (None, Some(step)) => Err(format!("not reached: {step:?}")),
        }
    }

    /// How much time the client spent waiting.
    pub(crate) fn elapsed(&self, since: Instant) -> Duration {
        self.0.lock().unwrap().now - since
    }
}

impl Transport for Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let limit = buf.len().min(state.chunk);
        match state.steps.front_mut() {
            Some(Step::Say(bytes)) => {
                let n = limit.min(bytes.len());
                for (to, from) in buf.iter_mut().zip(bytes.drain(..n)) {
                    *to = from;
                }
                if bytes.is_empty() {
                    state.steps.pop_front();
                }
                Ok(n)
            }
            Some(Step::End) => Ok(0),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let buf: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(state.chunk).collect();
        let n = buf.len();
        match state.steps.front_mut() {
            Some(Step::Expect(bytes)) => {
                let n = n.min(bytes.len());
                let want: Vec<u8> = bytes.drain(..n).collect();
                let rest = bytes.len();
                if rest == 0 {
                    state.steps.pop_front();
                }
                if buf[..n] != want {
                    let wrong = format!("{rest} bytes before the end: got {:02x?}, want {want:02x?}", &buf[..n]);
                    state.wrong.get_or_insert(wrong);
                }
                Ok(n)
            }
            Some(Step::Swallow(count)) => {
                let n = n.min(*count);
                *count -= n;
                if *count == 0 {
                    state.steps.pop_front();
                }
                Ok(n)
            }
            Some(Step::End) => Err(ErrorKind::BrokenPipe.into()),
            Some(_) => Err(ErrorKind::WouldBlock.into()),
            None => {
                let wrong = format!("more than expected: {:02x?}", &buf[..n]);
                state.wrong.get_or_insert(wrong);
                Err(ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn wait(&mut self, interest: Interest, timeout: Duration) -> io::Result<Ready> {
        let mut state = self.0.lock().unwrap();
        match state.steps.front() {
            Some(Step::Say(_) | Step::End) => Ok(Ready::Yes),
            Some(Step::Expect(_) | Step::Swallow(_)) if interest == Interest::ReadOrWrite => Ok(Ready::Yes),
            Some(Step::Silence(time)) if *time <= timeout => {
                let time = *time;
                state.steps.pop_front();
                state.now += time;
                Ok(Ready::Yes)
            }
            _ => {
                state.now += timeout;
                Ok(Ready::TimedOut)
            }
        }
    }

    fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }
}
