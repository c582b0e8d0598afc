//! A relay, guard and holder of a few lines, with the faults that a test asks for. Only the protocol crate is shared
//! with the client; nothing of the client's code is used here.

pub(crate) mod holder;

use cloud_doctor_proto::frame::{self, Decoder, Frame, Kind};
use cloud_doctor_proto::grant::{Challenge, Grant};
use cloud_doctor_proto::ids::{AgentId, BootId, ChannelId, Nonce, VerifyKey};
use cloud_doctor_proto::limits::WS_PROTOCOL;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_LOG, SshKey, unarmour};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{AgentRecord, Entry, NamedKey, Role, SignedEntry, TrustLog, What, batch_id};
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, ChannelInfo, OpenChannel, OpenVisit, VisitOpened};
use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use holder::Holder;
use serde_bytes::ByteBuf;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};

pub(crate) const NAME: &str = "web-1";

/// What goes wrong on purpose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Cut the stream after this many records of the holder; each entry counts for one stream.
    pub(crate) cut_after: Vec<usize>,
    /// Change one bit in the holder's n-th record of the first stream.
    pub(crate) flip_record: Option<usize>,
    /// Answer the challenge with another identity.
    pub(crate) other_identity: bool,
    /// Narrow the version offer on the way.
    pub(crate) narrow: bool,
    /// What the relay answers to a `POST /enrolment-tokens`, as JSON.
    pub(crate) token: String,
    /// What the relay answers to a `GET /approvals`, as JSON.
    pub(crate) approvals: String,
    /// What the relay answers to a `GET /servers` and a `GET /sessions`, as JSON.
    pub(crate) lists: [String; 2],
    /// Every length of time that server and holder name.
    pub(crate) secs: Option<u64>,
    /// The upgrade's answer brings an extension of WebSocket that nobody asked for.
    pub(crate) extension: bool,
    /// What the relay says on the stream of a server's metrics, text by text and frame by frame.
    pub(crate) live: Vec<Message>,
    /// What it answers about a server's last minutes, its history, its processes and what happened there.
    pub(crate) metrics: [Vec<u8>; 4],
    /// Show this many entries of the trust log only.
    pub(crate) log_until: Option<usize>,
}

/// Everything behind the relay's address.
pub(crate) struct World {
    pub(crate) log: Mutex<Vec<Vec<u8>>>,
    pub(crate) identity: SigningKey,
    pub(crate) root: PrivateKey,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) holders: Mutex<HashMap<ChannelId, Arc<Mutex<Holder>>>>,
    visits: Mutex<HashMap<cloud_doctor_proto::ids::VisitId, Open>>,
    /// Second signatures that arrived at the relay.
    pub(crate) seconds: Mutex<usize>,
    pub(crate) grants: Mutex<usize>,
    pub(crate) streams: Mutex<usize>,
}

#[derive(Clone)]
struct Open {
    challenge: cloud_doctor_proto::ids::Hash,
    grant: cloud_doctor_proto::ids::Hash,
    secret: cloud_doctor_proto::channel::Secret,
    client: cloud_doctor_proto::ids::ExchangeKey,
}

pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub(crate) fn ssh(key: &PrivateKey) -> SshKey {
    SshKey::from_blob(&key.public_key().to_bytes().unwrap()).unwrap()
}

pub(crate) fn now() -> UnixTime {
    cloud_doctor::clock::wall()
}

pub(crate) fn sign(entry: &Entry, key: &PrivateKey) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let pem = key.sign(NAMESPACE_LOG, HashAlg::Sha512, &bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    SignedEntry { entry: ByteBuf::from(bytes), signature: ByteBuf::from(unarmour(&pem).unwrap()) }.to_bytes()
}

