//! What the stand-ins for keadm and edgecore have in common: EdgeCore's configuration, log lines, HTTPS.

#[path = "shared/fields.rs"]
pub(crate) mod fields;
#[path = "shared/http.rs"]
pub(crate) mod http;
#[path = "shared/klog.rs"]
pub(crate) mod klog;
#[path = "shared/set.rs"]
pub(crate) mod set;
#[path = "shared/yaml.rs"]
pub(crate) mod yaml;

/// The version that the stand-ins claim to be.
pub(crate) const VERSION: &str = "v1.22.0";
