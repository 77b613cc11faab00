//! Passwords and their hashes: argon2id at OWASP's minimum (7 MiB, five passes, one lane), as PHC strings.

use argon2::password_hash::{PasswordHasher as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::error::Fault;

const MOST_BYTES: usize = 256;
const FEWEST_NEW_CHARACTERS: usize = 8;
/// Of the settings that OWASP's cheat sheet on storing passwords calls equal, the one that takes the least of a core and of
/// its caches, which others need meanwhile (docs/decisions/0015-less-memory-more-passes.md).
const MEMORY_KIB: u32 = 7_168;
const PASSES: u32 = 5;
const LANES: u32 = 1;

/// What is compared for an account that does not exist, so that it costs as much as one that does. Of the same
/// parameters as [`hash_password`]'s; no password is known that fits, and none would be let in by it.
const NOBODYS: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a text is no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPassword(pub &'static str);

/// A password that someone presents. Shows itself to nobody.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Takes a text from outside, or says what a password looks like.
    pub fn parse(text: &str) -> Result<Self, BadPassword> {
        let fits = (1..=MOST_BYTES).contains(&text.len()) && !text.contains('\0');
        if fits { Ok(Self(text.into())) } else { Err(BadPassword("a password has 1 to 256 bytes, none of them NUL")) }
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A password that someone chooses.
#[derive(Debug, Clone)]
pub struct NewPassword(pub(super) Password);

impl NewPassword {
    /// Takes a text from outside, or says what a new password must look like.
    pub fn parse(text: &str) -> Result<Self, BadPassword> {
        let long = text.chars().count() >= FEWEST_NEW_CHARACTERS;
        match Password::parse(text) {
            Ok(password) if long => Ok(Self(password)),
            _ => Err(BadPassword("a new password has at least 8 characters and at most 256 bytes, none of them NUL")),
        }
    }
}

/// The hash to store, as a PHC string with a random salt. Takes some 15 ms of a core: not for the runtime's threads.
pub fn hash_password(password: &Password) -> Result<String, Fault> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| unusable(&e))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(password.expose().as_bytes()).map_err(|e| unusable(&e))?;
    Ok(hash.to_string())
}

/// Compares passwords with hashes. Keeps its working memory, which is slow to get from the system each time.
#[derive(Default)]
pub(super) struct Hasher {
    memory: Vec<Block>,
}

impl Hasher {
    /// Whether the password is that of the stored hash; without one it never is, and takes as long.
    pub(super) fn matches(&mut self, password: &Password, stored: Option<&str>) -> Result<bool, Fault> {
        let hash = PasswordHash::new(stored.unwrap_or(NOBODYS)).map_err(|e| unusable(&e))?;
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return Err(unusable(&"no salt or no hash"));
        };
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|e| unusable(&e))?;
        let version = hash.version.unwrap_or(Version::V0x13.into());
        let version = Version::try_from(version).map_err(|e| unusable(&e))?;
        let params = Params::try_from(&hash).map_err(|e| unusable(&e))?;
        if self.memory.len() < params.block_count() {
            self.memory.resize(params.block_count(), Block::default());
        }
        let mut computed = vec![0; expected.len()];
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut computed, &mut self.memory)
            .map_err(|e| unusable(&e))?;
        let same: bool = computed.ct_eq(expected.as_bytes()).into();
        Ok(same && stored.is_some())
    }
}

fn unusable(error: &dyn std::fmt::Display) -> Fault {
    Fault::Defect(format!("a password cannot be hashed or compared: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let right = Password::parse("correct horse").unwrap();
        let wrong = Password::parse("correct house").unwrap();
        let stored = hash_password(&right).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{stored}");
        assert_ne!(stored, hash_password(&right).unwrap(), "two hashes have the same salt");
        let mut hasher = Hasher::default();
        for _ in 0..2 {
            assert!(hasher.matches(&right, Some(&stored)).unwrap());
            assert!(!hasher.matches(&wrong, Some(&stored)).unwrap());
            assert!(!hasher.matches(&right, None).unwrap());
        }
        assert!(hasher.matches(&right, Some("no hash")).is_err());
        assert!(hasher.matches(&right, Some("$argon2id$v=19$m=8,t=1,p=1")).is_err());
    }

    #[test]
    fn passwords_are_bounded_and_never_shown() {
        assert!(Password::parse("").is_err());
        assert!(Password::parse("a\0b").is_err());
        assert!(Password::parse(&"a".repeat(257)).is_err());
        assert!(NewPassword::parse("seven77").is_err());
        assert!(NewPassword::parse("비밀번호여덟자다").is_ok());
        assert!(!format!("{:?}", Password::parse("testpass").unwrap()).contains("testpass"));
    }
}
