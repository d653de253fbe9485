//! The command line as it was typed: words and flags, before anybody knows what they mean.
//!
//! Flags may stand before, between and after the words, so the whole table of flags decides what is a value.

use std::ffi::{OsStr, OsString};

use crate::config::{Key, Table, nearest};
use crate::error::{Error, Kind, Result, Text};
use crate::gather::{Gather, Grow};

use super::commands::COMMANDS;
use super::flags::{self, Flag};

/// A flag as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its long name, from the table.
    pub long: &'static str,
    /// Its value, if it takes one.
    pub value: Option<OsString>,
}

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Args {
    /// Everything that is no flag and no flag's value.
    pub words: Vec<OsString>,
    /// The flags, in the order typed.
    pub flags: Vec<Given>,
}

impl Args {
    /// Takes `args` (without the program's name) apart.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args> {
        let mut parser = lexopt::Parser::from_args(args);
        let mut parsed = Args::default();
        loop {
            let (long, takes_value) = match parser.next().map_err(lift)? {
                None => return Ok(parsed),
                Some(lexopt::Arg::Value(word)) => {
                    parsed.words.push(word);
                    continue;
                }
                Some(lexopt::Arg::Long("version")) => {
                    // What people try first; there is no other use for it.
                    parsed.words.insert(0, "version".into());
                    continue;
                }
                Some(lexopt::Arg::Long(name)) => by_long(name)?,
                Some(lexopt::Arg::Short(letter)) => by_short(letter)?,
            };
            let value = if takes_value { Some(parser.value().map_err(lift)?) } else { None };
            parsed.flags.push(Given { long, value });
        }
    }

    /// Whether the flag was given.
    pub fn has(&self, flag: &Flag) -> bool {
        self.flags.iter().any(|given| given.long == flag.long)
    }

    /// The flag's last value.
    pub fn last(&self, flag: &Flag) -> Option<&OsStr> {
        self.flags.iter().rev().find(|given| given.long == flag.long).and_then(|given| given.value.as_deref())
    }
}

/// Every flag there is, of any command. A test sees to it that a name means the same kind of thing everywhere.
pub fn every_flag() -> Vec<&'static Flag> {
    let mut all: Vec<&Flag> = flags::COMMON.to_vec();
    for spec in COMMANDS {
        all.extend_from_slice(spec.flags);
    }
    all
}

/// Every setting there is, of any kind of node.
pub fn every_key() -> Vec<&'static Key> {
    let mut all = Vec::new();
    for table in Table::ALL {
        all.add_all(table.keys());
    }
    all
}

/// The setting with the flag `long`, of any kind of node.
pub(super) fn key_of_flag(long: &str) -> Option<&'static Key> {
    every_key().into_iter().find(|key| key.flag == long)
}

fn by_long(name: &str) -> Result<(&'static str, bool)> {
    let (flags, keys) = (every_flag(), every_key());
    if let Some(flag) = flags.iter().find(|flag| flag.long == name) {
        return Ok((flag.long, flag.value.is_some()));
    }
    if let Some(key) = keys.iter().find(|key| key.flag == name) {
        return Ok((key.flag, true));
    }
    let e = usage(format_args!("unknown flag '--{}'", name.escape_debug()));
    if name == "token" {
        return Err(e.hint("write the token to a file that only root can read, and give --token-file FILE"));
    }
    let foreign = keys.iter().find(|key| key.known_as.contains(&name)).map(|key| key.flag);
    let mut known: Vec<&str> = flags.iter().map(|flag| flag.long).gather();
    known.add_all(keys.iter().map(|key| key.flag));
    Err(match foreign.or_else(|| nearest(name, &known)) {
        Some(near) => e.hint(format_args!("did you mean '--{near}'?")),
        None => e.hint("'edgelay help COMMAND' lists the flags of a command"),
    })
}

fn by_short(letter: char) -> Result<(&'static str, bool)> {
    match every_flag().iter().find(|flag| flag.short == Some(letter)) {
        Some(flag) => Ok((flag.long, flag.value.is_some())),
        None => Err(usage(format_args!("unknown flag '-{}'", letter.escape_debug()))
            .hint("'edgelay help COMMAND' lists the flags of a command")),
    }
}

/// A mistake on the command line.
pub(super) fn usage(what: impl Text) -> Error {
    Error::new(Kind::Usage, what)
}

fn lift(e: lexopt::Error) -> Error {
    match e {
        lexopt::Error::MissingValue { option: Some(option) } => {
            usage(format_args!("flag '{option}' needs a value")).hint("'edgelay help COMMAND' shows which")
        }
        // The value may be a secret in a wrong place: not shown.
        lexopt::Error::UnexpectedValue { option, .. } => usage(format_args!("flag '{option}' takes no value")),
        e => usage("the command line cannot be read").because(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
    }

    #[test]
    fn words_and_flags_in_any_order() {
        let given = |long, value: Option<&str>| Given { long, value: value.map(OsString::from) };
        let words = |list: &[&str]| -> Vec<OsString> { list.iter().map(OsString::from).collect() };
        for line in ["--output json version -q", "version -qojson", "version -q --output=json", "-q -o json version"] {
            let mut args = parse(line).unwrap();
            args.flags.sort_by_key(|given| given.long);
            assert_eq!(args.words, words(&["version"]), "{line}");
            assert_eq!(args.flags, [given("output", Some("json")), given("quiet", None)], "{line}");
        }
        assert_eq!(parse("a -- -q --x").unwrap().words, words(&["a", "-q", "--x"]));
        assert_eq!(parse("--version").unwrap().words, words(&["version"]));
        assert_eq!(parse("--mqtt -").unwrap().flags, [given("mqtt", Some("-"))]);
        assert_eq!(parse("").unwrap(), Args::default());
    }

    #[test]
    fn mistakes() {
        for (line, what, hint) in [
            ("--ouptut json", "unknown flag '--ouptut'", "did you mean '--output'?"),
            ("--pod-cdir x", "unknown flag '--pod-cdir'", "did you mean '--pod-cidr'?"),
            ("--cloudcore-ipport x", "unknown flag '--cloudcore-ipport'", "did you mean '--cloud-host'?"),
            ("--zzz", "unknown flag '--zzz'", "'edgelay help COMMAND' lists the flags of a command"),
            ("-Z", "unknown flag '-Z'", "'edgelay help COMMAND' lists the flags of a command"),
            ("version -o", "flag '-o' needs a value", "'edgelay help COMMAND' shows which"),
            ("version --quiet=s3cret", "flag '--quiet' takes no value", ""),
            (
                "--token s3cret",
                "unknown flag '--token'",
                "write the token to a file that only root can read, and give --token-file FILE",
            ),
        ] {
            let e = parse(line).unwrap_err();
            assert_eq!((e.to_string().as_str(), e.hint_text().unwrap_or_default()), (what, hint), "{line}");
            assert_eq!(e.kind(), Kind::Usage);
        }
    }

    #[test]
    fn a_flag_means_the_same_kind_of_thing_in_every_command() {
        for flag in every_flag() {
            for other in every_flag() {
                if flag.long == other.long {
                    assert_eq!((flag.short, flag.value.is_some()), (other.short, other.value.is_some()), "{flag:?}");
                } else {
                    assert!(flag.short.is_none() || flag.short != other.short, "{flag:?} {other:?}");
                }
            }
            assert!(every_key().iter().all(|key| key.flag != flag.long), "{flag:?}");
            assert!(flag.choices.is_empty() || flag.value.is_some());
        }
    }
}
