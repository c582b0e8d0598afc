//! `explain`: who could do what here now, and what became of the last requests.
//!
//! It reads the files itself, so it also works while guard does not. It never changes anything.

use super::own_checks::OwnChecks;
use super::{Exit, audit, events, say};
use crate::messages::{Message, language};
use crate::policy::{self, NoCeiling};
use crate::session::clock;
use crate::state::config::Config;
use crate::state::trust::TrustStore;
use crate::state::{Places, identity};
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::ceiling::{Ceiling, Mode, Rule, ScopeName};
use cloud_doctor_proto::ids::{AgentId, Hash};
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::signer::SignerKind;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::told::Told;
use cloud_doctor_proto::trust::{Role, SignedAhead, TrustLog};
use cloud_doctor_proto::words::words;
use serde::Serialize;
use std::collections::VecDeque;

/// Requests shown.
const LAST: usize = 50;
const TEXT: usize = 200;

/// Everything that the command tells.
#[derive(Debug, Serialize)]
struct Explanation {
    agent: String,
    tenant: String,
    tenant_words: String,
    relays: Vec<RelayPins>,
    ceiling_file: String,
    ceiling_problem: Option<String>,
    #[serde(skip)]
    ceiling_told: Option<Told>,
    locked_down: bool,
    rules: Vec<RuleLine>,
    checks: Vec<CheckLine>,
    #[serde(flatten)]
    own: OwnChecks,
    /// What the relay may see without a signature.
    metrics: Option<MetricsLine>,
    people: Vec<PersonLine>,
    signed_ahead: Vec<AheadLine>,
    last_requests: Vec<String>,
    audit_problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct RelayPins {
    url: String,
    pins: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RuleLine {
    scope: String,
    users: String,
    mode: &'static str,
    hours: String,
    open_now: bool,
    longest: String,
    signed_by: String,
    second_by: String,
    /// It may be given ahead, in the trust log.
    second_ahead: bool,
    /// An approver signs it alone.
    #[serde(skip)]
    looks: bool,
}

/// A rule about checks.
#[derive(Debug, Serialize)]
struct CheckLine {
    /// Ids and groups; none: all that come with the agent, and, where none may run, all.
    checks: Vec<String>,
    #[serde(skip)]
    never: bool,
    /// Whether the relay may have them run now.
    open_now: bool,
    hours: String,
}

/// The rule about metrics.
#[derive(Debug, Serialize)]
struct MetricsLine {
    /// Whether the relay may show them now.
    open_now: bool,
    hours: String,
}

#[derive(Debug, Serialize)]
struct PersonLine {
    person: String,
    role: &'static str,
    kind: &'static str,
    fingerprint: String,
    until: String,
    expired: bool,
}

/// A second signature that was given ahead.
#[derive(Debug, Serialize)]
struct AheadLine {
    entry: u64,
    by: String,
    person: String,
    fingerprint: String,
    scopes: String,
    from: String,
    until: String,
    note: String,
}

/// `explain`.
pub(super) fn run(places: &Places, json: bool) -> Exit {
    match explain(places, clock::unix_time()) {
        Ok(explanation) if json => say::json(&explanation),
        Ok(explanation) => {
            show(&explanation);
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn explain(places: &Places, now: UnixTime) -> Result<Explanation, Exit> {
    let config = Config::load(&places.config()).map_err(|error| {
        say::problem(Message::NotEnrolled, &[&error.to_string()]);
        Exit::Config
    })?;
    let broken = |error: &dyn std::fmt::Display| {
        say::problem(Message::TrustBroken, &[&error.to_string()]);
        Exit::Config
    };
    let key = match identity::load(&places.guard) {
        Err(identity::IdentityError::File(error)) => return Err(say::file_problem(&error)),
        other => other.map_err(|error| broken(&error))?,
    };
    let log = TrustStore::read(&places.guard, config.tenant()).map_err(|error| broken(&error))?;
    let ceiling = policy::load(&places.ceiling());
    let mut last = VecDeque::new();
    let audit_problem = audit::read(places, |_, payload| {
        if matches!(payload.event.as_str(), "visit-opened" | "refused" | "second-signature-missing" | "visit-ended") {
            last.push_back(events::line(payload));
            if last.len() > LAST {
                last.pop_front();
            }
        }
    })?;
    let tenant = config.tenant();
    Ok(Explanation {
        agent: identity::agent_id(&key).to_string(),
        tenant: tenant.to_string(),
        tenant_words: words(&Hash(tenant.0)),
        relays: config
            .relays()
            .into_iter()
            .map(|relay| RelayPins { url: relay.url, pins: relay.pins.iter().map(ToString::to_string).collect() })
            .collect(),
        ceiling_file: places.ceiling().display().to_string(),
        ceiling_problem: ceiling.as_ref().err().map(ToString::to_string),
        ceiling_told: ceiling.as_ref().err().map(NoCeiling::told),
        locked_down: places.is_locked_down(),
        rules: ceiling.as_ref().map(|ceiling| rules(ceiling, now)).unwrap_or_default(),
        checks: ceiling.as_ref().map(|ceiling| checks(ceiling, now)).unwrap_or_default(),
        own: ceiling.as_ref().map(|ceiling| OwnChecks::of(places, ceiling, now)).unwrap_or_default(),
        metrics: ceiling.ok().map(|ceiling| metrics(&ceiling, now)),
        people: people(&log, now),
        signed_ahead: signed_ahead(&log, &identity::agent_id(&key), now),
        last_requests: last.into(),
        audit_problem,
    })
}

fn rules(ceiling: &Ceiling, now: UnixTime) -> Vec<RuleLine> {
    let opens = |rule: &&Rule| match rule.scope {
        ScopeName::Shell | ScopeName::Exec | ScopeName::Watch | ScopeName::Audit => true,
        // Checks and metrics need nobody's signature, and so are told apart.
        ScopeName::FilesRead | ScopeName::FilesWrite | ScopeName::Checks | ScopeName::Metrics | ScopeName::Remedy => {
            false
        }
    };
    let line = |rule: &Rule| RuleLine {
        scope: rule.scope.to_string(),
        users: users(rule),
        mode: match rule.mode {
            Mode::Never => "never",
            Mode::Ask => "ask",
            Mode::Allow => "allow",
        },
        hours: hours(rule),
        open_now: rule.open_at(now, crate::zone::offset_secs()),
        longest: rule.time.map_or(ceiling.limits.visit, |time| time.min(ceiling.limits.visit)).to_string(),
        signed_by: kinds(&rule.signers),
        second_by: kinds(&rule.second),
        second_ahead: rule.mode == Mode::Ask && rule.ahead,
        looks: matches!(rule.scope, ScopeName::Watch | ScopeName::Audit),
    };
    ceiling.rules.iter().filter(opens).map(line).collect()
}

fn checks(ceiling: &Ceiling, now: UnixTime) -> Vec<CheckLine> {
    let about = ceiling.rules.iter().filter(|rule| rule.scope == ScopeName::Checks);
    let line = |rule: &Rule| CheckLine {
        never: rule.mode == Mode::Never,
        checks: rule.checks.iter().map(|name| one_line(name, TEXT)).collect(),
        open_now: rule.mode == Mode::Allow && rule.open_at(now, crate::zone::offset_secs()),
        hours: hours(rule),
    };
    about.map(line).collect()
}

fn metrics(ceiling: &Ceiling, now: UnixTime) -> MetricsLine {
    let rule = ceiling.rule(ScopeName::Metrics, "");
    let open = |rule: &Rule| rule.mode == Mode::Allow && rule.open_at(now, crate::zone::offset_secs());
    MetricsLine { open_now: rule.is_some_and(open), hours: rule.map(hours).unwrap_or_default() }
}

fn hours(rule: &Rule) -> String {
    rule.hours.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// `root, * (any but root)`; nothing for the audit, which is nobody's.
fn users(rule: &Rule) -> String {
    let any = || "* (any but root)".to_owned();
    if rule.scope == ScopeName::Audit {
        return String::new();
    }
    if rule.users.is_empty() {
        return any();
    }
    let word = |user: &String| if user == "*" { any() } else { one_line(user, TEXT) };
    rule.users.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn kinds(kinds: &[SignerKind]) -> String {
    kinds.iter().map(|kind| kind.id()).collect::<Vec<_>>().join(" ")
}

fn people(log: &TrustLog, now: UnixTime) -> Vec<PersonLine> {
    let line = |person: &cloud_doctor_proto::trust::Person| PersonLine {
        person: one_line(&person.key.person, TEXT),
        role: match person.role {
            Role::Engineer => "engineer",
            Role::Approver => "approver",
        },
        kind: person.key.kind.signer().id(),
        fingerprint: person.key.key.fingerprint(),
        until: rfc3339(person.until),
        expired: person.until < now.max(log.newest_claim()),
    };
    log.people.values().map(line).collect()
}

/// What stands for this server, also what begins later.
fn signed_ahead(log: &TrustLog, here: &AgentId, now: UnixTime) -> Vec<AheadLine> {
    let able = log.approvers_at(now);
    let stands =
        |ahead: &SignedAhead| ahead.what.agent == *here && ahead.what.until > now && able.contains_key(&ahead.by);
    let line = |(entry, ahead): (&u64, &SignedAhead)| {
        let SignedAhead { what, person: by, .. } = ahead;
        let scopes: Vec<String> = what.scopes.iter().map(ToString::to_string).collect();
        // What was signed ahead for a key ends with that key, so it is there.
        let engineer = log.people.get(&what.engineer).map(|engineer| &engineer.key);
        AheadLine {
            entry: *entry,
            by: one_line(by, TEXT),
            person: engineer.map_or_else(String::new, |key| one_line(&key.person, TEXT)),
            fingerprint: engineer.map_or_else(String::new, |key| key.key.fingerprint()),
            scopes: one_line(&scopes.join(", "), TEXT),
            from: rfc3339(what.from),
            until: rfc3339(what.until),
            note: one_line(&what.note, TEXT),
        }
    };
    log.ahead.iter().filter(|(_, ahead)| stands(ahead)).map(line).collect()
}

fn show_rule(rule: &RuleLine) {
    let server = Message::ExplainThisServer.text(language(), &[]);
    let users = if rule.users.is_empty() { &server } else { &rule.users };
    let (scope, longest, by, second) = (&rule.scope, &rule.longest, &rule.signed_by, &rule.second_by);
    match (rule.mode, rule.open_now, rule.looks) {
        ("never", _, _) => say::tell(Message::ExplainNever, &[scope, users]),
        ("ask", true, false) => say::tell(Message::ExplainAskRule, &[scope, users, by, longest, second]),
        ("ask", true, true) => say::tell(Message::ExplainAskLook, &[scope, users, second, by, longest]),
        (_, true, false) => say::tell(Message::ExplainAllow, &[scope, users, by, longest, &rule.hours]),
        (_, true, true) => say::tell(Message::ExplainAllowLook, &[scope, users, by, longest, &rule.hours]),
        (_, false, _) => say::tell(Message::ExplainClosed, &[scope, users, longest, &rule.hours]),
    }
    if rule.second_ahead {
        say::tell(Message::ExplainAheadRule, &[]);
    }
}

fn show(it: &Explanation) {
    if it.locked_down {
        say::tell(Message::LockedDown, &[]);
    }
    say::tell(Message::ExplainAgent, &[&it.agent]);
    say::tell(Message::ExplainTenant, &[&it.tenant, &it.tenant_words]);
    for relay in &it.relays {
        say::tell(Message::ExplainRelay, &[&one_line(&relay.url, TEXT), &relay.pins.join(" ")]);
    }
    match &it.ceiling_told {
        Some(problem) => say::tell(Message::StatusNoCeiling, &[&problem.text(language())]),
        None => say::tell(Message::ExplainCeiling, &[&it.ceiling_file]),
    }
    it.rules.iter().for_each(show_rule);
    for CheckLine { checks, never, open_now, hours } in &it.checks {
        let all = if *never { Message::ExplainAllChecks } else { Message::ExplainOurChecks };
        let all = all.text(language(), &[]);
        let names = if checks.is_empty() { all } else { checks.join(", ") };
        let message = if *open_now { Message::ExplainChecks } else { Message::ExplainNoChecks };
        say::tell(message, &[&names, hours]);
    }
    it.own.tell();
    if let Some(MetricsLine { open_now, hours }) = &it.metrics {
        say::tell(if *open_now { Message::ExplainMetrics } else { Message::ExplainNoMetrics }, &[hours]);
    }
    for person in &it.people {
        let message = if person.expired { Message::ExplainExpired } else { Message::ExplainPerson };
        say::tell(message, &[&person.person, person.role, &person.until, person.kind, &person.fingerprint]);
    }
    if it.people.is_empty() {
        say::tell(Message::ExplainNobody, &[]);
    }
    for AheadLine { entry, by, person, scopes, from, until, note, .. } in &it.signed_ahead {
        let values = [by, &entry.to_string(), person, from, until, scopes, note];
        say::tell(Message::ExplainAhead, &values.map(String::as_str));
    }
    say::tell(Message::ExplainLast, &[]);
    for line in &it.last_requests {
        say::line(&format!("  {line}"));
    }
    if let Some(problem) = &it.audit_problem {
        say::problem(Message::AuditBad, &[problem]);
    }
}
