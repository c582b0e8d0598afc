//! Signals that a person or a supervisor sends this program, for whoever waits for the first one.

use cloud_doctor_proto::session::Signal;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// Listens from its making on; none of these ends the program any more.
pub(super) struct Signals {
    int: Listener,
    term: Listener,
    hup: Listener,
    quit: Listener,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one. Safe to cancel.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.int.recv() => Signal::Int,
            _ = self.term.recv() => Signal::Term,
            _ = self.hup.recv() => Signal::Hup,
            _ = self.quit.recv() => Signal::Quit,
        }
    }
}
