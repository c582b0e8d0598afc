//! Who may attach: the visits that a holder knows, each with its book of resume secrets. Pure, with seeds as arguments.
//!
//! One visit holds the channel; another one replaces it with its first valid record. It must never answer a handshake
//! that does not authenticate, and never let a replay or a dead secret pass for a client.

use super::door::{Open, Refusal, Visit};
use cloud_doctor_proto::channel::{Handed, Keys, Known, Noted, Responder, ResumeBook, Sealed, Secret};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::session::OpenRequest;
use cloud_doctor_proto::visit::ChannelReply;
use serde_bytes::ByteBuf;
use std::collections::VecDeque;

/// Visits that may wait for their first record beside the one that holds the channel.
const VISITS_MAX: usize = 4;

/// Replaced visits that are remembered: each took a signature, and none outlives its grant.
const REPLACED_MAX: usize = 256;

/// The visits of one channel.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    known: Vec<(Visit, ResumeBook)>,
    holding: Option<VisitId>,
    /// Visits that another one has replaced: their books are gone, so a replay could not be told any more.
    replaced: VecDeque<VisitId>,
}

/// Randomness for one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    /// For the handshake's ephemeral key.
    pub(crate) ephemeral: [u8; 32],
    /// The next resume secret.
    pub(crate) resume: [u8; 32],
}

/// A client whose handshake is good.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// What it asked for.
    pub(crate) request: OpenRequest,
    /// The frame that answers it.
    pub(crate) reply: Vec<u8>,
    /// The channel from here on.
    pub(crate) sealed: Sealed,
    /// Number of the secret in the answer.
    pub(crate) handed: u64,
}

impl Visits {
    /// The visit that holds the channel.
    pub(crate) fn holding(&self) -> Option<&Visit> {
        let holding = self.holding?;
        self.known.iter().map(|(visit, _)| visit).find(|visit| visit.visit == holding)
    }

    /// Reads and answers a handshake whose request `fits`.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then, but that a good handshake is remembered as seen.
    pub(crate) fn admit(
        &mut self,
        open: &Open,
        seeds: Seeds,
        fits: impl FnOnce(&OpenRequest) -> bool,
    ) -> Result<Admitted, Refusal> {
        if self.replaced.contains(&open.visit.visit) {
            return Err(Refusal::UnknownSecret);
        }
        let index = self.index_of(&open.visit);
        let (visit, book) = &mut self.known[index];
        answer(visit, book, open, seeds, fits)
    }

    /// The first record under `handed` came: its visit holds the channel, and older secrets are dead.
    ///
    /// Returns false when another visit has taken the channel since that handshake.
    pub(crate) fn confirm(&mut self, visit: VisitId, handed: u64) -> bool {
        let Some((_, book)) = self.known.iter_mut().find(|(known, _)| known.visit == visit) else { return false };
        book.confirm(handed);
        let before = self.holding.replace(visit).filter(|before| *before != visit);
        self.known.retain(|(known, _)| known.visit == visit);
        self.replaced.extend(before);
        if self.replaced.len() > REPLACED_MAX {
            self.replaced.pop_front();
        }
        true
    }

    fn index_of(&mut self, visit: &Visit) -> usize {
        if let Some(index) = self.known.iter().position(|(known, _)| known.visit == visit.visit) {
            return index;
        }
        if self.known.len() > VISITS_MAX {
            let oldest = self.known.iter().position(|(known, _)| Some(known.visit) != self.holding);
            self.known.remove(oldest.expect("at most one visit holds the channel"));
        }
        self.known.push((visit.clone(), ResumeBook::default()));
        self.known.len() - 1
    }
}

/// Reads and answers a handshake under a visit with its book, when the request `fits`.
///
/// # Errors
/// [`Refusal`]; nothing has changed then, but that a good handshake is remembered as seen.
pub(super) fn answer(
    visit: &Visit,
    book: &mut ResumeBook,
    open: &Open,
    seeds: Seeds,
    fits: impl FnOnce(&OpenRequest) -> bool,
) -> Result<Admitted, Refusal> {
    let responder = authenticate(visit, book, open, seeds.ephemeral)?;
    let request: OpenRequest = pack::from_bytes(&responder.payload, GREETING_BYTES_MAX).map_err(|_| Refusal::Misfit)?;
    if !fits(&request) {
        return Err(Refusal::Misfit);
    }
    book.note_abandoned(&request.abandoned);
    let handed: Handed = book.hand_out(open.resume, seeds.resume);
    let (second, sealed) = responder.reply(&pack::to_bytes(&handed)).map_err(|_| Refusal::Broken)?;
    let reply = frame::message(Kind::ChannelReply, &ChannelReply { second: ByteBuf::from(second) });
    Ok(Admitted { request, reply, sealed, handed: handed.index })
}

fn authenticate(visit: &Visit, book: &mut ResumeBook, open: &Open, seed: [u8; 32]) -> Result<Responder, Refusal> {
    let read = |resume: Option<&Secret>| {
        let binding = visit.binding(open.kind, open.channel, open.resume);
        let keys = Keys { ours: &visit.agent_secret, theirs: &visit.client_key, resume };
        Responder::read(&binding, keys, seed, &open.first).map_err(|_| Refusal::Broken)
    };
    let (responder, verdict) = match book.lookup(open.resume) {
        Known::First => (read(None)?, Ok(())),
        Known::Live(secret) => (read(Some(&secret))?, Ok(())),
        Known::Dead(secret) => (read(Some(&secret))?, Err(Refusal::DeadSecret)),
        // The first handshake once more, after a secret was confirmed: a replay, or a client that lost its secret.
        Known::Unknown if open.resume == 0 => (read(None)?, Err(Refusal::UnknownSecret)),
        Known::Unknown => return Err(Refusal::UnknownSecret),
    };
    match book.note_handshake(&open.first) {
        Noted::New => verdict.map(|()| responder),
        Noted::Before => Err(Refusal::Replay),
        // A new visit has a book of its own: `sessions attach` with a new signature goes on.
        Noted::Full => Err(Refusal::UnknownSecret),
    }
}
