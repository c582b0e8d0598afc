//! One client in the sealed channel: its stream, its handshake's keys, and what is on its way to it.
//!
//! Bytes come in as frames, records are opened in order, messages go out sealed. A view has a bounded buffer; whoever
//! fills it asks [`View::has_room`] first. It must never say anything unsealed, and never be waited for.

use super::bytelog::{ByteLog, ReadAt};
use super::door::Open;
use super::visits::Admitted;
use crate::flow::{Inlet, Outlet};
use cloud_doctor_proto::channel::{Sealed, TAG_BYTES};
use cloud_doctor_proto::frame::{self, Decoder, Kind};
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::limits::{OUTPUT_WINDOW_BYTES, RECORD_DATA_BYTES_MAX};
use cloud_doctor_proto::session::{Stream, ToClient};
use cloud_doctor_proto::time::BootTime;
use std::io;
use std::task::{Context, Poll, ready};

/// Bulk output waits in the log, not here, when this much is on its way.
const OUTGOING_BULK: usize = 64 << 10;
/// Nothing more is read from a client that lets this much wait: it only asks and never listens.
const OUTGOING_MAX: usize = 256 << 10;

/// A client whose handshake was answered.
#[derive(Debug)]
pub(crate) struct View {
    inlet: Inlet,
    outlet: Outlet,
    decoder: Decoder,
    sealed: Sealed,
    outgoing: Vec<u8>,
    sent: usize,
    plain: Vec<u8>,
    /// Under which visit it came.
    pub(crate) visit: VisitId,
    /// The resume secret that its answer carried; older ones die with its first record.
    pub(crate) handed: u64,
    /// When its handshake was answered.
    pub(crate) since: BootTime,
    /// Next output byte for it, per stream.
    pub(crate) next: [u64; 2],
    /// Output that it has acknowledged, per stream.
    pub(crate) acked: [u64; 2],
    /// Input offset that was acknowledged to it.
    pub(crate) input_acked: u64,
    /// `Exit` and `Fin` are on their way: nothing else follows.
    pub(crate) farewell: bool,
    /// When its grant ends.
    pub(crate) ends_at: BootTime,
}

/// Why a view is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewEnd {
    /// The stream ended or failed.
    #[error("the stream is gone")]
    Gone,
    /// A record was changed, or is out of turn.
    #[error("a record failed its integrity check")]
    Integrity,
    /// It broke the rules; which one.
    #[error("{0}")]
    Misbehaved(String),
}

impl From<io::Error> for ViewEnd {
    fn from(_: io::Error) -> Self {
        ViewEnd::Gone
    }
}

impl View {
    /// A view of a client that was admitted on this stream since `since`, and is answered with what `open` brought it.
    pub(crate) fn new((inlet, outlet): (Inlet, Outlet), admitted: Admitted, open: &Open, since: BootTime) -> Self {
        let Admitted { request: _, reply, sealed, handed } = admitted;
        let (visit, ends_at) = (open.visit.visit, open.visit.ends_at);
        // Bytes of the client that guard has read from its stream.
        let mut decoder = Decoder::new();
        decoder.push(&open.already_read);
        Self {
            inlet,
            outlet,
            decoder,
            sealed,
            outgoing: reply,
            sent: 0,
            plain: Vec::new(),
            visit,
            handed,
            since,
            next: [0; 2],
            acked: [0; 2],
            input_acked: 0,
            farewell: false,
            ends_at,
        }
    }

    /// Opens the client's next record into `record`. `buffer` is scratch for one read.
    pub(crate) fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        record: &mut Vec<u8>,
        buffer: &mut [u8],
    ) -> Poll<Result<(), ViewEnd>> {
        loop {
            let frame = self.decoder.next_frame().map_err(|error| ViewEnd::Misbehaved(error.to_string()))?;
            if let Some(frame) = frame {
                if frame.kind != Kind::Record {
                    return Poll::Ready(Err(ViewEnd::Misbehaved(format!("{:?} inside a channel", frame.kind))));
                }
                record.clear();
                return Poll::Ready(self.sealed.open(&frame.body, record).map_err(|_| ViewEnd::Integrity));
            }
            if self.waiting() > OUTGOING_MAX {
                return Poll::Pending;
            }
            match ready!(self.inlet.poll_read(cx, buffer))? {
                0 => return Poll::Ready(Err(ViewEnd::Gone)),
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    /// Seals a message for the client.
    pub(crate) fn say(&mut self, message: &ToClient<'_>) {
        self.plain.clear();
        message.encode(&mut self.plain);
        let header = frame::header(Kind::Record, self.plain.len() + TAG_BYTES);
        self.outgoing.extend_from_slice(&header);
        self.sealed
            .seal(&self.plain, &mut self.outgoing)
            .expect("messages are far below a record's limit, and 2^64 records are never reached");
    }

    /// Sends what waits. Ready with `Ok` when nothing waits any more.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ViewEnd>> {
        while self.waiting() > 0 {
            let count = ready!(self.outlet.poll_write(cx, &self.outgoing[self.sent..]))?;
            self.has_sent(count);
        }
        Poll::Ready(Ok(()))
    }

    fn has_sent(&mut self, count: usize) {
        self.sent += count;
        if self.waiting() == 0 {
            self.outgoing.clear();
            // Not below what bulk fills every time: musl would take it from the kernel and give it back for each.
            self.outgoing.shrink_to(2 * OUTGOING_BULK);
            self.sent = 0;
        } else if self.sent > OUTGOING_BULK {
            // A client that never quite catches up must not let the sent part grow.
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Sends what the stream takes and forgets the rest: for a view that is being replaced.
    pub(crate) fn say_and_leave(mut self, message: &ToClient<'_>) {
        self.say(message);
        // It is being dropped: a client that does not listen any more loses nothing.
        self.outlet.try_write(&self.outgoing[self.sent..]).ok();
    }

    /// Bytes on their way to the client.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Whether bulk output may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() < OUTGOING_BULK
    }

    /// Seals output that the client lacks, as far as its window and its stream allow. True when something was added.
    pub(crate) fn pump(&mut self, stream: Stream, log: &ByteLog) -> bool {
        let slot = slot(stream);
        let mut added = false;
        while self.has_room() && self.next[slot] < log.end() {
            let offset = self.next[slot];
            let window = self.acked[slot].saturating_add(OUTPUT_WINDOW_BYTES).saturating_sub(offset);
            let max = usize::try_from(window).unwrap_or(usize::MAX).min(RECORD_DATA_BYTES_MAX);
            match log.read_from(offset, max) {
                ReadAt::Bytes([]) => break,
                ReadAt::Bytes(data) => {
                    self.next[slot] += data.len() as u64;
                    self.say(&ToClient::Output { stream, offset, data });
                }
                ReadAt::Skipped { from, to } => {
                    self.next[slot] = to;
                    // Nobody can acknowledge what is gone.
                    self.acked[slot] = to;
                    self.say(&ToClient::Skipped { stream, from, to });
                }
            }
            added = true;
        }
        added
    }
}

/// Where a stream stands in pairs of offsets.
pub(crate) fn slot(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}
