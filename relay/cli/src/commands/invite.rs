//! `invite`: help for somebody without an account, from the code that is read over the phone to the last shell.
//!
//! ```text
//!  code ─▶ waiting ─▶ guest is here ─▶ signed, six words ─ both yes ─▶ shell ─▶ again, or over
//! ```
//!
//! Whatever happens, the invitation is ended at the end: the guest is let go and cleans up.

use super::exec::{code, farewell};
use super::opening::{self, Wanted};
use super::shell::{End, view};
use super::signals::Signals;
use super::{App, SignedIn, sign_in};
use crate::args::{Asking, Invite, VisitTerms};
use crate::fail::{Fail, ROAD};
use crate::terminal;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::Invited;
use cloud_doctor::signer::{Candidate, Keyring};
use cloud_doctor::visit::{First, Guest, Visit, VisitError, Wish, open_guest};
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::guest::Code;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::limits::GUEST_CODE_SECS;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A relay or guest that cannot be asked for a moment is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(app: &App, asked: Invite) -> Result<u8, Fail> {
    let wish = wish(asked)?;
    let signed_in = app.signed_in()?;
    let mut keys = app.keys(Some(&signed_in.entry)).await?;
    keys.unlock(&mut app.seat())?;
    let engineer = keys.pick(|_| true).ok_or(cloud_doctor::signer::SignError::NoKey)?;
    let invited = signed_in.relay.invite(&engineer.key).await?;
    let helping = Helping { app, signed_in: &signed_in, keys: &keys, engineer: &engineer, invited: &invited, wish };
    // Outside a shell: inside one, the terminal is raw and Ctrl-C is a key.
    let mut signals = Signals::new().map_err(|error| Fail::system("signal", &error))?;
    let done = tokio::select! {
        biased;
        _ = signals.next() => Ok(ROAD),
        done = helping.help() => done,
    };
    // It ends by itself when the relay cannot be told.
    drop(signed_in.relay.end_invitation(&invited.id).await);
    done
}

fn wish(asked: Invite) -> Result<Wish, Fail> {
    let Invite { user, time, reason, ticket } = asked;
    let wanted = Wanted { kind: ChannelKind::Shell, attach: None, argv: Vec::new(), size: terminal::own_size() };
    opening::wish(&Asking { user: None, visit: VisitTerms { time, reason, ticket } }, &user, wanted)
}

/// One call.
struct Helping<'a> {
    app: &'a App,
    signed_in: &'a SignedIn,
    keys: &'a Keyring,
    engineer: &'a Candidate,
    invited: &'a Invited,
    wish: Wish,
}

impl Helping<'_> {
    async fn help(&self) -> Result<u8, Fail> {
        // As our own code writes it: a relay's words do not go into what root pastes.
        let code: Code = self.invited.code.parse().map_err(|error| Fail::from(Id::InviteOdd.with(&[&error])))?;
        self.app.say(Id::InviteCode.with(&[&code]));
        self.app.say(Id::InviteWaiting.with(&[&Span(GUEST_CODE_SECS)]));
        let hostname = self.guest().await?;
        self.app.say(Id::GuestCame.with(&[&hostname]));
        let (visit, host) = self.ask().await?;
        let until = clock::now() + Duration::from_secs(visit.opened.ends_in_secs);
        let status = self.shells(&visit, &host, until).await;
        self.app.say(Id::GuestEnded.with(&[&host]));
        status
    }

    /// Waits until the guest has a tunnel.
    async fn guest(&self) -> Result<String, Fail> {
        loop {
            match self.signed_in.relay.wait_invitation(&self.invited.id).await {
                Ok(invitation) if invitation.ended => return Err(Fail::Say(Id::InviteOver.into(), ROAD)),
                Ok(invitation) if invitation.online => return Ok(invitation.hostname.unwrap_or_default()),
                Ok(_) => {}
                Err(error) if error.may_pass() => sleep(ASK_AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn ask(&self) -> Result<(Visit, String), VisitError> {
        let mut seat = self.app.seat();
        let mut guest = Guest {
            relay: &self.signed_in.relay,
            invitation: &self.invited.id,
            keys: self.keys,
            engineer: self.engineer,
            person: &mut seat,
        };
        let agree = async |_: &str, _: &str| {
            let same = self.yes(Id::AskGuestSame).await;
            if same {
                self.app.say(Id::GuestWaiting);
            }
            same
        };
        open_guest(&mut guest, &self.wish, agree).await
    }

    async fn yes(&self, question: Id) -> bool {
        let answer = self.line(self.app.words(question)).await;
        answer.is_some_and(|answer| sign_in::yes(&answer))
    }

    /// A line from the terminal, asked for on a thread of its own: the stream's signs of life must be answered meanwhile.
    async fn line(&self, question: String) -> Option<String> {
        tokio::task::spawn_blocking(move || terminal::ask(&question)).await.ok()?.ok()
    }

    /// One shell after another, until the engineer or the visit is done.
    async fn shells(&self, visit: &Visit, host: &str, until: Instant) -> Result<u8, Fail> {
        let mut left: Option<ChannelId> = None;
        let mut told = false;
        loop {
            let first = First { attach: left, size: terminal::own_size(), ..self.wish.first.clone() };
            let channel = visit.open_channel(&first).await?;
            if !told {
                let time = Span(visit.opened.ends_in_secs);
                self.app.say(Id::GuestOpened.with(&[&self.wish.first.scope.user().unwrap_or_default(), &host, &time]));
                told = true;
            }
            let id = channel.id();
            let status = match view(self.app, channel).await? {
                End::Left => {
                    left = Some(id);
                    0
                }
                End::Over(exit, reason) => {
                    left = None;
                    if let Some(say) = farewell(reason) {
                        self.app.say(say);
                        return Ok(code(self.app, exit));
                    }
                    code(self.app, exit)
                }
            };
            let rest = crate::output::ago(until.saturating_duration_since(clock::now()).as_secs());
            let question = Id::GuestAgain.with(&[&host, &rest]).text(self.app.language);
            match self.line(question).await {
                Some(answer) if answer.is_empty() => {}
                Some(_) | None => return Ok(status),
            }
        }
    }
}
