//! A pipe that is read twice: its head once to know what comes, and then all of it.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crate::feed::Feed;

/// The pipe, and what was read of it so far. The limits on a bundle's metadata bound what is kept.
struct Pipe {
    source: Box<dyn Feed + Send>,
    head: Vec<u8>,
}

/// The first reader; whatever passes through it can be read again.
pub struct Recorder(Arc<Mutex<Pipe>>);

/// The second reader: from the beginning to the end.
#[derive(Clone)]
pub struct Replay {
    pipe: Arc<Mutex<Pipe>>,
    at: usize,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay at {}", self.at)
    }
}

/// Two readers of `source`. The second must not be used before the first was used for the last time.
pub fn record(source: Box<dyn Feed + Send>) -> (Recorder, Replay) {
    let pipe = Arc::new(Mutex::new(Pipe { source, head: Vec::new() }));
    (Recorder(pipe.clone()), Replay { pipe, at: 0 })
}

impl Read for Recorder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = pipe.source.read(buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        pipe.head.extend_from_slice(bytes);
        Ok(n)
    }
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = pipe.head.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return pipe.source.read(buffer);
        }
        let n = rest.read(buffer)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_again() {
        let (mut first, mut second) = record(Box::new(b"head and body".as_slice()));
        first.read_exact(&mut [0; 6]).unwrap();
        let mut all = String::new();
        second.read_to_string(&mut all).unwrap();
        assert_eq!(all, "head and body");
    }
}
