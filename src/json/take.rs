//! [`Value`] → types of ours, with the place and the name of what does not fit.
//!
//! By hand and not with serde's derive, which makes a state machine for every type.

use super::error::{JsonError, Reason};
use super::read::read;
use super::value::{Data, Number, Value};
use crate::gather::Gather;
use crate::sorted::Map;

/// What a [`Value`] can be read into: in place, behind a table. A result that holds what was read moves at each `?`.
pub trait Take {
    /// Takes it. After an error it is anything.
    fn take(&mut self, value: &Value) -> Result<(), JsonError>;

    /// Whether there need be no value.
    fn is_optional(&self) -> bool {
        false
    }
}

/// Reads a JSON text of at most `limit` bytes into a type.
pub fn parse<T: Take + Default>(bytes: &[u8], limit: usize) -> Result<T, JsonError> {
    let mut whole = T::default();
    whole.take(&read(bytes, limit)?)?;
    Ok(whole)
}

impl Value {
    /// Reads the member `key` of an object. Only options may be absent.
    pub fn read(&self, key: &'static str, into: &mut dyn Take) -> Result<(), JsonError> {
        match self.member(key)? {
            Some(value) => into.take(value).map_err(|e| e.inside(key)),
            None if into.is_optional() => Ok(()),
            None => Err(JsonError::new(self.place, Reason::Missing(key))),
        }
    }

    /// The member `key` of an object, as a type.
    pub fn field<T: Take + Default>(&self, key: &'static str) -> Result<T, JsonError> {
        let mut field = T::default();
        self.read(key, &mut field)?;
        Ok(field)
    }

    /// The member `key` of an object, a list whose items `read` makes something of.
    pub fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        let list = self.member(key)?.ok_or_else(|| JsonError::new(self.place, Reason::Missing(key)))?;
        let items = list.items().map_err(|e| e.inside(key))?.iter().enumerate();
        items.map(|(index, item)| read(item).map_err(|e| e.inside_item(index).inside(key))).gather()
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
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        *self = value.text()?.to_owned();
        Ok(())
    }
}

impl Take for bool {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        *self = value.flag()?;
        Ok(())
    }
}

impl Take for u64 {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        *self = value.whole_to(u64::MAX, 64)?;
        Ok(())
    }
}

impl Take for u32 {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        let number = value.whole_to(u64::from(u32::MAX), 32)?;
        *self = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(())
    }
}

impl<T: Take + Default> Take for Option<T> {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        if value.is_null() { Ok(()) } else { self.get_or_insert_default().take(value) }
    }

    fn is_optional(&self) -> bool {
        true
    }
}

impl<T: Take + Default> Take for Vec<T> {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        for (index, item) in value.items()?.iter().enumerate() {
            let mut element = T::default();
            element.take(item).map_err(|e| e.inside_item(index))?;
            self.push(element);
        }
        Ok(())
    }
}

impl Take for Map<String, String> {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        for member in value.members()? {
            let text = member.value.text().map_err(|e| e.inside(&member.key))?;
            self.insert(member.key.clone(), text.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Node {
        name: String,
        port: Option<u32>,
        labels: Option<Map<String, String>>,
        taints: Option<Vec<Taint>>,
    }

    impl Take for Node {
        fn take(&mut self, value: &Value) -> Result<(), JsonError> {
            value.only(&["name", "port", "labels", "taints"])?;
            value.read("name", &mut self.name)?;
            value.read("port", &mut self.port)?;
            value.read("labels", &mut self.labels)?;
            value.read("taints", &mut self.taints)
        }
    }

    #[derive(Debug, Default, PartialEq)]
    struct Taint {
        key: String,
    }

    impl Take for Taint {
        fn take(&mut self, value: &Value) -> Result<(), JsonError> {
            value.read("key", &mut self.key)
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
