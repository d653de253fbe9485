//! A bundle's build time: whole seconds, written as RFC 3339 in UTC.

use std::fmt;
use std::str::FromStr;

use crate::clock::rfc3339;
use crate::ids::BadName;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

/// 9999-12-31T23:59:59Z: RFC 3339 has four digits for the year.
const MAX: u64 = 253_402_300_799;
const DAY: u64 = 86_400;

impl Timestamp {
    /// From POSIX time, as in `SOURCE_DATE_EPOCH`.
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        (seconds <= MAX).then_some(Timestamp(seconds))
    }

    /// POSIX time.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years start in March, so that the leap day is their end.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    // 719,468 days lie between 0000-03-01 and 1970-01-01; (153 m + 2) / 5 is the length of the months before m.
    let total = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    total.checked_sub(719_468)
}

impl fmt::Display for Timestamp {
    /// `2025-06-30T12:00:00Z`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339(self.0))
    }
}

impl FromStr for Timestamp {
    type Err = BadName;

    /// RFC 3339 section 5.6: any offset; a fraction is cut off; a leap second counts as the second before it.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::Shape("is no time as in 2025-06-30T12:00:00Z");
        parse(text).and_then(Timestamp::from_seconds).ok_or(bad)
    }
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| plain && range.contains(n))
}

fn clock(text: &str) -> Option<(u64, u64)> {
    let (hour, minute) = text.split_once(':')?;
    Some((number(hour, 2, 0..=23)?, number(minute, 2, 0..=59)?))
}

fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut parts = date.split('-');
    let (year, month) = (number(parts.next()?, 4, 1970..=9999)?, number(parts.next()?, 2, 1..=12)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = number(parts.next()?, 2, 1..=last)?;
    if parts.next().is_some() {
        return None;
    }
    let (hm, rest) = time.split_at_checked(5)?;
    let (hour, minute) = clock(hm)?;
    let (second, rest) = rest.strip_prefix(':')?.split_at_checked(2)?;
    let second = number(second, 2, 0..=60)?.min(59);
    let local = days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
    };
    if zone.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let (hours, minutes) = clock(offset)?;
    let offset = hours * 3600 + minutes * 60;
    match sign {
        "+" => local.checked_sub(offset),
        "-" => Some(local + offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2001-09-09T01:46:40Z", 1_000_000_000),
            ("2038-01-19T03:14:08Z", 1 << 31),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", MAX),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(seconds)));
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
        for (text, same) in [
            ("2024-01-01T00:00:00.123456789+02:30", "2023-12-31T21:30:00Z"),
            ("2024-02-29t12:00:00z", "2024-02-29T12:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("1999-12-31T20:00:00-04:00", "2000-01-01T00:00:00Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), same, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        // A step that meets every day of every month in some year.
        for day in (0..MAX / DAY).step_by(37) {
            let time = Timestamp(day * DAY);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "2025-06-30",
            "2025-06-30T12:00:00",
            "2025-06-30 12:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-28T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-6-01T00:00:00Z",
            "2025-06-31T00:00:00Z",
            "2025-06-30T24:00:00Z",
            "2025-06-30T12:00:00.Z",
            "2025-06-30T12:00:00+1",
            "2025-06-30T12:00:00ZZ",
            "1970-01-01T00:00:00+00:01",
            "+025-06-30T12:00:00Z",
            "2025-06-30T12:é0:00Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
        assert_eq!(Timestamp::from_seconds(MAX + 1), None);
    }
}
