//! What was installed on an edge node, for later runs.

use crate::bundle::{Bundle, Role};
use crate::config::{EdgeConfig, parse_file, resolve};
use crate::error::{Error, Kind, Result};
use crate::mode::record::{CONFIG, Stored};
use crate::root::Root;

/// What was recorded.
#[derive(Debug)]
pub(in crate::mode) struct Record {
    stored: Stored,
    pub(in crate::mode) config: Box<EdgeConfig>,
}

impl Record {
    /// Reads it back. Nothing installed is an error of [`Kind::Drift`].
    pub(in crate::mode) fn load(root: &Root) -> Result<Self> {
        let Some(stored) = Stored::load_opt(root)? else {
            let hint = match root.is_live() {
                true => "run 'edgelay edge install' first",
                false => "run 'edgelay edge stage --root' first",
            };
            return Err(Error::new(Kind::Drift, "no edge node is installed here").hint(hint));
        };
        stored.is_for(Role::Edge)?;
        let settings = parse_file(&stored.config, &CONFIG.to_string())?;
        let config = resolve(&[settings.as_slice()], None)?.config;
        Ok(Record { stored, config })
    }

    /// The bundle's metadata; its components and layers cannot be opened.
    pub(in crate::mode) fn bundle(&self) -> Result<Box<Bundle>> {
        self.stored.bundle()
    }
}
