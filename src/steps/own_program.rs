//! edgelay itself, laid down where the machine finds it after a reboot: it supervises services where nothing else does.

use std::fs::File;
use std::path::Path;

use crate::digest::{Digest, measure};
use crate::error::{Kind, Lift, Result};
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::service::supervise::PROGRAM;

use super::fingerprint;

/// The program that is running.
const SELF: &str = "/proc/self/exe";

/// The step.
#[derive(Debug)]
pub struct OwnProgram;

fn running() -> Result<File> {
    File::open(Path::new(SELF)).lift(Kind::Host, || format!("open '{SELF}'"))
}

fn digest() -> Result<(Digest, u64)> {
    measure(&mut running()?).lift(Kind::Host, || format!("read '{SELF}'"))
}

/// Whether `path` is the very file that runs.
fn is_running(cx: &Cx<'_>, path: RelPath<'_>) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let Some(there) = cx.root.open_file(path)? else { return Ok(false) };
    let id = |file: File| file.metadata().map(|meta| (meta.dev(), meta.ino())).lift(Kind::Host, || "look".to_owned());
    Ok(id(there)? == id(running()?)?)
}

impl Step for OwnProgram {
    fn id(&self) -> &'static str {
        "own-program"
    }

    fn summary(&self) -> String {
        "edgelay itself, to supervise".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if is_running(cx, PROGRAM)? {
            return Ok(Status::Done);
        }
        let (digest, size) = digest()?;
        Ok(match fingerprint::holds(cx, PROGRAM, 0o755, digest, size)? {
            true => Status::Done,
            false => Status::todo(format_args!("'{PROGRAM}' is missing or another edgelay")),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (digest, _) = digest()?;
        cx.put_stream(PROGRAM, 0o755, &mut running()?)?;
        fingerprint::remember(cx, PROGRAM, digest)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back_file(PROGRAM.as_str())?;
        fingerprint::forget(cx, PROGRAM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;
    use crate::plan::{run, undo};

    #[test]
    fn it_lies_there_whole_and_goes_again() {
        with_cx(|cx| {
            let steps: Vec<Box<dyn Step>> = vec![Box::new(OwnProgram)];
            assert_eq!(run(&steps, cx).unwrap().applied, 1);
            assert_eq!(run(&steps, cx).unwrap().applied, 0);
            let laid_down = measure(&mut cx.root.open_file(PROGRAM).unwrap().unwrap());
            assert_eq!(laid_down.unwrap(), digest().unwrap());
            cx.root.write(PROGRAM, 0o755, b"another").unwrap();
            assert_eq!(run(&steps, cx).unwrap().applied, 1);
            undo(&steps, cx).unwrap();
            assert!(cx.root.stat(PROGRAM).unwrap().is_none());
        });
    }
}
