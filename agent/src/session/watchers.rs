//! Who looks at a shell: their visits, each with its book of resume secrets, and their views. Pure but for the streams.
//!
//! One view for each visit, a bounded number of both. It must never hold a way to the program, and never make anybody
//! wait: a watcher that falls behind is told what it missed.

use super::bytelog::ByteLog;
use super::door::{Open, Refusal, Visit, Watcher, WatcherStatus, What};
use super::start::Size;
use super::view::View;
use super::visits::{self, Admitted, Seeds};
use cloud_doctor_proto::channel::ResumeBook;
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::limits::{OUTPUT_WINDOW_BYTES, WATCH_TAIL_BYTES, WATCHERS_MAX};
use cloud_doctor_proto::session::{OpenRequest, Stream, ToClient};
use cloud_doctor_proto::time::BootTime;

/// Watchers whose first record has not come.
const PENDING_MAX: usize = 4;

/// A watcher that lacks more than this is not waited for: twice what a writer may lack before its program waits.
const BEHIND_BYTES_MAX: u64 = 2 * OUTPUT_WINDOW_BYTES;

/// Which watcher: its visit, and the number of the secret that its handshake handed out.
pub(super) type Key = (VisitId, u64);

/// Somebody who looks.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) view: View,
    pub(super) who: Watcher,
    /// Its first record came.
    pub(super) begun: bool,
    /// That it went was told.
    pub(super) told: bool,
}

impl Watching {
    pub(super) fn key(&self) -> Key {
        (self.view.visit, self.view.handed)
    }

    /// What guard is told of its going: once, and nothing of one that never began.
    pub(super) fn goes(&mut self) -> Option<(VisitId, What)> {
        let untold = self.begun && !std::mem::replace(&mut self.told, true);
        untold.then(|| (self.view.visit, What::WatcherWent { person: self.who.person.clone() }))
    }

    /// Seals output for it. Who looks wants to see what happens now: one that is far behind goes on near the end.
    pub(super) fn show(&mut self, log: &ByteLog) -> bool {
        if !self.begun || self.view.farewell || !self.view.has_room() {
            return false;
        }
        if log.end() - self.view.next[0] > BEHIND_BYTES_MAX {
            self.skip_to(log.end() - WATCH_TAIL_BYTES);
        }
        self.view.pump(Stream::Out, log)
    }

    /// Leaves bytes out, and says so.
    pub(super) fn skip_to(&mut self, to: u64) {
        let from = self.view.next[0];
        if to > from {
            self.view.next[0] = to;
            // Nobody can acknowledge what was not sent.
            self.view.acked[0] = to;
            self.view.say(&ToClient::Skipped { stream: Stream::Out, from, to });
        }
    }
}

/// All who look at one shell.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    known: Vec<(Visit, ResumeBook)>,
    pub(super) all: Vec<Watching>,
    /// The names that the writer was told last.
    pub(super) named: Vec<String>,
}

impl Watchers {
    /// Reads and answers a watcher's handshake whose request `fits`.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then, but that a good handshake is remembered as seen.
    pub(super) fn admit(
        &mut self,
        open: &Open,
        seeds: Seeds,
        now: BootTime,
        fits: impl FnOnce(&OpenRequest) -> bool,
    ) -> Result<Admitted, Refusal> {
        let visit = open.visit.visit;
        if self.all.iter().filter(|watching| !watching.begun).count() >= PENDING_MAX {
            return Err(Refusal::Busy);
        }
        self.known.retain(|(known, _)| known.ends_at > now);
        let index = match self.known.iter().position(|(known, _)| known.visit == visit) {
            Some(index) => index,
            None => {
                self.make_room()?;
                self.known.push((open.visit.clone(), ResumeBook::default()));
                self.known.len() - 1
            }
        };
        let (visit, book) = &mut self.known[index];
        visits::answer(visit, book, open, seeds, fits)
    }

    /// A visit whose watcher has gone makes room for another one; it then needs a handshake from the beginning, which
    /// costs it nothing but that.
    fn make_room(&mut self) -> Result<(), Refusal> {
        if self.known.len() < WATCHERS_MAX {
            return Ok(());
        }
        let looks = |id: VisitId| self.all.iter().any(|watching| watching.view.visit == id);
        let gone = self.known.iter().position(|(known, _)| !looks(known.visit)).ok_or(Refusal::Watched)?;
        self.known.remove(gone);
        Ok(())
    }

    /// The first record under `handed` came: older secrets of that visit are dead. False when the visit is over.
    pub(super) fn confirm(&mut self, (visit, handed): Key) -> bool {
        let known = self.known.iter_mut().find(|(known, _)| known.visit == visit);
        known.map(|(_, book)| book.confirm(handed)).is_some()
    }

    /// A visit is over.
    pub(super) fn forget(&mut self, visit: VisitId) {
        self.known.retain(|(known, _)| known.visit != visit);
    }

    /// All keys, also of those who have not begun.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.all.iter().map(Watching::key).collect()
    }

    /// The watcher with this key.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Watching> {
        self.all.iter_mut().find(|watching| watching.key() == key)
    }

    /// Takes the first one that `gone` holds for.
    pub(super) fn take(&mut self, gone: impl Fn(&Watching) -> bool) -> Option<Watching> {
        let index = self.all.iter().position(gone)?;
        Some(self.all.remove(index))
    }

    /// Those who have not begun go.
    pub(super) fn drop_pending(&mut self) {
        self.all.retain(|watching| watching.begun);
    }

    /// The views of those who look.
    pub(super) fn views(&mut self) -> impl Iterator<Item = &mut View> {
        self.all.iter_mut().filter(|watching| watching.begun).map(|watching| &mut watching.view)
    }

    /// Somebody has not got the last words.
    pub(super) fn are_waiting(&self) -> bool {
        self.all.iter().any(|one| one.begun && (!one.view.farewell || one.view.waiting() > 0))
    }

    /// The terminal has another size.
    pub(super) fn resized(&mut self, size: Size) {
        for view in self.views().filter(|view| !view.farewell) {
            view.say(&ToClient::Size { cols: size.cols, rows: size.rows });
        }
    }

    /// Who looks now.
    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().filter(|watching| watching.begun).map(|watching| watching.who.person.clone()).collect()
    }

    /// For a guard that asks.
    pub(super) fn status(&self) -> Vec<WatcherStatus> {
        let attached = |id: VisitId| self.all.iter().any(|watching| watching.begun && watching.view.visit == id);
        let status = |(visit, _): &(Visit, _)| WatcherStatus { visit: visit.clone(), attached: attached(visit.visit) };
        self.known.iter().map(status).collect()
    }
}
