//! First contact of a guest: a host with a code hears who asks to help, and says which tunnel it will come back with.
//!
//! ```text
//! GuestBegin -> code counts? -> GuestOffer -> GuestCommit -> EnrolDone ... and later, as a tunnel: known()
//! ```
//!
//! A code is used once. A stranger hears the same about every code that does not count. Never: a word about anybody
//! but the account that made the invitation.

use super::Shared;
use super::enrol::{End, unavailable};
use super::quic::Peer;
use super::registry;
use super::wire::{self, FrameReader};
use crate::clock;
use crate::store::{AgentRow, Guest, StoreError};
use cloud_doctor_proto::control::EnrolRefusal;
use cloud_doctor_proto::frame::{Frame, Kind};
use cloud_doctor_proto::guest::{GuestBegin, GuestCommit, GuestOffer};
use cloud_doctor_proto::ids::{AgentId, VerifyKey};
use cloud_doctor_proto::signer::SshKey;
use quinn::{Connection, SendStream};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};

/// For a host to make its log.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest host name that is kept.
const HOSTNAME_CHARS_MAX: usize = 64;

/// The hash under which a code's secret is kept.
pub(crate) fn secret_hash(secret: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"cloud-doctor invitation v1\0").chain_update(secret).finalize().into()
}

/// Serves a guest's first contact.
pub(super) async fn serve(
    shared: &Shared,
    connection: &Connection,
    peer: Peer,
    first: &Frame,
    send: &mut SendStream,
    frames: &mut FrameReader,
) -> Result<(), End> {
    let begin: GuestBegin = wire::parse(first)?;
    let unknown = || End::Refused(EnrolRefusal::Token);
    let hash = secret_hash(&begin.secret);
    let found = shared.store.invitation_of_code(&hash, clock::now()).await.map_err(unavailable)?;
    let invited = found.ok_or_else(unknown)?;
    let engineer = SshKey::from_blob(&invited.engineer_key).map_err(|_| unknown())?;
    let offer = GuestOffer { engineer, account: invited.account.clone() };
    wire::send(send, Kind::GuestOffer, &offer).await?;
    let answer = timeout(ANSWER, frames.expect::<GuestCommit>(Kind::GuestCommit)).await;
    let commit = answer.map_err(|_| End::Peer)??;
    let claim = commit.binding.verify().map_err(|_| End::Refused(EnrolRefusal::Entry))?;
    if claim.transport != peer.key {
        return Err(End::Refused(EnrolRefusal::Entry));
    }
    let now = clock::now();
    let hostname = begin.host.hostname.chars().filter(|c| !c.is_control()).take(HOSTNAME_CHARS_MAX).collect();
    let agent = AgentId::of(&claim.identity);
    let guest = Guest { came_at: now, transport_key: peer.key, agent, log: claim.tenant, hostname };
    let client = registry::address(connection).to_string();
    if !shared.store.use_invitation(&invited, &guest, &client, now).await.map_err(unavailable)? {
        return Err(unknown());
    }
    shared.guests.send_modify(|changes| *changes += 1);
    info!(guest = %agent.short(), account = invited.account, "a guest came with a code");
    Ok(())
}

/// A guest that leaves does not come back: its keys were made for this visit.
pub(super) async fn left(shared: &Shared, key: &VerifyKey) {
    if let Err(error) = shared.store.guest_left(key, clock::now()).await {
        warn!(%error, "could not note that a guest left");
    }
    shared.guests.send_modify(|changes| *changes += 1);
}

/// The guest whose tunnel has this key, while its visit may go on, as tunnels know servers.
pub(super) async fn known(shared: &Shared, key: &VerifyKey) -> Result<Option<AgentRow>, StoreError> {
    let Some(invited) = shared.store.invitation_of_tunnel(key).await? else { return Ok(None) };
    let row = |guest: &Guest| AgentRow {
        tenant: invited.tenant,
        tenant_id: guest.log,
        agent: guest.agent,
        transport_key: guest.transport_key,
        name: format!("guest of {}", invited.account),
        host: cloud_doctor_proto::control::HostFacts::default(),
        build: String::new(),
        enrolled_at: guest.came_at,
        last_seen_at: None,
        removed: false,
    };
    Ok(invited.guest_at(clock::now()).map(row))
}
