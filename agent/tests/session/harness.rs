//! A host with one holder, and clients that speak the sealed channel to it.

use crate::door::{Event, Limits, Open, Refusal, Status, Visit, What};
use crate::wire::Guardian;
use cloud_doctor_proto::channel::{ChannelKind, Handed, Initiator, Keys, Sealed, Secret, TAG_BYTES};
use cloud_doctor_proto::frame::{self, Decoder, Kind};
use cloud_doctor_proto::ids::{ChannelId, Hash, VisitId};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::session::{Begin, ExitStatus, FinReason, OpenRequest, Stream, ToClient, ToHolder, Welcome};
use cloud_doctor_proto::time::BootTime;
use cloud_doctor_proto::visit::ChannelReply;
use serde_bytes::ByteBuf;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Everything that a test waits for comes within this time, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_cloud-doctor-agent");

/// One server with one channel.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    pub(crate) channel: ChannelId,
    pub(crate) guardian: Guardian,
    pub(crate) limits: Limits,
    pub(crate) visit: Visit,
    pub(crate) client_secret: Secret,
    pub(crate) holder_pid: u32,
}

pub(crate) fn boot_time() -> BootTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    BootTime(now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000)
}

/// Another seed for each handshake.
fn seed() -> [u8; 32] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    [NEXT.fetch_add(1, Ordering::Relaxed); 32]
}

pub(crate) fn visit(number: u8, ends_in_secs: u64) -> (Visit, Secret) {
    let client = Secret([number; 32]);
    let visit = Visit {
        visit: VisitId([number; 16]),
        version: 1,
        challenge: Hash([number ^ 0x55; 32]),
        grant: Hash([number ^ 0xaa; 32]),
        agent_secret: Secret([number ^ 0xff; 32]),
        client_key: client.exchange_key(),
        ends_at: boot_time().plus_secs(ends_in_secs),
        note: ByteBuf::from(*b"guard's own words"),
    };
    (visit, client)
}

/// The user that these tests run as.
pub(crate) fn own_user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid)).unwrap();
    line.split(':').next().unwrap().to_owned()
}

pub(crate) fn shell() -> OpenRequest {
    OpenRequest {
        user: own_user(),
        attach: false,
        abandoned: Vec::new(),
        term: "dumb".to_owned(),
        lang: "C.UTF-8".to_owned(),
        argv: Vec::new(),
    }
}

