//! The client: one connection, the namespace and lease that go with every call, and a fresh connection when needed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::api::{Empty, version::VersionResponse};
use super::socket::UnixTransport;
use super::{
    CallResult, Content, CriImages, CriRuntime, Images, Introspection, LeaseId, Leases, Namespace, Namespaces,
    Snapshots,
};
use crate::error::{Error, Kind, Result, Trail};
use crate::gather::Grow;
use crate::pb::{Decode, Encode, Writer, decode_into};
use crate::rpc::conn::{Connection, Patience};
use crate::rpc::grpc::{CallError, Exchange, Last, Method};
use crate::rpc::transport::Transport;

pub(super) type Link = Box<dyn Transport + Send>;

/// Work in the daemon that is bound by its disk: unpacking, flushing, collecting garbage.
pub(super) const SLOW: Patience = Patience::Total(Duration::from_secs(600));

/// A client of one containerd, in one namespace.
///
/// If the daemon was restarted since the last call, the next one connects anew; a call that was already sent is never
/// repeated here.
#[derive(Debug)]
pub struct Client {
    path: Option<PathBuf>,
    process: Option<i32>,
    conn: Option<Connection<Link>>,
    end: Option<(Instant, Duration)>,
    namespace: Namespace,
    lease: Option<LeaseId>,
}

impl Client {
    /// Connects to the socket at `path`, in the namespace `k8s.io`, without a lease.
    pub fn connect(path: &Path) -> Result<Client> {
        Self::connect_until(path, None)
    }

    /// The same, for a look: all that is asked must be answered within `limit`.
    pub fn connect_within(path: &Path, limit: Duration) -> Result<Client> {
        Self::connect_until(path, Some((Instant::now() + limit, limit)))
    }

    fn connect_until(path: &Path, end: Option<(Instant, Duration)>) -> Result<Client> {
        let (path, namespace) = (Some(path.to_owned()), Namespace::k8s());
        let mut client = Client { path, process: None, conn: None, end, namespace, lease: None };
        client.conn()?;
        Ok(client)
    }

    /// Over a byte stream that is already there; it is not replaced when it breaks.
    pub fn over(link: Box<dyn Transport + Send>) -> Result<Client> {
        let conn = Some(Connection::open(link)?);
        Ok(Client { path: None, process: None, conn, end: None, namespace: Namespace::k8s(), lease: None })
    }

    /// The same client for another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Namespace) -> Client {
        self.namespace = namespace;
        self
    }

    /// The namespace of all calls.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The process that listens on the socket, as our process namespace numbers it; `None` if it has no number there.
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// From now on everything that is written belongs to this lease, or to none.
    pub fn set_lease(&mut self, lease: Option<LeaseId>) {
        self.lease = lease;
    }

    /// The lease of all calls.
    pub fn lease(&self) -> Option<&LeaseId> {
        self.lease.as_ref()
    }

    /// Version and revision of the daemon: the cheapest proof that it works.
    pub fn version(&mut self) -> CallResult<VersionResponse> {
        self.unary(Method::unary("/containerd.services.version.v1.Version/Version"), &Empty {})
    }

    /// Plugins and identity of the daemon.
    pub fn introspection(&mut self) -> Introspection<'_> {
        Introspection::new(self)
    }

    /// Namespaces.
    pub fn namespaces(&mut self) -> Namespaces<'_> {
        Namespaces::new(self)
    }

    /// Leases, which keep new content from the garbage collector.
    pub fn leases(&mut self) -> Leases<'_> {
        Leases::new(self)
    }

    /// The content store.
    pub fn content(&mut self) -> Content<'_> {
        Content::new(self)
    }

    /// Image records.
    pub fn images(&mut self) -> Images<'_> {
        Images::new(self)
    }

    /// Snapshots of one snapshotter, for example `overlayfs`.
    pub fn snapshots<'c>(&'c mut self, snapshotter: &'c str) -> Snapshots<'c> {
        Snapshots::new(self, snapshotter)
    }

    /// Pods and containers as the kubelet sees them.
    pub fn cri(&mut self) -> CriRuntime<'_> {
        CriRuntime::new(self)
    }

    /// Images as the kubelet sees them.
    pub fn cri_images(&mut self) -> CriImages<'_> {
        CriImages::new(self)
    }

    /// One request, one answer.
    pub(super) fn unary<M: Decode + Default>(&mut self, method: Method, request: &dyn Encode) -> CallResult<M> {
        let mut answer = M::default();
        self.call(method, request, &mut answer)?;
        Ok(answer)
    }

    /// Not generic, so that the work is not compiled once for every call there is.
    fn call(&mut self, method: Method, request: &dyn Encode, answer: &mut dyn Decode) -> CallResult<()> {
        let bytes = self.start(method)?.unary(&Writer::encode(request))?;
        read_into(method, &bytes, answer)
    }

    /// One request, many answers, each handed to `each` as it comes.
    pub(super) fn stream<M: Decode + Default>(
        &mut self,
        method: Method,
        request: &dyn Encode,
        mut each: impl FnMut(M),
    ) -> CallResult<()> {
        self.call_stream(method, request, &mut |answer| {
            each(read(method, answer)?);
            Ok(())
        })
    }

    fn call_stream(
        &mut self,
        method: Method,
        request: &dyn Encode,
        each: &mut dyn FnMut(&[u8]) -> CallResult<()>,
    ) -> CallResult<()> {
        let mut call = self.start(method)?;
        call.send(&Writer::encode(request), &[], Last::Yes)?;
        while let Some(answer) = call.receive()? {
            each(&answer)?;
        }
        Ok(())
    }

    /// Starts a call with our namespace and lease.
    pub(super) fn start(&mut self, method: Method) -> CallResult<Exchange<'_, Link>> {
        self.conn()?;
        let mut metadata = Vec::new();
        // CRI has its own, fixed namespace.
        if method.path.starts_with("/containerd.") {
            metadata.push(("containerd-namespace", self.namespace.as_str()));
            metadata.add_all(self.lease.as_ref().map(|lease| ("containerd-lease", lease.as_str())));
        }
        let conn = self.conn.as_mut().ok_or_else(|| Error::new(Kind::Bug, "no connection after connecting"))?;
        conn.start(method, &metadata)
    }

    /// Makes sure that there is a connection that still works.
    fn conn(&mut self) -> Result<()> {
        if self.conn.as_mut().is_some_and(Connection::usable) {
            return Ok(());
        }
        let Some(path) = &self.path else {
            return Err(Error::new(Kind::Runtime, "the connection to the daemon is closed"));
        };
        self.conn = None;
        let link = UnixTransport::connect(path)?;
        self.process = link.process();
        let link: Link = Box::new(link);
        self.conn = Some(Connection::open_until(link, self.end).doing(|| format!("talk to '{}'", path.display()))?);
        Ok(())
    }
}

/// Decodes an answer.
pub(super) fn read<M: Decode + Default>(method: Method, answer: &[u8]) -> CallResult<M> {
    let mut message = M::default();
    read_into(method, answer, &mut message)?;
    Ok(message)
}

fn read_into(method: Method, answer: &[u8], into: &mut dyn Decode) -> CallResult<()> {
    decode_into(answer, into).map_err(|e| nonsense(method, e))
}

/// An answer that cannot be what it should be.
pub(super) fn nonsense(method: Method, why: impl std::fmt::Display + std::any::Any + Send + Sync) -> CallError {
    let what = format!("cannot understand the answer to {}", method.path);
    CallError::Broken(Error::new(Kind::Runtime, what).because(why))
}

#[cfg(test)]
mod tests;
