//! What guard knows and decides. Synchronous; time and randomness are arguments; the only I/O is the audit log, the
//! trust log and the ceiling file, because nothing may be told before it is on disk.
//!
//! ```text
//!  challenge ─▶ grant ─▶ (second signature) ─▶ visit ─▶ channels ─▶ holders' events
//!                                   ▲             ▲
//!                     root: approve, deny     log grows, time passes, lockdown: visits and channels end
//! ```

mod authorise;
mod checks;
mod events;
mod forks;
mod grants;
mod looks;
mod metrics;
mod report;

pub(super) use authorise::Route;
pub(super) use checks::Chosen;
pub(crate) use forks::kept as fork_proofs;
pub(super) use grants::{Opening, Seeds};

use super::channels::Channel;
use super::visits::{Claims, Pending, Visit};
use crate::audit::{Audit, Event};
use crate::policy::{self, NoCeiling};
use crate::state::config::Config;
use crate::state::files::{self, FileError};
use crate::state::trust::{AppendError, TrustStore};
use crate::state::{Places, identity};
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ceiling::Ceiling;
use cloud_doctor_proto::control::{TransportBinding, TrustHead, TunnelState};
use cloud_doctor_proto::decide::{ChallengeBook, World, still_trusted};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::{AgentId, BootId, ChannelId, KeyId, VerifyKey, VisitId};
use cloud_doctor_proto::limits::ENTRIES_PAGE;
use cloud_doctor_proto::refusal::{Refusal, Refused, printable};
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::trust::{LogError, Role};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;

/// Visits open at once: no server has as many engineers.
const VISITS_MAX: usize = 256;
/// Characters of a refusal's detail in the audit.
const DETAIL_CHARS_MAX: usize = 300;
/// A visit without a living channel ends after this time: its engineer has gone home.
const VISIT_UNUSED_SECS: u64 = 600;

/// Facts of this boot that do not change.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// For people.
    pub(super) name: String,
    /// Changes with every boot.
    pub(super) boot: BootId,
    /// Seconds east of UTC.
    pub(super) zone_secs: fn() -> i32,
}

/// Everything that guard knows.
#[derive(Debug)]
pub(super) struct Core {
    places: Places,
    host: Host,
    identity: SigningKey,
    trust: TrustStore,
    audit: Audit,
    book: ChallengeBook,
    visits: BTreeMap<VisitId, Visit>,
    pending: BTreeMap<VisitId, Pending>,
    channels: BTreeMap<ChannelId, Channel>,
    runs: checks::Runs,
    shown: metrics::Shown,
    locked: bool,
    /// The log is one of a single visit.
    guest: bool,
    /// Root on this host is somebody else than the tunnel, so its word counts.
    local_signer: bool,
    tunnel: Option<TunnelState>,
    /// The ceiling in the status line, and whether it still is what the file says.
    ceiling_shown: String,
    ceiling_watch: policy::Watch,
}

/// State that cannot be trusted: guard answers everybody with this sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) String);

impl Core {
    /// Reads the state.
    ///
    /// # Errors
    /// [`Damaged`] with the file's name.
    pub(super) fn load(places: &Places, host: Host, local_signer: bool, moment: Moment) -> Result<Self, Damaged> {
        let damaged = |error: &dyn std::fmt::Display| Damaged(error.to_string());
        let config = Config::load(&places.config()).map_err(|e| damaged(&e))?;
        let identity = identity::load(&places.guard).map_err(|e| damaged(&e))?;
        let trust = TrustStore::load(&places.guard, config.tenant()).map_err(|e| damaged(&e))?;
        let mut audit = Audit::open(&places.audit(), identity.clone(), moment).map_err(|e| damaged(&e))?;
        let locked = places.is_locked_down();
        audit.note(
            moment,
            &Event::new("guard-started")
                .with("build", env!("CARGO_PKG_VERSION"))
                .with("boot", host.boot.to_string())
                .with("agent", identity::agent_id(&identity).to_string())
                .with("identity", identity::public(&identity).to_string())
                .with("log-entry", trust.log().head().seq)
                .with("locked-down", locked),
        );
        Ok(Self {
            places: places.clone(),
            host,
            identity,
            trust,
            audit,
            book: ChallengeBook::default(),
            visits: BTreeMap::new(),
            pending: BTreeMap::new(),
            channels: BTreeMap::new(),
            runs: checks::Runs::default(),
            shown: metrics::Shown::default(),
            locked,
            guest: config.guest,
            local_signer,
            tunnel: None,
            ceiling_shown: String::new(),
            ceiling_watch: policy::Watch::new(places.ceiling()),
        })
    }

