//! What several test modules need; everything cleans up after itself on drop.

pub(crate) mod bed;
pub(crate) mod bundles;
pub(crate) mod daemon;
pub(crate) mod images;
pub(crate) mod jail;
pub(crate) mod peak;
pub(crate) mod peers;
pub(crate) mod rootfs;
pub(crate) mod source;
pub(crate) mod tar;
pub(crate) mod tree;
