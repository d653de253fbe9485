//! Where a bundle comes from.

use std::path::PathBuf;

use super::trust::{self, Proof};
use crate::bundle::{Bundle, Role, record};
use crate::error::{Error, Kind, Result};
use crate::feed::Feed;
use crate::steps::KeptFrom;

/// Where a bundle comes from, and its signature.
pub struct BundleSource {
    place: Place,
    proof: Proof,
}

enum Place {
    /// A file or block device.
    File(PathBuf),
    /// A pipe that can only be read forward; the name is for messages.
    Pipe(Box<dyn Feed + Send>, String),
}

impl std::fmt::Debug for BundleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Pipe(_, name) => f.write_str(name),
        }
    }
}

impl BundleSource {
    /// A file or block device; the signature is expected beside it.
    pub fn file(path: PathBuf) -> Self {
        BundleSource { proof: Proof::beside(&path), place: Place::File(path) }
    }

    /// A pipe; without a signature. `name` is for messages.
    pub fn pipe(pipe: Box<dyn Feed + Send>, name: &str) -> Self {
        BundleSource { place: Place::Pipe(pipe, name.to_owned()), proof: Proof::Nowhere }
    }

    /// A bundle that was judged when it was put where it is.
    pub(super) fn kept(path: PathBuf) -> Self {
        BundleSource { place: Place::File(path), proof: Proof::Given }
    }

    /// The signature is in this file.
    #[must_use]
    pub fn signed(mut self, signature: PathBuf) -> Self {
        self.proof = Proof::At(signature);
        self
    }

    /// Opens it; it must be made for `role`, and signed if this machine has keys.
    pub(super) fn open(self, role: Role) -> Result<Box<Bundle>> {
        let bundle = match self.place {
            Place::File(path) => Bundle::open(&path)?,
            Place::Pipe(pipe, name) => Bundle::from_pipe(pipe, &name)?,
        };
        judged(bundle, role, &self.proof)
    }

    /// As [`BundleSource::open`], with all of its bytes once more.
    pub(super) fn open_to_keep(self, role: Role) -> Result<(Box<Bundle>, KeptFrom)> {
        let (bundle, source) = match self.place {
            Place::File(path) => (Bundle::open(&path)?, KeptFrom::File(path)),
            Place::Pipe(pipe, name) => {
                let (first, again) = record(pipe);
                (Bundle::from_pipe(first, &name)?, KeptFrom::Pipe(again))
            }
        };
        Ok((judged(bundle, role, &self.proof)?, source))
    }
}

fn judged(bundle: Bundle, role: Role, proof: &Proof) -> Result<Box<Bundle>> {
    trust::demand(bundle.name(), &bundle.identity(), proof)?;
    match bundle.manifest().role {
        found if found == role => Ok(Box::new(bundle)),
        found => Err(Error::new(
            Kind::Bundle,
            format_args!("bundle '{}' is for the role '{found}', expected '{role}'", bundle.name()),
        )
        .hint(format_args!("give the bundle that was made with --role {role}"))),
    }
}
