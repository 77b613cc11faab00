//! A seal for what is kept only to be recognised, such as the body of a request that had a password in it.

use aws_lc_rs::hmac;

/// What tells this use of the key from all others.
const PURPOSE: &[u8] = b"anteroom: bodies under an Idempotency-Key";

/// HMAC-SHA256 under the key that signs tokens, which every process has and no store: what is sealed tells nothing to who
/// reads the stores, not even a weak password to who tries all.
pub struct Seal(hmac::Key);

impl Seal {
    /// Of this key.
    pub fn new(token_key: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token_key), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()))
    }

    /// The sealed form of a body's hash.
    pub fn close(&self, hash: [u8; 32]) -> [u8; 32] {
        let mut sealed = [0; 32];
        sealed.copy_from_slice(hmac::sign(&self.0, &hash).as_ref());
        sealed
    }
}
