//! Who vouches for a bundle: minisign signatures over its identity, on which all of its bytes hang (docs/bundles.md).

use minisign_verify::{Error as Why, PublicKey, Signature};

use crate::digest::Digest;
use crate::gather::Gather;

/// A bundle's signature lies beside it, under its name with this ending.
pub const ENDING: &str = ".minisig";
/// Largest file with a key or a signature: both have less than 1 KiB.
pub const MAX_TEXT: usize = 4096;
/// Most keys that are read.
pub const MAX_KEYS: usize = 32;

/// What a signature is made over.
pub fn statement(identity: &Digest) -> String {
    format!("edgelay bundle {identity}\n")
}

/// Public keys, any one of which may have signed.
#[derive(Debug, Default)]
pub struct Keys(Vec<(String, PublicKey)>);

/// Who signed, and when and what for, in the signer's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    /// Name of the key, as this machine calls it.
    pub by: String,
    /// The comment that was signed along.
    pub comment: String,
}

impl Keys {
    /// Adds the key of a file that minisign made. The error completes "key file 'x' ".
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), &'static str> {
        if self.0.len() >= MAX_KEYS {
            return Err("is one too many");
        }
        let key = PublicKey::decode(text).map_err(|_| "is no public key of minisign")?;
        self.0.push((name.to_owned(), key));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who of them signed the bundle with this identity. The error completes "signature 'x' ".
    pub fn signer(&self, identity: &Digest, signature: &str) -> Result<Signed, String> {
        let signature = Signature::decode(signature).map_err(|_| "is no signature of minisign".to_owned())?;
        let statement = statement(identity);
        let mut known = None;
        for (name, key) in &self.0 {
            // Of one short line, the old form is as good as the new one, which signs a hash.
            match key.verify(statement.as_bytes(), &signature, true) {
                Ok(()) => return Ok(Signed { by: name.clone(), comment: signature.trusted_comment().to_owned() }),
                Err(Why::UnexpectedKeyId) => {}
                Err(_) => known = Some(name),
            }
        }
        Err(match known {
            Some(name) => format!("is of key '{name}', but not for the bundle with the identity {identity}"),
            None => {
                let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).gather();
                format!("is of none of the keys: {}", names.join(", "))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with minisign 0.11 and thrown-away keys, over the statement for the digest of 'x'.
    const A: &str = "untrusted comment: minisign public key C23E3FA006F120CD\n\
        RWTNIPEGoD8+wl09VXef0AaAb6TVy7B0Dfz2dzf6hLR5xA2aLSKYS4pJ\n";
    const B: &str = "untrusted comment: minisign public key 83236E5AB766A161\n\
        RWRhoWa3Wm4jg7gt3cea63PbUQ8IGJIXXnswXA78fI9iQCCCIZHrtdwJ\n";
    const HASHED: &str = "untrusted comment: signature from minisign secret key\n\
        RUTNIPEGoD8+wpUGyvLLETDF35p34hPMNhyxZ+798l4EKTLGzYLMgiq3qQh3BZvH9nEMhyg08DzhBa68J1sfpgpN806d97qPHgg=\n\
        trusted comment: edge arm64\n\
        DLuwgbq1FEJRmm7Aj3W/jUQZ4Mzd/IHIcI5+celugKrJd2YSDu2+PgeT3XbvtEsLOF+biq+kJ8oudOXBmx4fDQ==\n";
    const PLAIN: &str = "untrusted comment: signature from minisign secret key\n\
        RWTNIPEGoD8+wizA0pj1RvJIPFn8C9TxicVSaZIiT+CyNKpE/FiKkFEVU14sQU/zJ1IDGde8JtUPoVab6PolIMSPjRX2Pn8U0AI=\n\
        trusted comment: edge arm64\n\
        dRn20HgFEqtjRUBMnkIq7vmaNm8a9gDhGJa9C80pVKjO8wjGgk9VGT5thD4mC6z+/0VQsVYckqJEE1kRthocBQ==\n";

    fn keys(texts: &[(&str, &str)]) -> Keys {
        let mut keys = Keys::default();
        for (name, text) in texts {
            keys.add(name, text).unwrap();
        }
        keys
    }

    #[test]
    fn any_of_the_keys_may_have_signed() {
        let identity = Digest::of(b"x");
        for signature in [HASHED, PLAIN] {
            for names in [&[("a", A)][..], &[("b", B), ("a", A)]] {
                let signed = Signed { by: "a".into(), comment: "edge arm64".into() };
                assert_eq!(keys(names).signer(&identity, signature), Ok(signed));
            }
        }
    }

    #[test]
    fn any_other_signature_is_refused() {
        let (both, identity) = (keys(&[("a", A), ("b", B)]), Digest::of(b"x"));
        let refused = |keys: &Keys, identity: &Digest, text: &str| keys.signer(identity, text).unwrap_err();
        let of_another = format!("is of key 'a', but not for the bundle with the identity {}", Digest::of(b"y"));
        assert_eq!(refused(&both, &Digest::of(b"y"), HASHED), of_another);
        assert_eq!(refused(&keys(&[("b", B)]), &identity, HASHED), "is of none of the keys: b");
        // The comment is signed as well.
        let other = HASHED.replace("edge arm64", "edge amd64");
        assert!(refused(&both, &identity, &other).starts_with("is of key 'a', but not for"));
        // A key that claims another's number.
        let number = |text: &str| text.lines().nth(1).unwrap()[..14].to_owned();
        let posing = B.replace(&number(B), &number(A));
        assert!(refused(&keys(&[("b", &posing)]), &identity, HASHED).starts_with("is of key 'b', but not for"));
        for text in ["", "\n\n\n\n", A, &HASHED[..HASHED.len() / 2], &HASHED.replace("trusted comment: ", "")] {
            assert_eq!(refused(&both, &identity, text), "is no signature of minisign", "{text}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let (a, identity) = (keys(&[("a", A)]), Digest::of(b"x"));
        for at in 0..HASHED.len() {
            let mut bytes = HASHED.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let signed = a.signer(&identity, &text);
            // The first line is nobody's word; its end is a line's.
            let in_first = at < HASHED.find('\n').unwrap();
            assert_eq!(signed.is_ok(), in_first, "{at}: {signed:?}");
        }
    }

    #[test]
    fn keys_are_checked() {
        for bad in ["", "one line", HASHED] {
            assert_eq!(Keys::default().add("x", bad), Err("is no public key of minisign"), "{bad}");
        }
        let mut many = keys(&[("a", A); MAX_KEYS]);
        assert_eq!(many.add("b", B), Err("is one too many"));
    }
}
