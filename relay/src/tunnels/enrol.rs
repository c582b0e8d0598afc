//! First contact: a host with a token gets the customer's log, answers with its own entry, and is on the list.
//!
//! ```text
//! EnrolBegin -> token counts? -> EnrolLog page* -> EnrolCommit -> [head moved: EnrolLog page* -> EnrolCommit]* -> EnrolDone
//! GuestBegin -> see guests
//! Unenrol -> signed by the identity whose tunnel key this is? -> EnrolDone
//! ```
//!
//! Token, entry and list change in one transaction. A stranger hears the same about every token that does not count,
//! and sees no log before one does.

use super::quic::Peer;
use super::trust::ReadLogError;
use super::wire::{self, FrameReader, WireError};
use super::{Shared, guests, registry};
use crate::clock;
use crate::store::{Action, Actor, AppendError, EnrolError, Enrolment, NewAgent, StoreError, TenantRef, TokenRefused};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, EnrolRefusal, TrustHead, Unenrol};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::{AgentId, TenantId};
use cloud_doctor_proto::limits::{ENTRIES_PAGE, GREETING_BYTES_MAX};
use cloud_doctor_proto::trust::{self, TrustLog, What};
use quinn::{Connection, SendStream};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};

/// From the end of the handshake to a whole first frame.
const GREETING: Duration = Duration::from_secs(5);
/// For a host to verify the log and sign its entry.
const ANSWER: Duration = Duration::from_secs(30);
/// Hosts of one batch that may overtake this one before it is told to come back.
const TRIES: usize = 50;
/// For the last frame to arrive before the connection is closed.
const DELIVERY: Duration = Duration::from_secs(2);

/// Why an enrolment ended without its answer.
pub(super) enum End {
    /// The peer is gone, late, or broke the protocol.
    Peer,
    /// The peer is told this.
    Refused(EnrolRefusal),
    /// The peer is told this, and then the customer's audit says why: a stranger must not measure what we write.
    Audited(EnrolRefusal, TenantRef, String),
}

impl From<WireError> for End {
    fn from(_: WireError) -> Self {
        Self::Peer
    }
}

/// Serves an enrolment connection; returns why it should be closed.
pub(super) async fn serve(shared: &Shared, connection: &Connection, peer: Peer) -> TunnelClose {
    let opened = timeout(GREETING, connection.accept_bi()).await;
    let Ok(Ok((mut send, recv))) = opened else { return TunnelClose::Protocol };
    let mut frames = FrameReader::new(recv, GREETING_BYTES_MAX);
    let Ok(Ok(Some(first))) = timeout(GREETING, frames.next()).await else { return TunnelClose::Protocol };
    let ended = if !shared.may_enrol(connection.remote_address().ip()) {
        Err(End::Refused(EnrolRefusal::Limited))
    } else if first.kind == Kind::EnrolBegin {
        match wire::parse(&first) {
            Ok(begin) => Newcomer { shared, connection, peer, begin }.enrol(&mut send, &mut frames).await,
            Err(_) => Err(End::Peer),
        }
    } else if first.kind == Kind::GuestBegin {
        guests::serve(shared, connection, peer, &first, &mut send, &mut frames).await
    } else if first.kind == Kind::Unenrol {
        match wire::parse(&first) {
            Ok(leave) => unenrol(shared, connection, peer, &leave).await,
            Err(_) => Err(End::Peer),
        }
    } else {
        Err(End::Peer)
    };
    let (refused, reason) = match ended {
        Ok(()) => (None, None),
        Err(End::Refused(refusal)) => (Some(refusal), None),
        Err(End::Audited(refusal, tenant, reason)) => (Some(refusal), Some((tenant, reason))),
        Err(End::Peer) => return TunnelClose::Protocol,
    };
    if wire::send(&mut send, Kind::EnrolDone, &EnrolDone { refused }).await.is_ok() && send.finish().is_ok() {
        drop(timeout(DELIVERY, send.stopped()).await);
    }
    if let Some((tenant, reason)) = reason {
        note_refused(shared, connection, tenant, &reason).await;
    }
    TunnelClose::Done
}

async fn note_refused(shared: &Shared, connection: &Connection, tenant: TenantRef, subject: &str) {
    // Rows stay for ever: an old token must not be a way to fill the disk.
    if !shared.may_note(tenant) {
        return info!(subject, "an enrolment was refused; too many were to note each");
    }
    let client = registry::address(connection).to_string();
    let by = Actor { account: "", client: &client };
    if let Err(error) = shared.store.of(tenant).note(by, Action::EnrolmentRefused, subject, clock::now()).await {
        warn!(%error, "could not write the audit");
    }
}

/// A host with a token.
struct Newcomer<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    peer: Peer,
    begin: EnrolBegin,
}

