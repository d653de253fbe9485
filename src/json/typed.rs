//! [`Value`] → any type with serde's `Deserialize`, with the place and the name of what does not fit.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{JsonError, Reason};
use super::read::read;
use super::value::{Data, Member, Number, Value};

/// Reads a JSON text of at most `limit` bytes into a type. Unknown keys are an error if the type says
/// `#[serde(deny_unknown_fields)]`; duplicate keys always are.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, JsonError> {
    from_value(&read(bytes, limit)?)
}

/// Turns a value that is already read into a type.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, JsonError> {
    T::deserialize(value)
}

impl de::Error for JsonError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        JsonError::nowhere(Reason::Value(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, want: &dyn Expected) -> Self {
        JsonError::nowhere(Reason::Type(plain_words(&want.to_string()), found_words(found)))
    }

    fn invalid_value(found: Unexpected<'_>, want: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unsigned(n) => format!("the number {n}"),
            Unexpected::Signed(n) => format!("the number {n}"),
            Unexpected::Str(_) => "other text".to_owned(),
            other => found_words(other),
        };
        let want = want.to_string();
        let bits = want.strip_prefix(['u', 'i']).and_then(|bits| bits.parse::<u8>().ok());
        let want = bits.map_or(want, |bits| format!("a whole number of {bits} bits"));
        JsonError::nowhere(Reason::Type(want, found))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        JsonError::nowhere(Reason::Unknown(key.to_owned(), known.to_vec()))
    }

    fn unknown_variant(_found: &str, known: &'static [&'static str]) -> Self {
        JsonError::nowhere(Reason::Value(format!("must be one of: {}", known.join(", "))))
    }

    fn missing_field(key: &'static str) -> Self {
        JsonError::nowhere(Reason::Missing(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        JsonError::nowhere(Reason::Duplicate(key.to_owned()))
    }
}

/// Serde speaks of Rust types; the user wrote JSON.
fn plain_words(want: &str) -> String {
    let words = match want {
        "a string" | "a borrowed string" | "a character" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    words.to_owned()
}

fn found_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(_) => "true or false".to_owned(),
        Unexpected::Unsigned(_) => "a number".to_owned(),
        Unexpected::Signed(n) => format!("the number {n}"),
        Unexpected::Str(_) => "text".to_owned(),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        Unexpected::Other(words) => words.to_owned(),
        // Not what it displays: that would bring in the code for floats.
        _ => "something else".to_owned(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Value {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let done = match &self.data {
            Data::Null => visitor.visit_unit(),
            Data::Bool(flag) => visitor.visit_bool(*flag),
            Data::Number(Number::Whole(n)) => visitor.visit_u64(*n),
            Data::Number(Number::Negative(n)) => visitor.visit_i64(*n),
            Data::Number(Number::Other(n)) => {
                Err(de::Error::invalid_type(Unexpected::Other(&format!("the number {n}")), &visitor))
            }
            Data::Text(text) => visitor.visit_borrowed_str(text),
            Data::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Data::Object(members) => visitor.visit_map(Members { members: members.iter(), value: None }),
        };
        done.map_err(|e| e.or_place(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.data == Data::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self).map_err(|e| e.or_place(self.place))
    }

    /// Only variants without data: text.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let variant: StrDeserializer<'_, JsonError> = de::IntoDeserializer::into_deserializer(self.text()?);
        visitor.visit_enum(variant).map_err(|e| e.or_place(self.place))
    }

    /// Serde would take a list for a struct too; a file of ours has one form.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.visit_members(visitor)
    }

    // What follows says no more than `deserialize_any` would. But that makes the code for every form a value can have,
    // for every type; these are the types that there are many of.

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.visit_members(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let Data::List(items) = &self.data else { return Err(self.unfit(&visitor)) };
        visitor.visit_seq(Items { items: items.iter(), index: 0 }).map_err(|e| e.or_place(self.place))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let Data::Text(text) = &self.data else { return Err(self.unfit(&visitor)) };
        visitor.visit_borrowed_str(text).map_err(|e: JsonError| e.or_place(self.place))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.deserialize_str(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

impl Value {
    fn visit_members<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, JsonError> {
        let members = self.members()?.iter();
        visitor.visit_map(Members { members, value: None }).map_err(|e| e.or_place(self.place))
    }

    fn unfit(&self, want: &dyn Expected) -> JsonError {
        self.not(&plain_words(&want.to_string()))
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, JsonError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(item).map(Some).map_err(|e| e.inside_item(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members<'de> {
    members: std::slice::Iter<'de, Member>,
    value: Option<&'de Member>,
}

impl<'de> de::MapAccess<'de> for Members<'de> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        let Some(member) = self.members.next() else { return Ok(None) };
        self.value = Some(member);
        let key: StrDeserializer<'_, JsonError> = de::IntoDeserializer::into_deserializer(member.key.as_str());
        seed.deserialize(key).map(Some).map_err(|e| e.or_place(member.place))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, JsonError> {
        let member = self.value.take().ok_or_else(|| <JsonError as de::Error>::custom("has a value without a key"))?;
        seed.deserialize(&member.value).map_err(|e| e.inside(&member.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted::Map;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Node {
        name: String,
        port: Option<u16>,
        #[serde(default)]
        labels: Map<String, String>,
        #[serde(default)]
        taints: Vec<Taint>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Taint {
        key: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Managed,
        Existing,
    }

    #[test]
    fn fills_types() {
        let text =
            r#"{"name":"a\u00e9","port":7,"labels":{"k":"v\n"},"taints":[{"key":"x","more":1}],"mode":"existing"}"#;
        let node: Node = parse(text.as_bytes(), 1000).unwrap();
        let labels = Map::from([("k".to_owned(), "v\n".to_owned())]);
        let taints = vec![Taint { key: "x".into() }];
        assert_eq!(node, Node { name: "aé".into(), port: Some(7), labels, taints, mode: Mode::Existing });
        assert_eq!(parse::<Node>(br#"{"name":"","port":null}"#, 1000).unwrap().port, None);
    }

    #[test]
    fn says_what_does_not_fit_and_where() {
        for (text, message) in [
            (
                "{\"name\":\"a\",\n  \"prot\": 1}",
                "line 2, column 3: unknown key 'prot'; known keys: name, port, labels, taints, mode",
            ),
            ("{}", "line 1, column 1: key 'name' is missing"),
            ("{\"name\":1}", "line 1, column 9: 'name' must be text, found a number"),
            ("{\"name\":null}", "line 1, column 9: 'name' must be text, found null"),
            (
                "{\"name\":\"\",\"port\":70000}",
                "line 1, column 19: 'port' must be a whole number of 16 bits, found the number 70000",
            ),
            (
                "{\"name\":\"\",\"port\":-1}",
                "line 1, column 19: 'port' must be a whole number of 16 bits, found the number -1",
            ),
            ("{\"name\":\"\",\"port\":1.5}", "line 1, column 19: 'port' must be a whole number, found the number 1.5"),
            (
                "{\"name\":\"\",\"taints\":[{\"key\":\"\"},{}]}",
                "line 1, column 33: key 'key' is missing in 'taints[1]'",
            ),
            ("{\"name\":\"\",\"taints\":[3]}", "line 1, column 22: 'taints[0]' must be an object, found a number"),
            ("{\"name\":\"\",\"mode\":\"x\"}", "line 1, column 19: 'mode' must be one of: managed, existing"),
            ("{\"name\":\"\",\"mode\":[]}", "line 1, column 19: 'mode' must be text, found a list"),
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
