//! KubeEdge on this node: keadm's command line and words, EdgeCore's files, ports and health (KubeEdge v1.22).

mod cloudcore;
mod edgecore;
mod explain;
mod http;
mod keadm;
mod node;
mod yaml;

pub use cloudcore::{CERTIFICATES, Chart, Difference, NAMESPACE, SERVER_LABEL, WEBSOCKET};
pub use edgecore::{EDGECORE, EDGECORE_YAML, MAX_YAML, METASERVER, certificates_there, connected, healthy, service};
pub use explain::explain;
pub use keadm::{Join, Setting, join_command, memory_settings, switches, update_command};
pub use node::{Ready, ready_condition};
pub use yaml::lookup;
