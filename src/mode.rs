//! What the commands do, as plain functions: nothing here reads the command line.

pub mod board;
pub mod bundle;
pub mod cloud;
pub mod edge;
pub mod factory;
pub mod firstboot;
pub mod image;
pub mod initramfs;
mod record;
mod session;
mod source;
pub mod stick;
pub mod supervise;
mod trust;

pub use source::BundleSource;
