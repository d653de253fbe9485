//! When the node's certificate ends: EdgeCore itself never looks at it before the cloud refuses it.

use crate::base64;
use crate::host::x509::Certificate;

/// A certificate in PEM has some hundred bytes.
pub const MAX_CERTIFICATE: usize = 64 << 10;

/// `notAfter` of the first certificate in a PEM text (RFC 7468, RFC 5280 section 4.1), in seconds since 1970. `None`:
/// it cannot be read, and then it is EdgeCore's to judge.
pub fn not_after(pem: &str) -> Option<u64> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let der = base64::decode(body.trim_end_matches('='), base64::USUAL)?;
    Certificate::read(&der).map(|certificate| certificate.not_after)
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
