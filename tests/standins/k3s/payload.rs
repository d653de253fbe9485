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

/// Where everything lies; unpacks it unless that is done.
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
    if !folder.join("complete").exists() {
        unpack(file, (end - length, length), &folder)?;
    }
    Ok(folder)
}

fn unpack(mut file: File, (start, length): (u64, u64), folder: &Path) -> Result<(), String> {
    let fault = |e: std::io::Error| format!("extracting data: {e}");
    let new = folder.with_extension(format!("new{}", std::process::id()));
    fs::create_dir_all(&new).map_err(fault)?;
    file.seek(SeekFrom::Start(start)).map_err(fault)?;
    let mut tar =
        Command::new("tar").arg("-xzf").arg("-").arg("-C").arg(&new).stdin(Stdio::piped()).spawn().map_err(fault)?;
    if let Some(mut pipe) = tar.stdin.take() {
        // ignoring: tar may stop reading behind its end mark
        let _ = std::io::copy(&mut file.take(length), &mut pipe);
    }
    let status = tar.wait().map_err(fault)?;
    if !status.success() {
        return Err(format!("extracting data: tar: {status}"));
    }
    fs::write(new.join("complete"), "").map_err(fault)?;
    if fs::rename(&new, folder).is_err() {
        // another one was faster
        fs::remove_dir_all(&new).map_err(fault)?;
    }
    Ok(())
}
