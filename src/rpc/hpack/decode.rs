//! Header blocks from the peer (RFC 7541 §6).
//!
//! ```text
//! 1xxxxxxx indexed field          01xxxxxx literal with incremental indexing
//! 0000xxxx literal, not indexed   0001xxxx literal, never indexed   001xxxxx table size update
//! ```

use super::{HpackError, MAX_BLOCK_LEN, MAX_FIELDS, huffman, table};

/// What a field costs besides its name and value (RFC 7541 §4.1).
const FIELD_OVERHEAD: usize = 32;
/// Bytes of a number after its prefix: enough for 2^28, more than any block.
const MAX_NUMBER_BYTES: u32 = 4;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Lower-case name.
    pub name: String,
    /// Value; any bytes.
    pub value: Vec<u8>,
}

impl Header {
    /// From parts.
    pub fn new(name: &str, value: &[u8]) -> Self {
        Header { name: name.to_owned(), value: value.to_owned() }
    }
}

/// The fields of a block in order.
pub type Headers = heapless::Vec<Header, MAX_FIELDS>;

/// Decodes one complete block.
pub fn decode(mut block: &[u8]) -> Result<Headers, HpackError> {
    let mut fields = Headers::new();
    let mut size = 0;
    while let Some(first) = block.first() {
        if first & 0xe0 == 0x20 {
            // Only in front (§4.2), and only to the size that we allow: none.
            if !fields.is_empty() || take_number(&mut block, 5)? != 0 {
                return Err(HpackError::TableSize);
            }
            continue;
        }
        let field = take_field(&mut block, *first)?;
        size += field.name.len() + field.value.len() + FIELD_OVERHEAD;
        if size > MAX_BLOCK_LEN {
            return Err(HpackError::Size);
        }
        fields.push(field).map_err(|_| HpackError::Fields)?;
    }
    Ok(fields)
}

fn take_field(block: &mut &[u8], first: u8) -> Result<Header, HpackError> {
    if first & 0x80 != 0 {
        let (name, value) = table::field(take_number(block, 7)?).ok_or(HpackError::Index)?;
        return Ok(Header::new(name, value.as_bytes()));
    }
    // With incremental indexing (01) the field would enter a table of size 0, which only empties it (§4.4): allowed.
    let prefix = if first & 0x40 != 0 { 6 } else { 4 };
    let name = match take_number(block, prefix)? {
        0 => name(take_string(block)?)?,
        index => table::field(index).ok_or(HpackError::Index)?.0.to_owned(),
    };
    Ok(Header { name, value: take_string(block)? })
}

/// RFC 9113 §8.2.1: visible ASCII without upper case.
fn name(bytes: Vec<u8>) -> Result<String, HpackError> {
    let good = |byte: &u8| matches!(byte, 0x21..=0x40 | 0x5b..=0x7e);
    if bytes.is_empty() || !bytes.iter().all(good) {
        return Err(HpackError::Name);
    }
    String::from_utf8(bytes).map_err(|_| HpackError::Name)
}

/// §5.1: what does not fit the prefix follows in groups of 7 bits, lowest first.
fn take_number(block: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let full = (1usize << prefix) - 1;
    let mut value = usize::from(take_byte(block)?) & full;
    if value < full {
        return Ok(value);
    }
    for at in 0..MAX_NUMBER_BYTES {
        let byte = take_byte(block)?;
        value += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HpackError::Number)
}

