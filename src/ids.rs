//! Names that are checked once, at the border, and then carried as types: image references, node names, addresses.

mod address;
mod arch;
mod image_ref;
mod node_name;
mod rel_path;
mod token;

pub use address::{Cidr, HostPort};
pub use arch::Arch;
pub use image_ref::ImageRef;
pub use node_name::NodeName;
pub use rel_path::RelPath;
pub use token::Token;

use std::fmt;

/// Why a text is not the name it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Nothing there.
    Empty,
    /// Longer than the limit, which is given.
    TooLong(usize),
    /// The byte at this position is not allowed there.
    Byte(usize),
    /// The rule that is broken, in words.
    Shape(&'static str),
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("is empty"),
            BadName::TooLong(limit) => write!(f, "is longer than {limit} bytes"),
            BadName::Byte(at) => write!(f, "has a character that is not allowed, at position {at}"),
            BadName::Shape(rule) => f.write_str(rule),
        }
    }
}

impl std::error::Error for BadName {}
