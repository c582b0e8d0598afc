//! The calls that this client makes, one function each.

use super::approvals::{Approval, ApprovalWish, Approvals, Deny, Sign, Waiting};
use super::http::{CALL_WAIT, Call, call};
use super::joins::{EndJoin, JoinLine, JoinMade, JoinWish, Joins};
use super::shapes::{
    AccountLine, Accounts, Append, Invitation, Invite, Invited, Labels, LogPage, Me, NewAccount, NewPassword, Relabel,
    ServerLine, Servers, SessionLine, Sessions, SetUp, SignIn, SignedIn, StreamNote, TextBytes, TokenLine, TokenMade,
    TokenWish, Tokens,
};
use super::{Relay, RelayError};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::join::JoinId;
use cloud_doctor_proto::signer::SshKey;
use hyper::Method;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::Duration;

/// Longest time that the relay holds a call that waits for news.
pub const APPROVAL_WAIT_SECS: u64 = 25;

/// A name as one segment of a path.
pub(super) fn in_path(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    name.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

const NOTHING: Option<&()> = None;

impl Relay {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RelayError> {
        call(self, Call { method: Method::GET, path, body: NOTHING, wait: CALL_WAIT }).await
    }

    /// A call that the relay holds until there is news, at most [`APPROVAL_WAIT_SECS`].
    async fn get_held<T: DeserializeOwned>(&self, path: &str) -> Result<T, RelayError> {
        let wait = CALL_WAIT + Duration::from_secs(APPROVAL_WAIT_SECS);
        call(self, Call { method: Method::GET, path, body: NOTHING, wait }).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), RelayError> {
        let call = Call { method: Method::DELETE, path, body: NOTHING, wait: CALL_WAIT };
        super::http::call::<_, IgnoredAny>(self, call).await.map(|_| ())
    }

    pub(super) async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, RelayError> {
        call(self, Call { method: Method::POST, path, body: Some(body), wait: CALL_WAIT }).await
    }

    /// Makes the first customer and account of a new relay.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn set_up(&self, wish: &SetUp<'_>) -> Result<(), RelayError> {
        self.post::<_, IgnoredAny>("/api/v1/setup", wish).await.map(|_| ())
    }

    /// Signs in. A relay that answers `code-needed` wants the same again with a code.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sign_in(&self, account: &str, password: &str, code: Option<&str>) -> Result<SignedIn, RelayError> {
        self.post("/api/v1/login", &SignIn { account, password, code, lasting: true }).await
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

    /// Servers of this customer with all these labels, as the relay sees them.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn servers(&self, labels: &[String]) -> Result<Vec<ServerLine>, RelayError> {
        let path = format!("/api/v1/servers?label={}", in_path(&labels.join(",")));
        self.get::<Servers>(&path).await.map(|answer| answer.servers)
    }

    /// Puts labels on a server and takes others off; returns what it has then.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn label(&self, agent: &AgentId, add: &[String], remove: &[String]) -> Result<Vec<String>, RelayError> {
        let path = format!("/api/v1/servers/{agent}/labels");
        self.post::<_, Labels>(&path, &Relabel { add, remove }).await.map(|answer| answer.labels)
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

    /// Enrolment tokens, newest first.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn tokens(&self) -> Result<Vec<TokenLine>, RelayError> {
        self.get::<Tokens>("/api/v1/enrolment-tokens").await.map(|answer| answer.tokens)
    }

    /// Takes an enrolment token back.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), RelayError> {
        let path = format!("/api/v1/enrolment-tokens/{}", in_path(id));
        self.delete(&path).await
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
        self.get_held(&path).await
    }

    /// Brings a second signature.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn sign_approval(&self, id: &str, signature: Vec<u8>) -> Result<(), RelayError> {
        let sign = Sign { signature: TextBytes(signature) };
        self.post::<_, IgnoredAny>(&format!("/api/v1/approvals/{id}/signature"), &sign).await.map(|_| ())
    }

    /// Denies a second signature.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn deny_approval(&self, id: &str, why: Option<&str>) -> Result<(), RelayError> {
        let path = format!("/api/v1/approvals/{}/denial", in_path(id));
        self.post::<_, IgnoredAny>(&path, &Deny { why }).await.map(|_| ())
    }

    /// Takes a request for a second signature back.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn withdraw_approval(&self, id: &str) -> Result<(), RelayError> {
        self.delete(&format!("/api/v1/approvals/{}", in_path(id))).await
    }

    /// Makes an invitation for the key that will sign.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn invite(&self, engineer: &SshKey) -> Result<Invited, RelayError> {
        self.post("/api/v1/invitations", &Invite { engineer_key: TextBytes(engineer.blob().to_vec()) }).await
    }

    /// An invitation; returns when its guest is there, or after [`APPROVAL_WAIT_SECS`].
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn wait_invitation(&self, id: &str) -> Result<Invitation, RelayError> {
        let path = format!("/api/v1/invitations/{}?wait={APPROVAL_WAIT_SECS}", in_path(id));
        self.get_held(&path).await
    }

    /// Ends an invitation: its guest is let go.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn end_invitation(&self, id: &str) -> Result<(), RelayError> {
        let path = format!("/api/v1/invitations/{}", in_path(id));
        self.delete(&path).await
    }

    /// Makes a link for a new person.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn make_join(&self, wish: &JoinWish<'_>) -> Result<JoinMade, RelayError> {
        self.post("/api/v1/joins", wish).await
    }

    /// Links for new people, newest first.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn joins(&self) -> Result<Vec<JoinLine>, RelayError> {
        self.get::<Joins>("/api/v1/joins").await.map(|answer| answer.joins)
    }

    /// One link.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn join(&self, id: &JoinId) -> Result<JoinLine, RelayError> {
        self.get(&format!("/api/v1/joins/{id}")).await
    }

    /// One link; returns when its key is here or it is over, or after [`APPROVAL_WAIT_SECS`].
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn wait_join(&self, id: &JoinId) -> Result<JoinLine, RelayError> {
        self.get_held(&format!("/api/v1/joins/{id}?wait={APPROVAL_WAIT_SECS}")).await
    }

    /// Says how it went with a link's key.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn end_join(&self, id: &JoinId, accepted: bool) -> Result<(), RelayError> {
        self.post::<_, IgnoredAny>(&format!("/api/v1/joins/{id}/end"), &EndJoin { accepted }).await.map(|_| ())
    }

    /// Takes a link back.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn revoke_join(&self, id: &JoinId) -> Result<(), RelayError> {
        self.delete(&format!("/api/v1/joins/{id}")).await
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
        self.delete(&path).await
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
}

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To a server of the customer.
    Server(AgentId),
    /// To the guest of an invitation, by the invitation's id.
    Guest(String),
}

/// The path of a stream, with what the relay notes for its list of sessions.
pub(crate) fn stream_path(way: &Way, note: &StreamNote) -> String {
    let StreamNote { purpose, channel, visit } = note;
    let to = match way {
        Way::Server(agent) => format!("servers/{agent}"),
        Way::Guest(invitation) => format!("invitations/{}", in_path(invitation)),
    };
    let mut path = format!("/api/v1/{to}/stream?purpose={purpose}");
    for (name, value) in [("channel", channel), ("visit", visit)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={value}"));
        }
    }
    path
}
