//! Steps 5 and 6 of join: the image is there or pulled, and a pod of it copies edgecore onto the host. The calls, their
//! order, arguments and time-outs are those of the real one; the container runtime is real.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::shared::klog;
use edgelay::containerd::api::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, MountSpec, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata,
};
use edgelay::containerd::{CallError, CallResult, Client, Code};

const CONNECT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(10);
const RUN_POD: Duration = Duration::from_secs(20);
/// The time-out of the copy, and what its client adds.
const COPY: Duration = Duration::from_secs(40);
/// A pull has no time-out.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

const COPY_LINE: &str = "cp /usr/local/bin/edgecore /tmp/usr/local/bin/edgecore";

/// A connection to the container runtime.
pub(crate) struct Runtime(Option<Client>);

impl Runtime {
    /// Makes one call, within a time-out; the error is as Go prints it.
    fn call<T: Send + 'static>(
        &mut self,
        limit: Duration,
        call: impl FnOnce(&mut Client) -> CallResult<T> + Send + 'static,
    ) -> Result<T, String> {
        self.try_call(limit, call).map_err(|(code, words)| format!("rpc error: code = {code} desc = {words}"))
    }

    fn try_call<T: Send + 'static>(
        &mut self,
        limit: Duration,
        call: impl FnOnce(&mut Client) -> CallResult<T> + Send + 'static,
    ) -> Result<T, (String, String)> {
        let late = || ("DeadlineExceeded".to_string(), "context deadline exceeded".to_string());
        let mut client = self.0.take().ok_or_else(late)?;
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            let answer = call(&mut client);
            // ignoring: nobody waits any more
            let _ = done.send((client, answer));
        });
        // a late call keeps its connection: what comes after it fails, too
        let (client, answer) = wait.recv_timeout(limit).map_err(|_| late())?;
        self.0 = Some(client);
        answer.map_err(|e| match &e {
            CallError::Status { status, .. } => (format!("{:?}", status.code), status.message.clone()),
            CallError::Broken(why) => ("Unavailable".into(), format!("error reading from server: {why}")),
        })
    }
}

/// Connects and asks both services for a sign of life.
pub(crate) fn connect(endpoint: &str) -> Result<Runtime, String> {
    let image = |why: String| {
        format!(
            "failed to new remote image service, err: validate service connection: validate CRI v1 image API for \
             endpoint {endpoint:?}: {why}"
        )
    };
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    let client = Client::connect(Path::new(path)).map_err(|_| {
        let why = match std::os::unix::net::UnixStream::connect(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "no such file or directory",
            _ => "connection refused",
        };
        image(format!(
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix \
             {path}: connect: {why}\""
        ))
    })?;
    let mut runtime = Runtime(Some(client));
    runtime.call(CONNECT, |client| client.cri_images().fs_info().map(drop)).map_err(image)?;
    runtime.call(CONNECT, |client| client.cri().version().map(drop)).map_err(|why| {
        format!(
            "failed to new remote runtime service, err: validate service connection: validate CRI v1 runtime API for \
             endpoint {endpoint:?}: {why}"
        )
    })?;
    Ok(runtime)
}

/// The full name: `kubeedge/x:v` is Docker Hub's, `registry.local:5000/x:v` is not.
fn normalised(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    match image.contains('/') {
        true if first.contains(['.', ':']) || first == "localhost" => image.into(),
        true => format!("docker.io/{image}"),
        false => format!("docker.io/library/{image}"),
    }
}

/// Pulls the image unless the runtime knows it.
pub(crate) fn pull(runtime: &mut Runtime, image: &str) -> Result<(), String> {
    let fault = |why: String| format!("failed to pull image {image}, err: {why}");
    let (name, pulled) = (normalised(image), normalised(image));
    let found = runtime.call(SHORT, move |client| client.cri_images().status(&name)).map_err(fault)?;
    match found {
        Some(found) if found.id.is_empty() || found.size == 0 => {
            Err(fault(format!("Id or size of image {image:?} is not set")))
        }
        Some(_) => Ok(()),
        None => match runtime.try_call(FOR_EVER, move |client| client.cri_images().pull(&pulled)) {
            Ok(_) => Ok(()),
            Err((code, words)) => {
                let whole = format!("rpc error: code = {code} desc = {words}");
                let said =
                    format!("\"PullImage from image service failed\" err={whole:?} image={:?}", normalised(image));
                klog::line('E', "remote_image.go:180", &said);
                // the error itself is without the code, if that is an unknown one
                Err(fault(if code == format!("{:?}", Code::Unknown) { words } else { whole }))
            }
        },
    }
}

