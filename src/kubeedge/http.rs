//! A GET to a server on this machine (RFC 9112): HTTP/1.0 in, at most a few MiB out, one deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A node object has some ten KiB.
const MAX_BODY: u64 = 4 << 20;

/// Status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks `server` for `path`; everything together takes at most `limit`.
pub(super) fn get(server: SocketAddr, path: &str, limit: Duration) -> io::Result<Answer> {
    let end = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_write_timeout(Some(limit))?;
    // 1.0 and close: the body ends with the connection, so no chunks need to be read.
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {server}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole answer in time"));
            }
            Err(e) => return Err(e),
        }
        if bytes.len() as u64 > MAX_BODY {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
    }
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut words = head.lines().next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    Some(Answer { status, body: bytes.get(end + 4..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            for byte in answer {
                let _ = stream.write_all(&[*byte]);
            }
        });
        address
    }

    #[test]
    fn whole_answers_in_small_pieces() {
        let at = serve(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok");
        let answer = get(at, "/healthz", Duration::from_secs(5)).unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"ok".to_vec() });
    }

    #[test]
    fn nonsense_and_silence() {
        for bad in
            [&b""[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
        {
            assert!(get(serve(bad), "/", Duration::from_secs(5)).is_err(), "{bad:?}");
        }
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let e = get(silent.local_addr().unwrap(), "/", Duration::from_millis(100)).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    }
}
