//! Pods: whether they are Ready, how often they ended, and those that wait for an image which cannot come.
//!
//! There is no registry: an image that containerd does not hold comes only out of a bundle. One that it does hold comes
//! to the pod by itself: a kubelet looks into containerd before it minds its back-off, at the latest 90 s after it looked
//! last (syncFrequency of 60 s and half of that as jitter; pkg/kubelet/images and pkg/kubelet/pod_workers.go). So pods
//! that k3s starts while the images are still being imported need no help.

use std::path::Path;
use std::time::Duration;

use super::api_ready::not_ready;
use crate::clock::{Clock, Probe};
use crate::containerd::Client;
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::ImageRef;
use crate::json::Value;
use crate::k3s::{Kube, SOCKET};

/// So long may an image be missing: a pod of an older version may be about to end.
const GRACE: Duration = Duration::from_secs(5);
/// What a kubelet says of a container whose image it has not got.
const REASONS: [&str; 4] = ["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"];
/// A line for each pod, then one for each container that waits: few bytes, however many pods there are.
const WAITING: &str = r#"--output=jsonpath={range .items[*]}{"pod "}{.metadata.namespace}{"/"}{.metadata.name}{" "}{.metadata.deletionTimestamp}{"\n"}{range .status.initContainerStatuses[*]}{.name}{" "}{.image}{" "}{.state.waiting.reason}{"\n"}{end}{range .status.containerStatuses[*]}{.name}{" "}{.image}{" "}{.state.waiting.reason}{"\n"}{end}{end}"#;

/// The text at `path`; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    value.text_at(path)
}

/// A look at the cluster as a wait wants it: one that fails is tried again.
pub(super) fn probed(lack: Result<Option<String>>) -> Result<Probe> {
    Ok(match lack {
        Ok(None) => Probe::Ready,
        Ok(Some(why)) => Probe::NotYet(why),
        Err(e) if e.kind() == Kind::Interrupted => return Err(e),
        Err(e) => Probe::NotYet(e.to_string()),
    })
}

/// What a pod waits for, Ready, and where it runs.
pub(super) struct Pod<'a>(pub(super) &'a Value);

impl Pod<'_> {
    pub(super) fn name(&self) -> &str {
        text(self.0, &["metadata", "name"])
    }

    /// Whether it is this part of KubeEdge, by its label, and to stay.
    pub(super) fn counts_as(&self, part: &str) -> bool {
        text(self.0, &["metadata", "labels", "kubeedge"]) == part && !self.is_ending()
    }

    pub(super) fn is_ending(&self) -> bool {
        !text(self.0, &["metadata", "deletionTimestamp"]).is_empty()
    }

    /// The tag of its first container's image.
    pub(super) fn version(&self) -> &str {
        let first = self.0.items_at(&["spec", "containers"]).first();
        let image = first.map(|container| container.text_at(&["image"])).unwrap_or_default();
        image.rsplit(':').next().unwrap_or_default()
    }

    /// States of its containers, those first that run before the others.
    fn states(&self) -> impl Iterator<Item = &Value> {
        ["initContainerStatuses", "containerStatuses"].into_iter().flat_map(|key| self.0.items_at(&["status", key]))
    }

    /// `None`: it is Ready.
    pub(super) fn lack(&self) -> Option<String> {
        let why = not_ready(self.0)?;
        let mut waiting = self.states().map(|c| {
            let (reason, message) = (["state", "waiting", "reason"], ["state", "waiting", "message"]);
            format!("{} {}", text(c, &reason), text(c, &message)).trim().to_owned()
        });
        let why = waiting.find(|w| !w.is_empty()).unwrap_or(why);
        Some(format!("{why}{}", self.ends()))
    }

    /// Containers that were started again, and how they ended last. A pod that ends over and over is Ready in between.
    pub(super) fn ends(&self) -> String {
        let told = self.states().filter_map(|c| {
            let times = c.get("restartCount").and_then(|n| n.whole().ok()).filter(|times| *times > 0)?;
            let end = c.at(&["lastState", "terminated"]);
            let code = end.and_then(|end| end.get("exitCode")).and_then(|code| code.whole().ok());
            let reason = end.map(|end| text(end, &["reason"])).unwrap_or_default();
            let code = code.map(|code| format!(" with status {code} {reason}")).unwrap_or_default();
            Some(format!(
                "; container '{}' ended{} and was started again, {times} times",
                text(c, &["name"]),
                code.trim_end()
            ))
        });
        told.gather()
    }
}

