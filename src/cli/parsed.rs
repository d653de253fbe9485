//! A command line whose command is known: the words and flags that belong to it, with typed access.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::config::{Form, Key, Table, nearest};
use crate::error::Result;
use crate::gather::{Gather, Grow};

use super::args::{Args, key_of_flag, usage};
use super::command::{Format, Shell, Topic};
use super::commands::{COMMANDS, Spec};
use super::flags::{self, Flag};

/// See the module.
#[derive(Debug)]
pub struct Parsed {
    /// The command.
    pub spec: &'static Spec,
    /// The words after it, and all flags.
    pub args: Args,
}

impl Parsed {
    /// Finds the command and checks that words and flags are its own.
    pub fn new(mut args: Args) -> Result<Parsed> {
        let names: Vec<String> = args.words.iter().take(3).map(|w| w.to_string_lossy().into_owned()).gather();
        let spec = find(&names)?;
        let used = if spec.matches_alias(&names) { spec.alias.len() } else { spec.path.len() };
        args.words.drain(..used.min(args.words.len()));
        let parsed = Parsed { spec, args };
        if !parsed.args.has(flags::HELP) {
            parsed.check_words()?;
            parsed.check_flags()?;
        }
        Ok(parsed)
    }

    fn check_words(&self) -> Result<()> {
        let (words, name) = (self.spec.words, self.spec.name());
        let asked = || format!("write 'edgelay {name} {}'", words.shown);
        if self.args.words.len() < words.min {
            return Err(usage(format_args!("'{name}' needs {}", words.shown)).hint(asked()));
        }
        match self.args.words.get(words.max) {
            Some(extra) => {
                let e = usage(format_args!("'{name}' does not take '{}'", extra.to_string_lossy().escape_debug()));
                Err(if words.max == 0 { e.hint(format_args!("write 'edgelay {name}'")) } else { e.hint(asked()) })
            }
            None => Ok(()),
        }
    }

    fn check_flags(&self) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for given in &self.args.flags {
            let own = self.spec.all_flags().find(|flag| flag.long == given.long);
            let key = self.spec.key(given.long);
            let many = match (own, key) {
                (Some(flag), _) => {
                    check_choice(flag, given.value.as_deref())?;
                    flag.many
                }
                (None, Some(key)) => matches!(key.form, Form::List | Form::Map),
                (None, None) => return Err(self.stranger(given.long)),
            };
            if !many && given.value.is_some() && seen.contains(&given.long) {
                return Err(usage(format_args!("flag '--{}' is given twice", given.long)));
            }
            seen.push(given.long);
        }
        if [flags::CONFIG, flags::BUNDLE].iter().all(|flag| self.args.last(flag).is_some_and(|value| value == "-")) {
            return Err(usage("'--config' and '--bundle' cannot both read the standard input")
                .hint("give the configuration as a file"));
        }
        Ok(())
    }

    fn stranger(&self, long: &str) -> crate::error::Error {
        let has = |spec: &&Spec| spec.key(long).is_some() || spec.flags.iter().any(|flag| flag.long == long);
        let others: Vec<String> = COMMANDS.iter().filter(has).map(|spec| format!("'{}'", spec.name())).gather();
        usage(format_args!("'{}' has no flag '--{long}'", self.spec.name()))
            .hint(format_args!("leave it out; it belongs to {}", others.join(", ")))
    }

    /// Whether the flag was given.
    pub fn has(&self, flag: &Flag) -> bool {
        self.args.has(flag)
    }

    /// The value of `flag` as a path.
    pub fn path(&self, flag: &Flag) -> Option<PathBuf> {
        self.args.last(flag).map(PathBuf::from)
    }

    /// The value of `flag` as text.
    pub fn text(&self, flag: &Flag) -> Result<Option<&str>> {
        self.args.last(flag).map(|value| utf8(flag.long, value)).transpose()
    }

    /// Every value of `flag` as a path.
    pub fn all(&self, flag: &Flag) -> Vec<PathBuf> {
        let given = self.args.flags.iter().filter(|given| given.long == flag.long);
        given.filter_map(|given| given.value.as_ref()).map(PathBuf::from).gather()
    }

    /// The values of `flag`, where each may hold several joined by commas.
    pub fn list(&self, flag: &Flag) -> Result<Vec<String>> {
        let mut list = Vec::new();
        for given in self.args.flags.iter().filter(|given| given.long == flag.long) {
            let text = given.value.as_deref().map(|value| utf8(flag.long, value)).transpose()?.unwrap_or_default();
            list.add_all(text.split(',').filter(|part| !part.is_empty()).map(str::to_owned));
        }
        Ok(list)
    }

    /// The words after the command as paths.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.args.words.iter().map(PathBuf::from).gather()
    }

    /// The settings among the flags, with repeated lists joined.
    pub fn settings(&self) -> Result<Vec<(&'static str, String)>> {
        let mut settings: Vec<(&'static str, String)> = Vec::new();
        for given in &self.args.flags {
            if key_of_flag(given.long).is_none() {
                continue;
            }
            let text = utf8(given.long, given.value.as_deref().unwrap_or_default())?;
            match settings.iter_mut().find(|(flag, _)| *flag == given.long) {
                Some((_, joined)) => {
                    joined.push(',');
                    joined.push_str(text);
                }
                None => settings.push((given.long, text.to_owned())),
            }
        }
        Ok(settings)
    }

    pub(super) fn format(&self) -> Result<Format> {
        Ok(match self.text(flags::OUTPUT)? {
            Some("json") => Format::Json,
            _ => Format::Text,
        })
    }

    pub(super) fn shell(&self) -> Result<Shell> {
        match self.args.words.first().and_then(|word| word.to_str()) {
            Some("bash") => Ok(Shell::Bash),
            Some("zsh") => Ok(Shell::Zsh),
            Some("fish") => Ok(Shell::Fish),
            _ => Err(usage("no completion for that shell").hint("write 'edgelay completion bash', 'zsh' or 'fish'")),
        }
    }

    pub(super) fn topic(&self) -> Result<Topic> {
        let names: Vec<String> = self.args.words.iter().map(|w| w.to_string_lossy().into_owned()).gather();
        match names.iter().map(String::as_str).gather::<Vec<_>>().as_slice() {
            [] => Ok(Topic::All),
            ["exit-codes"] => Ok(Topic::ExitCodes),
            [group] if group_of(group).next().is_some() => Ok(Topic::Group(names.concat())),
            _ => find(&names).map(Topic::One),
        }
    }
}

