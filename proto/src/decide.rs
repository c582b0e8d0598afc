//! The decision: may this grant open a visit here, now? Pure: everything it looks at is an argument.
//!
//! Order: signature before decoding, identity before content, ceiling and policy last, so that a stranger learns
//! nothing about the ceiling. Any doubt refuses.

use crate::ceiling::{Ceiling, Mode, Rule, Span};
use crate::channel::Secret;
use crate::grant::{Challenge, Grant, Scope};
use crate::ids::{AgentId, Hash, KeyId, VisitId};
use crate::limits::{
    CHALLENGE_TTL_SECS, CHALLENGES_BURST, CHALLENGES_MAX, CHALLENGES_PER_SEC, GRANT_BYTES_MAX, GUEST_SCOPES_MAX,
    GUEST_USER_CHARS_MAX,
};
use crate::refusal::{Refusal, Refused};
use crate::signer::{NAMESPACE_GRANT, NAMESPACE_GUEST, NAMESPACE_SECOND, SignerKind};
use crate::time::{BootTime, UnixTime};
use crate::trust::{Person, Role, TrustLog};
use crate::visit::Signed;
use std::collections::BTreeMap;

/// What guard knows at the moment of a decision.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Who we are.
    pub agent: AgentId,
    /// The pinned log.
    pub log: &'a TrustLog,
    /// The ceiling; `None` when it is missing, invalid or writable by others: never.
    pub ceiling: Option<&'a Ceiling>,
    /// The server's wall clock.
    pub now: UnixTime,
    /// The server's zone, seconds east of UTC.
    pub zone_secs: i32,
    /// The log is one of a single visit (see [`crate::guest`]): grants are signed in that namespace, and in no other.
    pub guest: bool,
}

/// A challenge that guard issued and has taken back: it cannot be used twice.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Decoded.
    pub challenge: Challenge,
    /// [`Challenge::hash`] of its bytes.
    pub hash: Hash,
    /// Private half of its `agent_key`.
    pub secret: Secret,
    deadline: BootTime,
}

/// A grant that everything but a second signature allows.
#[derive(Debug, Clone)]
pub struct Permit {
    /// The visit.
    pub visit: VisitId,
    /// [`Grant::hash`] of the bytes.
    pub grant_hash: Hash,
    /// The exact bytes that were signed.
    pub grant_bytes: Vec<u8>,
    /// Decoded.
    pub grant: Grant,
    /// The signer's name in the log: an engineer, or an approver who only looks.
    pub person: String,
    /// Who may give the second signature; `None`: none is needed.
    pub second: Option<Vec<SignerKind>>,
    /// The second signature that was given ahead: number of its log entry, and whose it is.
    pub ahead: Option<(u64, String)>,
    /// The challenge that it answers.
    pub issued: Issued,
}

/// Challenges that wait for a grant: bounded in number and rate, used once, dead after their deadline.
#[derive(Debug, Default)]
pub struct ChallengeBook {
    waiting: BTreeMap<Hash, Issued>,
    tokens_milli: u64,
    filled_at: Option<BootTime>,
}

impl ChallengeBook {
    /// Takes one of the challenges that may be made now.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when there are too many, or too many per second.
    pub fn admit(&mut self, now: BootTime) -> Result<(), Refused> {
        let burst = u64::from(CHALLENGES_BURST) * 1000;
        let gained =
            self.filled_at.map_or(burst, |at| at.millis_until(now).saturating_mul(u64::from(CHALLENGES_PER_SEC)));
        self.tokens_milli = self.tokens_milli.saturating_add(gained).min(burst);
        self.filled_at = Some(now);
        self.waiting.retain(|_, issued| issued.deadline > now);
        if self.tokens_milli < 1000 || self.waiting.len() >= CHALLENGES_MAX {
            return Err(Refusal::Busy.into());
        }
        self.tokens_milli -= 1000;
        Ok(())
    }

    /// Remembers a challenge that was admitted and signed.
    pub fn issue(&mut self, bytes: &[u8], challenge: Challenge, secret: Secret, now: BootTime) {
        let hash = Challenge::hash(bytes);
        let deadline = now.plus_secs(CHALLENGE_TTL_SECS);
        self.waiting.insert(hash, Issued { challenge, hash, secret, deadline });
    }

    /// Gives a challenge out for its one use.
    fn take(&mut self, hash: &Hash, now: BootTime) -> Result<Issued, Refused> {
        match self.waiting.remove(hash) {
            Some(issued) if issued.deadline > now => Ok(issued),
            Some(_) | None => Err(Refusal::Challenge.into()),
        }
    }

    /// Makes room: whoever asked for this challenge is gone, or has asked for another one.
    pub fn forget(&mut self, hash: &Hash) {
        self.waiting.remove(hash);
    }

