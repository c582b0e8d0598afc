//! This computer's own copy of a customer's trust log: every entry verified here, pinned by its first, only ever longer.
//!
//! A history that does not continue ours is kept as a proof and refused; the copy stays as it was. Never: taking the
//! relay's word for a head, or signing below the highest head this computer has seen.

use crate::home::{make_private_folder, write_private};
use crate::messages::{Id, Say, Sentence};
use crate::relay_api::{Relay, RelayError};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{AgentId, Hash, TenantId};
use cloud_doctor_proto::limits::{ENTRIES_MAX, ENTRY_BYTES_MAX};
use cloud_doctor_proto::trust::{self, LogError, TrustLog};
use rustix::fs::{FlockOperation, flock};
use serde_bytes::ByteBuf;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Proofs kept: the first ones tell the story, and nobody fills a disk with more.
const PROOFS_MAX: usize = 16;

/// A verified copy on disk.
#[derive(Debug)]
pub struct TrustStore {
    folder: PathBuf,
    log: TrustLog,
}

/// Why the copy did not grow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The copy on disk is damaged or cannot be written.
    #[error("{}", self.sentence())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What was sent breaks a rule of the log.
    #[error("{}", self.sentence())]
    Refused(LogError),
    /// Another history than ours; the proof lies in a file.
    #[error("{}", self.sentence())]
    Fork(PathBuf),
    /// The relay shows less than this computer has seen; the proof lies in a file.
    #[error("{}", self.sentence())]
    Rollback {
        /// Newest entry that the relay shows.
        theirs: u64,
        /// Newest entry that this computer has.
        ours: u64,
        /// The proof.
        proof: PathBuf,
    },
    /// The relay could not be asked.
    #[error("{}", self.sentence())]
    Relay(#[from] RelayError),
}

impl Sentence for TrustError {
    fn sentence(&self) -> Say {
        match self {
            TrustError::File { path, why } => Id::TrustFile.with(&[&path.display(), why]),
            TrustError::Refused(error) => Id::TrustRefused.with(&[]).and(|language| error.text(language)),
            TrustError::Fork(proof) => Id::TrustFork.with(&[&proof.display()]),
            TrustError::Rollback { theirs, ours, proof } => Id::TrustRollback.with(&[theirs, ours, &proof.display()]),
            TrustError::Relay(error) => error.sentence(),
        }
    }
}

