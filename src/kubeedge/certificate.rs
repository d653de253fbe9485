//! When the node's certificate ends: EdgeCore itself never looks at it before the cloud refuses it.

use crate::bundle::Timestamp;

/// A certificate in PEM has some hundred bytes.
pub const MAX_CERTIFICATE: usize = 64 << 10;

/// `notAfter` of the first certificate in a PEM text (RFC 7468, RFC 5280 section 4.1), in seconds since 1970. `None`:
/// it cannot be read, and then it is EdgeCore's to judge.
pub fn not_after(pem: &str) -> Option<u64> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let der = base64(body)?;
    let certificate = enter(&der, 0x30)?.0;
    let mut fields = enter(certificate, 0x30)?.0;
    // [0] version, where there is one; serial number; signature; issuer
    if fields.first() == Some(&0xa0) {
        fields = skip(fields)?;
    }
    fields = skip(skip(skip(fields)?)?)?;
    let (validity, _) = enter(fields, 0x30)?;
    time(skip(validity)?)
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

/// RFC 4648 section 4; blanks and the padding at the end are passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_end_of_certificates() {
        let dir = tempfile::tempdir().unwrap();
        for (days, century) in [("365", 0), ("36400", 1)] {
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-subj", "/CN=system:node:a", "-days", days, "-keyout", "/dev/null", "-out", "c.pem"])
                .current_dir(&dir)
                .output()
                .unwrap();
            assert!(made.status.success());
            let shown = Command::new("sh")
                .args(["-c", "date -d \"$(openssl x509 -in c.pem -noout -enddate | cut -d= -f2)\" +%s"])
                .current_dir(&dir)
                .output()
                .unwrap();
            let end: u64 = String::from_utf8(shown.stdout).unwrap().trim().parse().unwrap();
            let pem = std::fs::read_to_string(dir.path().join("c.pem")).unwrap();
            assert_eq!(not_after(&pem), Some(end), "{days}");
            assert!(century == 0 || end > 4_000_000_000);
            for cut in [0, 40, 100, 300, pem.len() - 30] {
                assert_eq!(not_after(&pem[..cut]), None);
            }
        }
        assert_eq!(not_after("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"), None);
        assert_eq!(not_after("-----BEGIN CERTIFICATE-----\n\u{e4}\n-----END CERTIFICATE-----"), None);
    }
}
