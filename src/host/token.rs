//! When a join token ends: the `exp` claim of its JWT (RFC 7519 §4.1.4). The signature cannot be judged here; only the
//! cloud has the key.

use crate::ids::Token;
use crate::json;

/// Why the claims of a token cannot be read. The token's text is in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadClaims {
    /// Not base64url (RFC 4648 §5).
    Encoding,
    /// Not a JSON object.
    Json,
    /// `exp` is not a number of seconds.
    Expiry,
}

impl std::fmt::Display for BadClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BadClaims::Encoding => "its claims are not base64url",
            BadClaims::Json => "its claims are not a JSON object",
            BadClaims::Expiry => "its claim 'exp' is not a number of seconds",
        })
    }
}

/// A token is at most 4 KiB; so are its claims.
const LIMIT: usize = 4096;

/// Seconds since 1970 at which the token ends. `None`: never.
pub fn expiry(token: &Token) -> Result<Option<u64>, BadClaims> {
    let bytes = base64url(token.claims()).ok_or(BadClaims::Encoding)?;
    let claims = json::read(&bytes, LIMIT).map_err(|_| BadClaims::Json)?;
    claims.members().map_err(|_| BadClaims::Json)?;
    let Some(exp) = claims.get("exp") else { return Ok(None) };
    match &exp.data {
        json::Data::Number(json::Number::Whole(seconds)) => Ok(Some(*seconds)),
        json::Data::Number(json::Number::Other(text)) => whole_part(text).map(Some).ok_or(BadClaims::Expiry),
        _ => Err(BadClaims::Expiry),
    }
}

/// RFC 7519 section 2 (NumericDate) allows fractions of a second, and JSON writes a number in many ways: `1.7e9`. A time
/// beyond all clocks becomes the last one.
fn whole_part(number: &str) -> Option<u64> {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let negative = whole.starts_with('-');
    let mut value = 0u64;
    // At most 20 digits count; `exponent` moves the point over those of the fraction, then adds zeros.
    let places = i64::try_from(whole.len()).ok()?.checked_add(exponent.parse().ok()?)?.clamp(0, 24);
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat(b'0'));
    for digit in digits.take(usize::try_from(places).ok()?) {
        value = value.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')));
    }
    (!negative).then_some(value)
}

/// Decodes base64url without padding. Bits left over must be zero.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    // One letter alone in the last group carries no whole byte.
    (bits == 0 && count < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10_without_padding() {
        for (text, bytes) in
            [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64url(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64url("-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for bad in ["Z", "Zg==", "Zh", "Zm9vY", "Z+8", "Z 8"] {
            assert_eq!(base64url(bad), None, "{bad}");
        }
    }

    #[test]
    fn expiry_of_a_token() {
        let of = |claims: &str| {
            let text = format!("{}.eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln", "a".repeat(64));
            expiry(&text.parse::<Token>().unwrap())
        };
        // {"exp":1700000000}  {}  {"exp":1.7e9}  {"exp":"x"}  {"exp":-1}  []
        assert_eq!(of("eyJleHAiOjE3MDAwMDAwMDB9"), Ok(Some(1_700_000_000)));
        assert_eq!(of("e30"), Ok(None));
        assert_eq!(of("eyJleHAiOjEuN2U5fQ"), Ok(Some(1_700_000_000)));
        assert_eq!(of("eyJleHAiOiJ4In0"), Err(BadClaims::Expiry));
        assert_eq!(of("eyJleHAiOi0xfQ"), Err(BadClaims::Expiry));
        assert_eq!(of("W10"), Err(BadClaims::Json));
        assert_eq!(of("A"), Err(BadClaims::Encoding));
        assert_eq!(of("AAAA"), Err(BadClaims::Json));
    }
}
