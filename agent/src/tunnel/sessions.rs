//! How many sealed streams are open now, and when the last one was: whether somebody may be waiting for a shell.

use cloud_doctor_proto::limits::DETACHED_SECS_DEFAULT;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A shell without a view lives for so long, and so does the hurry to come back.
const LATELY: Duration = Duration::from_secs(DETACHED_SECS_DEFAULT);

/// Sealed streams through all tunnels of this process.
#[derive(Debug)]
pub(super) struct Sessions {
    open: watch::Sender<usize>,
    last: Mutex<Option<Instant>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { open: watch::Sender::new(0), last: Mutex::new(None) }
    }
}

impl Sessions {
    /// Counts a stream until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.open.send_modify(|open| *open += 1);
        Open(self.clone())
    }

    /// Follows the count.
    pub(super) fn follow(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    /// Whether one is open, or was lately.
    pub(super) fn lately(&self, now: Instant) -> bool {
        // The lock is for one look.
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *self.open.borrow() > 0 || last.is_some_and(|last| now.saturating_duration_since(last) < LATELY)
    }
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Open(Arc<Sessions>);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(super::instant());
        self.0.open.send_modify(|open| *open -= 1);
    }
}