/// A container that waits for its image.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    pod: String,
    container: String,
    image: String,
    reason: String,
}

fn waiting(spaces: &[&str], lines: &str) -> Vec<Waiting> {
    let (mut found, mut pod) = (Vec::new(), "");
    for line in lines.lines() {
        match line.split(' ').gather::<Vec<_>>().as_slice() {
            // One that is being deleted needs its images no more.
            ["pod", name, ending] => {
                let counts = name.split_once('/').is_some_and(|(space, _)| spaces.contains(&space));
                pod = if counts && ending.is_empty() { *name } else { "" };
            }
            [container, image, reason] if !pod.is_empty() && REASONS.contains(reason) => {
                let [container, image, reason] = [container, image, reason].map(|word| (*word).to_owned());
                found.push(Waiting { pod: pod.to_owned(), container, image, reason });
            }
            _ => {}
        }
    }
    found
}

/// Names of all images that k3s's containerd holds.
fn held() -> Result<Vec<String>> {
    let mut client = Client::connect(Path::new(SOCKET))?;
    let images = client.cri_images().list()?;
    Ok(images.into_iter().flat_map(|image| image.repo_tags).gather())
}

/// Looks, as long as something is waited for, whether a pod of this node waits for an image.
#[derive(Debug)]
pub(super) struct Images<'a> {
    node: Option<&'a str>,
    spaces: &'a [&'a str],
    held: fn() -> Result<Vec<String>>,
    since: Option<Duration>,
    lost: Option<Error>,
}

impl<'a> Images<'a> {
    /// Of pods of `node` in the namespaces `spaces`; without a node nobody knows which images count.
    pub(super) fn new(node: Option<&'a str>, spaces: &'a [&'a str]) -> Self {
        Images { node, spaces, held, since: None, lost: None }
    }

    /// A pod that waits, in words.
    pub(super) fn look(&mut self, kube: &mut Kube<'_>, clock: &dyn Clock) -> Result<Option<String>> {
        let Some(node) = self.node else { return Ok(None) };
        let all = waiting(self.spaces, &kube.pods_as(node, WAITING)?);
        let Some(first) = all.first() else {
            self.since = None;
            return Ok(None);
        };
        let held = (self.held)()?;
        let Some(lost) = all.iter().find(|one| !one.is_in(&held)) else {
            self.since = None;
            return Ok(Some(format!("{first}; containerd has it, and the kubelet looks again within 90 s")));
        };
        let since = *self.since.get_or_insert(clock.elapsed());
        if clock.elapsed().saturating_sub(since) >= GRACE {
            let what = format!("{lost}; containerd has {}", lost.like(&held));
            let pod = &lost.pod;
            self.lost = Some(Error::new(Kind::Cluster, what).hint(format_args!(
                "make a bundle that has the image under this very name and run again; or delete pod '{pod}' if nobody needs it"
            )));
        }
        Ok(Some(lost.to_string()))
    }

    /// An error once a pod has waited long enough for what cannot come.
    pub(super) fn verdict(&mut self) -> Result<()> {
        self.lost.take().map_or(Ok(()), Err)
    }
}

impl Waiting {
    fn is_in(&self, held: &[String]) -> bool {
        let wanted: std::result::Result<ImageRef, _> = self.image.parse();
        // By digest it is asked for as it is written.
        let wanted = wanted.map_or_else(|_| self.image.clone(), |name| name.to_string());
        held.contains(&wanted)
    }

