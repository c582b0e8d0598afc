//! `approve ahead`, `end-ahead`, `list-ahead`: second signatures given ahead, in the trust log.
//!
//! What is shown is read from the very entry that is signed, and its six words are over its bytes. Never: a moment in one
//! clock only, since whoever signs for the night may sit in another time zone than the server.

use super::approve::scopes;
use super::people::find;
use super::sign_in::yes;
use super::tenant::{next_entry, publish_entry, publish_with};
use super::{App, servers};
use crate::args::{ApproveCommand, Listing, SignAhead};
use crate::fail::{Fail, REFUSED};
use crate::output;
use crate::terminal::ask;
use cloud_doctor::messages::Id;
use cloud_doctor::{clock, moments, zone};
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::{AgentId, Hash, KeyId};
use cloud_doctor_proto::signer::KeyKind;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{Ahead, Entry, Person, Role, SignedAhead, TrustLog, What};
use cloud_doctor_proto::words::words;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) async fn run(app: &App, asked: ApproveCommand) -> Result<(), Fail> {
    match asked {
        ApproveCommand::Ahead(asked) => sign(app, asked).await,
        ApproveCommand::EndAhead { entry } => end(app, entry).await,
        ApproveCommand::ListAhead(listing) => list(app, listing).await,
    }
}

async fn sign(app: &App, asked: SignAhead) -> Result<(), Fail> {
    let from = moment(&asked.from, clock::wall())?;
    let until = moment(&asked.until, from)?;
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let log = trust.log();
    let server = servers::find(log, &asked.server)?;
    let (engineer, person) = one(find(log, Role::Engineer, &asked.engineer)?, &asked.engineer)?;
    let keys = app.keys(Some(&signed_in.entry)).await?;
    let able = log.approvers_at(clock::wall());
    let may =
        |id: &KeyId| able.get(id).is_some_and(|key| key.person != person.key.person && key.kind != KeyKind::Device);
    let none = || Fail::Say(Id::NotAnAheadSigner.with(&[&person.key.person, &log.name]), REFUSED);
    let signer = keys.pick(may).ok_or_else(none)?;
    let scopes = wanted(asked.user, asked.commands);
    let ahead = Ahead { agent: server.agent, engineer, scopes, from, until, note: asked.why };
    let entry = next_entry(log, &signer, What::SignAhead { ahead: ahead.clone() })?;
    show(app, log, &ahead, &entry);
    if !asked.yes && !yes(&ask(&app.words(Id::AskAhead))?) {
        app.say(Id::NotApproved);
        return Ok(());
    }
    publish_entry(app, &signed_in, &mut trust, (keys, &signer), &entry).await?;
    app.say(Id::AheadSigned.with(&[&entry.seq, &local(until), &server.name]));
    Ok(())
}

/// Sorted, no doubles: as the log wants them.
fn wanted(users: Vec<String>, commands: bool) -> Vec<Scope> {
    let users: BTreeSet<String> = users.into_iter().collect();
    let exec = users.clone().into_iter().filter(|_| commands).map(|user| Scope::Exec { user });
    users.into_iter().map(|user| Scope::Shell { user }).chain(exec).collect()
}

fn moment(text: &str, after: UnixTime) -> Result<UnixTime, Fail> {
    moments::read(text, after, &zone::offset_secs).map_err(|_| Id::MomentForm.with(&[&text]).into())
}

/// By the clock of this computer, and that of the log.
fn local(at: UnixTime) -> String {
    format!("{} ({})", moments::shown(at, &zone::offset_secs), rfc3339(at))
}

/// It is one key that may use it, not all that a person has.
fn one(mut found: Vec<(KeyId, Person)>, who: &str) -> Result<(KeyId, Person), Fail> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some((_, last)), false) => {
            let keys = found.iter().map(|(_, person)| person).chain([&last]);
            let prints: Vec<String> = keys.map(|person| person.key.key.fingerprint()).collect();
            Err(Id::ManyKeys.with(&[&who, &prints.join(", ")]).into())
        }
        (None, _) => Err(Id::NobodyThere.with(&[&who]).into()),
    }
}

