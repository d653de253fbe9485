//! JSON as a tree in which every value knows its place.

use super::error::{JsonError, Place, Reason};
use super::write::Text;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Where its first character is.
    pub place: Place,
    /// What it is.
    pub data: Data,
}

/// What a [`Value`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, escapes decoded.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object: members in the order of the text, no key twice.
    Object(Vec<Member>),
}

/// A number, in the narrowest form that holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// A whole number from 0 to 2^64-1.
    Whole(u64),
    /// A whole number below 0.
    Negative(i64),
    /// Anything else, as it is written: with fraction or exponent, or beyond 64 bits. Not read into a float: nothing
    /// needs one, and reading and writing floats would cost 25 KiB of program.
    Other(String),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where the key is.
    pub place: Place,
    /// The key, escapes decoded.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Value {
    /// What lies at `path`, key by key.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The text at `path`; empty if there is none.
    pub fn text_at(&self, path: &[&str]) -> &str {
        self.at(path).and_then(|value| value.text().ok()).unwrap_or_default()
    }

    /// The list at `path`; empty if there is none.
    pub fn items_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(|value| value.items().ok()).unwrap_or_default()
    }
}

impl Data {
    /// For messages: `text`, `a number`.
    pub fn name(&self) -> &'static str {
        match self {
            Data::Null => "null",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Object(_) => "an object",
        }
    }
}

/// As compact JSON, members in the order of the text.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.data {
            Data::Null => f.write_str("null"),
            Data::Bool(flag) => write!(f, "{flag}"),
            Data::Number(Number::Whole(n)) => write!(f, "{n}"),
            Data::Number(Number::Negative(n)) => write!(f, "{n}"),
            Data::Number(Number::Other(n)) => f.write_str(n),
            Data::Text(text) => write!(f, "{}", Text(text)),
            Data::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { '[' } else { ',' })?;
                }
                f.write_str(if items.is_empty() { "[]" } else { "]" })
            }
            Data::Object(members) => {
                for (i, member) in members.iter().enumerate() {
                    write!(f, "{}{}:{}", if i == 0 { '{' } else { ',' }, Text(&member.key), member.value)?;
                }
                f.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

impl Value {
    /// The member `key` of an object. `null` counts as not there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Data::Object(members) = &self.data else { return None };
        members.iter().find(|m| m.key == key).map(|m| &m.value).filter(|v| !v.is_null())
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// The member `key`, which must be there.
    pub fn need(&self, key: &'static str) -> Result<&Value, JsonError> {
        self.members()?;
        self.get(key).ok_or_else(|| JsonError::new(self.place, Reason::Missing(key)))
    }

    /// The members, if this is an object.
    pub fn members(&self) -> Result<&[Member], JsonError> {
        match &self.data {
            Data::Object(members) => Ok(members),
            _ => Err(self.not("an object")),
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> Result<&[Value], JsonError> {
        match &self.data {
            Data::List(items) => Ok(items),
            _ => Err(self.not("a list")),
        }
    }

    /// The text, if this is text.
    pub fn text(&self) -> Result<&str, JsonError> {
        match &self.data {
            Data::Text(text) => Ok(text),
            _ => Err(self.not("text")),
        }
    }

    /// The number, if this is a whole number from 0 on.
    pub fn whole(&self) -> Result<u64, JsonError> {
        match self.data {
            Data::Number(Number::Whole(number)) => Ok(number),
            _ => Err(self.not("a whole number")),
        }
    }

    /// The truth value, if this is one.
    pub fn flag(&self) -> Result<bool, JsonError> {
        match self.data {
            Data::Bool(flag) => Ok(flag),
            _ => Err(self.not("true or false")),
        }
    }

    pub(super) fn not(&self, want: &str) -> JsonError {
        let found = match &self.data {
            Data::Number(Number::Negative(n)) => format!("the number {n}"),
            Data::Number(Number::Other(n)) => format!("the number {n}"),
            _ => self.data.name().to_owned(),
        };
        JsonError::new(self.place, Reason::Type(want.to_owned(), found))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn written_back() {
        let text = r#"{"a":[],"b":{},"c":[1,-2,1.5e3,true,null,"x\"\u0007"],"d":{"e":"f","g":[{}]}}"#;
        assert_eq!(crate::json::read(text.as_bytes(), 999).unwrap().to_string(), text);
    }
}
