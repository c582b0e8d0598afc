//! A client on a blocking socket: each call says one thing and hears one thing.

use crate::customer::{Customer, EVE, key_id, now, signed};
use cloud_doctor_proto::channel::{Binding, ChannelKind, Handed, Initiator, Keys, Sealed, Secret};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::{self, Decoder, Frame, Kind};
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::ids::{ChannelId, Hash, StreamId, VisitId};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::{Begin, ExitStatus, FinReason, OpenRequest, Stream, ToClient, ToHolder};
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, ChannelReply, OpenChannel, OpenVisit, VisitOpened};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: Decoder,
}

/// A challenge and the grant that answers it.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) challenge: Challenge,
    pub(crate) challenge_hash: Hash,
    pub(crate) grant: Grant,
    pub(crate) secret: Secret,
}

impl Client {
    /// A stream that the relay opened and said so.
    pub(crate) fn new(stream: UnixStream) -> Self {
        let mut client = Self::silent(stream);
        client.say(
            Kind::StreamHead,
            &StreamHead {
                purpose: StreamPurpose::Sealed,
                stream: StreamId([1; 16]),
                account: "eve@relay".into(),
                client: "192.0.2.7".into(),
            },
        );
        client
    }

    /// A connection on which nothing was said.
    pub(crate) fn silent(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Self { stream, decoder: Decoder::new() }
    }

    pub(crate) fn say<T: Serialize>(&mut self, kind: Kind, message: &T) {
        self.stream.write_all(&frame::message(kind, message)).unwrap();
    }

    pub(crate) fn try_hear(&mut self) -> Option<Frame> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing was heard: {error}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn hear(&mut self) -> Frame {
        self.try_hear().expect("the connection is open")
    }

    /// The next frame as a message, or the refusal that came instead.
    #[track_caller]
    pub(crate) fn answer<T: DeserializeOwned>(&mut self, kind: Kind) -> Result<T, Refused> {
        let frame = self.hear();
        if frame.kind == Kind::Refused {
            return Err(pack::from_bytes(&frame.body, 1 << 16).unwrap());
        }
        assert_eq!(frame.kind, kind);
        Ok(pack::from_bytes(&frame.body, 1 << 20).unwrap())
    }

    #[track_caller]
    pub(crate) fn refusal(&mut self) -> Refusal {
        self.answer::<Refused>(Kind::Refused).unwrap_err().code
    }

    pub(crate) fn challenge(&mut self, customer: &Customer) -> Result<ChallengeReply, Refused> {
        self.say(Kind::ChallengeRequest, &ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 0 });
        let reply: ChallengeReply = self.answer(Kind::Challenge)?;
        assert!(Challenge::verify(&reply.challenge, &reply.signature, &customer.verify_key()).is_ok());
        Ok(reply)
    }

    /// The same from a guard that may be another one, or refuse.
    pub(crate) fn try_challenge(&mut self) -> Option<ChallengeReply> {
        self.say(Kind::ChallengeRequest, &ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 0 });
        let frame = self.try_hear().filter(|frame| frame.kind == Kind::Challenge)?;
        Some(pack::from_bytes(&frame.body, 1 << 20).unwrap())
    }

    #[allow(dead_code, reason = "only the supervisor's tests meet a guard that may be dead")]
    /// Whether a living guard answers at the other end.
    pub(crate) fn challenge_if_alive(&mut self) -> Option<()> {
        let ask = ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 0 };
        self.stream.write_all(&frame::message(Kind::ChallengeRequest, &ask)).ok()?;
        self.try_hear().filter(|frame| frame.kind == Kind::Challenge).map(|_| ())
    }

    /// Asks, and builds a grant of `seed`'s owner for everything as the current user.
    #[track_caller]
    pub(crate) fn plan(&mut self, customer: &Customer, seed: u8) -> Plan {
        let reply = self.challenge(customer).unwrap();
        Plan::answering(customer, seed, &reply)
    }

    pub(crate) fn open(&mut self, plan: &Plan, seed: u8) -> Result<VisitOpened, Refused> {
        self.say(Kind::OpenVisit, &plan.open(seed));
        self.answer(Kind::VisitOpened)
    }

    /// Opens a visit of eve's.
    #[track_caller]
    pub(crate) fn visit(&mut self, customer: &Customer) -> Plan {
        let plan = self.plan(customer, EVE);
        let opened = self.open(&plan, EVE).unwrap();
        assert_eq!(opened.visit, plan.visit());
        plan
    }

    /// Opens a channel; the stream is a holder's then.
    pub(crate) fn channel(
        mut self,
        plan: &Plan,
        kind: ChannelKind,
        id: u8,
        request: &OpenRequest,
    ) -> Result<Channel, Refused> {
        let (initiator, open) = plan.channel(kind, ChannelId([id; 16]), request, None);
        self.say(Kind::OpenChannel, &open);
        self.finish(initiator)
    }

    pub(crate) fn finish(mut self, initiator: Initiator) -> Result<Channel, Refused> {
        let reply: ChannelReply = self.answer(Kind::ChannelReply)?;
        let (sealed, handed) = initiator.finish(&reply.second).unwrap();
        let handed = pack::from_bytes(&handed, 1000).unwrap();
        Ok(Channel { client: self, sealed, handed, out: Vec::new(), err: Vec::new() })
    }
}

