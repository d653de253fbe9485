//! Text → [`Value`].
//!
//! Recursion is bounded by [`MAX_DEPTH`], so that a hostile text can exhaust neither the stack nor, through
//! [`MAX_VALUES`] and the caller's limit in bytes, the memory.

use super::error::{JsonError, Place, Reason};
use super::value::{Data, Member, Number, Value};
use crate::gather::Gather;

/// Levels of lists and objects. Our own files and image manifests need six.
pub const MAX_DEPTH: usize = 64;

/// Values in one text. The largest real image configs hold some hundreds; this many take about 10 MiB.
pub const MAX_VALUES: usize = 1 << 16;

/// Reads a whole JSON text of at most `limit` bytes.
pub fn read(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::new(Place::START, Reason::TooLarge(limit)));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let good = bytes.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
            let mut reader = Reader::new(good);
            reader.skip(good.len());
            return Err(JsonError::at(reader.place, "is not UTF-8 from here on"));
        }
    };
    let mut reader = Reader::new(text);
    reader.blank();
    let value = reader.value(0)?;
    reader.blank();
    match reader.rest.chars().next() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("the end of the text")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    place: Place,
    values: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { rest: text, place: Place::START, values: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Steps over `n` bytes, which end between two characters, and returns them.
    fn skip(&mut self, n: usize) -> &'a str {
        let (gone, rest) = self.rest.split_at_checked(n).unwrap_or((self.rest, ""));
        for byte in gone.bytes() {
            match byte {
                b'\n' => self.place = Place { line: self.place.line.saturating_add(1), column: 1 },
                0x80..=0xbf => {}
                _ => self.place.column = self.place.column.saturating_add(1),
            }
        }
        self.rest = rest;
        gone
    }

    fn blank(&mut self) {
        let n = self.rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.skip(n);
    }

    /// Steps over `byte` if it comes next.
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.skip(1);
        }
        there
    }

    fn wrong(&self, expected: &'static str) -> JsonError {
        JsonError::new(self.place, Reason::Syntax(expected, self.rest.chars().next()))
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        let place = self.place;
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(JsonError::new(place, Reason::TooMany(MAX_VALUES)));
        }
        if depth > MAX_DEPTH {
            return Err(JsonError::new(place, Reason::TooDeep(MAX_DEPTH)));
        }
        let data = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Data::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Data::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Value { place, data })
    }

    fn word(&mut self) -> Result<Data, JsonError> {
        let words = [("null", Data::Null), ("true", Data::Bool(true)), ("false", Data::Bool(false))];
        for (word, data) in words {
            if self.rest.starts_with(word) {
                self.skip(word.len());
                return Ok(data);
            }
        }
        Err(self.wrong("a JSON value"))
    }

    fn list(&mut self, depth: usize) -> Result<Data, JsonError> {
        self.skip(1);
        self.blank();
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Data::List(items));
        }
        loop {
            self.blank();
            items.push(self.value(depth + 1)?);
            self.blank();
            if self.eat(b']') {
                return Ok(Data::List(items));
            }
            if !self.eat(b',') {
                return Err(self.wrong("',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Data, JsonError> {
        self.skip(1);
        self.blank();
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Ok(Data::Object(members));
        }
        loop {
            self.blank();
            let place = self.place;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in double quotes"));
            }
            let key = self.string()?;
            self.blank();
            if !self.eat(b':') {
                return Err(self.wrong("':' after a key"));
            }
            self.blank();
            let value = self.value(depth + 1)?;
            members.push(Member { place, key, value });
            self.blank();
            if self.eat(b'}') {
                return no_key_twice(&members).map(|()| Data::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.wrong("',' or '}'"));
            }
        }
    }

    /// A string; the opening quote comes next.
    fn string(&mut self) -> Result<String, JsonError> {
        self.skip(1);
        let mut out = String::new();
        loop {
            let n = self.rest.bytes().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count();
            out.push_str(self.skip(n));
            match self.peek() {
                Some(b'"') => {
                    self.skip(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.wrong("a control character as an escape")),
                None => return Err(self.wrong("'\"' at the end of a string")),
            }
        }
    }

    /// RFC 8259 section 7; the backslash comes next.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.place;
        self.skip(1);
        let plain = match self.peek() {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(self.wrong("an escape that JSON knows")),
        };
        self.skip(1);
        Ok(plain)
    }

    /// `\uXXXX`, or two of them for a character beyond U+FFFF; the `u` comes next.
    fn unicode(&mut self, start: Place) -> Result<char, JsonError> {
        let half = || JsonError::new(start, Reason::Syntax("both halves of a surrogate pair", Some('\\')));
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !(self.eat(b'\\') && self.peek() == Some(b'u')) {
                    return Err(half());
                }
                match self.hex4()? {
                    low @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00),
                    _ => return Err(half()),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(half)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.skip(1);
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.wrong("four hex digits after '\\u'"))?;
            self.skip(1);
        }
        Ok(code)
    }

    /// RFC 8259 section 6.
    fn number(&mut self) -> Result<Number, JsonError> {
        let text = self.rest;
        let negative = self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        } else if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.wrong("no digit after a leading zero"));
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.skip(1);
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let text = text.get(..text.len() - self.rest.len()).unwrap_or("");
        let exact = match (whole, negative) {
            (false, _) => None,
            (true, false) => text.parse().ok().map(Number::Whole),
            // "-0" is no whole number, for want of one that keeps its sign.
            (true, true) => text.parse().ok().filter(|n| *n != 0).map(Number::Negative),
        };
        Ok(exact.unwrap_or_else(|| Number::Other(text.to_owned())))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let n = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if n == 0 {
            return Err(self.wrong("a digit"));
        }
        self.skip(n);
        Ok(())
    }
}

