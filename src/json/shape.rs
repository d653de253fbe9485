//! A schema as a table, and the check of a [`Value`] against it: every fault at once, each with its place.

use super::error::{JsonError, Reason};
use super::value::{Data, Number, Value};
use crate::gather::{Gather, Grow};

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text.
    Text,
    /// A whole number from 0 on.
    Whole,
    /// `true` or `false`.
    Flag,
    /// A list whose items all have one shape.
    List(&'static Shape),
    /// An object with these keys and no others; none of them must be there.
    Object(&'static [Key]),
    /// An object with any keys, whose values all have one shape.
    Map(&'static Shape),
    /// Anything.
    Any,
}

/// A key that an object may have.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be; `null` always may, and means the same as leaving the key out.
    pub shape: Shape,
}

impl Shape {
    /// Every fault of `value`, in the order of the text; empty if it fits.
    ///
    /// ```
    /// use edgelay::json::{self, Key, Shape};
    /// const NODE: Shape = Shape::Object(&[Key { name: "name", shape: Shape::Text }]);
    /// const FILE: Shape = Shape::Object(&[Key { name: "node", shape: NODE }]);
    /// let value = json::read(b"{\"node\":\n  {\"foo\":1}}", 100)?;
    /// let faults = FILE.check(&value);
    /// assert_eq!(faults[0].to_string(), "line 2, column 4: unknown key 'foo' in 'node'; known keys: name");
    /// # Ok::<(), json::JsonError>(())
    /// ```
    pub fn check(&self, value: &Value) -> Vec<JsonError> {
        match (self, &value.data) {
            (Shape::Any, _) | (_, Data::Null) => Vec::new(),
            (Shape::Text, Data::Text(_)) | (Shape::Flag, Data::Bool(_)) => Vec::new(),
            (Shape::Whole, Data::Number(Number::Whole(_))) => Vec::new(),
            (Shape::List(shape), Data::List(items)) => {
                let faults = items.iter().map(|item| shape.check(item)).enumerate();
                faults.flat_map(|(i, faults)| faults.into_iter().map(move |e| e.inside_item(i))).gather()
            }
            (Shape::Map(shape), Data::Object(members)) => {
                let faults = members.iter().map(|m| (&m.key, shape.check(&m.value)));
                faults.flat_map(|(key, faults)| faults.into_iter().map(|e| e.inside(key))).gather()
            }
            (Shape::Object(keys), Data::Object(members)) => {
                let mut faults = Vec::new();
                for member in members {
                    match keys.iter().find(|key| key.name == member.key) {
                        Some(key) => {
                            let inner = key.shape.check(&member.value);
                            faults.add_all(inner.into_iter().map(|e| e.inside(&member.key)));
                        }
                        None => {
                            let known = keys.iter().map(|key| key.name).gather();
                            faults.push(JsonError::new(member.place, Reason::Unknown(member.key.clone(), known)));
                        }
                    }
                }
                faults
            }
            _ => vec![value.not(self.name())],
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Shape::Text => "text",
            Shape::Whole => "a whole number",
            Shape::Flag => "true or false",
            Shape::List(_) => "a list",
            Shape::Object(_) | Shape::Map(_) => "an object",
            Shape::Any => "anything",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read;

    #[test]
    fn all_faults_at_once() {
        const TAINT: Shape = Shape::Object(&[Key { name: "key", shape: Shape::Text }]);
        const FILE: Shape = Shape::Object(&[
            Key { name: "port", shape: Shape::Whole },
            Key { name: "on", shape: Shape::Flag },
            Key { name: "labels", shape: Shape::Map(&Shape::Text) },
            Key { name: "taints", shape: Shape::List(&TAINT) },
            Key { name: "free", shape: Shape::Any },
        ]);
        let check = |text: &str| -> Vec<String> {
            FILE.check(&read(text.as_bytes(), 1000).unwrap()).iter().map(ToString::to_string).collect()
        };
        let fine = r#"{"port":1,"on":true,"labels":{"a":"b"},"taints":[{"key":"x"},{}],"free":[{}]}"#;
        assert_eq!(check(fine), [""; 0]);
        assert_eq!(check(r#"{"port":null}"#), [""; 0]);
        let bad = "{\"port\":-1,\n\"on\":\"yes\",\n\"labels\":{\"a\":1},\n\"taints\":[{},{\"kye\":1}],\n\"x\":0}";
        assert_eq!(
            check(bad),
            [
                "line 1, column 9: 'port' must be a whole number, found the number -1",
                "line 2, column 6: 'on' must be true or false, found text",
                "line 3, column 15: 'labels.a' must be text, found a number",
                "line 4, column 15: unknown key 'kye' in 'taints[1]'; known keys: key",
                "line 5, column 1: unknown key 'x'; known keys: port, on, labels, taints, free",
            ]
        );
    }
}
