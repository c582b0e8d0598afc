//! Opening a visit: challenge, checks, grant, signature, and the first channel, in as few round trips as possible.
//!
//! ```text
//!  client                                   guard
//!    │ ChallengeRequest ───────────────────▶ │
//!    │ ◀─────────────────────────── Challenge │  is it the server that was meant? (R-12)
//!    │ OpenVisit + OpenChannel ────────────▶ │  signed here, for exactly this challenge
//!    │ ◀──────── NeedSecond | VisitOpened ... │
//!    │ ◀──────────────────────── ChannelReply │  holder; from here on everything is sealed
//! ```
//!
//! Never: signing for a server whose key is not the one in the trust log, or below the highest head that was seen.

mod checks;
mod error;
mod guest;
mod look;
mod second;

pub use error::VisitError;
pub use guest::{Guest, open_guest};
pub use look::{Look, open_look};

use crate::channel::{Channel, Link, Passage};
use crate::clock;
use crate::messages::Say;
use crate::relay_api::{Relay, StreamNote, Way};
use crate::signer::{Candidate, Keyring, Person};
use crate::stream::FrameStream;
use crate::trust_store::TrustStore;
use checks::Challenged;
use cloud_doctor_proto::channel::{Binding, Broken, ChannelKind, Secret};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::frame::{self, Frame, Kind};
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::ids::{AgentId, ChannelId, ExchangeKey, Hash, TenantId, VerifyKey, VisitId};
use cloud_doctor_proto::limits::{CONTROL_BYTES_MAX, ENTRIES_PAGE, PROTO_VERSION, PROTO_VERSION_MIN};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use cloud_doctor_proto::session::OpenRequest;
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, OpenVisit, Signed as KeyAndSignature, VisitOpened};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Guard answers from memory; a server that needs longer is not there.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// The server that a person means, as the trust log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub agent: AgentId,
    /// Its key.
    pub identity: VerifyKey,
    /// Its name. A stranger's text.
    pub name: String,
}

/// What a grant is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What may be done. Sorted.
    pub scopes: Vec<Scope>,
    /// Seconds that the visit lasts.
    pub ttl_secs: u64,
    /// Why.
    pub reason: String,
    /// Ticket, or empty.
    pub ticket: String,
}

/// What a person wants there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The visit.
    pub terms: Terms,
    /// Its first channel.
    pub first: First,
}

/// A channel to open or to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// What it is: one of the grant's scopes.
    pub scope: Scope,
    /// The channel to attach to; `None` starts a new one.
    pub attach: Option<ChannelId>,
    /// `TERM`.
    pub term: String,
    /// `LANG`.
    pub lang: String,
    /// Command and arguments; empty for a shell.
    pub argv: Vec<Vec<u8>>,
    /// Terminal columns and rows; zeroes for a command.
    pub size: (u16, u16),
}

/// An open visit: any number of channels may follow the first.
#[derive(Debug, Clone)]
pub struct Visit {
    ground: Ground,
    /// What guard said when it opened.
    pub opened: VisitOpened,
}

/// What every handshake of one visit needs.
#[derive(Debug, Clone)]
struct Ground {
    relay: Relay,
    way: Way,
    visit: VisitId,
    version: u16,
    challenge: Hash,
    grant: Hash,
    ours: Secret,
    theirs: ExchangeKey,
}

/// Whose hands and files a visit is opened with.
pub struct Hands<'a> {
    /// The relay, signed in.
    pub relay: &'a Relay,
    /// The trust log's copy.
    pub trust: &'a mut TrustStore,
    /// The keys.
    pub keys: &'a Keyring,
    /// The engineer's key among them.
    pub engineer: &'a Candidate,
    /// Who is told what happens.
    pub person: &'a mut dyn Person,
}

impl std::fmt::Debug for Hands<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("relay", self.relay).finish_non_exhaustive()
    }
}

/// A grant on its way.
struct Asked {
    stream: FrameStream,
    grant: Vec<u8>,
    signature: Vec<u8>,
    challenge: Vec<u8>,
    opened: Option<VisitOpened>,
}

/// A grant that is signed and has not been sent.
struct Signed {
    ground: Ground,
    asked: Asked,
    open: OpenVisit,
}