impl Newcomer<'_> {
    async fn enrol(&self, send: &mut SendStream, frames: &mut FrameReader) -> Result<(), End> {
        let secret_hash: [u8; 32] = Sha256::digest(self.begin.secret).into();
        let tenant = match self.shared.store.enrol_token_tenant(&secret_hash, clock::now()).await {
            Ok(tenant) => tenant,
            Err(refused) => return Err(self.token_refused(&refused)),
        };
        let scoped = self.shared.store.of(tenant);
        let tenant_id = scoped.tenant().await.map_err(unavailable)?.genesis.ok_or_else(no_log)?;
        let mut from = 0;
        for _ in 0..TRIES {
            let log = self.shared.logs.newest(scoped, tenant_id).await.map_err(log_failed)?;
            send_log(send, &log, tenant_id, from).await?;
            from = log.head().seq + 1;
            let answer = timeout(ANSWER, frames.expect::<EnrolCommit>(Kind::EnrolCommit));
            let commit = answer.await.map_err(|_| End::Peer)??;
            let enrolment = self.check(&log, commit, secret_hash)?;
            match self.shared.store.enrol(&enrolment, clock::now()).await {
                Ok((_, head)) => {
                    self.enrolled(tenant_id, head, &enrolment.agent);
                    return Ok(());
                }
                Err(EnrolError::Append(AppendError::HeadMoved { .. })) => {}
                Err(error) => return Err(self.enrol_failed(error, tenant)),
            }
        }
        Err(End::Refused(EnrolRefusal::Unavailable))
    }

    /// Only an entry that continues the log as this host's own, from the tunnel that will use it, is stored.
    fn check(&self, log: &TrustLog, commit: EnrolCommit, secret_hash: [u8; 32]) -> Result<Enrolment, End> {
        let junk = |what: &str| {
            info!(what, "an enrolment's entry is refused");
            End::Refused(EnrolRefusal::Entry)
        };
        let claim = commit.binding.verify().map_err(|_| junk("binding"))?;
        if claim.transport != self.peer.key || claim.tenant != log.tenant() {
            return Err(junk("binding of another tunnel or customer"));
        }
        let mut longer = log.clone();
        longer.append(&commit.entry).map_err(|error| junk(&error.to_string()))?;
        let (signed, entry) =
            trust::decode(&commit.entry, log.head().seq + 1).map_err(|error| junk(&error.to_string()))?;
        let What::AddAgent { identity, name } = entry.what else { return Err(junk("no agent entry")) };
        if identity != claim.identity {
            return Err(junk("another identity"));
        }
        let agent = NewAgent {
            agent: AgentId::of(&identity),
            transport_key: claim.transport,
            name,
            host: self.begin.host.clone(),
        };
        let entry = commit.entry.into_vec();
        let client = registry::address(self.connection).to_string();
        Ok(Enrolment { secret_hash, expected: log.head(), hash: signed.hash(), entry, agent, client })
    }

    fn enrolled(&self, tenant_id: TenantId, head: TrustHead, agent: &NewAgent) {
        self.shared.heads.bump(tenant_id, head.seq);
        info!(agent = %agent.agent.short(), name = agent.name, "server enrolled");
    }

    fn enrol_failed(&self, error: EnrolError, tenant: TenantRef) -> End {
        match error {
            EnrolError::Token(refused) => self.token_refused(&refused),
            EnrolError::Known => End::Audited(EnrolRefusal::Entry, tenant, EnrolError::Known.to_string()),
            EnrolError::Append(AppendError::HeadMoved { .. } | AppendError::OtherTenant) => {
                End::Refused(EnrolRefusal::Entry)
            }
            EnrolError::Append(AppendError::Store(error)) | EnrolError::Store(error) => unavailable(error),
        }
    }

    /// The same answer for every reason; the customer's audit names it.
    fn token_refused(&self, refused: &TokenRefused) -> End {
        info!(address = %registry::address(self.connection), reason = %refused, "enrolment refused");
        match refused {
            TokenRefused::Unknown => End::Refused(EnrolRefusal::Token),
            TokenRefused::Expired(tenant) | TokenRefused::Used(tenant) | TokenRefused::Revoked(tenant) => {
                End::Audited(EnrolRefusal::Token, *tenant, refused.to_string())
            }
            TokenRefused::Store(_) => End::Refused(EnrolRefusal::Unavailable),
        }
    }
}

async fn send_log(send: &mut SendStream, log: &TrustLog, tenant: TenantId, from: u64) -> Result<(), End> {
    let mut from = from;
    loop {
        let entries = log.entries_from(from, ENTRIES_PAGE);
        let next = from + u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let more = next <= log.head().seq;
        wire::send(send, Kind::EnrolLog, &EnrolLog { tenant, from, entries, more }).await?;
        if !more {
            return Ok(());
        }
        from = next;
    }
}

async fn unenrol(shared: &Shared, connection: &Connection, peer: Peer, leave: &Unenrol) -> Result<(), End> {
    let refused = End::Refused(EnrolRefusal::Entry);
    let Some(id) = leave.verify() else { return Err(refused) };
    let row = shared.store.agent_by_transport_key(&peer.key).await.map_err(unavailable)?;
    let Some(agent) = row.filter(|row| row.agent == id) else { return Err(refused) };
    let client = registry::address(connection).to_string();
    let by = Actor { account: "", client: &client };
    shared.store.of(agent.tenant).remove_agent(&id, by, clock::now()).await.map_err(unavailable)?;
    shared.registry.remove(&id);
    info!(agent = %id.short(), name = agent.name, "server left");
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
pub(super) fn unavailable(error: StoreError) -> End {
    warn!(%error, "enrolment failed");
    End::Refused(EnrolRefusal::Unavailable)
}

fn log_failed(error: ReadLogError) -> End {
    warn!(%error, "enrolment failed");
    drop(error);
    End::Refused(EnrolRefusal::Unavailable)
}

fn no_log() -> End {
    warn!("a token of a customer without a trust log");
    End::Refused(EnrolRefusal::Unavailable)
}