    /// Images of the same last name: another version, or another registry.
    fn like(&self, held: &[String]) -> String {
        fn last(name: &str) -> &str {
            let name = name.rsplit('/').next().unwrap_or(name);
            name.split([':', '@']).next().unwrap_or(name)
        }
        let like = held.iter().filter(|name| last(name) == last(&self.image)).map(|name| format!("'{name}'"));
        let like: Vec<String> = like.gather();
        if like.is_empty() { "none like it".to_owned() } else { format!("only {}", like.join(", ")) }
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Waiting { pod, container, image, reason } = self;
        write!(f, "pod '{pod}' cannot start: container '{container}' waits for image '{image}' ({reason})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::CountingClock;
    use crate::exec::Script;
    use crate::json::read;

    #[test]
    fn a_pod_says_what_it_waits_for() {
        for (json, want) in [
            (r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#, None),
            (
                r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"ContainersNotReady","message":"x"}],
                "containerStatuses":[{"state":{"running":{}}},{"state":{"waiting":{"reason":"ImagePullBackOff","message":"m"}}}]}}"#,
                Some("ImagePullBackOff m"),
            ),
            (
                r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"R"}],
                "initContainerStatuses":[{"state":{"terminated":{"reason":"Completed"}}}],
                "containerStatuses":[{"name":"c","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
                "lastState":{"terminated":{"exitCode":2,"reason":"Error"}}}]}}"#,
                Some("CrashLoopBackOff; container 'c' ended with status 2 Error and was started again, 3 times"),
            ),
            (r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"R"}]}}"#, Some("R")),
            (r#"{"status":{"phase":"Pending"}}"#, Some("it has no condition Ready yet")),
        ] {
            let pod = read(json.as_bytes(), 9999).unwrap();
            assert_eq!(Pod(&pod).lack().as_deref(), want);
        }
    }

    const LINES: &str = "pod kubeedge/a-1 \nc kubeedge/x:v1 \npod other/o-1 \nc kubeedge/w:v1 ErrImagePull\npod kubeedge/b-2 \ninit kubeedge/y:v1 ErrImagePull\nc kubeedge/x:v1 PodInitializing\n\
        pod kubeedge/c-3 2026-11-30T06:00:00Z\nc kubeedge/z:v1 ImagePullBackOff\n";

    fn look(images: &mut Images<'_>, lines: &str, clock: &dyn Clock) -> Result<Option<String>> {
        let pods = "k3s kubectl --kubeconfig=/k get pods --all-namespaces '--field-selector=status.phase!=Failed,spec.nodeName=n'";
        let mut script = Script::default().expect(&format!("{pods} '{WAITING}'"), 0, lines);
        let seen = images.look(&mut Kube::new(Path::new("/k"), &mut script), clock)?;
        images.verdict().map(|()| seen)
    }

    #[test]
    fn an_image_that_cannot_come_ends_the_wait_and_one_that_is_there_does_not() {
        let seen = "pod 'kubeedge/b-2' cannot start: container 'init' waits for image 'kubeedge/y:v1' (ErrImagePull)";
        let clock = CountingClock::default();
        let mut images = Images::new(Some("n"), &["kubeedge"]);
        assert_eq!(
            look(
                &mut images,
                "pod kubeedge/a-1 \nc x:v1 CrashLoopBackOff\npod kubeedge/z 2026\nc z:v1 ErrImagePull\n",
                &clock
            )
            .unwrap(),
            None
        );
        images.held = || Ok(vec!["docker.io/kubeedge/y:v1".into()]);
        let there = format!("{seen}; containerd has it, and the kubelet looks again within 90 s");
        assert_eq!(look(&mut images, LINES, &clock).unwrap().unwrap(), there);
        clock.sleep(GRACE * 9);
        assert_eq!(look(&mut images, LINES, &clock).unwrap().unwrap(), there);
        images.held = || Ok(vec!["docker.io/kubeedge/x:v1".into(), "quay.io/y:v0".into(), "docker.io/a/y:v1".into()]);
        assert_eq!(look(&mut images, LINES, &clock).unwrap().unwrap(), seen);
        clock.sleep(GRACE);
        // gone for a moment: it begins anew
        assert_eq!(look(&mut images, "", &clock).unwrap(), None);
        assert_eq!(look(&mut images, LINES, &clock).unwrap().unwrap(), seen);
        clock.sleep(GRACE);
        let e = look(&mut images, LINES, &clock).unwrap_err();
        assert_eq!(e.to_string(), format!("{seen}; containerd has only 'quay.io/y:v0', 'docker.io/a/y:v1'"));
        images.held = || Ok(Vec::new());
        let e = look(&mut images, LINES, &clock).unwrap_err();
        assert_eq!((e.to_string(), e.kind()), (format!("{seen}; containerd has none like it"), Kind::Cluster));
    }
}
