//! Which keys a profile may have. `board-profiles/schema.json` says the same for other tools; a test compares the two.

use crate::json::{Key, Shape};

/// The only version of the format there is.
pub const SCHEMA: u64 = 1;

const TEXTS: Shape = Shape::List(&Shape::Text);

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape }
}

/// A whole profile.
pub const FORM: Shape = Shape::Object(&[
    key("schema", Shape::Whole),
    key("id", Shape::Text),
    key("name", Shape::Text),
    key("base", Shape::Text),
    key("architecture", Shape::Text),
    key("match", Shape::Object(&[key("compatible", TEXTS), key("dmi", Shape::List(&Shape::Map(&Shape::Text)))])),
    key(
        "kernel",
        Shape::Object(&[
            key("arguments_in", Shape::List(&Shape::Object(&[key("path", Shape::Text), key("format", Shape::Text)]))),
            key("memory_cgroup", TEXTS),
            key("modules", TEXTS),
        ]),
    ),
    key(
        "storage",
        Shape::Object(&[
            key("persistent", TEXTS),
            key("containerd_root", Shape::Text),
            key("read_only_root", Shape::Flag),
            key("prefix", Shape::Text),
        ]),
    ),
    key("target", Shape::Object(&[key("disks", TEXTS), key("labels", TEXTS), key("file_systems", TEXTS)])),
    key("iptables", Shape::Text),
    key("rtc", Shape::Flag),
    key("memory_class", Shape::Text),
    key("identity", TEXTS),
    key("junk", TEXTS),
    key("quirks", Shape::List(&Shape::Object(&[key("what", Shape::Text), key("see", Shape::Text)]))),
]);
