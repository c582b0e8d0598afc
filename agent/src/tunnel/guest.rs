//! First contact of a guest: from a code that was read over the phone to a tunnel that the relay knows.
//!
//! The code names the relay's key by a mark of it. So the relay is met twice: once to see its key, and again, pinned to
//! that key, when the mark is right. It must never say the code's secret to anybody else.

use super::dial::{DialError, Route};
use super::enrol::{EnrolError, Talk};
use super::key::TransportKey;
use super::wire::{self, WireError};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{EnrolDone, EnrolRefusal, HostFacts};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::guest::{Code, GuestBegin, GuestCommit, GuestOffer, relay_mark};
use cloud_doctor_proto::limits::ALPN_ENROL;
use cloud_doctor_proto::pin::Pin;
use std::io;

/// Why nobody was met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeetError {
    /// Whoever answers has another key than the code names.
    #[error("{0} has another key than this code names")]
    OtherKey(String),
    /// The relay does not know the code.
    #[error("the relay does not know this code")]
    UnknownCode,
    /// Anything else on the way.
    #[error(transparent)]
    Road(#[from] EnrolError<io::Error>),
}

impl From<DialError> for MeetError {
    fn from(error: DialError) -> Self {
        Self::Road(error.into())
    }
}

/// Who offered to help, and the key of the relay that was met.
///
/// `commit` gets the offer and answers with the tunnel that will come back.
///
/// # Errors
/// [`MeetError`]; the code is unused then, unless the relay's last word was lost.
pub(crate) async fn meet(
    code: &Code,
    key: &TransportKey,
    host: HostFacts,
    commit: impl AsyncFnOnce(GuestOffer) -> io::Result<GuestCommit>,
) -> Result<Pin, MeetError> {
    let pin = pin_of(code, key).await?;
    let mut talk = Talk::open::<io::Error>(&code.relay, &[pin], key).await?;
    talk.say::<io::Error, _>(Kind::GuestBegin, &GuestBegin { secret: code.secret, host }).await?;
    let frame = talk.hear::<io::Error>().await?;
    if frame.kind == Kind::EnrolDone {
        return match wire::parse::<EnrolDone>(&frame).map_err(EnrolError::from)?.refused {
            Some(EnrolRefusal::Token) => Err(MeetError::UnknownCode),
            Some(other) => Err(EnrolError::Refused(other).into()),
            None => Err(out_of_turn(frame.kind)),
        };
    }
    if frame.kind != Kind::GuestOffer {
        return Err(out_of_turn(frame.kind));
    }
    let offer = wire::parse(&frame).map_err(EnrolError::from)?;
    let committed = commit(offer).await.map_err(EnrolError::Caller)?;
    talk.say::<io::Error, _>(Kind::GuestCommit, &committed).await?;
    let frame = talk.hear::<io::Error>().await?;
    talk.done::<io::Error>(&frame).await?;
    Ok(pin)
}

fn out_of_turn(got: Kind) -> MeetError {
    EnrolError::Wire(WireError::Unexpected { got, wanted: Kind::GuestOffer }).into()
}

/// Looks at the relay's key without trusting it; the handshake ends there.
async fn pin_of(code: &Code, key: &TransportKey) -> Result<Pin, MeetError> {
    let relay = code.relay.parse().map_err(EnrolError::from)?;
    let shown = match Route::new(relay, Vec::new()).dial(key, ALPN_ENROL).await {
        Err(DialError::Pin { shown, .. }) => shown,
        Err(other) => return Err(other.into()),
        // No key is pinned, so none is the right one.
        Ok(line) => {
            line.close(TunnelClose::Done).await;
            return Err(MeetError::OtherKey(code.relay.clone()));
        }
    };
    if relay_mark(&shown) == code.mark { Ok(shown) } else { Err(MeetError::OtherKey(code.relay.clone())) }
}