impl TrustStore {
    /// The copy in `folder`, verified from its first entry on; `None` when there is none yet.
    ///
    /// # Errors
    /// [`TrustError::File`] when it is damaged: nothing may be signed then.
    pub fn load(folder: &Path, tenant: TenantId) -> Result<Option<Self>, TrustError> {
        let path = folder.join("trust.log");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(&path, &error)),
        };
        let entries = cut(&bytes).ok_or_else(|| file(&path, &"it is cut or damaged"))?;
        let log = TrustLog::replay(&entries, Some(tenant)).map_err(|error| file(&path, &error))?;
        Ok(Some(Self { folder: folder.to_owned(), log }))
    }

    /// Starts a copy from its first entry, whose hash a person has compared.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn start(folder: &Path, genesis: &[u8], tenant: TenantId) -> Result<Self, TrustError> {
        if let Some(known) = Self::load(folder, tenant)? {
            return Ok(known);
        }
        let log = TrustLog::genesis(genesis, Some(tenant)).map_err(TrustError::Refused)?;
        let mut store = Self { folder: folder.to_owned(), log };
        store.save()?;
        Ok(store)
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &TrustLog {
        &self.log
    }

    /// Takes entries that somebody sent, the first of them being number `from`. Those that are here already must be
    /// the same.
    ///
    /// # Errors
    /// [`TrustError`]; the copy keeps what was good.
    pub fn extend(&mut self, from: u64, entries: &[ByteBuf]) -> Result<(), TrustError> {
        let before = self.log.head().seq;
        let taken = entries.iter().zip(from..).try_for_each(|(entry, seq)| self.take(seq, entry));
        if self.log.head().seq > before {
            self.save()?;
        }
        taken
    }

    fn take(&mut self, seq: u64, entry: &[u8]) -> Result<(), TrustError> {
        match self.log.hash_at(seq) {
            Some(ours) => match trust::decode(entry, seq) {
                Ok((signed, _)) if signed.hash() == ours => Ok(()),
                Ok(_) => Err(self.fork(seq, entry)),
                Err(error) => Err(TrustError::Refused(error)),
            },
            None => match self.log.append(entry) {
                Ok(()) => Ok(()),
                Err(LogError::Fork { .. }) => Err(self.fork(seq, entry)),
                Err(error) => Err(TrustError::Refused(error)),
            },
        }
    }

    /// Checks a head that somebody claims against ours: the same history, as far as both go.
    ///
    /// # Errors
    /// [`TrustError::Fork`].
    pub fn agree(&self, theirs: TrustHead) -> Result<(), TrustError> {
        match self.log.hash_at(theirs.seq) {
            Some(ours) if ours != theirs.hash => Err(self.fork(theirs.seq, theirs.hash.to_string().as_bytes())),
            Some(_) | None => Ok(()),
        }
    }

    /// Fetches what the relay has beyond this copy.
    ///
    /// # Errors
    /// [`TrustError`]; a relay that shows less, or something else, is refused with proof.
    pub async fn sync(&mut self, relay: &Relay) -> Result<(), TrustError> {
        loop {
            let ours = self.log.head();
            let page = relay.log_page(ours.seq + 1).await?;
            let Some(head) = page.head() else {
                return Err(self.rollback(0));
            };
            if head.seq < ours.seq {
                self.agree(head)?;
                return Err(self.rollback(head.seq));
            }
            self.agree(head)?;
            let entries = page.entries();
            self.extend(ours.seq + 1, &entries)?;
            if self.log.head().seq >= head.seq {
                return self.agree(head);
            }
            if entries.is_empty() {
                return Err(RelayError::Odd { why: "the trust log ends early".into() }.into());
            }
        }
    }

    /// Appends an entry that this client has signed: to the relay first, then here.
    ///
    /// # Errors
    /// [`TrustError`].
    pub async fn publish(&mut self, relay: &Relay, entry: &[u8]) -> Result<(), TrustError> {
        let head = self.log.head();
        let mut checked = self.log.clone();
        checked.append(entry).map_err(TrustError::Refused)?;
        relay.log_append(entry).await?;
        self.extend(head.seq + 1, &[ByteBuf::from(entry)])
    }

    /// Notes what a server calls itself; returns what it called itself before, when that was something else.
    #[must_use]
    pub fn host_changed(&self, agent: &AgentId, host: &str) -> Option<String> {
        let path = self.folder.join(format!("host-{}", agent.short()));
        let before = std::fs::read_to_string(&path).ok();
        if before.as_deref() == Some(host) {
            return None;
        }
        // A name that cannot be noted is told again next time.
        drop(write_private(&path, host.as_bytes()));
        before
    }

    fn fork(&self, seq: u64, theirs: &[u8]) -> TrustError {
        let ours = self.log.entries_from(seq, 1).first().map(|entry| entry.to_vec()).unwrap_or_default();
        let encode = |bytes: &[u8]| data_encoding::BASE64.encode(&bytes[..bytes.len().min(ENTRY_BYTES_MAX)]);
        let text = format!(
            "Two histories of the trust log of {} (tenant {}).\nEntry {seq} as this computer verified it:\n{}\nEntry {seq} as it was sent:\n{}\nNewest entry here: {} {}\n",
            cloud_doctor_proto::refusal::one_line(&self.log.name, 128),
            self.log.tenant(),
            encode(&ours),
            encode(theirs),
            self.log.head().seq,
            self.log.head().hash,
        );
        TrustError::Fork(self.proof(&format!("fork-{seq}-{}.txt", Hash::of(&[theirs]).short()), &text))
    }

    fn rollback(&self, theirs: u64) -> TrustError {
        let ours = self.log.head();
        let text = format!(
            "The relay showed entry {theirs} as its newest; this computer has verified entry {} with hash {}.\n",
            ours.seq, ours.hash
        );
        let proof = self.proof(&format!("rollback-{}-{theirs}.txt", ours.seq), &text);
        TrustError::Rollback { theirs, ours: ours.seq, proof }
    }

    /// Keeps a proof; that it could not be kept changes nothing about the refusal.
    fn proof(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        let is_proof = |file: &std::fs::DirEntry| file.file_name().to_string_lossy().ends_with(".txt");
        let kept = std::fs::read_dir(&self.folder).map_or(0, |files| files.flatten().filter(is_proof).count());
        if kept >= PROOFS_MAX {
            return self.folder.clone();
        }
        drop(write_private(&path, text.as_bytes()));
        path
    }

    /// Appends what the file lacks, under a lock: several clients of one person may run at once.
    fn save(&mut self) -> Result<(), TrustError> {
        let path = self.folder.join("trust.log");
        self.append_missing(&path).map_err(|error| file(&path, &error))
    }

    fn append_missing(&self, path: &Path) -> std::io::Result<()> {
        make_private_folder(&self.folder)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.folder.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let known = match std::fs::read(path) {
            Ok(bytes) => cut(&bytes).map_or(0, |entries| entries.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        for entry in self.log.entries_from(known as u64, ENTRIES_MAX) {
            let len = u32::try_from(entry.len()).expect("an entry has a few kilobytes");
            bytes.extend(len.to_be_bytes());
            bytes.extend(entry.iter());
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(&bytes)?;
        file.sync_all()
    }
}

/// The entries of a file: `u32 length | entry`, one after the other.
fn cut(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (entry, rest) = rest.split_at_checked(len).filter(|_| len <= ENTRY_BYTES_MAX)?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

fn file(path: &Path, why: &dyn std::fmt::Display) -> TrustError {
    TrustError::File { path: path.to_owned(), why: why.to_string() }
}
