//! The kernel's arguments in a boot loader's file: which are lacking, and the text with them added or removed.
//!
//! Text in, text out. Nothing else in the file changes: not a comment, not the order, not the way its lines end.

use super::profile::Format;
use crate::gather::{Gather, Grow};

/// The header of a file that is ours alone.
const OURS: &str = "# Written by edgelay; changes are overwritten by the next install.\n";

/// What keeps the memory cgroup off, whatever else is said.
const DISABLED: &str = "cgroup_disable=memory";

/// A part of the text that holds arguments: where it starts and ends.
type Span = (usize, usize);

/// The parts of `text` that hold arguments.
fn spans(text: &str, format: Format) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let start = match format {
            // Firmware reads the first line and nothing else.
            Format::Line => (spans.is_empty() && !body.trim().is_empty()).then_some(0),
            Format::Extlinux => after_word(body, "append"),
            Format::Armbian => body.strip_prefix("extraargs=").map(|rest| body.len() - rest.len()),
            Format::Grub => body.strip_prefix("GRUB_CMDLINE_LINUX=\"").map(|rest| body.len() - rest.len()),
        };
        if let Some(start) = start {
            let end = if format == Format::Grub { body.trim_end_matches('"').len() } else { body.len() };
            spans.push((at + start, at + end.max(start)));
        }
        at += line.len();
    }
    spans
}

/// Where a line goes on after its first word, if that is `word` in whatever case.
fn after_word(line: &str, word: &str) -> Option<usize> {
    let rest = line.trim_start();
    let first = rest.split_whitespace().next().filter(|first| first.eq_ignore_ascii_case(word))?;
    Some(line.len() - rest.len() + first.len())
}

fn part(text: &str, (start, end): Span) -> &str {
    text.get(start..end).unwrap_or_default()
}

fn has(content: &str, argument: &str) -> bool {
    content.split_whitespace().any(|word| word == argument)
}

/// Those of `arguments` that some part of `text` does not have; all of them if it has no part.
pub fn lacking<'a>(text: &str, format: Format, arguments: &'a [String]) -> Vec<&'a str> {
    let spans = spans(text, format);
    let everywhere = |argument: &&String| !spans.is_empty() && spans.iter().all(|s| has(part(text, *s), argument));
    let mut lacking: Vec<&str> = arguments.iter().filter(|a| !everywhere(a)).map(String::as_str).gather();
    let off = spans.iter().any(|span| has(part(text, *span), DISABLED));
    if lacking.is_empty() && off && enables_memory(arguments) {
        lacking.add_all(arguments.iter().map(String::as_str));
    }
    lacking
}

fn enables_memory(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "cgroup_enable=memory")
}

/// `text` with all of `arguments`; nothing if there is no line that they could stand in.
pub fn with(text: &str, format: Format, arguments: &[String]) -> Option<String> {
    match format {
        Format::Grub => {
            return Some(format!("{OURS}GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {}\"\n", arguments.join(" ")));
        }
        Format::Armbian if spans(text, format).is_empty() => {
            let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            return Some(format!("{text}{newline}extraargs={}\n", arguments.join(" ")));
        }
        Format::Line if text.trim().is_empty() => return None,
        _ => {}
    }
    let drop: &[&str] = if enables_memory(arguments) { &[DISABLED] } else { &[] };
    edited(text, format, &|content| {
        let mut content = without_words(content, drop);
        for argument in arguments {
            if !has(&content, argument) {
                let end = content.trim_end().len();
                content.truncate(end);
                if format != Format::Armbian || !content.is_empty() {
                    content.push(' ');
                }
                content.push_str(argument);
            }
        }
        content
    })
}

/// `text` without any of `arguments`.
pub fn without(text: &str, format: Format, arguments: &[String]) -> String {
    let drop: Vec<&str> = arguments.iter().map(String::as_str).gather();
    edited(text, format, &|content| without_words(content, &drop)).unwrap_or_else(|| text.to_owned())
}

/// Every part replaced by what `change` makes of it; nothing if there is none.
fn edited(text: &str, format: Format, change: &dyn Fn(&str) -> String) -> Option<String> {
    let spans = spans(text, format);
    let (mut out, mut at) = (String::new(), 0);
    for span in &spans {
        out.push_str(part(text, (at, span.0)));
        out.push_str(&change(part(text, *span)));
        at = span.1;
    }
    out.push_str(part(text, (at, text.len())));
    (!spans.is_empty()).then_some(out)
}

