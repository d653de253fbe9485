//! The bundle's EdgeCore in the place of another version's, on a node that has joined and stays what it is.

use std::path::PathBuf;

use crate::config::ContainerdMode;
use crate::containerd::Client;
use crate::containerd::import::{Options, open_file};
use crate::error::Result;
use crate::ids::{ImageRef, RelPath};
use crate::kubeedge::EDGECORE;
use crate::oci::Image;
use crate::plan::{Cx, Status, Step};

use super::edgecore_data;

/// The image that EdgeCore was taken from, by the digest of its config.
const FACT: &str = "edgecore-from";
/// The size of EdgeCore then: a power cut or a worn card may take the rest of it.
const SIZE: &str = "edgecore-size";
/// The EdgeCore that worked, until another one does; a second name of the file, which costs nothing to make.
const PREVIOUS: RelPath<'static> = RelPath::literal("usr/local/bin/edgecore.edgelay-previous");
/// [`FACT`] of that one.
const PREVIOUS_FACT: &str = "edgecore-previous-from";
/// Under what it was healthy, as the step that runs it remembers that.
const PREVIOUS_RUNS: &str = "edgecore-previous-runs-with";
/// What the way back needs is on the disk. Another program is put in place only after that, so without it the one in
/// place is the one that worked.
const KEPT: &str = "edgecore-kept";

/// The step. Where the bundle brings EdgeCore as a component, there is no need of it.
#[derive(Debug, Clone)]
pub struct EdgecoreProgram {
    image: Image,
    address: PathBuf,
    containerd: ContainerdMode,
}

impl EdgecoreProgram {
    /// Takes EdgeCore out of `image`, which is in the `containerd` with the socket `address`.
    pub fn new(image: Image, address: PathBuf, containerd: ContainerdMode) -> Self {
        EdgecoreProgram { image, address, containerd }
    }

    /// To be called when the new EdgeCore has proven itself.
    ///
    /// Images of other versions of EdgeCore, which nothing runs and nobody will ask for again, go: they are large, pinned,
    /// and EdgeCore never collects images here. What lies in a containerd of someone else may be theirs.
    pub(super) fn drop_older(&self, cx: &Cx<'_>) -> Result<()> {
        if self.containerd != ContainerdMode::Managed {
            return Ok(());
        }
        let mut client = Client::connect(&self.address)?;
        let (names, own) = (&self.image.names, self.image.config.digest.to_string());
        for record in client.images().list(&[])? {
            let Ok(name) = record.name.parse::<ImageRef>() else { continue };
            if names.contains(&name) || !names.iter().any(|ours| ours.repository() == name.repository()) {
                continue;
            }
            cx.report.info(&format!("removing the image '{name}', which this node does not need any more"));
            // CRI has names of its own for an image, and removes it with all of them: not one that is ours as well.
            match client.cri_images().status(&record.name)? {
                Some(image) if image.id != own => client.cri_images().remove(&record.name)?,
                _ => client.images().delete_sync(&record.name)?,
            }
        }
        Ok(())
    }
}

/// To be called when EdgeCore was taken out of `image`, by whomever.
pub(super) fn remember(image: &Image, cx: &mut Cx<'_>) -> Result<()> {
    remember_from(&image.config.digest.to_string(), cx)
}

fn remember_from(from: &str, cx: &mut Cx<'_>) -> Result<()> {
    if let Some(meta) = cx.root.stat(EDGECORE)? {
        cx.journal.remember(SIZE, &meta.size.to_string())?;
    }
    cx.journal.remember(FACT, from)
}

/// To be called before an EdgeCore that is of no image is put in its place.
pub(super) fn forget_image(cx: &mut Cx<'_>) -> Result<()> {
    cx.journal.forget(SIZE)?;
    cx.journal.forget(FACT)
}

/// Whether EdgeCore is as large as when it was put in its place, as far as that is known.
fn is_whole(cx: &Cx<'_>) -> Result<bool> {
    let Some(known) = cx.journal.fact(SIZE) else { return Ok(true) };
    Ok(cx.root.stat(EDGECORE)?.is_some_and(|meta| meta.size.to_string() == known))
}

/// Copies EdgeCore out of `image` to its place. One that runs goes on running the old file.
pub(super) fn extract(image: &Image, address: &std::path::Path, cx: &mut Cx<'_>) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut file = open_file(&mut client, image, EDGECORE, &Options::new(cx.clock))?;
    cx.put_stream(EDGECORE, 0o755, &mut file).map(|_| ())
}