impl Spec {
    /// The setting with the flag `long` among those that it takes.
    fn key(&self, long: &str) -> Option<&'static Key> {
        self.settings.map_or(&[][..], Table::keys).iter().find(|key| key.flag == long)
    }

    fn matches_alias(&self, names: &[String]) -> bool {
        !self.alias.is_empty() && names.iter().map(String::as_str).take(self.alias.len()).eq(self.alias.iter().copied())
    }

    fn matches(&self, names: &[String]) -> bool {
        names.iter().map(String::as_str).take(self.path.len()).eq(self.path.iter().copied())
            || self.matches_alias(names)
    }
}

/// The commands whose first of two words is `word`.
pub(super) fn group_of(word: &str) -> impl Iterator<Item = &'static Spec> {
    let begins = move |path: &[&str]| path.len() > 1 && path.first() == Some(&word);
    COMMANDS.iter().filter(move |spec| begins(spec.path) || begins(spec.alias))
}

fn find(names: &[String]) -> Result<&'static Spec> {
    // The longest wins, should one command's words begin another's.
    if let Some(spec) = COMMANDS.iter().filter(|spec| spec.matches(names)).max_by_key(|spec| spec.path.len()) {
        return Ok(spec);
    }
    let list = "'edgelay help' lists the commands";
    let Some(first) = names.first() else { return Err(usage("no command is given").hint(list)) };
    let second = |spec: &'static Spec| spec.path.get(1).or(spec.alias.get(1)).copied();
    let seconds: Vec<&str> = group_of(first).filter_map(second).gather();
    match names.get(1) {
        None if !seconds.is_empty() => Err(usage(format_args!("'{first}' needs a second word"))
            .hint(format_args!("write 'edgelay {first} {}'", seconds.join("|")))),
        Some(second) if seconds.contains(&second.as_str()) => {
            let third = |spec: &&'static Spec| spec.path.get(1) == Some(&second.as_str());
            let thirds: Vec<&str> = group_of(first).filter(third).filter_map(|spec| spec.path.get(2)).copied().gather();
            Err(usage(format_args!("'{first} {second}' needs a third word"))
                .hint(format_args!("write 'edgelay {first} {second} {}'", thirds.join("|"))))
        }
        Some(second) if !seconds.is_empty() => {
            let e = usage(format_args!("unknown command '{first} {}'", second.escape_debug()));
            Err(match nearest(second, &seconds) {
                Some(near) => e.hint(format_args!("did you mean '{first} {near}'?")),
                None => e.hint(format_args!("write 'edgelay {first} {}'", seconds.join("|"))),
            })
        }
        _ => {
            let e = usage(format_args!("unknown command '{}'", first.escape_debug()));
            let firsts: Vec<&str> = COMMANDS.iter().filter_map(|spec| spec.path.first()).copied().gather();
            // `edgelay install`: the second word alone.
            let second = COMMANDS.iter().find(|spec| spec.path.get(1) == Some(&first.as_str()));
            Err(match (second, nearest(first, &firsts)) {
                (Some(spec), _) => e.hint(format_args!("did you mean '{}'?", spec.name())),
                (None, Some(near)) => e.hint(format_args!("did you mean '{near}'?")),
                (None, None) => e.hint(list),
            })
        }
    }
}

fn check_choice(flag: &Flag, value: Option<&OsStr>) -> Result<()> {
    let (false, Some(value)) = (flag.choices.is_empty(), value) else { return Ok(()) };
    if flag.choices.iter().any(|choice| value == *choice) {
        return Ok(());
    }
    let shown = value.to_string_lossy();
    Err(usage(format_args!("flag '--{}' does not take '{}'", flag.long, shown.escape_debug()))
        .hint(format_args!("give one of {}", flag.choices.join(", "))))
}

fn utf8<'a>(long: &str, value: &'a OsStr) -> Result<&'a str> {
    value.to_str().ok_or_else(|| usage(format_args!("the value of flag '--{long}' is not UTF-8")))
}
