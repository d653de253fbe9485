//! The configuration file: JSON text → settings, each with its place.

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::json::{self, Data, Number, Place, Value};

use super::check::shown;
use super::keys::{Key, Table};
use super::nearest;
use super::resolve::{Origin, Setting};
use super::value::{Form, Raw};

/// The version of the file's shape. A file without `schema` is of this version.
pub const SCHEMA: u64 = 1;

/// A configuration with 64 labels of full length has 25 KiB.
pub const MAX_FILE: usize = 64 << 10;

/// Takes the settings of an edge node out of `text`, the content of the file that the user calls `name`.
///
/// Unknown keys are refused, and so is what cannot be a setting of ours; whether a value is good is seen later.
pub fn parse_file(text: &[u8], name: &str) -> Result<Vec<Setting>> {
    parse_file_of(Table::EDGE, text, name)
}

/// [`parse_file`] for any table.
pub fn parse_file_of(table: Table, text: &[u8], name: &str) -> Result<Vec<Setting>> {
    let file = File { name, table };
    // Editors of Windows put a byte order mark in front, which may be ignored (RFC 8259 section 8.1).
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let tree = json::read(text, MAX_FILE).map_err(|e| Error::new(Kind::Config, format_args!("'{name}', {e}")))?;
    let mut settings = Vec::new();
    file.object(&tree, "", &mut settings)?;
    Ok(settings)
}

struct File<'a> {
    name: &'a str,
    table: Table,
}

