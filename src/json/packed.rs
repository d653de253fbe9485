//! JSON that is built in: its files are laid out for readers, the program holds them without the blanks.

#[derive(Clone, Copy)]
enum At {
    /// Between the values, where blanks mean nothing.
    Between,
    /// In a text.
    Text,
    /// Behind a backslash in a text.
    Escape,
}

impl At {
    const fn is_blank(self, byte: u8) -> bool {
        matches!((self, byte), (At::Between, b' ' | b'\n'))
    }

    const fn behind(self, byte: u8) -> At {
        match (self, byte) {
            (At::Between, b'"') | (At::Escape, _) => At::Text,
            (At::Text, b'"') => At::Between,
            (At::Text, b'\\') => At::Escape,
            (here, _) => here,
        }
    }
}

/// What remains of `text`, in bytes.
pub const fn packed_length(text: &str) -> usize {
    let (mut rest, mut at, mut length) = (text.as_bytes(), At::Between, 0);
    while let [byte, behind @ ..] = rest {
        if !at.is_blank(*byte) {
            length += 1;
        }
        (rest, at) = (behind, at.behind(*byte));
    }
    length
}

/// What remains of `text`; `LENGTH` is its [`packed_length`].
pub const fn packed<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let mut packed = [0; LENGTH];
    let (mut rest, mut at, mut room) = (text.as_bytes(), At::Between, packed.as_mut_slice());
    while let [byte, behind @ ..] = rest {
        if !at.is_blank(*byte)
            && let [place, more @ ..] = room
        {
            *place = *byte;
            room = more;
        }
        (rest, at) = (behind, at.behind(*byte));
    }
    packed
}

/// As `include_str!`, of a JSON file, without the blanks between its values.
macro_rules! include_json {
    ($file:literal) => {{
        const TEXT: &str = include_str!($file);
        const PACKED: [u8; $crate::json::packed_length(TEXT)] = $crate::json::packed(TEXT);
        match std::str::from_utf8(&PACKED) {
            Ok(text) => text,
            Err(_) => TEXT,
        }
    }};
}
pub(crate) use include_json;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_go_where_they_mean_nothing() {
        const TEXT: &str = "{\n  \"a b\": [1, \"\\\" \\\\\", \" é\"] }\n";
        assert_eq!(packed::<{ packed_length(TEXT) }>(TEXT), *"{\"a b\":[1,\"\\\" \\\\\",\" é\"]}".as_bytes());
    }

    #[test]
    fn a_file_means_the_same() {
        let packed: &str = include_json!("../bundle/catalogue.json");
        let read = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(packed), read(include_str!("../bundle/catalogue.json")));
        assert!(!packed.contains('\n'));
    }
}
