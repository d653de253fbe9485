//! A setting's value as text, before it has its type, and the small grammars all keys share.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::error::Text;
use crate::gather::Gather;

/// How a key's value is written, in the file (JSON type) and elsewhere (text).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON string.
    Text,
    /// A JSON number, whole and not negative.
    Number,
    /// `true` or `false`; as text also `on`, `off`, `yes`, `no`, `1`, `0`.
    Switch,
    /// A JSON number of seconds, or a string such as `300s` or `5m`.
    Duration,
    /// A JSON array of strings; as text joined by commas.
    List,
    /// A JSON object of strings; as text `k=v` joined by commas.
    Map,
}

impl Form {
    /// What the file must hold.
    pub const fn json_type(self) -> &'static str {
        match self {
            Form::Text => "a string",
            Form::Number => "a whole number such as 10000",
            Form::Switch => "true or false",
            Form::Duration => "a whole number of seconds or a string such as \"5m\"",
            Form::List => "an array of strings",
            Form::Map => "an object of strings",
        }
    }
}

/// A value without its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// Everything that is neither list nor map.
    One(String),
    /// In the order written.
    List(Vec<String>),
    /// In the order written; a key may come twice, which is refused later.
    Map(Vec<(String, String)>),
}

/// Why a value is refused, and what to do about it.
// Boxed: so a result has the size of what was read, and refusals are rare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<(Cow<'static, str>, Option<&'static str>)>);

impl Refusal {
    /// Without a hint.
    pub fn new(what: impl Text) -> Self {
        Refusal(Box::new((what.text(), None)))
    }

    /// With one.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.0.1 = Some(hint);
        self
    }

    /// Continues "bad value 'x' for 'key': it …".
    pub fn what(&self) -> &str {
        &self.0.0
    }

    /// One imperative sentence.
    pub fn hint(&self) -> Option<&'static str> {
        self.0.1
    }
}

impl Raw {
    /// Takes apart the text of a flag or environment variable. Empty parts (`a,,b`, a trailing comma) are refused.
    pub fn parse(form: Form, text: &str) -> Result<Raw, Refusal> {
        let parts = || -> Result<Vec<&str>, Refusal> {
            if text.is_empty() {
                return Ok(Vec::new());
            }
            let parts: Vec<&str> = text.split(',').gather();
            match parts.iter().any(|part| part.is_empty()) {
                true => Err(Refusal::new("has an empty part between its commas")),
                false => Ok(parts),
            }
        };
        Ok(match form {
            Form::List => Raw::List(parts()?.into_iter().map(str::to_owned).gather()),
            Form::Map => Raw::Map(
                parts()?
                    .into_iter()
                    .map(|part| part.split_once('=').unwrap_or((part, "")))
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .gather(),
            ),
            _ => Raw::One(text.to_owned()),
        })
    }

    /// The single text, for keys that have one.
    pub fn one(&self) -> Result<&str, Refusal> {
        match self {
            Raw::One(text) if text.is_empty() => Err(Refusal::new("is empty")),
            Raw::One(text) => Ok(text),
            Raw::List(_) | Raw::Map(_) => Err(Refusal::new("is not a single value")),
        }
    }

    /// The parts of a list.
    pub fn list(&self) -> &[String] {
        match self {
            Raw::List(parts) => parts,
            Raw::One(_) | Raw::Map(_) => &[],
        }
    }

    /// The pairs of a map.
    pub fn map(&self) -> &[(String, String)] {
        match self {
            Raw::Map(pairs) => pairs,
            Raw::One(_) | Raw::List(_) => &[],
        }
    }
}

impl fmt::Display for Raw {
    /// The text form, as a flag would take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::One(text) => f.write_str(text),
            Raw::List(parts) => f.write_str(&parts.join(",")),
            Raw::Map(pairs) => {
                for (at, (key, value)) in pairs.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{key}={value}")?;
                }
                Ok(())
            }
        }
    }
}

/// A truth value.
pub fn parse_switch(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(Refusal::new("is neither true nor false")),
    }
}

/// A TCP port.
pub fn parse_port(text: &str) -> Result<u16, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(Refusal::new("is not a port between 1 and 65535")),
    }
}

/// A time span: `300`, `300s`, `5m`, `1h`; at least one second, at most a day.
pub fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    const DAY: u64 = 24 * 60 * 60;
    let bad = || Refusal::new("is not a time between 1s and 24h, such as 300, 300s or 5m");
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) => (digits, text.bytes().next_back()),
        None => (text, None),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let factor = match unit {
        Some(b'h') => 60 * 60,
        Some(b'm') => 60,
        _ => 1,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    match seconds {
        Some(seconds @ 1..=DAY) => Ok(Duration::from_secs(seconds)),
        _ => Err(bad()),
    }
}

/// The shortest text that [`parse_duration`] reads back.
pub fn render_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds, shown) in
            [("300", 300, "5m"), ("300s", 300, "5m"), ("5m", 300, "5m"), ("1h", 3600, "1h"), ("90", 90, "90s")]
        {
            let time = parse_duration(text).unwrap();
            assert_eq!((time.as_secs(), render_duration(time).as_str()), (seconds, shown));
        }
        for bad in ["", "s", "0", "-1", "+1", "1.5m", "5 m", "5M", "25h", "86401", "99999999999999999999h", "1d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_and_switches() {
        assert_eq!((parse_port("1"), parse_port("65535")), (Ok(1), Ok(65535)));
        for bad in ["", "0", "65536", "+80", "-1", " 80", "http"] {
            assert!(parse_port(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_switch("on"), parse_switch("0")), (Ok(true), Ok(false)));
        assert!(parse_switch("TRUE").is_err());
    }

    #[test]
    fn lists_and_maps_as_text() {
        let pairs = |list: &[(&str, &str)]| Raw::Map(list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        assert_eq!(Raw::parse(Form::Map, "a=1,b,c=x=y"), Ok(pairs(&[("a", "1"), ("b", ""), ("c", "x=y")])));
        assert_eq!(Raw::parse(Form::Map, ""), Ok(pairs(&[])));
        assert_eq!(Raw::parse(Form::List, "a,b"), Ok(Raw::List(vec!["a".into(), "b".into()])));
        for bad in ["a,", ",a", "a,,b", ","] {
            assert!(Raw::parse(Form::List, bad).is_err(), "{bad}");
        }
        assert_eq!(pairs(&[("a", "1"), ("b", "")]).to_string(), "a=1,b=");
    }
}
