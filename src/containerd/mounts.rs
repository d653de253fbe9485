//! From what `Snapshots.Prepare` answers to the directory that a layer can be written to without mounting anything.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::api::Mount;
use crate::gather::Gather;
use crate::unpack::Target;

/// Options of a bind mount that change nothing about its source.
const BIND: &[&str] = &["bind", "rbind", "rw"];

/// Options of an overlay that do not change how its upper directory is to be written. Not among them: `userxattr`,
/// which has other marks for opaque directories; and whatever comes after 2.1.
const OVERLAY: &[&str] =
    &["index=off", "index=on", "volatile", "xino=off", "xino=auto", "redirect_dir=off", "metacopy=off"];

/// Where the layer of a snapshot with these `mounts` goes.
///
/// `daemon` is the process that made them: the directories must be the same ones for it and for us.
///
/// # Errors
/// Why it cannot be written directly; then the daemon has to do it.
pub fn target(mounts: &[Mount], daemon: Option<i32>) -> std::result::Result<Target, String> {
    let [mount] = mounts else { return Err(format!("it takes {} mounts", mounts.len())) };
    let daemon = daemon.ok_or("the daemon's process is not known")?;
    if !owns_all_ids() {
        return Err("this is a user namespace".into());
    }
    let opened = match mount.kind.as_str() {
        "bind" => {
            known(&mount.options, BIND, &[])?;
            Target::plain(same(&mount.source, daemon)?)
        }
        "overlay" => {
            known(&mount.options, OVERLAY, &["upperdir=", "lowerdir=", "workdir="])?;
            let upper = same(option(mount, "upperdir=")?, daemon)?;
            let lowers = option(mount, "lowerdir=")?.split(':');
            let lowers = lowers.map(|lower| same(lower, daemon)).gather::<std::result::Result<Vec<_>, _>>()?;
            Target::overlay(upper, &lowers)
        }
        other => return Err(format!("it is a mount of type '{other}'")),
    };
    opened.map_err(|e| e.to_string())
}

fn known(options: &[String], plain: &[&str], keys: &[&str]) -> std::result::Result<(), String> {
    let known = |option: &str| plain.contains(&option) || keys.iter().any(|key| option.starts_with(key));
    match options.iter().find(|option| !known(option)) {
        Some(option) => Err(format!("its mount has the option '{option}'")),
        None => Ok(()),
    }
}

fn option<'m>(mount: &'m Mount, key: &str) -> std::result::Result<&'m str, String> {
    let value = mount.options.iter().find_map(|option| option.strip_prefix(key));
    value.ok_or_else(|| format!("its mount has no '{key}'"))
}

/// `path`, if it is one and the same directory for the process `daemon` and for us: we may be in another mount
/// namespace, or the daemon in a container.
fn same(path: &str, daemon: i32) -> std::result::Result<&Path, String> {
    let theirs = format!("/proc/{daemon}/root{path}");
    let identity = |path: &Path| {
        let meta = path.metadata().map_err(|e| format!("'{}': {e}", path.display()))?;
        Ok::<_, String>((meta.dev(), meta.ino(), meta.is_dir()))
    };
    let path = Path::new(path);
    let (ours, theirs) = (identity(path)?, identity(Path::new(&theirs))?);
    match path.is_absolute() && ours.2 && ours == theirs {
        true => Ok(path),
        false => Err(format!("'{}' is not the same directory for the daemon and for us", path.display())),
    }
}

/// In a user namespace no whiteout can be made. user_namespaces(7): the first one maps all ids to themselves.
fn owns_all_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(ToString::to_string).collect();
        Mount { kind: kind.into(), source: source.into(), options, ..Default::default() }
    }

    #[test]
    fn only_what_is_understood_is_written_directly() {
        if !owns_all_ids() {
            return; // whiteouts cannot be made here, so nothing is
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let (upper, lower) = (format!("upperdir={path}"), format!("lowerdir={path}:{path}"));
        let overlay = |more: &[&str]| mount("overlay", "overlay", &[&["index=off", "workdir=/w"], more].concat());
        let us = i32::try_from(std::process::id()).ok();
        let why = |mounts: &[Mount], daemon| target(mounts, daemon).map(drop).err();
        for good in [mount("bind", path, &["rw", "rbind"]), overlay(&[&upper, &lower])] {
            assert_eq!(why(&[good], us), None);
        }
        let good = mount("bind", path, &["rw", "rbind"]);
        for (mounts, daemon, reason) in [
            (vec![], us, "it takes 0 mounts".to_owned()),
            (vec![good.clone(), good.clone()], us, "it takes 2 mounts".into()),
            (vec![good.clone()], None, "the daemon's process is not known".into()),
            (
                vec![good],
                Some(i32::MAX),
                format!("'/proc/2147483647/root{path}': No such file or directory (os error 2)"),
            ),
            (vec![mount("bind", path, &["ro", "rbind"])], us, "its mount has the option 'ro'".into()),
            (vec![mount("native", path, &[])], us, "it is a mount of type 'native'".into()),
            (vec![overlay(&[&upper, &lower, "userxattr"])], us, "its mount has the option 'userxattr'".into()),
            (vec![overlay(&[&upper])], us, "its mount has no 'lowerdir='".into()),
            (
                vec![mount("bind", "/nowhere/at/all", &["rw"])],
                us,
                "'/nowhere/at/all': No such file or directory (os error 2)".into(),
            ),
        ] {
            assert_eq!(why(&mounts, daemon), Some(reason));
        }
    }
}