pub(crate) fn exec(argv: &[&str]) -> OpenRequest {
    OpenRequest { argv: argv.iter().map(|word| ByteBuf::from(word.as_bytes())).collect(), ..shell() }
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::with(1, 3600).await
    }

    pub(crate) async fn with(number: u8, ends_in_secs: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("cds").tempdir_in("/tmp").unwrap();
        let channel = ChannelId([number; 16]);
        let mut guardian = Guardian::launch(Path::new(AGENT), folder.path(), channel).await.unwrap();
        let holder_pid = guardian.status().await.unwrap().holder_pid;
        let limits = Limits { idle_secs: None, detached_secs: 900, linger_secs: 600 };
        let (visit, client_secret) = visit(number, ends_in_secs);
        Self { folder, channel, guardian, limits, visit, client_secret, holder_pid }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        crate::door::socket_path(self.folder.path(), self.channel)
    }

    /// A guard that was replaced: a new connection to the same holder.
    pub(crate) async fn new_guard(&mut self) {
        self.guardian = Guardian::connect(&self.socket()).await.unwrap();
    }

    pub(crate) async fn status(&mut self) -> Status {
        timeout(DEADLINE, self.guardian.status()).await.unwrap().unwrap()
    }

    /// Handshake and first record: a client that works in the channel, its `Welcome` not yet read.
    pub(crate) async fn client(&mut self, request: &OpenRequest) -> Client {
        let mut client = self.knock(request, None).await.unwrap();
        client.begin([0, 0]).await;
        client
    }

    /// Comes back with the secret that `old` was handed, wanting what it lacks.
    pub(crate) async fn client_again(&mut self, old: &Client, request: &OpenRequest) -> Client {
        let request = OpenRequest { attach: true, ..request.clone() };
        let mut client = self.knock(&request, Some(&old.handed)).await.unwrap();
        client.begin([old.out.len() as u64, old.err.len() as u64]).await;
        client.typed = old.typed;
        client.out = old.out.clone();
        client.err = old.err.clone();
        client
    }

    /// Handshake only.
    pub(crate) async fn knock(&mut self, request: &OpenRequest, with: Option<&Handed>) -> Result<Client, Refusal> {
        let (initiator, open) = self.first_message(request, with);
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.pass(open, &theirs).await?;
        drop(theirs);
        Ok(Client::finish(initiator, ours).await)
    }

    pub(crate) fn first_message(&self, request: &OpenRequest, with: Option<&Handed>) -> (Initiator, Open) {
        let kind = if request.argv.is_empty() { ChannelKind::Shell } else { ChannelKind::Exec };
        self.first_message_of(&self.visit, &self.client_secret, kind, request, with)
    }

    /// A first message under any visit.
    pub(crate) fn first_message_of(
        &self,
        visit: &Visit,
        secret: &Secret,
        kind: ChannelKind,
        request: &OpenRequest,
        with: Option<&Handed>,
    ) -> (Initiator, Open) {
        let resume = with.map_or(0, |handed| handed.index);
        let binding = visit.binding(kind, self.channel, resume);
        let theirs = visit.agent_secret.exchange_key();
        let keys = Keys { ours: secret, theirs: &theirs, resume: with.map(|handed| &handed.secret) };
        let (initiator, first) = Initiator::start(&binding, keys, seed(), &pack::to_bytes(request)).unwrap();
        let open = Open {
            visit: visit.clone(),
            channel: self.channel,
            kind,
            resume,
            first: ByteBuf::from(first),
            already_read: ByteBuf::new(),
            limits: self.limits,
            watcher: None,
        };
        (initiator, open)
    }

    pub(crate) async fn pass(&mut self, open: Open, stream: &UnixStream) -> Result<(), Refusal> {
        timeout(DEADLINE, self.guardian.open(Box::new(open), stream.as_fd())).await.unwrap().unwrap()
    }

    /// Reads events until one `matches`; acknowledges all of them.
    pub(crate) async fn event(&mut self, matches: impl Fn(&What) -> bool) -> Event {
        loop {
            let event = timeout(DEADLINE, self.guardian.next_event()).await.unwrap().unwrap();
            self.guardian.events_written(event.seq).await.unwrap();
            if matches(&event.what) {
                return event;
            }
        }
    }

    pub(crate) async fn ended(&mut self) -> (FinReason, Option<ExitStatus>, u64) {
        let event = self.event(|what| matches!(what, What::Ended { .. })).await;
        let What::Ended { reason, status, survivors, .. } = event.what else { panic!("{event:?}") };
        (reason, status, survivors)
    }

    /// Writes every event that is left, until the holder has gone.
    pub(crate) async fn gone(&mut self) {
        let last_words = async {
            while let Ok(event) = self.guardian.next_event().await {
                // It may go before it has read this.
                self.guardian.events_written(event.seq).await.ok();
            }
        };
        timeout(DEADLINE, last_words).await.expect("the holder does not go");
        until("the holder is gone", || !alive(self.holder_pid)).await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The holder ends what it started; a test that wants to see that waits for it itself.
        let pid = rustix::process::Pid::from_raw(self.holder_pid.cast_signed()).unwrap();
        if alive(self.holder_pid) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
    }
}

/// Whether a process is there and not a zombie.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X'])))
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// An engineer's client.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: Decoder,
    pub(crate) sealed: Sealed,
    pub(crate) handed: Handed,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) typed: u64,
    pub(crate) input_acked: u64,
    pub(crate) skipped: Vec<(u64, u64)>,
    /// Acknowledge output as it comes.
    pub(crate) acknowledges: bool,
}

/// What a client got that is not output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Welcome(Welcome),
    Output,
    InputAck(u64),
    Skipped(u64, u64),
    Exit(ExitStatus),
    Notice(u64),
    Pong(u64),
    Fin(FinReason),
    Size(u16, u16),
    Watchers(Vec<String>),
}

