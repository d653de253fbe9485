//! What a role needs at a KubeEdge version: data from `catalogue.json`, which anybody can edit.

use super::names::{Destination, Mode, Role, Version};
use super::pattern::Pattern;
use super::text;
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::ImageRef;
use crate::json::{self, JsonError, Take, Value, include_json};

const BUILT_IN: &str = include_json!("catalogue.json");
/// Far above what some dozen releases take.
const MAX: usize = 1 << 20;

/// All that edgelay knows about releases.
#[derive(Debug)]
pub struct Catalogue {
    default: Version,
    components: Vec<Rule>,
    releases: Vec<Release>,
}

/// Where a component goes and how its file is found.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) to: Destination,
    pub(super) mode: Mode,
    pub(super) from: Vec<Pattern>,
}

#[derive(Debug)]
struct Release {
    kubeedge: Version,
    edge: RawNeeds,
    cloud: RawNeeds,
}

#[derive(Debug, Default)]
struct RawNeeds {
    components: Vec<String>,
    optional_components: Vec<String>,
    images: Vec<String>,
    optional_images: Vec<String>,
}

impl Catalogue {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["about", "default", "components", "releases"])?;
        Ok(Catalogue {
            default: text::field(value, "default")?,
            components: value.list("components", Rule::read)?,
            releases: value.list("releases", Release::read)?,
        })
    }
}

impl Rule {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["name", "to", "mode", "from"])?;
        let mode = value.get("mode").map(|_| text::field(value, "mode")).transpose()?;
        Ok(Rule {
            name: value.field("name")?,
            to: text::field(value, "to")?,
            mode: mode.unwrap_or(Mode::EXECUTABLE),
            from: text::list_field(value, "from")?,
        })
    }
}

impl Release {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["kubeedge", "edge", "cloud"])?;
        Ok(Release {
            kubeedge: text::field(value, "kubeedge")?,
            edge: value.field("edge")?,
            cloud: value.field("cloud")?,
        })
    }
}

impl Take for RawNeeds {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.only(&["components", "optional_components", "images", "optional_images"])?;
        value.read("components", &mut self.components)?;
        value.read("optional_components", &mut self.optional_components)?;
        value.read("images", &mut self.images)?;
        value.read("optional_images", &mut self.optional_images)
    }
}

/// Whether a bundle may lack something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// What one role needs at one version, in the order of use.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) components: Vec<(Rule, Need)>,
    pub(super) images: Vec<(ImageRef, Need)>,
}

impl Catalogue {
    /// The catalogue in this binary.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN.as_bytes())
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        json::read(bytes, MAX).and_then(|value| Self::read(&value)).map_err(|e| bad(e.to_string()))
    }

    /// The KubeEdge version that is taken when none is given.
    pub fn default_version(&self) -> &Version {
        &self.default
    }

    /// The KubeEdge versions that are known, as they stand in the catalogue.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.releases.iter().map(|r| &r.kubeedge)
    }

    /// `None`: the version is not in the catalogue.
    pub(super) fn needs(&self, role: Role, kubeedge: &Version) -> Result<Option<Needs>> {
        // Patch releases of one minor need the same.
        let exact = self.releases.iter().find(|r| r.kubeedge == *kubeedge);
        let release = exact.or_else(|| self.releases.iter().find(|r| r.kubeedge.minor() == kubeedge.minor()));
        let Some(release) = release else { return Ok(None) };
        let raw = match role {
            Role::Edge => &release.edge,
            Role::Cloud => &release.cloud,
        };
        let both = |required: &[String], optional: &[String]| -> Vec<(String, Need)> {
            let required = required.iter().map(|name| (name.clone(), Need::Required));
            required.chain(optional.iter().map(|name| (name.clone(), Need::Optional))).gather()
        };
        let components = both(&raw.components, &raw.optional_components);
        let images = both(&raw.images, &raw.optional_images);
        Ok(Some(Needs {
            components: components
                .into_iter()
                .map(|(name, need)| Ok((self.rule(&name)?.clone(), need)))
                .gather::<Result<_>>()?,
            images: images.into_iter().map(|(name, need)| Ok((image(&name, kubeedge)?, need))).gather::<Result<_>>()?,
        }))
    }

    fn rule(&self, name: &str) -> Result<&Rule> {
        self.components.iter().find(|c| c.name == name).ok_or_else(|| bad(format!("no component '{name}'")))
    }
}

fn image(name: &str, kubeedge: &Version) -> Result<ImageRef> {
    let full = name.replace("{kubeedge}", kubeedge.as_str());
    full.parse().map_err(|e| bad(format!("image '{full}' {e}")))
}

fn bad(what: String) -> Error {
    Error::new(Kind::Bug, format_args!("the built-in catalogue: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_is_sound() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(catalogue.versions().any(|v| v == catalogue.default_version()));
        for version in catalogue.versions() {
            for role in [Role::Edge, Role::Cloud] {
                let needs = catalogue.needs(role, version).unwrap().unwrap();
                // Pods need the pause image before any other, so it is imported first.
                assert!(needs.images[0].0.repository().ends_with("pause"), "{:?}", needs.images[0]);
                let mut names: Vec<_> = needs.components.iter().map(|(rule, _)| rule.name.clone()).collect();
                let mut places: Vec<_> = needs.components.iter().map(|(rule, _)| rule.to.clone()).collect();
                let count = names.len();
                names.sort();
                names.dedup();
                places.sort();
                places.dedup();
                assert_eq!((names.len(), places.len()), (count, count), "no component and no place twice");
                assert!(needs.components.iter().all(|(rule, _)| !rule.from.is_empty()));
            }
        }
    }

    #[test]
    fn edge_at_1_22_0() {
        let catalogue = Catalogue::built_in().unwrap();
        let needs = catalogue.needs(Role::Edge, &"v1.22.0".parse().unwrap()).unwrap().unwrap();
        let required = |n: &Need| *n == Need::Required;
        let components: Vec<_> =
            needs.components.iter().filter(|(_, n)| required(n)).map(|(r, _)| r.name.as_str()).collect();
        assert_eq!(
            components,
            ["containerd", "containerd-shim-runc-v2", "runc", "bridge", "host-local", "portmap", "loopback", "keadm"]
        );
        let images: Vec<_> = needs.images.iter().map(|(i, n)| (i.as_str(), required(n))).collect();
        assert_eq!(
            images,
            [
                ("docker.io/kubeedge/pause:3.6", true),
                ("docker.io/kubeedge/installation-package:v1.22.0", true),
                ("docker.io/library/eclipse-mosquitto:1.6.15", false),
                ("docker.io/kubeedge/edgemesh-agent:v1.17.0", false),
            ]
        );
        assert!(catalogue.needs(Role::Edge, &"v9.9.9".parse().unwrap()).unwrap().is_none());
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let text = include_str!("catalogue.json");
        for (from, to, part) in [
            ("\"default\"", "\"defualt\"", "unknown key 'defualt'"),
            ("usr/local/sbin/runc", "sbin/runc", "line 43, column 28: 'components[3].to' is 'sbin/runc'"),
            ("runc.{arch}", "runc.{arhc}", "{arhc}"),
        ] {
            let e = Catalogue::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(e.contains(part), "{e}");
        }
    }
}
