//! A client written from the protocol alone, step by step, so that a test can do each step wrongly.
//!
//! It is honest by default; every value that it sends is public before it is sent. Not for working in a shell: that is
//! what the `cloud-doctor` program is tested for.

use cloud_doctor_proto::channel::{Binding, ChannelKind, Handed, Initiator, Keys, Sealed, Secret};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::ids::{AgentId, ChannelId, Hash, VisitId};
use cloud_doctor_proto::limits::{PROTO_VERSION, PROTO_VERSION_MIN};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use cloud_doctor_proto::session::{Begin, ExitStatus, OpenRequest, ToClient, ToHolder, Welcome};
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::visit::{
    ChallengeReply, ChallengeRequest, ChannelReply, NeedSecond, OpenChannel, OpenVisit, Signed, VisitOpened,
};
use serde_bytes::ByteBuf;
use std::time::Duration;

use crate::people::{Person, now, random};
use crate::road::{Next, Road};

/// Time for one answer.
pub const ANSWER: Duration = Duration::from_secs(5);

/// A challenge as it came.
#[derive(Debug, Clone)]
pub struct Challenged {
    /// Signed bytes.
    pub bytes: Vec<u8>,
    /// Signature by the identity.
    pub signature: [u8; 64],
    /// Decoded and verified by the identity that it names itself.
    pub challenge: Challenge,
    /// What a grant names.
    pub hash: Hash,
    /// Log entries that came along.
    pub entries: Vec<ByteBuf>,
}

/// Asks for a challenge.
///
/// # Errors
/// Guard's refusal.
///
/// # Panics
/// When something else comes.
#[track_caller]
pub fn challenge(road: &mut Road) -> Result<Challenged, Refused> {
    let request = ChallengeRequest { proto_min: PROTO_VERSION_MIN, proto_max: PROTO_VERSION, trust_seq: 0 };
    road.say(Kind::ChallengeRequest, &request);
    let next = road.next(ANSWER);
    if let Some(refused) = next.message(Kind::Refused) {
        return Err(refused);
    }
    let reply: ChallengeReply = next.message(Kind::Challenge).unwrap_or_else(|| panic!("no challenge: {next:?}"));
    let decoded: Challenge = pack::from_bytes(&reply.challenge, reply.challenge.len()).expect("a challenge");
    let challenge = Challenge::verify(&reply.challenge, &reply.signature, &decoded.identity);
    Ok(Challenged {
        challenge: challenge.expect("signed by the identity that it names"),
        hash: Challenge::hash(&reply.challenge),
        bytes: reply.challenge.into_vec(),
        signature: reply.signature,
        entries: reply.entries,
    })
}

/// A visit that is to be opened: change what you like, then sign and send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it answers.
    pub challenged: Challenged,
    /// What is asked for.
    pub grant: Grant,
    /// Private half of the grant's `client_key`.
    pub secret: Secret,
}

impl Plan {
    /// What an honest client would ask for: these scopes, for ten minutes.
    #[must_use]
    pub fn honest(challenged: Challenged, engineer: &Person, head: TrustHead, scopes: Vec<Scope>) -> Self {
        let secret = Secret(random());
        let challenge = &challenged.challenge;
        let grant = Grant {
            version: challenge.version,
            tenant: challenge.tenant,
            agent: AgentId::of(&challenge.identity),
            challenge: challenged.hash,
            client_key: secret.exchange_key(),
            engineer: engineer.id(),
            scopes,
            ttl_secs: 600,
            reason: "a test".to_owned(),
            ticket: String::new(),
            trust_seq: head.seq,
            trust_head: head.hash,
            at: now(),
        };
        Self { challenged, grant, secret }
    }

    /// The message that opens it, signed by `engineer`.
    #[must_use]
    pub fn message(&self, engineer: &Person) -> OpenVisit {
        let grant = self.grant.to_bytes();
        let engineer = engineer.signed(NAMESPACE_GRANT, &grant);
        OpenVisit { grant: ByteBuf::from(grant), engineer, second: None, entries: Vec::new() }
    }
}

/// Guard's answer to a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Open.
    Opened(VisitOpened),
    /// Waits for another person.
    NeedSecond(NeedSecond),
    /// No.
    Refused(Refused),
}