/// Copies edgecore out of the image by way of a pod. Pod and container are removed; if that fails, nobody is told.
pub(crate) fn edgecore(runtime: &mut Runtime, image: &str, cgroup_driver: &str) -> Result<(), String> {
    let pod = pod_config(cgroup_driver);
    let config = pod.clone();
    let sandbox = runtime.call(RUN_POD, move |client| client.cri().run_pod(config)).inspect_err(|why| {
        let said = format!("\"RunPodSandbox from runtime service failed\" err={why:?}");
        klog::line('E', "remote_runtime.go:193", &said);
    })?;
    let end = in_pod(runtime, &sandbox, image, pod);
    let _ = runtime.call(SHORT, move |client| client.cri().remove_pod(&sandbox));
    end
}

fn in_pod(runtime: &mut Runtime, sandbox: &str, image: &str, pod: PodSandboxConfig) -> Result<(), String> {
    let (sandbox, config) = (sandbox.to_string(), container_config(image));
    let id = runtime
        .call(SHORT, move |client| client.cri().create_container(&sandbox, config, pod))
        .map_err(|why| format!("create container failed: {why}"))?;
    let end = in_container(runtime, &id);
    let _ = runtime.call(SHORT, move |client| client.cri().remove_container(&id));
    end
}

fn in_container(runtime: &mut Runtime, id: &str) -> Result<(), String> {
    let (start, exec) = (id.to_string(), id.to_string());
    runtime
        .call(SHORT, move |client| client.cri().start_container(&start))
        .map_err(|why| format!("start container failed: {why}"))?;
    let limit = Duration::from_secs(30);
    let done = runtime
        .call(COPY, move |client| client.cri().exec(&exec, &["/bin/sh", "-c", COPY_LINE], limit))
        .map_err(|why| format!("failed to exec copy cmd, err: {why}, stderr: , stdout: "))?;
    if done.exit_code == 0 {
        return Ok(());
    }
    Err(format!(
        "failed to exec copy cmd, err: command '/bin/sh -c {COPY_LINE}' exited with {}: {}, stderr: {}, stdout: {}",
        done.exit_code,
        String::from_utf8_lossy(&done.stderr),
        String::from_utf8_lossy(&done.stderr),
        String::from_utf8_lossy(&done.stdout)
    ))
}

fn pod_config(cgroup_driver: &str) -> PodSandboxConfig {
    let uid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_string();
    let parent = if cgroup_driver == "systemd" { "kubeedge-setup-podcopyresource.slice" } else { "" };
    PodSandboxConfig {
        metadata: PodSandboxMetadata { name: "edgecore".into(), uid, namespace: "kubeedge".into(), attempt: 0 },
        linux: LinuxPodSandboxConfig {
            cgroup_parent: parent.into(),
            security_context: LinuxSandboxSecurityContext {
                namespace_options: NamespaceOption { network: NamespaceMode::NODE, ..Default::default() },
                privileged: true,
            },
            ..Default::default()
        },
        ..Default::default()
    }
}

fn container_config(image: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: ContainerMetadata { name: "container".into(), attempt: 0 },
        // as it was given: the runtime completes the name by itself
        image: ImageSpec { image: image.into(), ..Default::default() },
        command: vec!["/bin/sh".into(), "-c".into(), "sleep infinity".into()],
        mounts: vec![MountSpec {
            container_path: "/tmp/usr/local/bin".into(),
            host_path: "/usr/local/bin".into(),
            readonly: false,
        }],
        linux: LinuxContainerConfig {
            security_context: LinuxContainerSecurityContext { privileged: true, ..Default::default() },
        },
        ..Default::default()
    }
}
