//! [`Value`] → types of ours, with the place and the name of what does not fit.
//!
//! By hand and not with serde's derive, which makes a state machine for every type.

use super::error::{JsonError, Reason};
use super::read::read;
use super::value::{Data, Number, Value};
use crate::sorted::Map;

/// What a [`Value`] can be turned into.
pub trait Take: Sized {
    /// Takes it.
    fn take(value: &Value) -> Result<Self, JsonError>;

    /// What it is where there is no value.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a JSON text of at most `limit` bytes into a type.
pub fn parse<T: Take>(bytes: &[u8], limit: usize) -> Result<T, JsonError> {
    T::take(&read(bytes, limit)?)
}

impl Value {
    /// The member `key` of an object, as a type. Only options may be absent.
    pub fn field<T: Take>(&self, key: &'static str) -> Result<T, JsonError> {
        match self.member(key)? {
            Some(value) => T::take(value).map_err(|e| e.inside(key)),
            None => T::absent().ok_or_else(|| JsonError::new(self.place, Reason::Missing(key))),
        }
    }

    /// The member `key`, `null` or not; an error if this is no object.
    fn member(&self, key: &str) -> Result<Option<&Value>, JsonError> {
        Ok(self.members()?.iter().find(|m| m.key == key).map(|m| &m.value))
    }

    /// Refuses members with other keys than these.
    pub fn only(&self, known: &[&'static str]) -> Result<&Value, JsonError> {
        match self.members()?.iter().find(|m| !known.contains(&m.key.as_str())) {
            None => Ok(self),
            Some(m) => Err(JsonError::new(m.place, Reason::Unknown(m.key.clone(), known.to_vec()))),
        }
    }

    /// A whole number from 0 to `max`, which has so many bits.
    fn whole_to(&self, max: u64, bits: u32) -> Result<u64, JsonError> {
        let found = match self.data {
            Data::Number(Number::Whole(n)) if n <= max => return Ok(n),
            Data::Number(Number::Whole(n)) => n.to_string(),
            Data::Number(Number::Negative(n)) => n.to_string(),
            _ => return Err(self.not("a whole number")),
        };
        let reason = Reason::Type(format!("a whole number of {bits} bits"), format!("the number {found}"));
        Err(JsonError::new(self.place, reason))
    }
}

impl Take for String {
    fn take(value: &Value) -> Result<Self, JsonError> {
        value.text().map(str::to_owned)
    }
}

impl Take for bool {
    fn take(value: &Value) -> Result<Self, JsonError> {
        value.flag()
    }
}

impl Take for u64 {
    fn take(value: &Value) -> Result<Self, JsonError> {
        value.whole_to(u64::MAX, 64)
    }
}

impl Take for u32 {
    fn take(value: &Value) -> Result<Self, JsonError> {
        let number = value.whole_to(u64::from(u32::MAX), 32)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

impl<T: Take> Take for Option<T> {
    fn take(value: &Value) -> Result<Self, JsonError> {
        if value.is_null() { Ok(None) } else { T::take(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Take> Take for Vec<T> {
    fn take(value: &Value) -> Result<Self, JsonError> {
        let items = value.items()?;
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            list.push(T::take(item).map_err(|e| e.inside_item(index))?);
        }
        Ok(list)
    }
}

impl Take for Map<String, String> {
    fn take(value: &Value) -> Result<Self, JsonError> {
        let mut map = Map::new();
        for member in value.members()? {
            let text = member.value.text().map_err(|e| e.inside(&member.key))?;
            map.insert(member.key.clone(), text.to_owned());
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Node {
        name: String,
        port: Option<u32>,
        labels: Option<Map<String, String>>,
        taints: Option<Vec<Taint>>,
    }

    impl Take for Node {
        fn take(value: &Value) -> Result<Self, JsonError> {
            value.only(&["name", "port", "labels", "taints"])?;
            Ok(Node {
                name: value.field("name")?,
                port: value.field("port")?,
                labels: value.field("labels")?,
                taints: value.field("taints")?,
            })
        }
    }

    #[derive(Debug, PartialEq)]
    struct Taint {
        key: String,
    }

    impl Take for Taint {
        fn take(value: &Value) -> Result<Self, JsonError> {
            Ok(Taint { key: value.field("key")? })
        }
    }

    #[test]
    fn fills_types() {
        let text = r#"{"name":"a\u00e9","port":7,"labels":{"k":"v\n"},"taints":[{"key":"x","more":1}]}"#;
        let node: Node = parse(text.as_bytes(), 1000).unwrap();
        let labels = Some(Map::from([("k".to_owned(), "v\n".to_owned())]));
        let taints = Some(vec![Taint { key: "x".into() }]);
        assert_eq!(node, Node { name: "aé".into(), port: Some(7), labels, taints });
        assert_eq!(parse::<Node>(br#"{"name":"","port":null}"#, 1000).unwrap().port, None);
    }

    #[test]
    fn says_what_does_not_fit_and_where() {
        for (text, message) in [
            (
                "{\"name\":\"a\",\n  \"prot\": 1}",
                "line 2, column 3: unknown key 'prot'; known keys: name, port, labels, taints",
            ),
            ("{}", "line 1, column 1: key 'name' is missing"),
            ("{\"name\":1}", "line 1, column 9: 'name' must be text, found a number"),
            ("{\"name\":null}", "line 1, column 9: 'name' must be text, found null"),
            (
                "{\"name\":\"\",\"port\":4294967296}",
                "line 1, column 19: 'port' must be a whole number of 32 bits, found the number 4294967296",
            ),
            (
                "{\"name\":\"\",\"port\":-1}",
                "line 1, column 19: 'port' must be a whole number of 32 bits, found the number -1",
            ),
            ("{\"name\":\"\",\"port\":1.5}", "line 1, column 19: 'port' must be a whole number, found the number 1.5"),
            (
                "{\"name\":\"\",\"taints\":[{\"key\":\"\"},{}]}",
                "line 1, column 33: key 'key' is missing in 'taints[1]'",
            ),
            ("{\"name\":\"\",\"taints\":[3]}", "line 1, column 22: 'taints[0]' must be an object, found a number"),
            (
                "{\"name\":\"\",\"labels\":{\"k\":true}}",
                "line 1, column 26: 'labels.k' must be text, found true or false",
            ),
            ("[]", "line 1, column 1: the value must be an object, found a list"),
        ] {
            let found = parse::<Node>(text.as_bytes(), 1000).unwrap_err().to_string();
            assert_eq!(found, message, "{text}");
        }
    }
}
