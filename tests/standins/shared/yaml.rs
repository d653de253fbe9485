//! As much YAML as EdgeCore's configuration needs: block maps and lists, plain and quoted scalars, `{}` and `[...]`.

use std::collections::BTreeMap;

/// A value; maps are kept sorted, as the real programs write them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Str(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

impl Yaml {
    pub(crate) fn map() -> Yaml {
        Yaml::Map(BTreeMap::new())
    }

    /// The value at a dotted path of keys.
    pub(crate) fn at(&self, path: &str) -> Option<&Yaml> {
        path.split('.').try_fold(self, |value, key| match value {
            Yaml::Map(map) => map.get(key),
            _ => None,
        })
    }

    /// The place at a path of keys; maps on the way are made.
    pub(crate) fn place(&mut self, path: &[&str]) -> &mut Yaml {
        path.iter().fold(self, |value, key| {
            if !matches!(value, Yaml::Map(_)) {
                *value = Yaml::map();
            }
            match value {
                Yaml::Map(map) => map.entry((*key).to_string()).or_insert(Yaml::Null),
                _ => unreachable!("made a map above"),
            }
        })
    }

    pub(crate) fn text(&self, path: &str) -> String {
        match self.at(path) {
            Some(Yaml::Str(text)) => text.clone(),
            Some(Yaml::Int(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn is_true(&self, path: &str) -> bool {
        self.at(path) == Some(&Yaml::Bool(true))
    }

    /// Lays `top` over this value: maps are merged, everything else is replaced.
    pub(crate) fn overlay(&mut self, top: Yaml) {
        match (self, top) {
            (Yaml::Map(under), Yaml::Map(over)) => {
                for (key, value) in over {
                    under.entry(key).or_insert(Yaml::Null).overlay(value);
                }
            }
            (under, over) => *under = over,
        }
    }

    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        write_block(&mut out, self, 0);
        out
    }
}

fn write_block(out: &mut String, value: &Yaml, indent: usize) {
    let pad = " ".repeat(indent);
    match value {
        Yaml::Map(map) => {
            for (key, value) in map {
                out.push_str(&format!("{pad}{}:", scalar(&Yaml::Str(key.clone()))));
                write_after(out, value, indent, false);
            }
        }
        Yaml::List(list) => {
            for value in list {
                out.push_str(&format!("{pad}-"));
                write_after(out, value, indent, true);
            }
        }
        other => out.push_str(&format!("{pad}{}\n", scalar(other))),
    }
}

/// What follows a `key:` or a `-`.
fn write_after(out: &mut String, value: &Yaml, indent: usize, in_list: bool) {
    match value {
        Yaml::Map(map) if !map.is_empty() && in_list => {
            let mut inner = String::new();
            write_block(&mut inner, value, indent + 2);
            out.push_str(&format!(" {}", inner.trim_start()));
        }
        Yaml::Map(map) if !map.is_empty() => {
            out.push('\n');
            write_block(out, value, indent + 2);
        }
        // a list stands at the level of its key
        Yaml::List(list) if !list.is_empty() => {
            out.push('\n');
            write_block(out, value, indent);
        }
        other => out.push_str(&format!(" {}\n", scalar(other))),
    }
}

fn scalar(value: &Yaml) -> String {
    match value {
        Yaml::Null => "null".into(),
        Yaml::Bool(b) => b.to_string(),
        Yaml::Int(n) => n.to_string(),
        Yaml::List(_) => "[]".into(),
        Yaml::Map(_) => "{}".into(),
        Yaml::Str(text) => {
            let plain = matches!(plain(text), Yaml::Str(_))
                && !text.is_empty()
                && text.trim() == text
                && text.parse::<f64>().is_err()
                && !text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@`".contains(c))
                && !text.contains(": ")
                && !text.contains(" #")
                && !text.ends_with(':')
                && !text.contains('\n');
            if plain { text.clone() } else { format!("{text:?}") }
        }
    }
}

fn plain(text: &str) -> Yaml {
    match text {
        "" | "null" | "~" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        _ => text.parse().map(Yaml::Int).unwrap_or_else(|_| Yaml::Str(text.into())),
    }
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Yaml, String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let line = without_comment(line);
        let body = line.trim_start();
        if body.is_empty() || body == "---" {
            continue;
        }
        if line.starts_with('\t') {
            return Err("found character that cannot start any token".into());
        }
        lines.push((line.len() - body.len(), body.trim_end().to_string()));
    }
    let mut at = 0;
    let value = if lines.is_empty() { Yaml::Null } else { block(&mut lines, &mut at, 0)? };
    if at < lines.len() { Err(format!("did not find expected key: {:?}", lines[at].1)) } else { Ok(value) }
}

fn without_comment(line: &str) -> String {
    let mut quote = None;
    let mut before = ' ';
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return line[..i].trim_end().to_string(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    line.to_string()
}

fn block(lines: &mut Vec<(usize, String)>, at: &mut usize, least: usize) -> Result<Yaml, String> {
    let Some((indent, first)) = lines.get(*at).cloned() else { return Ok(Yaml::Null) };
    if indent < least {
        return Ok(Yaml::Null);
    }
    if first == "-" || first.starts_with("- ") { list(lines, at, indent) } else { mapping(lines, at, indent) }
}

fn list(lines: &mut Vec<(usize, String)>, at: &mut usize, indent: usize) -> Result<Yaml, String> {
    let mut items = Vec::new();
    while let Some((here, body)) = lines.get(*at).cloned() {
        if here != indent || !(body == "-" || body.starts_with("- ")) {
            break;
        }
        let rest = body[1..].trim_start().to_string();
        if rest.is_empty() {
            *at += 1;
            items.push(block(lines, at, indent + 1)?);
        } else if key_of(&rest).is_some() {
            // the item is a map whose first key stands behind the dash
            lines[*at] = (indent + body.len() - rest.len(), rest);
            items.push(block(lines, at, indent + 1)?);
        } else {
            *at += 1;
            items.push(flow(&rest)?);
        }
    }
    Ok(Yaml::List(items))
}

fn mapping(lines: &mut Vec<(usize, String)>, at: &mut usize, indent: usize) -> Result<Yaml, String> {
    let mut map = BTreeMap::new();
    while let Some((here, body)) = lines.get(*at).cloned() {
        if here != indent || body.starts_with("- ") {
            break;
        }
        let (key, rest) = key_of(&body).ok_or_else(|| format!("could not find expected ':' in {body:?}"))?;
        *at += 1;
        let value = if !rest.is_empty() {
            flow(&rest)?
        } else {
            match lines.get(*at) {
                Some((next, body)) if *next == indent && body.starts_with("- ") => list(lines, at, indent)?,
                _ => block(lines, at, indent + 1)?,
            }
        };
        if map.insert(key.clone(), value).is_some() {
            return Err(format!("key {key:?} already set in map"));
        }
    }
    Ok(Yaml::Map(map))
}

fn key_of(body: &str) -> Option<(String, String)> {
    let (key, rest) = if body.starts_with('"') || body.starts_with('\'') {
        let end = body[1..].find(&body[..1])? + 1;
        (body[1..end].to_string(), body[end + 1..].strip_prefix(':')?)
    } else {
        let colon = body.find(": ").or_else(|| body.ends_with(':').then(|| body.len() - 1))?;
        (body[..colon].to_string(), &body[colon + 1..])
    };
    Some((key, rest.trim().to_string()))
}

fn flow(text: &str) -> Result<Yaml, String> {
    if text == "{}" {
        return Ok(Yaml::map());
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Ok(Yaml::List(items.map(flow).collect::<Result<_, _>>()?));
    }
    if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        return Ok(Yaml::Str(inner.replace("''", "'")));
    }
    if text.starts_with('"') {
        // what this family of programs puts into double quotes is JSON, too
        return serde_json::from_str(text).map(Yaml::Str).map_err(|e| format!("{text}: {e}"));
    }
    if text.starts_with(['{', '&', '*', '!', '|', '>']) {
        return Err(format!("{text:?}: more YAML than this stand-in reads"));
    }
    Ok(plain(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = "\
a: true
b:
  c: 12
  d: text with spaces
  e: \"12\"
  f: \"\"
l:
- x
- key: k
  value: v
m: {}
n: []
";
        let value = parse(text).unwrap();
        assert_eq!(value.render(), text);
        assert_eq!(value.at("b.c"), Some(&Yaml::Int(12)));
        assert_eq!(value.text("b.e"), "12");
        assert_eq!(value.at("b.zz"), None);
    }

    #[test]
    fn forms_people_write_are_read() {
        let value = parse("# head\na: [x, 'y: z']  # tail\nb:\n  - 1\n  - 2\nc: 'it''s'\nd:\n").unwrap();
        let list = |items: &[Yaml]| Yaml::List(items.to_vec());
        assert_eq!(value.at("a"), Some(&list(&[Yaml::Str("x".into()), Yaml::Str("y: z".into())])));
        assert_eq!(value.at("b"), Some(&list(&[Yaml::Int(1), Yaml::Int(2)])));
        assert_eq!(value.text("c"), "it's");
        assert_eq!(value.at("d"), Some(&Yaml::Null));
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        for bad in ["a", "a: 1\na: 2", "a: {b: 1}", "\ta: 1", "a:\n  b: 1\n c: 2"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
