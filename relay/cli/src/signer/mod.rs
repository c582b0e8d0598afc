//! Keys that sign for a person: in an ssh-agent (hardware keys too), or in a file.
//!
//! What is signed is made in this process, in a namespace of the protocol, and the signature is checked before it
//! leaves: a key that signs something else is noticed here. Never: signing bytes that came from a peer, or asking for a
//! passphrase before it is needed.

mod key_file;
mod ssh_agent;

use crate::messages::{Id, Say, Sentence};
use cloud_doctor_proto::ids::KeyId;
use cloud_doctor_proto::signer::{SignerError, SshKey};
use key_file::KeyFile;
use ssh_agent::AgentSocket;
use ssh_key::{HashAlg, LineEnding, PublicKey, Signature, SshSig};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub use key_file::write_new_key;

/// The person in front of this program.
pub trait Person {
    /// Something to read, on a line of its own.
    fn tell(&mut self, say: Say);

    /// Asks for the passphrase of a key file, without showing it. `None`: there is nobody to ask.
    fn passphrase(&mut self, file: &Path) -> Option<Zeroizing<String>>;
}

/// A key that could sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The public key.
    pub key: SshKey,
    /// Its comment or file name, for people. A stranger's text.
    pub comment: String,
    /// Somebody must touch it.
    pub hardware: bool,
}

/// The keys that are at hand.
#[derive(Debug)]
pub struct Keyring {
    source: Source,
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
enum Source {
    Agent(AgentSocket),
    File(Box<KeyFile>),
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// `SSH_AUTH_SOCK` is not set.
    #[error("{}", self.sentence())]
    NoAgent,
    /// The ssh-agent's socket failed or spoke nonsense.
    #[error("{}", self.sentence())]
    Agent(String),
    /// The ssh-agent said no.
    #[error("{}", self.sentence())]
    AgentRefused(String),
    /// No key of an accepted type.
    #[error("{}", self.sentence())]
    NoKey,
    /// The key that was asked for is not there.
    #[error("{}", self.sentence())]
    NotInAgent(String),
    /// A key file that is none, or cannot be read.
    #[error("{}", self.sentence())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A wrong passphrase.
    #[error("{}", self.sentence())]
    Passphrase(PathBuf),
    /// A hardware key's file: the agent must hold it.
    #[error("{}", self.sentence())]
    HardwareFile(PathBuf),
    /// The signature does not verify.
    #[error("{}", self.sentence())]
    Odd(SignerError),
}

impl Sentence for SignError {
    fn sentence(&self) -> Say {
        match self {
            SignError::NoAgent => Id::NoAgentSocket.into(),
            SignError::Agent(why) => Id::AgentFailed.with(&[why]),
            SignError::AgentRefused(key) => Id::AgentRefused.with(&[key]),
            SignError::NoKey => Id::NoUsableKey.into(),
            SignError::NotInAgent(key) => Id::KeyNotInAgent.with(&[key]),
            SignError::File { path, why } => Id::KeyFile.with(&[&path.display(), why]),
            SignError::Passphrase(path) => Id::KeyPassphrase.with(&[&path.display()]),
            SignError::HardwareFile(path) => Id::KeyHardwareFile.with(&[&path.display()]),
            SignError::Odd(error) => Id::SignatureOdd.with(&[error]),
        }
    }
}

impl Keyring {
    /// The keys to choose from: those of the ssh-agent at `agent`, or the one that `file` names. A file with a public
    /// key means that key in the ssh-agent.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn open(agent: Option<&Path>, file: Option<&Path>) -> Result<Self, SignError> {
        let only = match file.map(KeyFile::read).transpose()? {
            Some(key_file::Read::Private(key)) => {
                let candidates = vec![key.candidate()];
                return Ok(Self { source: Source::File(key), candidates });
            }
            Some(key_file::Read::Public(key)) => Some(key),
            None => None,
        };
        let socket = AgentSocket::at(agent.ok_or(SignError::NoAgent)?);
        let mut candidates = socket.identities().await?;
        if let Some(only) = only {
            candidates.retain(|candidate| candidate.key == only);
            if candidates.is_empty() {
                return Err(SignError::NotInAgent(only.fingerprint()));
            }
        }
        if candidates.is_empty() {
            return Err(SignError::NoKey);
        }
        Ok(Self { source: Source::Agent(socket), candidates })
    }

    /// All keys, in the ssh-agent's order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The first key that `accepts`.
    #[must_use]
    pub fn pick(&self, mut accepts: impl FnMut(&KeyId) -> bool) -> Option<Candidate> {
        self.candidates.iter().find(|candidate| accepts(&candidate.key.id())).cloned()
    }

    /// Asks for a passphrase now, if signing will need one: before a server waits for the signature.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn unlock(&mut self, person: &mut dyn Person) -> Result<(), SignError> {
        match &mut self.source {
            Source::Agent(_) => Ok(()),
            Source::File(file) => file.unlock(person),
        }
    }

    /// Signs `message`, which the caller has made, in `namespace`. Returns a binary SSHSIG that verifies.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(
        &self,
        candidate: &Candidate,
        namespace: &str,
        message: &[u8],
        person: &mut dyn Person,
    ) -> Result<Vec<u8>, SignError> {
        if candidate.hardware {
            person.tell(Id::Touch.with(&[&candidate.comment]));
        }
        let sshsig = match &self.source {
            Source::Agent(socket) => {
                let signed = SshSig::signed_data(namespace, HashAlg::Sha512, message).map_err(odd)?;
                let signature = socket.sign(&candidate.key, &signed, &candidate.comment).await?;
                wrap(&candidate.key, namespace, &signature)?
            }
            Source::File(file) => file.sign(namespace, message)?,
        };
        let binary = unarmoured(&sshsig)?;
        candidate.key.verify(namespace, message, &binary).map_err(SignError::Odd)?;
        Ok(binary)
    }
}

/// An SSHSIG around a signature as ssh-agent gives it.
fn wrap(key: &SshKey, namespace: &str, signature: &[u8]) -> Result<SshSig, SignError> {
    let public = PublicKey::from_bytes(key.blob()).map_err(odd)?;
    let signature = Signature::try_from(signature).map_err(odd)?;
    SshSig::new(public.key_data().clone(), namespace, HashAlg::Sha512, signature).map_err(odd)
}

fn unarmoured(sshsig: &SshSig) -> Result<Vec<u8>, SignError> {
    let pem = sshsig.to_pem(LineEnding::LF).map_err(odd)?;
    cloud_doctor_proto::signer::unarmour(&pem).map_err(SignError::Odd)
}

fn odd(error: impl std::fmt::Display) -> SignError {
    SignError::Agent(error.to_string())
}
