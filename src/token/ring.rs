//! The keys for tokens, read from one file: the first signs, all of them open.
//!
//! So a key is changed without refusing a valid token, by three versions of the file (docs/gate.md): the old key with the
//! public half of the new one; the new key with the public half of the old one; the new key alone.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use pem::Pem;

use super::signer::Signer;
use crate::error::Fault;

/// Keys of one file at most: two while a key is changed.
const MOST_KEYS: usize = 16;

/// The keys in force.
pub(super) struct Ring {
    pub(super) signer: Signer,
    /// The one that signs comes first.
    pub(super) keys: Vec<Key>,
    /// How often keys were taken away: what was opened before the last time is to be verified again.
    pub(super) withdrawals: u64,
}

pub(super) struct Key {
    pub(super) kid: String,
    pub(super) verifying: DecodingKey,
    /// The only header that tokens of this key have.
    pub(super) header: Header,
    pub(super) published: Jwk,
}

impl Ring {
    /// Reads a file: first the private key that signs, then any number of private or public ones that open too.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let blocks = pem::parse_many(text).map_err(|e| bad_key(&e))?;
        let first = blocks.first().filter(|block| block.tag() == PRIVATE).ok_or_else(|| bad_key(&"it holds none"))?;
        if blocks.len() > MOST_KEYS {
            return Err(bad_key(&"it holds too many keys"));
        }
        let signer = Signer::new(&private(first)?, &Key::read(first)?.header)?;
        let mut keys: Vec<Key> = Vec::new();
        for block in &blocks {
            let key = Key::read(block)?;
            if keys.iter().all(|known| known.kid != key.kid) {
                keys.push(key);
            }
        }
        Ok(Self { signer, keys, withdrawals: 0 })
    }

    /// The key of this name.
    pub(super) fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Whether these are the same keys in the same order.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| &key.kid).eq(other.keys.iter().map(|key| &key.kid))
    }

    /// The keys that follow these.
    pub(super) fn after(self, before: &Self) -> Self {
        let withdrawn = before.keys.iter().any(|key| self.key(&key.kid).is_none());
        Self { withdrawals: before.withdrawals + u64::from(withdrawn), ..self }
    }
}

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

impl Key {
    fn read(block: &Pem) -> Result<Self, Fault> {
        let published = match block.tag() {
            PRIVATE => Jwk::from_encoding_key(&private(block)?, Algorithm::EdDSA),
            PUBLIC => DecodingKey::from_ed_pem(pem::encode(block).as_bytes())
                .and_then(|key| Jwk::from_decoding_key(&key, Some(Algorithm::EdDSA))),
            _ => return Err(bad_key(&format!("it holds a {}", block.tag()))),
        };
        let mut published = published.map_err(|e| bad_key(&e))?;
        let verifying = DecodingKey::from_jwk(&published).map_err(|e| bad_key(&e))?;
        let kid = published.thumbprint(ThumbprintHash::SHA256).map_err(|e| bad_key(&e))?;
        published.common.key_id = Some(kid.clone());
        published.common.public_key_use = Some(PublicKeyUse::Signature);
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok(Self { kid, verifying, header, published })
    }
}

fn private(block: &Pem) -> Result<EncodingKey, Fault> {
    EncodingKey::from_ed_pem(pem::encode(block).as_bytes()).map_err(|e| bad_key(&e))
}

/// Says what is wrong, and nothing of what the file holds.
fn bad_key(why: &impl std::fmt::Display) -> Fault {
    Fault::Defect(format!("the file of the key for tokens does not begin with an Ed25519 key in PKCS#8 PEM: {why}"))
}