impl Plan {
    /// A grant of `seed`'s owner that answers a challenge.
    pub(crate) fn answering(customer: &Customer, seed: u8, reply: &ChallengeReply) -> Self {
        let challenge: Challenge = pack::from_signed_bytes(&reply.challenge, 1 << 16).unwrap();
        let challenge_hash = Challenge::hash(&reply.challenge);
        let secret = Secret(std::array::from_fn(|i| challenge.nonce.0[i % 16] ^ seed));
        let user = own_user();
        let grant = Grant {
            version: 1,
            tenant: customer.log.tenant(),
            agent: customer.agent(),
            challenge: challenge_hash,
            client_key: secret.exchange_key(),
            engineer: key_id(seed),
            scopes: vec![Scope::Shell { user: user.clone() }, Scope::Exec { user }],
            ttl_secs: 600,
            reason: "slow site".into(),
            ticket: "T-1".into(),
            trust_seq: customer.log.head().seq,
            trust_head: customer.log.head().hash,
            at: now(),
        };
        Self { challenge, challenge_hash, grant, secret }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.grant.to_bytes()
    }

    pub(crate) fn visit(&self) -> VisitId {
        Grant::visit(&self.bytes())
    }

    pub(crate) fn open(&self, seed: u8) -> OpenVisit {
        let bytes = self.bytes();
        let engineer = signed(seed, NAMESPACE_GRANT, &bytes);
        OpenVisit { grant: ByteBuf::from(bytes), engineer, second: None, entries: Vec::new() }
    }

    pub(crate) fn channel(
        &self,
        kind: ChannelKind,
        channel: ChannelId,
        request: &OpenRequest,
        handed: Option<&Handed>,
    ) -> (Initiator, OpenChannel) {
        self.knock(kind, channel, &pack::to_bytes(request), handed)
    }

    /// The same for any payload.
    pub(crate) fn knock(
        &self,
        kind: ChannelKind,
        channel: ChannelId,
        payload: &[u8],
        handed: Option<&Handed>,
    ) -> (Initiator, OpenChannel) {
        let binding = Binding {
            version: 1,
            challenge: self.challenge_hash,
            grant: Grant::hash(&self.bytes()),
            kind,
            channel,
            resume: handed.map_or(0, |handed| handed.index),
        };
        let keys =
            Keys { ours: &self.secret, theirs: &self.challenge.agent_key, resume: handed.map(|handed| &handed.secret) };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let (initiator, first) = Initiator::start(&binding, keys, seed, payload).unwrap();
        let open =
            OpenChannel { visit: self.visit(), channel, kind, resume: binding.resume, first: ByteBuf::from(first) };
        (initiator, open)
    }
}

