//! Guard when its state cannot be trusted: it answers everybody with that, and trusts nobody.
//!
//! Living holders go on until their grants end; nothing can be opened, attached or changed.

use super::admission::GREETING;
use super::sockets::{self, Sockets, TunnelUser};
use super::stream::FrameStream;
use cloud_doctor_proto::refusal::{Refusal, Refused, one_line};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections answered at once.
const CONNECTIONS_MAX: usize = 16;
/// A sign of life for systemd's watchdog, which waits for 30 s.
const ALIVE: Duration = Duration::from_secs(10);

/// Answers until the process is told to stop.
pub(super) async fn serve(sockets: Sockets, tunnel: TunnelUser, reason: &str) {
    // No command of root works on damaged state: they read it themselves and say what is wrong.
    drop(sockets.admin);
    let refused = Refusal::TrustBroken.with(one_line(reason, 200));
    let mut answering = JoinSet::new();
    let large = Arc::new(Semaphore::new(1));
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        tokio::select! {
            biased;
            Some(done) = answering.join_next() => crate::tasks::resume(done),
            _ = alive.tick() => super::server::notify(&[NotifyState::Watchdog]),
            accepted = sockets.guard.accept(), if answering.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) if sockets::is_tunnel(&stream, tunnel) => {
                    answering.spawn_local(answer(FrameStream::new(stream, large.clone()), refused.clone()));
                }
                Ok(_) => {}
                Err(error) => super::server::accept_failed(&error).await,
            },
        }
    }
}

async fn answer(mut stream: FrameStream, refused: Refused) {
    // Whoever says nothing, or does not read, is let go.
    if stream.next(GREETING).await.is_ok() && stream.refuse(&refused).await.is_ok() {
        stream.close().await;
    }
}
