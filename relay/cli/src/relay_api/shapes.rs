//! The JSON of the relay's API, as in its OpenAPI document. Unknown fields are ignored: a newer relay may say more.

use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::TenantId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Bytes in JSON: base64url without padding.
mod text {
    use data_encoding::BASE64URL_NOPAD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64URL_NOPAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = |_| serde::de::Error::custom("expected base64url without padding");
        BASE64URL_NOPAD.decode(text.as_bytes()).map_err(wrong)
    }
}

/// Bytes that JSON carries as text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextBytes(#[serde(with = "text")] pub Vec<u8>);

/// Name and password for signing in.
#[derive(Serialize)]
pub(super) struct SignIn<'a> {
    pub(super) account: &'a str,
    pub(super) password: &'a str,
    /// Six digits or a recovery code, for an account with a second step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'a str>,
    /// The token goes into a file of its owner, so the relay may let it count for longer.
    pub(super) lasting: bool,
}

/// The one-time set-up of a relay.
#[derive(Debug, Serialize)]
pub struct SetUp<'a> {
    /// The code that the relay shows.
    pub code: &'a str,
    /// Name of the first account.
    pub account: &'a str,
    /// Its password.
    pub password: &'a str,
    /// Name of the first customer.
    pub tenant_name: &'a str,
}

/// A sign-in.
#[derive(Deserialize)]
pub struct SignedIn {
    /// Goes into the `Authorization` header of later calls. Secret.
    pub token: String,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedIn(…)")
    }
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Me {
    /// Account name.
    pub account: String,
    /// `admin` or `member`.
    #[serde(default)]
    pub role: String,
    /// The customer as the relay has it.
    pub tenant: MyTenant,
}

/// A customer as the relay has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MyTenant {
    /// Its name on the relay.
    pub name: String,
    /// Hash of its log's first entry in hex, once there is one.
    #[serde(default)]
    pub id: Option<String>,
}

/// A server as the relay sees it. Names and keys come from the trust log, not from here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct ServerLine {
    /// Its id.
    pub id: String,
    /// What it calls itself.
    #[serde(default)]
    pub hostname: String,
    /// Operating system, for people.
    #[serde(default)]
    pub os: String,
    /// Build of its agent, for people.
    #[serde(default)]
    pub build: String,
    /// When it was last heard of, seconds since 1970.
    #[serde(default)]
    pub last_seen_at: Option<u64>,
    /// Its tunnel, when one stands.
    #[serde(default)]
    pub online: Option<Online>,
    /// What the customer's people call it by.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A living tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Online {
    /// Since when.
    pub since: u64,
    /// Round trip between relay and server.
    #[serde(default)]
    pub rtt_ms: u32,
}

#[derive(Deserialize)]
pub(super) struct Servers {
    pub(super) servers: Vec<ServerLine>,
}

#[derive(Serialize)]
pub(super) struct Relabel<'a> {
    pub(super) add: &'a [String],
    pub(super) remove: &'a [String],
}

#[derive(Deserialize)]
pub(super) struct Labels {
    pub(super) labels: Vec<String>,
}

/// A page of the trust log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogPage {
    /// The newest entry that the relay has; `None`: no log yet.
    #[serde(default)]
    pub head: Option<Head>,
    /// Entries in order.
    #[serde(default)]
    pub entries: Vec<TextBytes>,
}

/// A place in the trust log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number.
    pub seq: u64,
    /// Hash in hex.
    pub hash: String,
}

#[derive(Serialize)]
pub(super) struct Append {
    pub(super) entry: TextBytes,
}

/// What an enrolment token is to allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenWish {
    /// Servers that it may enrol.
    pub uses: u32,
    /// Seconds that it lives.
    pub valid_secs: u64,
    /// For people.
    pub label: String,
}

/// An enrolment token in the relay's list, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// Its id.
    pub id: String,
    /// For people.
    pub label: String,
    /// Account that made it.
    pub created_by: String,
    /// When.
    pub created_at: u64,
    /// Last second in which it counts.
    pub expires_at: u64,
    /// Servers that it may enrol.
    pub uses_max: u64,
    /// Servers that it has enrolled.
    pub uses: u64,
    /// Taken back.
    pub revoked: bool,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenLine>,
}

/// A token, shown once.
#[derive(Deserialize)]
pub struct TokenMade {
    /// Its id, for taking it back.
    pub id: String,
    /// The 32 secret bytes.
    pub secret: TextBytes,
    /// Where hosts enrol: `quic://host:port`.
    #[serde(default)]
    pub agents: Option<String>,
    /// The relay's key as hosts pin it.
    #[serde(default)]
    pub agents_pin: Option<String>,
    /// The key that the relay will change to: hosts pin both.
    #[serde(default)]
    pub agents_next_pin: Option<String>,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An invitation to be made.
#[derive(Serialize)]
pub(super) struct Invite {
    pub(super) engineer_key: TextBytes,
}

/// An invitation; its code is shown once.
#[derive(Clone, Deserialize)]
pub struct Invited {
    /// Names it.
    pub id: String,
    /// What the customer types.
    pub code: String,
}

impl std::fmt::Debug for Invited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invited").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How an invitation stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invitation {
    /// Over.
    pub ended: bool,
    /// What the guest calls itself, as the relay heard it.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The guest has a tunnel now.
    pub online: bool,
}

/// A stream as the relay has noted it: what it saw pass by, not what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    /// Who.
    #[serde(default)]
    pub account: String,
    /// Server.
    pub server: String,
    /// `shell`, `exec` or `attach`, as the client named it.
    #[serde(default)]
    pub purpose: String,
    /// Channel id, as the client named it.
    #[serde(default)]
    pub channel: Option<String>,
    /// When it began, seconds since 1970.
    #[serde(default)]
    pub opened_at: u64,
    /// When it ended; `None`: open.
    #[serde(default)]
    pub closed_at: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Sessions {
    pub(super) sessions: Vec<SessionLine>,
}

/// An account as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// Its name.
    pub name: String,
    /// `admin` or `member`.
    pub role: String,
}

#[derive(Deserialize)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<AccountLine>,
}

#[derive(Serialize)]
pub(super) struct NewAccount<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
    pub(super) role: &'a str,
}

#[derive(Serialize)]
pub(super) struct NewPassword<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
}

/// What a client tells the relay about a stream, for people who look at the list of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamNote {
    /// `shell`, `exec`, `attach`, `watch` or `ask`.
    pub purpose: &'static str,
    /// Channel id in hex.
    pub channel: Option<String>,
    /// Visit id in hex.
    pub visit: Option<String>,
}

impl Me {
    /// The customer, when the relay has one for this account and names it well.
    #[must_use]
    pub fn tenant_id(&self) -> Option<TenantId> {
        self.tenant.id.as_deref().and_then(|text| text.parse().ok())
    }
}

impl LogPage {
    /// The head, when there is one and its hash is one.
    #[must_use]
    pub fn head(&self) -> Option<TrustHead> {
        let head = self.head.as_ref()?;
        Some(TrustHead { seq: head.seq, hash: head.hash.parse().ok()? })
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> Vec<ByteBuf> {
        self.entries.iter().map(|entry| ByteBuf::from(entry.0.clone())).collect()
    }
}
