//! The configuration of an edge node, and that of the cloud side: what it is called, where it is, what is switched on.
//!
//! One table for each ([`KEYS`], [`CLOUD_KEYS`]) names every setting once: its key in the JSON file, its flag, its environment variable, its
//! default, its rule and its help. File, flags, environment, `--show-config`, help and docs/config.md all come from it.
//!
//! [`resolve()`] decides (flag > environment > file > default); reading the file and the environment is the caller's.

mod check;
mod cloud;
mod cloud_keys;
mod doc;
mod edge;
mod file;
mod join_file;
mod keys;
mod label;
mod nearest;
mod resolve;
mod show;
mod token;
mod value;

pub use check::socket as parse_socket;
pub use cloud::{CloudConfig, K3sMode};
pub use cloud_keys::CLOUD_KEYS;
pub use doc::{render_cloud_doc, render_doc};
pub use edge::{BoardSettings, Cloud, ContainerdMode, EdgeConfig, Identity, JoinMethod, Node, Reboot, VENDOR_NAMES};
pub use file::{MAX_FILE, SCHEMA, parse_file, parse_file_of};
pub use join_file::{JoinFile, MAX_JOIN_FILE, join_file_value, parse_join_file};
pub use keys::{ConfigMut, ConfigRef, KEYS, Key, Of, Table, key_of_path};
pub use label::{Effect, LabelKey, LabelValue, Taint};
pub use nearest::nearest;
pub use resolve::{Origin, Origins, Resolved, Setting, resolve, resolve_cloud, settings_from_env, settings_from_flags};
pub use show::{render_file, show_json, show_text};
pub use token::{cloud_version, load_secret, load_token};
pub use value::{Form, Raw, Refusal, parse_duration, parse_port, parse_switch, render_duration};
