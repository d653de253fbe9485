//! Loading the modules that the image brings.

use crate::boot::{self, Loaded};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::initramfs::wanted;
use crate::note;
use crate::report::Report;
use crate::root::Root;

/// The list of an image; one of a hundred modules has 4 KiB.
const MAX_LIST: usize = 256 << 10;

/// Loads the modules of `group`, in order. One that fails is told and no reason to stop: whether it is needed shows.
///
/// Without a list, as in the initramfs of a distribution, others load what is needed.
pub(super) fn load(root: &Root, group: &str, report: &Report) {
    let list = root.read_text(RelPath::literal(wanted::ORDER), MAX_LIST).ok().flatten().unwrap_or_default();
    let names = list.lines().filter_map(|line| line.split_once(' ')).filter(|(of, _)| *of == group);
    let mut left_out = false;
    for (_, name) in names {
        match load_one(root, name) {
            Ok(Loaded::Now) => note::debug(format_args!("loaded {name}")),
            Ok(Loaded::Before) => {}
            Ok(Loaded::NotNeeded) => left_out = true,
            // It builds on one that this machine has nothing for.
            Err(e) if left_out && e.errno() == Some(libc::ENOENT) => note::debug(format_args!("module {name}: {e}")),
            Err(e) => report.warn(&format!("module {name}: {e}")),
        }
    }
}

fn load_one(root: &Root, name: &str) -> Result<Loaded> {
    let path = format!("{}/{name}.ko", wanted::DIRECTORY);
    let path = RelPath::parse(&path).map_err(|e| Error::new(Kind::Host, format_args!("its name {e}")))?;
    match root.open_file(path)? {
        Some(file) => boot::load_module(&file),
        None => Err(Error::new(Kind::Host, "is not in the image")),
    }
}

/// A warning where the image was made for another kernel than this.
pub(super) fn compare(root: &Root, report: &Report) {
    let made_for = root.read_text(RelPath::literal(wanted::RELEASE), 4096).ok().flatten().unwrap_or_default();
    let running = crate::host::kernel_release(root).unwrap_or_default();
    let made_for = made_for.trim();
    if !made_for.is_empty() && made_for != running {
        report.warn(&format!(
            "the image has the modules of kernel {made_for}, but {running} runs: give 'initramfs create' its modules"
        ));
    }
}
