//! The project's own files as data, for the tests that judge their form.

use std::fs;
use std::path::{Path, PathBuf};

/// One file: its path below the project's root, with `/`, and its text.
pub(crate) struct SourceFile {
    /// For example `src/rpc/frame.rs`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

/// The project's root directory.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of the project's file `path`; panics when there is none.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|e| panic!("read '{path}': {e}"))
}

/// Every text file of the project below `dir` ("" for all), sorted; what is built or downloaded is left out.
pub(crate) fn files(dir: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    collect(&project(), &project().join(dir), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no files below '{dir}'");
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if [".git", "target", "dist", "tests/cache"].contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push(SourceFile { path: name, text });
        }
    }
}

/// `text` with comments and the insides of string and character literals blanked; lines stay where they are.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['r', '"' | '#', ..] if !word_before || chars[at - 1] == 'b' => at + raw_string(rest),
        ['"', ..] => at + quoted(rest, '"'),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => at + quoted(rest, '\''),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of `r#"…"#`; 0 for a raw identifier.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = hashes + 2;
    let end = rest[body..].windows(closing.len()).position(|w| w == closing);
    end.map_or(rest.len(), |end| body + end + closing.len())
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

#[test]
fn comments_and_literals_are_blanked() {
    // code before, what is blanked, code after
    let cases = [
        ("a ", "// b", "\nc"),
        ("a ", "/* b /* c */ d */", " e"),
        ("f(", r#""x \" // y""#, ") + g"),
        ("f(", "r#\"a\"b\"#", ", r#type)"),
        ("a + ", "'\\''", " + 'static"),
        ("b", "\"x\"", " 'x: &'a T"),
    ];
    for (before, blanked, after) in cases {
        let expected = format!("{before}{}{after}", " ".repeat(blanked.chars().count()));
        assert_eq!(code_only(&format!("{before}{blanked}{after}")), expected);
    }
}
