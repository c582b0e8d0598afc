//! The relay's HTTP API as this client uses it: one connection per call, HTTPS or loopback, errors as sentences.
//!
//! The relay says who is signed in, which servers are reachable, and stores the trust log and approval requests. Never:
//! believe it about a key, a grant or a server's identity; those come from the trust log alone.

mod address;
mod approvals;
mod calls;
mod checks;
mod http;
mod joins;
mod metrics;
mod scans;
mod shapes;
mod socket;
mod tls;
mod upgrade;

pub use address::{Address, AddressError};
pub use approvals::{Approval, ApprovalState, ApprovalWish};
pub use calls::{APPROVAL_WAIT_SECS, Way};
pub use checks::{CheckSchedule, KnownChecks, SignedRun, Waiver, WaiverWish};
pub use joins::{JoinKey, JoinLine, JoinMade, JoinState, JoinWish};
pub use metrics::{
    Fed, FeedState, HappenedLine, HappenedList, History, LastMinutes, MetricsFeed, ProcessLine, ProcessList,
    SeriesTable,
};
pub use scans::{CheckCount, REPORTS_AT_ONCE, ScanGlance, ScanLine, ScanPlanLine, ScanReport, ScanServer, ScanWish};
pub use shapes::{
    AccountLine, Head, Invitation, Invited, LogPage, Me, MyTenant, Online, ServerLine, SessionLine, SetUp, SignedIn,
    StreamNote, TextBytes, TokenLine, TokenMade, TokenWish,
};
pub use socket::Socket;

use crate::messages::{Id, Say, Sentence};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::refusal::Language;
use rustls::ClientConfig;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A relay that this client may call.
#[derive(Clone)]
pub struct Relay {
    /// Where it is.
    pub address: Address,
    tls: Option<Arc<ClientConfig>>,
    token: Option<Arc<Zeroizing<String>>>,
    language: Language,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A call to the relay that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// The network, the name, or nobody listens.
    #[error("{}", self.sentence())]
    Unreachable {
        /// Which relay.
        relay: String,
        /// What the system says.
        why: String,
    },
    /// TLS did not come about.
    #[error("{}", self.sentence())]
    Tls {
        /// Which relay.
        relay: String,
        /// What TLS says.
        why: String,
    },
    /// Another key than the pinned one.
    #[error("{}", self.sentence())]
    Pin {
        /// Which relay.
        relay: String,
    },
    /// No CA of this computer stands for it.
    #[error("{}", self.sentence())]
    Certificate {
        /// Which relay.
        relay: String,
        /// Why not.
        why: String,
    },
    /// This computer has no CAs at all.
    #[error("{}", self.sentence())]
    NoRoots,
    /// Signed out, expired, or never signed in: status 401.
    #[error("{}", self.sentence())]
    SignIn {
        /// Which relay.
        relay: String,
    },
    /// The relay answered with an error.
    #[error("{}", self.sentence())]
    Problem {
        /// HTTP status.
        status: u16,
        /// Machine-readable reason, if it gave one.
        code: String,
        /// What it says.
        detail: String,
    },
    /// An answer of another shape.
    #[error("{}", self.sentence())]
    Odd {
        /// What was wrong with it.
        why: String,
    },
    /// The connection ended before the answer.
    #[error("{}", self.sentence())]
    Broke {
        /// What the system says.
        why: String,
    },
}

impl Sentence for RelayError {
    fn sentence(&self) -> Say {
        match self {
            RelayError::Unreachable { relay, why } => Id::RelayUnreachable.with(&[relay, why]),
            RelayError::Tls { relay, why } => Id::RelayTls.with(&[relay, why]),
            RelayError::Pin { relay } => Id::RelayPin.with(&[relay]),
            RelayError::Certificate { relay, why } => Id::RelayCertificate.with(&[relay, why]),
            RelayError::NoRoots => Id::RelayNoRoots.into(),
            RelayError::SignIn { relay } => Id::RelaySignIn.with(&[relay]),
            RelayError::Problem { detail, .. } => Id::RelaySaysNo.with(&[detail]),
            RelayError::Odd { why } => Id::RelayOdd.with(&[why]),
            RelayError::Broke { why } => Id::RelayBroke.with(&[why]),
        }
    }
}

impl RelayError {
    /// Whether the same call may work a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            RelayError::Unreachable { .. } | RelayError::Broke { .. } | RelayError::Tls { .. } => true,
            RelayError::Problem { status, .. } => *status >= 500 || *status == 429,
            RelayError::Pin { .. }
            | RelayError::Certificate { .. }
            | RelayError::NoRoots
            | RelayError::SignIn { .. }
            | RelayError::Odd { .. } => false,
        }
    }
}

impl Relay {
    /// A relay, known by its pin or else by the CAs of this computer.
    ///
    /// # Errors
    /// [`RelayError::NoRoots`].
    pub fn new(address: Address, pin: Option<Pin>, token: Option<String>) -> Result<Self, RelayError> {
        let tls = match address.secure {
            true => Some(tls::client_config(pin).map_err(|_| RelayError::NoRoots)?),
            false => None,
        };
        let token = token.map(|token| Arc::new(Zeroizing::new(token)));
        Ok(Self { address, tls, token, language: Language::En })
    }

    /// The same relay, asked to give its errors in a language.
    #[must_use]
    pub fn speaking(self, language: Language) -> Self {
        Self { language, ..self }
    }

    fn language(&self) -> &'static str {
        match self.language {
            Language::En => "en",
            Language::Zh => "zh",
        }
    }

    /// The same relay with a sign-in.
    #[must_use]
    pub fn signed_in(&self, token: String) -> Self {
        Self { token: Some(Arc::new(Zeroizing::new(token))), ..self.clone() }
    }

    fn bearer(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {}", token.as_str()))
    }
}
