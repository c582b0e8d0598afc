//! `status`: how things are, from the guard that runs; from the files when none does.

use super::{Exit, say};
use crate::guard::admin::{self, Answer, Ask, Status};
use crate::messages::{Message, language};
use crate::state::config::Config;
use crate::state::trust::TrustStore;
use crate::state::{Places, identity};
use cloud_doctor_proto::refusal::one_line;
use std::io;

/// `status`.
pub(super) fn run(places: &Places, json: bool) -> Exit {
    match admin::ask(&places.admin_socket(), &Ask::Status) {
        Ok(Answer::Status(status)) if json => say::json(&*status),
        Ok(Answer::Status(status)) => {
            show(&status);
            Exit::Done
        }
        Ok(other @ (Answer::Done(_) | Answer::Refused(_) | Answer::Failed(_))) => say::answer(&other),
        Err(error) => without_guard(places, &error),
    }
}

/// No guard answers: says so, and what the files say.
fn without_guard(places: &Places, error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::PermissionDenied {
        say::problem(Message::NotPermitted, &[&format!("{}: {error}", places.admin_socket().display())]);
        return Exit::NoPermission;
    }
    let config = match Config::load(&places.config()) {
        Ok(config) => config,
        Err(error) => {
            say::problem(Message::NotEnrolled, &[&error.to_string()]);
            return Exit::Config;
        }
    };
    let problems = [
        identity::load(&places.guard).err().map(|e| e.to_string()),
        TrustStore::read(&places.guard, config.tenant()).err().map(|e| e.to_string()),
    ];
    let mut damaged = false;
    for problem in problems.into_iter().flatten() {
        damaged = true;
        say::problem(Message::TrustBroken, &[&problem]);
    }
    if places.is_locked_down() {
        say::tell(Message::LockedDown, &[]);
    }
    say::problem(Message::GuardAway, &[&format!("{}: {error}", places.admin_socket().display())]);
    if damaged { Exit::Config } else { Exit::Failed }
}

fn show(status: &Status) {
    if status.locked_down {
        say::tell(Message::LockedDown, &[]);
    }
    say::tell(Message::StatusAgent, &[&status.agent, &status.build]);
    say::tell(Message::StatusTenant, &[&status.tenant, &status.log_entry.to_string()]);
    for proof in &status.fork_proofs {
        say::tell(Message::StatusFork, &[proof]);
    }
    match (&status.ceiling, &status.ceiling_told) {
        (Some(preset), _) => say::tell(Message::StatusCeiling, &[preset]),
        (None, problem) => {
            let problem = problem.as_ref().map(|told| told.text(language())).unwrap_or_default();
            say::tell(Message::StatusNoCeiling, &[&problem]);
        }
    }
    show_relays(status);
    for visit in &status.visits {
        let left = (visit.ends_in_secs / 60).to_string();
        say::tell(Message::StatusVisit, &[&visit.engineer, &visit.scopes, &left, &visit.reason, &visit.visit[..12]]);
    }
    for channel in &status.channels {
        let state = match (channel.over, channel.attached) {
            (true, _) => Message::StateOver,
            (false, true) => Message::StateAttached,
            (false, false) => Message::StateDetached,
        };
        let age = (channel.age_secs / 60).to_string();
        let state = state.text(language(), &[]);
        say::tell(Message::StatusChannel, &[&channel.kind, &channel.user, &age, &state, &channel.channel[..12]]);
        if !channel.watchers.is_empty() {
            say::tell(Message::StatusWatched, &[&channel.watchers.join(", ")]);
        }
    }
    if status.visits.is_empty() {
        say::tell(Message::StatusNobody, &[]);
    }
    for pending in &status.pending {
        super::approve::show(pending);
    }
}

fn show_relays(status: &Status) {
    let Some(relays) = &status.relays else {
        return say::tell(Message::StatusNoTunnel, &[]);
    };
    for relay in relays {
        let url = one_line(&relay.url, 200);
        match (relay.connected, relay.rtt_ms) {
            (true, rtt) => say::tell(Message::StatusRelay, &[&url, &rtt.unwrap_or_default().to_string()]),
            (false, _) => {
                let why = one_line(relay.error.as_deref().unwrap_or("-"), 300);
                say::tell(Message::StatusRelayDown, &[&url, &why]);
            }
        }
    }
}
