//! Fewer bytes for who understands them.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub enum Effort {
    /// Quick before small: what is made anew with each change.
    Least,
    /// The usual.
    Usual,
}

/// Bytes as RFC 1952 (gzip) has them.
pub fn zipped(bytes: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
    let level = match effort {
        Effort::Least => 1,
        Effort::Usual => 5,
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}
