//! Where a bundle comes from.

use std::path::PathBuf;

use crate::bundle::{Bundle, Role, record};
use crate::error::{Error, Kind, Result};
use crate::feed::Feed;
use crate::steps::KeptFrom;

/// Where the bundle comes from.
pub enum BundleSource {
    /// A file or block device.
    File(PathBuf),
    /// A pipe that can only be read forward; the name is for messages.
    Pipe(Box<dyn Feed + Send>, String),
}

impl std::fmt::Debug for BundleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BundleSource::File(path) => write!(f, "{}", path.display()),
            BundleSource::Pipe(_, name) => f.write_str(name),
        }
    }
}

impl BundleSource {
    /// Opens it; it must be made for `role`.
    pub(super) fn open(self, role: Role) -> Result<Bundle> {
        let bundle = match self {
            BundleSource::File(path) => Bundle::open(&path)?,
            BundleSource::Pipe(pipe, name) => Bundle::from_pipe(pipe, &name)?,
        };
        is_for(bundle, role)
    }

    /// As [`BundleSource::open`], with all of its bytes once more.
    pub(super) fn open_to_keep(self, role: Role) -> Result<(Bundle, KeptFrom)> {
        let (bundle, source) = match self {
            BundleSource::File(path) => (Bundle::open(&path)?, KeptFrom::File(path)),
            BundleSource::Pipe(pipe, name) => {
                let (first, again) = record(pipe);
                (Bundle::from_pipe(first, &name)?, KeptFrom::Pipe(again))
            }
        };
        Ok((is_for(bundle, role)?, source))
    }
}

fn is_for(bundle: Bundle, role: Role) -> Result<Bundle> {
    match bundle.manifest().role {
        found if found == role => Ok(bundle),
        found => Err(Error::new(
            Kind::Bundle,
            format!("bundle '{}' is for the role '{found}', expected '{role}'", bundle.name()),
        )
        .hint(format!("give the bundle that was made with --role {role}"))),
    }
}