impl File<'_> {
    fn fault(&self, place: Place, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Config, format_args!("'{}', {place}: {what}", self.name))
    }

    /// `inside` is the path of this object: empty, or such as `cloud`.
    fn object(&self, value: &Value, inside: &str, settings: &mut Vec<Setting>) -> Result<()> {
        let Data::Object(members) = &value.data else {
            let object = if inside.is_empty() { "the configuration".into() } else { format!("'{inside}'") };
            return Err(self.fault(value.place, format!("{object} must be an object, found {}", value.data.name())));
        };
        for member in members {
            let path = if inside.is_empty() { member.key.clone() } else { format!("{inside}.{}", member.key) };
            // Not every member's name can be a part of a path: `{"cloud.host": …}` is not `{"cloud": {"host": …}}`.
            let dotted = member.key.contains('.');
            let known = self.table.keys().iter().find(|key| !dotted && key.path == path);
            let group = self
                .table
                .keys()
                .iter()
                .any(|key| !dotted && key.path.strip_prefix(&path).is_some_and(|k| k.starts_with('.')));
            match known {
                // As if it were not there.
                _ if (known.is_some() || group) && member.value.is_null() => {}
                Some(key) => settings.push(self.setting(key, &member.value)?),
                None if group => self.object(&member.value, &path, settings)?,
                None if path == "schema" => self.schema(&member.value)?,
                None => return Err(self.unknown(member.place, &path)),
            }
        }
        Ok(())
    }

    fn schema(&self, value: &Value) -> Result<()> {
        match value.data {
            Data::Number(Number::Whole(SCHEMA)) => Ok(()),
            Data::Number(Number::Whole(other)) => Err(self
                .fault(value.place, format!("schema {other} is not known, this edgelay reads schema {SCHEMA}"))
                .hint("use the edgelay that this file was written for, or a newer one")),
            _ => Err(self.fault(value.place, format!("'schema' must be {SCHEMA}, found {}", value.data.name()))),
        }
    }

    fn setting(&self, key: &'static Key, value: &Value) -> Result<Setting> {
        let raw = match (key.form, &value.data) {
            (Form::Text | Form::Duration, Data::Text(text)) => Raw::One(text.clone()),
            (Form::Number | Form::Duration, Data::Number(Number::Whole(number))) => Raw::One(number.to_string()),
            (Form::Switch, Data::Bool(switch)) => Raw::One(switch.to_string()),
            (Form::List, Data::List(items)) => {
                let texts = items.iter().map(|item| self.text(key, item));
                Raw::List(texts.gather::<Result<_>>()?)
            }
            (Form::Map, Data::Object(members)) => {
                let pairs = members.iter().map(|m| Ok((m.key.clone(), self.text(key, &m.value)?)));
                Raw::Map(pairs.gather::<Result<_>>()?)
            }
            (form, data) => {
                let what = format!("'{}' must be {}, found {}", key.path, form.json_type(), data.name());
                return Err(self.fault(value.place, what));
            }
        };
        let origin = Origin::File { name: self.name.to_owned(), line: value.place.line, column: value.place.column };
        Ok(Setting { key, raw, origin })
    }

    fn text(&self, key: &Key, value: &Value) -> Result<String> {
        match &value.data {
            Data::Text(text) => Ok(text.clone()),
            data => {
                let what = format!("'{}' must be {}, found {} in it", key.path, key.form.json_type(), data.name());
                Err(self.fault(value.place, what))
            }
        }
    }

    fn unknown(&self, place: Place, path: &str) -> Error {
        let e = self.fault(place, format!("unknown key '{}'", shown(path)));
        if matches!(path.rsplit('.').next(), Some("token")) {
            return e.hint("write the token to a file that only root can read, and name that file in 'token_file'");
        }
        let keys = self.table.keys();
        if let Some((group, name)) = path.split_once('.').filter(|_| keys.iter().any(|key| key.path == path)) {
            return e.hint(format_args!("write {{\"{group}\": {{\"{name}\": …}}}}"));
        }
        let flag = path.replace('_', "-");
        let alias = keys.iter().find(|key| key.known_as.contains(&flag.as_str())).map(|key| key.path);
        let mut known: Vec<&str> = keys.iter().map(|key| key.path).gather();
        known.push("schema");
        // `{"host": …}` at the top is `cloud.host`, but a name alone says little: only a full match counts.
        let bare = keys.iter().map(|key| key.path).find(|known| known.rsplit('.').next() == Some(path));
        match alias.or_else(|| nearest(path, &known)).or(bare) {
            Some(near) => e.hint(format_args!("did you mean '{near}'?")),
            None if self.table == Table::CLOUD => {
                e.hint("docs/config-cloud.md and 'edgelay help cloud install' list every key")
            }
            None => e.hint("docs/config.md and 'edgelay help edge install' list every key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Setting>> {
        parse_file(text.as_bytes(), "e.json")
    }

    #[test]
    fn every_form_is_read_with_its_place() {
        let text = "{\n \"schema\": 1,\n \"cloud\": {\"host\": \"10.0.0.1\", \"cert_port\": 30002},\n \
                    \"node\": {\"labels\": {\"a\": \"1\"}, \"taints\": [\"a:NoSchedule\"], \"ip\": null},\n \
                    \"mqtt\": true, \"join_timeout\": 300\n}";
        let settings = parse(text).unwrap();
        let list: Vec<String> = settings.iter().map(|s| format!("{}={} {}", s.key.path, s.raw, s.origin)).collect();
        assert_eq!(
            list,
            [
                "cloud.host=10.0.0.1 file e.json:3:20",
                "cloud.cert_port=30002 file e.json:3:45",
                "node.labels=a=1 file e.json:4:21",
                "node.taints=a:NoSchedule file e.json:4:43",
                "mqtt=true file e.json:5:10",
                "join_timeout=300 file e.json:5:32",
            ]
        );
    }

    #[test]
    fn a_byte_order_mark_says_nothing() {
        assert_eq!(parse("\u{feff}{\"mqtt\": true}").unwrap().len(), 1);
        assert!(parse("\u{feff}\u{feff}{}").is_err() && parse("{}\u{feff}").is_err());
    }

    #[test]
    fn faults_have_place_and_advice() {
        let no_hint = "";
        let list = "docs/config.md and 'edgelay help edge install' list every key";
        let token = "write the token to a file that only root can read, and name that file in 'token_file'";
        for (text, what, hint) in [
            ("[]", "line 1, column 1: the configuration must be an object, found a list", no_hint),
            ("{\n\"pod_cdir\": 1}", "line 2, column 1: unknown key 'pod_cdir'", "did you mean 'pod_cidr'?"),
            (r#"{"cloud": {"hots": 1}}"#, "line 1, column 12: unknown key 'cloud.hots'", "did you mean 'cloud.host'?"),
            (r#"{"host": 1}"#, "line 1, column 2: unknown key 'host'", "did you mean 'cloud.host'?"),
            (r#"{"labels": {}}"#, "line 1, column 2: unknown key 'labels'", "did you mean 'node.labels'?"),
            (r#"{"edgenode_name": "a"}"#, "line 1, column 2: unknown key 'edgenode_name'", "did you mean 'node.name'?"),
            (
                r#"{"cloud.host": "a"}"#,
                "line 1, column 2: unknown key 'cloud.host'",
                "write {\"cloud\": {\"host\": …}}",
            ),
            (r#"{"registry": "a"}"#, "line 1, column 2: unknown key 'registry'", list),
            (r#"{"token": "a"}"#, "line 1, column 2: unknown key 'token'", token),
            (r#"{"cloud": {"token": "a"}}"#, "line 1, column 12: unknown key 'cloud.token'", token),
            (r#"{"cloud": "a"}"#, "line 1, column 11: 'cloud' must be an object, found text", no_hint),
            (r#"{"mqtt": "on"}"#, "line 1, column 10: 'mqtt' must be true or false, found text", no_hint),
            (
                r#"{"node": {"labels": {"a": 1}}}"#,
                "line 1, column 27: 'node.labels' must be an object of strings, found a number in it",
                no_hint,
            ),
            (
                r#"{"cloud": {"cert_port": 1e4}}"#,
                "line 1, column 25: 'cloud.cert_port' must be a whole number such as 10000, found a number",
                no_hint,
            ),
            (
                r#"{"join_timeout": -1}"#,
                "line 1, column 18: 'join_timeout' must be a whole number of seconds or a string such as \"5m\", found a number",
                no_hint,
            ),
            (r#"{"schema": 1.0}"#, "line 1, column 12: 'schema' must be 1, found a number", no_hint),
            (r#"{"mqtt": true, "mqtt": true}"#, "line 1, column 16: key 'mqtt' is there twice", no_hint),
            (
                r#"{"schema": 2}"#,
                "line 1, column 12: schema 2 is not known, this edgelay reads schema 1",
                "use the edgelay that this file was written for, or a newer one",
            ),
            ("{", "line 1, column 2: expected a key in double quotes, found the end of the text", no_hint),
        ] {
            let e = parse(text).unwrap_err();
            assert_eq!(e.to_string(), format!("'e.json', {what}"), "{text}");
            assert_eq!(e.hint_text().unwrap_or_default(), hint, "{text}");
            assert_eq!(e.kind(), Kind::Config);
        }
    }

    #[test]
    fn no_damage_of_the_file_is_more_than_an_error() {
        let good = "{\"schema\": 1, \"cloud\": {\"host\": \"h\", \"cert_port\": 3}, \"token_file\": \"/t\", \"node\": \
                    {\"name\": \"n\", \"labels\": {\"a\": \"1\"}, \"taints\": [\"a:NoSchedule\"]}, \"pod_cidr\": \"10.0.0.0/8\", \
                    \"join_timeout\": 5}";
        for at in 0..good.len() {
            for byte in [b'"', b'{', b'}', b'[', b',', b':', b'9', b'-', b'.', b'\\', 0, 0xff] {
                let mut bad = good.as_bytes().to_vec();
                bad[at] = byte;
                if let Err(e) = parse_file(&bad, "e.json").and_then(|s| crate::config::resolve(&[&s], Some("x"))) {
                    assert_eq!(e.kind(), Kind::Config, "{e}");
                    assert!(!e.to_string().contains(char::is_control), "{e:?}");
                }
                let cut = parse_file(&good.as_bytes()[..at], "e.json");
                assert!(cut.is_err(), "{at}");
            }
        }
    }
}
