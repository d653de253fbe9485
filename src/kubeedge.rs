//! KubeEdge on this node: keadm's command line and words, EdgeCore's files, ports and health (KubeEdge v1.22).

mod certificate;
mod cloudcore;
mod edgecore;
mod explain;
mod http;
mod keadm;
mod native;
mod node;
mod yaml;

pub use certificate::{MAX_CERTIFICATE, not_after};
pub use cloudcore::{CERTIFICATES, Chart, Difference, NAMESPACE, NO_EDGE, SERVER_LABEL, WEBSOCKET};
pub use edgecore::{
    CERTIFICATE, DATABASE, EDGECORE, EDGECORE_YAML, Link, MAX_YAML, METASERVER, PLUGINS, certificates_there, healthy,
    link, service,
};
pub use explain::{explain, is_taken, refusal, without_words};
pub use keadm::{Join, Setting, join_command, memory_settings, switches};
pub use native::{BOOTSTRAP, DIRS, render as native_config};
pub use node::{Ready, ready_condition};
pub use yaml::{To, lookup, set};
