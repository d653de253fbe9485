//! What the board underneath *is*: where its kernel's arguments stand, where its storage is, what names it.
//!
//! A [`Profile`] is data (`board-profiles/*.json`, built in; a directory can add and replace). What gets installed is
//! none of its business: that is the bundle's. [`Facts`] are what the machine says about itself, [`Set::detect`] finds
//! the profile that fits them best, and [`identity::find`] tells one board from all others of its kind.

pub mod arguments;
mod builtin;
mod detect;
mod form;
pub mod identity;
mod memory;
mod profile;
mod set;
#[cfg(test)]
mod tests;

pub use detect::{Facts, Reason};
pub use form::{FORM, SCHEMA};
pub use identity::{Found, Identity, Source};
pub use memory::Class;
pub use profile::{ArgumentFile, Format, Iptables, Kernel, Profile, Quirk, Rule, Rules, Storage, Target};
pub use set::{MAX_FILE, Set};
