//! The JSON of requests for a second signature. What they mean is read from the grant's bytes, never from here.

use super::shapes::TextBytes;
use serde::{Deserialize, Serialize};

/// A request for a second signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalWish {
    /// Server.
    pub server: String,
    /// The grant's exact bytes.
    pub grant: TextBytes,
    /// The engineer's signature.
    pub signature: TextBytes,
    /// The server's signed challenge.
    pub challenge: TextBytes,
    /// Seconds that somebody waits for it.
    pub valid_secs: u64,
}

#[derive(Deserialize)]
pub(super) struct Waiting {
    pub(super) id: String,
}

/// A request for a second signature, as the relay stores it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// Who asks, as the relay has it.
    #[serde(default)]
    pub account: String,
    /// The grant's exact bytes.
    pub grant: TextBytes,
    /// The engineer's signature.
    #[serde(default)]
    pub signature: TextBytes,
    /// How it stands.
    #[serde(default)]
    pub state: ApprovalState,
    /// The second signature, once it is there.
    #[serde(default)]
    pub second: Option<TextBytes>,
    /// Who answered it.
    #[serde(default)]
    pub by: Option<String>,
    /// Why it was denied.
    #[serde(default)]
    pub why: Option<String>,
    /// When nobody waits any more, seconds since 1970.
    #[serde(default)]
    pub expires_at: u64,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Nobody has answered yet.
    #[default]
    Waiting,
    /// The second signature is there.
    Signed,
    /// Somebody said no.
    Denied,
    /// It was taken back.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
}

#[derive(Serialize)]
pub(super) struct Deny<'a> {
    pub(super) why: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Sign {
    pub(super) signature: TextBytes,
}

#[derive(Deserialize)]
pub(super) struct Approvals {
    pub(super) approvals: Vec<Approval>,
}
