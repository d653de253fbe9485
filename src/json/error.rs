//! What is wrong with a JSON text, and where.

use std::fmt;

use crate::error::{Text, excerpt};

/// A position in a text: both numbers start at 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Place {
    /// The first character.
    pub const START: Place = Place { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text is not the JSON it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// More bytes than the reader's limit, which is given.
    TooLarge(usize),
    /// Lists and objects nested deeper than the limit, which is given.
    TooDeep(usize),
    /// More values than the limit, which is given.
    TooMany(usize),
    /// Not JSON: what had to come here, and the character that came (`None`: the text ends).
    Syntax(&'static str, Option<char>),
    /// A key is in one object twice.
    Duplicate(String),
    /// A key that is not in the schema, and all that are.
    Unknown(String, Vec<&'static str>),
    /// A key that must be there is not.
    Missing(&'static str),
    /// A value of another type: expected, found.
    Type(String, String),
    /// Any other fault of a value, in words that follow its name: `must be ...`.
    Value(String),
}

/// A fault in a JSON text.
// Boxed: so a result has the size of what was read, and faults are rare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    place: Place,
    /// Keys and list positions from the top to the value or object that is wrong, innermost first.
    path: Vec<String>,
    reason: Reason,
}

/// Keys longer than this are cut in messages: they come from outside.
const MAX_SHOWN: usize = 64;

impl JsonError {
    pub(super) fn new(place: Place, reason: Reason) -> Self {
        JsonError(Box::new(Inner { place, path: Vec::new(), reason }))
    }

    /// A fault that a caller found in a value which reads well as JSON; `what` follows the value's name: "must be ...".
    pub fn at(place: Place, what: impl Text) -> Self {
        JsonError::new(place, Reason::Value(what.text().into_owned()))
    }

    /// Says that the fault is inside the member `key` of an object.
    #[must_use]
    pub fn inside(mut self, key: &str) -> Self {
        self.0.path.push(shown(key));
        self
    }

    /// Says that the fault is inside item `index` (from 0) of a list.
    #[must_use]
    pub(super) fn inside_item(mut self, index: usize) -> Self {
        self.0.path.push(format!("[{index}]"));
        self
    }

    /// Where.
    pub fn place(&self) -> Place {
        self.0.place
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// Name of the value or object that is wrong: `node.taints[2].key`; empty for the whole text.
    pub fn path(&self) -> String {
        let mut out = String::new();
        for part in self.0.path.iter().rev() {
            if !out.is_empty() && !part.starts_with('[') {
                out.push('.');
            }
            out.push_str(part);
        }
        out
    }
}

/// `key` in a form that is safe to print and not too long.
fn shown(key: &str) -> String {
    let mut out = excerpt(key, MAX_SHOWN);
    if key.chars().nth(MAX_SHOWN).is_some() {
        out.push_str("...");
    }
    out
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        let within = if path.is_empty() { String::new() } else { format!(" in '{path}'") };
        let name = if path.is_empty() { "the value".to_owned() } else { format!("'{path}'") };
        write!(f, "{}: ", self.place())?;
        match &self.0.reason {
            Reason::TooLarge(limit) => write!(f, "the text is larger than {limit} bytes"),
            Reason::TooDeep(limit) => write!(f, "lists and objects are nested deeper than {limit} levels"),
            Reason::TooMany(limit) => write!(f, "the text holds more than {limit} values"),
            Reason::Syntax(want, Some(found)) => write!(f, "expected {want}, found '{}'", found.escape_debug()),
            Reason::Syntax(want, None) => write!(f, "expected {want}, found the end of the text"),
            Reason::Duplicate(key) => write!(f, "key '{}' is there twice{within}", shown(key)),
            Reason::Unknown(key, known) => {
                write!(f, "unknown key '{}'{within}; known keys: {}", shown(key), known.join(", "))
            }
            Reason::Missing(key) => write!(f, "key '{key}' is missing{within}"),
            Reason::Type(want, found) => write!(f, "{name} must be {want}, found {found}"),
            Reason::Value(what) => write!(f, "{name} {what}"),
        }
    }
}

impl std::error::Error for JsonError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let at = |reason| JsonError::new(Place { line: 4, column: 3 }, reason);
        let unknown = at(Reason::Unknown("fo\no".into(), vec!["name", "ip"]));
        assert_eq!(unknown.to_string(), "line 4, column 3: unknown key 'fo\\no'; known keys: name, ip");
        assert_eq!(
            at(Reason::Missing("name")).inside_item(2).inside("taints").inside("node").to_string(),
            "line 4, column 3: key 'name' is missing in 'node.taints[2]'"
        );
        assert_eq!(
            at(Reason::Type("text".into(), "a number".into())).inside("host").to_string(),
            "line 4, column 3: 'host' must be text, found a number"
        );
        let long = at(Reason::Duplicate("k".repeat(70))).to_string();
        assert!(long.contains(&format!("'{}...'", "k".repeat(64))), "{long}");
    }
}
