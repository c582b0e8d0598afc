//! Why a visit did not open, and whose turn it is now.

use crate::channel::ChannelError;
use crate::messages::{Id, Say, Sentence};
use crate::relay_api::RelayError;
use crate::signer::SignError;
use crate::stream::StreamError;
use crate::trust_store::TrustError;
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::refusal::{Language, Refused};

/// A visit that did not open. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// The server refused.
    #[error("{}", self.sentence())]
    Refused(Refused),
    /// The relay refused, or cannot be reached.
    #[error("{}", self.sentence())]
    Relay(#[from] RelayError),
    /// The stream broke.
    #[error("{}", self.sentence())]
    Stream(#[from] StreamError),
    /// The trust log does not allow to go on.
    #[error("{}", self.sentence())]
    Trust(#[from] TrustError),
    /// No signature.
    #[error("{}", self.sentence())]
    Sign(#[from] SignError),
    /// What answered is not the server that was meant.
    #[error("{}", self.sentence())]
    NotThatServer(String),
    /// The server belongs to another customer.
    #[error("{}", self.sentence())]
    OtherTenant(String),
    /// The server speaks another version.
    #[error("{}", self.sentence())]
    Version {
        /// Which server.
        server: String,
        /// The version that it wants.
        version: u16,
    },
    /// The sealed handshake failed.
    #[error("{}", self.sentence())]
    Handshake,
    /// A frame that has no business here.
    #[error("{}", self.sentence())]
    OutOfTurn(Kind),
    /// No answer in time.
    #[error("{}", self.sentence())]
    Silent,
    /// The server's trust log is ahead, and the relay does not have it.
    #[error("{}", self.sentence())]
    RelayBehind,
    /// The second person did not sign in time.
    #[error("{}", self.sentence())]
    NobodySigned(String),
    /// A second person said no.
    #[error("{}", self.sentence())]
    Denied {
        /// Who, as the relay says.
        by: String,
        /// Why, if they said so.
        why: Option<String>,
    },
    /// The request was taken back at the relay.
    #[error("{}", self.sentence())]
    Withdrawn {
        /// By whom, as the relay says.
        by: String,
    },
    /// The engineer did not hear the same six words.
    #[error("{}", self.sentence())]
    OtherWords,
    /// The channel did not open; another try may work.
    #[error("{}", self.sentence())]
    Passing(Say),
    /// The channel did not open.
    #[error("{}", self.sentence())]
    Channel(#[from] ChannelError),
}

impl Sentence for VisitError {
    fn sentence(&self) -> Say {
        match self {
            VisitError::Refused(refused) => Id::ServerSaysNo.with(&[]).and(|language| refused.text(language)),
            VisitError::Relay(error) => error.sentence(),
            VisitError::Stream(error) => error.sentence(),
            VisitError::Trust(error) => error.sentence(),
            VisitError::Sign(error) => error.sentence(),
            VisitError::NotThatServer(name) => Id::NotThatServer.with(&[name]),
            VisitError::OtherTenant(name) => Id::OtherTenant.with(&[name]),
            VisitError::Version { server, version } => Id::OtherVersion.with(&[server, version]),
            VisitError::Handshake => Id::HandshakeBroken.into(),
            VisitError::OutOfTurn(kind) => Id::ProtocolServer.with(&[&format!("{kind:?}")]),
            VisitError::Silent => {
                Id::StreamLost.with(&[]).and(|language| TunnelClose::Silent.text_in(language).to_owned())
            }
            VisitError::RelayBehind => Id::TrustSlow.into(),
            VisitError::NobodySigned(time) => Id::SecondTimeout.with(&[time]),
            VisitError::Denied { by, why: Some(why) } => Id::SecondDenied.with(&[by, why]),
            VisitError::Denied { by, why: None } => Id::SecondDeniedPlain.with(&[by]),
            VisitError::Withdrawn { by } => Id::SecondWithdrawn.with(&[by]),
            VisitError::OtherWords => Id::GuestDeclined.into(),
            VisitError::Passing(why) => why.clone(),
            VisitError::Channel(error) => error.sentence(),
        }
    }

    fn text(&self, language: Language) -> String {
        match self {
            VisitError::Refused(refused) => refused.text(language),
            VisitError::Channel(error) => error.text(language),
            VisitError::Relay(_)
            | VisitError::Stream(_)
            | VisitError::Trust(_)
            | VisitError::Sign(_)
            | VisitError::NotThatServer(_)
            | VisitError::OtherTenant(_)
            | VisitError::Version { .. }
            | VisitError::Handshake
            | VisitError::OutOfTurn(_)
            | VisitError::Silent
            | VisitError::RelayBehind
            | VisitError::Denied { .. }
            | VisitError::Withdrawn { .. }
            | VisitError::OtherWords
            | VisitError::Passing(_)
            | VisitError::NobodySigned(_) => self.sentence().text(language),
        }
    }
}

impl From<crate::channel::Cut> for VisitError {
    fn from(cut: crate::channel::Cut) -> Self {
        match cut {
            crate::channel::Cut::Passing(why) => VisitError::Passing(why),
            crate::channel::Cut::Final(error) => VisitError::Channel(error),
        }
    }
}
