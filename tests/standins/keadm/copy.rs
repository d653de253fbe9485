//! Steps 5 and 6 of join: the image is there or pulled, and a pod of it copies edgecore onto the host.

pub(crate) struct Runtime;

pub(crate) fn connect(endpoint: &str) -> Result<Runtime, String> {
    let _ = endpoint;
    Err("no client yet".into())
}

pub(crate) fn pull(_: &mut Runtime, _: &str) -> Result<(), String> {
    Ok(())
}

pub(crate) fn edgecore(_: &mut Runtime, _: &str, _: &str) -> Result<(), String> {
    Ok(())
}