/// Sends a grant and reads the answer.
///
/// # Panics
/// When no answer comes.
#[track_caller]
pub fn open(road: &mut Road, message: &OpenVisit) -> Answer {
    road.say(Kind::OpenVisit, message);
    answer(road)
}

/// Reads guard's answer.
///
/// # Panics
/// When no answer comes.
#[track_caller]
pub fn answer(road: &mut Road) -> Answer {
    let next = road.next(ANSWER);
    let opened = next.message(Kind::VisitOpened).map(Answer::Opened);
    let second = || next.message(Kind::NeedSecond).map(Answer::NeedSecond);
    let refused = || next.message(Kind::Refused).map(Answer::Refused);
    opened.or_else(second).or_else(refused).unwrap_or_else(|| panic!("no answer to a grant: {next:?}"))
}

/// An open visit.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Its id.
    pub id: VisitId,
    plan: Plan,
    grant_hash: Hash,
}

impl Visit {
    /// Opens one honestly.
    ///
    /// # Errors
    /// Guard's refusal.
    ///
    /// # Panics
    /// When guard asks for a second signature.
    #[track_caller]
    pub fn open(road: &mut Road, engineer: &Person, head: TrustHead, scopes: Vec<Scope>) -> Result<Self, Refused> {
        let plan = Plan::honest(challenge(road)?, engineer, head, scopes);
        match open(road, &plan.message(engineer)) {
            Answer::Opened(_) => Ok(Self::of(plan)),
            Answer::Refused(refused) => Err(refused),
            Answer::NeedSecond(asks) => panic!("a second signature was asked for: {asks:?}"),
        }
    }

    /// The visit that a plan opened.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        let bytes = plan.grant.to_bytes();
        Self { id: Grant::visit(&bytes), grant_hash: Grant::hash(&bytes), plan }
    }

    /// The first message of a handshake, and what waits for the answer.
    ///
    /// # Panics
    /// When the handshake cannot be begun.
    #[must_use]
    pub fn knock(
        &self,
        kind: ChannelKind,
        channel: ChannelId,
        resume: Option<&Handed>,
        ask: &OpenRequest,
    ) -> (Initiator, OpenChannel) {
        let index = resume.map_or(0, |handed| handed.index);
        let binding = Binding {
            version: self.plan.challenged.challenge.version,
            challenge: self.plan.challenged.hash,
            grant: self.grant_hash,
            kind,
            channel,
            resume: index,
        };
        let theirs = self.plan.challenged.challenge.agent_key;
        let keys = Keys { ours: &self.plan.secret, theirs: &theirs, resume: resume.map(|handed| &handed.secret) };
        let (initiator, first) =
            Initiator::start(&binding, keys, random(), &pack::to_bytes(ask)).expect("a fresh handshake");
        let message = OpenChannel { visit: self.id, channel, kind, resume: index, first: ByteBuf::from(first) };
        (initiator, message)
    }

    /// Opens a channel honestly, up to and including its first record.
    ///
    /// # Errors
    /// The refusal.
    #[track_caller]
    pub fn channel(
        &self,
        road: Road,
        kind: ChannelKind,
        channel: ChannelId,
        resume: Option<&Handed>,
        ask: &OpenRequest,
    ) -> Result<Channel, Refused> {
        let (initiator, message) = self.knock(kind, channel, resume, ask);
        let mut opened = Channel::answer(road, initiator, &message, channel)?;
        opened.say(&begin());
        Ok(opened)
    }
}

/// What an honest client asks of a holder.
#[must_use]
pub fn request(user: &str, argv: &[&str]) -> OpenRequest {
    OpenRequest {
        user: user.to_owned(),
        attach: false,
        abandoned: Vec::new(),
        term: "xterm-256color".to_owned(),
        lang: "C.UTF-8".to_owned(),
        argv: argv.iter().map(|part| ByteBuf::from(part.as_bytes())).collect(),
    }
}

/// A sealed channel.
#[derive(Debug)]
pub struct Channel {
    /// The stream under it.
    pub road: Road,
    /// Its id.
    pub id: ChannelId,
    /// The secret for the next handshake.
    pub handed: Handed,
    sealed: Sealed,
}

