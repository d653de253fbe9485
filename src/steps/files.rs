//! A daemon's files, and its unit with its link for the next boot: containerd's with its config and the conflist, k3s's.
//!
//! All of it lies there before the daemon starts: containerd does not notice a conflist that is moved in later.

use crate::digest::Digest;
use crate::error::Result;
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, boot_link, definition};

/// Files as data: path, permission bits, bytes.
pub type File = (RelPath<'static>, u32, Vec<u8>);

/// The step.
#[derive(Debug)]
pub struct Files {
    id: &'static str,
    summary: &'static str,
    files: Vec<(String, u32, Vec<u8>)>,
    link: Option<(String, String)>,
    made: Option<RelPath<'static>>,
    /// What must not lie there yet, if it is ours.
    later: Vec<String>,
}

impl Files {
    /// The step `id`: `files`, and the definition of `service`.
    pub fn new(id: &'static str, summary: &'static str, files: Vec<File>, unit: (Manager, &Service)) -> Self {
        let (manager, service) = unit;
        let mut all: Vec<_> =
            files.into_iter().map(|(path, mode, bytes)| (path.as_str().to_owned(), mode, bytes)).gather();
        let (path, mode, text) = definition(manager, service);
        all.push((path, mode, text.into_bytes()));
        Files { id, summary, files: all, link: boot_link(manager, service), made: None, later: Vec::new() }
    }

    /// The same without what starts the daemon, which is left to a later run: it must not start before that. A unit alone is
    /// too much: systemd enables all that can be, when it takes a boot for the very first.
    #[must_use]
    pub fn unstarted(mut self) -> Self {
        self.later =
            self.files.pop().map(|(path, ..)| path).into_iter().chain(self.link.take().map(|link| link.0)).gather();
        self
    }

    /// The same, where `dir`, which some of the files lie in, is the daemon's alone.
    #[must_use]
    pub fn inside(self, dir: RelPath<'static>) -> Self {
        Files { made: Some(dir), ..self }
    }

    /// Changes whenever the daemon must be started again because of these files.
    pub fn version(&self) -> String {
        let mut all = Vec::new();
        for (path, _, bytes) in &self.files {
            all.extend_from_slice(path.as_bytes());
            all.extend_from_slice(Digest::of(bytes).to_string().as_bytes());
        }
        Digest::of(&all).to_string()
    }
}

impl Step for Files {
    fn id(&self) -> &'static str {
        self.id
    }

    fn summary(&self) -> String {
        self.summary.to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        for (path, mode, bytes) in &self.files {
            if let Ok(rel) = RelPath::parse(path)
                && !cx.root.holds(rel, *mode, bytes)?
            {
                return Ok(Status::todo(format_args!("'{rel}' is missing or different")));
            }
        }
        if let Some(path) = self.later.iter().find(|path| cx.journal.owns(path)) {
            return Ok(Status::todo(format_args!("'/{path}' is there too early")));
        }
        match &self.link {
            Some((path, target)) if !cx.has_link(path, target)? => {
                Ok(Status::todo(format_args!("'/{path}' is missing")))
            }
            _ => Ok(Status::Done),
        }
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        if let Some(dir) = self.made {
            cx.will_make(dir)?;
        }
        for (path, mode, bytes) in &self.files {
            if let Ok(rel) = RelPath::parse(path) {
                cx.put(rel, *mode, bytes)?;
            }
        }
        if let Some((path, target)) = &self.link {
            cx.put_link(path, target)?;
        }
        cx.take_back(|path| self.later.iter().any(|later| later == path))
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back(|p| self.files.iter().any(|f| f.0 == p) || self.link.as_ref().is_some_and(|l| l.0 == p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::{self, Part};
    use crate::plan::tests::with_cx;
    use crate::plan::{run, undo};

    /// An image that an older edgelay has laid k3s into, with its unit; then one of today; then its first boot.
    #[test]
    fn what_starts_a_daemon_comes_when_it_is_to_start() {
        const UNIT: RelPath<'static> = RelPath::literal("etc/systemd/system/k3s.service");
        const LINK: RelPath<'static> = RelPath::literal("etc/systemd/system/multi-user.target.wants/k3s.service");
        let service = k3s::service(Part::Server);
        let files = || {
            let files = vec![(k3s::CONFIG, 0o600, b"x".to_vec())];
            Files::new("k3s-files", "", files, (Manager::Systemd, &service)).inside(k3s::ETC)
        };
        with_cx(|cx| {
            for (step, there) in [(files(), true), (files().unstarted(), false), (files(), true)] {
                let steps: Vec<Box<dyn Step>> = vec![Box::new(step)];
                assert_eq!(run(&steps, cx).unwrap().applied, 1);
                assert_eq!(run(&steps, cx).unwrap().applied, 0);
                let found = [UNIT, LINK].map(|path| cx.root.lstat(path).unwrap().is_some());
                assert_eq!((found, cx.root.lstat(k3s::CONFIG).unwrap().is_some()), ([there; 2], true));
            }
            undo(&[Box::new(files())], cx).unwrap();
            assert!(cx.root.lstat(UNIT).unwrap().is_none());
        });
    }
}
