//! Small files that must be in a certain state in every copy of an image.

use crate::error::{Kind, Lift, Result};
use crate::ids::RelPath;
use crate::plan::Cx;
use crate::root::Type;
use crate::steps::MARKER;

pub(super) const MACHINE_ID: RelPath<'static> = RelPath::literal("etc/machine-id");
pub(super) const DBUS_ID: RelPath<'static> = RelPath::literal("var/lib/dbus/machine-id");
const UUID_DIR: &str = "io.containerd.grpc.v1.introspection";

/// Empty, and neither absent nor `uninitialized`: systemd takes those for the very first boot of a new system, enables
/// every unit that its presets allow (all, on Debian), and may ask for a root password on the console and wait for ever.
pub(super) fn machine_id(cx: &Cx<'_>) -> Result<()> {
    cx.root.write(MACHINE_ID, 0o444, b"")?;
    // D-Bus takes systemd's where it has none of its own. A link to it is as good.
    if cx.root.lstat(DBUS_ID)?.is_some_and(|meta| meta.kind == Type::File) {
        cx.root.remove(DBUS_ID)?;
    }
    Ok(())
}

/// containerd makes itself an identity once; copies would all have the same.
pub(super) fn containerd_identity(cx: &Cx<'_>, store: RelPath<'_>) -> Result<()> {
    let dir = format!("{store}/{UUID_DIR}");
    let dir = RelPath::from_absolute(&dir).lift(Kind::Bug, || format!("'{dir}'"))?;
    cx.root.remove_tree(dir).map(|_| ())
}

/// As the times of what was staged: equal images from equal work.
pub(super) fn settle_times(cx: &Cx<'_>, store: RelPath<'_>, built: u64) -> Result<()> {
    for path in [MACHINE_ID, MARKER, super::presets::PATH] {
        cx.root.set_time(path, built)?;
        let mut above = path.split().0;
        while let Some(dir) = above {
            cx.root.set_dir_time(dir, built)?;
            above = dir.split().0;
        }
    }
    cx.root.set_dir_time(store, built)
}