impl Channel {
    /// Sends the first message and finishes the handshake with the answer.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn answer(mut road: Road, initiator: Initiator, message: &OpenChannel, id: ChannelId) -> Result<Self, Refused> {
        road.say(Kind::OpenChannel, message);
        let next = road.next(ANSWER);
        if let Some(refused) = next.message(Kind::Refused) {
            return Err(refused);
        }
        let reply: ChannelReply = next.message(Kind::ChannelReply).unwrap_or_else(|| panic!("no reply: {next:?}"));
        let (sealed, payload) = initiator.finish(&reply.second).expect("the holder's own answer");
        let handed = pack::from_bytes(&payload, payload.len()).expect("a resume secret");
        Ok(Self { road, id, handed, sealed })
    }

    /// The next record, sealed but not sent.
    ///
    /// # Panics
    /// When it is too long.
    #[must_use]
    pub fn seal(&mut self, message: &ToHolder<'_>) -> Vec<u8> {
        let (mut plain, mut record) = (Vec::new(), Vec::new());
        message.encode(&mut plain);
        self.sealed.seal(&plain, &mut record).expect("a message fits a record");
        frame::encode(Kind::Record, &record)
    }

    /// Sends a message.
    pub fn say(&mut self, message: &ToHolder<'_>) {
        let bytes = self.seal(message);
        self.road.send(&bytes);
    }

    /// The next message as its plain bytes; `None` when the stream ended or was silent.
    ///
    /// # Panics
    /// When a record does not open.
    #[track_caller]
    pub fn hear(&mut self, within: Duration) -> Option<Vec<u8>> {
        match self.road.next(within) {
            Next::Frame(frame) if frame.kind == Kind::Record => {
                let mut plain = Vec::new();
                self.sealed.open(&frame.body, &mut plain).expect("a record of the holder");
                Some(plain)
            }
            Next::Frame(frame) => panic!("{:?} inside a channel", frame.kind),
            Next::Ended | Next::Silence => None,
        }
    }

    /// Hears messages until `found` has an answer.
    ///
    /// # Panics
    /// When the stream ends before.
    #[track_caller]
    pub fn hear_until<T>(&mut self, mut found: impl FnMut(&ToClient<'_>) -> Option<T>) -> T {
        loop {
            let plain = self.hear(ANSWER).expect("the holder says more");
            let message = ToClient::decode(&plain).expect("a message of the holder");
            if let Some(value) = found(&message) {
                return value;
            }
        }
    }
}

/// A signature by somebody over the wrong thing: the key's id of one, the signature of another.
#[must_use]
pub fn borrowed(name: &Person, signer: &Person, namespace: &str, message: &[u8]) -> Signed {
    Signed { key: name.id(), sshsig: signer.signed(namespace, message).sshsig }
}

/// The first message of every attachment, from the beginning of the output on.
#[must_use]
pub fn begin() -> ToHolder<'static> {
    ToHolder::Begin(Begin { out_from: 0, err_from: 0, cols: 80, rows: 24 })
}

/// Two of the messages, for [`Channel::hear_until`]: the greeting, and how it ended.
fn of_interest(message: &ToClient<'_>) -> (Option<Welcome>, Option<ExitStatus>) {
    match message {
        ToClient::Welcome(welcome) => (Some(welcome.clone()), None),
        ToClient::Exit(status) => (None, Some(status.clone())),
        ToClient::Output { .. }
        | ToClient::InputAck { .. }
        | ToClient::Skipped { .. }
        | ToClient::Notice(_)
        | ToClient::Pong(_)
        | ToClient::Fin(_)
        | ToClient::Size { .. }
        | ToClient::Watchers(_)
        | ToClient::Unknown { .. } => (None, None),
    }
}

/// The exit status in a message.
#[must_use]
pub fn exit(message: &ToClient<'_>) -> Option<ExitStatus> {
    of_interest(message).1
}

/// The greeting in a message.
#[must_use]
pub fn welcome(message: &ToClient<'_>) -> Option<Welcome> {
    of_interest(message).0
}
