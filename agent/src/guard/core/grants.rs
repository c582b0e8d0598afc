//! From a challenge to an open visit.

use super::super::visits::{Claims, Pending, Visit};
use super::Core;
use crate::audit::Event;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::channel::Secret;
use cloud_doctor_proto::control::negotiate;
use cloud_doctor_proto::decide::{Permit, decide, second_by_key, still_trusted};
use cloud_doctor_proto::grant::{Challenge, Scope};
use cloud_doctor_proto::ids::{Hash, Nonce, VisitId};
use cloud_doctor_proto::limits::{
    CHALLENGE_TTL_SECS, ENTRIES_PAGE, NAME_CHARS_MAX, PENDING_MAX, PROTO_VERSION, PROTO_VERSION_MIN,
};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::signer::SignerKind;
use cloud_doctor_proto::told::Tell;
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, NeedSecond, OpenVisit, Signed, VisitOpened};
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

/// How long a grant waits for its second signature: somebody has to be called on the phone.
const PENDING_SECS: u64 = 600;

/// Randomness of a challenge.
#[derive(Debug)]
pub(crate) struct Seeds {
    pub(crate) nonce: Nonce,
    pub(crate) secret: Secret,
}

/// What came of a grant.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The visit is open.
    Opened(VisitOpened),
    /// Somebody else must sign too; the answer comes through the queue.
    Waits(NeedSecond, oneshot::Receiver<Result<VisitOpened, Refused>>),
}

impl Core {
    /// A one-time question for a client.
    ///
    /// # Errors
    /// Why there is none, already in the audit.
    pub(crate) fn challenge(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &ChallengeRequest,
        seeds: Seeds,
    ) -> Result<ChallengeReply, Refused> {
        let result = self.try_challenge(moment, request, seeds);
        if let Err(refused) = &result {
            self.refused(moment, "challenge", claims, refused, "");
        }
        result
    }

    fn try_challenge(
        &mut self,
        moment: Moment,
        request: &ChallengeRequest,
        seeds: Seeds,
    ) -> Result<ChallengeReply, Refused> {
        self.not_locked()?;
        let ours = (PROTO_VERSION_MIN, PROTO_VERSION);
        let version = negotiate(ours, (request.proto_min, request.proto_max));
        let version = version.ok_or_else(|| Refusal::Version.with(format!("{}-{}", ours.0, ours.1)))?;
        self.book.admit(moment.boot)?;
        let head = self.trust.log().head();
        let challenge = Challenge {
            version,
            offered_min: request.proto_min,
            offered_max: request.proto_max,
            identity: crate::state::identity::public(&self.identity),
            tenant: self.trust.log().tenant(),
            host: self.host.name.chars().take(NAME_CHARS_MAX).collect(),
            boot: self.host.boot,
            nonce: seeds.nonce,
            agent_key: seeds.secret.exchange_key(),
            trust_seq: head.seq,
            trust_head: head.hash,
            at: moment.at,
            ttl_secs: CHALLENGE_TTL_SECS,
        };
        let (bytes, signature) = challenge.sign(&self.identity);
        self.book.issue(&bytes, challenge, seeds.secret, moment.boot);
        let entries = self.trust.log().entries_from(request.trust_seq.saturating_add(1), ENTRIES_PAGE);
        Ok(ChallengeReply { challenge: ByteBuf::from(bytes), signature, entries })
    }

    /// A client that asks again, or goes away, gives its challenge back: places are for those who are still there.
    pub(crate) fn forget_challenge(&mut self, hash: &Hash) {
        self.book.forget(hash);
    }

    /// A client's grant.
    ///
    /// # Errors
    /// Why it opens nothing, already in the audit.
    pub(crate) fn open_visit(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &OpenVisit,
    ) -> Result<Opening, Refused> {
        let result = self.try_open_visit(moment, claims, request);
        if let Err(refused) = &result {
            let signer = format!("{} key {}", refused.detail, request.engineer.key);
            self.refused(moment, "visit", claims, refused, signer.trim_start());
        }
        result
    }

    fn try_open_visit(&mut self, moment: Moment, claims: &Claims, request: &OpenVisit) -> Result<Opening, Refused> {
        self.not_locked()?;
        self.trust_update(moment, &request.entries)?;
        let ceiling = self.ceiling().map_err(|reason| Refusal::Ceiling.telling(reason.told()))?;
        let mut book = std::mem::take(&mut self.book);
        let world = self.world(moment, Some(&ceiling));
        let decided = decide(world, &mut book, moment.boot, &request.grant, &request.engineer);
        let signed_by = match (&decided, &request.second) {
            (Ok(permit), Some(second)) if permit.second.is_some() => second_by_key(world, permit, second).map(Some),
            (Ok(_) | Err(_), Some(_) | None) => Ok(None),
        };
        self.book = book;
        let (permit, signed_by) = (decided?, signed_by?);
        match (&permit.second, signed_by) {
            (None, _) => {
                let ahead = permit.ahead.as_ref().map(|(_, person)| person.clone());
                Ok(Opening::Opened(self.open(moment, claims, permit, ahead.unwrap_or_default())?))
            }
            (Some(_), Some(person)) => Ok(Opening::Opened(self.open(moment, claims, permit, person)?)),
            (Some(kinds), None) => {
                let kinds = kinds.clone();
                self.wait_for_second(moment, claims, permit, &kinds)
            }
        }
    }

