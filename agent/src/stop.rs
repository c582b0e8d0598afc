//! What ends a process of ours: signals, whichever comes first.

use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that are waited for.
#[derive(Debug)]
pub(crate) struct Stop(Vec<Signal>);

impl Stop {
    /// Listens from now on; none of these ends the process any more.
    ///
    /// # Errors
    /// The kernel's, when there is no room for a handler.
    pub(crate) fn on(kinds: &[SignalKind]) -> io::Result<Self> {
        kinds.iter().map(|kind| signal(*kind)).collect::<io::Result<_>>().map(Self)
    }

    /// Ctrl-C, and what systemd or a supervisor sends.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub(crate) fn usual() -> io::Result<Self> {
        Self::on(&[SignalKind::terminate(), SignalKind::interrupt()])
    }

    /// Waits for one. Safe to cancel.
    pub(crate) async fn asked(&mut self) {
        std::future::poll_fn(|cx| match self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}
