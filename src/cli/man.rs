//! The manual page docs/edgelay.8, from the tables (man-pages(7), groff's man macros).

use crate::config::Table;
use crate::gather::{Gather, Grow};

use super::commands::{COMMANDS, Spec};
use super::exit_codes::{ROWS, Row};
use super::flags::{self, Flag};

/// The whole page.
pub fn render() -> String {
    let mut out = format!(
        ".\\\" Made from the tables in src/cli and src/config: UPDATE_DOCS=1 cargo test --test it docs\n\
         .TH EDGELAY 8 \"\" \"edgelay {}\" \"System administration\"\n\
         .SH NAME\nedgelay \\- install KubeEdge from one offline bundle\n\
         .SH SYNOPSIS\n.B edgelay\n.I COMMAND\n.RI [ FLAGS ]\n.SH COMMANDS\n",
        env!("CARGO_PKG_VERSION")
    );
    out.add_all(COMMANDS.iter().map(command));
    out.push_str(".SH \"FLAGS OF EVERY COMMAND\"\n");
    out.add_all(flags::COMMON.iter().copied().map(flag));
    out.push_str(
        ".SH SETTINGS\nA flag wins over the environment, the environment over the file, the file over the default.\n",
    );
    for (table, whose) in Table::ALL.into_iter().zip(["an edge node", "the cloud side"]) {
        out.grow(format_args!(".SS \"Of {whose}\"\n"));
        for key in table.keys() {
            out.push_str(&tag(&format!("--{} {}", key.flag, key.placeholder)));
            out.push_str(&line(&format!("{}.", key.help)));
            let default = if key.default.is_empty() { String::new() } else { format!(", default {}", key.default) };
            out.push_str(&line(&format!("In the file {}, in the environment {}{default}.", key.path, key.env)));
        }
    }
    out.push_str(".SH \"EXIT STATUS\"\n.TP\n.B 0\nDone, or nothing to do.\n");
    for Row { kind, meaning, answer } in ROWS {
        out.grow(format_args!(".TP\n.B {}\n", kind.exit_code()));
        out.push_str(&line(&format!("{meaning}: {answer}.")));
    }
    out
}

fn command(spec: &Spec) -> String {
    let mut out = format!(".SS \"edgelay {} {}\"\n", spec.name(), escape(spec.words.shown)).replace(" \"\n", "\"\n");
    for paragraph in spec.about.split("\n\n") {
        out.push_str(".PP\n");
        out.push_str(&paragraph.lines().map(line).gather::<Vec<_>>().join(".br\n"));
    }
    out.add_all(spec.flags.iter().copied().map(flag));
    if spec.settings.is_some() {
        out.push_str(".PP\nAlso takes every setting below of its kind of node.\n");
    }
    out
}

fn flag(flag: &Flag) -> String {
    let short = flag.short.map_or(String::new(), |letter| format!("-{letter}, "));
    let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
    tag(&format!("{short}--{}{value}", flag.long)) + &line(&format!("{}.", flag.help))
}

fn tag(text: &str) -> String {
    format!(".TP\n.B {}\n", escape(text))
}

/// One input line; a leading dot or quote would make it a request.
fn line(text: &str) -> String {
    let text = escape(text);
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}\n"),
        false => format!("{text}\n"),
    }
}

/// Backslashes start escapes, and a bare `-` is a hyphen that cannot be searched for.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
