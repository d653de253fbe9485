//! A configuration as text: `--show-config`, and the file that would say the same.

use crate::gather::{Gather, Grow};

use crate::json::Text;

use super::check::shown;
use super::file::SCHEMA;
use super::keys::{ConfigRef, Of, Table};
use super::resolve::Origins;
use super::value::{Form, Raw};
use super::{CloudConfig, EdgeConfig, Key};

/// One line per key: key, value, origin. For people.
pub fn show_text<'a>(config: impl Into<ConfigRef<'a>>, origins: &Origins) -> String {
    let config = config.into();
    let rows: Vec<[String; 3]> = origins
        .iter()
        .map(|(key, origin)| {
            let value = key.show(config).map(|raw| shown(&raw.to_string())).unwrap_or_default();
            let value = if value.is_empty() { "-".to_owned() } else { value };
            [key.path.to_owned(), value, origin.to_string()]
        })
        .gather();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|s| s.chars().count()).max();
    let (first, second) = (width(0).unwrap_or_default(), width(1).unwrap_or_default());
    rows.iter().map(|[key, value, origin]| format!("{key:first$}  {value:second$}  {origin}\n")).gather()
}

/// The same as one line of JSON, version 1.
pub fn show_json<'a>(config: impl Into<ConfigRef<'a>>, origins: &Origins) -> String {
    let config = config.into();
    let settings: Vec<String> = origins
        .iter()
        .map(|(key, origin)| {
            let value = key.show(config).map_or("null".to_owned(), |raw| json(key, &raw));
            let (word, place) = (Text(origin.word()), origin.place());
            format!("{}:{{\"value\":{value},\"origin\":{word},\"place\":{}}}", Text(key.path), Text(&place))
        })
        .gather();
    format!("{{\"schema\":{SCHEMA},\"settings\":{{{}}}}}\n", settings.join(","))
}

/// A configuration file that says what `config` says, without the values that are the defaults.
pub fn render_file<'a>(config: impl Into<ConfigRef<'a>>) -> String {
    match config.into() {
        Of::Edge(config) => render(Table::EDGE, config.into(), (&EdgeConfig::default()).into()),
        Of::Cloud(config) => render(Table::CLOUD, config.into(), (&CloudConfig::default()).into()),
    }
}

fn render(table: Table, config: ConfigRef<'_>, default: ConfigRef<'_>) -> String {
    let mut out = format!("{{\n  \"schema\": {SCHEMA}");
    let mut open = None;
    for key in table.keys() {
        let Some(raw) = key.show(config).filter(|raw| key.show(default).as_ref() != Some(raw)) else { continue };
        let (group, name) = match key.path.split_once('.') {
            Some((group, name)) => (Some(group), name),
            None => (None, key.path),
        };
        if open.is_some() && open != group {
            out.push_str("\n  }");
        }
        match group {
            Some(group) if open != Some(group) => {
                out.grow(format_args!(",\n  {}: {{", Text(group)));
            }
            _ => out.push(','),
        }
        let indent = if group.is_some() { "    " } else { "  " };
        out.grow(format_args!("\n{indent}{}: {}", Text(name), json(key, &raw)));
        open = group;
    }
    if open.is_some() {
        out.push_str("\n  }");
    }
    out.push_str("\n}\n");
    out
}

fn json(key: &Key, raw: &Raw) -> String {
    match raw {
        Raw::One(text) if matches!(key.form, Form::Number | Form::Switch) => text.clone(),
        Raw::One(text) => Text(text).to_string(),
        Raw::List(items) => {
            let items: Vec<String> = items.iter().map(|item| Text(item).to_string()).gather();
            format!("[{}]", items.join(","))
        }
        Raw::Map(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{}:{}", Text(k), Text(v))).gather();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{parse_file, resolve};

    const FILE: &str = r#"{
  "schema": 1,
  "cloud": {
    "host": "10.0.0.1",
    "cert_port": 30002
  },
  "node": {
    "labels": {"a":"1","b":""},
    "taints": ["a=b:NoSchedule"]
  },
  "mqtt": true,
  "join_timeout": "90s"
}
"#;

    #[test]
    fn a_file_comes_back_as_it_was() {
        let settings = parse_file(FILE.as_bytes(), "e.json").unwrap();
        let resolved = resolve(&[&settings], None).unwrap();
        assert_eq!(render_file(&*resolved.config), FILE);
        let nothing = render_file(&EdgeConfig::default());
        assert_eq!(nothing, "{\n  \"schema\": 1\n}\n");
        assert_eq!(parse_file(nothing.as_bytes(), "e.json").unwrap().len(), 0);
    }

    #[test]
    fn shown_with_origins() {
        let settings = parse_file(FILE.as_bytes(), "e.json").unwrap();
        let resolved = resolve(&[&settings], Some("edge-7")).unwrap();
        let text = show_text(&*resolved.config, &resolved.origins);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), Table::EDGE.keys().len());
        assert_eq!(lines[0], "cloud.host              10.0.0.1                         file e.json:4:13");
        assert_eq!(lines[1], "cloud.websocket_port    10000                            default");
        assert_eq!(lines[3], "token_file              -                                default");
        assert_eq!(lines[4], "node.name               edge-7                           hostname");
        let json: serde_json::Value = serde_json::from_str(&show_json(&*resolved.config, &resolved.origins)).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(
            json["settings"]["node.labels"],
            serde_json::json!({"value": {"a": "1", "b": ""}, "origin": "file", "place": "e.json:8:15"})
        );
        assert_eq!(json["settings"]["node.ip"], serde_json::json!({"value": null, "origin": "default", "place": ""}));
    }
}
