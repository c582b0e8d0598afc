//! What the tunnel asks of guard, each on a fresh connection to `guard.sock`.

use super::wire::{self, FrameReader, WireError};
use cloud_doctor_proto::control::{BindTransport, TransportBinding, TrustHead, TrustUpdate, TunnelState};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Guard verifies a page of the log in far less.
const ANSWER: Duration = Duration::from_secs(5);

/// Guard gave no answer that helps.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuardError {
    /// Nobody listens on the socket.
    #[error("guard is not running ({0})")]
    Away(#[source] io::Error),
    /// It said no.
    #[error("guard refuses: {0:?} {1}")]
    Refused(cloud_doctor_proto::refusal::Refusal, String),
    /// It said nothing in time.
    #[error("guard does not answer")]
    Silent,
    /// It said something else.
    #[error("guard: {0}")]
    Wire(#[from] WireError),
}

/// The way to guard.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    socket: PathBuf,
}

impl Guard {
    /// Guard behind this socket.
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Guard's word for our key.
    pub(super) async fn binding(&self, transport: VerifyKey) -> Result<TransportBinding, GuardError> {
        self.ask(Kind::BindTransport, &BindTransport { transport }, Kind::TransportBinding).await
    }

    /// Hands over trust-log entries (none: just asks); guard says how far it is then.
    pub(super) async fn trust(&self, update: &TrustUpdate) -> Result<TrustHead, GuardError> {
        self.ask(Kind::TrustUpdate, update, Kind::TrustHead).await
    }

    /// Tells how the tunnels are doing.
    pub(super) async fn report(&self, state: &TunnelState) -> Result<(), GuardError> {
        let mut stream = self.connect().await?;
        wire::send(&mut stream, Kind::TunnelState, state).await?;
        Ok(())
    }

    /// A connection for a client's stream.
    pub(super) async fn connect(&self) -> Result<UnixStream, GuardError> {
        let connecting = timeout(ANSWER, UnixStream::connect(&self.socket));
        connecting.await.map_err(|_| GuardError::Silent)?.map_err(GuardError::Away)
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: Kind,
        question: &Q,
        wanted: Kind,
    ) -> Result<A, GuardError> {
        let stream = self.connect().await?;
        let talk = async {
            let (read, mut write) = stream.into_split();
            wire::send(&mut write, kind, question).await?;
            let mut frames = FrameReader::new(read, GREETING_BYTES_MAX);
            let answer = frames.next().await?.ok_or(WireError::Ended)?;
            if answer.kind == wanted {
                return Ok(wire::parse(&answer)?);
            }
            if answer.kind == Kind::Refused
                && let Ok(Refused { code, detail, .. }) = pack::from_bytes(&answer.body, GREETING_BYTES_MAX)
            {
                return Err(GuardError::Refused(code, detail));
            }
            Err(WireError::Unexpected { got: answer.kind, wanted }.into())
        };
        timeout(ANSWER, talk).await.map_err(|_| GuardError::Silent)?
    }
}
