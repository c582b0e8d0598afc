//! Proofs that a customer's root has signed two histories: kept on this server and shown, for whoever was deceived.
//!
//! Only an entry that a root of the pinned log really signed is a proof; a relay's inventions are refused and counted.

use super::Core;
use crate::audit::Event;
use crate::state::files;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ids::Hash;
use cloud_doctor_proto::signer::NAMESPACE_LOG;
use cloud_doctor_proto::trust::{TrustLog, decode};
use std::path::{Path, PathBuf};

/// One proof is enough; a few more show a pattern.
const KEPT_MAX: usize = 16;

fn folder(guard: &Path) -> PathBuf {
    guard.join("forks")
}

/// Proofs kept on this server.
pub(crate) fn kept(guard: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(guard)).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

impl Core {
    /// Keeps the first of these entries that a root signed although the pinned log has another one in its place.
    pub(super) fn keep_fork_proof<B: AsRef<[u8]>>(&mut self, moment: Moment, entries: &[B]) {
        // One signature is verified per message, whatever is in it: whoever sends many must not keep guard busy.
        let suspect = entries.iter().map(AsRef::as_ref).find(|entry| differs(self.trust.log(), entry));
        let Some((entry, hash)) = suspect.and_then(|entry| Some((entry, proof(self.trust.log(), entry)?))) else {
            return;
        };
        let folder = folder(&self.places.guard);
        let path = folder.join(format!("{hash}.entry"));
        if path.symlink_metadata().is_ok() || kept(&self.places.guard).len() >= KEPT_MAX {
            return;
        }
        let stored = files::make_dir(&folder, 0o700).and_then(|()| files::create(&path, files::PRIVATE, entry));
        if let Err(error) = stored {
            tracing::error!(%error, "a proof that the trust log was forked cannot be kept");
        }
        let event = Event::new("trust-log-fork-proved").with("entry", hash.to_string());
        self.audit.note(moment, &event.with("file", path.display().to_string()));
    }
}

/// Another entry than the log's own in its place.
fn differs(log: &TrustLog, bytes: &[u8]) -> bool {
    decode(bytes, 0).is_ok_and(|(signed, entry)| log.hash_at(entry.seq).is_some_and(|own| own != signed.hash()))
}

/// The hash of an entry that a root of the log signed.
fn proof(log: &TrustLog, bytes: &[u8]) -> Option<Hash> {
    let (signed, entry) = decode(bytes, 0).ok()?;
    let root = log.roots.get(&entry.by)?;
    root.verify(NAMESPACE_LOG, &signed.entry, &signed.signature).ok()?;
    Some(signed.hash())
}