/// To be called before another EdgeCore is put in its place. What is kept already is of the one that worked.
pub(super) fn keep(cx: &mut Cx<'_>) -> Result<()> {
    let worked = cx.journal.fact(super::edgecore::FACT).is_some() && cx.root.lstat(EDGECORE)?.is_some();
    if !(worked && is_whole(cx)?) {
        return Ok(());
    }
    let kept = cx.journal.fact(KEPT).is_some();
    if !kept {
        // What a cut left of another upgrade.
        cx.root.remove(PREVIOUS)?;
    }
    if cx.root.lstat(PREVIOUS)?.is_none() {
        if let Some(from) = cx.journal.fact(FACT).map(ToOwned::to_owned) {
            cx.journal.remember(PREVIOUS_FACT, &from)?;
        }
        if let Some(runs) = cx.journal.fact(super::edgecore::FACT).map(ToOwned::to_owned) {
            cx.journal.remember(PREVIOUS_RUNS, &runs)?;
        }
        cx.claim(PREVIOUS)?;
        cx.root.link(EDGECORE, PREVIOUS)?;
    }
    if kept {
        return Ok(());
    }
    edgecore_data::keep(cx)?;
    cx.journal.remember(KEPT, "yes")
}

/// Whether anything lies there for a way back, or is left of one.
pub(super) fn is_kept(cx: &Cx<'_>) -> Result<bool> {
    Ok(cx.root.lstat(PREVIOUS)?.is_some() || edgecore_data::is_kept(cx)?)
}

/// Whether there was an EdgeCore to put back into its place. Its data stays where it is.
pub(super) fn bring_back(cx: &mut Cx<'_>) -> Result<bool> {
    if cx.root.lstat(PREVIOUS)?.is_none() {
        return Ok(false);
    }
    let from = cx.journal.fact(PREVIOUS_FACT).map(ToOwned::to_owned);
    // What is remembered fits neither until both are done, so a cut has the program laid down again.
    cx.journal.forget(FACT)?;
    if let Some(runs) = cx.journal.fact(PREVIOUS_RUNS).map(ToOwned::to_owned) {
        cx.journal.remember(super::edgecore::FACT, &runs)?;
    }
    cx.root.replace(PREVIOUS, EDGECORE)?;
    if let Some(from) = from {
        remember_from(&from, cx)?;
    }
    Ok(true)
}

/// To be called when the EdgeCore in place has proven itself.
pub(super) fn forget_previous(cx: &mut Cx<'_>) -> Result<()> {
    cx.journal.forget(KEPT)?;
    edgecore_data::forget(cx)?;
    cx.take_back_file(PREVIOUS.as_str())?;
    cx.journal.forget(PREVIOUS_RUNS)?;
    cx.journal.forget(PREVIOUS_FACT)
}

impl Step for EdgecoreProgram {
    fn id(&self) -> &'static str {
        "edgecore-program"
    }

    fn summary(&self) -> String {
        format!("EdgeCore out of {}", self.image.label())
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if cx.root.stat(EDGECORE)?.is_none() {
            return Ok(Status::todo(format_args!("'{EDGECORE}' is missing")));
        }
        if !is_whole(cx)? {
            return Ok(Status::todo(format!("'{EDGECORE}' is not as large as it was")));
        }
        let same = cx.journal.fact(FACT) == Some(&self.image.config.digest.to_string());
        Ok(if same { Status::Done } else { Status::todo(format_args!("'{EDGECORE}' is of another bundle")) })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        keep(cx)?;
        extract(&self.image, &self.address, cx)?;
        remember(&self.image, cx)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        // The program itself goes with the join.
        forget_previous(cx)?;
        forget_image(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    #[test]
    fn one_that_lost_its_rest_is_seen_and_not_kept() {
        with_cx(|cx| {
            cx.root.write(EDGECORE, 0o755, b"whole").unwrap();
            cx.journal.remember(super::super::edgecore::FACT, "works").unwrap();
            remember_from("sha256:a", cx).unwrap();
            assert!(is_whole(cx).unwrap());
            cx.root.write(EDGECORE, 0o755, b"who").unwrap();
            keep(cx).unwrap();
            assert!(!is_whole(cx).unwrap() && !is_kept(cx).unwrap());
            forget_image(cx).unwrap();
            assert!(is_whole(cx).unwrap(), "nothing is known of a component's size here");
        });
    }

    /// What a cut left of an upgrade that went well is of an older version than the one that works now.
    #[test]
    fn the_one_that_worked_last_is_kept_until_another_has_proven_itself() {
        with_cx(|cx| {
            cx.root.write(EDGECORE, 0o755, b"first").unwrap();
            keep(cx).unwrap();
            assert!(!is_kept(cx).unwrap(), "it has not worked yet");
            cx.journal.remember(super::super::edgecore::FACT, "works").unwrap();
            cx.root.write(PREVIOUS, 0o755, b"left by a cut").unwrap();
            keep(cx).unwrap();
            for next in ["second", "third"] {
                cx.root.write(EDGECORE, 0o755, next.as_bytes()).unwrap();
                keep(cx).unwrap();
                assert!(cx.root.holds(PREVIOUS, 0o755, b"first").unwrap(), "before {next} has proven itself");
            }
            assert!(bring_back(cx).unwrap() && !bring_back(cx).unwrap());
            assert!(cx.root.holds(EDGECORE, 0o755, b"first").unwrap());
            forget_previous(cx).unwrap();
            assert!(!is_kept(cx).unwrap());
        });
    }
}
