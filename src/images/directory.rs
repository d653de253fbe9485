//! An OCI layout as a directory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::shelf::{HEAD_BYTES, Item, Shelf};
use crate::archive::{COPY_AGAIN, bad};
use crate::error::{Kind, Lift, Result};
use crate::feed::{self, Feed};
use crate::ids::RelPath;
use crate::root::{Root, Type};

/// A directory; links in it are followed only inside of it.
#[derive(Debug)]
pub(super) struct Directory(Root);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Root::open(path).map(Directory)
    }

    fn file(&self, path: RelPath<'_>) -> Result<Option<File>> {
        match self.0.stat(path)? {
            None => Ok(None),
            Some(meta) if meta.kind == Type::File => self.0.open_file(path),
            Some(_) => Err(bad(format_args!("entry '{}' is no file", path.as_str()))),
        }
    }
}

impl Shelf for Directory {
    fn find(&self, name: &str) -> Result<Option<Item>> {
        let path = RelPath::parse(name).lift(Kind::Bundle, || format!("entry name '{}'", name.escape_debug()))?;
        let Some(mut file) = self.file(path)? else { return Ok(None) };
        let failed = || format!("read entry '{name}'");
        let size = file.metadata().lift(Kind::Bundle, failed)?.len();
        let head = feed::first(&mut file, HEAD_BYTES).lift(Kind::Bundle, failed)?;
        Ok(Some(Item { name: name.to_owned(), size, head, position: 0 }))
    }

    fn open(&mut self, item: &Item) -> Result<Box<dyn Feed + '_>> {
        let path = RelPath::parse(&item.name).lift(Kind::Bundle, || format!("entry name '{}'", item.name))?;
        match self.file(path)? {
            Some(file) => Ok(Box::new(file.take(item.size))),
            None => Err(bad(format_args!("entry '{}' is missing", item.name)).hint(COPY_AGAIN)),
        }
    }

    fn forget(&mut self) {}

    fn rewinds(&self) -> bool {
        true
    }
}
