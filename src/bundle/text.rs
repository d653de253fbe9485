//! serde for checked names: they are text in JSON, and their own `FromStr` checks them.

use crate::gather::Gather;
use std::fmt::Display;
use std::str::FromStr;

use serde::ser::Serializer;

use crate::json::{JsonError, Value};

pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

/// The member `key` of an object.
pub(super) fn field<T: FromStr<Err: Display> + Display>(object: &Value, key: &'static str) -> Result<T, JsonError> {
    take(object.need(key)?).map_err(|e| e.inside(key))
}

/// The member `key`, a list.
pub(super) fn list_field<T>(object: &Value, key: &'static str) -> Result<Vec<T>, JsonError>
where
    T: FromStr<Err: Display> + Display,
{
    let list = object.need(key)?;
    let mut out = Vec::new();
    for item in list.items().map_err(|e| e.inside(key))? {
        out.push(parse(item.text()?).map_err(|why| JsonError::at(list.place, why).inside(key))?);
    }
    Ok(out)
}

fn take<T: FromStr<Err: Display> + Display>(value: &Value) -> Result<T, JsonError> {
    parse(value.text()?).map_err(|why| JsonError::at(value.place, why))
}

fn parse<T: FromStr<Err: Display> + Display>(text: &str) -> Result<T, String> {
    let value = text.parse::<T>().map_err(|why| refused(text, &format_args!(": {why}")))?;
    is_normal(text, &value)?;
    Ok(value)
}

/// A name with two spellings would give one bundle two identities.
fn is_normal(text: &str, value: &dyn Display) -> Result<(), String> {
    if value.to_string() == text { Ok(()) } else { Err(refused(text, &", which is not in its normal form")) }
}

fn refused(text: &str, why: &dyn Display) -> String {
    format!("is '{}'{why}", text.chars().take(80).gather::<String>().escape_debug())
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
