//! Flow control (RFC 9113 §5.2 and §6.9): how many DATA bytes may still be sent.

use std::fmt;

/// Largest window (RFC 9113 §6.9.1).
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Window of a new connection, and of streams until SETTINGS say otherwise (§6.9.2).
pub const START_WINDOW: u32 = 65_535;

/// A window grew beyond [`MAX_WINDOW`], or more was sent than it allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowError;

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flow-control window out of bounds")
    }
}

impl std::error::Error for FlowError {}

/// What one side may still send on the connection or on one stream.
///
/// A stream's window may be negative after the peer lowered INITIAL_WINDOW_SIZE (§6.9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(i64);

impl Window {
    /// A window of `size` bytes.
    pub fn new(size: u32) -> Self {
        Window(i64::from(size))
    }

    /// Bytes that may be sent now.
    pub fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// WINDOW_UPDATE.
    pub fn grow(&mut self, increment: u32) -> Result<(), FlowError> {
        self.shift(i64::from(increment))
    }

    /// INITIAL_WINDOW_SIZE changed from `old` to `new` while the stream is open: the difference counts (§6.9.2).
    pub fn rebase(&mut self, old: u32, new: u32) -> Result<(), FlowError> {
        self.shift(i64::from(new) - i64::from(old))
    }

    /// `bytes` were sent (with the padding, if any).
    pub fn spend(&mut self, bytes: u32) -> Result<(), FlowError> {
        let bytes = i64::from(bytes);
        if bytes > self.0.max(0) {
            return Err(FlowError);
        }
        self.0 -= bytes;
        Ok(())
    }

    fn shift(&mut self, by: i64) -> Result<(), FlowError> {
        let size = self.0 + by;
        // The lower bound cannot be crossed by a peer that keeps the rules; it keeps the arithmetic bounded.
        if size > i64::from(MAX_WINDOW) || size < -i64::from(MAX_WINDOW) {
            return Err(FlowError);
        }
        self.0 = size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_window_changes_move_open_streams_in_both_directions() {
        // The example of RFC 9113 §6.9.2: 60 KB sent of 64 KB, then the initial size becomes 16 KB.
        let mut window = Window::new(64 * 1024);
        window.spend(60 * 1024).unwrap();
        window.rebase(64 * 1024, 16 * 1024).unwrap();
        assert_eq!((window, window.available()), (Window(-44 * 1024), 0));
        assert_eq!(window.spend(1), Err(FlowError));
        assert_eq!(window.spend(0), Ok(()));
        window.grow(44 * 1024).unwrap();
        assert_eq!(window.available(), 0);
        window.rebase(16 * 1024, 2_900_000).unwrap();
        assert_eq!(window.available(), 2_900_000 - 16 * 1024);
    }

    #[test]
    fn windows_have_an_upper_bound() {
        let mut window = Window::new(START_WINDOW);
        assert_eq!(window.grow(MAX_WINDOW - START_WINDOW), Ok(()));
        assert_eq!(window.grow(1), Err(FlowError));
        assert_eq!(window.rebase(0, 1), Err(FlowError));
        assert_eq!(window.available(), MAX_WINDOW as usize);
        assert_eq!(window.rebase(MAX_WINDOW, 0), Ok(()));
        assert_eq!(window.rebase(MAX_WINDOW, 0), Ok(()));
        assert_eq!(window.rebase(1, 0), Err(FlowError));
    }

    #[test]
    fn spending_is_exact() {
        let mut window = Window::new(10);
        assert_eq!(window.spend(11), Err(FlowError));
        assert_eq!(window.spend(10), Ok(()));
        assert_eq!(window.available(), 0);
        assert_eq!(window.spend(1), Err(FlowError));
    }
}