fn show(app: &App, log: &TrustLog, ahead: &Ahead, entry: &Entry) {
    let note = if ahead.note.is_empty() { "-" } else { &ahead.note };
    let lines = [
        Id::GrantWho.with(&[&engineer_of(log, &ahead.engineer)]),
        Id::GrantServer.with(&[&server_of(log, &ahead.agent), &ahead.agent.short()]),
        Id::AheadOpens.with(&[&scopes(app, &ahead.scopes)]),
        Id::AheadFrom.with(&[&local(ahead.from)]),
        Id::AheadUntil.with(&[&local(ahead.until)]),
        Id::GrantReason.with(&[&note]),
        Id::GrantWords.with(&[&words(&Hash::of(&[&entry.to_bytes()]))]),
    ];
    lines.into_iter().for_each(|line| app.say(line));
}

async fn end(app: &App, seq: u64) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let log = trust.log();
    let SignedAhead { what, .. } = log.ahead.get(&seq).ok_or_else(|| Fail::from(Id::NoAheadSuch.with(&[&seq])))?;
    let said = Id::AheadEnded.with(&[&seq, &engineer_of(log, &what.engineer), &server_of(log, &what.agent)]);
    let keys = app.keys(Some(&signed_in.entry)).await?;
    let able = log.approvers_at(clock::wall());
    // Giving up a permission needs nobody else.
    let signer = keys.pick(|id| able.contains_key(id) || *id == what.engineer);
    let signer = signer.ok_or_else(|| Fail::Say(Id::NotAnApprover.with(&[&log.name]), REFUSED))?;
    publish_with(app, &signed_in, &mut trust, (keys, &signer), What::EndAhead { seq }).await?;
    app.say(said);
    Ok(())
}

async fn list(app: &App, listing: Listing) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    match trust.log() {
        log if listing.json => output::json("ahead", &as_json(log)),
        log if log.ahead.is_empty() => app.say(Id::NoAhead),
        log => table(app, log),
    }
    Ok(())
}

/// What is signed ahead, one row each.
pub(super) fn table(app: &App, log: &TrustLog) {
    let head = [Id::HeadEntry, Id::HeadPerson, Id::HeadServer, Id::HeadWhat, Id::HeadFrom, Id::HeadUntil];
    let head = head.into_iter().chain([Id::HeadSignedBy]);
    let mut rows: Vec<Vec<String>> = vec![head.map(|id| app.words(id)).collect()];
    rows.extend(log.ahead.iter().map(|(seq, SignedAhead { what, person, .. })| {
        vec![
            seq.to_string(),
            engineer_of(log, &what.engineer),
            server_of(log, &what.agent),
            scopes(app, &what.scopes),
            moments::shown(what.from, &zone::offset_secs),
            moments::shown(what.until, &zone::offset_secs),
            person.clone(),
        ]
    }));
    output::table(&rows);
}

pub(super) fn as_json(log: &TrustLog) -> Value {
    let row = |(seq, SignedAhead { what, by, person, kind }): (&u64, &SignedAhead)| {
        json!({
            "entry": seq,
            "engineer": engineer_of(log, &what.engineer),
            "engineer_key": what.engineer.to_string(),
            "server": server_of(log, &what.agent),
            "server_id": what.agent.to_string(),
            "scopes": what.scopes,
            "from": rfc3339(what.from),
            "until": rfc3339(what.until),
            "note": what.note,
            "by": person,
            "by_key": by.to_string(),
            "by_kind": kind.id(),
        })
    };
    log.ahead.iter().map(row).collect()
}

fn engineer_of(log: &TrustLog, key: &KeyId) -> String {
    log.person(key, Role::Engineer).map_or_else(|| key.short(), |person| person.key.person.clone())
}

fn server_of(log: &TrustLog, agent: &AgentId) -> String {
    log.agents.get(agent).map_or_else(|| agent.short(), |record| record.name.clone())
}
