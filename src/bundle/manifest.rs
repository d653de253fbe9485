//! The edgelay manifest: what a bundle is for and all that it holds (docs/bundle-format.md section 4).
//!
//! Its digest is the bundle's identity: through digests it pins every other byte of the file.

use crate::sorted::Set;

use serde::Serialize;

use super::fault::{Fault, Flaw, Sound};
use super::names::{Destination, Mode, Role, Version};
use super::text;
use super::time::Timestamp;
use crate::digest::Digest;
use crate::error::{Result, excerpt};
use crate::ids::{Arch, ImageRef, RelPath};
use crate::json::{self, JsonError, Value};
use crate::oci::Descriptor;

/// Media type of the edgelay manifest in `index.json`.
pub const MEDIA_TYPE: &str = "application/vnd.edgelay.bundle.v1+json";
/// What media types of edgelay manifests of any version start with.
pub(super) const MEDIA_TYPE_FAMILY: &str = "application/vnd.edgelay.bundle.";
/// Media type of a component's blob, for [`Descriptor`]s; it is not stored.
pub const COMPONENT_TYPE: &str = "application/vnd.edgelay.component.v1";
/// The schema that this version reads and writes.
pub const SCHEMA: u32 = 1;
/// The first edgelay that reads what this one writes.
pub(super) const MIN_TOOL: &str = "0.1.0";

/// A metadata blob of a bundle: a real one has some KiB. As much as any document of an image.
pub(super) const MAX_METADATA: usize = 512 << 10;
/// Components in a bundle: a role needs about ten.
const MAX_COMPONENTS: usize = 256;
/// Images in a bundle: a role needs about fifteen, a site may add its own.
const MAX_IMAGES: usize = 256;
/// Names of one image.
const MAX_NAMES: usize = 32;

/// What a bundle is for and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Version of this schema: [`SCHEMA`].
    pub schema: u32,
    /// The first version of edgelay that can install the bundle.
    pub min_tool: String,
    /// What kind of node the bundle makes.
    #[serde(serialize_with = "text::serialize")]
    pub role: Role,
    /// Processor of all components and images.
    #[serde(serialize_with = "text::serialize")]
    pub architecture: Arch,
    /// Version of KubeEdge.
    #[serde(serialize_with = "text::serialize")]
    pub kubeedge: Version,
    /// When the bundle was made; no clock that is right is behind it.
    #[serde(serialize_with = "text::serialize")]
    pub built: Timestamp,
    /// Programs and files to lay down, in the order of use.
    pub components: Vec<Component>,
    /// Images to import, in the order of use: the pause image first.
    pub images: Vec<ImageEntry>,
}

/// One file to lay down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Name in the catalogue: `containerd`, `bridge`.
    pub name: String,
    /// Its version, where the name of its file told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// File it came from; for a release archive with the path inside: `containerd-2.1.4-linux-arm64.tar.gz/bin/ctr`.
    pub source: String,
    /// Permissions.
    #[serde(serialize_with = "text::serialize")]
    pub mode: Mode,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file.
    #[serde(serialize_with = "text::serialize")]
    pub digest: Digest,
    /// Where it goes, below the root of the target.
    #[serde(serialize_with = "text::serialize")]
    pub destination: Destination,
}

impl Component {
    /// The blob that holds the file, for [`crate::oci::Blobs::open`].
    pub fn blob(&self) -> Descriptor {
        Descriptor { media_type: COMPONENT_TYPE.into(), digest: self.digest, size: self.size }
    }

    /// Where the file goes, below the root of the target.
    pub fn destination(&self) -> RelPath<'_> {
        self.destination.path()
    }
}

/// One image to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageEntry {
    /// Normalised names, at least one.
    #[serde(serialize_with = "text::list::serialize")]
    pub names: Vec<ImageRef>,
    /// Whether the role cannot do without it.
    pub required: bool,
    /// Digest of the image's OCI manifest.
    #[serde(serialize_with = "text::serialize")]
    pub digest: Digest,
    /// Size of the image's OCI manifest.
    pub size: u64,
    /// Sum of the sizes of the uncompressed layers.
    pub unpacked: u64,
}

impl Manifest {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["schema", "min_tool", "role", "architecture", "kubeedge", "built", "components", "images"])?;
        Ok(Manifest {
            schema: value.field("schema")?,
            min_tool: value.field("min_tool")?,
            role: text::field(value, "role")?,
            architecture: text::field(value, "architecture")?,
            kubeedge: text::field(value, "kubeedge")?,
            built: text::field(value, "built")?,
            components: value.list("components", Component::read)?,
            images: value.list("images", ImageEntry::read)?,
        })
    }
}

impl Component {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["name", "version", "source", "mode", "size", "digest", "destination"])?;
        Ok(Component {
            name: value.field("name")?,
            version: value.field("version")?,
            source: value.field("source")?,
            mode: text::field(value, "mode")?,
            size: value.field("size")?,
            digest: text::field(value, "digest")?,
            destination: text::field(value, "destination")?,
        })
    }
}