    /// Who we are.
    pub(super) fn agent(&self) -> AgentId {
        identity::agent_id(&self.identity)
    }

    /// Guard's word for a tunnel's key.
    pub(super) fn bind_transport(&mut self, moment: Moment, transport: VerifyKey) -> TransportBinding {
        let event = Event::new("transport-key-bound").with("key", transport.to_string());
        self.audit.note_counted(moment, "transport-key-bound", event);
        TransportBinding::sign(&self.identity, transport, self.trust.log().tenant())
    }

    /// What the tunnel says about its relays.
    pub(super) fn tunnel_says(&mut self, mut state: TunnelState) {
        for relay in &mut state.relays {
            relay.url = brief(&relay.url, DETAIL_CHARS_MAX);
            relay.error = relay.error.as_deref().map(|error| brief(error, DETAIL_CHARS_MAX));
        }
        self.tunnel = Some(state);
    }

    /// Takes new entries of the trust log; whoever is not trusted any more is ended.
    ///
    /// # Errors
    /// [`Refusal::LogFork`] when they do not continue the pinned log. Genuine ones before the wrong one are kept.
    pub(super) fn trust_update<B: AsRef<[u8]>>(&mut self, moment: Moment, entries: &[B]) -> Result<TrustHead, Refused> {
        if entries.len() > ENTRIES_PAGE {
            return Err(Refusal::Malformed.with(format!("more than {ENTRIES_PAGE} entries")));
        }
        let before = self.trust.log().head();
        let result = self.trust.append(entries);
        let after = self.trust.log().head();
        if after != before {
            self.audit.note(
                moment,
                &Event::new("trust-log-grew")
                    .with("from", before.seq)
                    .with("to", after.seq)
                    .with("head", after.hash.to_string()),
            );
            self.sweep(moment);
        }
        match result {
            Ok(_) => Ok(after),
            Err(AppendError::Log(error)) => {
                self.keep_fork_proof(moment, entries);
                Err(self.wrong_entries(moment, &error))
            }
            Err(AppendError::File(error)) => {
                tracing::error!(%error, "new entries of the trust log cannot be stored");
                Err(Refusal::StaleLog.with(error.to_string()))
            }
        }
    }

    fn wrong_entries(&mut self, moment: Moment, error: &LogError) -> Refused {
        let event = Event::new("trust-log-refused").with("why", error.to_string());
        self.audit.note_counted(moment, "trust-log-refused", event);
        Refusal::LogFork.into()
    }

    fn ceiling(&self) -> Result<Ceiling, NoCeiling> {
        policy::load(&self.places.ceiling())
    }

    fn world<'a>(&'a self, moment: Moment, ceiling: Option<&'a Ceiling>) -> World<'a> {
        let zone_secs = (self.host.zone_secs)();
        World { agent: self.agent(), log: self.trust.log(), ceiling, now: moment.at, zone_secs, guest: self.guest }
    }

    /// Writes a refusal to the audit, at a bounded rate.
    fn refused(&mut self, moment: Moment, what: &'static str, claims: &Claims, refused: &Refused, detail: &str) {
        let detail = if detail.is_empty() { &refused.detail } else { detail };
        let event = Event::new("refused")
            .with("what", what)
            .with("code", refused.code.id())
            .with("detail", brief(detail, DETAIL_CHARS_MAX))
            .with("claimed-account", claims.account.as_str())
            .with("claimed-client", claims.client.as_str());
        self.audit.note_counted(moment, refused.code.id(), event);
    }

