//! serde for checked names: they are text in JSON, and their own `FromStr` checks them.

use std::fmt::Display;
use std::str::FromStr;

use serde::ser::Serializer;

use crate::gather::Gather;
use crate::json::{JsonError, Place, Value};

pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

/// The member `key` of an object.
pub(super) fn field<T: FromStr<Err: Display> + Display>(object: &Value, key: &'static str) -> Result<T, JsonError> {
    let value = object.need(key)?;
    parse(value, value.place).map_err(|e| e.inside(key))
}

/// The member `key`, a list.
pub(super) fn list_field<T>(object: &Value, key: &'static str) -> Result<Vec<T>, JsonError>
where
    T: FromStr<Err: Display> + Display,
{
    let list = object.need(key)?;
    let items = list.items().map_err(|e| e.inside(key))?;
    items.iter().map(|item| parse(item, list.place).map_err(|e| e.inside(key))).gather()
}

/// `place` is told where the text is no `T`.
fn parse<T: FromStr<Err: Display> + Display>(value: &Value, place: Place) -> Result<T, JsonError> {
    let text = value.text()?;
    let value = text.parse::<T>().map_err(|why| refused(place, text, &format_args!(": {why}")))?;
    is_normal(place, text, &value)?;
    Ok(value)
}

/// A name with two spellings would give one bundle two identities.
fn is_normal(place: Place, text: &str, value: &dyn Display) -> Result<(), JsonError> {
    if value.to_string() == text { Ok(()) } else { Err(refused(place, text, &", which is not in its normal form")) }
}

fn refused(place: Place, text: &str, why: &dyn Display) -> JsonError {
    JsonError::at(place, format_args!("is '{}'{why}", text.chars().take(80).gather::<String>().escape_debug()))
}

/// The same for lists.
pub(super) mod list {
    use super::*;
    use serde::ser::SerializeSeq;

    pub(in crate::bundle) fn serialize<T: Display, S: Serializer>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
        let mut seq = to.serialize_seq(Some(list.len()))?;
        for value in list {
            seq.serialize_element(&value.to_string())?;
        }
        seq.end()
    }
}
