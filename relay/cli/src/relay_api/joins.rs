//! The JSON of links for new people. What the relay says of a key is believed only when the link's secret vouches for it.

use super::shapes::TextBytes;
use serde::{Deserialize, Serialize};

/// A link for a new person, to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JoinWish<'a> {
    /// The person's name.
    pub name: &'a str,
    /// `engineer` or `approver`.
    pub r#as: &'static str,
    /// A browser's key without a touch will do.
    pub device: bool,
    /// Seconds that the link counts.
    pub valid_secs: u64,
}

/// The relay's half of a link, shown once.
#[derive(Deserialize)]
pub struct JoinMade {
    /// The 16 secret bytes.
    pub token: TextBytes,
}

impl std::fmt::Debug for JoinMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinMade(…)")
    }
}

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinState {
    /// Nobody has used it.
    Open,
    /// It made an account, whose key has not come.
    Joined,
    /// The key is here.
    Key,
    /// The key is in the trust log.
    Accepted,
    /// The key was not the new person's.
    Refused,
    /// Taken back.
    Revoked,
    /// Nobody used it in time.
    Expired,
}

/// A link as the relay has it, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JoinLine {
    /// Its id.
    pub id: String,
    /// Who is invited.
    pub name: String,
    /// `engineer` or `approver`.
    pub r#as: String,
    /// A browser's key without a touch will do.
    #[serde(default)]
    pub device: bool,
    /// Account that made it.
    #[serde(default)]
    pub created_by: String,
    /// Last second in which it counts.
    pub expires_at: u64,
    /// How it stands.
    pub state: JoinState,
    /// The account that was made with it.
    #[serde(default)]
    pub account: Option<String>,
    /// The key that was sent. Whose it is, only the link's secret can tell.
    #[serde(default)]
    pub key: Option<JoinKey>,
}

/// A key that was sent by a link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JoinKey {
    /// As a line of `authorized_keys`.
    pub key: String,
    /// What kind of key it is.
    pub kind: String,
    /// What the link's secret says about both.
    pub mac: TextBytes,
}

#[derive(Deserialize)]
pub(super) struct Joins {
    pub(super) joins: Vec<JoinLine>,
}

#[derive(Serialize)]
pub(super) struct EndJoin {
    pub(super) accepted: bool,
}
