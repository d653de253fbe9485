//! What the program carries behind its own end: a gzipped tar with containerd, runc, CNI plugins, the real kubectl and
//! the scripts of the API; then the tar's length in sixteen hex digits and a mark.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Ends a program that carries a payload.
const MARK: &[u8; 16] = b"edgelay-standin\n";
/// Where the real one unpacks itself, too.
const DATA: &str = "/var/lib/rancher/k3s/data";

/// Path of one of the carried programs.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    Ok(folder()?.join("bin").join(name))
}

/// Where everything lies; unpacks it unless that is done. As the real one does, down to the links and to what it says:
/// under a lock, beside its place, and `current` points to what was unpacked last.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("extracting data: {e}"))?;
    let mut file = File::open(&own).map_err(|e| format!("extracting data: {e}"))?;
    let end = file.seek(SeekFrom::End(-32)).map_err(|e| format!("extracting data: {e}"))?;
    let mut tail = [0; 32];
    file.read_exact(&mut tail).map_err(|e| format!("extracting data: {e}"))?;
    let length = std::str::from_utf8(&tail[..16]).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let (Some(length), true) = (length, tail.ends_with(MARK)) else {
        return Err(format!("extracting data: '{}' carries none: see tests/bed/make-cloud-inputs", own.display()));
    };
    let folder = Path::new(DATA).join(format!("{length:016x}{end:016x}"));
    if !folder.join("bin/containerd").exists() {
        unpack(file, (end - length, length), &folder).map_err(|why| format!("extracting data: {why}"))?;
    }
    Ok(folder)
}

fn unpack(mut file: File, (start, length): (u64, u64), folder: &Path) -> Result<(), String> {
    let fault = |e: std::io::Error| super::config::go(&e);
    fs::create_dir_all(DATA).map_err(fault)?;
    let path = Path::new(DATA).join(".lock");
    super::say("info", &format!("Acquiring lock file {}", path.display()));
    let lock = File::create(&path).map_err(fault)?;
    lock.lock().map_err(fault)?;
    if folder.exists() {
        return Ok(());
    }
    super::say("info", &format!("Preparing data dir {}", folder.display()));
    let new = PathBuf::from(format!("{}-tmp", folder.display()));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(fault)?;
    }
    fs::create_dir_all(&new).map_err(fault)?;
    let unpacked = untar(&mut file, (start, length), &new);
    if let Err(why) = unpacked {
        fs::remove_dir_all(&new).map_err(fault)?;
        return Err(why);
    }
    fs::rename(&new, folder).map_err(fault)?;
    let (current, previous) = (Path::new(DATA).join("current"), Path::new(DATA).join("previous"));
    if current.symlink_metadata().is_ok() {
        fs::rename(&current, previous).map_err(fault)?;
    }
    std::os::unix::fs::symlink(folder, current).map_err(fault)
}

fn untar(file: &mut File, (start, length): (u64, u64), into: &Path) -> Result<(), String> {
    let fault = |e: std::io::Error| super::config::go(&e);
    file.seek(SeekFrom::Start(start)).map_err(fault)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg("-").arg("-C").arg(into).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut tar = tar.spawn().map_err(fault)?;
    if let Some(mut pipe) = tar.stdin.take() {
        // ignoring: tar may stop reading behind its end mark
        let _ = std::io::copy(&mut file.take(length), &mut pipe);
    }
    let done = tar.wait_with_output().map_err(fault)?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
    }
}
