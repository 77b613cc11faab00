//! Signing, with a key that is unpacked once.
//!
//! `jsonwebtoken` unpacks the private key for each token, which derives the public half anew and checks it: three times the
//! work of the signature itself.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use crate::error::Fault;

/// Our tokens have about 400 bytes.
const USUAL_TOKEN: usize = 512;

/// A key that signs, and the header that all its tokens have.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    /// As it begins a token, with the dot.
    head: String,
}

impl Signer {
    pub(super) fn new(key: &EncodingKey, header: &Header) -> Result<Self, Fault> {
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes())
            .map_err(|e| Fault::Defect(format!("the key for tokens cannot sign: {e}")))?;
        let header = serde_json::to_vec(header).map_err(|e| unsigned(&e))?;
        Ok(Self { pair, head: URL_SAFE_NO_PAD.encode(header) + "." })
    }

    /// The signed text of these claims (RFC 7515, 7.1).
    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String, Fault> {
        let claims = serde_json::to_vec(claims).map_err(|e| unsigned(&e))?;
        let mut text = String::with_capacity(USUAL_TOKEN);
        text.push_str(&self.head);
        URL_SAFE_NO_PAD.encode_string(claims, &mut text);
        let signature = self.pair.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

fn unsigned(error: &serde_json::Error) -> Fault {
    Fault::Defect(format!("a token could not be signed: {error}"))
}
