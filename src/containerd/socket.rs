//! The way to the daemon: a unix socket that only root could have made, and whose other end is root.
//!
//! Who controls containerd controls the host, so a socket that somebody else could have put there is refused.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};
use nix::unistd::Uid;

use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::rpc::conn::HINT;
use crate::rpc::transport::{Interest, Ready, Transport};

/// A socket's path has at most 107 bytes, and links on the way may add some.
const MAX_DEPTH: usize = 256;

/// A connected, non-blocking unix socket.
#[derive(Debug)]
pub(super) struct UnixTransport(UnixStream, libc::pid_t);

impl UnixTransport {
    /// Checks the socket file, connects, and checks who answers.
    pub(super) fn connect(path: &Path) -> Result<Self> {
        let shown = path.display();
        check_path(path).doing(|| format!("use the socket '{shown}'")).hint(HINT)?;
        let stream = dial(path).lift(Kind::Runtime, || format!("connect to '{shown}'")).map_err(as_root).hint(HINT)?;
        let peer = getsockopt(&stream, sockopt::PeerCredentials)
            .lift(Kind::Runtime, || format!("ask who listens on '{shown}'"))?;
        if !trusted(peer.uid()) {
            let what = format!("the process {} that listens on '{shown}' runs as user {}", peer.pid(), peer.uid());
            return Err(Error::new(Kind::Runtime, what).hint("find out what it is; containerd runs as root (user 0)"));
        }
        Ok(UnixTransport(stream, peer.pid()))
    }

    /// Who listens, as our process namespace numbers it.
    pub(super) fn process(&self) -> Option<i32> {
        Some(self.1).filter(|pid| *pid > 0)
    }
}

/// Who may not connect is no reason to look after containerd.
fn as_root(e: Error) -> Error {
    match e.errno() {
        Some(libc::EACCES) => e.hint("run as root"),
        _ => e,
    }
}

