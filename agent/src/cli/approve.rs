//! `approve` and `deny`: root's word about a grant that waits for a second signature.

use super::{Exit, say};
use crate::guard::admin::{self, Answer, Ask, PendingLine, Status};
use crate::messages::Message;
use crate::state::Places;

/// `approve`.
pub(super) fn approve(places: &Places, id: Option<&str>, yes: bool) -> Exit {
    let (status, pending) = match find(places, id) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    show(&pending);
    if !status.local_signer {
        say::problem(Message::NoLocalSigner, &[]);
        return Exit::Failed;
    }
    if !yes && !say::ask(Message::ApproveAsk) {
        say::tell(Message::StillWaits, &[]);
        return Exit::Failed;
    }
    done(places, &Ask::Approve { visit: pending.visit }, Message::Approved)
}

/// `deny`.
pub(super) fn deny(places: &Places, id: Option<&str>) -> Exit {
    match find(places, id) {
        Ok((_, pending)) => {
            show(&pending);
            done(places, &Ask::Deny { visit: pending.visit }, Message::Denied)
        }
        Err(exit) => exit,
    }
}

fn done(places: &Places, ask: &Ask, message: Message) -> Exit {
    match admin::ask(&places.admin_socket(), ask) {
        Ok(Answer::Done(_)) => {
            say::tell(message, &[]);
            Exit::Done
        }
        Ok(other @ (Answer::Status(_) | Answer::Refused(_) | Answer::Failed(_))) => say::answer(&other),
        Err(error) => say::guard_away(places, &error),
    }
}

/// The grant that is meant: the one whose id begins so, or the only one.
fn find(places: &Places, id: Option<&str>) -> Result<(Box<Status>, PendingLine), Exit> {
    let status = match admin::ask(&places.admin_socket(), &Ask::Status) {
        Ok(Answer::Status(status)) => status,
        Ok(other @ (Answer::Done(_) | Answer::Refused(_) | Answer::Failed(_))) => return Err(say::answer(&other)),
        Err(error) => return Err(say::guard_away(places, &error)),
    };
    let fits = |line: &&PendingLine| id.is_none_or(|id| line.visit.starts_with(&id.to_lowercase()));
    let mut fitting = status.pending.iter().filter(fits);
    match (fitting.next().cloned(), fitting.next()) {
        (Some(pending), None) => Ok((status, pending)),
        (None, _) => {
            say::problem(Message::NothingWaits, &[]);
            Err(Exit::Failed)
        }
        (Some(_), Some(_)) => {
            status.pending.iter().for_each(show);
            say::problem(Message::WhichOne, &[]);
            Err(Exit::Usage)
        }
    }
}

/// Shows what a signature would allow. All texts in it were made safe by guard.
pub(super) fn show(pending: &PendingLine) {
    say::tell(Message::PendingHead, &[&pending.visit[..12], &(pending.waits_secs / 60).to_string()]);
    say::tell(Message::PendingWho, &[&pending.engineer, &pending.key[..12]]);
    say::tell(Message::PendingWhat, &[&pending.scopes, &pending.minutes.to_string()]);
    say::tell(Message::PendingWhy, &[&pending.reason, &pending.ticket]);
    say::tell(Message::PendingWords, &[&pending.words]);
}