    /// Ends what may not go on: the log has grown, time has passed, or the server was locked down.
    pub(super) fn sweep(&mut self, moment: Moment) {
        let expired: Vec<VisitId> =
            self.visits.iter().filter(|(_, v)| v.door.ends_at <= moment.boot).map(|(id, _)| *id).collect();
        for id in expired {
            self.end_visit(moment, id, FinReason::Expired);
        }
        for id in self.unused(moment) {
            self.end_visit(moment, id, FinReason::Idle);
        }
        let distrusted: Vec<VisitId> =
            self.visits.iter().filter(|(_, visit)| !self.may_go_on(moment, visit)).map(|(id, _)| *id).collect();
        for id in distrusted {
            self.end_visit(moment, id, FinReason::Revoked);
        }
        let log = self.trust.log();
        for channel in self.channels.values() {
            // Whoever works in a channel is an engineer, whatever else a key with this id may sign.
            let engineer = log.person(&channel.engineer, Role::Engineer).is_some();
            if !engineer || !self.trusts(moment, &channel.engineer, &[]) {
                channel.end(FinReason::Revoked);
            }
        }
        self.sweep_pending(moment);
        self.sweep_metrics(moment);
        self.audit.flush_counts(moment);
    }

    /// Visits that have had no living channel for long.
    fn unused(&mut self, moment: Moment) -> Vec<VisitId> {
        for channel in self.channels.values() {
            let watching = channel.watchers.iter().filter(|(_, attached)| **attached).map(|(visit, _)| visit);
            for id in watching.chain([&channel.visit]) {
                if let Some(visit) = self.visits.get_mut(id) {
                    visit.used_at = moment.boot;
                }
            }
        }
        let unused = |visit: &Visit| visit.used_at.plus_secs(VISIT_UNUSED_SECS) <= moment.boot;
        self.visits.iter().filter(|(_, visit)| unused(visit)).map(|(id, _)| *id).collect()
    }

    /// Makes room for one more visit: the one that has had no channel for the longest time goes.
    fn make_room(&mut self, moment: Moment) -> Result<(), Refused> {
        if self.visits.len() < VISITS_MAX {
            return Ok(());
        }
        let serves = |channel: &Channel, id: &VisitId| channel.visit == *id || channel.watchers.get(id) == Some(&true);
        let has_channel = |id: &VisitId| self.channels.values().any(|channel| serves(channel, id));
        let oldest = self.visits.iter().filter(|(id, _)| !has_channel(id)).min_by_key(|(_, visit)| visit.used_at);
        let oldest = oldest.map(|(id, _)| *id).ok_or_else(|| Refusal::TooMany.with(VISITS_MAX.to_string()))?;
        self.end_visit(moment, oldest, FinReason::Idle);
        Ok(())
    }

    /// The engineer may sign, what was signed ahead for it still stands, and the policy has not taken anything away that the
    /// visit was for.
    fn may_go_on(&self, moment: Moment, visit: &Visit) -> bool {
        let never = &self.trust.log().policy.never;
        let forbidden = visit.scopes().iter().filter_map(Scope::user).any(|user| never.iter().any(|one| one == user));
        let ended = visit.note.ahead.is_some_and(|entry| !self.trust.log().ahead.contains_key(&entry));
        !forbidden && !ended && self.trusts(moment, visit.engineer(), visit.scopes())
    }

    /// Root's word counts also when another process wrote it while this one did not answer.
    fn is_locked(&self) -> bool {
        self.locked || self.places.is_locked_down()
    }

    /// Whether the key that signed for these scopes still counts.
    fn trusts(&self, moment: Moment, key: &KeyId, scopes: &[Scope]) -> bool {
        let log = self.trust.log();
        // A clock that stands before the newest entry is wrong, and must not prolong anybody's time.
        let now = moment.at.max(log.newest_claim());
        still_trusted(log, key, scopes, &self.agent()).is_some_and(|person| person.until >= now)
    }

