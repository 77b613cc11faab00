//! Hashing a token by its tail. Only verified tokens are remembered, so a tail is that of a signature: as good as random,
//! and nobody can make two that are the same. The whole text is compared all the same.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

/// How much of a text is hashed: 96 bits of a signature in base64.
const TAIL: usize = 16;

#[derive(Clone, Default)]
pub(super) struct ByTail(RandomState);

pub(super) struct Tail(DefaultHasher);

impl BuildHasher for ByTail {
    type Hasher = Tail;

    fn build_hasher(&self) -> Tail {
        Tail(self.0.build_hasher())
    }
}

impl Hasher for Tail {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[bytes.len().saturating_sub(TAIL)..]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
