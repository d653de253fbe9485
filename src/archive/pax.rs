//! Records of a PAX extended header (POSIX.1-2017 pax, "pax Extended Header"): `LENGTH KEY=VALUE\n`, one by one.

use std::fmt;

use super::header::Moment;

/// What star and everybody after it puts in front of the name of an extended attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadRecord;

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its extended header is damaged")
    }
}

impl std::error::Error for BadRecord {}

/// Key and value of each record. After an error it ends.
#[derive(Debug, Clone)]
pub(super) struct Records<'d>(&'d [u8]);

impl<'d> Records<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Records(data)
    }

    fn take(&mut self) -> Option<(&'d [u8], &'d [u8])> {
        let blank = self.0.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(self.0.get(..blank)?)?).ok()?;
        let (record, rest) = self.0.split_at_checked(length)?;
        let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        let named = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
        if key.is_empty() || (if named { value } else { key }).contains(&0) {
            return None;
        }
        self.0 = rest;
        Some((key, value))
    }
}

impl<'d> Iterator for Records<'d> {
    type Item = Result<(&'d [u8], &'d [u8]), BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.take();
        if record.is_none() {
            self.0 = b"";
        }
        Some(record.ok_or(BadRecord))
    }
}

/// A decimal number, with or without a sign.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `1700000000.123456789`; digits beyond the ninth do not count.
pub(super) fn time(text: &[u8]) -> Option<Moment> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (text.get(..point)?, text.get(point + 1..).unwrap_or_default());
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0));
    let nanos = digits.take(9).fold(0, |sum, digit| sum * 10 + digit);
    let sign = if whole.starts_with(b"-") { -1 } else { 1 };
    Some(Moment::new(decimal(whole)?, sign * nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_to_the_letter() {
        let all = |data: &'static [u8]| Records::new(data).collect::<Result<Vec<_>, _>>();
        let good: &[u8] = b"12 path=a=b\n6 x=\0\n5 a=\n";
        assert_eq!(all(good), Ok(vec![(&b"path"[..], &b"a=b"[..]), (b"x", b"\0"), (b"a", b"")]));
        for bad in [
            &b"12 path=abc"[..],
            b"11 path=abcd\n",
            b"x path=abc\n",
            b"-5 a=\n",
            b"10 pathabc\n",
            b"6 =ab\n",
            b"10 path=\0\n",
            b"6 \0=a\n",
            b"999999999999999999999 a=\n",
            b"2 \n",
            b"0 a=b\n",
        ] {
            assert_eq!(all(bad), Err(BadRecord), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn times_to_the_nanosecond() {
        for (text, want) in [
            ("1", Some(1_000_000_000)),
            ("1.5", Some(1_500_000_000)),
            ("+1.000000001", Some(1_000_000_001)),
            ("1.0000000019", Some(1_000_000_001)),
            ("-1.5", Some(0)),
            ("1.", Some(1_000_000_000)),
            (".5", None),
            ("", None),
            ("1.5x", None),
            ("1e3", None),
            ("99999999999999", Some(0)),
        ] {
            assert_eq!(time(text.as_bytes()).map(Moment::counted), want, "{text}");
        }
    }
}