/// Opens a visit and its first channel.
///
/// # Errors
/// [`VisitError`]; nothing was started then.
pub async fn open(hands: &mut Hands<'_>, target: &Target, wish: &Wish) -> Result<(Visit, Channel), VisitError> {
    let channel = wish.first.attach.unwrap_or_else(|| ChannelId(clock::random()));
    let note = StreamNote { purpose: purpose(&wish.first), channel: Some(channel.to_string()), visit: None };
    let signed = sign(hands, target, &wish.terms, &note).await?;
    let passage = signed.ground.passage(&wish.first, channel);
    let (initiator, knock) = passage.knock(None).map_err(|Broken| VisitError::Handshake)?;
    let (visit, stream, reply) = send(hands, target, signed, knock).await?;
    let link = Link::finish(stream, initiator, &reply).map_err(|Broken| VisitError::Handshake)?;
    let (joins, ends_in) = (wish.first.attach.is_some(), visit.opened.ends_in_secs);
    Ok((visit, Channel::start(passage, link, wish.first.size, joins, ends_in)))
}

impl Visit {
    /// Opens another channel under this visit, on a stream of its own.
    ///
    /// # Errors
    /// [`VisitError`].
    pub async fn open_channel(&self, first: &First) -> Result<Channel, VisitError> {
        let channel = first.attach.unwrap_or_else(|| ChannelId(clock::random()));
        let passage = self.ground.passage(first, channel);
        let link = passage.clone().dial(None).await.map_err(VisitError::from)?;
        Ok(Channel::start(passage, link, first.size, first.attach.is_some(), self.opened.ends_in_secs))
    }
}

impl Ground {
    fn of(relay: Relay, way: Way, challenged: &Challenged, grant: &[u8], ours: Secret) -> Self {
        let Challenged { challenge, hash, .. } = challenged;
        Self {
            relay,
            way,
            visit: Grant::visit(grant),
            version: challenge.version,
            challenge: *hash,
            grant: Grant::hash(grant),
            ours,
            theirs: challenge.agent_key,
        }
    }

    fn binding(&self, kind: ChannelKind, channel: ChannelId) -> Binding {
        let Self { version, challenge, grant, .. } = *self;
        Binding { version, challenge, grant, kind, channel, resume: 0 }
    }

    fn passage(&self, first: &First, channel: ChannelId) -> Passage {
        Passage {
            relay: self.relay.clone(),
            way: self.way.clone(),
            visit: self.visit,
            binding: self.binding(first.scope.kind(), channel),
            ours: self.ours.clone(),
            theirs: self.theirs,
            request: request(first),
            unanswered: Arc::default(),
        }
    }
}

fn purpose(first: &First) -> &'static str {
    match (&first.attach, &first.scope) {
        (Some(_), _) => "attach",
        (None, Scope::Shell { .. }) => "shell",
        (None, Scope::Exec { .. }) => "exec",
        (None, Scope::Watch { .. } | Scope::Audit {}) => "ask",
    }
}

fn request(first: &First) -> OpenRequest {
    OpenRequest {
        user: first.scope.user().unwrap_or_default().to_owned(),
        attach: first.attach.is_some(),
        abandoned: Vec::new(),
        term: first.term.clone(),
        lang: first.lang.clone(),
        argv: first.argv.iter().cloned().map(ByteBuf::from).collect(),
    }
}

async fn challenge(stream: &mut FrameStream, trust_seq: u64) -> Result<ChallengeReply, VisitError> {
    let ask = ChallengeRequest { proto_min: PROTO_VERSION_MIN, proto_max: PROTO_VERSION, trust_seq };
    stream.outgoing().extend(frame::message(Kind::ChallengeRequest, &ask));
    let frame = next(stream).await?;
    if frame.kind == Kind::Challenge { read(&frame) } else { Err(VisitError::OutOfTurn(frame.kind)) }
}

/// The next frame that is no refusal.
async fn next(stream: &mut FrameStream) -> Result<Frame, VisitError> {
    let frame = timeout(ANSWER_WAIT, stream.next()).await.map_err(|_| VisitError::Silent)??;
    refusal(frame)
}

fn refusal(frame: Frame) -> Result<Frame, VisitError> {
    if frame.kind != Kind::Refused {
        return Ok(frame);
    }
    Err(VisitError::Refused(read::<Refused>(&frame)?))
}

fn read<T: serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, VisitError> {
    pack::from_bytes(&frame.body, CONTROL_BYTES_MAX).map_err(|_| VisitError::OutOfTurn(frame.kind))
}

