//! The calls and their JSON, as in the relay's OpenAPI document. Unknown fields are ignored: a newer relay may say more.

use super::http::{CALL_WAIT, Call, call};
use super::{Relay, RelayError};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{AgentId, TenantId};
use hyper::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::time::Duration;

/// Longest time that the relay holds a call that waits for news.
pub const APPROVAL_WAIT_SECS: u64 = 25;

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
struct SignIn<'a> {
    account: &'a str,
    password: &'a str,
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
struct Servers {
    servers: Vec<ServerLine>,
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
struct Append {
    entry: TextBytes,
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
struct Sessions {
    sessions: Vec<SessionLine>,
}

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
struct Waiting {
    id: String,
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
    /// The second signature, once it is there.
    #[serde(default)]
    pub second: Option<TextBytes>,
    /// When nobody waits any more, seconds since 1970.
    #[serde(default)]
    pub expires_at: u64,
}

#[derive(Serialize)]
struct Sign {
    signature: TextBytes,
}

#[derive(Deserialize)]
struct Approvals {
    approvals: Vec<Approval>,
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
struct Accounts {
    accounts: Vec<AccountLine>,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    name: &'a str,
    password: &'a str,
    role: &'a str,
}

#[derive(Serialize)]
struct NewPassword<'a> {
    old: &'a str,
    new: &'a str,
}

/// A name as one segment of a path.
fn in_path(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    name.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

const NOTHING: Option<&()> = None;

impl Relay {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RelayError> {
        call(self, Call { method: Method::GET, path, body: NOTHING, wait: CALL_WAIT }).await
    }

    async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, RelayError> {
        call(self, Call { method: Method::POST, path, body: Some(body), wait: CALL_WAIT }).await
    }

    /// Makes the first customer and account of a new relay.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn set_up(&self, wish: &SetUp<'_>) -> Result<(), RelayError> {
        self.post::<_, IgnoredAny>("/api/v1/setup", wish).await.map(|_| ())
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sign_in(&self, account: &str, password: &str) -> Result<SignedIn, RelayError> {
        self.post("/api/v1/login", &SignIn { account, password }).await
    }

    /// Ends the sign-in.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sign_out(&self) -> Result<(), RelayError> {
        self.post::<_, IgnoredAny>("/api/v1/logout", &()).await.map(|_| ())
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn me(&self) -> Result<Me, RelayError> {
        self.get("/api/v1/me").await
    }

    /// Servers of this customer, as the relay sees them.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn servers(&self) -> Result<Vec<ServerLine>, RelayError> {
        self.get::<Servers>("/api/v1/servers").await.map(|answer| answer.servers)
    }

    /// Entries of the trust log from number `from` on, one page.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn log_page(&self, from: u64) -> Result<LogPage, RelayError> {
        self.get(&format!("/api/v1/trust-log?from={from}")).await
    }

    /// Appends an entry; refused (409, `head-moved`) when the log has moved on.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn log_append(&self, entry: &[u8]) -> Result<(), RelayError> {
        let append = Append { entry: TextBytes(entry.to_vec()) };
        self.post::<_, IgnoredAny>("/api/v1/trust-log", &append).await.map(|_| ())
    }

    /// Makes an enrolment token.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn make_token(&self, wish: &TokenWish) -> Result<TokenMade, RelayError> {
        self.post("/api/v1/enrolment-tokens", wish).await
    }

    /// Sessions that the relay has noted.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sessions(&self) -> Result<Vec<SessionLine>, RelayError> {
        self.get::<Sessions>("/api/v1/sessions").await.map(|answer| answer.sessions)
    }

    /// Asks for a second signature; returns the request's id.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn ask_approval(&self, wish: &ApprovalWish) -> Result<String, RelayError> {
        self.post::<_, Waiting>("/api/v1/approvals", wish).await.map(|waiting| waiting.id)
    }

    /// Requests that wait for a second signature.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn approvals(&self) -> Result<Vec<Approval>, RelayError> {
        self.get::<Approvals>("/api/v1/approvals").await.map(|answer| answer.approvals)
    }

    /// One request; returns when it has news, or after [`APPROVAL_WAIT_SECS`].
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn wait_approval(&self, id: &str) -> Result<Approval, RelayError> {
        let path = format!("/api/v1/approvals/{id}?wait={APPROVAL_WAIT_SECS}");
        let wait = CALL_WAIT + Duration::from_secs(APPROVAL_WAIT_SECS);
        call(self, Call { method: Method::GET, path: &path, body: NOTHING, wait }).await
    }

    /// Brings a second signature.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sign_approval(&self, id: &str, signature: Vec<u8>) -> Result<(), RelayError> {
        let sign = Sign { signature: TextBytes(signature) };
        self.post::<_, IgnoredAny>(&format!("/api/v1/approvals/{id}/signature"), &sign).await.map(|_| ())
    }

    /// Accounts of this customer.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn accounts(&self) -> Result<Vec<AccountLine>, RelayError> {
        self.get::<Accounts>("/api/v1/accounts").await.map(|answer| answer.accounts)
    }

    /// Adds an account; `role` is `admin` or `member`.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn add_account(&self, name: &str, password: &str, role: &str) -> Result<(), RelayError> {
        let account = NewAccount { name, password, role };
        self.post::<_, IgnoredAny>("/api/v1/accounts", &account).await.map(|_| ())
    }

    /// Removes an account.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn remove_account(&self, name: &str) -> Result<(), RelayError> {
        let path = format!("/api/v1/accounts/{}", in_path(name));
        let call = Call { method: Method::DELETE, path: &path, body: NOTHING, wait: CALL_WAIT };
        super::http::call::<_, IgnoredAny>(self, call).await.map(|_| ())
    }

    /// Changes one's own password.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), RelayError> {
        let body = NewPassword { old, new };
        let path = "/api/v1/me/password";
        let call = Call { method: Method::PUT, path, body: Some(&body), wait: CALL_WAIT };
        super::http::call::<_, IgnoredAny>(self, call).await.map(|_| ())
    }

    /// Takes a server off the relay's list. The trust log is another matter.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn remove_server(&self, agent: &AgentId) -> Result<(), RelayError> {
        let path = format!("/api/v1/servers/{agent}");
        let call = Call { method: Method::DELETE, path: &path, body: NOTHING, wait: CALL_WAIT };
        super::http::call::<_, IgnoredAny>(self, call).await.map(|_| ())
    }
}

/// The path of a server's stream, with what the relay notes for its list of sessions.
pub(crate) fn stream_path(agent: &AgentId, note: &StreamNote) -> String {
    let StreamNote { purpose, channel, visit } = note;
    let mut path = format!("/api/v1/servers/{agent}/stream?purpose={purpose}");
    for (name, value) in [("channel", channel), ("visit", visit)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={value}"));
        }
    }
    path
}

/// What a client tells the relay about a stream, for people who look at the list of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamNote {
    /// `shell`, `exec` or `attach`.
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
