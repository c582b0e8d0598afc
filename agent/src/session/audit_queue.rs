//! Events for the host's audit that guard has not written yet: numbered, bounded, the oldest dropped and counted.
//!
//! Pure. It must never wait for a guard: a shell goes on while guard is being replaced.

use super::door::{EVENTS_MAX, Event, What};
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::time::UnixTime;
use std::collections::VecDeque;

/// Unwritten events in order.
#[derive(Debug, Default)]
pub(crate) struct AuditQueue {
    events: VecDeque<Event>,
    last: u64,
    lost: u64,
}

impl AuditQueue {
    /// Adds an event; returns it with its number.
    pub(crate) fn push(&mut self, at: UnixTime, visit: Option<VisitId>, what: What) -> Event {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.lost += 1;
        }
        self.last += 1;
        let event = Event { seq: self.last, at, visit, lost: self.lost, what };
        self.events.push_back(event.clone());
        event
    }

    /// Events up to `seq` are on disk.
    pub(crate) fn written(&mut self, seq: u64) {
        self.events.retain(|event| event.seq > seq);
    }

    /// What no guard has written.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// Whether all events are on disk.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest_and_says_so() {
        let mut queue = AuditQueue::default();
        for _ in 0..EVENTS_MAX + 3 {
            queue.push(UnixTime(0), None, What::Attached);
        }
        let seqs: Vec<u64> = queue.unwritten().map(|event| event.seq).collect();
        assert_eq!((seqs[0], seqs.len()), (4, EVENTS_MAX));
        assert_eq!(queue.unwritten().last().map(|event| event.lost), Some(3));
        queue.written(65);
        assert_eq!(queue.unwritten().count(), 2);
        queue.written(u64::MAX);
        assert!(queue.is_empty());
    }
}