impl ImageEntry {
    fn read(value: &Value) -> std::result::Result<Self, JsonError> {
        value.only(&["names", "required", "digest", "size", "unpacked"])?;
        Ok(ImageEntry {
            names: text::list_field(value, "names")?,
            required: value.field("required")?,
            digest: text::field(value, "digest")?,
            size: value.field("size")?,
            unpacked: value.field("unpacked")?,
        })
    }
}

impl Manifest {
    /// A manifest of this version without components and images.
    pub fn new(role: Role, architecture: Arch, kubeedge: Version, built: Timestamp) -> Self {
        let (components, images) = (Vec::new(), Vec::new());
        Manifest { schema: SCHEMA, min_tool: MIN_TOOL.into(), role, architecture, kubeedge, built, components, images }
    }

    /// The bytes that go into a bundle.
    pub(super) fn render(&self) -> Result<Vec<u8>> {
        json::to_vec(self)
    }

    /// Reads and checks what came out of a bundle. A schema or tool version beyond ours is told before anything else,
    /// for all the rest may have changed.
    pub(super) fn parse(bytes: &[u8]) -> Sound<Self> {
        let value = json::read(bytes, MAX_METADATA).map_err(bad)?;
        let schema = value.need("schema").and_then(json::Value::whole).map_err(bad)?;
        if schema > u64::from(SCHEMA) {
            return Err(Flaw::new(
                Fault::TooNew,
                format_args!("the bundle has schema {schema}, this edgelay reads schema {SCHEMA}"),
            ));
        }
        let needs = value.need("min_tool").and_then(json::Value::text).map_err(bad)?;
        let ours = env!("CARGO_PKG_VERSION");
        match (tool_version(needs), tool_version(ours)) {
            (None, _) => {
                let needs = excerpt(needs, 40);
                return Err(Flaw::damaged(format_args!("edgelay manifest: 'min_tool' is '{needs}', no version")));
            }
            (needed, ours_is) if needed > ours_is => {
                return Err(Flaw::new(
                    Fault::TooNew,
                    format_args!("the bundle needs edgelay {needs} or newer, this is {ours}"),
                ));
            }
            _ => {}
        }
        let manifest = Manifest::read(&value).map_err(bad)?;
        manifest.check().map_err(|why| Flaw::damaged(format_args!("edgelay manifest: {why}")))?;
        Ok(manifest)
    }

    /// The rules that go beyond single values.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {} never was", self.schema));
        }
        limit("components", self.components.len(), MAX_COMPONENTS)?;
        limit("images", self.images.len(), MAX_IMAGES)?;
        let mut seen = Set::new();
        let mut once = |what: String| match seen.contains(&what) {
            true => Err(format!("{what} is there twice")),
            false => {
                seen.insert(what);
                Ok(())
            }
        };
        let mut blobs = Set::new();
        for component in &self.components {
            let name = component.name.as_str();
            plain("component name", name, 64)?;
            plain("source", &component.source, 512)?;
            plain("version", component.version.as_deref().unwrap_or("-"), 64)?;
            once(format!("component '{name}'"))?;
            once(format!("destination '{}'", component.destination()))?;
            // A bundle that comes through a pipe passes each blob once, so two components cannot share one.
            if !blobs.insert(component.digest) {
                return Err(format!("the content of component '{name}' is there twice"));
            }
        }
        for image in &self.images {
            limit("names of an image", image.names.len(), MAX_NAMES)?;
            let first = image.names.first().ok_or_else(|| format!("image {} has no name", image.digest))?;
            for name in &image.names {
                once(format!("image '{name}'"))?;
            }
            if !blobs.insert(image.digest) {
                return Err(format!("the manifest of image '{first}' is there twice"));
            }
        }
        Ok(())
    }
}

fn bad(e: json::JsonError) -> Flaw {
    Flaw::damaged(format_args!("edgelay manifest: {e}"))
}

/// `1.2.3`, any suffix left out. It is shown as it is.
fn tool_version(text: &str) -> Option<[u64; 3]> {
    plain("", text, 64).ok()?;
    let mut parts = text.split(['-', '+']).next()?.split('.').map(str::parse::<u64>);
    let version = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
    parts.next().is_none().then_some(version)
}

fn limit(what: &str, found: usize, most: usize) -> std::result::Result<(), String> {
    if found <= most { Ok(()) } else { Err(format!("has {found} {what}, the limit is {most}")) }
}

