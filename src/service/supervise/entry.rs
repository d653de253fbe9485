//! An entry: what to run, one argument a line.

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::root::Root;

/// A command line of ours has some hundred bytes.
const MAX: usize = 16 << 10;
/// Names become parts of file names.
const MAX_NAME: usize = 64;

/// Where the entry `name` lies.
pub fn entry_path(name: &str) -> String {
    format!("etc/edgelay/supervise/{name}")
}

/// The text of an entry.
pub fn render(command: &[String]) -> String {
    let mut text = String::from("# Written by edgelay; changes are overwritten by the next install.\n");
    for arg in command {
        text.push_str(arg);
        text.push('\n');
    }
    text
}

/// Whether a file of this name is an entry. Others are left by editors, or by ourselves before a rename.
pub(super) fn is_name(name: &str) -> bool {
    let fit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(fit)
}

/// Lines that begin with `#` are no arguments.
pub(super) fn parse(text: &str) -> std::result::Result<Vec<String>, &'static str> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let command: Vec<String> = lines.map(str::to_owned).gather();
    match command.first() {
        None => Err("it names no program"),
        Some(program) if !program.starts_with('/') => Err("its program is not an absolute path"),
        Some(_) => Ok(command),
    }
}

/// `None`: it has been removed meanwhile.
pub(super) fn load(root: &Root, name: &str) -> Result<Option<Vec<String>>> {
    let file = entry_path(name);
    let Ok(path) = RelPath::parse(&file) else { return Ok(None) };
    let Some(text) = root.read_text(path, MAX)? else { return Ok(None) };
    parse(&text).map(Some).map_err(|why| Error::new(Kind::Host, format_args!("entry '{path}': {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let command = ["/usr/local/bin/containerd", "--config", "/etc/containerd/config.toml"].map(str::to_owned);
        assert_eq!(parse(&render(&command)), Ok(command.to_vec()));
        assert_eq!(parse("# nothing\n\n"), Err("it names no program"));
        assert_eq!(parse("containerd\n"), Err("its program is not an absolute path"));
        for (name, is) in
            [("edgecore", true), ("", false), (".edgecore.edgelay-new", false), ("a/b", false), ("a~", false)]
        {
            assert_eq!(is_name(name), is, "{name}");
        }
    }
}