    /// Challenges that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Decides about a grant. On success the challenge is used up; whether a second signature is needed stands in
/// [`Permit::second`].
///
/// # Errors
/// The first reason to refuse.
pub fn decide(
    world: World<'_>,
    book: &mut ChallengeBook,
    boot_now: BootTime,
    grant_bytes: &[u8],
    engineer: &Signed,
) -> Result<Permit, Refused> {
    if grant_bytes.len() > GRANT_BYTES_MAX {
        return Err(Refusal::Malformed.into());
    }
    let person = signer_of(world, &engineer.key)?;
    let namespace = if world.guest { NAMESPACE_GUEST } else { NAMESPACE_GRANT };
    let verified = person.key.verify(namespace, grant_bytes, &engineer.sshsig);
    verified.map_err(|_| Refused::from(Refusal::Signature))?;
    let grant = Grant::from_bytes(grant_bytes).map_err(|e| Refusal::Malformed.with(e.to_string()))?;
    let issued = book.take(&grant.challenge, boot_now)?;
    meant_for_us(world, &grant, &issued, engineer)?;
    same_log(world.log, &grant)?;
    if world.guest && !is_plain(&grant) {
        return Err(Refusal::Malformed.with("a guest's grant has few scopes and short names, and watches nobody"));
    }
    if !may_sign(person.role, &grant.scopes) {
        return Err(Refusal::ApproverScope.into());
    }
    let Needs { second, ahead } = within_ceiling(world, &grant, person)?;
    Ok(Permit {
        visit: Grant::visit(grant_bytes),
        grant_hash: Grant::hash(grant_bytes),
        grant_bytes: grant_bytes.to_vec(),
        grant,
        person: person.key.person.clone(),
        second,
        ahead,
        issued,
    })
}

/// Whether a second signature by a person's key counts for this permit.
///
/// # Errors
/// Why it does not.
pub fn second_by_key(world: World<'_>, permit: &Permit, second: &Signed) -> Result<String, Refused> {
    let person = world.log.person(&second.key, Role::Approver);
    let kind = person.map(|person| person.key.kind).unwrap_or_default().signer();
    if !permit.second.as_ref().is_some_and(|kinds| kinds.contains(&kind)) {
        return Err(Refusal::SignerKind.with(kind.id()));
    }
    if second.key == permit.grant.engineer {
        return Err(Refusal::SamePerson.into());
    }
    let unknown = || Refusal::SecondSignature.with(second.key.short());
    let person = person.ok_or_else(unknown)?;
    if person.key.person == permit.person {
        return Err(Refusal::SamePerson.into());
    }
    if person.until < clock(world) {
        return Err(unknown());
    }
    let verified = person.key.verify(NAMESPACE_SECOND, &permit.grant_bytes, &second.sshsig);
    verified.map_err(|_| unknown())?;
    Ok(person.key.person.clone())
}

/// The person whose key signed for these scopes, if a running visit may go on after the log has grown.
#[must_use]
pub fn still_trusted<'a>(log: &'a TrustLog, key: &KeyId, scopes: &[Scope], agent: &AgentId) -> Option<&'a Person> {
    log.people.get(key).filter(|person| may_sign(person.role, scopes) && log.agents.contains_key(agent))
}

/// Engineers sign what the ceiling allows them; approvers, who speak for the customer, only what looks.
fn may_sign(role: Role, scopes: &[Scope]) -> bool {
    match role {
        Role::Engineer => true,
        Role::Approver => scopes.iter().all(Scope::only_looks),
    }
}

/// The later of wall clock and newest entry: a clock that is behind must not revive an expired key.
fn clock(world: World<'_>) -> UnixTime {
    world.now.max(world.log.newest_claim())
}

fn signer_of<'a>(world: World<'a>, key: &KeyId) -> Result<&'a Person, Refused> {
    let unknown = || Refusal::UnknownEngineer.with(key.short());
    let person = world.log.people.get(key).ok_or_else(unknown)?;
    let now = clock(world);
    if person.until < now {
        let days = person.until.distance_secs(now) / crate::time::DAY_SECS;
        return Err(Refusal::ExpiredEngineer.with(format!("{days} d")));
    }
    Ok(person)
}

/// A person reads it from a screen, on the phone: nothing may hide in its length.
fn is_plain(grant: &Grant) -> bool {
    grant.scopes.len() <= GUEST_SCOPES_MAX
        && grant.scopes.iter().all(|scope| !scope.only_looks())
        && grant.scopes.iter().filter_map(Scope::user).all(|user| user.chars().count() <= GUEST_USER_CHARS_MAX)
}

fn meant_for_us(world: World<'_>, grant: &Grant, issued: &Issued, engineer: &Signed) -> Result<(), Refused> {
    if grant.engineer != engineer.key {
        return Err(Refusal::Signature.into());
    }
    if grant.version != issued.challenge.version {
        return Err(Refusal::Version.into());
    }
    if grant.tenant != world.log.tenant() || grant.agent != world.agent {
        return Err(Refusal::OtherServer.into());
    }
    if !world.log.agents.contains_key(&world.agent) {
        return Err(Refusal::OtherServer.into());
    }
    Ok(())
}

