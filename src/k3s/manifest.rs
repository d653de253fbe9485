//! Manifests: JSON files with places to fill in, and the comparison with what the cluster has.

use crate::json::{Data, Value};

/// `template` with every `"${name}"`, quotes included, replaced by the JSON value that stands for it.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, json)| text.replace(&format!("\"${{{name}}}\""), json))
}

/// Several objects as one.
pub fn list_of(objects: &[String]) -> String {
    format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}", objects.join(","))
}

/// Path of the first thing that `wanted` says and `found` does not. `None`: all of it is there; `found` may have more.
pub fn lacks(found: &Value, wanted: &Value) -> Option<String> {
    match (&found.data, &wanted.data) {
        (_, Data::Object(members)) => members.iter().find_map(|member| {
            let key = &member.key;
            match found.get(key) {
                Some(inner) => lacks(inner, &member.value).map(|rest| format!("{key}{}{rest}", dot(&rest))),
                // What is empty may be left out, and text that was written is only read back in another form.
                None if is_empty(&member.value) || key == "stringData" => None,
                None => Some(key.clone()),
            }
        }),
        (Data::List(found), Data::List(wanted)) => {
            let there = |want: &Value| found.iter().any(|item| lacks(item, want).is_none());
            wanted.iter().position(|want| !there(want)).map(|at| format!("[{at}]"))
        }
        (found, wanted) => (found != wanted).then(String::new),
    }
}

fn dot(rest: &str) -> &'static str {
    if rest.is_empty() || rest.starts_with('[') { "" } else { "." }
}

fn is_empty(value: &Value) -> bool {
    match &value.data {
        Data::Text(text) => text.is_empty(),
        Data::List(items) => items.is_empty(),
        Data::Object(members) => members.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Text, read};

    #[test]
    fn places_are_filled_whatever_is_put_in() {
        let template = r#"{"a":"${x}","b":["${x}","${y}"]}"#;
        let filled = fill(template, &[("x", Text("q\"}").to_string()), ("y", "[1,2]".into())]);
        assert_eq!(filled, r#"{"a":"q\"}","b":["q\"}",[1,2]]}"#);
    }

    #[test]
    fn what_is_set_is_compared_and_nothing_else() {
        let live = r#"{"a":{"b":1,"x":2},"l":[{"name":"c","args":["1","2"],"y":0}],"s":"t"}"#;
        for (wanted, lack) in [
            (r#"{"a":{"b":1},"l":[{"name":"c","args":["2"]}]}"#, None),
            (r#"{"a":{"e":"","f":[]},"stringData":{"k":"v"}}"#, None),
            (r#"{"a":{"b":2}}"#, Some("a.b")),
            (r#"{"a":{"c":{"d":1}}}"#, Some("a.c")),
            (r#"{"l":[{"name":"c","args":["3"]}]}"#, Some("l[0]")),
            (r#"{"s":{"deep":1}}"#, Some("s.deep")),
        ] {
            let (live, wanted) = (read(live.as_bytes(), 999).unwrap(), read(wanted.as_bytes(), 999).unwrap());
            assert_eq!(lacks(&live, &wanted).as_deref(), lack);
        }
    }
}
