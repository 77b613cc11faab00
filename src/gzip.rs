//! Fewer bytes for who understands them.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes as RFC 1952 (gzip) has them.
pub fn zipped(bytes: &[u8], effort: Compression) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), effort);
    encoder.write_all(bytes)?;
    encoder.finish()
}