/// Words leave with the blank before them; what stands between the others stays as it is.
fn without_words(content: &str, drop: &[&str]) -> String {
    let mut out = String::new();
    let mut rest = content;
    while !rest.is_empty() {
        let word_at = rest.len() - rest.trim_start().len();
        let (blank, tail) = rest.split_at_checked(word_at).unwrap_or((rest, ""));
        let end = tail.find(char::is_whitespace).unwrap_or(tail.len());
        let (word, after) = tail.split_at_checked(end).unwrap_or((tail, ""));
        if word.is_empty() || !drop.contains(&word) {
            out.push_str(blank);
            out.push_str(word);
        }
        rest = after;
    }
    // The first word of a line has no blank before it.
    if content.starts_with(char::is_whitespace) { out } else { out.trim_start().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn added_and_nothing_else_changed() {
        let memory = args("cgroup_enable=memory cgroup_memory=1");
        for (format, before, after) in [
            (
                Format::Line,
                "console=tty1 root=PARTUUID=x  rootwait\n",
                "console=tty1 root=PARTUUID=x  rootwait cgroup_enable=memory cgroup_memory=1\n",
            ),
            // Without a newline, with trailing blanks, as Windows writes it, with a second line that nobody reads.
            (Format::Line, "a b", "a b cgroup_enable=memory cgroup_memory=1"),
            (Format::Line, "a b  \n", "a b cgroup_enable=memory cgroup_memory=1\n"),
            (Format::Line, "a b\r\n", "a b cgroup_enable=memory cgroup_memory=1\r\n"),
            (Format::Line, "a\nb\n", "a cgroup_enable=memory cgroup_memory=1\nb\n"),
            (Format::Line, "a cgroup_memory=1 b", "a cgroup_memory=1 b cgroup_enable=memory"),
            (Format::Line, "a cgroup_disable=memory  b", "a  b cgroup_enable=memory cgroup_memory=1"),
            (Format::Line, "cgroup_disable=memory b", "b cgroup_enable=memory cgroup_memory=1"),
            (
                Format::Extlinux,
                "TIMEOUT 30\nDEFAULT primary\nLABEL primary\n      LINUX /boot/Image\n      APPEND ${cbootargs} quiet\n\
                 # APPEND old\nLABEL backup\n\tappend root=/dev/x\n",
                "TIMEOUT 30\nDEFAULT primary\nLABEL primary\n      LINUX /boot/Image\n      APPEND ${cbootargs} quiet \
                 cgroup_enable=memory cgroup_memory=1\n# APPEND old\nLABEL backup\n\tappend root=/dev/x \
                 cgroup_enable=memory cgroup_memory=1\n",
            ),
            (
                Format::Armbian,
                "verbosity=1\nextraargs=quiet\nrootdev=UUID=x",
                "verbosity=1\nextraargs=quiet cgroup_enable=memory cgroup_memory=1\nrootdev=UUID=x",
            ),
            (Format::Armbian, "verbosity=1", "verbosity=1\nextraargs=cgroup_enable=memory cgroup_memory=1\n"),
            (Format::Armbian, "extraargs=\n", "extraargs=cgroup_enable=memory cgroup_memory=1\n"),
            (
                Format::Grub,
                "",
                "# Written by edgelay; changes are overwritten by the next install.\n\
                 GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX cgroup_enable=memory cgroup_memory=1\"\n",
            ),
        ] {
            assert!(!lacking(before, format, &memory).is_empty(), "{before:?}");
            let changed = with(before, format, &memory).unwrap();
            assert_eq!(changed, after, "{format:?}");
            assert_eq!(lacking(&changed, format, &memory), [""; 0], "{changed:?}");
            assert_eq!(with(&changed, format, &memory).unwrap(), changed, "a second time changes nothing");
        }
    }

    #[test]
    fn nowhere_to_put_them() {
        let memory = args("cgroup_enable=memory");
        for (format, text) in [(Format::Line, ""), (Format::Line, "\n \n"), (Format::Extlinux, "LABEL x\n LINUX y\n")] {
            assert_eq!(with(text, format, &memory), None, "{text:?}");
            assert_eq!(lacking(text, format, &memory), ["cgroup_enable=memory"]);
        }
    }

    #[test]
    fn removed_again() {
        let memory = args("cgroup_enable=memory cgroup_memory=1");
        for (format, text) in [
            (Format::Line, "console=tty1  rootwait\n"),
            (Format::Line, "a b\r\n"),
            (Format::Extlinux, "LABEL a\n  APPEND ${cbootargs} quiet\nLABEL b\n  APPEND x\n"),
            (Format::Armbian, "verbosity=1\nextraargs=quiet\n"),
        ] {
            assert_eq!(without(&with(text, format, &memory).unwrap(), format, &memory), text);
        }
        let mine = "cgroup_enable=memory quiet cgroup_enable=memoryx cgroup_memory=1\n";
        assert_eq!(without(mine, Format::Line, &memory), "quiet cgroup_enable=memoryx\n");
    }

    #[test]
    fn only_some_are_lacking() {
        let memory = args("cgroup_enable=memory cgroup_memory=1");
        assert_eq!(lacking("a cgroup_memory=1", Format::Line, &memory), ["cgroup_enable=memory"]);
        let one_label = "LABEL a\n APPEND cgroup_enable=memory cgroup_memory=1\nLABEL b\n APPEND cgroup_memory=1\n";
        assert_eq!(lacking(one_label, Format::Extlinux, &memory), ["cgroup_enable=memory"]);
    }
}
