//! `lockdown`: everybody out and nobody in, within a second, whatever else is broken; `--undo` takes it back.
//!
//! With a guard it asks the guard. Without one it writes the file that the next guard obeys and ends the holders itself.

use super::{Exit, say};
use crate::guard;
use crate::guard::admin::{self, Answer, Ask};
use crate::messages::Message;
use crate::session::door;
use crate::state::Places;
use crate::state::files;
use cloud_doctor_proto::session::FinReason;
use std::io;

/// `lockdown`.
pub(super) fn run(places: &Places, undo: bool) -> Exit {
    let ask = if undo { Ask::Unlock } else { Ask::Lockdown };
    match admin::ask(&places.admin_socket(), &ask) {
        Ok(Answer::Done(_)) if undo => {
            say::tell(Message::LockdownUndone, &[]);
            Exit::Done
        }
        Ok(Answer::Done(channels)) => {
            say::tell(Message::LockdownDone, &[&channels.to_string()]);
            Exit::Done
        }
        Ok(other @ (Answer::Status(_) | Answer::Refused(_) | Answer::Failed(_))) => say::answer(&other),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => say::guard_away(places, &error),
        Err(_no_guard) if undo => undo_alone(places),
        Err(_no_guard) => alone(places),
    }
}

fn alone(places: &Places) -> Exit {
    if let Err(error) = guard::lock_down_lasting(places) {
        return say::file_problem(&error);
    }
    let entries = std::fs::read_dir(door::folder(&places.run)).into_iter().flatten().flatten();
    let sockets: Vec<_> =
        entries.map(|e| e.path()).filter(|path| path.extension().is_some_and(|e| e == "sock")).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::problem(Message::Failed, &[&error.to_string()]);
            return Exit::Failed;
        }
    };
    runtime.block_on(async {
        let mut ending = tokio::task::JoinSet::new();
        for socket in sockets.clone() {
            ending.spawn(async move { guard::end_holder(&socket, FinReason::Ended).await });
        }
        while let Some(done) = ending.join_next().await {
            crate::tasks::resume(done);
        }
    });
    say::tell(Message::LockdownDone, &[&sockets.len().to_string()]);
    Exit::Done
}

fn undo_alone(places: &Places) -> Exit {
    let path = places.lockdown();
    match files::remove(&path).and_then(|()| files::sync_parent(&path)) {
        Ok(()) => {
            say::tell(Message::LockdownUndone, &[]);
            Exit::Done
        }
        Err(error) => say::file_problem(&error),
    }
}
