//! `approve`: the second signature under somebody else's grant.
//!
//! What is shown is read from the exact bytes that are signed. The relay brings them; it cannot make them mean anything
//! else, and the server verifies everything again.

use super::sign_in::yes;
use super::{App, SignedIn, ahead};
use crate::args::Approve;
use crate::fail::{Fail, REFUSED, TRUST};
use crate::output::{self, ago};
use crate::terminal::ask;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::Approval;
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::signer::{self, NAMESPACE_GRANT, NAMESPACE_SECOND};
use cloud_doctor_proto::trust::{Role, TrustLog};
use cloud_doctor_proto::words::words;
use serde_json::{Value, json};

/// Digits of a request's id that name it beyond doubt, for signing without being asked.
const SURE_DIGITS: usize = 12;

/// A grant as a person reads it before signing: everything from its bytes and the trust log.
struct Shown {
    grant: Grant,
    person: String,
    server: String,
    words: String,
}

pub(super) async fn run(app: &App, asked: Approve) -> Result<(), Fail> {
    if let Some(command) = asked.command {
        return ahead::run(app, command).await;
    }
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let waiting = signed_in.relay.approvals().await?;
    match &asked.id {
        None => {
            list(app, trust.log(), &waiting, asked.json);
            Ok(())
        }
        Some(id) => {
            let fits: Vec<_> = waiting.iter().filter(|approval| name(approval).starts_with(id.as_str())).collect();
            let sure = asked.yes && id.len() >= SURE_DIGITS;
            match fits.as_slice() {
                [approval] if asked.deny => deny(app, &signed_in, approval, asked.why.as_deref()).await,
                [approval] => sign(app, &signed_in, trust.log(), approval, sure).await,
                [] => Err(Id::NoApproval.with(&[id]).into()),
                _ => Err(Id::ManyApprovals.with(&[id]).into()),
            }
        }
    }
}

/// A request's name: of the bytes that are signed. The relay's own number for it says nothing about what it is.
fn name(approval: &Approval) -> String {
    Grant::visit(&approval.grant.0).to_string()
}

/// Reads a request: the engineer's own signature must hold, by a key of the trust log.
fn read(log: &TrustLog, approval: &Approval) -> Result<Shown, Fail> {
    let wrong = |why: &dyn std::fmt::Display| Fail::Say(Id::ApprovalOdd.with(&[&name(approval), why]), TRUST);
    let bytes = &approval.grant.0;
    let engineer = signer::signer_of(&approval.signature.0).ok_or_else(|| wrong(&"no signature"))?;
    let person = log.person(&engineer, Role::Engineer).ok_or_else(|| wrong(&"unknown engineer"))?;
    let verified = person.key.verify(NAMESPACE_GRANT, bytes, &approval.signature.0);
    verified.map_err(|error| wrong(&error))?;
    let grant = Grant::from_bytes(bytes).map_err(|error| wrong(&error))?;
    if grant.engineer != engineer || grant.tenant != log.tenant() {
        return Err(wrong(&"another engineer or customer"));
    }
    let server = log.agents.get(&grant.agent).ok_or_else(|| wrong(&"unknown server"))?.name.clone();
    Ok(Shown { person: person.key.person.clone(), server, words: words(&Grant::hash(bytes)), grant })
}

fn list(app: &App, log: &TrustLog, waiting: &[Approval], as_json: bool) {
    let read: Vec<(&Approval, Result<Shown, Fail>)> =
        waiting.iter().map(|approval| (approval, read(log, approval))).collect();
    if as_json {
        let all: Vec<Value> = read.iter().map(|(approval, shown)| json_of(approval, shown.as_ref().ok())).collect();
        output::json("approvals", &all);
        return;
    }
    if read.is_empty() {
        app.say(Id::NoApprovals);
        return;
    }
    let head = [Id::HeadRequest, Id::HeadPerson, Id::HeadServer, Id::HeadWhat, Id::HeadLeft];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for (approval, shown) in &read {
        let id = Grant::visit(&approval.grant.0).short();
        match shown {
            Ok(shown) => {
                let left = ago(approval.expires_at.saturating_sub(clock::wall().0));
                rows.push(vec![id, shown.person.clone(), shown.server.clone(), scopes(app, &shown.grant.scopes), left]);
            }
            Err(fail) => app.say(Id::ApprovalSkipped.with(&[&id, &fail.text(app.language)])),
        }
    }
    output::table(&rows);
    app.say(Id::ApproveNext);
}

