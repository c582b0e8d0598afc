//! How a command ends when it does not work: a sentence, and an exit status that scripts can match.

use cloud_doctor::channel::ChannelError;
use cloud_doctor::home::HomeError;
use cloud_doctor::messages::{Id, Say, Sentence};
use cloud_doctor::relay_api::RelayError;
use cloud_doctor::signer::SignError;
use cloud_doctor::trust_store::TrustError;
use cloud_doctor::visit::VisitError;
use cloud_doctor_proto::refusal::Language;

/// Something else went wrong.
pub(crate) const FAILED: u8 = 1;
/// Not signed in at the relay.
pub(crate) const SIGN_IN: u8 = 3;
/// Relay or server cannot be reached.
pub(crate) const UNREACHABLE: u8 = 4;
/// The server, the customer or the relay said no.
pub(crate) const REFUSED: u8 = 5;
/// Something does not verify: another server, another history, another key.
pub(crate) const TRUST: u8 = 6;
/// `shell` and `exec`: it never reached the program, or lost it.
pub(crate) const ROAD: u8 = 255;

/// `check`: it could not be told, as monitoring plugins say it.
pub(crate) const UNTOLD: u8 = 3;

/// Why a command did not work.
#[derive(Debug)]
pub(crate) enum Fail {
    Home(HomeError),
    Relay(RelayError),
    Sign(SignError),
    Trust(TrustError),
    Visit(Box<VisitError>),
    Channel(ChannelError),
    /// Said by a command itself.
    Say(Say, u8),
}

impl Fail {
    /// The system would not do something with a file or device.
    pub(crate) fn system(what: &str, error: &dyn std::fmt::Display) -> Self {
        Fail::Say(Id::HomeFile.with(&[&what, error]), FAILED)
    }

    fn sentence(&self) -> &dyn Sentence {
        match self {
            Fail::Home(error) => error,
            Fail::Relay(error) => error,
            Fail::Sign(error) => error,
            Fail::Trust(error) => error,
            Fail::Visit(error) => error.as_ref(),
            Fail::Channel(error) => error,
            Fail::Say(say, _) => say,
        }
    }

    pub(crate) fn text(&self, language: Language) -> String {
        self.sentence().text(language)
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Fail::Home(HomeError::NotSignedIn) => SIGN_IN,
            Fail::Home(_) | Fail::Sign(_) => FAILED,
            Fail::Relay(error) => relay_code(error),
            Fail::Trust(error) => trust_code(error),
            Fail::Visit(error) => visit_code(error),
            Fail::Channel(error) => channel_code(error),
            Fail::Say(_, code) => *code,
        }
    }
}

fn relay_code(error: &RelayError) -> u8 {
    match error {
        RelayError::SignIn { .. } => SIGN_IN,
        RelayError::Unreachable { .. } | RelayError::Broke { .. } => UNREACHABLE,
        RelayError::Tls { .. } | RelayError::Pin { .. } | RelayError::Certificate { .. } | RelayError::NoRoots => TRUST,
        RelayError::Problem { .. } => REFUSED,
        RelayError::Odd { .. } => FAILED,
    }
}

fn trust_code(error: &TrustError) -> u8 {
    match error {
        TrustError::Relay(error) => relay_code(error),
        TrustError::File { .. } | TrustError::Refused(_) | TrustError::Fork(_) | TrustError::Rollback { .. } => TRUST,
    }
}

fn visit_code(error: &VisitError) -> u8 {
    match error {
        VisitError::Refused(_)
        | VisitError::NobodySigned(_)
        | VisitError::Denied { .. }
        | VisitError::Withdrawn { .. } => REFUSED,
        VisitError::Relay(error) => relay_code(error),
        VisitError::Trust(error) => trust_code(error),
        VisitError::Channel(error) => channel_code(error),
        VisitError::Sign(_) => FAILED,
        VisitError::Stream(_) | VisitError::Silent | VisitError::RelayBehind | VisitError::Passing(_) => UNREACHABLE,
        VisitError::NotThatServer(_)
        | VisitError::OtherTenant(_)
        | VisitError::Version { .. }
        | VisitError::Handshake
        | VisitError::OtherWords
        | VisitError::OutOfTurn(_) => TRUST,
    }
}

fn channel_code(error: &ChannelError) -> u8 {
    match error {
        ChannelError::Refused(_) => REFUSED,
        ChannelError::Relay(error) => relay_code(error),
        ChannelError::Stream(_) | ChannelError::LostForGood(_) => UNREACHABLE,
        ChannelError::Handshake | ChannelError::OutOfTurn(_) | ChannelError::Integrity(_) => TRUST,
        ChannelError::Over => FAILED,
    }
}

impl From<Say> for Fail {
    fn from(say: Say) -> Self {
        Fail::Say(say, FAILED)
    }
}

impl From<Id> for Fail {
    fn from(id: Id) -> Self {
        Fail::Say(id.into(), FAILED)
    }
}

impl From<VisitError> for Fail {
    fn from(error: VisitError) -> Self {
        Fail::Visit(Box::new(error))
    }
}

macro_rules! from {
    ($($variant:ident($error:ty);)*) => {
        $(impl From<$error> for Fail {
            fn from(error: $error) -> Self {
                Fail::$variant(error)
            }
        })*
    };
}

from! {
    Home(HomeError);
    Relay(RelayError);
    Sign(SignError);
    Trust(TrustError);
    Channel(ChannelError);
}
