//! House rules that no lint knows: what the crate depends on, and the form of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::support::source::{SourceFile, code_only, files, project, read};

/// Runtime dependencies; each has its reason in DESIGN.md.
pub(crate) const DIRECT: [&str; 11] = [
    "edgelay-codec",
    "heapless",
    "lexopt",
    "libc",
    "log",
    "minisign-verify",
    "nix",
    "serde",
    "serde-json-core",
    "sha2",
    "simple_logger",
];

/// What those bring along. The last five run at compile time only.
const BROUGHT: [&str; 19] = [
    "bitflags",
    "block-buffer",
    "byteorder",
    "cfg-if",
    "cpufeatures",
    "crypto-common",
    "digest",
    "hash32",
    "hybrid-array",
    "memoffset",
    "ryu",
    "serde_core",
    "stable_deref_trait",
    "typenum",
    "proc-macro2",
    "quote",
    "serde_derive",
    "syn",
    "unicode-ident",
];

/// Licences that may be combined with ours; of alternatives (`A OR B`) one must be here.
const LICENCES: [&str; 6] = ["0BSD", "Apache-2.0", "BSD-3-Clause", "MIT", "Unicode-3.0", "Zlib"];

const LINES_MAX: usize = 600;

/// `name` → the rest of the line, of one section of a Cargo.toml.
fn section<'a>(toml: &'a str, name: &str) -> BTreeMap<&'a str, String> {
    let header = format!("[{name}]\n");
    let Some((_, body)) = toml.split_once(&header) else { return BTreeMap::new() };
    let body = body.split("\n[").next().unwrap();
    let mut entries: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = "";
    for line in body.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
        match line.split_once(" = ") {
            Some((key, value)) if !line.starts_with(' ') => {
                last = key;
                entries.insert(key, value.to_owned());
            }
            _ => entries.entry(last).or_default().push_str(line),
        }
    }
    entries
}

fn dependency_findings(toml: &str) -> Vec<String> {
    let dependencies = section(toml, "dependencies");
    let expected: BTreeSet<&str> = DIRECT.into();
    let found: BTreeSet<&str> = dependencies.keys().copied().collect();
    let mut findings: Vec<String> = Vec::new();
    findings.extend(found.difference(&expected).map(|n| format!("dependency '{n}' is not allowed")));
    findings.extend(expected.difference(&found).map(|n| format!("dependency '{n}' is gone: take it off the list")));
    for (name, value) in dependencies {
        if !value.contains("default-features = false") {
            findings.push(format!("dependency '{name}' has its default features on"));
        }
    }
    for line in toml.lines().filter(|l| l.starts_with("[build-dependencies") || l.starts_with("[target.")) {
        findings.push(format!("section {line} may hold dependencies that nobody judged"));
    }
    findings
}

#[test]
fn dependencies_are_the_allowed_ones() {
    assert_eq!(dependency_findings(&read("Cargo.toml")), [] as [String; 0]);
}

/// The decoders stand alone.
#[test]
fn the_decoders_depend_on_nothing() {
    assert_eq!(section(&read("codec/Cargo.toml"), "dependencies"), BTreeMap::new());
}

#[test]
fn a_new_dependency_is_seen() {
    let toml =
        read("Cargo.toml").replace("lexopt = ", "clap = ").replace("log = { version = \"0.4\", default", "log = {");
    assert_eq!(
        dependency_findings(&(toml + "\n[build-dependencies]\n")),
        [
            "dependency 'clap' is not allowed",
            "dependency 'lexopt' is gone: take it off the list",
            "dependency 'log' has its default features on",
            "section [build-dependencies] may hold dependencies that nobody judged",
        ]
    );
}

/// Name → licence of everything that is compiled into or runs for the binary of `target`, by the lock file.
fn runtime_tree(target: &str) -> BTreeMap<String, String> {
    let arguments = ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", target];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(project()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tree_of(&serde_json::from_slice(&output.stdout).unwrap())
}

fn tree_of(metadata: &Value) -> BTreeMap<String, String> {
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        list.as_array().unwrap().iter().map(|v| (v["id"].as_str().unwrap().to_owned(), v.clone())).collect()
    };
    let (packages, nodes) = (by_id(&metadata["packages"]), by_id(&metadata["resolve"]["nodes"]));
    let root = metadata["resolve"]["root"].as_str().unwrap();
    let mut tree = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(id) = waiting.pop() {
        let (name, licence) = (packages[&id]["name"].as_str().unwrap(), packages[&id]["license"].as_str());
        if tree.insert(name.to_owned(), licence.unwrap_or("none").to_owned()).is_none() {
            let normal = |d: &&Value| d["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null());
            let dependencies = nodes[&id]["deps"].as_array().unwrap();
            waiting.extend(dependencies.iter().filter(normal).map(|d| d["pkg"].as_str().unwrap().to_owned()));
        }
    }
    tree.remove("edgelay");
    tree
}

fn licence_fits(expression: &str) -> bool {
    let alternatives = |part: &str| part.replace('/', " OR ").split(" OR ").any(|l| LICENCES.contains(&l.trim()));
    expression.replace(['(', ')'], "").split(" AND ").all(alternatives)
}

#[test]
fn nothing_comes_along_unseen() {
    let mut tree = runtime_tree("x86_64-unknown-linux-musl");
    tree.append(&mut runtime_tree("aarch64-unknown-linux-musl"));
    let names: BTreeSet<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(names, DIRECT.into_iter().chain(BROUGHT).collect());
    let bad: Vec<_> = tree.iter().filter(|(_, licence)| !licence_fits(licence)).collect();
    assert!(bad.is_empty(), "licences: {bad:?}");
}

