//! Which way dependencies point: a module uses its own layer and the ones before it, nothing later.

use super::support::source::{code_only, files};

/// A module stands in the layer of its longest prefix listed here; see DESIGN.md, "Layers".
pub(crate) const LAYERS: [&[&str]; 10] = [
    &["error", "feed", "gather", "ids", "crash", "note", "sorted", "testing"],
    &["base64", "digest", "json", "pb", "rpc::frame", "rpc::hpack", "rpc::flow", "rpc::status", "oci", "archive"],
    &["sys"],
    &["root", "exec", "clock", "report", "unpack", "boot"],
    &["rpc", "board", "config", "host", "images", "bundle", "initramfs"],
    &["containerd", "cni", "k3s", "kubeedge", "service"],
    &["plan"],
    &["steps"],
    &["mode"],
    &["cli", "main", "lib"],
];

fn layer_of(module: &[String]) -> Option<usize> {
    let named = |count: usize| module[..count].join("::");
    (1..=module.len()).rev().find_map(|n| LAYERS.iter().position(|names| names.contains(&named(n).as_str())))
}

/// `src/rpc/frame.rs` is `rpc::frame`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    inner.split('/').map(str::to_owned).collect()
}

/// Identifiers, `::` and single characters.
fn tokens(code: &str) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in code.chars() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        match list.last_mut() {
            Some(last) if (word(c) && word(before)) || (c == ':' && before == ':' && last == ":") => last.push(c),
            _ if c.is_whitespace() => {}
            _ => list.push(c.to_string()),
        }
        before = c;
    }
    list
}

/// The paths of a use tree that begins at `at`: `a::{b, c::d}` gives `a::b` and `a::c::d`. Returns where it ends.
fn use_tree(tokens: &[String], mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            while tokens.get(at).is_some_and(|t| t != "}") {
                at = use_tree(tokens, at + 1, &path, paths);
                while tokens.get(at).is_some_and(|t| t != "," && t != "}") {
                    at += 1; // `as name`
                }
            }
            return at + 1;
        }
        if !token.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            break; // `*`, or the end of a list
        }
        path.push(token.clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t != "::") {
            break;
        }
        at += 1;
    }
    if path.len() > prefix.len() || tokens.get(at).is_some_and(|t| t == "*") {
        paths.push(path);
    }
    at
}

/// Absolute paths (without `crate`) that the code of `module` names. `super` inside `mod tests` means the file
/// itself, so it is followed only in the code before it.
fn named_paths(module: &[String], code: &str) -> Vec<Vec<String>> {
    let product_end = tokens(code.split("#[cfg(test)]").next().unwrap_or_default()).len();
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at + 1 < tokens.len() {
        let starts = tokens[at + 1] == "::" && (at == 0 || tokens[at - 1] != "::");
        let parent = &module[..module.len() - 1];
        let prefix = match tokens[at].as_str() {
            "crate" if starts => Some(&[] as &[String]),
            "super" if starts && at < product_end => Some(parent),
            _ => None,
        };
        at = match prefix {
            Some(prefix) => use_tree(&tokens, at + 2, prefix, &mut paths).max(at + 1),
            None => at + 1,
        };
    }
    paths
}

/// What is wrong with the direction of the file's dependencies.
fn findings(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(own) = layer_of(&module) else { return vec![format!("{path}: module is in no layer")] };
    let mut found = Vec::new();
    for used in named_paths(&module, &code_only(text)) {
        match layer_of(&used) {
            None => found.push(format!("{path}: 'crate::{}' is in no layer", used.join("::"))),
            Some(layer) if layer > own => {
                found.push(format!("{path} (layer {own}) uses 'crate::{}' (layer {layer})", used.join("::")));
            }
            Some(_) => {}
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let rust = files("src").into_iter().filter(|f| f.path.ends_with(".rs"));
    let found: Vec<String> = rust.flat_map(|f| findings(&f.path, &f.text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn wrong_directions_are_seen() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("src/plan/engine.rs", "use crate::{error::Kind, root::Root};", &[]),
        (
            "src/oci.rs",
            "use crate::{error::Kind, plan::{self, Step}};",
            &[
                "src/oci.rs (layer 1) uses 'crate::plan::self' (layer 6)",
                "src/oci.rs (layer 1) uses 'crate::plan::Step' (layer 6)",
            ],
        ),
        (
            "src/digest.rs",
            "fn f() { crate::clock::now() }",
            &["src/digest.rs (layer 1) uses 'crate::clock::now' (layer 3)"],
        ),
        ("src/rpc/frame.rs", "use crate::rpc::{status::Code, flow as f};", &[]),
        (
            "src/rpc/frame.rs",
            "use super::conn::Conn;",
            &["src/rpc/frame.rs (layer 1) uses 'crate::rpc::conn::Conn' (layer 4)"],
        ),
        ("src/rpc/frame.rs", "#[cfg(test)] mod tests { use super::*; }", &[]),
        ("src/oci.rs", "// crate::plan\nconst A: &str = \"crate::plan\";", &[]),
        ("src/oci.rs", "use crate::manager::X;", &["src/oci.rs: 'crate::manager::X' is in no layer"]),
        ("src/manager.rs", "", &["src/manager.rs: module is in no layer"]),
    ];
    for (path, text, expected) in cases {
        assert_eq!(findings(path, text), expected, "{path}: {text}");
    }
}
