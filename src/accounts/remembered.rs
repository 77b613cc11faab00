//! Passwords that were right a short while ago.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::password::Password;
use crate::ids::UserId;

/// Accounts remembered at most, some 50 MB. Beyond, those not heard of for the longest time are let go.
const MOST_ACCOUNTS: u64 = 200_000;

/// Who logs in again and again is remembered for so many times as long, then checked anew: by default for an hour, as long as a
/// token is valid.
const LIVES: u32 = 4;

/// A keyed hash of a username and a password. Of no use to who does not have the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag([u8; 32]);

pub(super) struct Remembered {
    keyed: Hmac<Sha256>,
    tags: Cache<UserId, Tag>,
}

impl Remembered {
    /// Remembers each until it was not used for as long as `life`, and for `LIVES` of them at most. The key is made here and
    /// goes nowhere, so that a restart forgets.
    pub(super) fn new(life: Duration) -> Self {
        let tags = Cache::builder()
            .max_capacity(MOST_ACCOUNTS)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(life)
            .time_to_live(life.saturating_mul(LIVES))
            .build();
        let key: [u8; 64] = rand::random();
        Self { keyed: Hmac::new(&key.into()), tags }
    }

    pub(super) fn tag(&self, user: &UserId, password: &Password) -> Tag {
        let mut hmac = self.keyed.clone();
        hmac.update(user.as_str().as_bytes());
        // No username has this byte, so no other pair reads the same.
        hmac.update(&[0]);
        hmac.update(password.expose().as_bytes());
        Tag(hmac.finalize().into_bytes().into())
    }

    pub(super) fn knows(&self, user: &UserId, tag: &Tag) -> bool {
        self.tags.get(user).is_some_and(|known| known.0.ct_eq(&tag.0).into())
    }

    pub(super) fn remember(&self, user: &UserId, tag: Tag) {
        self.tags.insert(user.clone(), tag);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn who_comes_again_is_remembered_for_longer_but_not_for_ever() {
        let life = Duration::from_secs(2);
        let remembered = Remembered::new(life);
        let (user, password) = (UserId::parse("user00001").unwrap(), Password::parse("test-password").unwrap());
        let tag = remembered.tag(&user, &password);
        remembered.remember(&user, tag);
        for _ in 0..3 {
            sleep(life * 6 / 10);
            assert!(remembered.knows(&user, &tag));
        }
        for _ in 0..4 {
            sleep(life * 6 / 10);
            remembered.knows(&user, &tag);
        }
        assert!(!remembered.knows(&user, &tag), "it is to be checked anew");
    }
}