pub(crate) fn own_user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid)).unwrap().split(':').next().unwrap().to_owned()
}

pub(crate) fn exec(argv: &[&str]) -> OpenRequest {
    let argv = argv.iter().map(|a| ByteBuf::from(a.as_bytes())).collect();
    OpenRequest {
        user: own_user(),
        attach: false,
        abandoned: Vec::new(),
        term: String::new(),
        lang: String::new(),
        argv,
    }
}

pub(crate) fn shell() -> OpenRequest {
    OpenRequest {
        user: own_user(),
        attach: false,
        abandoned: Vec::new(),
        term: "xterm".into(),
        lang: String::new(),
        argv: Vec::new(),
    }
}

/// An open sealed channel.
pub(crate) struct Channel {
    pub(crate) client: Client,
    sealed: Sealed,
    pub(crate) handed: Handed,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Channel {
    pub(crate) fn say(&mut self, message: &ToHolder<'_>) {
        self.try_say(message).unwrap();
    }

    pub(crate) fn try_say(&mut self, message: &ToHolder<'_>) -> std::io::Result<()> {
        let (mut plain, mut record) = (Vec::new(), Vec::new());
        message.encode(&mut plain);
        self.sealed.seal(&plain, &mut record).unwrap();
        self.client.stream.write_all(&frame::encode(Kind::Record, &record))
    }

    pub(crate) fn begin(&mut self) {
        let out_from = self.out.len() as u64;
        self.say(&ToHolder::Begin(Begin { out_from, err_from: self.err.len() as u64, cols: 80, rows: 24 }));
    }

    /// Listens until the end; how it ended. `None`: the stream was cut.
    pub(crate) fn end(&mut self) -> Option<(Option<ExitStatus>, FinReason)> {
        let mut status = None;
        loop {
            let plain = self.record()?;
            match ToClient::decode(&plain).unwrap() {
                ToClient::Exit(exit) => {
                    status = Some(exit);
                    self.try_say(&ToHolder::Bye).ok();
                }
                ToClient::Fin(reason) => return Some((status, reason)),
                other @ (ToClient::Welcome(_)
                | ToClient::Output { .. }
                | ToClient::InputAck { .. }
                | ToClient::Skipped { .. }
                | ToClient::Notice(_)
                | ToClient::Pong(_)
                | ToClient::Size { .. }
                | ToClient::Watchers(_)
                | ToClient::Unknown { .. }) => self.take(&other),
            }
        }
    }

    /// Listens until the output has this text.
    #[track_caller]
    pub(crate) fn see(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.out).contains(text) {
            let plain = self.record().expect("the channel is open");
            let message = ToClient::decode(&plain).unwrap();
            assert!(!matches!(message, ToClient::Fin(_)), "{message:?} before {text:?}");
            self.take(&message);
        }
    }

    /// The next message, in its plain bytes; `None`: the stream was cut.
    pub(crate) fn record(&mut self) -> Option<Vec<u8>> {
        let frame = self.client.try_hear()?;
        assert_eq!(frame.kind, Kind::Record);
        let mut plain = Vec::new();
        self.sealed.open(&frame.body, &mut plain).unwrap();
        Some(plain)
    }

    pub(crate) fn take(&mut self, message: &ToClient<'_>) {
        if let ToClient::Output { stream, data, .. } = message {
            match stream {
                Stream::Out => self.out.extend(*data),
                Stream::Err => self.err.extend(*data),
            }
            // The holder may have said its last word already.
            self.try_say(&ToHolder::Ack { out: self.out.len() as u64, err: self.err.len() as u64 }).ok();
        }
    }
}
