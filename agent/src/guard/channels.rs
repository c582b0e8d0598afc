//! Channels that live, as guard knows them, and how their holders are reached. Pure but for the queues.

use crate::session::door::{self, Refusal as DoorRefusal};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::ids::{ChannelId, KeyId, VisitId};
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::visit::ChannelInfo;
use std::collections::BTreeMap;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

/// Clients that may wait for one holder; more are refused as busy.
pub(super) const QUEUE: usize = 4;

/// A client to be passed to a holder.
#[derive(Debug)]
pub(super) struct Pass {
    /// What guard checked.
    pub(super) open: Box<door::Open>,
    /// The client's stream.
    pub(super) client: UnixStream,
    /// What came of it; the stream comes back when it was refused.
    pub(super) done: oneshot::Sender<Passed>,
}

/// What came of passing a client on.
#[derive(Debug)]
pub(super) enum Passed {
    /// The holder has the stream.
    Done,
    /// It would not have it.
    Refused(DoorRefusal, UnixStream),
    /// It is gone, or did not answer.
    Gone(UnixStream),
}

/// A living channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// What runs in it.
    pub(super) kind: ChannelKind,
    /// As whom.
    pub(super) user: String,
    /// Whose it is.
    pub(super) engineer: KeyId,
    /// The visit under which it was opened or attached last.
    pub(super) visit: VisitId,
    /// When it began.
    pub(super) began_at: UnixTime,
    /// A view is attached, as far as guard has heard.
    pub(super) attached: bool,
    /// Its program is gone; the tail waits for a view.
    pub(super) over: bool,
    /// Where clients are handed to its link.
    pub(super) pass: mpsc::Sender<Pass>,
    /// Where its link is told to end it.
    pub(super) end: watch::Sender<Option<FinReason>>,
    /// Visits that may watch it, and whether a view of theirs is attached.
    pub(super) watchers: BTreeMap<VisitId, bool>,
    /// Where its link is told which of them are over.
    unwatched: watch::Sender<Unwatched>,
}

/// Visits whose watchers must go, and why. Only grows: a holder that was told twice does nothing twice.
pub(super) type Unwatched = BTreeMap<VisitId, FinReason>;

/// The link's ends of a channel's queues.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) pass: mpsc::Receiver<Pass>,
    pub(super) end: watch::Receiver<Option<FinReason>>,
    pub(super) unwatched: watch::Receiver<Unwatched>,
}

impl Channel {
    /// A channel that is about to begin, and what its link listens to.
    pub(super) fn new(
        kind: ChannelKind,
        user: &str,
        engineer: KeyId,
        visit: VisitId,
        began_at: UnixTime,
    ) -> (Self, Ends) {
        let (pass, passes) = mpsc::channel(QUEUE);
        let (end, ends) = watch::channel(None);
        let (unwatched, gone) = watch::channel(Unwatched::new());
        let channel = Self {
            kind,
            user: user.to_owned(),
            engineer,
            visit,
            began_at,
            attached: false,
            over: false,
            pass,
            end,
            watchers: BTreeMap::new(),
            unwatched,
        };
        (channel, Ends { pass: passes, end: ends, unwatched: gone })
    }

    /// A shell that may be looked at.
    pub(super) fn is_living_shell(&self) -> bool {
        self.kind == ChannelKind::Shell && !self.over
    }

    /// A watcher's visit is over.
    pub(super) fn unwatch(&mut self, visit: VisitId, reason: FinReason) {
        if self.watchers.remove(&visit).is_some() {
            self.unwatched.send_modify(|unwatched| {
                unwatched.insert(visit, reason);
            });
        }
    }

    /// As an engineer sees it.
    pub(super) fn info(&self, id: ChannelId, now: UnixTime) -> ChannelInfo {
        ChannelInfo {
            channel: id,
            kind: self.kind,
            user: self.user.clone(),
            age_secs: now.distance_secs(self.began_at),
            attached: self.attached,
        }
    }

    /// Tells its link to end it. The first reason counts.
    pub(super) fn end(&self, reason: FinReason) {
        self.end.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert(reason);
            first
        });
    }
}
