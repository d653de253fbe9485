//! serde for checked names: they are text in JSON, and their own `FromStr` checks them.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;

pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display> + Display,
    D: Deserializer<'de>,
{
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn parse<T: FromStr<Err: Display> + Display>(text: &str) -> Result<T, String> {
    let shown = || text.chars().take(80).collect::<String>().escape_debug().to_string();
    let value: T = text.parse().map_err(|why| format!("is '{}': {why}", shown()))?;
    // A name with two spellings would give one bundle two identities.
    if value.to_string() == text {
        Ok(value)
    } else {
        Err(format!("is '{}', which is not in its normal form", shown()))
    }
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

    pub(in crate::bundle) fn deserialize<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display> + Display,
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| parse(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
