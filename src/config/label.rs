//! Node labels and taints, by Kubernetes' rules and by what keadm's command line can carry.
//!
//! Labels travel in `--labels k=v,k=v`, taints in `--set a.b[0].Key=k,a.b[0].Value=v,…`. Neither has a way to quote,
//! but nothing that Kubernetes allows in a label needs quoting. What can go wrong is the *type*: `--set` turns a value
//! that looks like a number or a truth value into one, and then refuses it for a text field.

use std::fmt;
use std::str::FromStr;

use crate::ids::BadName;

/// Kubernetes: the name part of a key, and a value.
const MAX_NAME: usize = 63;
/// Kubernetes: the prefix of a key is a DNS subdomain (RFC 1123).
const MAX_PREFIX: usize = 253;

/// The key of a label or taint: `site`, `example.org/site`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey(String);

/// The value of a label or taint: up to 63 letters, digits, `-`, `_`, `.`; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LabelValue(String);

impl LabelKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelKey {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = match text.split_once('/') {
            Some((prefix, name)) => {
                check_prefix(prefix)?;
                name
            }
            None => text,
        };
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        check_name(name, text.len() - name.len())?;
        Ok(LabelKey(text.to_owned()))
    }
}

impl FromStr for LabelValue {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        if !text.is_empty() {
            check_name(text, 0)?;
        }
        Ok(LabelValue(text.to_owned()))
    }
}

/// `name` stands at `offset` of what the user wrote.
fn check_name(name: &str, offset: usize) -> Result<(), BadName> {
    if name.len() > MAX_NAME {
        return Err(BadName::TooLong(MAX_NAME));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if let Some(at) = name.bytes().position(|b| !good(b)) {
        return Err(BadName::Byte(offset + at));
    }
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if !edge(name.bytes().next()) || !edge(name.bytes().next_back()) {
        return Err(BadName::Shape("does not begin and end with a letter or digit"));
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<(), BadName> {
    if prefix.len() > MAX_PREFIX {
        return Err(BadName::TooLong(MAX_PREFIX));
    }
    let good = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if let Some(at) = prefix.bytes().position(|b| !good(b)) {
        return Err(BadName::Byte(at));
    }
    let bad = |label: &str| label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-');
    if prefix.split('.').any(bad) {
        return Err(BadName::Shape("has a prefix that is not a DNS name"));
    }
    Ok(())
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// Running pods leave, too.
    NoExecute,
}

impl Effect {
    /// Kubernetes' word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::NoSchedule => "NoSchedule",
            Effect::PreferNoSchedule => "PreferNoSchedule",
            Effect::NoExecute => "NoExecute",
        }
    }
}

/// A taint: `key=value:Effect` or `key:Effect`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// The key.
    pub key: LabelKey,
    /// The value; empty when there is none.
    pub value: LabelValue,
    /// What it does.
    pub effect: Effect,
}

const TYPED: BadName = BadName::Shape(
    "has a part that looks like a number or a truth value, which keadm's --set does not take for text; leave the value out, or use a word such as 'yes'",
);

impl FromStr for Taint {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let shape = BadName::Shape("is not key=value:Effect or key:Effect");
        let (name, effect) = text.rsplit_once(':').ok_or(shape)?;
        let effect = match effect {
            "NoSchedule" => Effect::NoSchedule,
            "PreferNoSchedule" => Effect::PreferNoSchedule,
            "NoExecute" => Effect::NoExecute,
            _ => return Err(BadName::Shape("has an effect that is not NoSchedule, PreferNoSchedule or NoExecute")),
        };
        let (key, value) = name.split_once('=').unwrap_or((name, ""));
        let taint = Taint { key: key.parse()?, value: value.parse()?, effect };
        if loses_its_type(key) || loses_its_type(value) {
            return Err(TYPED);
        }
        Ok(taint)
    }
}

/// Whether keadm v1.22 would read the bare word as an integer, a float or a truth value (Go's strconv rules).
fn loses_its_type(word: &str) -> bool {
    let truth = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
    // Go also reads hexadecimal floats.
    truth.contains(&word) || is_float(word) || word.starts_with("0x") || word.starts_with("0X")
}

/// What `str::parse::<f64>` takes, without the 25 KiB of program that it needs.
fn is_float(word: &str) -> bool {
    let word = word.strip_prefix(['+', '-']).unwrap_or(word).to_ascii_lowercase();
    let (number, exponent) = word.split_once('e').unwrap_or((&word, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let written = whole.len() + fraction.len() > 0 && digits(whole) && digits(fraction);
    matches!(word.as_str(), "inf" | "infinity" | "nan") || written && !exponent.is_empty() && digits(exponent)
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key.as_str())?;
        if !self.value.as_str().is_empty() {
            write!(f, "={}", self.value.as_str())?;
        }
        write!(f, ":{}", self.effect.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_those_of_the_library() {
        let words =
            "1 +1 -1.5 1. .5 . - + e5 1e 1e+ 1e+5 1E-5 .e1 1.e1 inf -Inf infinity nan NaN infinit 1_0 0x1 a1 1a 1e5.0";
        for word in words.split(' ').chain(["", " 1", "1e5e5", "--1"]) {
            assert_eq!(is_float(word), word.parse::<f64>().is_ok(), "'{word}'");
        }
    }

    #[test]
    fn keys_and_values() {
        for good in ["site", "a.b-c_D9", "example.org/site", "node-role.kubernetes.io/edge", &"k".repeat(63)] {
            assert_eq!(good.parse::<LabelKey>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", BadName::Empty),
            ("a/", BadName::Empty),
            ("a b", BadName::Byte(1)),
            ("x.org/a,b", BadName::Byte(7)),
            ("a{", BadName::Byte(1)),
            ("a\"", BadName::Byte(1)),
            ("X.org/a", BadName::Byte(0)),
            ("/a", BadName::Shape("has a prefix that is not a DNS name")),
            ("a/b/c", BadName::Byte(3)),
            ("-a", BadName::Shape("does not begin and end with a letter or digit")),
            (&"k".repeat(64), BadName::TooLong(63)),
        ] {
            assert_eq!(bad.parse::<LabelKey>(), Err(why), "{bad}");
        }
        for good in ["", "a", "1", "true", "a_b.c-d"] {
            assert_eq!(good.parse::<LabelValue>().unwrap().as_str(), good);
        }
        for bad in ["a,b", "a b", "'a'", "a=b", "-", "a.", &"v".repeat(64)] {
            assert!(bad.parse::<LabelValue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn taints() {
        for good in ["edge:NoSchedule", "example.org/a=b:NoExecute", "a=yes:PreferNoSchedule"] {
            assert_eq!(good.parse::<Taint>().unwrap().to_string(), good);
        }
        assert_eq!("a=:NoSchedule".parse::<Taint>().unwrap().to_string(), "a:NoSchedule");
        for typed in ["a=true:NoSchedule", "a=1:NoSchedule", "a=0.5:NoExecute", "a=1e3:NoExecute", "a=NaN:NoExecute"] {
            assert_eq!(typed.parse::<Taint>(), Err(TYPED), "{typed}");
        }
        assert_eq!("7:NoSchedule".parse::<Taint>(), Err(TYPED));
        assert_eq!("a=0x1p-2:NoSchedule".parse::<Taint>(), Err(TYPED));
        for bad in ["", "a", "a=b", ":NoSchedule", "a:noschedule", "a=b=c:NoSchedule", "a:b:NoSchedule"] {
            assert!(bad.parse::<Taint>().is_err(), "{bad}");
        }
    }
}