    fn sweep_pending(&mut self, moment: Moment) {
        let ids: Vec<VisitId> = self.pending.keys().copied().collect();
        for id in ids {
            let pending = &self.pending[&id];
            let over = if pending.deadline <= moment.boot {
                Some(Refusal::NoAnswer)
            } else if !self.trusts(moment, &pending.permit.grant.engineer, &pending.permit.grant.scopes) {
                Some(Refusal::UnknownEngineer)
            } else {
                None
            };
            if let Some(code) = over {
                self.answer_pending(moment, id, Err(code.into()));
            }
        }
    }

    /// Ends a visit and its channels.
    fn end_visit(&mut self, moment: Moment, id: VisitId, reason: FinReason) {
        let Some(visit) = self.visits.remove(&id) else { return };
        let event = Event::new("visit-ended")
            .with("visit", id.to_string())
            .with("engineer", visit.note.person.as_str())
            .with("reason", events::fin_reason(reason));
        self.audit.note(moment, &event);
        for channel in self.channels.values_mut() {
            channel.unwatch(id, reason);
            if channel.visit == id {
                channel.end(reason);
            }
        }
    }

    /// Nobody gets in and everybody gets out, until root undoes it. Holds also for the next start.
    ///
    /// # Errors
    /// [`FileError`] when it could not be made to last; it is in force all the same.
    pub(super) fn lock_down(&mut self, moment: Moment) -> Result<usize, FileError> {
        self.locked = true;
        self.end_metrics(moment);
        let living = self.channels.values().filter(|channel| !channel.over).count();
        for channel in self.channels.values() {
            channel.end(FinReason::Ended);
        }
        let lasting = lock_down_lasting(&self.places, moment);
        self.audit.note(moment, &Event::new("lockdown").with("channels", living));
        for id in self.visits.keys().copied().collect::<Vec<_>>() {
            self.end_visit(moment, id, FinReason::Ended);
        }
        for id in self.pending.keys().copied().collect::<Vec<_>>() {
            self.answer_pending(moment, id, Err(Refusal::Lockdown.into()));
        }
        lasting.map(|()| living)
    }

    /// Root opens the server again.
    ///
    /// # Errors
    /// [`FileError`]: it stays locked.
    pub(super) fn undo_lockdown(&mut self, moment: Moment) -> Result<(), FileError> {
        files::remove(&self.places.lockdown())?;
        files::sync_parent(&self.places.lockdown())?;
        self.locked = false;
        self.audit.note(moment, &Event::new("lockdown-undone"));
        Ok(())
    }

    /// A guest's visit is over, and its shells with it: nobody would look after them, and nobody could reach them.
    pub(super) fn leave(&mut self, moment: Moment, reason: FinReason) {
        if self.guest {
            for id in self.visits.keys().copied().collect::<Vec<_>>() {
                self.end_visit(moment, id, reason);
            }
        }
    }

    /// No shell is left that guard has to see out.
    pub(super) fn is_deserted(&self) -> bool {
        !self.guest || self.channels.values().all(|channel| channel.over)
    }

    /// Something waits for time to pass.
    pub(super) fn is_busy(&self) -> bool {
        let waits = !(self.visits.is_empty() && self.pending.is_empty() && self.channels.is_empty());
        waits || self.shows_live()
    }
}

/// A stranger's text on one line, cut after it was made safe: escapes count.
fn brief(text: &str, chars_max: usize) -> String {
    text.chars().flat_map(printable).take(chars_max).collect()
}

/// Writes the file that keeps a server locked down.
///
/// # Errors
/// [`FileError`].
pub(crate) fn lock_down_lasting(places: &Places, moment: Moment) -> Result<(), FileError> {
    let text = format!("locked down at {}\n", cloud_doctor_proto::audit::rfc3339(moment.at));
    let path = places.lockdown();
    match files::create(&path, files::PRIVATE, text.as_bytes()) {
        // Existing is what counts; its content is for people.
        Err(_) if path.symlink_metadata().is_ok() => Ok(()),
        result @ (Ok(()) | Err(_)) => result,
    }
}

#[cfg(test)]
mod tests;
