//! Completion scripts from the tables. The scripts are static: completing never runs edgelay.

use crate::config::{Form, Table};
use crate::gather::{Gather, Grow};

use super::command::Shell;
use super::commands::{COMMANDS, Spec};

/// One thing that a command takes.
struct Item {
    long: &'static str,
    short: Option<char>,
    help: &'static str,
    /// `None`: takes no value. Empty: anything.
    values: Option<Vec<&'static str>>,
    file: bool,
}

fn items(spec: &Spec) -> Vec<Item> {
    let file = |value: Option<&str>| matches!(value, Some("FILE" | "DIR" | "SOCKET"));
    let flags = spec.all_flags().map(|flag| Item {
        long: flag.long,
        short: flag.short,
        help: flag.help,
        values: flag.value.map(|_| flag.choices.to_vec()),
        file: file(flag.value),
    });
    let keys = spec.settings.map_or(&[][..], Table::keys).iter().map(|key| Item {
        long: key.flag,
        short: None,
        help: key.help,
        values: Some(match key.form {
            Form::Switch => vec!["true", "false"],
            _ if matches!(key.path, "containerd" | "k3s") => vec!["managed", "existing"],
            _ => Vec::new(),
        }),
        file: file(Some(key.placeholder)),
    });
    flags.chain(keys).gather()
}

/// The script for `shell`.
pub fn render(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// What a command can be begun with, one word or two, and for each the words that can come next.
fn words() -> Vec<(String, Vec<&'static str>)> {
    let mut words: Vec<(String, Vec<&str>)> = Vec::new();
    for path in COMMANDS.iter().flat_map(|spec| [spec.path, spec.alias]) {
        for count in 1..=path.len().min(2) {
            let (begun, rest) = path.split_at(count);
            let begun = begun.join(" ");
            if count == 1 || !rest.is_empty() {
                if !words.iter().any(|(word, _)| *word == begun) {
                    words.push((begun.clone(), Vec::new()));
                }
                let nexts = words.iter_mut().filter(|(word, _)| *word == begun).map(|(_, nexts)| nexts);
                if let (Some(nexts), Some(next)) = (nexts.last(), rest.first())
                    && !nexts.contains(next)
                {
                    nexts.push(next);
                }
            }
        }
    }
    words
}

/// Those of one word.
fn first_words() -> Vec<String> {
    words().into_iter().map(|(word, _)| word).filter(|word| !word.contains(' ')).gather()
}

fn bash() -> String {
    let words = words();
    let firsts = first_words();
    let mut out = String::from(
        "# bash completion for edgelay\n_edgelay() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev= cmd= word\n    \
         ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD-1]}\n    \
         for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        \
         case $word in -*) ;; *) cmd=\"${cmd:+$cmd }$word\" ;; esac\n    done\n    COMPREPLY=()\n",
    );
    out.push_str("    case $cmd in\n");
    out.grow(format_args!("        '') COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;\n", firsts.join(" ")));
    for (word, seconds) in words.iter().filter(|(_, seconds)| !seconds.is_empty()) {
        out.grow(format_args!(
            "        '{word}') COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;\n",
            seconds.join(" ")
        ));
    }
    for spec in COMMANDS {
        out.grow(format_args!("        '{}'*)\n            case $prev in\n", spec.name()));
        for item in items(spec) {
            let Some(values) = &item.values else { continue };
            let short = item.short.map_or(String::new(), |letter| format!("|-{letter}"));
            let how = if item.file { "-f".to_owned() } else { format!("-W \"{}\"", values.join(" ")) };
            let reply = format!("COMPREPLY=($(compgen {how} -- \"$cur\"))");
            out.grow(format_args!("                --{}{short}) {reply}; return ;;\n", item.long));
        }
        let flags: Vec<String> = items(spec).iter().map(|item| format!("--{}", item.long)).gather();
        out.grow(format_args!("            esac\n            word='{}' ;;\n", flags.join(" ")));
    }
    out.push_str(
        "        *) word= ;;\n    esac\n    case $cur in\n        \
         -*) COMPREPLY=($(compgen -W \"$word\" -- \"$cur\")) ;;\n        \
         *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\ncomplete -o filenames -F _edgelay edgelay\n",
    );
    out
}

/// For single quotes in zsh's `_arguments` and in fish.
fn quoted(help: &str) -> String {
    help.replace('\'', "").replace('[', "(").replace(']', ")").replace(':', ";").replace('`', "")
}

fn zsh() -> String {
    let mut out =
        String::from("#compdef edgelay\n_edgelay() {\n    local -a cmd\n    cmd=(${words[2,CURRENT-1]:#-*})\n");
    out.push_str("    case \"$cmd\" in\n");
    for spec in COMMANDS {
        out.grow(format_args!("        '{}'*)\n            _arguments", spec.name()));
        for item in items(spec) {
            let action = match &item.values {
                None => String::new(),
                Some(_) if item.file => ":file:_files".to_owned(),
                Some(values) if values.is_empty() => ":value:".to_owned(),
                Some(values) => format!(":value:({})", values.join(" ")),
            };
            out.grow(format_args!(" \\\n                '--{}[{}]{action}'", item.long, quoted(item.help)));
        }
        out.push_str(" \\\n                '*:file:_files' ;;\n");
    }
    for (word, seconds) in words().iter().filter(|(_, seconds)| !seconds.is_empty()) {
        out.grow(format_args!("        '{word}') compadd {} ;;\n", seconds.join(" ")));
    }
    let firsts = first_words();
    out.grow(format_args!("        *) compadd {} ;;\n    esac\n}}\n_edgelay \"$@\"\n", firsts.join(" ")));
    out
}

fn fish() -> String {
    let mut out = String::from("# fish completion for edgelay\ncomplete -c edgelay -f\n");
    for (word, seconds) in words() {
        if !word.contains(' ') {
            out.grow(format_args!("complete -c edgelay -n __fish_use_subcommand -a {word}\n"));
        }
        let word = word.replace(' ', "; and __fish_seen_subcommand_from ");
        for second in &seconds {
            out.grow(format_args!(
                "complete -c edgelay -n '__fish_seen_subcommand_from {word}; and not __fish_seen_subcommand_from {}' \
                 -a {second}\n",
                seconds.join(" ")
            ));
        }
    }
    for spec in COMMANDS {
        let seen: Vec<String> = spec.path.iter().map(|word| format!("__fish_seen_subcommand_from {word}")).gather();
        for item in items(spec) {
            let short = item.short.map_or(String::new(), |letter| format!(" -s {letter}"));
            let value = match &item.values {
                None => String::new(),
                Some(_) if item.file => " -r -F".to_owned(),
                Some(values) if values.is_empty() => " -x".to_owned(),
                Some(values) => format!(" -x -a '{}'", values.join(" ")),
            };
            out.grow(format_args!(
                "complete -c edgelay -n '{}' -l {}{short}{value} -d '{}'\n",
                seen.join("; and "),
                item.long,
                quoted(item.help)
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_offered() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = render(shell);
            for spec in COMMANDS {
                assert!(spec.path.iter().all(|word| script.contains(word)), "{shell:?} {}", spec.name());
                for item in items(spec) {
                    assert!(script.contains(item.long), "{shell:?} {}", item.long);
                }
            }
        }
    }
}
