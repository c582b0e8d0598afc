//! One client's stream until a holder has it: challenge, grant, second signature, first channel.
//!
//! ```text
//!  ChallengeRequest ─▶ Challenge      OpenVisit ─▶ VisitOpened | NeedSecond | Refused
//!  OpenChannel ─▶ (the stream is a holder's) | Refused            of kind "ask" ─▶ ChannelReply | Refused
//! ```
//!
//! After a refusal the client may try again on the same stream, a few times. It must never wait without an end.

use super::channels::{Pass, Passed};
use super::core::{Opening, Route, Seeds};
use super::server::{Guard, random};
use super::stream::{FrameStream, StreamError};
use super::visits::Claims;
use super::{checks, link, metrics, start};
use crate::session::door;
use cloud_doctor_proto::channel::{ChannelKind, Secret};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{Frame, Kind};
use cloud_doctor_proto::grant::{Challenge, Grant};
use cloud_doctor_proto::ids::{ChannelId, Hash, Nonce, VisitId};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused, printable};
use cloud_doctor_proto::visit::{NeedSecond, OpenChannel, OpenVisit, Second, VisitOpened};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// Between two frames of a client: a person may have to touch a key for the grant.
const IDLE: Duration = Duration::from_secs(120);
/// The same after a refusal: whoever tries again does so soon, and the place is wanted by others.
const IDLE_REFUSED: Duration = Duration::from_secs(10);
/// Frames that one stream may send before it is a holder's.
const FRAMES_MAX: usize = 32;
/// Characters kept of what the relay claims.
const CLAIM_CHARS: usize = 64;

/// Serves a stream.
pub(super) async fn serve(guard: Rc<Guard>, mut stream: FrameStream, head: StreamHead) {
    let claim = |text: &str| text.chars().flat_map(printable).take(CLAIM_CHARS).collect();
    let claims = Claims { account: claim(&head.account), client: claim(&head.client) };
    match head.purpose {
        StreamPurpose::Sealed => {}
        StreamPurpose::Checks => return checks::serve(guard, stream, claims).await,
        StreamPurpose::Metrics => return metrics::serve(guard, stream, claims).await,
        StreamPurpose::Unknown => {
            // Nothing can be done about a peer that does not take the answer.
            stream.refuse(&Refusal::Malformed.with("purpose")).await.ok();
            return stream.close().await;
        }
    }
    let mut client = Client { guard, claims, asked: None, early: None, refused: None, answered: 0 };
    let mut frames = 0;
    // Questions that were answered are no sign of a client that does not know what it wants.
    while frames < FRAMES_MAX + client.answered {
        frames += 1;
        match client.turn(stream).await {
            Ok(Some(same)) => stream = same,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a client's stream ended"),
        }
    }
    stream.close().await;
}

/// A client on its stream.
struct Client {
    guard: Rc<Guard>,
    claims: Claims,
    /// The challenge that it was given: one at a time, and none after it has gone.
    asked: Option<Hash>,
    /// A channel's first message that came with the grant, while that waits for its second signature.
    early: Option<Frame>,
    /// The visit that was refused last: what the client had sent on after it is dropped without a second refusal.
    refused: Option<VisitId>,
    /// Questions that were answered.
    answered: usize,
}