/// §5.2: a flag for Huffman coding, the length, the bytes.
fn take_string(block: &mut &[u8]) -> Result<Vec<u8>, HpackError> {
    let coded = block.first().ok_or(HpackError::Short)? & 0x80 != 0;
    let length = take_number(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(HpackError::Short)?;
    *block = rest;
    if coded { huffman::decode(bytes) } else { Ok(bytes.to_owned()) }
}

fn take_byte(block: &mut &[u8]) -> Result<u8, HpackError> {
    let (byte, rest) = block.split_first().ok_or(HpackError::Short)?;
    *block = rest;
    Ok(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, mutate};

    fn fields(block: &str) -> Result<Vec<(String, String)>, HpackError> {
        let text = |header: &Header| (header.name.clone(), String::from_utf8_lossy(&header.value).into_owned());
        decode(&hex(block)).map(|list| list.iter().map(text).collect())
    }

    fn want(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, HpackError> {
        Ok(list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn representations_of_appendix_c2() {
        let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
        assert_eq!(fields(custom), want(&[("custom-key", "custom-header")]));
        assert_eq!(fields("040c 2f73 616d 706c 652f 7061 7468"), want(&[(":path", "/sample/path")]));
        assert_eq!(fields("1008 7061 7373 776f 7264 0673 6563 7265 74"), want(&[("password", "secret")]));
        assert_eq!(fields("82"), want(&[(":method", "GET")]));
    }

    #[test]
    fn first_blocks_of_appendices_c3_to_c6() {
        // The later ones refer to the dynamic table.
        let request = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        assert_eq!(fields("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d"), want(&request));
        assert_eq!(fields("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), want(&request));
        let response = [
            (":status", "302"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ];
        let plain = "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 \
                     3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d";
        assert_eq!(fields(plain), want(&response));
        let coded = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d \
                     29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
        assert_eq!(fields(coded), want(&response));
    }

    #[test]
    fn blocks_that_containerd_sent() {
        // Recorded from 1.6.20, 1.7.24 and 2.1.9 with SETTINGS_HEADER_TABLE_SIZE 0.
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        assert_eq!(fields("20 88 0f10 8b 1d75d0620d263d4c4d6564"), want(&head));
        assert_eq!(fields("88 0f10 8b 1d75d0620d263d4c4d6564"), want(&head));
        let trailers = "00 88 9acac8b21234da8f 01 30  00 89 9acac8b5254207317f 00";
        assert_eq!(fields(trailers), want(&[("grpc-status", "0"), ("grpc-message", "")]));
        let refused = "88 0f10 8b 1d75d0620d263d4c4d6564 00 88 9acac8b21234da8f 01 35 \
                       00 89 9acac8b5254207317f 92 352398aa7f3e7d7bfe6e2951d2a4a7b6a93f";
        let not_found = [("grpc-status", "5"), ("grpc-message", "image \"xyz\": not found")];
        assert_eq!(fields(refused), want(&[head, not_found].concat()));
    }

    #[test]
    fn each_fault_has_its_reason() {
        let table: &[(&str, HpackError)] = &[
            ("80", HpackError::Index),
            ("be", HpackError::Index),    // first entry of a dynamic table
            ("ff 00", HpackError::Index), // 127
            ("7e 01 61", HpackError::Index),
            ("0f 2f 01 61", HpackError::Index), // name from the dynamic table
            ("21", HpackError::TableSize),
            ("3f e1 1f", HpackError::TableSize), // the default of 4096
            ("88 20", HpackError::TableSize),    // not in front
            ("ff", HpackError::Short),
            ("3f", HpackError::Short), // once a panic in a widely used decoder
            ("00", HpackError::Short),
            ("00 01", HpackError::Short),
            ("00 01 61", HpackError::Short),
            ("00 01 61 02 62", HpackError::Short),
            ("00 01 61 7f", HpackError::Short),
            ("ff ff ff ff ff", HpackError::Number),
            ("00 7f ff ff ff ff 0f", HpackError::Number),
            ("00 01 61 ff 80 80 80 80 00", HpackError::Number),
            ("00 00 00", HpackError::Name),
            ("00 01 41 00", HpackError::Name), // upper case
            ("00 01 20 00", HpackError::Name),
            ("00 01 0a 00", HpackError::Name),
            ("00 01 e4 00", HpackError::Name),
            ("00 01 61 81 00", HpackError::Huffman),
            ("00 01 61 84 ff ff ff ff", HpackError::Huffman),
        ];
        for (block, why) in table {
            assert_eq!(fields(block), Err(*why), "{block}");
        }
    }

    #[test]
    fn empty_and_repeated_size_updates_are_fine() {
        assert_eq!(fields(""), want(&[]));
        assert_eq!(fields("20 20 88"), want(&[(":status", "200")]));
    }

    #[test]
    fn fields_and_sizes_are_bounded() {
        assert_eq!(decode(&[0x88; 64]).map(|list| list.len()), Ok(64));
        assert_eq!(decode(&[0x88; 65]).err(), Some(HpackError::Fields));
        // 65,536 − 32 − 1 bytes of value are as much as was announced.
        let block = |length: usize| {
            let mut block = hex("00 01 61 7f");
            let mut rest = length - 127;
            while rest > 127 {
                block.push((rest & 127) as u8 | 128);
                rest >>= 7;
            }
            block.push(rest as u8);
            block.extend(vec![b'x'; length]);
            block
        };
        assert_eq!(decode(&block(65_503)).map(|list| list[0].value.len()), Ok(65_503));
        assert_eq!(decode(&block(65_504)).err(), Some(HpackError::Size));
    }

    #[test]
    fn damaged_blocks_decode_or_fail() {
        let seeds = [
            hex("20 88 0f10 8b 1d75d0620d263d4c4d6564"),
            hex("00 88 9acac8b21234da8f 01 35 00 89 9acac8b5254207317f 92 352398aa7f3e7d7bfe6e2951d2a4a7b6a93f"),
            hex("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff"),
            hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572 7f ff ff 3f ff"),
        ];
        let (mut good, mut bad) = (0u32, 0u32);
        mutate(&seeds, 100_000, |block| match decode(block) {
            Ok(list) => {
                good += 1;
                // Our own encoder writes what was read, and it reads the same.
                let text = |h: &Header| Some((h.name.clone(), String::from_utf8(h.value.clone()).ok()?));
                let Some(list) = list.iter().map(text).collect::<Option<Vec<_>>>() else { return };
                let again = crate::rpc::hpack::encode(list.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                let again: Vec<_> = decode(&again).unwrap().iter().map(|h| text(h).unwrap()).collect();
                assert_eq!(again, list);
            }
            Err(_) => bad += 1,
        });
        assert!(good > 10_000 && bad > 10_000, "one-sided: {good} good, {bad} bad");
    }
}
