//! How the tunnels are doing: for systemd's status line, and for `status` on the host through guard.

use super::guard::Guard;
use cloud_doctor_proto::control::{RelayState, TunnelState};
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::sync::watch;
use tracing::debug;

/// Guard may have been restarted and know nothing: tell it again at least so often.
const REPEAT: Duration = Duration::from_secs(300);

/// One line per configured relay, in the configured order.
#[derive(Debug)]
pub(super) struct Board(watch::Sender<Vec<RelayState>>);

impl Board {
    /// Nothing connected yet.
    pub(super) fn new(urls: impl Iterator<Item = String>) -> Self {
        let line = |url| RelayState { url, connected: false, rtt_ms: None, error: None };
        Self(watch::Sender::new(urls.map(line).collect()))
    }

    /// A tunnel stands.
    pub(super) fn connected(&self, relay: usize, rtt: Duration) {
        let rtt_ms = u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX);
        self.set(relay, |line| (line.connected, line.rtt_ms, line.error) = (true, Some(rtt_ms), None));
    }

    /// A tunnel does not stand, and why.
    pub(super) fn lost(&self, relay: usize, error: String) {
        self.set(relay, |line| (line.connected, line.rtt_ms, line.error) = (false, None, Some(error)));
    }

    fn set(&self, relay: usize, change: impl FnOnce(&mut RelayState)) {
        self.0.send_if_modified(|lines| {
            let Some(line) = lines.get_mut(relay) else { return false };
            let before = line.clone();
            change(line);
            *line != before
        });
    }

    /// Tells systemd and guard about every change. Runs for ever.
    pub(super) async fn tell(&self, guard: &Guard) {
        let mut lines = self.0.subscribe();
        loop {
            let state = TunnelState { relays: lines.borrow_and_update().clone() };
            notify(&[NotifyState::Status(&sentence(&state.relays))]);
            if let Err(error) = guard.report(&state).await {
                debug!(%error, "could not tell guard about the tunnels");
            }
            // The sender lives as long as this board; only time or a change ends the wait.
            drop(tokio::time::timeout(REPEAT, lines.changed()).await);
        }
    }
}

/// Tells systemd, where there is one.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "could not notify the service manager");
    }
}

/// Keeps the watchdog quiet for as long as this task is scheduled. Runs for ever.
pub(super) async fn watchdog() {
    match sd_notify::watchdog_enabled() {
        None => std::future::pending().await,
        Some(limit) => loop {
            notify(&[NotifyState::Watchdog]);
            tokio::time::sleep(limit / 2).await;
        },
    }
}

/// `connected to relay.example:4433 (23 ms), 1 of 2 relays`.
fn sentence(relays: &[RelayState]) -> String {
    let connected: Vec<String> = relays
        .iter()
        .filter(|relay| relay.connected)
        .map(|relay| format!("{} ({} ms)", relay.url, relay.rtt_ms.unwrap_or(0)))
        .collect();
    if connected.is_empty() {
        let reason = relays.iter().find_map(|relay| relay.error.as_deref()).unwrap_or("dialling");
        return format!("not connected: {reason}");
    }
    format!("connected to {}, {} of {} relays", connected.join(" and "), connected.len(), relays.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_worth_reading() {
        let board = Board::new(["relay.example:4433".to_owned(), "two:4433".to_owned()].into_iter());
        let line = |board: &Board| sentence(&board.0.borrow());
        assert_eq!(line(&board), "not connected: dialling");
        board.lost(1, "no answer in 5 s".into());
        assert_eq!(line(&board), "not connected: no answer in 5 s");
        board.connected(0, Duration::from_millis(23));
        assert_eq!(line(&board), "connected to relay.example:4433 (23 ms), 1 of 2 relays");
    }
}