impl Client {
    /// One frame; `None` when the stream is a holder's now, or closed.
    async fn turn(&mut self, mut stream: FrameStream) -> Result<Option<FrameStream>, StreamError> {
        let frame = match self.early.take() {
            Some(frame) => Ok(frame),
            None => stream.next(if stream.refused_last() { IDLE_REFUSED } else { IDLE }).await,
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error @ StreamError::Frame(_)) => {
                let refused = Refusal::Malformed.with(error.to_string());
                self.guard.refused(&self.claims, "frame", &refused);
                stream.refuse(&refused).await?;
                stream.close().await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match frame.kind {
            Kind::OpenChannel => return self.open_channel(stream, &frame).await,
            Kind::ChallengeRequest => self.challenge(&mut stream, &frame).await?,
            Kind::OpenVisit => self.open_visit(&mut stream, &frame).await?,
            Kind::Hello
            | Kind::HelloAck
            | Kind::TrustUpdate
            | Kind::TrustHead
            | Kind::StreamHead
            | Kind::EnrolBegin
            | Kind::EnrolLog
            | Kind::EnrolCommit
            | Kind::EnrolDone
            | Kind::BindTransport
            | Kind::TransportBinding
            | Kind::TunnelState
            | Kind::Unenrol
            | Kind::Ping
            | Kind::Unsupported
            | Kind::GuestBegin
            | Kind::GuestOffer
            | Kind::GuestCommit
            | Kind::Challenge
            | Kind::VisitOpened
            | Kind::NeedSecond
            | Kind::Second
            | Kind::Refused
            | Kind::ChannelReply
            | Kind::Record
            | Kind::CheckRequest
            | Kind::CheckReport
            | Kind::MetricsRequest
            | Kind::MetricsLease
            | Kind::MetricsSeries
            | Kind::MetricsSample
            | Kind::MetricsRange
            | Kind::Processes
            | Kind::Events => {
                let refused = Refusal::Malformed.with(format!("{:?} is out of place here", frame.kind));
                self.guard.refused(&self.claims, "frame", &refused);
                stream.refuse(&refused).await?;
            }
        }
        Ok(Some(stream))
    }

    fn decode<T: DeserializeOwned>(&self, frame: &Frame) -> Result<T, Refused> {
        pack::from_bytes(&frame.body, frame.kind.bytes_max()).map_err(|error| {
            let refused = Refusal::Malformed.with(error.to_string());
            self.guard.refused(&self.claims, "frame", &refused);
            refused
        })
    }

    fn forget_challenge(&mut self) {
        if let Some(hash) = self.asked.take() {
            self.guard.with(|core, _| core.forget_challenge(&hash));
        }
    }

    async fn challenge(&mut self, stream: &mut FrameStream, frame: &Frame) -> Result<(), StreamError> {
        self.forget_challenge();
        let seeds = Seeds { nonce: Nonce(random()), secret: Secret(random()) };
        let reply = self
            .decode(frame)
            .and_then(|request| self.guard.with(|core, moment| core.challenge(moment, &self.claims, &request, seeds)));
        match reply {
            Ok(reply) => {
                self.asked = Some(Challenge::hash(&reply.challenge));
                stream.send(Kind::Challenge, &reply).await
            }
            Err(refused) => stream.refuse(&refused).await,
        }
    }

    async fn open_visit(&mut self, stream: &mut FrameStream, frame: &Frame) -> Result<(), StreamError> {
        let request = match self.decode::<OpenVisit>(frame) {
            Ok(request) => request,
            Err(refused) => return stream.refuse(&refused).await,
        };
        let visit = Grant::visit(&request.grant);
        let opened = match self.guard.with(|core, moment| core.open_visit(moment, &self.claims, &request)) {
            Ok(Opening::Opened(opened)) => Ok(opened),
            Ok(Opening::Waits(need, answer)) => self.second(stream, need, answer).await?,
            Err(refused) => Err(refused),
        };
        match opened {
            Ok(opened) => stream.send(Kind::VisitOpened, &opened).await,
            Err(refused) => {
                self.early = None;
                self.refused = Some(visit);
                stream.refuse(&refused).await
            }
        }
    }

    /// Waits for whoever answers first: the client with another person's signature, root on this host, or time.
    async fn second(
        &mut self,
        stream: &mut FrameStream,
        need: NeedSecond,
        mut answer: oneshot::Receiver<Result<VisitOpened, Refused>>,
    ) -> Result<Result<VisitOpened, Refused>, StreamError> {
        let guard = self.guard.clone();
        let _withdraw = Withdraw { guard: &guard, visit: need.visit };
        stream.send(Kind::NeedSecond, &need).await?;
        // Guard answers at its own deadline; this one holds only if it should not.
        let patience = Duration::from_secs(need.within_secs + 60);
        for _ in 0..FRAMES_MAX {
            let frame = tokio::select! {
                biased;
                answered = &mut answer => return Ok(answered.unwrap_or_else(|_| Err(Refusal::NoAnswer.into()))),
                frame = stream.next(patience) => frame?,
            };
            if frame.kind == Kind::OpenChannel && self.early.is_none() {
                self.early = Some(frame);
                continue;
            }
            if frame.kind != Kind::Second {
                return Ok(Err(Refusal::Malformed.with("a second signature was expected")));
            }
            let opened = self.decode::<Second>(&frame).and_then(|signed| {
                self.guard.with(|core, moment| core.second(moment, &self.claims, need.visit, &signed.second))
            });
            match opened {
                Ok(opened) => return Ok(Ok(opened)),
                Err(refused) => stream.refuse(&refused).await?,
            }
        }
        Ok(Err(Refusal::SecondSignature.into()))
    }

    async fn open_channel(
        &mut self,
        mut stream: FrameStream,
        frame: &Frame,
    ) -> Result<Option<FrameStream>, StreamError> {
        let routed = match self.decode::<OpenChannel>(frame) {
            Ok(request) if self.refused == Some(request.visit) => return Ok(Some(stream)),
            Ok(request) if request.kind == ChannelKind::Ask => {
                self.ask(&mut stream, &request).await?;
                return Ok(Some(stream));
            }
            Ok(request) => self.route(&request).await,
            Err(refused) => Err(refused),
        };
        let (mut open, queue) = match routed {
            Ok(routed) => routed,
            Err(refused) => {
                stream.refuse(&refused).await?;
                return Ok(Some(stream));
            }
        };
        let (client, rest, large) = stream.into_parts();
        open.already_read = ByteBuf::from(rest.clone());
        let (id, visit) = (open.channel, open.visit.visit);
        let (refused, client) = match pass_on(&queue, open, client).await {
            Some(Passed::Done) => {
                return Ok(None);
            }
            Some(Passed::Refused(refusal, client)) => {
                (self.guard.with(|core, moment| core.holder_refused(moment, id, visit, refusal)), client)
            }
            Some(Passed::Gone(client)) => (gone(id), client),
            None => return Ok(None),
        };
        let mut stream = FrameStream::from_parts(client, &rest, large);
        stream.refuse(&refused).await?;
        Ok(Some(stream))
    }

    /// Answers a question under seal; the stream stays guard's.
    async fn ask(&mut self, stream: &mut FrameStream, request: &OpenChannel) -> Result<(), StreamError> {
        match self.guard.with(|core, moment| core.ask(moment, &self.claims, request, random())) {
            Ok(reply) => {
                self.answered += 1;
                stream.send(Kind::ChannelReply, &reply).await
            }
            Err(refused) => stream.refuse(&refused).await,
        }
    }

    /// Finds the holder that takes this client, starting it when it is a new one.
    async fn route(&self, request: &OpenChannel) -> Result<(Box<door::Open>, mpsc::Sender<Pass>), Refused> {
        let route = self.guard.with(|core, moment| core.authorise(moment, &self.claims, request, random()))?;
        match route {
            Route::Attach(open, queue) => Ok((open, queue)),
            Route::Start(open, ends, queue) => match start::holder(&self.guard, open.channel).await {
                Ok(guardian) => {
                    self.guard.spawn(link::run(self.guard.clone(), open.channel, guardian, ends));
                    Ok((open, queue))
                }
                Err(why) => Err(self.guard.with(|core, moment| core.not_started(moment, open.channel, &why))),
            },
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.forget_challenge();
    }
}

/// A client that goes away takes its waiting grant with it.
struct Withdraw<'a> {
    guard: &'a Guard,
    visit: VisitId,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.guard.with(|core, moment| core.answer_pending(moment, self.visit, Err(Refusal::NoAnswer.into())));
    }
}

fn gone(id: ChannelId) -> Refused {
    tracing::warn!(channel = %id, "a holder does not answer");
    Refusal::NoChannel.into()
}

/// Hands a client to a channel's link; `None` when the link went away with it.
async fn pass_on(queue: &mpsc::Sender<Pass>, open: Box<door::Open>, client: UnixStream) -> Option<Passed> {
    let (done, answer) = oneshot::channel();
    match queue.try_send(Pass { open, client, done }) {
        Ok(()) => answer.await.ok(),
        Err(mpsc::error::TrySendError::Full(pass)) => Some(Passed::Refused(door::Refusal::Busy, pass.client)),
        Err(mpsc::error::TrySendError::Closed(pass)) => Some(Passed::Gone(pass.client)),
    }
}
