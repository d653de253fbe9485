//! HTTPS by way of curl, with failures in the words of Go's client.

use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};

/// Whom to trust.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    Anyone,
    Ca(&'a str),
}

/// A GET request; the body, odd as it is, is how a certificate request travels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Get<'a> {
    pub(crate) url: &'a str,
    pub(crate) trust: Trust<'a>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body_file: Option<&'a str>,
}

/// Parts `host:port`, brackets of IPv6 removed; the error is that of Go's net package.
pub(crate) fn split_host_port(address: &str) -> Result<(String, String), String> {
    let fault = |why: &str| match address {
        "" => Err(why.to_string()),
        _ => Err(format!("address {address}: {why}")),
    };
    if let Some(rest) = address.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return fault("missing ']' in address") };
        return match port.strip_prefix(':') {
            Some(port) => Ok((host.into(), port.into())),
            None => fault("missing port in address"),
        };
    }
    match address.rsplit_once(':') {
        None => fault("missing port in address"),
        Some((host, _)) if host.contains(':') => fault("too many colons in address"),
        Some((host, port)) => Ok((host.into(), port.into())),
    }
}

pub(crate) fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens a connection; the error is `dial tcp A:P: connect: connection refused`. There is no time-out but the kernel's.
pub(crate) fn dial(address: &str) -> Result<TcpStream, String> {
    let mut candidates = address.to_socket_addrs().map_err(|_| {
        let host = split_host_port(address).map(|(host, _)| host).unwrap_or_default();
        format!("dial tcp: lookup {host}: no such host")
    })?;
    let found = candidates.next().ok_or_else(|| format!("dial tcp: lookup {address}: no such host"))?;
    TcpStream::connect(found).map_err(|e| {
        let text = e.to_string().to_ascii_lowercase();
        format!("dial tcp {found}: connect: {}", text.split(" (os error").next().unwrap_or_default())
    })
}

/// Status and body.
pub(crate) fn get(request: &Get<'_>) -> Result<(u16, Vec<u8>), String> {
    let wrap = |why: String| format!("Get {:?}: {why}", request.url);
    let address = request.url.trim_start_matches("https://").split('/').next().unwrap_or_default();
    // curl says too little about why it cannot connect
    drop(dial(address).map_err(wrap)?);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--request", "GET", "--max-time", "300", "-w", "%{stderr}\nstatus=%{http_code}\n"]);
    match request.trust {
        Trust::Anyone => curl.arg("-k"),
        Trust::Ca(file) => curl.args(["--cacert", file]),
    };
    if let Some(file) = request.body_file {
        curl.args(["--data-binary", &format!("@{file}"), "-H", "Content-Type:"]);
    }
    // headers go in by the back door: a token on a command line is there for everyone to read
    curl.args(["-H", "@-", request.url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = curl.spawn().map_err(|e| wrap(format!("curl: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        for (name, value) in request.headers {
            writeln!(stdin, "{name}: {value}").map_err(|e| wrap(e.to_string()))?;
        }
    }
    let done = child.wait_with_output().map_err(|e| wrap(e.to_string()))?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if !done.status.success() {
        return Err(wrap(in_go_words(&said)));
    }
    let status = said.rsplit("status=").next().and_then(|code| code.trim().parse().ok());
    Ok((status.ok_or_else(|| wrap("no status".into()))?, done.stdout))
}

/// curl's complaint as Go's crypto/tls and crypto/x509 put it.
fn in_go_words(said: &str) -> String {
    for (curl, go) in [
        ("not yet valid", "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"),
        (
            "certificate has expired",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
        ),
        (
            "no alternative certificate subject name",
            "tls: failed to verify certificate: x509: certificate is valid for other names",
        ),
        ("SSL certificate problem", "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        ("wrong version number", "tls: first record does not look like a TLS handshake"),
        ("Empty reply", "EOF"),
    ] {
        if said.contains(curl) {
            return go.into();
        }
    }
    said.lines().next().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parted_as_go_does_it() {
        for (address, want) in [
            ("10.0.0.1:10000", Ok(("10.0.0.1", "10000"))),
            ("[fd00::1]:10000", Ok(("fd00::1", "10000"))),
            ("", Err("missing port in address")),
            ("10.0.0.1", Err("address 10.0.0.1: missing port in address")),
            ("fd00::1:10000", Err("address fd00::1:10000: too many colons in address")),
        ] {
            let want = want.map(|(h, p)| (h.to_string(), p.to_string())).map_err(str::to_string);
            assert_eq!(split_host_port(address), want);
        }
        assert_eq!(join_host_port("fd00::1", "10002"), "[fd00::1]:10002");
    }

    #[test]
    fn a_closed_port_is_named() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{port}/node/n1");
        let request = Get { url: &url, trust: Trust::Anyone, headers: &[], body_file: None };
        let want = format!("Get \"{url}\": dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(get(&request), Err(want));
    }
}
