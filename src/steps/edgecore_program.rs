//! The bundle's EdgeCore in the place of another version's, on a node that has joined and stays what it is.

use std::path::PathBuf;

use crate::config::ContainerdMode;
use crate::containerd::Client;
use crate::containerd::import::{Options, open_file};
use crate::error::Result;
use crate::ids::ImageRef;
use crate::kubeedge::EDGECORE;
use crate::oci::Image;
use crate::plan::{Cx, Status, Step};

/// The image that EdgeCore was taken from, by the digest of its config.
const FACT: &str = "edgecore-from";

/// The step. Where the bundle brings EdgeCore as a component, there is no need of it.
#[derive(Debug)]
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

    /// Images of other versions of EdgeCore, which nothing runs and nobody will ask for again, go: they are large, pinned,
    /// and EdgeCore never collects images here. What lies in a containerd of someone else may be theirs.
    fn drop_older(&self, cx: &Cx<'_>) -> Result<()> {
        if self.containerd != ContainerdMode::Managed {
            return Ok(());
        }
        let mut client = Client::connect(&self.address)?;
        let repositories: Vec<&str> = self.image.names.iter().map(ImageRef::repository).collect();
        let kept: Vec<String> = self.image.names.iter().map(ToString::to_string).collect();
        for record in client.images().list(&[])? {
            let name: Option<ImageRef> = record.name.parse().ok();
            if !kept.contains(&record.name) && name.is_some_and(|name| repositories.contains(&name.repository())) {
                cx.report
                    .info(&format!("removing the image '{}', which this node does not need any more", record.name));
                client.images().delete_sync(&record.name)?;
            }
        }
        Ok(())
    }
}

/// To be called when EdgeCore was taken out of `image`, by whomever.
pub(super) fn remember(image: &Image, cx: &mut Cx<'_>) -> Result<()> {
    cx.journal.remember(FACT, &image.config.digest.to_string())
}

/// Copies EdgeCore out of `image` to its place. One that runs goes on running the old file.
pub(super) fn extract(image: &Image, address: &std::path::Path, cx: &mut Cx<'_>) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut file = open_file(&mut client, image, EDGECORE, &Options::new(cx.clock))?;
    cx.put_stream(EDGECORE, 0o755, &mut file).map(|_| ())
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
            return Ok(Status::todo(format!("'{EDGECORE}' is missing")));
        }
        let same = cx.journal.fact(FACT) == Some(&self.image.config.digest.to_string());
        Ok(if same { Status::Done } else { Status::todo(format!("'{EDGECORE}' is of another bundle")) })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        extract(&self.image, &self.address, cx)?;
        self.drop_older(cx)?;
        remember(&self.image, cx)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        // The program itself goes with the join.
        cx.journal.forget(FACT)
    }
}