fn same_log(log: &TrustLog, grant: &Grant) -> Result<(), Refused> {
    match log.hash_at(grant.trust_seq) {
        None => Err(Refusal::StaleLog.with(format!("{} < {}", log.head().seq, grant.trust_seq))),
        Some(hash) if hash == grant.trust_head => Ok(()),
        Some(_) => Err(Refusal::LogFork.into()),
    }
}

/// What a grant still needs.
struct Needs {
    second: Option<Vec<SignerKind>>,
    ahead: Option<(u64, String)>,
}

/// Checks every scope for this signer's key; says who may give the second signature when one is needed (those that all
/// scopes accept), or which one was given ahead. An approver's own signature is the customer's word: nobody else is asked.
fn within_ceiling(world: World<'_>, grant: &Grant, signer: &Person) -> Result<Needs, Refused> {
    let never = || Refusal::Ceiling.with("ceiling.toml");
    let ceiling = world.ceiling.ok_or_else(never)?;
    let policy = &world.log.policy;
    let mut longest = ceiling.limits.visit.min(Span(crate::limits::VISIT_SECS_MAX));
    let mut asking: Vec<(&Scope, &Rule)> = Vec::new();
    for scope in &grant.scopes {
        let rule = allowing_rule(world, ceiling, scope, signer)?;
        longest = rule.time.map_or(longest, |time| longest.min(time));
        let policy_asks = policy.second_for.iter().any(|user| scope.user() == Some(user.as_str()));
        if signer.role == Role::Engineer && (rule.mode == Mode::Ask || policy_asks) {
            asking.push((scope, rule));
        }
    }
    longest = policy.visit.map_or(longest, |visit| longest.min(visit));
    if grant.ttl_secs > longest.0 {
        return Err(Refusal::TooLong.with(longest.to_string()));
    }
    let Some(((_, first), rest)) = asking.split_first() else { return Ok(Needs { second: None, ahead: None }) };
    if let Some(ahead) = signed_ahead(world, grant, signer, &asking) {
        return Ok(Needs { second: None, ahead: Some(ahead) });
    }
    let mut kinds = first.second.clone();
    kinds.retain(|kind| rest.iter().all(|(_, rule)| rule.second.contains(kind)));
    Ok(Needs { second: Some(kinds), ahead: None })
}

/// One entry of the log that stands for the second signature under all of these scopes, for as long as the visit lasts. A
/// visit that would outlast it waits for a second signature as ever.
fn signed_ahead(world: World<'_>, grant: &Grant, signer: &Person, asking: &[(&Scope, &Rule)]) -> Option<(u64, String)> {
    // It begins by the server's own clock and ends by the later of both: a clock that is behind revives nothing.
    let hours = (world.now, clock(world).plus_secs(grant.ttl_secs));
    let able = world.log.approvers_at(clock(world));
    let mut all = world.log.ahead.iter();
    let (seq, ahead) = all.find(|(_, ahead)| {
        ahead.person != signer.key.person
            && able.contains_key(&ahead.by)
            && asking.iter().all(|(scope, rule)| {
                let accepted = rule.ahead && rule.second.contains(&ahead.kind);
                accepted && ahead.covers(&grant.agent, &grant.engineer, scope, hours)
            })
    })?;
    Some((*seq, ahead.person.clone()))
}

fn allowing_rule<'a>(
    world: World<'_>,
    ceiling: &'a Ceiling,
    scope: &Scope,
    signer: &Person,
) -> Result<&'a Rule, Refused> {
    let rule = ceiling.rule_of(scope).ok_or_else(|| Refusal::Ceiling.with(scope.to_string()))?;
    if world.log.policy.never.iter().any(|never| scope.user() == Some(never.as_str())) {
        return Err(Refusal::Policy.with(scope.to_string()));
    }
    if !rule.open_at(world.now, world.zone_secs) {
        let hours: Vec<String> = rule.hours.iter().map(ToString::to_string).collect();
        return Err(Refusal::Hours.with(hours.join("; ")));
    }
    let kind = signer.key.kind.signer();
    // Where a rule asks for the customer's signature it says of which kind that must be.
    let kinds = match (signer.role, rule.mode) {
        (Role::Approver, Mode::Ask) => &rule.second,
        (Role::Approver | Role::Engineer, Mode::Allow | Mode::Ask | Mode::Never) => &rule.signers,
    };
    if !kinds.contains(&kind) {
        return Err(Refusal::SignerKind.with(kind.id()));
    }
    Ok(rule)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decide_ahead_tests.rs"]
mod ahead_tests;