/// Sorts references instead of comparing all pairs: a hostile object may have [`MAX_VALUES`] members.
fn no_key_twice(members: &[Member]) -> Result<(), JsonError> {
    let mut sorted: Vec<&Member> = members.iter().gather();
    sorted.sort_unstable_by(|a, b| (&a.key, a.place).cmp(&(&b.key, b.place)));
    let twice = sorted.windows(2).filter_map(|pair| match pair {
        [a, b] if a.key == b.key => Some(*b),
        _ => None,
    });
    match twice.min_by_key(|m| m.place) {
        Some(m) => Err(JsonError::new(m.place, Reason::Duplicate(m.key.clone()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        read(text.as_bytes(), 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn values_and_escapes() {
        let value = read(r#" { "a\u0041\n" : [1, -2, 0.5, 1e3, true, null, "\ud83d\ude00\/"] } "#.as_bytes(), 100);
        let value = value.unwrap();
        let items = value.get("aA\n").unwrap().items().unwrap();
        let data: Vec<_> = items.iter().map(|v| v.data.clone()).collect();
        use Number::{Negative, Other, Whole};
        let want = [
            Data::Number(Whole(1)),
            Data::Number(Negative(-2)),
            Data::Number(Other("0.5".into())),
            Data::Number(Other("1e3".into())),
            Data::Bool(true),
            Data::Null,
            Data::Text("\u{1f600}/".into()),
        ];
        assert_eq!(data, want);
        assert_eq!(value.get("aA\n").unwrap().place, Place { line: 1, column: 18 });
    }

    #[test]
    fn faults_have_their_place() {
        for (text, message) in [
            ("", "line 1, column 1: expected a JSON value, found the end of the text"),
            ("{\n  \"a\": 1,\n}", "line 3, column 1: expected a key in double quotes, found '}'"),
            ("[1,]", "line 1, column 4: expected a JSON value, found ']'"),
            ("[1 2]", "line 1, column 4: expected ',' or ']', found '2'"),
            ("{\"a\" 1}", "line 1, column 6: expected ':' after a key, found '1'"),
            ("{\"ä\": tru}", "line 1, column 7: expected a JSON value, found 't'"),
            ("1 // one", "line 1, column 3: expected the end of the text, found '/'"),
            ("\"a\tb\"", "line 1, column 3: expected a control character as an escape, found '\\t'"),
            ("\"a", "line 1, column 3: expected '\"' at the end of a string, found the end of the text"),
            ("\"\\x\"", "line 1, column 3: expected an escape that JSON knows, found 'x'"),
            ("\"\\ud800x\"", "line 1, column 2: expected both halves of a surrogate pair, found '\\\\'"),
            ("\"\\udc00\"", "line 1, column 2: expected both halves of a surrogate pair, found '\\\\'"),
            ("01", "line 1, column 2: expected no digit after a leading zero, found '1'"),
            ("-", "line 1, column 2: expected a digit, found the end of the text"),
            ("{\"a\":1,\"b\":2,\"a\":3,\"b\":4}", "line 1, column 14: key 'a' is there twice"),
            ("{\"a\":1,\"\\u0061\":2}", "line 1, column 8: key 'a' is there twice"),
            ("\u{feff}{}", "line 1, column 1: expected a JSON value, found '\\u{feff}'"),
        ] {
            assert_eq!(fault(text), message, "{text}");
        }
        let bad = read(b"{\n \"a\": \"\xff\"}", 100).unwrap_err();
        assert_eq!(bad.to_string(), "line 2, column 8: the value is not UTF-8 from here on");
    }

    #[test]
    fn limits_hold() {
        assert!(fault(&"[".repeat(1 << 19)).ends_with("nested deeper than 64 levels"));
        assert!(fault(&"{\"a\":".repeat(1 << 17)).ends_with("nested deeper than 64 levels"));
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert!(fault(&many).ends_with("holds more than 65536 values"));
        assert_eq!(read(b"[]  ", 3).unwrap_err().to_string(), "line 1, column 1: the text is larger than 3 bytes");
        let fine = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(read(fine.as_bytes(), 1000).is_ok());
    }

    #[test]
    fn numbers_keep_their_value() {
        let number = |text: &str| read(text.as_bytes(), 100).unwrap().data;
        assert_eq!(number("18446744073709551615"), Data::Number(Number::Whole(u64::MAX)));
        assert_eq!(number("18446744073709551616"), Data::Number(Number::Other("18446744073709551616".into())));
        assert_eq!(number("-9223372036854775808"), Data::Number(Number::Negative(i64::MIN)));
        assert_eq!(number("-0"), Data::Number(Number::Other("-0".into())));
    }

    /// The same verdict as an independent parser on random damage of a good text, and never a panic.
    #[test]
    fn agrees_with_an_independent_parser() {
        let good = br#"{"a":[1,-2.5e3,"x\u00e9\n",null],"b":{"c":true,"d":"\ud83d\ude00"}, "e" : ""}"#;
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..50_000 {
            let mut text = good.to_vec();
            for _ in 0..=next() % 3 {
                let at = usize::try_from(next()).unwrap() % text.len();
                match next() % 3 {
                    0 => text[at] = b"\"\\{}[],:0x-u e\n"[usize::try_from(next()).unwrap() % 15],
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, b"\"\\{}[],:01.eE"[usize::try_from(next()).unwrap() % 13]),
                }
            }
            let shown = String::from_utf8_lossy(&text).into_owned();
            let theirs = serde_json::from_slice::<serde_json::Value>(&text);
            match (read(&text, 1000), theirs) {
                (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                // They let a later key replace an earlier one.
                (Err(e), Ok(_)) if matches!(e.reason(), Reason::Duplicate(_)) => {}
                // They refuse numbers that overflow a float.
                (Ok(_), Err(e)) if e.to_string().starts_with("number out of range") => {}
                (ours, theirs) => panic!("{shown}: {ours:?} {theirs:?}"),
            }
        }
    }
}
