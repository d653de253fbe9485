//! Network names from the configuration: `host:port` and CIDR ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::BadName;

/// A host (IPv4, IPv6 or DNS name, kept as written, without brackets) and a TCP port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// RFC 1035 §2.3.4.
const MAX_HOST: usize = 253;

impl HostPort {
    /// Checks `host` and joins it with `port` (1 or higher).
    pub fn new(host: &str, port: u16) -> Result<Self, BadName> {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(BadName::Empty);
        }
        if host.len() > MAX_HOST {
            return Err(BadName::TooLong(MAX_HOST));
        }
        if port == 0 {
            return Err(BadName::Shape("has the port 0"));
        }
        if host.parse::<IpAddr>().is_err() {
            check_dns_name(host)?;
        }
        Ok(HostPort { host: host.to_owned(), port })
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn check_dns_name(host: &str) -> Result<(), BadName> {
    for (at, byte) in host.bytes().enumerate() {
        if !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.') {
            return Err(BadName::Byte(at));
        }
    }
    let bad = |label: &str| label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-');
    if host.split('.').any(bad) {
        return Err(BadName::Shape("is neither an IP address nor a DNS name"));
    }
    // All digits and dots, yet no address: a mistyped IPv4 address, not a name (RFC 1123 §2.1).
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(BadName::Shape("looks like an IPv4 address but is none"));
    }
    Ok(())
}

impl FromStr for HostPort {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (host, port) = text.rsplit_once(':').ok_or(BadName::Shape("has no ':port'"))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(BadName::Shape("has an IPv6 address without brackets"));
        }
        HostPort::new(host, port.parse().map_err(|_| BadName::Shape("has no port between 1 and 65535"))?)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// An IPv4 range such as `10.88.0.0/16`, with all host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    base: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// For constants: a bad literal does not compile.
    ///
    /// ```
    /// use edgelay::ids::Cidr;
    /// const PODS: Cidr = Cidr::literal([10, 87, 0, 0], 16);
    /// assert_eq!(PODS.to_string(), "10.87.0.0/16");
    /// ```
    pub const fn literal(base: [u8; 4], prefix: u8) -> Self {
        let bits = u32::from_be_bytes(base);
        assert!(prefix <= 32 && (prefix == 32 || bits << prefix == 0), "not an IPv4 range");
        let [a, b, c, d] = base;
        Cidr { base: Ipv4Addr::new(a, b, c, d), prefix }
    }

    /// Whether the two ranges share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.base.to_bits() & mask == other.base.to_bits() & mask
    }

    /// Whether `address` lies in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.overlaps(Cidr { base: address, prefix: 32 })
    }

    /// First address of the range.
    pub fn base(self) -> Ipv4Addr {
        self.base
    }

    /// Number of leading bits that are fixed, 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let shape = BadName::Shape("is not an IPv4 range like 10.88.0.0/16");
        let (base, prefix) = text.split_once('/').ok_or(shape)?;
        let base: Ipv4Addr = base.parse().map_err(|_| shape)?;
        let prefix: u8 = prefix.parse().map_err(|_| shape)?;
        if prefix > 32 {
            return Err(shape);
        }
        if base.to_bits() & !mask(prefix) != 0 {
            return Err(BadName::Shape("has bits set behind its prefix length"));
        }
        Ok(Cidr { base, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port() {
        for (text, shown) in [
            ("10.0.0.1:10000", "10.0.0.1:10000"),
            ("cloud.example:443", "cloud.example:443"),
            ("[2001:db8::1]:10000", "[2001:db8::1]:10000"),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), shown);
        }
        for bad in
            ["", ":1", "a", "a:", "a:0", "a:65536", "a:-1", "2001:db8::1:1", "a b:1", "300.1.1.1:1", "a..b:1", "a/b:1"]
        {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        assert_eq!(cidr("10.88.0.0/16").to_string(), "10.88.0.0/16");
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.42.0.0/16")));
        assert!(!cidr("10.88.0.0/16").overlaps(cidr("10.42.0.0/16")));
        assert!(cidr("0.0.0.0/0").contains(Ipv4Addr::new(8, 8, 8, 8)));
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "x/8", "10.0.0.0/"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
