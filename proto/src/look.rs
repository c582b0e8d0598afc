//! What a visit may see besides its own channels: others' living shells, and the host's audit.
//!
//! Guard itself answers, in one handshake of kind [`crate::channel::ChannelKind::Ask`]: the first message's payload is a
//! [`Question`], the second's an [`Answer`]. So the names and reasons of others travel sealed to the grant's client key.
//! There is no secret for later and no record: each question is a handshake of its own, and is decided anew.
//!
//! Never: a shell that no watch scope of the visit is about, or a line of the audit without an audit scope.

use crate::ids::ChannelId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Characters of a reason in a list of shells.
pub const REASON_SHOWN_CHARS: usize = 200;

/// What is asked. Sealed in the first handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// Which shells live that this visit may watch; needs a watch scope.
    Shells {},
    /// A page of the host's audit; needs the audit scope. The log is in files ([`AuditFile`]), oldest first.
    Audit {
        /// The file that begins with this line's number.
        file: u64,
        /// First byte of it that is wanted.
        offset: u64,
    },
}

/// Guard's answer. Sealed in the second handshake message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Question::Shells`].
    Shells {
        /// Oldest first.
        shells: Vec<LivingShell>,
    },
    /// To [`Question::Audit`].
    Audit(AuditPage),
}

/// A shell that may be watched. Its texts are strangers': escape them where they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingShell {
    /// Its id: the one that a channel of kind `watch` names.
    pub channel: ChannelId,
    /// As whom it runs.
    pub user: String,
    /// Who works in it, by the name in the trust log.
    pub person: String,
    /// Why, cut after [`REASON_SHOWN_CHARS`].
    pub reason: String,
    /// Ticket, or empty.
    pub ticket: String,
    /// Seconds since it began.
    pub age_secs: u64,
    /// Seconds until its visit ends.
    pub ends_in_secs: u64,
    /// Somebody works in it now.
    pub attached: bool,
    /// How many watch it.
    pub watchers: u64,
    /// Whether this visit's watcher may end it: the customer's approvers may, and whoever opened it.
    pub may_end: bool,
}

/// One file of the host's audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFile {
    /// Number of its first line.
    pub first: u64,
    /// Bytes that it has now. The last one grows.
    pub bytes: u64,
}

/// A piece of the host's audit log, exactly as it stands on disk. Lines are verified by [`crate::audit::Verifier`], whose
/// key the trust log names; a page may begin and end inside a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// All files at this moment, oldest first. Old ones are deleted by the host in time.
    pub files: Vec<AuditFile>,
    /// Bytes of the file that was asked for, from the offset on; at most [`crate::limits::AUDIT_PAGE_BYTES`], none at its
    /// end or when there is no such file (any more).
    pub data: ByteBuf,
}