/// Text that may be printed as it is.
fn plain(what: &str, text: &str, most: usize) -> std::result::Result<(), String> {
    if !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("{what} '{}' is not 1 to {most} printable characters", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let (kubeedge, built) = ("v1.22.0".parse().unwrap(), Timestamp::from_seconds(1_700_000_000).unwrap());
        Manifest {
            components: vec![Component {
                name: "runc".into(),
                version: None,
                source: "runc.arm64".into(),
                mode: "0755".parse().unwrap(),
                size: 3,
                digest: Digest::of(b"abc"),
                destination: "usr/local/sbin/runc".parse().unwrap(),
            }],
            images: vec![ImageEntry {
                names: vec!["docker.io/kubeedge/pause:3.6".parse().unwrap()],
                required: true,
                digest: Digest::of(b""),
                size: 0,
                unpacked: 5,
            }],
            ..Manifest::new(Role::Edge, Arch::Arm64, kubeedge, built)
        }
    }

    fn text() -> String {
        String::from_utf8(sample().render().unwrap()).unwrap()
    }

    #[test]
    fn reads_what_it_writes() {
        assert_eq!(
            text(),
            concat!(
                r#"{"schema":1,"min_tool":"0.1.0","role":"edge","architecture":"arm64","kubeedge":"v1.22.0","#,
                r#""built":"2023-11-14T22:13:20Z","components":[{"name":"runc","source":"runc.arm64","mode":"0755","#,
                r#""size":3,"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
                r#""destination":"usr/local/sbin/runc"}],"images":[{"names":["docker.io/kubeedge/pause:3.6"],"#,
                r#""required":true,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
                r#""size":0,"unpacked":5}]}"#
            )
        );
        assert_eq!(Manifest::parse(text().as_bytes()), Ok(sample()));
    }

    #[test]
    fn refusals_say_why() {
        let runc = r#"{"name":"runc","source":"runc.arm64","mode":"0755","size":3,"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","destination":"usr/local/sbin/runc"}"#;
        let other = runc.replace("\"runc\"", "\"x\"");
        let table: [(&str, &str, Fault, &str); 20] = [
            ("\"schema\":1", "\"schema\":2", Fault::TooNew, "has schema 2, this edgelay reads schema 1"),
            ("\"schema\":1", "\"schema\":0", Fault::Damaged, "schema 0 never was"),
            ("\"0.1.0\"", "\"99.0.0\"", Fault::TooNew, "needs edgelay 99.0.0 or newer"),
            ("\"0.1.0\"", "\"latest\"", Fault::Damaged, "'min_tool' is 'latest', no version"),
            ("\"0.1.0\"", "\"0.1.0-\\u001b[2J\"", Fault::Damaged, "'min_tool' is '0.1.0-\\u{1b}[2J', no version"),
            ("\"0.1.0\"", "\"9.1.0-\\nok\"", Fault::Damaged, "'min_tool' is '9.1.0-\\nok', no version"),
            ("\"role\"", "\"extra\":1,\"role\"", Fault::Damaged, "unknown key 'extra'; known keys: schema"),
            ("\"mode\"", "\"setuid\":1,\"mode\"", Fault::Damaged, "unknown key 'setuid' in 'components[0]'"),
            ("0755", "4755", Fault::Damaged, "'components[0].mode'"),
            ("0755", "0777", Fault::Damaged, "'components[0].mode'"),
            ("usr/local/sbin/runc", "etc/passwd", Fault::Damaged, "'components[0].destination'"),
            ("usr/local/sbin/runc", "usr/local/bin/../../../etc/passwd", Fault::Damaged, "has a '..' part"),
            ("usr/local/sbin/runc", "/usr/local/bin/x", Fault::Damaged, "'components[0].destination'"),
            ("\"edge\"", "\"core\"", Fault::Damaged, "'role'"),
            ("arm64\",\"kube", "riscv\",\"kube", Fault::Damaged, "'architecture'"),
            ("docker.io/kubeedge/pause:3.6", "kubeedge/pause:3.6", Fault::Damaged, "is not in its normal form"),
            ("[\"docker.io/kubeedge/pause:3.6\"]", "[]", Fault::Damaged, "has no name"),
            ("sha256:ba", "sha512:ba", Fault::Damaged, "not a sha256 digest"),
            (runc, &format!("{runc},{runc}"), Fault::Damaged, "component 'runc' is there twice"),
            (runc, &format!("{runc},{other}"), Fault::Damaged, "destination '/usr/local/sbin/runc' is there twice"),
        ];
        for (from, to, fault, part) in table {
            assert!(text().contains(from), "{from}");
            let flaw = Manifest::parse(text().replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(flaw.fault(), fault, "{flaw}");
            assert!(flaw.what().contains(part), "'{flaw}' lacks '{part}'");
        }
    }

    #[test]
    fn newer_schemas_may_have_any_keys() {
        let newer = br#"{"schema":7,"min_tool":{"edge":"9"},"novel":[]}"#;
        assert_eq!(Manifest::parse(newer).unwrap_err().fault(), Fault::TooNew);
        let newer = br#"{"schema":1,"min_tool":"1.0.0","novel":[]}"#;
        assert_eq!(Manifest::parse(newer).unwrap_err().fault(), Fault::TooNew);
    }
}
