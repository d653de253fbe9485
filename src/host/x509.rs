//! What is read of a certificate (RFC 5280): from when to when it counts, and for which names. Signatures are not
//! looked at: whom to trust is for EdgeCore to judge.

use std::net::IpAddr;

use crate::bundle::Timestamp;

/// As much of a certificate as is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// DNS names and addresses of its subjectAltName, in their order.
    pub names: Vec<String>,
}

/// CloudCore's has one for each address of the cloud; what comes after so many is not read.
const MAX_NAMES: usize = 64;

/// id-ce-subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

impl Certificate {
    /// From its DER. `None`: it is damaged, or none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = enter(der, 0x30)?.0;
        let mut fields = enter(certificate, 0x30)?.0;
        // [0] version, where there is one; serial number; signature; issuer
        if fields.first() == Some(&0xa0) {
            fields = skip(fields)?;
        }
        fields = skip(skip(skip(fields)?)?)?;
        let (validity, mut rest) = enter(fields, 0x30)?;
        let mut names = Vec::new();
        // subject, public key, [1] and [2] unique ids, [3] extensions
        while let Some((tag, content, after)) = element(rest) {
            if tag == 0xa3 {
                names = alternative_names(enter(content, 0x30)?.0)?;
            }
            rest = after;
        }
        Some(Certificate { not_before: time(validity)?, not_after: time(skip(validity)?)?, names })
    }

    /// Whether it is for `host`, an address or a DNS name: as it stands there, or with `*` as its first label.
    pub fn is_for(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        let fits = |name: &String| match (address, name.strip_prefix("*.")) {
            (Some(address), _) => name.parse() == Ok(address),
            (None, Some(domain)) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
            (None, None) => name.eq_ignore_ascii_case(host),
        };
        self.names.iter().any(fits)
    }
}

/// `SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }`, one after the other.
fn alternative_names(mut extensions: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while let Some((_, extension, after)) = element(extensions) {
        let (id, mut value) = enter(extension, 0x06)?;
        if id == SUBJECT_ALT_NAME {
            if value.first() == Some(&0x01) {
                value = skip(value)?;
            }
            let mut list = enter(enter(value, 0x04)?.0, 0x30)?.0;
            while let Some((tag, name, after)) = element(list).filter(|_| names.len() < MAX_NAMES) {
                names.extend(general_name(tag, name));
                list = after;
            }
        }
        extensions = after;
    }
    Some(names)
}

/// `[2] dNSName` and `[7] iPAddress`; the others are no names of servers.
fn general_name(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        // It will be shown: nothing but what a name can have.
        0x82 => {
            std::str::from_utf8(name).ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic())).map(str::to_owned)
        }
        0x87 => match name.len() {
            4 => <[u8; 4]>::try_from(name).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(name).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// UTCTime `YYMMDDHHMMSSZ` or GeneralizedTime `YYYYMMDDHHMMSSZ`.
fn time(field: &[u8]) -> Option<u64> {
    let (tag, bytes, _) = element(field)?;
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let text = match (tag, text.len()) {
        // RFC 5280 section 4.1.2.5.1: 50 to 99 are years of the last century.
        (0x17, 12) => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        (0x18, 14) => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let (date, day) = (format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?), part(8, 10)?);
    let text = format!("{date}T{day}:{}:{}Z", part(10, 12)?, part(12, 14)?);
    text.parse::<Timestamp>().ok().map(|time| time.seconds())
}

/// Tag, content and what follows (X.690: definite lengths of at most four bytes).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.len() > 4 {
                return None;
            }
            (bytes.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

fn enter(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, after)| (content, after))
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    element(der).map(|(.., after)| after)
}

/// For tests: a certificate for these names, from 2026-02-01 to 2036-02-01, that nobody has signed.
#[cfg(test)]
pub(crate) fn sample(names: &[(u8, &[u8])]) -> Vec<u8> {
    let der = |tag: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low][..], &content].concat()
    };
    let names: Vec<Vec<u8>> = names.iter().map(|(tag, name)| der(*tag, &[name])).collect();
    let list = der(0x30, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let other = der(0x30, &[&der(0x06, &[&[0x55, 0x1d, 0x0f]]), &der(0x04, &[&[0x03, 0x02, 5, 0xa0]])]);
    let san = der(0x30, &[&der(0x06, &[&SUBJECT_ALT_NAME]), &[0x01, 1, 0xff], &der(0x04, &[&list])]);
    let validity = der(0x30, &[&der(0x17, &[b"260201000000Z"]), &der(0x18, &[b"20360201000000Z"])]);
    let empty = der(0x30, &[]);
    let extensions = der(0xa3, &[&der(0x30, &[&other, &san])]);
    let fields = [&der(0xa0, &[&[2, 1, 2]])[..], &[2, 1, 1], &empty, &empty, &validity, &empty, &empty, &extensions];
    der(0x30, &[&der(0x30, &fields), &empty, &[3, 1, 0]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mutate;

    #[test]
    fn names_and_times() {
        let der = sample(&[
            (0x82, b"*.Cloud.example"),
            (0x87, &[192, 0, 2, 1]),
            (0x86, b"http://x"),
            (0x82, b"a\n"),
            (0x87, &[1]),
        ]);
        let read = Certificate::read(&der).unwrap();
        assert_eq!(read.names, ["*.Cloud.example", "192.0.2.1"]);
        assert_eq!((read.not_before, read.not_after), (1_769_904_000, 2_085_436_800));
        for (host, fits) in [
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("edge.cloud.example", true),
            ("cloud.example", false),
            ("a.b.cloud.example", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(read.is_for(host), fits, "{host}");
        }
        let v6 =
            Certificate::read(&sample(&[(0x87, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])])).unwrap();
        assert!(v6.is_for("2001:db8:0::1"));
        let many = vec![(0x82, &b"a"[..]); MAX_NAMES + 9];
        assert_eq!(Certificate::read(&sample(&many)).unwrap().names.len(), MAX_NAMES);
    }

    #[test]
    fn damage_is_none_or_harmless() {
        let der = sample(&[(0x82, b"cloud.example"), (0x87, &[192, 0, 2, 1])]);
        for cut in 0..der.len() {
            assert_eq!(Certificate::read(&der[..cut]), None, "{cut}");
        }
        mutate(&[der], 20_000, |bytes| {
            if let Some(read) = Certificate::read(bytes) {
                assert!(read.names.len() <= MAX_NAMES);
            }
        });
    }
}
