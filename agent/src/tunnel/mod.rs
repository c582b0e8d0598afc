//! Role `tunnel`: the only part of the agent that speaks to the network, and the least trusted one.
//!
//! It dials the configured relays, proves its key, and copies the bytes of sealed streams between them and guard's
//! socket. It never parses a sealed byte, starts a process, listens on a port, or holds a secret besides its own
//! replaceable transport key.

mod backoff;
mod dial;
pub(crate) mod enrol;
pub(crate) mod facts;
mod guard;
pub(crate) mod guest;
pub(crate) mod key;
mod link;
mod liveness;
pub(crate) mod metrics;
mod quic;
mod sessions;
mod status;
mod streams;
#[cfg(test)]
mod tests;
mod wire;

use cloud_doctor_proto::pin::Pin;
use dial::{NotARelayAddr, RelayAddr, Route};
use key::{KeyError, TransportKey};
use link::Shared;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long streams may take to end when the tunnel is told to stop.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the tunnel needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where its key lives.
    pub(crate) state_dir: PathBuf,
    /// Guard's socket.
    pub(crate) guard_socket: PathBuf,
    /// Relays as configured, each with the keys that it may have.
    pub(crate) relays: Vec<(String, Vec<Pin>)>,
    /// A guest's tunnel is over when its relay lets go of it; nobody will take it back.
    pub(crate) guest: bool,
}

/// The tunnel cannot even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A relay's address is none.
    #[error(transparent)]
    Address(#[from] NotARelayAddr),
}

/// Keeps tunnels to all relays until `stop`.
///
/// # Errors
/// [`TunnelError`] when the configuration or the key is unusable; a relay that cannot be reached is no error.
pub(crate) async fn run(settings: Settings, stop: CancellationToken) -> Result<(), TunnelError> {
    let key = TransportKey::load_or_create(&settings.state_dir)?;
    let routes = settings
        .relays
        .iter()
        .map(|(url, pins)| Ok(Route::new(url.parse::<RelayAddr>()?, pins.clone())))
        .collect::<Result<Vec<_>, NotARelayAddr>>()?;
    let tasks = TaskTracker::new();
    let shared = Arc::new(Shared {
        key,
        guard: guard::Guard::new(settings.guard_socket),
        sessions: Arc::default(),
        board: status::Board::new(settings.relays.into_iter().map(|(url, _)| url)),
        tasks: tasks.clone(),
        guest: settings.guest,
        metrics: if settings.guest { None } else { metrics::Source::start(&settings.state_dir) },
    });
    for (index, route) in routes.into_iter().enumerate() {
        tasks.spawn(link::keep(shared.clone(), index, route, stop.clone()));
    }
    status::notify(&[NotifyState::Ready]);
    tokio::select! {
        () = stop.cancelled() => {}
        () = shared.board.tell(&shared.guard) => {}
        () = status::watchdog() => {}
        () = crate::image::keep_small() => {}
    }
    status::notify(&[NotifyState::Stopping]);
    tasks.close();
    if tokio::time::timeout(GOODBYE, tasks.wait()).await.is_err() {
        tracing::info!(tasks = tasks.len(), "some streams did not end in time");
    }
    Ok(())
}

/// Monotonic clock, for waits.
#[expect(clippy::disallowed_methods, reason = "the one place of the tunnel that reads this clock")]
fn instant() -> Instant {
    Instant::now()
}