/// Asks for a challenge, checks it, and signs a grant that answers it.
async fn sign(hands: &mut Hands<'_>, target: &Target, terms: &Terms, note: &StreamNote) -> Result<Signed, VisitError> {
    let way = Way::Server(target.agent);
    let mut stream = FrameStream::open(hands.relay, &way, note).await?;
    let reply = challenge(&mut stream, hands.trust.log().head().seq).await?;
    let challenged = checks::check(hands, target, &reply).await?;
    let ours = Secret(clock::random());
    let (tenant, head) = (hands.trust.log().tenant(), hands.trust.log().head());
    let signing = Signing { keys: hands.keys, engineer: hands.engineer, namespace: NAMESPACE_GRANT };
    let grant = grant_bytes(&signing, terms, &challenged, (tenant, target.agent, head), &ours);
    let sshsig = signing.sign_while_connected(hands.person, &mut stream, &grant).await?;
    let ground = Ground::of(hands.relay.clone(), way, &challenged, &grant, ours);
    let open = OpenVisit {
        grant: ByteBuf::from(grant.clone()),
        engineer: KeyAndSignature { key: hands.engineer.key.id(), sshsig: ByteBuf::from(sshsig.clone()) },
        second: None,
        entries: hands.trust.log().entries_from(challenged.challenge.trust_seq + 1, ENTRIES_PAGE),
    };
    let asked = Asked { stream, grant, signature: sshsig, challenge: challenged.bytes, opened: None };
    Ok(Signed { ground, asked, open })
}

/// Sends a signed grant together with the first handshake message; returns the visit and the answer to that message.
async fn send(
    hands: &mut Hands<'_>,
    target: &Target,
    signed: Signed,
    knock: Vec<u8>,
) -> Result<(Visit, FrameStream, Vec<u8>), VisitError> {
    let Signed { ground, mut asked, open } = signed;
    asked.stream.outgoing().extend(frame::message(Kind::OpenVisit, &open));
    asked.stream.outgoing().extend(knock);
    let reply = answer(hands, target, &mut asked).await?;
    let opened = asked.opened.ok_or(VisitError::OutOfTurn(Kind::ChannelReply))?;
    Ok((Visit { ground, opened }, asked.stream, reply))
}

/// Who signs, and for which kind of server.
struct Signing<'a> {
    keys: &'a Keyring,
    engineer: &'a Candidate,
    namespace: &'static str,
}

impl Signing<'_> {
    /// Signs, which may take a touch, while the stream's signs of life are answered.
    async fn sign_while_connected(
        &self,
        person: &mut dyn Person,
        stream: &mut FrameStream,
        grant: &[u8],
    ) -> Result<Vec<u8>, VisitError> {
        let signing = self.keys.sign(self.engineer, self.namespace, grant, person);
        tokio::select! {
            biased;
            signed = signing => Ok(signed?),
            early = stream.next() => Err(match refusal(early?) {
                Ok(frame) => VisitError::OutOfTurn(frame.kind),
                Err(error) => error,
            }),
        }
    }
}

/// The exact bytes that are signed: for this challenge, this server, and a key that only this client has.
fn grant_bytes(
    signing: &Signing<'_>,
    terms: &Terms,
    challenged: &Challenged,
    (tenant, agent, head): (TenantId, AgentId, TrustHead),
    ours: &Secret,
) -> Vec<u8> {
    let grant = Grant {
        version: challenged.challenge.version,
        tenant,
        agent,
        challenge: challenged.hash,
        client_key: ours.exchange_key(),
        engineer: signing.engineer.key.id(),
        scopes: terms.scopes.clone(),
        ttl_secs: terms.ttl_secs,
        reason: terms.reason.clone(),
        ticket: terms.ticket.clone(),
        trust_seq: head.seq,
        trust_head: head.hash,
        at: clock::wall(),
    };
    grant.to_bytes()
}

/// Waits for the holder's answer, and for a second person where one is needed.
async fn answer(hands: &mut Hands<'_>, target: &Target, asked: &mut Asked) -> Result<Vec<u8>, VisitError> {
    let mut frame = next(&mut asked.stream).await?;
    if frame.kind == Kind::NeedSecond {
        let need = read(&frame)?;
        frame = second::wait(hands, target, asked, &need).await?;
    }
    if frame.kind != Kind::VisitOpened {
        return Err(VisitError::OutOfTurn(frame.kind));
    }
    asked.opened = Some(read(&frame)?);
    let reply = next(&mut asked.stream).await?;
    if reply.kind == Kind::ChannelReply { Ok(reply.body) } else { Err(VisitError::OutOfTurn(reply.kind)) }
}

/// Tells the person something.
fn tell(hands: &mut Hands<'_>, say: impl Into<Say>) {
    hands.person.tell(say.into());
}
