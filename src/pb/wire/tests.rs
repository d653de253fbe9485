//! Golden bytes of the format's own examples, each refusal, and damaged messages.

use crate::sorted::Map;

use super::*;
use crate::pb::Take;
use crate::pb::message::{message, open_enum};
use crate::testing::{hex, mutate};

open_enum! {
    /// An enum.
    Colour { 0 RED, 1 GREEN }
}

message! {
    /// Every kind of field.
    Everything {
        1 number: i64,
        2 text: String,
        3 inner: Inner,
        4 flag: bool,
        5 small: i32,
        6 positive: u64,
        7 short: u32,
        8 bytes: Vec<u8>,
        9 texts: Vec<String>,
        10 inners: Vec<Inner>,
        11 map: Map<String, String>,
        16 colour: Colour,
    }
}

message! {
    /// One level down.
    Inner {
        1 number: i64,
    }
}

/// A message in a message in a message, and so on.
#[derive(Debug, Default, PartialEq)]
struct Nested(Option<Box<Nested>>);

impl Decode for Nested {
    fn field(&mut self, _: u32, value: Value<'_>) -> Result<(), PbError> {
        value.merge(&mut **self.0.get_or_insert_default())
    }
}

/// Only refuses.
#[derive(Debug, Default, PartialEq)]
struct Nothing;

impl Decode for Nothing {
    fn field(&mut self, _: u32, _: Value<'_>) -> Result<(), PbError> {
        Ok(())
    }
}

fn full() -> Everything {
    Everything {
        number: -1,
        text: "testing".into(),
        inner: Inner { number: 150 },
        flag: true,
        small: i32::MIN,
        positive: u64::MAX,
        short: u32::MAX,
        bytes: vec![0, 255],
        texts: vec![String::new(), "b".into()],
        inners: vec![Inner::default(), Inner { number: 1 }],
        map: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())].into(),
        colour: Colour::GREEN,
    }
}

#[test]
fn examples_of_the_format() {
    // protobuf.dev, "Encoding": 150; the text "testing"; a message in a message.
    let number = Everything { number: 150, ..Default::default() };
    assert_eq!(Writer::encode(&number), hex("08 96 01  1a 00"));
    let text = Everything { text: "testing".into(), ..Default::default() };
    assert_eq!(Writer::encode(&text), hex("12 07 74 65 73 74 69 6e 67  1a 00"));
    let inner = Everything { inner: Inner { number: 150 }, ..Default::default() };
    assert_eq!(Writer::encode(&inner), hex("1a 03 08 96 01"));
    // A negative int64 takes ten bytes.
    let negative = Inner { number: -2 };
    assert_eq!(Writer::encode(&negative), hex("08 fe ff ff ff ff ff ff ff ff 01"));
}

#[test]
fn defaults_are_left_out_but_embedded_messages_never() {
    assert_eq!(Writer::encode(&Everything::default()), hex("1a 00"));
    assert!(Writer::encode(&Inner::default()).is_empty());
}

#[test]
fn every_kind_of_field_survives() {
    let bytes = hex(concat!(
        "08 ff ff ff ff ff ff ff ff ff 01",
        "12 07 74 65 73 74 69 6e 67",
        "1a 03 08 96 01",
        "20 01",
        "28 80 80 80 80 f8 ff ff ff ff 01",
        "30 ff ff ff ff ff ff ff ff ff 01",
        "38 ff ff ff ff 0f",
        "42 02 00 ff",
        "4a 00 4a 01 62",
        "52 00 52 02 08 01",
        "5a 06 0a 01 61 12 01 31  5a 03 0a 01 62",
        "80 01 01",
    ));
    assert_eq!(Writer::encode(&full()), bytes);
    assert_eq!(decode(&bytes), Ok(full()));
}

#[test]
fn later_values_win_and_messages_merge() {
    let twice: Everything = decode(&hex("08 01 08 02  12 01 61 12 01 62  1a 02 08 07 1a 00")).unwrap();
    let want = Everything { number: 2, text: "b".into(), inner: Inner { number: 7 }, ..Default::default() };
    assert_eq!(twice, want);
    let map: Everything = decode(&hex("5a 06 0a 01 61 12 01 31  5a 06 0a 01 61 12 01 32  5a 00")).unwrap();
    assert_eq!(map.map, [("a".to_owned(), "2".to_owned()), (String::new(), String::new())].into());
}

