//! What the imaging line is told about a sealed system.

use serde::Serialize;

use super::unique::Finding;
use crate::board::Set;
use crate::bundle::Bundle;
use crate::clock::rfc3339;
use crate::config::EdgeConfig;
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::json;
use crate::plan::Cx;
use crate::steps::KeptBundle;

/// Version of the record. Fields are only ever added.
const SCHEMA: u32 = 1;

/// The record. All but the time and what was removed is the same for the same bundle and the same work.
#[derive(Debug, Serialize)]
pub struct Record {
    schema: u32,
    /// By this machine's clock; absent in the marker that lies in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    edgelay: &'static str,
    bundle: BundleRecord,
    board: BoardRecord,
    /// `stored`, or `first-boot`: in the bundle that lies in the image.
    images_are: &'static str,
    images: Vec<ImageRecord>,
    components: Vec<ComponentRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct BundleRecord {
    identity: String,
    architecture: &'static str,
    kubeedge: String,
    built: String,
    bytes: u64,
}

/// Which boards it is for, as it was staged.
#[derive(Debug, Serialize)]
struct BoardRecord {
    /// Id of the profile; null where each copy finds its own at its first boot.
    profile: Option<String>,
    /// The profile's name for people; null where its directory is not at hand any more.
    name: Option<String>,
    containerd_root: String,
}

#[derive(Debug, Serialize)]
struct ImageRecord {
    names: Vec<String>,
    manifest: String,
    unpacked: u64,
}

#[derive(Debug, Serialize)]
struct ComponentRecord {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    path: String,
    digest: String,
    bytes: u64,
}

impl Record {
    pub(super) fn new(bundle: &Bundle, config: &EdgeConfig, cx: &Cx<'_>) -> Self {
        let profile = config.board.profile.clone();
        // A directory of profiles may be gone since, ignoring: the id is recorded all the same.
        let set = Set::load(config.board.profiles.as_deref()).ok();
        let name = set.zip(profile.as_deref()).and_then(|(set, id)| Some(set.get(id).ok()?.name.clone()));
        let (manifest, sizes) = (bundle.manifest(), bundle.sizes());
        let sizes_of = manifest.images.iter().map(|entry| entry.unpacked);
        let images = bundle.images().iter().zip(sizes_of).map(|(image, unpacked)| ImageRecord {
            names: image.names.iter().map(ToString::to_string).gather(),
            manifest: image.manifest.digest.to_string(),
            unpacked,
        });
        let components = bundle.components().iter().map(|component| ComponentRecord {
            name: component.name.clone(),
            version: component.version.clone(),
            path: component.destination().to_string(),
            digest: component.digest.to_string(),
            bytes: component.size,
        });
        let kept = cx.journal.knows(KeptBundle::ID);
        Record {
            schema: SCHEMA,
            sealed: None,
            edgelay: env!("CARGO_PKG_VERSION"),
            bundle: BundleRecord {
                identity: bundle.identity().to_string(),
                architecture: manifest.architecture.as_str(),
                kubeedge: manifest.kubeedge.to_string(),
                built: manifest.built.to_string(),
                bytes: sizes.file,
            },
            board: BoardRecord { profile, name, containerd_root: config.containerd_root().to_string() },
            images_are: if kept { "first-boot" } else { "stored" },
            images: images.gather(),
            components: components.gather(),
            removed: Vec::new(),
        }
    }

    /// With what was done today, which the image knows nothing of.
    pub(super) fn sealed_at(mut self, unix: u64, removed: Vec<Finding>) -> Self {
        self.sealed = Some(rfc3339(unix));
        self.removed = removed;
        self
    }

    /// For programs: one object on one line.
    pub fn json(&self) -> Result<String> {
        json::to_line(self)
    }

    /// For people.
    pub fn text(&self) -> String {
        let BundleRecord { identity, architecture, kubeedge, built, .. } = &self.bundle;
        let mut text = String::new();
        for finding in &self.removed {
            text.grow(format_args!("removed  {:<14} {}\n", finding.check, finding.seen));
        }
        text.grow(format_args!(
            "sealed: KubeEdge {kubeedge} for {architecture}, board {}, {} images {}, bundle {identity} of {built}\n",
            self.board.profile.as_deref().unwrap_or("to be found at the first boot"),
            self.images.len(),
            self.images_are
        ));
        text
    }
}

/// What is in the way, for people.
pub(super) fn findings_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let line = |f: &Finding| format!("{:width$}  {}\n{:width$}  -> {}\n", f.check, f.seen, "", f.advice);
    findings.iter().map(line).gather()
}

/// For programs.
pub(super) fn findings_json(findings: &[Finding]) -> Result<String> {
    #[derive(Serialize)]
    struct Refused<'a> {
        schema: u32,
        refused: &'a [Finding],
    }
    json::to_line(&Refused { schema: SCHEMA, refused: findings })
}
