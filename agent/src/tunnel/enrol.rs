//! First contact with a relay, and the last one. Whoever calls this holds the token and the identity; this only talks.

use super::dial::{DialError, Line, NotARelayAddr, Route};
use super::key::TransportKey;
use super::wire::{self, FrameReader, WireError};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, EnrolRefusal, Unenrol};
use cloud_doctor_proto::frame::{Frame, Kind};
use cloud_doctor_proto::limits::{ALPN_ENROL, CONTROL_BYTES_MAX, ENTRIES_MAX};
use cloud_doctor_proto::pin::Pin;
use quinn::{ConnectionError, RecvStream, SendStream};
use serde::Serialize;
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::time::timeout;

/// For each answer of the relay.
const ANSWER: Duration = Duration::from_secs(30);

/// Why there was no enrolment. `E` is the caller's own reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError<E: std::error::Error + 'static> {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] NotARelayAddr),
    /// No connection to the pinned relay.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The relay said no.
    #[error("the relay refuses: {0:?}")]
    Refused(EnrolRefusal),
    /// The relay closed the connection with a reason.
    #[error("the relay closed the connection: {0}")]
    Closed(String),
    /// The conversation went wrong.
    #[error("the relay's answer is not understood: {0}")]
    Wire(#[from] WireError),
    /// The relay sends a log without end or with gaps.
    #[error("the relay sends a trust log that does not continue")]
    Log,
    /// No answer.
    #[error("the relay does not answer any more")]
    Silent,
    /// The caller does not go on.
    #[error(transparent)]
    Caller(E),
}

/// Enrols: gets the customer's log, has the caller verify it and sign its entry, until the relay took one.
///
/// `sign` gets all entries so far, from the first one on; when other hosts were faster it is called again with more.
/// Returns the log including this server's entry.
///
/// # Errors
/// [`EnrolError`]; nothing was written at the relay then.
pub(crate) async fn enrol<E: std::error::Error + 'static>(
    relay: &str,
    pins: &[Pin],
    key: &TransportKey,
    begin: &EnrolBegin,
    mut sign: impl FnMut(&[ByteBuf]) -> Result<EnrolCommit, E>,
) -> Result<Vec<ByteBuf>, EnrolError<E>> {
    let mut talk = Talk::open(relay, pins, key).await?;
    talk.say(Kind::EnrolBegin, begin).await?;
    let mut log = Vec::new();
    let mut entry = None;
    loop {
        let frame = talk.hear().await?;
        if frame.kind == Kind::EnrolDone {
            talk.done(&frame).await?;
            log.push(entry.ok_or(EnrolError::Log)?);
            return Ok(log);
        }
        if take_page(&mut log, &frame)? {
            continue;
        }
        let commit = match sign(&log) {
            Ok(commit) => commit,
            Err(error) => {
                talk.line.close(TunnelClose::Done).await;
                return Err(EnrolError::Caller(error));
            }
        };
        talk.say(Kind::EnrolCommit, &commit).await?;
        entry = Some(commit.entry);
    }
}

/// Leaves: the relay forgets the agent whose identity signed `leave`.
///
/// # Errors
/// [`EnrolError`].
pub(crate) async fn unenrol<E: std::error::Error + 'static>(
    relay: &str,
    pins: &[Pin],
    key: &TransportKey,
    leave: &Unenrol,
) -> Result<(), EnrolError<E>> {
    let mut talk = Talk::open(relay, pins, key).await?;
    talk.say(Kind::Unenrol, leave).await?;
    let frame = talk.hear().await?;
    talk.done(&frame).await
}

/// Adds a page to the log; `true` when another one follows at once.
fn take_page<E: std::error::Error + 'static>(log: &mut Vec<ByteBuf>, frame: &Frame) -> Result<bool, EnrolError<E>> {
    if frame.kind != Kind::EnrolLog {
        return Err(WireError::Unexpected { got: frame.kind, wanted: Kind::EnrolLog }.into());
    }
    let page: EnrolLog = wire::parse(frame)?;
    let continues = usize::try_from(page.from).is_ok_and(|from| from == log.len());
    if !continues || page.entries.is_empty() || log.len() + page.entries.len() > ENTRIES_MAX {
        return Err(EnrolError::Log);
    }
    log.extend(page.entries);
    Ok(page.more)
}

/// A conversation with the relay before this server is known there.
pub(super) struct Talk {
    line: Line,
    send: SendStream,
    frames: FrameReader<RecvStream>,
}

impl Talk {
    pub(super) async fn open<E: std::error::Error + 'static>(
        relay: &str,
        pins: &[Pin],
        key: &TransportKey,
    ) -> Result<Self, EnrolError<E>> {
        let route = Route::new(relay.parse()?, pins.to_vec());
        let line = route.dial(key, ALPN_ENROL).await?;
        let (send, recv) = line.connection.open_bi().await.map_err(|error| closed(&error))?;
        Ok(Self { line, send, frames: FrameReader::new(recv, CONTROL_BYTES_MAX) })
    }

    pub(super) async fn say<E: std::error::Error + 'static, T: Serialize>(
        &mut self,
        kind: Kind,
        value: &T,
    ) -> Result<(), EnrolError<E>> {
        let sent = wire::send(&mut self.send, kind, value).await;
        sent.map_err(|error| self.broken(error))
    }

    pub(super) async fn hear<E: std::error::Error + 'static>(&mut self) -> Result<Frame, EnrolError<E>> {
        match timeout(ANSWER, self.frames.next()).await {
            Err(_) => Err(EnrolError::Silent),
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => Err(self.broken(WireError::Ended)),
            Ok(Err(error)) => Err(self.broken(error)),
        }
    }

    pub(super) async fn done<E: std::error::Error + 'static>(&self, frame: &Frame) -> Result<(), EnrolError<E>> {
        if frame.kind != Kind::EnrolDone {
            return Err(WireError::Unexpected { got: frame.kind, wanted: Kind::EnrolDone }.into());
        }
        let done: EnrolDone = wire::parse(frame)?;
        self.line.close(TunnelClose::Done).await;
        done.refused.map_or(Ok(()), |refusal| Err(EnrolError::Refused(refusal)))
    }

    /// The reason that the relay gave, where it gave one, says more than the stream that broke.
    fn broken<E: std::error::Error + 'static>(&self, error: WireError) -> EnrolError<E> {
        self.line.connection.close_reason().map_or(EnrolError::Wire(error), |reason| closed(&reason))
    }
}

fn closed<E: std::error::Error + 'static>(error: &ConnectionError) -> EnrolError<E> {
    if let ConnectionError::ApplicationClosed(close) = error
        && let Some(why) = TunnelClose::from_number(close.error_code.into_inner())
    {
        return EnrolError::Closed(why.text().to_owned());
    }
    EnrolError::Closed(error.to_string())
}
