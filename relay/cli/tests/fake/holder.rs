//! A holder whose "programs" are a few lines: `lines N` prints N numbered lines, `cat` gives its input back, `both`
//! writes to both streams, `fail` returns 7. Output and input have absolute offsets, as in the real one.

use super::Pipe;
use cloud_doctor_proto::channel::{Binding, Keys, ResumeBook, Sealed, Secret};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::ExchangeKey;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::session::{ExitStatus, FinReason, Notice, OpenRequest, Stream, ToClient, ToHolder, Welcome};
use cloud_doctor_proto::visit::ChannelReply;
use serde_bytes::ByteBuf;
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
pub(crate) struct Holder {
    book: ResumeBook,
    begun: Option<Vec<String>>,
    out: Vec<u8>,
    err: Vec<u8>,
    /// Everything that was typed, once.
    pub(crate) input: Vec<u8>,
    ended: bool,
    exit: Option<ExitStatus>,
    pub(crate) handshakes: usize,
}

impl Holder {
    fn begin(&mut self, argv: Vec<String>) {
        match argv[0].as_str() {
            "lines" => {
                let count: usize = argv[1].parse().unwrap();
                self.out = (0..count).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
                self.exit = Some(ExitStatus::Code(0));
            }
            "both" => {
                self.out = b"to out\n".to_vec();
                self.err = b"to err\n".to_vec();
                self.exit = Some(ExitStatus::Code(0));
            }
            "fail" => self.exit = Some(ExitStatus::Code(7)),
            _ => {}
        }
        self.begun = Some(argv);
    }

    fn take(&mut self, message: &ToHolder<'_>) {
        match message {
            ToHolder::Input { offset, data } => {
                let known = usize::try_from(self.input.len() as u64 - offset).expect("no gap");
                if let Some(fresh) = data.get(known..) {
                    self.input.extend_from_slice(fresh);
                    self.out.extend_from_slice(fresh);
                }
            }
            ToHolder::Eof { offset } => {
                assert_eq!(*offset, self.input.len() as u64, "the end comes after the last byte");
                self.ended = true;
                self.exit = Some(ExitStatus::Code(0));
            }
            ToHolder::Close => self.exit = Some(ExitStatus::Signal(1)),
            _ => {}
        }
    }
}

/// What goes wrong on purpose in one conversation.
pub(crate) struct Faults {
    /// Cut after this many records.
    pub(crate) cut_after: Option<usize>,
    /// Change one bit of this record.
    pub(crate) flip: Option<usize>,
    /// Every length of time.
    pub(crate) secs: Option<u64>,
}

struct View<'a> {
    pipe: &'a mut Pipe,
    sealed: Sealed,
    sent: usize,
    faults: Faults,
}

impl View<'_> {
    async fn say(&mut self, message: &ToClient<'_>) -> Option<()> {
        if self.faults.cut_after == Some(self.sent) {
            return None;
        }
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        message.encode(&mut plain);
        self.sealed.seal(&plain, &mut sealed).unwrap();
        if self.faults.flip == Some(self.sent) {
            sealed[0] ^= 1;
        }
        self.sent += 1;
        self.pipe.send(frame::encode(Kind::Record, &sealed)).await
    }

    async fn hear(&mut self) -> Option<Vec<u8>> {
        let frame = self.pipe.next().await?;
        assert_eq!(frame.kind, Kind::Record);
        let mut plain = Vec::new();
        self.sealed.open(&frame.body, &mut plain).unwrap();
        Some(plain)
    }
}

/// Attends to one client until it leaves, the stream is to be cut, or the program is over.
pub(crate) async fn attend(
    holder: Arc<Mutex<Holder>>,
    pipe: &mut Pipe,
    binding: &Binding,
    (ours, theirs): (&Secret, &ExchangeKey),
    first: &[u8],
    faults: Faults,
) -> Option<()> {
    let (handed, request, reply, sealed) = {
        let mut holder = holder.lock().unwrap();
        holder.handshakes += 1;
        let resume = match holder.book.lookup(binding.resume) {
            cloud_doctor_proto::channel::Known::First => None,
            cloud_doctor_proto::channel::Known::Live(secret) => Some(secret),
            other => panic!("the client used a secret that is {other:?}"),
        };
        let keys = Keys { ours, theirs, resume: resume.as_ref() };
        let responder =
            cloud_doctor_proto::channel::Responder::read(binding, keys, cloud_doctor::clock::random(), first).unwrap();
        let request: OpenRequest = pack::from_bytes(&responder.payload, 1 << 16).unwrap();
        let handed = holder.book.hand_out(binding.resume, cloud_doctor::clock::random());
        let (second, sealed) = responder.reply(&pack::to_bytes(&handed)).unwrap();
        let reply = frame::message(Kind::ChannelReply, &ChannelReply { second: ByteBuf::from(second) });
        (handed, request, reply, sealed)
    };
    pipe.send(reply).await?;
    let mut view = View { pipe, sealed, sent: 0, faults };
    let begin = view.hear().await?;
    let Ok(ToHolder::Begin(begin)) = ToHolder::decode(&begin) else { panic!("the first record is Begin") };
    let welcome = {
        let mut holder = holder.lock().unwrap();
        holder.book.confirm(handed.index);
        if holder.begun.is_none() {
            assert!(!request.attach);
            let argv = request.argv.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
            holder.begin(argv);
        }
        Welcome {
            pid: 1,
            input_applied: holder.input.len() as u64,
            out_end: holder.out.len() as u64,
            err_end: holder.err.len() as u64,
            ends_in_secs: view.faults.secs.unwrap_or(600),
            notice: None,
        }
    };
    view.say(&ToClient::Welcome(welcome)).await?;
    if let Some(ends_in_secs) = view.faults.secs {
        view.say(&ToClient::Notice(Notice { ends_in_secs })).await?;
    }
    converse(&holder, &mut view, begin.out_from, begin.err_from).await
}

async fn converse(holder: &Mutex<Holder>, view: &mut View<'_>, out_from: u64, err_from: u64) -> Option<()> {
    let mut next = [usize::try_from(out_from).unwrap(), usize::try_from(err_from).unwrap()];
    loop {
        let (out, err, exit, applied) = {
            let holder = holder.lock().unwrap();
            (holder.out.clone(), holder.err.clone(), holder.exit.clone(), holder.input.len() as u64)
        };
        for (slot, (stream, bytes)) in [(Stream::Out, out), (Stream::Err, err)].into_iter().enumerate() {
            while next[slot] < bytes.len() {
                let data = &bytes[next[slot]..bytes.len().min(next[slot] + 500)];
                view.say(&ToClient::Output { stream, offset: next[slot] as u64, data }).await?;
                next[slot] += data.len();
            }
        }
        if let Some(status) = exit {
            view.say(&ToClient::Exit(status)).await?;
            view.say(&ToClient::Fin(FinReason::Exited)).await?;
            // Waits for the farewell, so that the client hears everything.
            while view.hear().await.is_some() {}
            return Some(());
        }
        view.say(&ToClient::InputAck { offset: applied }).await?;
        let record = view.hear().await?;
        let message = ToHolder::decode(&record).unwrap();
        if let ToHolder::Ping(number) = message {
            view.say(&ToClient::Pong(number)).await?;
        }
        holder.lock().unwrap().take(&message);
    }
}
