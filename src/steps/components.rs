//! Lays down the bundle's files: containerd, its shim, runc, the CNI plugins, keadm.

use super::{edgecore_program, fingerprint};
use crate::bundle::Component;
use crate::error::{Result, Trail};
use crate::gather::Gather;
use crate::kubeedge::EDGECORE;
use crate::plan::{Cx, Status, Step};

/// The step.
#[derive(Debug)]
pub struct Components {
    files: Vec<Component>,
}

impl Components {
    /// Lays down `files`, in this order (the bundle's, so that a pipe will do).
    pub fn new(files: Vec<Component>) -> Self {
        Components { files }
    }

    fn missing(&self, cx: &Cx<'_>) -> Result<Vec<&Component>> {
        let mut missing = Vec::new();
        for file in &self.files {
            if !fingerprint::holds(cx, file.destination(), file.mode.bits(), file.digest, file.size)? {
                missing.push(file);
            }
        }
        Ok(missing)
    }
}

impl Step for Components {
    fn id(&self) -> &'static str {
        "components"
    }

    fn summary(&self) -> String {
        format!("lay down {} components", self.files.len())
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let missing = self.missing(cx)?;
        let names: Vec<&str> = missing.iter().map(|c| c.name.as_str()).gather();
        Ok(match names.as_slice() {
            [] => Status::Done,
            names => Status::todo(format_args!("missing or different: {}", names.join(", "))),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let missing = self.missing(cx)?;
        let total: u64 = missing.iter().map(|c| c.size).sum();
        let mut done = 0;
        for file in missing {
            lay_down(file, cx, (done, total)).doing(|| format!("lay down {}", file.name))?;
            done += file.size;
            cx.report.progress(done, total);
        }
        Ok(())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        for file in &self.files {
            let path = file.destination();
            cx.take_back_file(path.as_str())?;
            fingerprint::forget(cx, path)?;
        }
        Ok(())
    }
}

fn lay_down(file: &Component, cx: &mut Cx<'_>, (done, total): (u64, u64)) -> Result<()> {
    let path = file.destination();
    if path == EDGECORE {
        edgecore_program::keep(cx)?;
        edgecore_program::forget_image(cx)?;
    }
    // The blobs are borrowed apart from the rest: the reader lives while the file is written.
    let Some(blobs) = cx.blobs.take() else {
        return Err(super::images::no_bundle(&file.name));
    };
    let written = match blobs.open(&file.blob()) {
        Ok(reader) => {
            let mut reader = Told { reader, report: cx.report, done, total };
            cx.put_stream(path, file.mode.bits(), &mut reader).map(|_| ())
        }
        Err(e) => Err(e),
    };
    cx.blobs = Some(blobs);
    written?;
    fingerprint::remember(cx, path, file.digest)
}

/// Tells the report how far a reader is.
struct Told<'a, R> {
    reader: R,
    report: &'a crate::report::Report,
    done: u64,
    total: u64,
}

impl<R: std::io::Read> std::io::Read for Told<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.done += n as u64;
        self.report.progress(self.done, self.total);
        Ok(n)
    }
}
