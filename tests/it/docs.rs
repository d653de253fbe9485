//! The documentation says what the code does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::rc::Rc;

use edgelay::error::{Error, Kind};
use edgelay::report::{Outcome, Report, Style};

use super::layers::LAYERS;
use super::policy::DIRECT;
use super::support::source::{files, read};

/// The cells of every table row, without blanks and backticks.
pub(crate) fn rows(markdown: &str) -> Vec<Vec<String>> {
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
    check_made("docs/config-cloud.md", &edgelay::config::render_cloud_doc());
    check_made("docs/exit-codes.md", &edgelay::cli::exit_codes::render_doc());
    check_made("docs/commands.md", &edgelay::cli::help::render_doc());
    check_made("docs/preflight.md", &edgelay::host::preflight::render_doc());
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

/// Directories of a machine that a path in the code can lie in.
const PLACES: [&str; 10] = ["boot", "dev", "etc", "lib", "opt", "proc", "run", "sys", "usr", "var"];

/// String literals of the code (tests and comments left out) that begin like a path of a machine, up to a `{` or a blank.
fn machine_paths(text: &str) -> Vec<String> {
    let product = text.split("#[cfg(test)]").next().unwrap();
    let code = product.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    let paths = literals.map(|literal| literal.trim_start_matches('/').split(['{', ' ']).next().unwrap());
    let of_machine = |path: &&str| path.split_once('/').is_some_and(|(top, _)| PLACES.contains(&top));
    paths.filter(of_machine).map(|path| format!("/{}", path.trim_end_matches('/'))).collect()
}

fn programs(text: &str) -> Vec<String> {
    let product = text.split("#[cfg(test)]").next().unwrap();
    product.split("Cmd::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// Whether the page has `path`, or a directory above it as `/dir/*`.
fn covers(page: &str, path: &str) -> bool {
    let above = path.match_indices('/').skip(1).map(|(at, _)| format!("`{}/*`", &path[..at]));
    page.contains(&format!("`{path}`"))
        || page.contains(&format!("`{path}/*`"))
        || above.into_iter().any(|a| page.contains(&a))
}

fn platform_findings(page: &str, path: &str, text: &str) -> Vec<String> {
    let paths = machine_paths(text).into_iter().filter(|p| !covers(page, p));
    let programs = programs(text).into_iter().filter(|p| !page.contains(&format!("`{p}`")));
    paths.chain(programs).map(|missing| format!("PLATFORM.md does not have '{missing}' of {path}")).collect()
}

#[test]
fn platform_page_has_every_path_and_program() {
    let page = read("PLATFORM.md");
    // fake trees for tests, and examples in documentation
    let other = |path: &str| {
        ["src/host/tree.rs", "src/host/preflight/testing.rs", "src/config/doc.rs"].contains(&path)
            || path.starts_with("src/cli/")
    };
    let product = files("src").into_iter().filter(|f| !other(&f.path));
    let found: BTreeSet<String> = product.flat_map(|f| platform_findings(&page, &f.path, &f.text)).collect();
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_path_that_the_page_lacks_is_seen() {
    let page = "`/etc/a`, `/var/lib/*`, `sh`";
    let code = r#"
        literal("etc/a"); f("/var/lib/x/y"); format!("var/lib/{name}"); Cmd::new("sh", &[]); // "/etc/c"
        // "/etc/comment"
        literal("etc/b"); format!("/opt/{x}"); Cmd::new("rm", &[]); "usr"; "text/plain"; "/";
        #[cfg(test)] "/etc/test"
    "#;
    let expected = ["/etc/c", "/etc/b", "/opt", "rm"].map(|m| format!("PLATFORM.md does not have '{m}' of x"));
    assert_eq!(platform_findings(page, "x", code), expected);
}

#[test]
fn words_for_bad_bundles_are_documented() {
    let page = read("docs/bundles.md");
    let (_, table) = page.split_once("| word | meaning |\n").unwrap();
    let documented: Vec<String> = rows(table).into_iter().skip(1).map(|row| row[0].clone()).collect();
    let words: Vec<&str> = edgelay::bundle::Fault::ALL.iter().map(|fault| fault.word()).collect();
    assert_eq!(documented, words);
}

/// Pages that `text` names as `docs/x.md`, and, in a page itself, what its links lead to; below the project's root.
fn named_files(path: &str, text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let words = text.split("docs/").skip(1).map(|rest| rest.split(|c| !word(c)).next().unwrap().trim_end_matches('.'));
    let mut named: Vec<String> = words.filter(|w| w.ends_with(".md")).map(|w| format!("docs/{w}")).collect();
    if path.ends_with(".md") {
        let dir = path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
        let links = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
        named.extend(links.filter(|l| !l.is_empty() && !l.contains("://")).map(|l| format!("{dir}{l}")));
    }
    named
}

#[test]
fn named_files_exist() {
    let all = files("");
    let known: BTreeSet<&str> = all.iter().map(|f| f.path.as_str()).collect();
    let judged = all.iter().filter(|f| f.path.ends_with(".md") || f.path.starts_with("src/"));
    let named = judged.flat_map(|f| named_files(&f.path, &f.text).into_iter().map(|n| (n, f.path.as_str())));
    let dead: Vec<_> = named.filter(|(name, _)| !known.contains(name.as_str())).collect();
    assert!(dead.is_empty(), "not there, but named: {dead:?}");
}

#[test]
fn names_of_files_are_seen() {
    let text = "[x](a.md#part) [y](https://example.org/z.html) see docs/b.md. and `docs/c.md`, docs/*, README.md";
    assert_eq!(named_files("docs/x.md", text), ["docs/b.md", "docs/c.md", "docs/a.md"]);
    assert_eq!(named_files("src/x.rs", text), ["docs/b.md", "docs/c.md"]);
}

/// Where a report writes, and where the test reads it again.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Name and keys, sorted, of every event that a report can make without waiting for a heartbeat.
fn events_made() -> BTreeMap<String, BTreeSet<String>> {
    let sink = Shared::default();
    let report = Report::new(Box::new(sink.clone()), Style::Json);
    report.run_begins("install", 1);
    report.step_begins("a", "do a");
    report.step_ends(Outcome::Done);
    report.info("i");
    report.warn("w");
    report.error(&Error::new(Kind::Host, "e"));
    report.run_ends("done");
    let lines = String::from_utf8(sink.0.borrow().clone()).unwrap();
    let event = |line: &str| -> (String, BTreeSet<String>) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        (value["event"].as_str().unwrap().to_owned(), value.as_object().unwrap().keys().cloned().collect())
    };
    lines.lines().map(event).collect()
}

#[test]
fn events_are_documented() {
    let common = ["schema", "seq", "ms", "event"].map(str::to_owned);
    let keys = |cell: &str| cell.split(' ').map(str::to_owned).chain(common.clone()).collect();
    let rows = rows(&read("docs/events.md")).into_iter().skip(2);
    let mut documented: BTreeMap<String, BTreeSet<String>> = rows.map(|r| (r[0].clone(), keys(&r[1]))).collect();
    assert!(documented.remove("progress").is_some(), "comes only after ten seconds");
    assert_eq!(documented, events_made());
}

/// `%7B` and the like, as in URLs.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).unwrap()
}

/// What of the foreign formats is ours. The rest is checked by hand with their own programs, as the page says.
#[test]
fn snippets_for_the_first_boot_bring_a_configuration_that_is_read() {
    let page = read("docs/first-boot.md");
    let block = |title: &str| {
        let (_, rest) = page.split_once(title).unwrap();
        rest.split("```").nth(1).unwrap().split_once('\n').unwrap().1.to_owned()
    };
    let cloud_init = block("\n## cloud-init\n");
    let line = cloud_init.lines().find(|line| line.trim_start().starts_with('{')).unwrap().trim().to_owned();
    let ignition: serde_json::Value = serde_json::from_str(&block("\n## Ignition\n")).unwrap();
    let source = ignition["storage"]["files"][0]["contents"]["source"].as_str().unwrap();
    for text in [line, percent_decoded(source.strip_prefix("data:,").unwrap())] {
        let settings = edgelay::config::parse_file(text.as_bytes(), "the page").unwrap();
        assert!(settings.iter().any(|setting| setting.key.path == "cloud.host"), "{text}");
    }
    for place in ["/etc/edgelay/edgelay.json", "/etc/edgelay/token"] {
        assert!(cloud_init.contains(&format!("path: {place}\n")), "{cloud_init}");
        assert!(
            ignition["storage"]["files"]
                .as_array()
                .unwrap()
                .iter()
                .any(|file| file["path"] == place && file["mode"] == 0o600)
        );
    }
}
