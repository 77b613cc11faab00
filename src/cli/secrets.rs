//! Secrets that `anteroom dev` makes for itself: once, into files that only their owner reads.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use aws_lc_rs::signature::Ed25519KeyPair;
use pem::{EncodeConfig, LineEnding, Pem};
use secrecy::SecretString;

/// The file of the key that signs tokens, in the data folder.
pub(super) const TOKEN_KEY: &str = "token-key.pem";

/// The file of the operators' token, in the data folder.
pub(super) const ADMIN_TOKEN: &str = "admin-token";

/// What a development server needs to know and nobody else may.
pub struct Secrets {
    /// The Ed25519 private key (PKCS#8, PEM) that signs tokens.
    pub token_key_file: PathBuf,
    /// What operators present: 64 hexadecimal digits.
    pub admin_token: SecretString,
}

/// The secrets of a data folder, which must exist: made at the first call, the same ever after.
pub fn load(data_dir: &Path) -> anyhow::Result<Secrets> {
    let token_key_file = data_dir.join(TOKEN_KEY);
    keep(&token_key_file, token_key)?;
    let admin_token = keep(&data_dir.join(ADMIN_TOKEN), || Ok(random_hex()))?;
    Ok(Secrets { token_key_file, admin_token: admin_token.into() })
}

/// What the file holds; where there is none yet, what `make` makes, now in the file too.
pub(super) fn keep(file: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    match fs::read_to_string(file) {
        Ok(kept) => Ok(kept),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let text = make()?;
            write_private(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(text)
        }
        Err(e) => Err(e).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// 32 random bytes in hexadecimal.
pub(super) fn random_hex() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

/// Writes beside the file and renames, so that a crash leaves no half secret. The owner alone may read it.
pub(super) fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&beside, file)
}

fn token_key() -> anyhow::Result<String> {
    // Version 1 of PKCS#8, without the public key, is what `openssl genpkey` writes and every reader takes.
    let key = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
    let key = key.map_err(|_| anyhow!("cannot make an Ed25519 key"))?;
    let block = Pem::new("PRIVATE KEY", key.as_ref());
    Ok(pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF)))
}