/// Root, or ourselves: tests run without root.
fn trusted(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

fn check_path(path: &Path) -> Result<()> {
    let refuse = |what: &'static str| Err(Error::new(Kind::Runtime, what));
    if !path.is_absolute() {
        return refuse("the path is not absolute");
    }
    let meta = path.symlink_metadata().lift(Kind::Runtime, || "look at the file".to_owned())?;
    if !meta.file_type().is_socket() {
        return refuse("it is not a socket");
    }
    if !trusted(meta.uid()) {
        return refuse("it does not belong to root");
    }
    check_directories(path.parent().unwrap_or(Path::new("/")).to_owned())
}

/// The directory and all above it. Upwards by `..`, as the kernel sees it: `canonicalize` would take a path below
/// `/proc/PID/root`, another root directory, for one below ours.
fn check_directories(mut dir: PathBuf) -> Result<()> {
    let mut below = None;
    for up in 0..MAX_DEPTH {
        let meta = dir.metadata().lift(Kind::Runtime, || format!("look at its directory '{}'", dir.display()))?;
        let here = (meta.dev(), meta.ino());
        if below == Some(here) {
            return Ok(()); // only the root is its own parent
        }
        let (open, sticky) = (meta.mode() & 0o002 != 0, meta.mode() & 0o1000 != 0);
        // Below a sticky directory such as /tmp, nobody can replace what belongs to root; in it, anybody can add.
        if open && (up == 0 || !sticky) {
            let dir = dir.canonicalize().unwrap_or(dir);
            let what = format!("the directory '{}' is writable by everybody", dir.display());
            return Err(Error::new(Kind::Runtime, what));
        }
        below = Some(here);
        dir.push("..");
    }
    Err(Error::new(Kind::Runtime, format_args!("it lies more than {MAX_DEPTH} directories deep")))
}

/// Never blocks: a daemon whose queue is full is busy, and the caller may try again.
fn dial(path: &Path) -> std::result::Result<UnixStream, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

impl Transport for UnixTransport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }

    fn write(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(parts)
    }

    fn wait(&mut self, interest: Interest, timeout: Duration) -> io::Result<Ready> {
        let events = match interest {
            Interest::Read => PollFlags::POLLIN,
            Interest::ReadOrWrite => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        // Rounded up, or the last millisecond would be spent spinning.
        let timeout = timeout.checked_add(Duration::from_micros(999)).unwrap_or(timeout);
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.0.as_fd(), events)], timeout) {
            Ok(0) => Ok(Ready::TimedOut),
            // A signal: the caller looks at its clock and comes back.
            Ok(_) | Err(Errno::EINTR) => Ok(Ready::Yes),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    fn refusal(path: &Path) -> String {
        let e = UnixTransport::connect(path).unwrap_err();
        assert_eq!((e.kind(), e.hint_text()), (Kind::Runtime, Some(HINT)));
        e.to_string()
    }

    #[test]
    fn who_is_not_root_is_told_so() {
        let hint = |errno: Errno| {
            let e: Result<()> = Err(errno).lift(Kind::Runtime, || "connect".to_owned()).map_err(as_root).hint(HINT);
            e.unwrap_err().hint_text().map(str::to_owned)
        };
        assert_eq!(hint(Errno::EACCES).as_deref(), Some("run as root"));
        assert_eq!(hint(Errno::ECONNREFUSED).as_deref(), Some(HINT));
    }

    #[test]
    fn only_sockets_of_root_in_safe_places_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().canonicalize().unwrap();
        let shown = |name: &str| format!("use the socket '{}/{name}'", place.display());
        assert_eq!(refusal(Path::new("run/c.sock")), "use the socket 'run/c.sock': the path is not absolute");
        let gone = refusal(&place.join("none"));
        assert_eq!(gone, shown("none") + ": look at the file: No such file or directory (os error 2)");
        std::fs::write(place.join("file"), b"").unwrap();
        assert_eq!(refusal(&place.join("file")), shown("file") + ": it is not a socket");
        let listener = UnixListener::bind(place.join("s")).unwrap();
        std::os::unix::fs::symlink(place.join("s"), place.join("link")).unwrap();
        assert_eq!(refusal(&place.join("link")), shown("link") + ": it is not a socket");
        UnixTransport::connect(&place.join("s")).unwrap();
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
        let open = format!(": the directory '{}' is writable by everybody", place.display());
        assert_eq!(refusal(&place.join("s")), shown("s") + &open);
        // Even a sticky one: anybody could have put a socket there before containerd did.
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o1777)).unwrap();
        assert_eq!(refusal(&place.join("s")), shown("s") + &open);
        std::fs::create_dir(place.join("inner")).unwrap();
        let inner = UnixListener::bind(place.join("inner/s")).unwrap();
        UnixTransport::connect(&place.join("inner/s")).unwrap();
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(refusal(&place.join("inner/s")), shown("inner/s") + &open);
        drop((listener, inner));
    }

    #[test]
    #[allow(clippy::print_stdout, reason = "the line that every skipped test prints")]
    fn foreign_owners_are_refused() {
        if !Uid::effective().is_root() {
            println!("SKIP foreign_owners_are_refused: not root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(refusal(&path).ends_with("it does not belong to root"));
    }

    #[test]
    fn sockets_without_a_listener_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let want = format!("connect to '{}': ECONNREFUSED: Connection refused", path.display());
        assert_eq!(refusal(&path), want);
    }

    #[test]
    fn waiting_ends_with_bytes_room_end_or_time() {
        let (mut ours, theirs) = {
            let (a, b) = UnixStream::pair().unwrap();
            a.set_nonblocking(true).unwrap();
            (UnixTransport(a, 0), b)
        };
        let short = Duration::from_millis(20);
        let start = Instant::now();
        assert_eq!(ours.wait(Interest::Read, short).unwrap(), Ready::TimedOut);
        assert!(start.elapsed() >= short);
        assert_eq!(ours.wait(Interest::ReadOrWrite, short).unwrap(), Ready::Yes);
        while ours.write(&[io::IoSlice::new(&[0; 4096])]).is_ok() {}
        assert_eq!(ours.wait(Interest::ReadOrWrite, short).unwrap(), Ready::TimedOut);
        (&theirs).write_all(b"x").unwrap();
        assert_eq!(ours.wait(Interest::ReadOrWrite, short).unwrap(), Ready::Yes);
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(ours.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(ours.wait(Interest::Read, short).unwrap(), Ready::Yes);
    }
}
