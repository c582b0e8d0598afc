//! The ssh-agent protocol (draft-miller-ssh-agent), as far as listing keys and signing go.
//!
//! Never: loading a key into somebody's agent, or more than one request at a time.

use super::{Candidate, SignError};
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::signer::SshKey;
use ssh_key::{Algorithm, PublicKey};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Largest answer of an agent: OpenSSH's own limit.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// A person may look for the hardware key first.
const SIGN_WAIT: Duration = Duration::from_secs(120);
/// Listing asks nobody.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// An ssh-agent, by its socket.
#[derive(Debug)]
pub(super) struct AgentSocket {
    path: PathBuf,
}

impl AgentSocket {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Keys of accepted types; others are not ours to use.
    pub(super) async fn identities(&self) -> Result<Vec<Candidate>, SignError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], LIST_WAIT).await?;
        let mut rest = answer.strip_prefix(&[IDENTITIES_ANSWER]).ok_or_else(|| nonsense("no list of keys"))?;
        let count = take_u32(&mut rest).ok_or_else(|| nonsense("the list of keys is cut"))?;
        let mut found = Vec::new();
        for _ in 0..count {
            let blob = take_string(&mut rest).ok_or_else(|| nonsense("the list of keys is cut"))?;
            let comment = take_string(&mut rest).ok_or_else(|| nonsense("the list of keys is cut"))?;
            if let Ok(key) = SshKey::from_blob(blob) {
                let comment = one_line(&String::from_utf8_lossy(comment), 128);
                found.push(Candidate { hardware: is_hardware(&key), key, comment });
            }
        }
        Ok(found)
    }

    /// The signature as the agent gives it: `string algorithm | string signature | …`.
    pub(super) async fn sign(&self, key: &SshKey, data: &[u8], name: &str) -> Result<Vec<u8>, SignError> {
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, key.blob());
        put_string(&mut request, data);
        request.extend(0u32.to_be_bytes());
        let answer = self.ask(&request, SIGN_WAIT).await?;
        let refused = || SignError::AgentRefused(format!("{} {name}", key.fingerprint()));
        let mut rest = answer.strip_prefix(&[SIGN_RESPONSE]).ok_or_else(refused)?;
        take_string(&mut rest).map(<[u8]>::to_vec).ok_or_else(|| nonsense("the signature is cut"))
    }

    async fn ask(&self, request: &[u8], wait: Duration) -> Result<Vec<u8>, SignError> {
        let late = || SignError::Agent(format!("no answer within {} s", wait.as_secs()));
        timeout(wait, self.exchange(request)).await.map_err(|_| late())?
    }

    async fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |error: std::io::Error| SignError::Agent(format!("{}: {error}", self.path.display()));
        let mut socket = UnixStream::connect(&self.path).await.map_err(failed)?;
        let mut framed = Vec::new();
        put_string(&mut framed, request);
        socket.write_all(&framed).await.map_err(failed)?;
        let len = usize::try_from(socket.read_u32().await.map_err(failed)?).unwrap_or(usize::MAX);
        if len > ANSWER_BYTES_MAX {
            return Err(nonsense("the answer is too long"));
        }
        let mut answer = vec![0; len];
        socket.read_exact(&mut answer).await.map_err(failed)?;
        Ok(answer)
    }
}

/// Whether a key lives in hardware that wants a touch.
pub(super) fn is_hardware(key: &SshKey) -> bool {
    PublicKey::from_bytes(key.blob())
        .is_ok_and(|key| matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256))
}

fn nonsense(what: &str) -> SignError {
    SignError::Agent(what.to_owned())
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("what we sign has a few kilobytes");
    out.extend(len.to_be_bytes());
    out.extend(bytes);
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

pub(super) fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_u32(rest)?).ok()?;
    let (string, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_by_their_length() {
        let mut bytes = Vec::new();
        put_string(&mut bytes, b"key");
        put_string(&mut bytes, b"");
        let mut rest = &bytes[..];
        assert_eq!(take_string(&mut rest), Some(&b"key"[..]));
        assert_eq!(take_string(&mut rest), Some(&b""[..]));
        assert_eq!(take_string(&mut rest), None);
        let mut cut = &bytes[..5];
        assert_eq!(take_string(&mut cut), None);
        let mut huge = &[0xff, 0xff, 0xff, 0xff, 1][..];
        assert_eq!(take_string(&mut huge), None);
    }
}
