//! One sealed link of a channel: a stream through the relay with the keys of its handshake.
//!
//! A handshake is made for exactly one visit, channel, kind and resume secret. Never: a message that is not sealed, or
//! an old secret once a newer one was handed out.

use super::ChannelError;
use crate::clock;
use crate::messages::{Say, Sentence};
use crate::relay_api::{Relay, RelayError, StreamNote, Way};
use crate::stream::{FrameStream, StreamError};
use cloud_doctor_proto::channel::{
    self, Binding, Broken, ChannelKind, Handed, Initiator, Keys, Sealed, Secret, TAG_BYTES,
};
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::{ExchangeKey, VisitId};
use cloud_doctor_proto::limits::{ABANDONED_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::{OpenRequest, ToClient, ToHolder};
use cloud_doctor_proto::visit::{ChannelReply, OpenChannel};
use serde_bytes::ByteBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::timeout;

/// A handshake is two messages; a server that needs longer is not there.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Everything that every handshake of one channel needs.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    pub(crate) relay: Relay,
    pub(crate) way: Way,
    pub(crate) visit: VisitId,
    /// With resume index 0.
    pub(crate) binding: Binding,
    pub(crate) ours: Secret,
    pub(crate) theirs: ExchangeKey,
    pub(crate) request: OpenRequest,
    /// Handshakes sent and not answered so far; shared by all tries of one channel.
    pub(crate) unanswered: Arc<Mutex<Vec<ExchangeKey>>>,
}

/// An open link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: FrameStream,
    sealed: Sealed,
    plain: Vec<u8>,
}

/// Why a link is no more, or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Another try may work.
    Passing(Say),
    /// No try will.
    Final(ChannelError),
}

impl Passage {
    /// A first message and the frame that carries it.
    pub(crate) fn knock(&self, resume: Option<&Handed>) -> Result<(Initiator, Vec<u8>), Broken> {
        let index = resume.map_or(0, |handed| handed.index);
        let binding = Binding { resume: index, ..self.binding };
        let keys = Keys { ours: &self.ours, theirs: &self.theirs, resume: resume.map(|handed| &handed.secret) };
        let abandoned = self.unanswered().clone();
        let payload = pack::to_bytes(&OpenRequest { abandoned, ..self.request.clone() });
        let (initiator, first) = Initiator::start(&binding, keys, clock::random(), &payload)?;
        self.remember(&first);
        let open = OpenChannel {
            visit: self.visit,
            channel: binding.channel,
            kind: binding.kind,
            resume: index,
            first: ByteBuf::from(first),
        };
        Ok((initiator, frame::message(Kind::OpenChannel, &open)))
    }

    /// Locked for the time of a copy or a push.
    fn unanswered(&self) -> MutexGuard<'_, Vec<ExchangeKey>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, first: &[u8]) {
        let mut unanswered = self.unanswered();
        if unanswered.len() == ABANDONED_MAX {
            unanswered.remove(0);
        }
        unanswered.extend(channel::ephemeral(first));
    }

    /// The holder has welcomed this client: it knows everything that was given up before.
    pub(crate) fn welcomed(&self) {
        self.unanswered().clear();
    }

    pub(crate) fn note(&self, attach: bool) -> StreamNote {
        let purpose = match (attach && self.binding.kind != ChannelKind::Watch, self.binding.kind) {
            (true, _) => "attach",
            (false, ChannelKind::Shell) => "shell",
            (false, ChannelKind::Exec) => "exec",
            (false, ChannelKind::Ask) => "ask",
            (false, ChannelKind::Watch) => "watch",
        };
        // A watcher's stream is none of the shell's own, which people attach to.
        let channel = (self.binding.kind != ChannelKind::Watch).then(|| self.binding.channel.to_string());
        StreamNote { purpose, channel, visit: Some(self.visit.to_string()) }
    }

    /// A new link, with the newest secret that is known.
    pub(crate) async fn dial(self, resume: Option<Handed>) -> Result<(Link, Handed), Cut> {
        let mut stream = FrameStream::open(&self.relay, &self.way, &self.note(resume.is_some())).await?;
        let (initiator, frame) = self.knock(resume.as_ref()).map_err(|Broken| Cut::broken())?;
        stream.outgoing().extend(frame);
        let late = || Cut::Passing(StreamError::Lost("no answer in time".to_owned()).sentence());
        let reply = timeout(HANDSHAKE_WAIT, stream.next()).await.map_err(|_| late())??;
        if reply.kind == Kind::ChannelReply {
            Link::finish(stream, initiator, &reply.body).map_err(|Broken| Cut::broken())
        } else {
            Err(Cut::unexpected(reply.kind, &reply.body))
        }
    }
}

