//! JSON of our own: compact and deterministic. Fields come in the order of the type, maps in the order of their keys.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// Our largest output is a bundle's metadata or a report with some hundred lines.
pub const MAX_OUTPUT: usize = 16 << 20;

/// First size of the buffer: an event line fits.
const FIRST: usize = 512;

/// `value` as compact JSON.
///
/// Types that `serde-json-core` cannot write must not be given: `char`, byte strings, and enum variants with more than
/// one unnamed field. Use text.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    fill(&|buffer| serde_json_core::to_slice(value, buffer))
}

/// What `write` puts into a buffer, once that is large enough; it says how much it was.
fn fill(write: &dyn Fn(&mut [u8]) -> serde_json_core::ser::Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; FIRST];
    loop {
        match write(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // The only error there is: the buffer is full.
            Err(_) if buffer.len() < MAX_OUTPUT => buffer.resize(buffer.len() * 2, 0),
            Err(e) => {
                return Err(Error::new(Kind::Bug, format_args!("JSON output exceeds {MAX_OUTPUT} bytes")).because(e));
            }
        }
    }
}

/// [`to_vec`] as text.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    text_of(to_vec(value)?)
}

/// [`to_vec`] as text, and the end of the line.
pub fn to_line<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut json = to_vec(value)?;
    json.push(b'\n');
    text_of(json)
}

fn text_of(json: Vec<u8>) -> Result<String> {
    String::from_utf8(json).map_err(|e| Error::new(Kind::Bug, "JSON output is not UTF-8").because(e))
}

/// Text as a JSON string with its quotes, for lines that are put together by hand.
///
/// ```
/// use edgelay::json::Text;
/// assert_eq!(format!("{{\"step\":{}}}", Text("a\"b\n")), r#"{"step":"a\"b\n"}"#);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                // DEL and the C1 controls too: lines may end up on a terminal.
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Event<'a> {
        step: &'a str,
        bytes: u64,
        done: Option<bool>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<i32>,
        map: BTreeMap<String, String>,
    }

    #[test]
    fn compact_and_in_order() {
        let map = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a\"".to_owned(), "\u{1}é\n".to_owned())]);
        let mut event = Event { step: "x\\", bytes: u64::MAX, done: None, list: vec![], map };
        let text = to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"step":"x\\","bytes":18446744073709551615,"done":null,"map":{"a\"":"\u0001é\n","b":"2"}}"#
        );
        assert!(crate::json::read(text.as_bytes(), 1000).is_ok());
        event.list = vec![-1; 1000];
        assert_eq!(to_vec(&event).unwrap().len(), text.len() + ",\"list\":[]".len() + 3 * 1000 - 1);
    }

    #[test]
    fn text_survives_a_round_trip() {
        let all: String = (0..0x300).filter_map(char::from_u32).chain(['\u{1f600}']).collect();
        let read = crate::json::read(Text(&all).to_string().as_bytes(), 1 << 16).unwrap();
        assert_eq!(read.text(), Ok(all.as_str()));
        let written = to_vec(all.as_str()).unwrap();
        assert_eq!(crate::json::read(&written, 1 << 16).unwrap().text(), Ok(all.as_str()));
    }
}