#[test]
fn licence_expressions() {
    for fits in ["MIT", "MIT/Apache-2.0", "Unlicense OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(licence_fits(fits), "{fits}");
    }
    for does_not in ["GPL-3.0", "none", "MIT AND GPL-3.0", "MITX"] {
        assert!(!licence_fits(does_not), "{does_not}");
    }
}

/// Rules for every Rust file.
fn rust_findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let at = |line: usize| format!("{path}:{}", line + 1);
    let product = path.starts_with("src/") || path.starts_with("codec/src/");
    let inside = path.strip_prefix("codec/").unwrap_or(path);
    let own_unsafe = inside.starts_with("src/sys/") || inside == "src/sys.rs";
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{path}: {lines} lines, at most {LINES_MAX}: split it"));
    }
    if !text.starts_with("//!") {
        findings.push(format!("{path}: does not begin by saying what it is (//!)"));
    }
    let code = code_only(text);
    for (number, line) in code.lines().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        if product && !own_unsafe && words.contains(&"unsafe") {
            findings.push(format!("{}: unsafe outside src/sys", at(number)));
        }
    }
    for (position, _) in code.match_indices("[allow(").filter(|_| product && !own_unsafe) {
        let attribute = code[position..].split(']').next().unwrap();
        if !attribute.contains("reason =") {
            findings.push(format!("{}: #[allow] without a reason", at(code[..position].matches('\n').count())));
        }
    }
    findings
}

#[test]
fn rust_files_keep_the_rules() {
    let sources =
        files("src").into_iter().chain(files("codec")).chain(files("tests/it")).filter(|f| f.path.ends_with(".rs"));
    let found: Vec<String> = sources.flat_map(|f| rust_findings(&f.path, &f.text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn broken_rust_files_are_seen() {
    let long = "//! x\n".repeat(LINES_MAX + 1);
    let cases: [(&str, &str, &[&str]); 8] = [
        ("src/a.rs", &long, &["src/a.rs: 601 lines, at most 600: split it"]),
        ("src/a.rs", "fn a() {}", &["src/a.rs: does not begin by saying what it is (//!)"]),
        ("src/a.rs", "//! x\nunsafe { b() }", &["src/a.rs:2: unsafe outside src/sys"]),
        ("src/a.rs", "//! unsafe\n#![deny(unsafe_code)] // unsafe\n", &[]),
        ("src/sys/a.rs", "//! x\n#![allow(unsafe_code)]\nunsafe { b() }", &[]),
        ("src/a.rs", "//! x\n\n#[allow(dead_code)]", &["src/a.rs:3: #[allow] without a reason"]),
        ("src/a.rs", "//! x\n#[allow(\n    dead_code,\n    reason = \"y\"\n)]", &[]),
        ("tests/it/a.rs", "//! x\n#[allow(dead_code)] unsafe {}", &[]),
    ];
    for (path, text, expected) in cases {
        assert_eq!(rust_findings(path, text), expected, "{path}: {text}");
    }
}

/// Rules for every text file of the project.
fn text_findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    // Put together here, so that this file does not hold what it looks for.
    let debts = ["TO", "FIX"].map(|start| format!("{start}{}", if start == "TO" { "DO" } else { "ME" }));
    let places = [("work", "main"), ("work", "shared"), ("work", "wt"), ("work", "tmp"), ("work", "steering")]
        .into_iter()
        .chain([("farm", "in"), ("root", ".cargo"), ("root", ".rustup")])
        .map(|(a, b)| format!("/{a}/{b}"));
    let needles: Vec<String> = places.chain([format!("deb.{}", "debian.org")]).collect();
    for (number, line) in text.lines().enumerate() {
        let mut report = |what: String| findings.push(format!("{path}:{}: {what}", number + 1));
        for debt in &debts {
            let conditioned = |rest: &str| rest.starts_with('(') && !rest.starts_with("()") && rest.contains("):");
            if line.match_indices(debt.as_str()).any(|(at, _)| !conditioned(&line[at + debt.len()..])) {
                report(format!("{debt} without '(what ends it):'"));
            }
        }
        if let Some(needle) = needles.iter().find(|n| line.contains(n.as_str())) {
            report(format!("'{needle}' is a place of one machine"));
        }
        for (at, _) in line.match_indices("://") {
            let rest = line[at + 3..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || ".-:".contains(c));
            if ["/debian", "/simple"].iter().any(|p| rest.starts_with(p)) && rest.len() < line[at + 3..].len() {
                report("the address of a package mirror".to_owned());
            }
        }
    }
    findings
}

#[test]
fn text_files_name_no_machine_and_no_debts() {
    let found: Vec<String> = files("").iter().flat_map(|f: &SourceFile| text_findings(&f.path, &f.text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn machines_and_debts_are_seen() {
    let (fixme, place) = (["FIX", "ME"].concat(), ["/work", "/main"].concat());
    let cases = [
        (format!("a\n// {fixme}: later"), vec![format!("x:2: {fixme} without '(what ends it):'")]),
        (format!("// {fixme}(kernel 5.6): use openat2"), vec![]),
        (format!("cd {place}"), vec![format!("x:1: '{place}' is a place of one machine")]),
        (format!("https:{}mirror.example/debian/pool", "//"), vec!["x:1: the address of a package mirror".to_owned()]),
        ("grep -E '://.*/debian'; https://example.org/docs".to_owned(), vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(text_findings("x", &text), expected, "{text}");
    }
}
