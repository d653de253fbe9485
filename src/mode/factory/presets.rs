//! Which units start is settled in the image; a first boot of systemd must not settle it anew.
//!
//! systemd applies presets when it takes a boot for the very first, and without any preset it enables every unit that
//! can be enabled. Ours says: those that are enabled in the image, and no other.

use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::plan::Cx;
use crate::sorted::Set;

/// Before everybody else's.
pub(super) const PATH: RelPath<'static> = RelPath::literal("etc/systemd/system-preset/00-edgelay.preset");
const UNITS: RelPath<'static> = RelPath::literal("etc/systemd/system");
const HEAD: &str = "# Written by 'edgelay factory seal': the units that were enabled then, and no other.\n\
    # The first boot removes it when it is done.\n";
/// Units that an image may have enabled; real ones have some thirty.
const MAX: usize = 2000;

/// Writes the preset where systemd has units of its own.
pub(super) fn freeze(cx: &mut Cx<'_>) -> Result<()> {
    let Some(names) = cx.root.list(UNITS)? else { return Ok(()) };
    let mut enabled = Vec::new();
    for dir in names.iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires")) {
        let path = format!("{}/{dir}", UNITS.as_str());
        let links = RelPath::parse(&path).ok().map(|path| cx.root.list(path)).transpose()?.flatten();
        enabled.add_all(links.unwrap_or_default().into_iter().filter(|unit| is_unit(unit)).take(MAX));
    }
    let lines: String = Set::from(enabled).iter().map(|unit| format!("enable {unit}\n")).gather();
    cx.put(PATH, 0o644, format!("{HEAD}{lines}disable *\n").as_bytes()).map(|_| ())
}

/// Takes the preset back.
pub(in crate::mode) fn thaw(cx: &mut Cx<'_>) -> Result<()> {
    cx.take_back_file(PATH.as_str())
}

/// A name that can stand in a preset as it is: no blanks, no pattern.
fn is_unit(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b":_.@\\-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    #[test]
    fn what_is_enabled_stays_so_and_nothing_else_is() {
        with_cx(|cx| {
            freeze(cx).unwrap();
            assert!(cx.root.stat(PATH).unwrap().is_none(), "no systemd there");
            for link in ["multi-user.target.wants/b.service", "timers.target.wants/a.timer", "x.wants/bad name"] {
                let path = format!("etc/systemd/system/{link}");
                cx.root.symlink(RelPath::parse(&path).unwrap(), "/dev/null").unwrap();
            }
            freeze(cx).unwrap();
            let text = cx.root.read_text(PATH, 999).unwrap().unwrap();
            assert_eq!(text, format!("{HEAD}enable a.timer\nenable b.service\ndisable *\n"));
            thaw(cx).unwrap();
            assert!(cx.root.stat(PATH).unwrap().is_none());
        });
    }
}