    fn wait_for_second(
        &mut self,
        moment: Moment,
        claims: &Claims,
        permit: Permit,
        kinds: &[SignerKind],
    ) -> Result<Opening, Refused> {
        let remote = kinds.iter().any(|kind| *kind != SignerKind::Local);
        let local = kinds.contains(&SignerKind::Local) && self.local_signer;
        if !remote && !local {
            return Err(Refusal::SignerKind.telling(Tell::NoLocalSigner.with(&[])));
        }
        if self.pending.len() >= PENDING_MAX {
            return Err(Refusal::Busy.into());
        }
        let visit = permit.visit;
        let event = Event::new("second-signature-needed")
            .with("visit", visit.to_string())
            .with("engineer", permit.person.as_str())
            .with("scopes", scopes(&permit.grant.scopes))
            .with("minutes", permit.grant.ttl_secs / 60)
            .with("reason", permit.grant.reason.as_str());
        self.audit.begin(moment, &event)?;
        let (answer, answered) = oneshot::channel();
        let deadline = moment.boot.plus_secs(PENDING_SECS);
        self.pending.insert(visit, Pending { permit, claims: claims.clone(), deadline, answer });
        Ok(Opening::Waits(NeedSecond { visit, within_secs: PENDING_SECS, remote, local }, answered))
    }

    /// A second signature from the client's side. The grant goes on waiting when it does not hold.
    ///
    /// # Errors
    /// Why it does not count.
    pub(crate) fn second(
        &mut self,
        moment: Moment,
        claims: &Claims,
        visit: VisitId,
        second: &Signed,
    ) -> Result<VisitOpened, Refused> {
        let result = self.try_second(moment, visit, second);
        if let Err(refused) = &result {
            let detail = format!("visit {visit} key {}", second.key);
            self.refused(moment, "second signature", claims, refused, &detail);
        }
        result
    }

    fn try_second(&mut self, moment: Moment, visit: VisitId, second: &Signed) -> Result<VisitOpened, Refused> {
        self.not_locked()?;
        let pending = self.pending.get(&visit).ok_or(Refusal::NoVisit)?;
        let person = second_by_key(self.world(moment, None), &pending.permit, second)?;
        let pending = self.pending.remove(&visit).expect("looked up above");
        self.open(moment, &pending.claims, pending.permit, person)
    }

    /// Root on this host approves.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn approve_local(&mut self, moment: Moment, visit: VisitId) -> Result<(), Refused> {
        self.not_locked()?;
        let pending = self.pending.get(&visit).ok_or(Refusal::NoVisit)?;
        let accepted = pending.permit.second.as_ref().is_some_and(|kinds| kinds.contains(&SignerKind::Local));
        if !accepted || !self.local_signer {
            return Err(Refusal::SignerKind.with("local"));
        }
        let pending = self.pending.remove(&visit).expect("looked up above");
        let opened = self.open(moment, &pending.claims, pending.permit, "root on this server".to_owned());
        let result = opened.as_ref().map(|_| ()).map_err(Clone::clone);
        // The client may have gone away; then the visit ends by its time.
        pending.answer.send(opened).ok();
        result
    }

    /// The customer says no, or nobody waits any more.
    pub(crate) fn answer_pending(
        &mut self,
        moment: Moment,
        visit: VisitId,
        answer: Result<VisitOpened, Refused>,
    ) -> bool {
        let Some(pending) = self.pending.remove(&visit) else { return false };
        if let Err(refused) = &answer {
            let event = Event::new("second-signature-missing")
                .with("visit", visit.to_string())
                .with("engineer", pending.permit.person.as_str())
                .with("code", refused.code.id());
            self.audit.note(moment, &event);
        }
        // A client that went away needs no answer.
        pending.answer.send(answer).ok();
        true
    }

    /// Opens the visit: written to disk before anybody is told.
    fn open(
        &mut self,
        moment: Moment,
        claims: &Claims,
        permit: Permit,
        second: String,
    ) -> Result<VisitOpened, Refused> {
        let grant = &permit.grant;
        if still_trusted(self.trust.log(), &grant.engineer, &grant.scopes, &self.agent()).is_none() {
            return Err(Refusal::UnknownEngineer.into());
        }
        self.make_room(moment)?;
        let visit = Visit::open(permit, second, moment.boot, moment.at);
        let mut event = Event::new("visit-opened")
            .with("visit", visit.door.visit.to_string())
            .with("grant", visit.door.grant.to_string())
            .with("engineer", visit.note.person.as_str())
            .with("key", visit.grant.engineer.to_string())
            .with("second", visit.note.second.as_str())
            .with("scopes", scopes(&visit.grant.scopes))
            .with("minutes", visit.grant.ttl_secs / 60)
            .with("reason", visit.grant.reason.as_str())
            .with("ticket", visit.grant.ticket.as_str())
            .with("claimed-account", claims.account.as_str())
            .with("claimed-client", claims.client.as_str());
        if let Some(entry) = visit.note.ahead {
            event = event.with("signed-ahead-in-entry", entry);
        }
        self.audit.begin(moment, &event)?;
        let engineer = visit.grant.engineer;
        let living = self.channels.iter().filter(|(_, channel)| channel.engineer == engineer);
        let opened = VisitOpened {
            visit: visit.door.visit,
            ends_in_secs: visit.grant.ttl_secs,
            channels: living.map(|(id, channel)| channel.info(*id, moment.at)).collect(),
        };
        self.visits.insert(opened.visit, visit);
        Ok(opened)
    }

    pub(super) fn not_locked(&self) -> Result<(), Refused> {
        if self.is_locked() { Err(Refusal::Lockdown.into()) } else { Ok(()) }
    }
}

/// Scopes in words, for the audit and for people: `shell root, exec deploy`.
pub(crate) fn scopes(scopes: &[Scope]) -> String {
    scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