#[test]
fn unknown_fields_of_every_kind_are_skipped() {
    let bytes = hex("a0 06 05  a1 06 01 02 03 04 05 06 07 08  a2 06 02 ff ff  a5 06 01 02 03 04  08 01");
    assert_eq!(decode(&bytes), Ok(Inner { number: 1 }));
    // Unknown enum values stay numbers.
    let colour: Everything = decode(&hex("80 01 2a")).unwrap();
    assert_eq!((colour.colour, colour.colour.word()), (Colour(42), "UNKNOWN"));
    assert_eq!((Colour::default(), Colour::GREEN.word()), (Colour::RED, "GREEN"));
}

#[test]
fn each_fault_has_its_reason() {
    let table: &[(&str, PbError)] = &[
        ("08", PbError::Short),
        ("08 80", PbError::Short),
        ("12 02 61", PbError::Short),
        ("12 ff ff ff ff ff ff ff ff ff 01", PbError::Short),
        ("09 01 02 03 04 05 06 07", PbError::Short),
        ("0d 01 02 03", PbError::Short),
        ("08 ff ff ff ff ff ff ff ff ff 02", PbError::Varint),
        ("08 80 80 80 80 80 80 80 80 80 80 01", PbError::Varint),
        ("00 01", PbError::Number),
        ("80 80 80 80 10 01", PbError::Number),
        ("0b", PbError::WireType),
        ("0c", PbError::WireType),
        ("0e", PbError::WireType),
        ("0f", PbError::WireType),
        ("0a 00", PbError::Mismatch),
        ("10 01", PbError::Mismatch),
        ("18 01", PbError::Mismatch),
        ("22 01 01", PbError::Mismatch),
        ("0d 01 02 03 04", PbError::Mismatch),
        ("12 02 c3 28", PbError::Utf8),
        ("4a 01 ff", PbError::Utf8),
        ("5a 03 0a 01 80", PbError::Utf8),
        ("28 80 80 80 80 08", PbError::Range),
        ("38 80 80 80 80 10", PbError::Range),
        ("1a 01 08", PbError::Short),
    ];
    for (bytes, why) in table {
        assert_eq!(decode::<Everything>(&hex(bytes)), Err(*why), "{bytes}");
    }
}

#[test]
fn depth_is_bounded() {
    let nest = |levels: usize| {
        (0..levels).fold(Vec::new(), |inner, _| {
            let mut out = Writer::default();
            out.delimited(1, &inner);
            out.into_bytes()
        })
    };
    assert!(decode::<Nested>(&nest(8)).is_ok());
    assert_eq!(decode::<Nested>(&nest(9)), Err(PbError::Depth));
    assert_eq!(decode::<Nested>(&nest(5000)), Err(PbError::Depth));
}

#[test]
fn counts_are_bounded() {
    // 4 MiB of empty elements would be 100 MB of texts.
    assert_eq!(decode::<Everything>(&hex("4a 00").repeat(65_536)).map(|m| m.texts.len()), Ok(65_536));
    assert_eq!(decode::<Everything>(&hex("4a 00").repeat(65_537)), Err(PbError::Count));
    assert_eq!(decode::<Everything>(&hex("52 00").repeat(65_537)), Err(PbError::Count));
    let mut map = Map::new();
    for at in 0..65_536 {
        map.insert(at.to_string(), String::new());
    }
    assert_eq!(map.take(Value::Bytes(&hex("0a 01 78"), 1)), Err(PbError::Count));
}

#[test]
fn announced_bytes_complete_a_message() {
    let mut head = Writer::default();
    head.merge(&Inner { number: 150 });
    head.announce(8, 300);
    assert_eq!(head.into_bytes(), hex("08 96 01 42 ac 02"));
}

#[test]
fn damaged_messages_decode_or_fail() {
    let seeds = [Writer::encode(&full()), Writer::encode(&Inner { number: i64::MIN }), vec![]];
    let (mut good, mut bad) = (0u32, 0u32);
    mutate(&seeds, 100_000, |bytes| {
        let _skipping_never_fails_differently = decode::<Nothing>(bytes);
        let _depth_holds = decode::<Nested>(bytes);
        match decode::<Everything>(bytes) {
            // What was understood can be written and read again.
            Ok(message) => {
                good += 1;
                assert_eq!(decode(&Writer::encode(&message)), Ok(message));
            }
            Err(_) => bad += 1,
        }
    });
    assert!(good > 10_000 && bad > 10_000, "one-sided: {good} good, {bad} bad");
}
