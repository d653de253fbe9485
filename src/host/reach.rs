//! Whether TCP ports of another machine answer: all at once, each within one limit.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::aside::Aside;
use crate::gather::Gather;
use crate::ids::HostPort;

/// What came of a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Connected.
    Open,
    /// The machine is there, nothing listens.
    Refused,
    /// No answer within the limit.
    TimedOut,
    /// This machine knows no way there.
    NoRoute,
    /// The name has no address, or no name server answered within the limit.
    NoAddress,
    /// Any other error number.
    Other(i32),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Open => f.write_str("open"),
            Answer::Refused => f.write_str("connection refused"),
            Answer::TimedOut => f.write_str("timed out"),
            Answer::NoRoute => f.write_str("no route"),
            Answer::NoAddress => f.write_str("name not resolved"),
            Answer::Other(number) => {
                let text = std::io::Error::from_raw_os_error(*number).to_string();
                f.write_str(&text.to_ascii_lowercase())
            }
        }
    }
}

/// Tries all of `targets` at once; every answer is there after `limit`.
pub(crate) fn try_all(targets: &[&HostPort], limit: Duration) -> Vec<Answer> {
    let end = Instant::now() + limit;
    let waiting: Vec<_> = targets.iter().map(|target| start(target, end)).gather();
    // A name server that keeps silent holds the thread longer than the limit; it is left behind, not waited for.
    let late = |target: &HostPort| if is_name(target) { Answer::NoAddress } else { Answer::TimedOut };
    let answers = targets.iter().zip(waiting);
    answers.map(|(target, answer)| answer.within(left(end)).unwrap_or_else(|| late(target))).gather()
}

fn is_name(target: &HostPort) -> bool {
    target.host().parse::<std::net::IpAddr>().is_err()
}

/// Time left, plus a little: the thread's own limit is to be the one that ends first.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()) + Duration::from_millis(100)
}

fn start(target: &HostPort, end: Instant) -> Aside<Answer> {
    let (host, port) = (target.host().to_owned(), target.port());
    Aside::start(move || attempt(&host, port, end))
}

fn attempt(host: &str, port: u16, end: Instant) -> Answer {
    let Ok(addresses) = (host, port).to_socket_addrs() else { return Answer::NoAddress };
    let mut last = Answer::NoAddress;
    for address in addresses {
        last = connect(&address, end);
        if last == Answer::Open {
            break;
        }
    }
    last
}

fn connect(address: &SocketAddr, end: Instant) -> Answer {
    let limit = end.saturating_duration_since(Instant::now());
    // A limit of zero is an error to the standard library.
    if limit.is_zero() {
        return Answer::TimedOut;
    }
    match TcpStream::connect_timeout(address, limit) {
        Ok(_) => Answer::Open,
        Err(e) => match e.kind() {
            ErrorKind::ConnectionRefused => Answer::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Answer::TimedOut,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Answer::NoRoute,
            _ => Answer::Other(e.raw_os_error().unwrap_or(0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};

    use super::*;

    #[test]
    fn open_and_refused_on_loopback() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = HostPort::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        // Bound but not listening: nobody else gets this port meanwhile, and connecting is refused.
        let (_closed, refused) = bound();
        let start = Instant::now();
        assert_eq!(try_all(&[&open, &refused], Duration::from_secs(3)), [Answer::Open, Answer::Refused]);
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    fn bound() -> (OwnedFd, HostPort) {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let port = getsockname::<SockaddrIn>(socket.as_raw_fd()).unwrap().port();
        (socket, HostPort::new("127.0.0.1", port).unwrap())
    }

    /// Once a listener's queue is full, the kernel drops further requests, as a firewall does.
    #[test]
    fn silence_is_a_time_out_of_both_together() {
        let (socket, target) = bound();
        listen(&socket, Backlog::new(0).unwrap()).unwrap();
        let address = format!("{}:{}", target.host(), target.port()).parse().unwrap();
        let _filling: Vec<_> =
            (0..4).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50))).collect();
        let start = Instant::now();
        assert_eq!(try_all(&[&target, &target], Duration::from_millis(300)), [Answer::TimedOut, Answer::TimedOut]);
        let spent = start.elapsed();
        assert!(spent >= Duration::from_millis(300) && spent < Duration::from_millis(1300), "{spent:?}");
    }

    #[test]
    fn a_limit_that_is_over_is_a_time_out() {
        let address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(connect(&address, Instant::now()), Answer::TimedOut);
        assert_eq!(Answer::Other(13).to_string(), "permission denied (os error 13)");
    }
}
