//! helm's memory of a release: secrets; and how it puts objects into the cluster.

use serde_json::{Value, json};

use crate::shared::kube::{Kube, base64, path_of};

const SECRETS: &str = "/api/v1/namespaces/kubeedge/secrets";

fn all(kube: &Kube) -> Result<Vec<Value>, String> {
    let list = kube.must("GET", &format!("{SECRETS}?labelSelector=owner%3Dhelm,name%3Dcloudcore"), None)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

fn revision(secret: &Value) -> u64 {
    secret["metadata"]["labels"]["version"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Revision and state of the last one.
pub(crate) fn last(kube: &Kube) -> Result<Option<(u64, String)>, String> {
    let newest = all(kube)?.into_iter().max_by_key(revision);
    let state = |secret: &Value| secret["metadata"]["labels"]["status"].as_str().unwrap_or_default().to_owned();
    Ok(newest.map(|secret| (revision(&secret), state(&secret))))
}

pub(crate) fn deployed(kube: &Kube) -> Result<bool, String> {
    Ok(all(kube)?.iter().any(|secret| secret["metadata"]["labels"]["status"] == "deployed"))
}

/// The older ones are no longer the deployed ones.
pub(crate) fn supersede(kube: &Kube, newest: u64) -> Result<(), String> {
    for secret in all(kube)?.iter().filter(|secret| revision(secret) != newest) {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        let patch = json!({"metadata": {"labels": {"status": "superseded"}}});
        kube.must("PATCH", &format!("{SECRETS}/{name}"), Some(("application/merge-patch+json", &patch)))?;
    }
    Ok(())
}

pub(crate) fn write(kube: &Kube, revision: u64, state: &str, values: &Value) -> Result<(), String> {
    let name = format!("sh.helm.release.v1.cloudcore.v{revision}");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {"name": name, "namespace": "kubeedge", "labels": {
            "name": "cloudcore", "owner": "helm", "status": state, "version": revision.to_string()}},
        "data": {"release": base64(values.to_string().as_bytes())},
    });
    put(kube, &secret)
}

/// Makes an object, or merges it into the one that is there.
fn put(kube: &Kube, object: &Value) -> Result<(), String> {
    let (all, one) = path_of(object).ok_or_else(|| format!("no matches for kind {}", object["kind"]))?;
    match kube.get(&one)? {
        None => kube.must("POST", &all, Some(("application/json", object))).map(drop),
        Some(_) => kube.must("PATCH", &one, Some(("application/merge-patch+json", object))).map(drop),
    }
}

/// Objects that are there already must be helm's, of this release.
pub(crate) fn adoptable(kube: &Kube, objects: &[Value]) -> Result<(), String> {
    for object in objects {
        let Some((_, one)) = path_of(object) else { continue };
        let Some(found) = kube.get(&one)? else { continue };
        // definitions are not part of the release: what is there stays
        let is_definition = object["kind"] == "CustomResourceDefinition";
        if !is_definition && found["metadata"]["annotations"]["meta.helm.sh/release-name"] != "cloudcore" {
            return Err(format!(
                "rendered manifests contain a resource that already exists. Unable to continue with install: {} {} in \
                 namespace \"{}\" exists and cannot be imported into the current release: invalid ownership metadata",
                object["kind"].as_str().unwrap_or_default(),
                object["metadata"]["name"],
                object["metadata"]["namespace"].as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

pub(crate) fn apply(kube: &Kube, objects: &[Value]) -> Result<(), String> {
    for object in objects {
        put(kube, object)?;
    }
    Ok(())
}

/// What an older revision had and this one has not.
pub(crate) fn prune(kube: &Kube, objects: &[Value]) -> Result<(), String> {
    for kind in ["deployments", "daemonsets"] {
        let folder = format!("/apis/apps/v1/namespaces/kubeedge/{kind}");
        let list = kube.must("GET", &folder, None)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let ours = item["metadata"]["annotations"]["meta.helm.sh/release-name"] == "cloudcore";
            let kept = objects.iter().any(|object| object["metadata"]["name"] == item["metadata"]["name"]);
            if ours && !kept {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                kube.must("DELETE", &format!("{folder}/{name}"), None)?;
            }
        }
    }
    Ok(())
}
