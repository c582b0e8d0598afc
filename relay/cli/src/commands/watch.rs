//! `watch`: which shells live on a server, a view of one of them, and its end by whoever may.
//!
//! It never types: a watcher's keys end here.

use super::opening::{signer, target, terms, usual_user};
use super::shell::{End, look};
use super::{App, SignedIn};
use crate::args::{VisitTerms, Watch};
use crate::fail::{Fail, REFUSED};
use crate::output::{self, ago};
use cloud_doctor::channel::Channel;
use cloud_doctor::messages::Id;
use cloud_doctor::visit::{Hands, Look, Target, open_look};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::look::{Answer, LivingShell, Question};
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::trust::Role;
use serde_json::{Value, json};

/// Characters of somebody else's text on a line of ours.
const TEXT_CHARS: usize = 200;

/// An open visit that looks, its server, and the answer to its first question.
pub(super) struct Opened {
    pub(super) look: Look,
    pub(super) target: Target,
    pub(super) answer: Answer,
}

/// Opens a visit that looks, with an approver's key where the person has one: it needs nobody else's word.
pub(super) async fn open(
    app: &App,
    server: &str,
    visit: &VisitTerms,
    scopes: impl FnOnce(&SignedIn) -> Vec<Scope>,
    question: Question,
) -> Result<Opened, Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust(&signed_in.entry)?;
    let target = target(&signed_in, &mut trust, server).await?;
    let terms = terms(visit, scopes(&signed_in))?;
    let mut keys = app.keys(Some(&signed_in.entry)).await?;
    let roles = [Role::Approver, Role::Engineer];
    let signer = signer(&signed_in, &mut trust, &keys, &roles, Id::NotALooker).await?;
    let mut seat = app.seat();
    keys.unlock(&mut seat)?;
    let mut hands =
        Hands { relay: &signed_in.relay, trust: &mut trust, keys: &keys, engineer: &signer, person: &mut seat };
    let (look, answer) = open_look(&mut hands, &target, &terms, question).await?;
    Ok(Opened { look, target, answer })
}

pub(super) async fn run(app: &App, asked: Watch) -> Result<u8, Fail> {
    let scopes = |signed_in: &SignedIn| {
        let mut users = asked.user.clone();
        if users.is_empty() {
            users = vec!["root".to_owned(), usual_user(signed_in)];
        }
        users.sort();
        users.dedup();
        users.into_iter().map(|user| Scope::Watch { user }).collect()
    };
    let Opened { look, target, answer } = open(app, &asked.server, &asked.visit, scopes, Question::Shells {}).await?;
    let Answer::Shells { shells } = answer else { return Err(Id::NoShells.with(&[&target.name]).into()) };
    if asked.json {
        output::json("shells", &shells.iter().map(as_json).collect::<Vec<_>>());
        return Ok(0);
    }
    let shell = choose(app, &target, shells, asked.shell.as_deref())?;
    if asked.end && !shell.may_end {
        return Err(Fail::Say(Id::WatchMayNotEnd.into(), REFUSED));
    }
    let channel = look.watch(&shell).await?;
    match asked.end {
        true => end(app, &target, &shell, channel).await,
        false => attend(app, &target, &shell, channel).await,
    }
}

/// The shell that is meant: the one that lives, or the one whose id begins so.
fn choose(app: &App, target: &Target, shells: Vec<LivingShell>, id: Option<&str>) -> Result<LivingShell, Fail> {
    let all = shells.len();
    let named = |shell: &LivingShell| id.is_none_or(|id| shell.channel.to_string().starts_with(&id.to_lowercase()));
    let mut fits: Vec<LivingShell> = shells.into_iter().filter(named).collect();
    match (fits.len(), id) {
        (1, _) => Ok(fits.remove(0)),
        (0, Some(id)) if all > 0 => Err(Id::NoShell.with(&[&target.name, &id]).into()),
        (0, _) => Err(Id::NoShells.with(&[&target.name]).into()),
        (_, _) => {
            list(app, &fits);
            Err(Id::ManyShells.with(&[&target.name]).into())
        }
    }
}

fn list(app: &App, shells: &[LivingShell]) {
    let head = [Id::HeadShell, Id::HeadUser, Id::HeadPerson, Id::HeadSince, Id::HeadReason];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for shell in shells {
        let (id, since) = (shell.channel.short(), ago(shell.age_secs));
        rows.push(vec![id, shell.user.clone(), shell.person.clone(), since, shell.reason.clone()]);
    }
    output::table(&rows);
}

fn as_json(shell: &LivingShell) -> Value {
    json!({
        "shell": shell.channel.to_string(),
        "user": shell.user,
        "person": shell.person,
        "reason": shell.reason,
        "ticket": shell.ticket,
        "age_secs": shell.age_secs,
        "ends_in_secs": shell.ends_in_secs,
        "attached": shell.attached,
        "watchers": shell.watchers,
        "may_end": shell.may_end,
    })
}

async fn attend(app: &App, target: &Target, shell: &LivingShell, channel: Channel) -> Result<u8, Fail> {
    let (person, user) = (one_line(&shell.person, TEXT_CHARS), one_line(&shell.user, TEXT_CHARS));
    app.say(Id::Watching.with(&[&person, &user, &target.name]));
    if !shell.reason.is_empty() {
        app.say(Id::WatchingWhy.with(&[&shell.reason]));
    }
    match look(app, channel, shell.may_end).await? {
        End::Left => app.say(Id::WatchLeft),
        End::Over(_, reason) => match super::exec::farewell(reason) {
            Some(say) => app.say(say),
            None => app.say(Id::FinClosed),
        },
    }
    Ok(0)
}

/// Ends a shell and waits until it is over.
async fn end(app: &App, target: &Target, shell: &LivingShell, mut channel: Channel) -> Result<u8, Fail> {
    channel.end().await?;
    app.say(Id::WatchEnded.with(&[&one_line(&shell.person, TEXT_CHARS), &target.name]));
    Ok(0)
}
