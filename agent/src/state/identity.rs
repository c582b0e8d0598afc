//! The key that names this server: Ed25519, made here, never leaves.
//!
//! The file holds the seed and, after it, the public key that belongs to it: a flipped bit is noticed instead of making
//! another identity. It must never be readable by anybody but its owner.

use super::files::{self, FileError};
use cloud_doctor_proto::ids::{AgentId, VerifyKey};
use ed25519_dalek::SigningKey;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const BYTES: usize = 64;

/// The identity could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not the bytes that were written.
    #[error("{}: damaged", .0.display())]
    Damaged(PathBuf),
}

/// Where the key stands.
pub(crate) fn path(guard: &Path) -> PathBuf {
    guard.join("identity.key")
}

/// Reads the key.
///
/// # Errors
/// [`IdentityError`].
pub(crate) fn load(guard: &Path) -> Result<SigningKey, IdentityError> {
    let path = path(guard);
    let bytes = Zeroizing::new(files::read(&path, BYTES)?);
    let damaged = || IdentityError::Damaged(path.clone());
    let (seed, public) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let key = SigningKey::from_bytes(seed);
    if key.verifying_key().as_bytes().as_slice() == public { Ok(key) } else { Err(damaged()) }
}

/// Writes a new key; an existing one is never replaced.
///
/// # Errors
/// [`FileError`].
pub(crate) fn create(guard: &Path, key: &SigningKey) -> Result<(), FileError> {
    let bytes = Zeroizing::new([key.to_bytes(), key.verifying_key().to_bytes()].concat());
    files::create(&path(guard), files::PRIVATE, &bytes)
}

/// The public half.
pub(crate) fn public(key: &SigningKey) -> VerifyKey {
    VerifyKey(key.verifying_key().to_bytes())
}

/// The server's id.
pub(crate) fn agent_id(key: &SigningKey) -> AgentId {
    AgentId::of(&public(key))
}
