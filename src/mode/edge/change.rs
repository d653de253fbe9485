//! What may not change under an installed node, and what would change without effect.
//!
//! Steps bring about what differs. These differences they cannot: they would leave the old runtime or the old EdgeCore
//! behind, and say that all is well.

use crate::bundle::Version;
use crate::config::{EdgeConfig, cloud_version};
use crate::error::{Error, Kind, Result};

/// One side of a comparison: what was installed, or what is asked for now.
#[derive(Debug, Clone)]
pub(super) struct Side<'a> {
    pub(super) config: &'a EdgeConfig,
    /// KubeEdge's version by the bundle; none where no bundle is given.
    pub(super) kubeedge: Option<Version>,
}

/// Refuses what only an uninstall makes room for.
pub(super) fn look(old: &Side<'_>, new: &Side<'_>, joined: bool) -> Result<()> {
    differs("containerd", old.config.containerd.as_str(), new.config.containerd.as_str())?;
    let store = |side: &Side<'_>| side.config.containerd_root().to_string();
    differs("containerd_root", &store(old), &store(new))?;
    if !joined {
        return Ok(());
    }
    let socket = |side: &Side<'_>| side.config.containerd_address.display().to_string();
    differs("containerd_address", &socket(old), &socket(new))?;
    differs("pod_cidr", &old.config.pod_cidr.to_string(), &new.config.pod_cidr.to_string())?;
    match (&old.kubeedge, &new.kubeedge) {
        // What a newer minor release wrote below /var/lib/kubeedge an older one need not understand; patches agree.
        (Some(runs), Some(brings)) if brings.release() < runs.release() => {
            let what = format!("the bundle brings KubeEdge {brings}, but this node runs {runs}");
            Err(Error::new(Kind::Bundle, what).hint(format_args!(
                "give a bundle with {} or newer, or run 'edgelay edge uninstall' first to join anew with {brings}",
                runs.minor()
            )))
        }
        _ => registered(old.config, new.config),
    }
}

/// What is to be said where the join file tells of another KubeEdge in the cloud than this node gets.
pub(super) fn beside_cloud(config: &EdgeConfig, brings: &Version) -> Option<String> {
    let runs: Version = config.token_file.as_deref().and_then(cloud_version)?.parse().ok()?;
    (runs != *brings).then(|| format!(
        "the join file says that the cloud runs KubeEdge {runs}, and the bundle brings {brings} for this node: take a bundle \
         with {runs}"
    ))
}

fn differs(key: &str, old: &str, new: &str) -> Result<()> {
    if old == new {
        return Ok(());
    }
    let what = format!("'{key}' is '{new}', but this host was installed with '{old}'");
    Err(Error::new(Kind::Config, what)
        .hint(format_args!("give '{old}', or run 'edgelay edge uninstall' before changing it")))
}

/// What a node tells the cloud only once, when it registers: from then on it is the cloud's.
fn registered(old: &EdgeConfig, new: &EdgeConfig) -> Result<()> {
    let keys = [
        ("node.labels", "label", old.node.labels != new.node.labels),
        ("node.taints", "taint", old.node.taints != new.node.taints),
    ];
    let Some((key, verb, _)) = keys.iter().find(|(.., changed)| *changed) else { return Ok(()) };
    let what = format!("'{key}' counts only when a node joins, and this one has");
    Err(Error::new(Kind::Config, what)
        .hint(format_args!("change them in the cloud with 'kubectl {verb} node', and give '{key}' as it was")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{parse_file, resolve};

    fn config(text: &str) -> Box<EdgeConfig> {
        resolve(&[&parse_file(text.as_bytes(), "c").unwrap()], None).unwrap().config
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
    fn another_version_in_the_cloud_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("join.json");
        std::fs::write(&path, "{\"kubeedge\": \"v1.22.1\"}").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let config = EdgeConfig { token_file: Some(path), ..*config("{}") };
        let told = |brings: &str| beside_cloud(&config, &brings.parse().unwrap());
        let want = "the join file says that the cloud runs KubeEdge v1.22.1, and the bundle brings v1.22.0 for this node: take \
                    a bundle with v1.22.1";
        assert_eq!(told("v1.22.0").as_deref(), Some(want));
        assert_eq!(told("v1.22.1"), None);
        assert_eq!(beside_cloud(&EdgeConfig::default(), &"v1.22.0".parse().unwrap()), None);
    }

    #[test]
    fn only_what_no_step_can_follow_is_refused() {
        let old = config("{}");
        let refused = |text: &str, kubeedge: Option<&str>, joined: bool| {
            let new = config(text);
            let old = Side { config: &old, kubeedge: Some("v1.22.1".parse().unwrap()) };
            let new = Side { config: &new, kubeedge: kubeedge.map(|version| version.parse().unwrap()) };
            look(&old, &new, joined).map_err(|e| e.to_string())
        };
        for (text, kubeedge, why) in [
            (r#"{"mqtt": true, "node": {"ip": "10.0.0.7"}}"#, Some("v1.22.1"), ""),
            ("{}", None, ""),
            (
                r#"{"pod_cidr": "10.1.0.0/16"}"#,
                None,
                "'pod_cidr' is '10.1.0.0/16', but this host was installed with '10.87.0.0/16'",
            ),
            (
                r#"{"containerd_address": "/a"}"#,
                None,
                "'containerd_address' is '/a', but this host was installed with '/run/containerd/containerd.sock'",
            ),
            ("{}", Some("v1.22.0"), ""),
            ("{}", Some("v1.23.0"), ""),
            ("{}", Some("v1.9.2"), "the bundle brings KubeEdge v1.9.2, but this node runs v1.22.1"),
        ] {
            assert_eq!(refused(text, kubeedge, true).err().unwrap_or_default(), why);
            assert_eq!(refused(text, kubeedge, false), Ok(()), "{text}: only staged");
        }
        for (text, why) in [
            (r#"{"containerd": "existing"}"#, "'containerd' is 'existing', but this host was installed with 'managed'"),
            (
                r#"{"containerd_root": "/data/images"}"#,
                "'containerd_root' is '/data/images', but this host was installed with '/var/lib/containerd'",
            ),
        ] {
            for joined in [true, false] {
                assert_eq!(refused(text, None, joined), Err(why.into()));
            }
        }
        assert_eq!(refused(r#"{"containerd_root": "/var/lib/containerd/"}"#, None, true), Ok(()));
    }

    #[test]
    fn what_counts_only_at_the_join_is_refused_and_an_address_is_followed() {
        let refused = |text: &str| registered(&config("{}"), &config(text)).map_err(|e| e.to_string());
        assert_eq!(refused(r#"{"mqtt": true, "node": {"ip": "10.0.0.7"}}"#), Ok(()));
        for (text, key) in [
            (r#"{"node": {"labels": {"a": "b"}}}"#, "node.labels"),
            (r#"{"node": {"taints": ["a:NoSchedule"]}}"#, "node.taints"),
        ] {
            assert_eq!(refused(text), Err(format!("'{key}' counts only when a node joins, and this one has")));
        }
    }
}
