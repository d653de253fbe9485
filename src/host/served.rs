//! Which certificate a TLS server shows, asked without any cryptography: up to TLS 1.2 (RFC 5246 section 7.4.2) it
//! comes in the clear, right after the server's hello. Go's servers, CloudCore among them, speak 1.2 unless told not to.
//!
//! What is learnt is not authentic and is only good for a warning; the connection ends there.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::x509::Certificate;
use crate::ids::HostPort;

/// A record's content (RFC 5246 section 6.2.1).
const MAX_RECORD: usize = 1 << 14;
/// All that is read of a server: its hello and a chain of certificates have some KiB.
const MAX_HELLO: usize = 64 << 10;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;

/// Suites with ECDHE, as every server since has one: for ECDSA keys, which CloudCore makes, and for RSA.
const SUITES: [u8; 12] = [0xc0, 0x2b, 0xc0, 0x2c, 0xcc, 0xa9, 0xc0, 0x2f, 0xc0, 0x30, 0xcc, 0xa8];
/// ECDSA, RSA-PSS and RSA with SHA-256, SHA-384 and SHA-512.
const SIGNATURES: [u8; 18] = [4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1];

/// The certificate that `server` shows, or why it is not known; there after `limit`.
pub(crate) fn certificate(server: &HostPort, limit: Duration) -> Result<Certificate, String> {
    let end = Instant::now() + limit;
    let server = server.clone();
    // A name server that keeps silent would hold us longer than the limit.
    let asked = Aside::start(move || ask(&server, end));
    let der = asked.within(limit + Duration::from_millis(100)).unwrap_or(Err(io::ErrorKind::TimedOut.into()));
    let der = der.map_err(|e| e.to_string())?;
    Certificate::read(&der).ok_or_else(|| "its certificate cannot be read".to_owned())
}

fn ask(server: &HostPort, end: Instant) -> io::Result<Vec<u8>> {
    let address = (server.host(), server.port()).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("its name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, left(end)?)?;
    stream.set_write_timeout(Some(left(end)?))?;
    stream.write_all(&hello(server.host()))?;
    let mut said = Vec::new();
    loop {
        if let Some(der) = shown(&said) {
            return Ok(der.to_vec());
        }
        stream.set_read_timeout(Some(left(end)?))?;
        record(&mut stream, &mut said)?;
    }
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Adds the handshake bytes of one record.
fn record(stream: &mut impl Read, said: &mut Vec<u8>) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, 3, _, high, low] = head else { return Err(io::Error::other("it speaks no TLS")) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_RECORD || said.len() + length > MAX_HELLO {
        return Err(io::Error::other("it says more than a hello and certificates"));
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content)?;
    match (kind, content.as_slice()) {
        (HANDSHAKE, _) => said.extend(content),
        // protocol_version
        (ALERT, [_, 70]) => {
            return Err(io::Error::other("it wants TLS 1.3, which does not show its certificate to all"));
        }
        (ALERT, [_, number]) => return Err(io::Error::other(format!("it refuses with TLS alert {number}"))),
        _ => return Err(io::Error::other("it speaks no TLS")),
    }
    Ok(())
}

/// The first certificate among handshake messages: kind, length of three bytes, content; that of the one wanted is a
/// list with its length before it, and before each certificate its own.
fn shown(mut said: &[u8]) -> Option<&[u8]> {
    while let Some((&kind, rest)) = said.split_first() {
        let (content, after) = counted(rest)?;
        if kind == CERTIFICATE {
            return counted(counted(content)?.0).map(|(der, _)| der);
        }
        said = after;
    }
    None
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[a, b, c], rest) = bytes.split_first_chunk::<3>()?;
    rest.split_at_checked(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
}

/// `bytes` with their length in front of them, two bytes of it.
fn sized(bytes: &[u8]) -> Vec<u8> {
    // A host name has at most 253 bytes, and all else is ours.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// ClientHello of TLS 1.2 (RFC 5246 section 7.4.1.2; RFC 6066 section 3; RFC 8422 section 5.1). The random bytes are
/// none: nothing secret will come of them.
fn hello(host: &str) -> Vec<u8> {
    let mut extensions = Vec::new();
    let mut extend = |kind: u8, value: &[u8]| extensions.extend([&[0, kind][..], &sized(value)].concat());
    if host.parse::<std::net::IpAddr>().is_err() {
        extend(0, &sized(&[&[0][..], &sized(host.as_bytes())].concat()));
    }
    // x25519, secp256r1, secp384r1
    extend(10, &sized(&[0, 0x1d, 0, 0x17, 0, 0x18]));
    extend(11, &[1, 0]);
    extend(13, &sized(&SIGNATURES));
    // Version 1.2, random bytes, no session, suites, no compression.
    let body = [&[3, 3][..], &[0x65; 32], &[0], &sized(&SUITES), &[1, 0], &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[HANDSHAKE, 3, 1][..], &sized(&message)].concat()
}

/// For tests: what a server answers that shows `der`, in records of `piece` bytes.
#[cfg(test)]
pub(crate) fn answer(der: &[u8], piece: usize) -> Vec<u8> {
    let counted = |bytes: &[u8]| [&[0][..], &sized(bytes)].concat();
    let hello = [&[2][..], &counted(&[0; 40])].concat();
    let certificate = [&[CERTIFICATE][..], &counted(&counted(&counted(der)))].concat();
    let said = [hello, certificate].concat();
    said.chunks(piece).flat_map(|piece| [&[HANDSHAKE, 3, 3][..], &sized(piece)].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::x509::sample;
    use crate::testing::mutate;

    fn heard(mut bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            if let Some(der) = shown(&said) {
                return Ok(der.to_vec());
            }
            record(&mut bytes, &mut said)?;
        }
    }

    #[test]
    fn certificates_come_whole_or_in_pieces() {
        let der = sample(&[(0x82, b"cloud.example")]);
        for piece in [1, 7, 100, MAX_RECORD] {
            assert_eq!(heard(&answer(&der, piece)).unwrap(), der, "{piece}");
        }
    }

    #[test]
    fn whatever_else_is_said_ends_it() {
        let words = |bytes: &[u8]| heard(bytes).unwrap_err().to_string();
        assert_eq!(words(b"HTTP/1.0 400 Bad Request\r\n"), "it speaks no TLS");
        assert_eq!(words(&[ALERT, 3, 3, 0, 2, 2, 70]), "it wants TLS 1.3, which does not show its certificate to all");
        assert_eq!(words(&[ALERT, 3, 3, 0, 2, 2, 40]), "it refuses with TLS alert 40");
        assert_eq!(words(&[23, 3, 3, 0, 1, 0]), "it speaks no TLS");
        assert_eq!(words(&[HANDSHAKE, 3, 3, 0xff, 0xff]), "it says more than a hello and certificates");
        let endless: Vec<u8> = (0..9).flat_map(|_| [&[HANDSHAKE, 3, 3][..], &sized(&[0xff; 9000])].concat()).collect();
        assert_eq!(words(&endless), "it says more than a hello and certificates");
        mutate(&[answer(&sample(&[(0x82, b"cloud.example")]), 100)], 5_000, |bytes| {
            // It ends, with either.
            let _ = heard(bytes).map(|der| Certificate::read(&der));
        });
    }

    #[test]
    fn silence_ends_with_the_limit() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = HostPort::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        let start = Instant::now();
        assert!(certificate(&server, Duration::from_millis(200)).is_err());
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
