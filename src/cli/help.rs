//! Help from the tables, at most 80 columns wide.

use super::command::Topic;
use super::commands::{COMMANDS, Spec};
use super::exit_codes;
use super::flags::{self, Flag};
use super::parsed::group_of;
use crate::gather::{Gather, Grow};

/// Width of every help text.
const WIDTH: usize = 80;
/// Where explanations begin.
const COLUMN: usize = 29;

/// The text on `topic`.
pub fn render(topic: &Topic) -> String {
    match topic {
        Topic::All => {
            let head = "Installs KubeEdge from one offline bundle.\n\nUsage: edgelay COMMAND [FLAGS]\n\nCommands:\n";
            let tail = "\n'edgelay help COMMAND' explains a command, 'edgelay help exit-codes' the exit codes.\n";
            let flags: String = flags::COMMON.iter().copied().map(flag_line).gather();
            format!("{head}{}\nFlags of every command:\n{flags}{}", list(COMMANDS.iter()), fold(tail))
        }
        Topic::Group(word) => format!("Commands:\n{}", list(group_of(word))),
        Topic::One(spec) => command(spec),
        Topic::ExitCodes => exit_codes::render_text(),
    }
}

/// docs/commands.md: the help of every command.
pub fn render_doc() -> String {
    let mut out = String::from(
        "# Commands\n\n\
         <!-- Made from the table in src/cli/commands.rs: UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
         Data goes to stdout, everything else to stderr. Nothing is ever asked. docs/exit-codes.md says what the exit\n\
         codes mean, docs/config.md what can be set.\n",
    );
    let page = |title: &str, topic: &Topic| format!("\n## {title}\n\n```text\n{}```\n", render(topic));
    out.push_str(&page("edgelay", &Topic::All));
    out.add_all(COMMANDS.iter().map(|spec| page(&format!("edgelay {}", spec.name()), &Topic::One(spec))));
    out
}

fn list(specs: impl Iterator<Item = &'static Spec>) -> String {
    specs.map(|spec| row(&format!("  {}", spec.name()), spec.summary)).gather()
}

fn command(spec: &Spec) -> String {
    let mut out = format!("Usage: edgelay {}", spec.name());
    if !spec.words.shown.is_empty() {
        out.push(' ');
        out.push_str(spec.words.shown);
    }
    out.push_str(" [FLAGS]\n");
    if !spec.alias.is_empty() {
        out.grow(format_args!("       edgelay {} [FLAGS]\n", spec.alias.join(" ")));
    }
    for paragraph in spec.about.split("\n\n") {
        out.push('\n');
        out.push_str(&paragraph.lines().map(fold).gather::<String>());
    }
    if !spec.flags.is_empty() {
        out.push_str("\nFlags:\n");
        out.add_all(spec.flags.iter().copied().map(flag_line));
    }
    if let Some(table) = spec.settings {
        out.push_str("\nSettings (keys of the --config file; a flag wins over the variable EDGELAY_...,\n");
        out.push_str("that over the file):\n");
        out.add_all(table.keys().iter().map(setting_line));
    }
    out.push_str("\nFlags of every command:\n");
    out.add_all(flags::COMMON.iter().copied().map(flag_line));
    out
}

fn flag_line(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
    row(&format!("  {short}--{}{value}", flag.long), flag.help)
}

fn setting_line(key: &crate::config::Key) -> String {
    let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
    row(&format!("      --{} {}", key.flag, key.placeholder), &format!("{}{default}", key.help))
}

/// `left`, then `text` from [`COLUMN`] on, on further lines where it does not fit.
fn row(left: &str, text: &str) -> String {
    let mut out = left.to_owned();
    let mut column = left.chars().count();
    if column + 2 > COLUMN {
        out.push('\n');
        column = 0;
    }
    let mut fresh = true;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !fresh && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
            fresh = true;
        }
        if fresh {
            out.push_str(&" ".repeat(COLUMN - column));
            column = COLUMN;
            fresh = false;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
    out
}

/// Lines of at most [`WIDTH`] columns.
fn fold(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    if text.starts_with('\n') {
        out.push('\n');
    }
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let mut topics = vec![Topic::All, Topic::ExitCodes];
        topics.extend(COMMANDS.iter().map(Topic::One));
        for topic in topics {
            let text = render(&topic);
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
                assert_eq!(line, line.trim_end(), "{line:?}");
            }
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        }
    }

    #[test]
    fn rows_break_where_they_must() {
        assert_eq!(row("  -q, --quiet", "be quiet"), format!("  -q, --quiet{}be quiet\n", " ".repeat(16)));
        let long = row("      --containerd-address SOCKET", &"word ".repeat(12));
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with(&format!("{}word", " ".repeat(COLUMN))), "{long}");
    }
}
