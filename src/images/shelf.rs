//! Named files, wherever they lie: what a tar archive and a directory have in common.

use crate::archive::{HEAD, Window};
use crate::error::Result;
use crate::feed::Feed;

/// A file on a [`Shelf`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its name, links resolved.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// The first bytes; fewer if the file is shorter.
    pub(super) head: Vec<u8>,
    /// Orders items by how they come cheapest.
    pub(super) position: u64,
}

/// Bytes of [`Item::head`].
pub(super) const HEAD_BYTES: usize = HEAD;

/// Named files, read-only.
pub(super) trait Shelf {
    /// Finds a file, through links that stay inside. `None`: nothing of that name.
    fn find(&self, name: &str) -> Result<Option<Item>>;

    /// The bytes of an item: exactly `item.size`, or an error.
    fn open(&mut self, item: &Item) -> Result<Box<dyn Feed + '_>>;

    /// Nothing is looked for by its name any more.
    fn forget(&mut self);

    /// What a decoder of what lies in it may hold.
    fn window(&self) -> Window {
        Window::Whole
    }

    /// Whether going back costs nothing.
    fn rewinds(&self) -> bool;
}
