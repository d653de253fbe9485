//! The image record: made last, because CRI reads the image the moment it appears, and sealed only after the sync.

use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::error::{Result, Trail};
use crate::oci::Image;

use super::Run;
use super::plan::{self, Labels, MARK, PENDING, PINNED};
use super::store::{Record, Store};

/// CRI shows a new image within half a second; when it could not read it at once, it tries again after 1, 2, 4 … s.
const CRI_PATIENCE: Duration = Duration::from_secs(30);

impl Run<'_, '_> {
    /// Writes a record for each name of `image`, marked as pending.
    pub(super) fn record(&mut self, image: &Image) -> Result<()> {
        for name in &image.names {
            match self.store.image(name.as_str())? {
                Some(old) => self.made.changed.push(old),
                None => self.made.records.push(name.to_string()),
            }
            let record = describe(name.as_str(), image, PENDING);
            self.store.put_image(&record).doing(|| format!("record image '{name}'"))?;
        }
        Ok(())
    }

    /// Gives blobs that were there before the labels that new ones got with their commit.
    pub(super) fn label_present(&mut self, image: &Image, unpacked: &[usize]) -> Result<()> {
        let config = self.config_labels(image);
        let own = [(image.config.digest, config), (image.manifest.digest, plan::manifest_labels(image, self.layers))];
        // A layer whose snapshot was there before was not compared with its diff ID now.
        let layers = unpacked.iter().filter_map(|n| image.layers.get(*n));
        let layers = layers.map(|layer| (layer.blob.digest, plan::layer_labels(&layer.diff_id)));
        for (blob, labels) in own.into_iter().chain(layers) {
            if self.uploaded.present.contains(&blob) && !labels.is_empty() {
                self.store.label_blob(&blob, &labels).doing(|| format!("label blob {blob}"))?;
            }
        }
        Ok(())
    }
}

/// Waits until CRI shows every name of `image` as the image that it is.
pub(super) fn confirm(store: &mut Store<'_>, image: &Image) -> Result<()> {
    let id = image.config.digest.to_string();
    let clock = store.clock();
    for name in &image.names {
        wait_for(clock, &format!("CRI to show image '{name}'"), CRI_PATIENCE, || {
            Ok(match store.cri_id(name.as_str())? {
                Some(seen) if seen == id => Probe::Ready,
                Some(seen) => Probe::NotYet(format!("it is {seen}, expected {id}")),
                None => {
                    // Whoever removed it meant another image, or did so before this one came.
                    if store.image(name.as_str())?.is_none() {
                        store.put_image(&describe(name.as_str(), image, PENDING))?;
                    }
                    Probe::NotYet("CRI does not know it".into())
                }
            })
        })?;
    }
    Ok(())
}

/// Marks the records of `image` as whole. Called after the sync: the mark is what a later run trusts.
pub(super) fn seal(store: &mut Store<'_>, image: &Image) -> Result<()> {
    for name in &image.names {
        let record = describe(name.as_str(), image, &image.manifest.digest.to_string());
        store.put_image(&record).doing(|| format!("mark image '{name}' as whole"))?;
    }
    Ok(())
}

fn describe(name: &str, image: &Image, mark: &str) -> Record {
    let labels = [(PINNED, "pinned"), (MARK, mark)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Record { name: name.to_owned(), target: image.manifest.clone(), labels: Labels::from(labels) }
}
