//! Guard's end of one living holder: passes clients, tells it to end, and writes its events to the audit.
//!
//! A hang-up is tried once more and then taken for death. It must never keep a dead channel in the books.

use super::channels::{Ends, Pass, Passed};
use super::server::Guard;
use crate::session::door::{self, DoorError};
use crate::session::wire::Guardian;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::session::FinReason;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// A holder answers at once, or something is wrong with it.
const ANSWER: Duration = Duration::from_secs(10);
/// A lockdown waits no longer for a holder before it is killed.
const END_ANSWER: Duration = Duration::from_millis(500);

/// Serves a holder until it is gone.
pub(super) async fn run(guard: Rc<Guard>, id: ChannelId, guardian: Guardian, mut ends: Ends) {
    let socket = door::socket_path(&guard.places.run, id);
    let mut guardian = Some(guardian);
    while let Some(mut living) = guardian.take() {
        let error = serve(&guard, id, &socket, &mut living, &mut ends).await;
        tracing::debug!(channel = %id, %error, "a holder's connection ended");
        drop(living);
        guardian = connect(&socket).await;
    }
    // Whoever still waits is told that the channel is gone.
    ends.pass.close();
    while let Some(pass) = ends.pass.recv().await {
        pass.done.send(Passed::Gone(pass.client)).ok();
    }
    guard.with(|core, moment| core.holder_died(moment, id));
    if let Err(error) = crate::state::files::remove(&socket) {
        tracing::warn!(%error, "a dead holder's socket stays");
    }
}

/// Connects to a holder that may be dead.
pub(super) async fn connect(socket: &Path) -> Option<Guardian> {
    timeout(ANSWER, Guardian::connect(socket)).await.ok()?.ok()
}

async fn serve(guard: &Guard, id: ChannelId, socket: &Path, guardian: &mut Guardian, ends: &mut Ends) -> DoorError {
    // A guard that was told to end it while it reconnected.
    if let Some(reason) = told(ends) {
        end(socket, reason).await;
    }
    // The same for watchers whose visits ended meanwhile.
    ends.unwatched.mark_changed();
    loop {
        let result = tokio::select! {
            biased;
            changed = ends.end.changed() => {
                if let (Ok(()), Some(reason)) = (changed, told(ends)) {
                    end(socket, reason).await;
                }
                Ok(())
            }
            Ok(()) = ends.unwatched.changed() => unwatch(guardian, ends).await,
            Some(pass) = ends.pass.recv() => pass_on(guardian, pass).await,
            event = guardian.next_event() => match event {
                Ok(event) => {
                    guard.with(|core, moment| core.holder_says(moment, id, &event));
                    guardian.events_written(event.seq).await
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = result {
            return error;
        }
    }
}

fn told(ends: &mut Ends) -> Option<FinReason> {
    *ends.end.borrow_and_update()
}

async fn unwatch(guardian: &mut Guardian, ends: &mut Ends) -> Result<(), DoorError> {
    let unwatched = ends.unwatched.borrow_and_update().clone();
    for (visit, reason) in unwatched {
        let told = timeout(ANSWER, guardian.unwatch(visit, reason)).await;
        told.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
    }
    Ok(())
}

/// Ends a holder through a connection of its own, so that nothing that waits on the other one is in the way. A holder
/// that does not answer is killed; whatever it leaves is killed by the supervisor or by systemd.
pub(crate) async fn end(socket: &Path, reason: FinReason) {
    let grace_secs = match reason {
        // Closed from here: whoever worked in it has left the whole visit.
        FinReason::Ended | FinReason::Closed => 0,
        FinReason::Revoked | FinReason::Compromised => 1,
        FinReason::Exited
        | FinReason::Expired
        | FinReason::Detached
        | FinReason::Idle
        | FinReason::TakenOver
        | FinReason::Unknown => 5,
    };
    let ask = async { Guardian::connect(socket).await?.end(reason, grace_secs).await };
    match timeout(END_ANSWER, ask).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a holder was gone before it was told to end"),
        Err(_elapsed) => kill(socket),
    }
}

fn kill(socket: &Path) {
    let Some(pid) = super::sockets::listener_pid(socket) else { return };
    tracing::warn!(pid = pid.as_raw_nonzero().get(), "a holder does not answer and is killed");
    if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        tracing::warn!(%error, "it could not be killed");
    }
}

async fn pass_on(guardian: &mut Guardian, pass: Pass) -> Result<(), DoorError> {
    let answer = timeout(ANSWER, guardian.open(pass.open, pass.client.as_fd())).await;
    let (passed, result) = match answer {
        Ok(Ok(Ok(()))) => (Passed::Done, Ok(())),
        Ok(Ok(Err(refusal))) => (Passed::Refused(refusal, pass.client), Ok(())),
        Ok(Err(error)) => (Passed::Gone(pass.client), Err(error)),
        Err(_elapsed) => (Passed::Gone(pass.client), Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
    };
    // The client's task may have been stopped with guard.
    pass.done.send(passed).ok();
    result
}
