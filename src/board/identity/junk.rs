//! Values that look like an identity and are the same on a whole shelf of boards.
use crate::error::excerpt;
use crate::gather::Gather;

/// What firmware vendors leave in the fields (lower case), seen in the field again and again.
const TEXTS: [&str; 22] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "default",
    "system serial number",
    "base board serial number",
    "chassis serial number",
    "serial number",
    "not specified",
    "not applicable",
    "not available",
    "not provided",
    "none",
    "null",
    "n/a",
    "na",
    "unknown",
    "oem",
    "o.e.m.",
    "invalid",
    "empty",
    "uninitialized",
];

/// UUIDs that AMI and others ship in every board, and those of examples.
const UUIDS: [&str; 4] = [
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "feefeefe-efee-fefe-efee-fefeefeefeef",
];

/// Shorter ones name a batch at most.
const SHORTEST: usize = 4;

/// Why `value` does not tell one board from another; `vendor` has further texts in lower case.
pub(crate) fn reason(value: &str, vendor: &[String]) -> Option<String> {
    let text = value.trim().to_ascii_lowercase();
    let shown = || excerpt(&text, 40);
    if TEXTS.contains(&text.as_str()) || UUIDS.contains(&text.as_str()) || vendor.contains(&text) {
        return Some(format!("is '{}', which its vendor writes into every board", shown()));
    }
    let plain: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).gather();
    if plain.len() < SHORTEST {
        return Some(format!("is '{}', too short to be one board's own", shown()));
    }
    if plain.iter().all(|b| plain.first() == Some(b)) {
        return Some(format!("is '{}', one character over and over", shown()));
    }
    if is_count(&plain) {
        return Some(format!("is '{}', which counts up instead of naming", shown()));
    }
    None
}

/// `0123456789`, `123456789abcdef`, `12345678`: each the one before plus one, after leading zeros.
fn is_count(plain: &[u8]) -> bool {
    const ORDER: &[u8] = b"0123456789abcdef";
    let at = plain.iter().position(|b| *b != b'0').unwrap_or(0);
    let rest = plain.get(at..).unwrap_or_default();
    // After 9 follows 0 or a.
    let decimal = rest.windows(2).all(|pair| matches!(pair, [b'9', b'0']) || steps(pair, ORDER));
    rest.len() >= SHORTEST && rest.first() == Some(&b'1') && decimal
}

fn steps(pair: &[u8], order: &[u8]) -> bool {
    order.windows(2).any(|next| next == pair)
}

/// What is wrong with a hardware address of twelve digits.
pub(super) fn mac_reason(plain: &str) -> Option<&'static str> {
    let first = plain.get(..2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    match (first, plain.len()) {
        (Some(first), 12) if first & 0b10 != 0 => Some("is locally made, not the hardware's own"),
        (Some(first), 12) if first & 1 != 0 => Some("is a group's address, not one card's"),
        (Some(_), 12) => None,
        _ => Some("is no hardware address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_on_every_board() {
        for junk in [
            "0000000000000000",
            "0000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "00000000-0000-0000-0000-000000000000",
            "To be filled by O.E.M.",
            " Default string ",
            "0123456789",
            "123456789",
            "0123456789ABCDEF",
            "1234567890",
            "00001234",
            "System Serial Number",
            "None",
            "03000200-0400-0500-0006-000700080009",
            "12",
            "",
            "...",
            "Vendor-X",
        ] {
            assert!(reason(junk, &["vendor-x".to_owned()]).is_some(), "{junk}");
        }
    }

    #[test]
    fn values_of_one_board() {
        for good in [
            "10000000a1b2c3d4",
            "1421221047392",
            "PF2ABCDE",
            "4c4c4544-0042-3510-8056-b4c04f4e4d32",
            "9876",
            "12355678",
            "dca632010203",
        ] {
            assert_eq!(reason(good, &[]), None, "{good}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(mac_reason("dca632010203"), None);
        assert_eq!(mac_reason("3200aa010203"), Some("is locally made, not the hardware's own"));
        assert_eq!(mac_reason("0100aa010203"), Some("is a group's address, not one card's"));
        assert_eq!(mac_reason("0100"), Some("is no hardware address"));
    }

    #[test]
    fn what_is_told() {
        assert_eq!(
            reason("Default string", &[]).unwrap(),
            "is 'default string', which its vendor writes into every board"
        );
        assert_eq!(reason("0000", &[]).unwrap(), "is '0000', one character over and over");
        assert_eq!(reason("0123456789", &[]).unwrap(), "is '0123456789', which counts up instead of naming");
    }
}