impl Cut {
    fn broken() -> Self {
        Cut::Final(ChannelError::Handshake)
    }

    /// A frame that says no, or has no business here.
    fn unexpected(kind: Kind, body: &[u8]) -> Self {
        if kind != Kind::Refused {
            return Cut::Final(ChannelError::OutOfTurn(kind));
        }
        let Ok(refused) = pack::from_bytes::<Refused>(body, GREETING_BYTES_MAX) else {
            return Cut::Final(ChannelError::OutOfTurn(Kind::Refused));
        };
        if matches!(refused.code, Refusal::GuardAway | Refusal::Busy) {
            Cut::Passing(crate::messages::Id::ServerSaysNo.with(&[&refused]))
        } else {
            Cut::Final(ChannelError::Refused(refused))
        }
    }
}

impl From<RelayError> for Cut {
    fn from(error: RelayError) -> Self {
        if error.may_pass() { Cut::Passing(error.sentence()) } else { Cut::Final(ChannelError::Relay(error)) }
    }
}

impl From<StreamError> for Cut {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed(StreamClose::Protocol | StreamClose::Cut) | StreamError::Framing(_) => {
                Cut::Final(ChannelError::Stream(error))
            }
            StreamError::Closed(
                StreamClose::Done
                | StreamClose::Restarting
                | StreamClose::Unreachable
                | StreamClose::Silent
                | StreamClose::AgentGone
                | StreamClose::AgentReset
                | StreamClose::TooMany
                | StreamClose::Busy
                | StreamClose::GuardAway,
            )
            | StreamError::Lost(_) => Cut::Passing(error.sentence()),
        }
    }
}

impl Link {
    /// Ends a handshake with the holder's answer.
    pub(crate) fn finish(stream: FrameStream, initiator: Initiator, body: &[u8]) -> Result<(Self, Handed), Broken> {
        let reply: ChannelReply = pack::from_bytes(body, GREETING_BYTES_MAX).map_err(|_| Broken)?;
        let (sealed, payload) = initiator.finish(&reply.second)?;
        let handed: Handed = pack::from_bytes(&payload, GREETING_BYTES_MAX).map_err(|_| Broken)?;
        Ok((Self { stream, sealed, plain: Vec::new() }, handed))
    }

    /// Seals a message and queues it.
    pub(crate) fn say(&mut self, message: &ToHolder<'_>) {
        self.plain.clear();
        message.encode(&mut self.plain);
        let out = self.stream.outgoing();
        out.extend_from_slice(&frame::header(Kind::Record, self.plain.len() + TAG_BYTES));
        self.sealed
            .seal(&self.plain, out)
            .expect("messages are far below a record's limit, and 2^64 records are never reached");
    }

    /// The next message of the holder, in its plain bytes.
    pub(crate) fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Cut>> {
        let frame = ready!(self.stream.poll_frame(cx))?;
        if frame.kind != Kind::Record {
            return Poll::Ready(Err(Cut::unexpected(frame.kind, &frame.body)));
        }
        let mut plain = Vec::with_capacity(frame.body.len());
        // Somebody on the way changed, dropped or repeated a record: nothing of it is shown, and the next handshake
        // proves again who is there.
        let opened = self.sealed.open(&frame.body, &mut plain);
        Poll::Ready(opened.map(|()| plain).map_err(|Broken| Cut::Passing(ChannelError::Handshake.sentence())))
    }
}

/// Reads a holder's message.
pub(crate) fn read(plain: &[u8]) -> Result<ToClient<'_>, Cut> {
    ToClient::decode(plain).map_err(|error| Cut::Final(ChannelError::Integrity(error.to_string())))
}
