//! What the stand-ins for keadm and edgecore have in common: EdgeCore's configuration, log lines, HTTPS.

pub(crate) mod fields;
pub(crate) mod http;
pub(crate) mod klog;
pub(crate) mod kube;
pub(crate) mod set;
pub(crate) mod yaml;

/// The version that the stand-ins claim to be.
pub(crate) const VERSION: &str = "v1.22.0";
