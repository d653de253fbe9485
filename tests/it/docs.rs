//! The documentation says what the code does.

use std::collections::BTreeSet;

use edgelay::error::Kind;

use super::layers::LAYERS;
use super::policy::DIRECT;
use super::support::source::read;

/// The cells of every table row, without blanks and backticks.
fn rows(markdown: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect();
    markdown.lines().filter(|l| l.starts_with("| ")).map(cells).collect()
}

/// The page is what the code makes of it; `UPDATE_DOCS=1 cargo test --test it docs` writes it anew.
fn check_made(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let found = read(path);
    assert!(found == text, "{path} is out of date: UPDATE_DOCS=1 cargo test --test it docs");
}

#[test]
fn made_pages_are_up_to_date() {
    check_made("docs/config.md", &edgelay::config::render_doc());
    check_made("docs/exit-codes.md", &edgelay::cli::exit_codes::render_doc());
    check_made("docs/commands.md", &edgelay::cli::help::render_doc());
    check_made("docs/edgelay.8", &edgelay::cli::man::render());
}

fn exit_codes(markdown: &str) -> Vec<(u8, String)> {
    rows(markdown).into_iter().filter_map(|row| Some((row[0].parse().ok()?, row.get(1)?.clone()))).collect()
}

#[test]
fn exit_codes_are_documented() {
    let done = (0, "done".to_owned());
    let kinds = Kind::ALL.iter().map(|kind| (kind.exit_code(), kind.word().to_owned()));
    assert_eq!(exit_codes(&read("docs/exit-codes.md")), std::iter::once(done).chain(kinds).collect::<Vec<_>>());
}

#[test]
fn exit_code_rows_are_read() {
    let page = "| code | word | means |\n| --- | --- | --- |\n| 4 | `preflight` | x |\ntext | 5 | a |\n";
    assert_eq!(exit_codes(page), [(4, "preflight".to_owned())]);
}

#[test]
fn design_gives_every_dependency_its_reason() {
    let design = read("DESIGN.md");
    let (_, section) = design.split_once("## Dependencies\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let named: BTreeSet<String> = rows(section).into_iter().map(|row| row[0].clone()).collect();
    let missing: Vec<&str> = DIRECT.into_iter().filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), "DESIGN.md, Dependencies: no row for {missing:?}");
}

#[test]
fn design_shows_the_layers_that_are_tested() {
    let design = read("DESIGN.md");
    let (_, section) = design.split_once("## Layers\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let documented: Vec<(String, String)> = rows(section)
        .into_iter()
        .filter(|r| r[0].parse::<usize>().is_ok())
        .map(|r| (r[0].clone(), r[1].clone()))
        .collect();
    let tested: Vec<(String, String)> = LAYERS.iter().enumerate().map(|(n, m)| (n.to_string(), m.join(" "))).collect();
    assert_eq!(documented, tested);
}
