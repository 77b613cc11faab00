//! Tokens: signed receipts of an account (or of a login attempt), its room, epoch and number.
//!
//! JWTs (RFC 7519) signed with Ed25519 (RFC 8037). Verifying a signature costs more than all the rest of a poll, so
//! what was verified once is remembered by the token's whole text until it expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, Validation};
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::Fault;
use crate::ids::{Epoch, Number, RoomName, UserId};

mod ring;
mod seal;
mod signer;
mod tail;
#[cfg(test)]
mod tests;

use ring::Ring;
use tail::ByTail;

pub use seal::Seal;

/// Who signs, and for whom: the claims `iss` and `aud`.
const SERVICE: &str = "anteroom";

/// Ours have about 400 bytes; longer texts are refused before any work.
const LONGEST_TOKEN: usize = 2_048;

/// A verified token that is not used for so long is forgotten: whoever has it has left, or verifies it anew, which costs
/// less than keeping all tokens of an hour.
const UNUSED: Duration = Duration::from_mins(2);

/// How far ahead of ours the clock of the process that signed may be.
const LEEWAY_SECONDS: u64 = 5;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// The place and the visit of an account.
    Place,
    /// The position of a login attempt, and nothing else.
    Attempt,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The account, or the attempt.
    pub sub: String,
    /// The room whose line this is.
    pub room: RoomName,
    /// The epoch in which the number was given.
    pub epoch: Epoch,
    /// The number in line. None where it was drawn: anyone can read a token, and nobody may know it before the opening.
    pub number: Option<Number>,
    /// The draw that the number is of, by its commitment: who knows the seed draws it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<String>,
    /// Since when the account has this number, in seconds since the Unix epoch, where an earlier token said so: a token that
    /// only renews another makes no number younger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// What the token opens.
    #[serde(rename = "use")]
    pub purpose: Use,
    /// The account that an attempt says it is: for its own eyes, and no right follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<UserId>,
    /// When it was signed, in seconds since the Unix epoch.
    pub iat: i64,
    /// From when on it is refused, in seconds since the Unix epoch.
    pub exp: i64,
}

impl Claims {
    /// Since when the account has its number, in seconds since the Unix epoch.
    pub fn since(&self) -> i64 {
        self.since.unwrap_or(self.iat)
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    iss: &'static str,
    aud: &'static str,
    #[serde(flatten)]
    claims: &'a Claims,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not one of ours.
    #[error("the token is not valid")]
    Invalid,
    /// One of ours, but too old.
    #[error("the token has expired")]
    Expired,
}

/// A verified token: when it ends, and what the caller made of its claims.
#[derive(Debug)]
pub struct Opened<S> {
    /// From when on it is refused, in seconds since the Unix epoch.
    pub exp: i64,
    /// What the caller made of the claims.
    pub value: S,
    /// How often keys had been taken away when it was verified.
    withdrawals: u64,
}

/// Signs tokens and opens them.
pub struct Tokens<S> {
    ring: ArcSwap<Ring>,
    rules: Validation,
    opened: Cache<Box<str>, Arc<Opened<S>>, ByTail>,
}

impl<S: Send + Sync + 'static> Tokens<S> {
    /// Tokens of these keys (Ed25519, PEM): the first, a private one (PKCS#8), signs; those that follow it, private or
    /// public, open tokens too. Up to `remembered` verified tokens are remembered.
    pub fn new(keys: &[u8], remembered: u64) -> Result<Self, Fault> {
        let opened = Cache::builder()
            .max_capacity(remembered)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilExpired)
            .time_to_idle(UNUSED)
            .build_with_hasher(ByTail::default());
        Ok(Self { ring: ArcSwap::from_pointee(Ring::read(keys)?), rules: rules(), opened })
    }

    /// Takes these keys from now on, and says whether they are others than before. Tokens of a key that is not among
    /// them open nothing any more, remembered or not.
    pub fn renew(&self, keys: &[u8]) -> Result<bool, Fault> {
        let (ring, before) = (Ring::read(keys)?, self.ring.load());
        let renewed = !ring.is(&before);
        if renewed {
            self.ring.store(Arc::new(ring.after(&before)));
        }
        Ok(renewed)
    }

    /// The public keys, as `/.well-known/jwks.json` shows them (RFC 7517).
    pub fn published(&self) -> JwkSet {
        JwkSet { keys: self.ring.load().keys.iter().map(|key| key.published.clone()).collect() }
    }

    /// The signed text of these claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, Fault> {
        self.ring.load().signer.sign(&Signed { iss: SERVICE, aud: SERVICE, claims })
    }

    /// Opens a token, or says why not. What `make` makes of the claims is remembered as long as the token is valid.
    pub fn open(&self, text: &str, make: impl FnOnce(Claims) -> S) -> Result<Arc<Opened<S>>, TokenRefusal> {
        self.open_at(unix_seconds(), text, make)
    }

    fn open_at(&self, now: i64, text: &str, make: impl FnOnce(Claims) -> S) -> Result<Arc<Opened<S>>, TokenRefusal> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenRefusal::Invalid);
        }
        let ring = self.ring.load();
        if let Some(opened) = self.opened.get(text).filter(|opened| opened.withdrawals == ring.withdrawals) {
            return if opened.exp > now { Ok(opened) } else { Err(TokenRefusal::Expired) };
        }
        let claims = self.verify(&ring, now, text)?;
        if claims.exp <= now {
            return Err(TokenRefusal::Expired);
        }
        let withdrawals = ring.withdrawals;
        let opened = Arc::new(Opened { exp: claims.exp, value: make(claims), withdrawals });
        self.opened.insert(text.into(), Arc::clone(&opened));
        Ok(opened)
    }

    fn verify(&self, ring: &Ring, now: i64, text: &str) -> Result<Claims, TokenRefusal> {
        let header = jsonwebtoken::decode_header(text).map_err(|_| TokenRefusal::Invalid)?;
        let key = header.kid.as_deref().and_then(|kid| ring.key(kid)).ok_or(TokenRefusal::Invalid)?;
        if header != key.header {
            return Err(TokenRefusal::Invalid);
        }
        let claims = jsonwebtoken::decode::<Claims>(text, &key.verifying, &self.rules)
            .map_err(|_| TokenRefusal::Invalid)?
            .claims;
        if claims.iat > now.saturating_add_unsigned(LEEWAY_SECONDS) {
            return Err(TokenRefusal::Invalid);
        }
        Ok(claims)
    }
}

/// Every claim is required, whoever it is for and from is checked, and of times only `nbf`, which ours do not have:
/// the end is checked by our own clock, also for remembered tokens.
fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.set_issuer(&[SERVICE]);
    rules.set_audience(&[SERVICE]);
    rules.leeway = LEEWAY_SECONDS;
    rules.validate_nbf = true;
    rules.validate_exp = false;
    rules
}

/// Lets a remembered token go when it expires.
struct UntilExpired;

impl<S> Expiry<Box<str>, Arc<Opened<S>>> for UntilExpired {
    fn expire_after_create(&self, _: &Box<str>, opened: &Arc<Opened<S>>, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(u64::try_from(opened.exp.saturating_sub(unix_seconds())).unwrap_or(0)))
    }
}

fn unix_seconds() -> i64 {
    clock::unix_ms().div_euclid(1_000)
}