fn json_of(approval: &Approval, shown: Option<&Shown>) -> Value {
    json!({
        "id": name(approval),
        "account": approval.account,
        "expires_at": approval.expires_at,
        "valid": shown.is_some(),
        "person": shown.map(|s| s.person.clone()),
        "server": shown.map(|s| s.server.clone()),
        "server_id": shown.map(|s| s.grant.agent.to_string()),
        "scopes": shown.map(|s| s.grant.scopes.clone()),
        "seconds": shown.map(|s| s.grant.ttl_secs),
        "reason": shown.map(|s| s.grant.reason.clone()),
        "ticket": shown.map(|s| s.grant.ticket.clone()),
        "words": shown.map(|s| s.words.clone()),
    })
}

/// The scopes in words: `shell as root, commands as web`.
pub(super) fn scopes(app: &App, scopes: &[Scope]) -> String {
    let word = |scope: &Scope| {
        let id = match scope {
            Scope::Shell { .. } => Id::ScopeShell,
            Scope::Exec { .. } => Id::ScopeExec,
            Scope::Watch { .. } => Id::ScopeWatch,
            Scope::Audit {} => Id::ScopeAudit,
        };
        id.with(&[&scope.user().unwrap_or_default()]).text(app.language)
    };
    scopes.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn show(app: &App, shown: &Shown) {
    let grant = &shown.grant;
    let none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let lines = [
        Id::GrantWho.with(&[&shown.person]),
        Id::GrantServer.with(&[&shown.server, &grant.agent.short()]),
        Id::GrantWhat.with(&[&scopes(app, &grant.scopes)]),
        Id::GrantTime.with(&[&Span(grant.ttl_secs)]),
        Id::GrantReason.with(&[&none(&grant.reason)]),
        Id::GrantTicket.with(&[&none(&grant.ticket)]),
        Id::GrantWords.with(&[&shown.words]),
    ];
    for line in lines {
        app.say(line);
    }
}

async fn sign(app: &App, signed_in: &SignedIn, log: &TrustLog, approval: &Approval, sure: bool) -> Result<(), Fail> {
    let shown = read(log, approval)?;
    show(app, &shown);
    let mut keys = app.keys(Some(&signed_in.entry)).await?;
    let approver = |id: &_| log.person(id, Role::Approver).is_some_and(|person| person.key.person != shown.person);
    let none = || Fail::Say(Id::NotAnApprover.with(&[&log.name]), REFUSED);
    let key = keys.pick(approver).ok_or_else(none)?;
    if !sure && !yes(&ask(&app.words(Id::AskApprove))?) {
        app.say(Id::NotApproved);
        return Ok(());
    }
    let mut seat = app.seat();
    keys.unlock(&mut seat)?;
    let signature = keys.sign(&key, NAMESPACE_SECOND, &approval.grant.0, &mut seat).await?;
    signed_in.relay.sign_approval(&approval.id, signature).await?;
    app.say(Id::Approved.with(&[&shown.person, &shown.server]));
    Ok(())
}

/// A no takes no signature: whoever could forge it could as well deliver nothing.
async fn deny(app: &App, signed_in: &SignedIn, approval: &Approval, why: Option<&str>) -> Result<(), Fail> {
    signed_in.relay.deny_approval(&approval.id, why).await?;
    app.say(Id::Denied.with(&[&approval.account]));
    Ok(())
}
