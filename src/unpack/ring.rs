//! A bounded way from one thread to another: a few buffers that go round.
//!
//! One side fills buffers, the other reads them as a stream. The stream ends only when the filling side says so; if it
//! goes without a word, reading fails, so that half a stream is never taken for a whole one. If the reading side goes,
//! filling ends.

use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::feed::Feed;

/// Buffers and their size: enough that both sides keep running while one does something long, and little memory.
const BUFFERS: usize = 4;
const SIZE: usize = 64 << 10;

#[derive(Debug, Default)]
struct State {
    full: Vec<Vec<u8>>,
    empty: Vec<Vec<u8>>,
    ended: bool,
    filler_gone: bool,
    drawer_gone: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `take` gives something.
    fn wait<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(taken) = take(&mut state) {
                return taken;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The side that fills.
#[derive(Debug)]
pub struct Filler(Arc<Shared>);

/// The side that reads.
#[derive(Debug)]
pub struct Drawer {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    at: usize,
}

/// A new ring.
pub fn ring() -> (Filler, Drawer) {
    let state = State { empty: vec![Vec::new(); BUFFERS], ..State::default() };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    (Filler(shared.clone()), Drawer { shared, buffer: Vec::new(), at: 0 })
}

impl Filler {
    /// Passes on all of `source`. `false`: the other side went before its end.
    pub fn pass(self, source: &mut dyn Feed) -> io::Result<bool> {
        loop {
            let empty = self.0.wait(|state| match state.drawer_gone {
                true => Some(None),
                false => state.empty.pop().map(Some),
            });
            let Some(mut buffer) = empty else { return Ok(false) };
            buffer.resize(SIZE, 0);
            let n = fill(source, &mut buffer)?;
            buffer.truncate(n);
            self.0.change(|state| match n {
                0 => state.ended = true,
                _ => state.full.push(buffer),
            });
            if n == 0 {
                return Ok(true);
            }
        }
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut dyn Feed, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.0.change(|state| state.filler_gone = true);
    }
}

impl Drop for Drawer {
    fn drop(&mut self) {
        self.shared.change(|state| state.drawer_gone = true);
    }
}

impl Drawer {
    /// Gives the drained buffer back and takes the next; false at the end.
    fn turn(&mut self) -> io::Result<bool> {
        let drained = std::mem::take(&mut self.buffer);
        if drained.capacity() > 0 {
            self.shared.change(|state| state.empty.push(drained));
        }
        let next = self.shared.wait(|state| match state.full.is_empty() {
            false => Some(Ok(Some(state.full.remove(0)))),
            true if state.ended => Some(Ok(None)),
            true if state.filler_gone => Some(Err(io::ErrorKind::BrokenPipe)),
            true => None,
        })?;
        (self.buffer, self.at) = (next.unwrap_or_default(), 0);
        Ok(!self.buffer.is_empty())
    }
}

impl Read for Drawer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || (self.at == self.buffer.len() && !self.turn()?) {
            return Ok(0);
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()
    }

    #[test]
    fn all_of_it_comes_out_in_order() {
        for n in [0, 1, SIZE - 1, SIZE, SIZE + 1, 10 * SIZE + 7] {
            let (filler, mut drawer) = ring();
            let all = bytes(n);
            let copy = all.clone();
            let filling = thread::spawn(move || filler.pass(&mut &copy[..]).unwrap());
            let mut out = Vec::new();
            drawer.read_to_end(&mut out).unwrap();
            assert!(filling.join().unwrap() && out == all, "{n}");
            assert_eq!(drawer.read(&mut [0]).unwrap(), 0, "{n}: the end stays the end");
        }
    }

    #[test]
    fn half_a_stream_is_an_error() {
        struct Cut(usize);
        impl Read for Cut {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = self.0.min(buf.len());
                self.0 -= n;
                if n == 0 { Err(io::ErrorKind::InvalidData.into()) } else { Ok(n) }
            }
        }
        for n in [0, SIZE, 2 * SIZE + 5] {
            let (filler, mut drawer) = ring();
            let filling = thread::spawn(move || filler.pass(&mut Cut(n)).unwrap_err().kind());
            assert_eq!(drawer.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(filling.join().unwrap(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn nothing_is_read_for_a_reader_that_has_gone() {
        let (filler, drawer) = ring();
        drop(drawer);
        let mut source = io::repeat(1);
        assert!(!filler.pass(&mut source).unwrap());
        let (filler, mut drawer) = ring();
        let filling = thread::spawn(move || filler.pass(&mut io::repeat(1)).unwrap());
        drawer.read_exact(&mut [0; 3 * SIZE]).unwrap();
        drop(drawer);
        assert!(!filling.join().unwrap());
    }
}