impl Client {
    pub(crate) async fn finish(initiator: Initiator, stream: UnixStream) -> Self {
        let mut stream = stream;
        let mut decoder = Decoder::new();
        let frame = loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                break frame;
            }
            let mut buffer = [0; 4096];
            let count = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(count, 0, "cut before the handshake was answered");
            decoder.push(&buffer[..count]);
        };
        assert_eq!(frame.kind, Kind::ChannelReply);
        let reply: ChannelReply = pack::from_bytes(&frame.body, 4096).unwrap();
        let (sealed, payload) = initiator.finish(&reply.second).unwrap();
        Self {
            stream,
            decoder,
            sealed,
            handed: pack::from_bytes(&payload, 4096).unwrap(),
            out: Vec::new(),
            err: Vec::new(),
            typed: 0,
            input_acked: 0,
            skipped: Vec::new(),
            acknowledges: true,
        }
    }

    pub(crate) fn seal(&mut self, message: &ToHolder<'_>) -> Vec<u8> {
        let mut plain = Vec::new();
        message.encode(&mut plain);
        let mut bytes = frame::header(Kind::Record, plain.len() + TAG_BYTES).to_vec();
        self.sealed.seal(&plain, &mut bytes).unwrap();
        bytes
    }

    pub(crate) async fn say(&mut self, message: &ToHolder<'_>) {
        let bytes = self.seal(message);
        self.stream.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn begin(&mut self, from: [u64; 2]) {
        let [out_from, err_from] = from;
        self.say(&ToHolder::Begin(Begin { out_from, err_from, cols: 80, rows: 24 })).await;
    }

    pub(crate) async fn type_in(&mut self, text: &str) {
        let (offset, data) = (self.typed, text.as_bytes());
        self.typed += data.len() as u64;
        self.say(&ToHolder::Input { offset, data }).await;
    }

    /// Waits until the shell reads, and makes it say nothing by itself from here on.
    pub(crate) async fn quiet(&mut self) {
        self.type_in("PS1=; stty -echo; echo qu''iet\n").await;
        self.see("quiet\r\n").await;
    }

    /// The next message; output is collected, checked for gaps, and acknowledged.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        let frame = loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                break frame;
            }
            let mut buffer = vec![0; 64 << 10];
            match timeout(DEADLINE, self.stream.read(&mut buffer)).await.expect("the holder says nothing") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        };
        let mut plain = Vec::new();
        self.sealed.open(&frame.body, &mut plain).unwrap();
        Some(match ToClient::decode(&plain).unwrap() {
            ToClient::Welcome(welcome) => {
                self.typed = self.typed.max(welcome.input_applied);
                Got::Welcome(welcome)
            }
            ToClient::Output { stream, offset, data } => {
                self.collect(stream, offset, data);
                if self.acknowledges {
                    let ack = ToHolder::Ack { out: self.out.len() as u64, err: self.err.len() as u64 };
                    let bytes = self.seal(&ack);
                    // The holder may be gone already: what it said last is read all the same.
                    self.stream.write_all(&bytes).await.ok();
                }
                Got::Output
            }
            ToClient::InputAck { offset } => {
                self.input_acked = offset;
                Got::InputAck(offset)
            }
            ToClient::Skipped { stream, from, to } => {
                assert_eq!((stream, from), (Stream::Out, self.out.len() as u64));
                self.out.resize(usize::try_from(to).unwrap(), b'?');
                self.skipped.push((from, to));
                Got::Skipped(from, to)
            }
            ToClient::Exit(status) => Got::Exit(status),
            ToClient::Notice(notice) => Got::Notice(notice.ends_in_secs),
            ToClient::Pong(number) => Got::Pong(number),
            ToClient::Fin(reason) => Got::Fin(reason),
            ToClient::Size { cols, rows } => Got::Size(cols, rows),
            ToClient::Watchers(watchers) => Got::Watchers(watchers.people),
            ToClient::Unknown { tag, .. } => panic!("type {tag}"),
        })
    }

    fn collect(&mut self, stream: Stream, offset: u64, data: &[u8]) {
        let log = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        assert_eq!(offset, log.len() as u64, "every byte once");
        log.extend_from_slice(data);
    }

    /// The network goes away under the client; what it knows stays.
    pub(crate) fn lose_stream(mut self) -> Self {
        self.stream = UnixStream::pair().unwrap().0;
        self
    }

    /// Reads until output contains `text`.
    pub(crate) async fn see(&mut self, text: &str) {
        // Only the tail is searched: some outputs are large.
        let sees = |out: &[u8]| {
            let tail = &out[out.len().saturating_sub(40_000)..];
            tail.windows(text.len()).any(|window| window == text.as_bytes())
        };
        while !sees(&self.out) {
            assert!(self.next().await.is_some(), "cut before {text:?} came; got {:?}", self.text());
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Reads until `wanted`.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Got) -> bool) -> Got {
        loop {
            let got = self.next().await.unwrap_or_else(|| panic!("cut; output so far {:?}", self.text()));
            if wanted(&got) {
                return got;
            }
        }
    }

    /// Reads to the end; returns status and reason, and says goodbye.
    pub(crate) async fn end(&mut self) -> (Option<ExitStatus>, FinReason) {
        let mut status = None;
        loop {
            let got = self.until(|got| matches!(got, Got::Exit(_) | Got::Fin(_))).await;
            if let Got::Fin(reason) = got {
                let bytes = self.seal(&ToHolder::Bye);
                // After an ordered end the holder does not wait for this.
                self.stream.write_all(&bytes).await.ok();
                return (status, reason);
            }
            let Got::Exit(exit) = got else { panic!("{got:?}") };
            status = Some(exit);
        }
    }
}
