//! The configuration of an edge node: what it is called, which cloud it belongs to, and what is switched on.
//!
//! One table ([`KEYS`]) names every setting once: its key in the JSON file, its flag, its environment variable, its
//! default, its rule and its help. File, flags, environment, `--show-config`, help and docs/config.md all come from it.
//!
//! [`resolve()`] decides (flag > environment > file > default); reading the file and the environment is the caller's.

mod check;
mod doc;
mod edge;
mod file;
mod keys;
mod label;
mod nearest;
mod resolve;
mod show;
mod token;
mod value;

pub use check::socket as parse_socket;
pub use doc::render_doc;
pub use edge::{Cloud, ContainerdMode, EdgeConfig, Identity, Node, VENDOR_NAMES};
pub use file::{MAX_FILE, SCHEMA, parse_file};
pub use keys::{KEYS, Key, key_of_path};
pub use label::{Effect, LabelKey, LabelValue, Taint};
pub use nearest::nearest;
pub use resolve::{Origin, Resolved, Setting, resolve, settings_from_env, settings_from_flags};
pub use show::{render_file, show_json, show_text};
pub use token::load_token;
pub use value::{Form, Raw, Refusal, parse_duration, parse_port, parse_switch, render_duration};
