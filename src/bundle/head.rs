//! The head of a bundle: its metadata alone, for a node to remember what was installed.

use crate::sorted::Set;

use super::tar::{Header, Name, padding};
use super::{Bundle, MEDIA_TYPE, index};
use crate::error::{Error, Kind, Result};
use crate::oci::Descriptor;

impl Bundle {
    /// The bytes of this bundle up to the first component. [`Bundle::from_pipe`] reads them as it reads the whole.
    pub fn head(&self) -> Result<Vec<u8>> {
        let blob =
            Descriptor { media_type: MEDIA_TYPE.into(), digest: self.identity, size: self.manifest_bytes.len() as u64 };
        let index = index::render(&self.manifest, &blob);
        let mut out = Vec::new();
        add(&mut out, Name::Layout, index::LAYOUT)?;
        add(&mut out, Name::Index, &index)?;
        add(&mut out, Name::Blob(self.identity), &self.manifest_bytes)?;
        let mut configs = Set::new();
        for image in &self.images {
            add(&mut out, Name::Blob(image.manifest.digest), &image.manifest_bytes)?;
            // Two images may share one config, which is stored once.
            if configs.insert(image.config.digest) {
                add(&mut out, Name::Blob(image.config.digest), &image.config_bytes)?;
            }
        }
        Ok(out)
    }
}

fn add(out: &mut Vec<u8>, name: Name, bytes: &[u8]) -> Result<()> {
    let size = bytes.len() as u64;
    out.extend_from_slice(&Header { name, size }.encode());
    out.extend_from_slice(bytes);
    let padding = usize::try_from(padding(size)).map_err(|e| Error::new(Kind::Bug, "tar padding").because(e))?;
    out.resize(out.len() + padding, 0);
    Ok(())
}
