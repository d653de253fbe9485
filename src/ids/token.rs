//! The KubeEdge join token: `<64 hex digits of the CA's SHA-256>.<JWT of three parts>`.

use std::fmt;
use std::str::FromStr;

use crate::gather::{Gather, Grow};

use super::BadName;

/// A join token of the right shape. Neither `Debug` nor any error shows its text; it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A KubeEdge token is about 250 bytes; a JWT with many claims stays far below this.
const MAX: usize = 4096;

impl Token {
    /// The secret itself: for the keadm command line and the bootstrap file only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What must not be shown: the whole, and the parts that are as good as it. CloudCore only looks at the JWT, whose
    /// claims anybody can guess: with its signature alone a token can be put together again.
    pub fn secrets(&self) -> Vec<String> {
        /// Shorter ones are no signatures (HS256 has 43 letters), and masking them would spoil other words.
        const LEAST: usize = 16;
        let jwt = self.0.split_once('.').map_or("", |(_, jwt)| jwt);
        let signature = jwt.rsplit('.').next().unwrap_or_default();
        let parts = [jwt, signature].into_iter().filter(|part| part.len() >= LEAST);
        std::iter::once(self.reveal()).chain(parts).map(str::to_owned).gather()
    }

    /// Hex SHA-256 of the DER form of the CA certificate that the token belongs to.
    pub fn ca_hash(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The JWT's claims part, still base64url encoded.
    pub fn claims(&self) -> &str {
        self.0.split('.').nth(2).unwrap_or_default()
    }
}

impl FromStr for Token {
    type Err = BadName;

    /// Surrounding white space (a text file's last newline) is dropped; anything else must fit.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.len() > MAX {
            return Err(BadName::TooLong(MAX));
        }
        let parts: Vec<&str> = text.split('.').gather();
        let [hash, jwt @ ..] = parts.as_slice() else { return Err(BadName::Empty) };
        if jwt.len() != 3 {
            return Err(BadName::Shape("is not four parts joined by '.' (a CA hash and a JWT)"));
        }
        if hash.len() != 64 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadName::Shape("does not begin with the 64 lower-case hex digits of a CA hash"));
        }
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if jwt.iter().any(|part| part.is_empty() || !part.bytes().all(base64url)) {
            return Err(BadName::Shape("has a JWT part that is empty or not base64url"));
        }
        Ok(Token(text.to_owned()))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // Best effort without unsafe code: overwrite in place, so that a later reuse of the memory shows nothing.
        let len = self.0.len();
        self.0.clear();
        self.0.add_all(std::iter::repeat_n('0', len));
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_silence() {
        let hash = "a".repeat(64);
        let good = format!("{hash}.aGVhZA.Y2xhaW1z.c2ln\n");
        let token: Token = good.parse().unwrap();
        assert_eq!((token.ca_hash(), token.claims()), (hash.as_str(), "Y2xhaW1z"));
        assert_eq!(format!("{token:?}"), "Token(…)");
        for bad in ["", "\n", "abc", &format!("{hash}.a.b"), &format!("{hash}.a.b.c.d"), &format!("{hash}.a..c")] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
        let (long, signature) = (format!("{hash}.a.b.{hash}"), hash.clone());
        let secrets = [long.clone(), format!("a.b.{hash}"), signature];
        assert_eq!(long.parse::<Token>().unwrap().secrets(), secrets, "the longest first");
        assert_eq!(token.secrets(), [good.trim(), "aGVhZA.Y2xhaW1z.c2ln"]);
        assert!(format!("{}.a.b.c", "A".repeat(64)).parse::<Token>().is_err());
        assert!(format!("{hash}.a.b\r\nc.d").parse::<Token>().is_err());
    }
}
