//! The initramfs that installs from a stick: what its image is made of, and the kernel parameters it obeys
//! (initramfs/README.md). Bytes and texts only; making a file of it and acting on a machine is in [`crate::mode`].

pub mod frame;
pub mod image;
pub mod modules;
pub mod newc;
pub mod parameters;
pub mod wanted;

pub use image::{Image, Loading};
pub use parameters::{After, Parameters};