impl World {
    /// A customer with one server and one engineer, who is the root too.
    pub(crate) fn new() -> Arc<Self> {
        let (root, identity, batch) = (key(1), SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let named = |key: &PrivateKey, person: &str| NamedKey::ssh(ssh(key), person);
        let what = What::Genesis {
            name: "ACME".into(),
            roots: vec![named(&root, "anna")],
            recovery: named(&key(2), "recovery"),
            salt: Nonce([9; 16]),
            first: vec![],
        };
        let by = ssh(&root).id();
        let prev = cloud_doctor_proto::ids::Hash([0; 32]);
        let genesis = sign(&Entry { version: 1, seq: 0, prev, at: now(), by, what }, &root);
        let mut log = TrustLog::genesis(&genesis, None).unwrap();
        let mut entries = vec![genesis];
        let until = now().plus_secs(86_400);
        let batch_key = VerifyKey(batch.verifying_key().to_bytes());
        for what in [
            What::AddPerson { key: named(&root, "anna"), role: Role::Engineer, until },
            What::EnrolBatch { key: batch_key, until, uses: 5, note: String::new() },
        ] {
            let entry = sign(&log.next_entry(by, now(), what), &root);
            log.append(&entry).unwrap();
            entries.push(entry);
        }
        let identity_key = VerifyKey(identity.verifying_key().to_bytes());
        let what = What::AddAgent { identity: identity_key, name: NAME.into() };
        let entry = log.next_entry(batch_id(&batch_key), now(), what).sign_with_batch(&batch).to_bytes();
        log.append(&entry).unwrap();
        entries.push(entry);
        Arc::new(Self {
            log: Mutex::new(entries),
            identity,
            root,
            faults: Mutex::default(),
            holders: Mutex::default(),
            visits: Mutex::default(),
            seconds: Mutex::default(),
            grants: Mutex::default(),
            streams: Mutex::default(),
        })
    }

    pub(crate) fn trust(&self) -> TrustLog {
        TrustLog::replay(&self.log.lock().unwrap(), None).unwrap()
    }

    pub(crate) fn agent(&self) -> (AgentId, AgentRecord) {
        let log = self.trust();
        let (id, record) = log.agents.iter().next().unwrap();
        (*id, record.clone())
    }

    /// Listens on loopback; everything ends with the returned set.
    pub(crate) async fn serve(self: &Arc<Self>) -> (String, tokio::task::JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        let world = Arc::clone(self);
        tasks.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&world).connection(stream));
            }
        });
        (url, tasks)
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let mut head = vec![0; 4096];
        let len = stream.peek(&mut head).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&head[..len]).into_owned();
        if head.contains("/metrics/live") {
            self.live(stream).await;
        } else if head.contains("/metrics/") {
            self.metrics(stream).await;
        } else if head.contains("/stream?") {
            self.stream(stream).await;
        } else {
            self.answer(stream).await;
        }
    }

    /// Says what is to be said, and waits for the client to leave.
    async fn live(&self, stream: TcpStream) {
        #[expect(clippy::result_large_err, reason = "the library's own callback type")]
        let accept = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", WS_PROTOCOL.parse().unwrap());
            Ok(response)
        };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, accept).await else { return };
        let said = self.faults.lock().unwrap().live.clone();
        for message in said {
            let _sent = socket.send(message).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
    }

    async fn metrics(&self, mut stream: TcpStream) {
        let Some((head, _)) = request(&mut stream).await else { return };
        let [recorder, range, processes, events] = self.faults.lock().unwrap().metrics.clone();
        let body = if head.contains("/metrics/recorder") {
            recorder
        } else if head.contains("/metrics/range?") {
            range
        } else if head.contains("/metrics/events?") {
            events
        } else {
            processes
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\nx-cloud-doctor-connected: no\r\n\
             x-cloud-doctor-vanished-at: {}\r\n\r\n",
            body.len(),
            (now().0 - 600) * 1_000
        );
        let _sent = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        let _gone = stream.shutdown().await;
    }

    /// One HTTP answer.
    async fn answer(&self, mut stream: TcpStream) {
        let Some((head, body)) = request(&mut stream).await else { return };
        let faults = self.faults.lock().unwrap().clone();
        let answer = if head.starts_with("POST /api/v1/trust-log") {
            let posted: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let entry = data_encoding::BASE64URL_NOPAD.decode(posted["entry"].as_str().unwrap().as_bytes()).unwrap();
            self.log.lock().unwrap().push(entry);
            "{}".to_owned()
        } else if head.starts_with("POST /api/v1/enrolment-tokens") {
            faults.token
        } else if head.starts_with("GET /api/v1/approvals") {
            faults.approvals
        } else if head.starts_with("GET /api/v1/servers") {
            faults.lists[0].clone()
        } else if head.starts_with("GET /api/v1/sessions") {
            faults.lists[1].clone()
        } else if head.starts_with("POST /api/v1/approvals/") {
            *self.seconds.lock().unwrap() += 1;
            "{}".to_owned()
        } else {
            self.log_page(&head)
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        let _sent = stream.write_all(format!("{head}{answer}").as_bytes()).await;
        let _gone = stream.shutdown().await;
    }

    /// The trust log, in pages of two.
    fn log_page(&self, head: &str) -> String {
        let from: usize = head
            .split_once("trust-log?from=")
            .and_then(|(_, rest)| rest.split(' ').next())
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        let until = self.faults.lock().unwrap().log_until.unwrap_or(usize::MAX);
        let log: Vec<Vec<u8>> = self.log.lock().unwrap().iter().take(until).cloned().collect();
        let last = cloud_doctor_proto::trust::decode(log.last().unwrap(), 0).unwrap().0;
        let page: Vec<String> =
            log.iter().skip(from).take(2).map(|entry| data_encoding::BASE64URL_NOPAD.encode(entry)).collect();
        serde_json::json!({
            "head": { "seq": log.len() - 1, "hash": last.hash().to_string() }, "entries": page, "more": true,
        })
        .to_string()
    }

    async fn stream(&self, stream: TcpStream) {
        let extension = self.faults.lock().unwrap().extension;
        #[expect(clippy::result_large_err, reason = "the library's own callback type")]
        let accept = |request: &Request, mut response: Response| {
            assert!(!request.headers().contains_key("sec-websocket-extensions"), "{request:?}");
            if extension {
                response.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
            }
            response.headers_mut().insert("sec-websocket-protocol", WS_PROTOCOL.parse().unwrap());
            Ok(response)
        };
        let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, accept).await else { return };
        *self.streams.lock().unwrap() += 1;
        let mut pipe = Pipe { socket, decoder: Decoder::new() };
        // A client that leaves ends it.
        let _end = self.guard(&mut pipe).await;
    }

    async fn guard(&self, pipe: &mut Pipe) -> Option<()> {
        let mut secret = None;
        loop {
            let frame = pipe.next().await?;
            if frame.kind == Kind::ChallengeRequest {
                secret = Some(self.challenge(pipe, &frame).await?);
            } else if frame.kind == Kind::OpenVisit {
                let (bytes, key) = secret.take()?;
                self.open_visit(pipe, &frame, &bytes, key).await?;
            } else if frame.kind == Kind::OpenChannel {
                return self.open_channel(pipe, &frame).await;
            } else {
                return None;
            }
        }
    }

    async fn challenge(
        &self,
        pipe: &mut Pipe,
        frame: &Frame,
    ) -> Option<(Vec<u8>, cloud_doctor_proto::channel::Secret)> {
        let asked: ChallengeRequest = pack::from_bytes(&frame.body, 1000).ok()?;
        let faults = self.faults.lock().unwrap().clone();
        let identity = if faults.other_identity { SigningKey::from_bytes(&[66; 32]) } else { self.identity.clone() };
        let secret = cloud_doctor_proto::channel::Secret(cloud_doctor::clock::random());
        let log = self.trust();
        let challenge = Challenge {
            version: 1,
            offered_min: asked.proto_min,
            offered_max: if faults.narrow { asked.proto_max - 1 } else { asked.proto_max },
            identity: VerifyKey(identity.verifying_key().to_bytes()),
            tenant: log.tenant(),
            host: NAME.into(),
            boot: BootId([1; 16]),
            nonce: Nonce(cloud_doctor::clock::random()),
            agent_key: secret.exchange_key(),
            trust_seq: log.head().seq,
            trust_head: log.head().hash,
            at: faults.secs.map_or(now(), UnixTime),
            ttl_secs: faults.secs.unwrap_or(600),
        };
        let (bytes, signature) = challenge.sign(&identity);
        let entries = log.entries_from(asked.trust_seq + 1, 100);
        let reply = ChallengeReply { challenge: ByteBuf::from(bytes.clone()), signature, entries };
        pipe.send(frame::message(Kind::Challenge, &reply)).await?;
        Some((bytes, secret))
    }

    async fn open_visit(
        &self,
        pipe: &mut Pipe,
        frame: &Frame,
        challenge: &[u8],
        secret: cloud_doctor_proto::channel::Secret,
    ) -> Option<()> {
        *self.grants.lock().unwrap() += 1;
        let open: OpenVisit = pack::from_bytes(&frame.body, 1 << 20).ok()?;
        ssh(&self.root).verify(NAMESPACE_GRANT, &open.grant, &open.engineer.sshsig).unwrap();
        let grant = Grant::from_bytes(&open.grant).unwrap();
        assert_eq!(grant.challenge, Challenge::hash(challenge));
        let visit = Grant::visit(&open.grant);
        let opened =
            Open { challenge: grant.challenge, grant: Grant::hash(&open.grant), secret, client: grant.client_key };
        self.visits.lock().unwrap().insert(visit, opened);
        let secs = self.faults.lock().unwrap().secs;
        let left = |age_secs| ChannelInfo {
            channel: ChannelId([9; 16]),
            kind: cloud_doctor_proto::channel::ChannelKind::Shell,
            user: "web".into(),
            age_secs,
            attached: false,
        };
        let ends_in_secs = secs.unwrap_or(grant.ttl_secs);
        let opened = VisitOpened { visit, ends_in_secs, channels: secs.map(left).into_iter().collect() };
        pipe.send(frame::message(Kind::VisitOpened, &opened)).await
    }

    async fn open_channel(&self, pipe: &mut Pipe, frame: &Frame) -> Option<()> {
        let open: OpenChannel = pack::from_bytes(&frame.body, 1 << 16).ok()?;
        let Some(visit) = self.visits.lock().unwrap().get(&open.visit).cloned() else {
            let refused = cloud_doctor_proto::refusal::Refused::from(Refusal::NoVisit);
            return pipe.send(frame::message(Kind::Refused, &refused)).await;
        };
        let binding = cloud_doctor_proto::channel::Binding {
            version: 1,
            challenge: visit.challenge,
            grant: visit.grant,
            kind: open.kind,
            channel: open.channel,
            resume: open.resume,
        };
        let holder = Arc::clone(self.holders.lock().unwrap().entry(open.channel).or_default());
        let cut_after = self.faults.lock().unwrap().cut_after.pop();
        let flip = self.faults.lock().unwrap().flip_record.take();
        let faults = holder::Faults { cut_after, flip, secs: self.faults.lock().unwrap().secs };
        holder::attend(holder, pipe, &binding, (&visit.secret, &visit.client), &open.first, faults).await
    }
}

/// Head and body of an HTTP request.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let body = bytes.get(end + 4..end + 4 + length.unwrap_or(0));
        if let Some(body) = body {
            return Some((head, body.to_vec()));
        }
    }
}

/// A stream with frames.
pub(crate) struct Pipe {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
}

impl Pipe {
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.socket.next().await? {
                Ok(Message::Binary(bytes)) => self.decoder.push(&bytes),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: Vec<u8>) -> Option<()> {
        self.socket.send(Message::Binary(Bytes::from(bytes))).await.ok()
    }
}
