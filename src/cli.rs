//! The command line: arguments and environment in, exit status out. No work is done here.
//!
//! argv → [`args::Args`] (what was typed) → [`parsed::Parsed`] (whose it is) → [`command::Command`] (what it means)
//! → `dispatch`. Data goes to stdout, everything else to stderr. Nothing is ever asked.

pub mod args;
mod check;
pub mod command;
pub mod commands;
pub mod complete;
mod dispatch;
mod epoch;
pub mod exit_codes;
pub mod findings;
pub mod flags;
pub mod help;
mod images;
mod logger;
pub mod man;
pub mod output;
pub mod parsed;
mod settings;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};

use crate::config::{ConfigRef, Of, show_json, show_text};
use crate::error::{Error, Result};
use crate::gather::Gather;
use crate::report::{Report, Style};
use crate::sys::signal;

use self::args::Args;
use self::command::{Command, Format, Topic};
use self::parsed::Parsed;

/// What the program was started with. Read once, by `main`; nothing else looks at the environment.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The environment. What of a value is not UTF-8 is U+FFFD, and no setting takes that.
    pub variables: Vec<(String, String)>,
    /// Whether the kernel started this program as `/init`.
    pub is_init: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let utf8 = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Surroundings {
            args: std::env::args_os().skip(1).gather(),
            variables: std::env::vars_os().filter_map(utf8).gather(),
            // The kernel's name for it; a container may start the program as its first process, too.
            is_init: std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == "/init"),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// Does what the command line says.
pub fn run(surroundings: &Surroundings) -> ExitCode {
    if surroundings.is_init {
        return crate::mode::stick::first_process();
    }
    let args = Args::parse(surroundings.args.iter().cloned());
    let style = match &args {
        Ok(args) => style(args, surroundings),
        // The one flag that matters for saying what is wrong with the others.
        Err(_) if asks_for_json(&surroundings.args) => Style::Json,
        Err(_) => Style::Plain,
    };
    let report = Report::new(Box::new(std::io::stderr()), style);
    match args.and_then(|args| obey(args, surroundings, &report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&after_signal(e), &report),
    }
}

/// What fails once a signal has come fails because of it: reads end, and programs that we run got the same signal.
fn after_signal(e: Error) -> Error {
    match signal::check() {
        Err(stopped) if e.kind() != stopped.kind() => {
            let (stopped_text, text) = (stopped.to_string(), e.to_string());
            let what = if text.contains(&stopped_text) { text } else { format!("{stopped_text}: {text}") };
            Error::new(stopped.kind(), what).hint(stopped.hint_text().unwrap_or_default().to_owned())
        }
        _ => e,
    }
}

fn fail(e: &Error, report: &Report) -> ExitCode {
    report.error(e);
    ExitCode::from(e.kind().exit_code())
}

fn obey(args: Args, surroundings: &Surroundings, report: &Report) -> Result<()> {
    // `edgelay --help` and `edgelay edge --help` have no command to ask.
    if args.has(flags::HELP) && !args.words.iter().any(|word| word == "help") {
        return output::write(&help::render(&help_topic(args)));
    }
    let parsed = Parsed::new(args)?;
    logger::start(&parsed)?;
    let resolved = match parsed.spec.settings {
        Some(table) => Some(settings::load(table, &parsed, surroundings)?),
        None => None,
    };
    if let (Some(resolved), true) = (&resolved, parsed.has(flags::SHOW_CONFIG)) {
        let (config, origins): (ConfigRef<'_>, _) = match resolved {
            Of::Edge(resolved) => ((&*resolved.config).into(), &resolved.origins),
            Of::Cloud(resolved) => ((&*resolved.config).into(), &resolved.origins),
        };
        return output::write(&match parsed.format()? {
            Format::Text => show_text(config, origins),
            Format::Json => show_json(config, origins),
        });
    }
    let command: Command = epoch::apply((parsed.spec.check)(&parsed)?, surroundings.variable(epoch::VARIABLE))?;
    if command.changes_something() {
        signal::install()?;
        // Programs that everybody may run go into directories that everybody must be able to enter; what is private is
        // made so, whatever the umask.
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
    }
    dispatch::run(command, resolved, report)
}

fn help_topic(args: Args) -> Topic {
    let first = args.words.first().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    match Parsed::new(args) {
        Ok(parsed) => Topic::One(parsed.spec),
        Err(_) if parsed::group_of(&first).next().is_some() => Topic::Group(first),
        Err(_) => Topic::All,
    }
}

fn style(args: &Args, surroundings: &Surroundings) -> Style {
    let value = |flag| args.last(flag).and_then(|value| value.to_str());
    if value(flags::LOG_FORMAT) == Some("json") {
        return Style::Json;
    }
    if args.has(flags::QUIET) {
        return Style::Quiet;
    }
    let terminal = std::io::stderr().is_terminal() && surroundings.variable("TERM") != Some("dumb");
    match value(flags::PROGRESS) {
        Some("plain") => Style::Plain,
        Some("none") => Style::Steps,
        _ if terminal => {
            let plain = args.has(flags::NO_COLOR) || surroundings.variable("NO_COLOR").is_some();
            Style::Terminal { color: !plain }
        }
        _ => Style::Plain,
    }
}

fn asks_for_json(args: &[OsString]) -> bool {
    let pairs = args.windows(2).any(|pair| matches!(pair, [a, b] if a == "--log-format" && b == "json"));
    pairs || args.iter().any(|arg| arg == "--log-format=json")
}
