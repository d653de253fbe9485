//! When a join token ends: the `exp` claim of its JWT (RFC 7519 §4.1.4). The signature cannot be judged here; only the
//! cloud has the key.

use crate::base64;
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
    let bytes = base64::decode(token.claims(), base64::URL).ok_or(BadClaims::Encoding)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
