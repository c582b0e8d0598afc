//! One live tunnel: greeting, registration, pushing trust-log entries, until the connection ends.
//!
//! ```text
//! (key proved) -> on the list? -> control stream -> Hello -> HelloAck -> [TrustUpdate -> TrustHead]* ... closed
//! ```
//!
//! Entries are pushed one page at a time: the next page follows the agent's word that it has the last one.

use super::quic::Peer;
use super::wire::{self, FrameReader, WireError};
use super::{BUILD, Shared, guests};
use crate::clock;
use crate::store::{AgentRow, StoreError};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{self, Hello, HelloAck, HostFacts, TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::{self, Frame, Kind};
use cloud_doctor_proto::ids::{TenantId, VerifyKey};
use cloud_doctor_proto::limits::{ENTRIES_PAGE, GREETING_BYTES_MAX, PROTO_VERSION, PROTO_VERSION_MIN};
use quinn::{Connection, ConnectionError, SendStream, VarInt};
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info, warn};

/// From the end of the handshake to a whole Hello.
const GREETING: Duration = Duration::from_secs(5);
/// A control stream goes before all others.
const CONTROL_PRIORITY: i32 = 100;
/// Starts of a system that are told so close to each other are one: its clock was set in between.
const SAME_BOOT: u64 = 60;
/// Longest text of a host fact that is kept.
const FACT_CHARS_MAX: usize = 128;

/// Serves a connection whose key was proved; returns why it should be closed.
pub(super) async fn serve(shared: &Shared, connection: &Connection, peer: Peer) -> TunnelClose {
    let Known { agent, kind } = match known(shared, &peer.key).await {
        Ok(Some(known)) if !known.agent.removed => known,
        Ok(Some(Known { agent, .. })) => {
            info!(agent = %agent.agent.short(), "a removed server tried to connect");
            return TunnelClose::NotEnrolled;
        }
        Ok(None) => {
            debug!("a stranger's key");
            return TunnelClose::NotEnrolled;
        }
        Err(error) => {
            warn!(%error, "cannot look up an agent");
            return TunnelClose::Unavailable;
        }
    };
    match timeout(GREETING, greet(shared, connection, &agent, kind, peer)).await {
        Err(_) => TunnelClose::Protocol,
        Ok(Err(why)) => why,
        Ok(Ok(mut link)) => link.run(shared, connection).await,
    }
}

/// Whose tunnel it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TunnelKind {
    /// An enrolled server's: it is on the list and follows the customer's log.
    Enrolled,
    /// A guest's whose visit goes on: it has a log of its own, and is on no list.
    Guest,
}

/// A server that may connect.
struct Known {
    agent: AgentRow,
    kind: TunnelKind,
}

async fn known(shared: &Shared, key: &VerifyKey) -> Result<Option<Known>, StoreError> {
    if let Some(agent) = shared.store.agent_by_transport_key(key).await? {
        return Ok(Some(Known { agent, kind: TunnelKind::Enrolled }));
    }
    Ok(guests::known(shared, key).await?.map(|agent| Known { agent, kind: TunnelKind::Guest }))
}

/// Reads Hello, checks it, enters the tunnel into the registry, answers.
async fn greet<'a>(
    shared: &Shared,
    connection: &Connection,
    agent: &'a AgentRow,
    kind: TunnelKind,
    peer: Peer,
) -> Result<Link<'a>, TunnelClose> {
    let (mut send, recv) = connection.accept_bi().await.map_err(|_| TunnelClose::Protocol)?;
    let mut frames = FrameReader::new(recv, GREETING_BYTES_MAX);
    let hello: Hello = frames.expect(Kind::Hello).await.map_err(protocol)?;
    let proto = control::negotiate((PROTO_VERSION_MIN, PROTO_VERSION), (hello.proto_min, hello.proto_max));
    let proto = proto.ok_or(TunnelClose::Version)?;
    let claim = hello.binding.verify().map_err(|error| {
        warn!(agent = %agent.agent.short(), %error, "the tunnel's binding does not hold");
        TunnelClose::Protocol
    })?;
    let speaks_for = cloud_doctor_proto::ids::AgentId::of(&claim.identity);
    if claim.transport != peer.key || speaks_for != agent.agent || claim.tenant != agent.tenant_id {
        warn!(agent = %agent.agent.short(), claims = %speaks_for.short(), "the tunnel's binding is for another agent");
        return Err(TunnelClose::NotEnrolled);
    }
    if kind == TunnelKind::Enrolled {
        note_host(shared, agent, hello.host, hello.build).await;
    }
    drop(send.set_priority(CONTROL_PRIORITY));
    let now = clock::now();
    let ack = HelloAck { proto, build: BUILD.into(), now };
    wire::send(&mut send, Kind::HelloAck, &ack).await.map_err(protocol)?;
    let log = match kind {
        TunnelKind::Enrolled => {
            shared.seen.note(agent.agent, now);
            agent.tenant_id
        }
        // A guest's log is its own and never grows here.
        TunnelKind::Guest => TenantId([0; 32]),
    };
    let heads = shared.heads.follow(log);
    Ok(Link { agent, kind, send, frames, heads, confirmed: hello.trust, asked: None, grown: false })
}

/// The agent closed on purpose: it was told to stop. One that was killed says nothing.
fn said_good_bye(connection: &Connection) -> bool {
    let done = VarInt::from(u32::from(TunnelClose::Done.number()));
    matches!(connection.close_reason(), Some(ConnectionError::ApplicationClosed(close)) if close.error_code == done)
}

fn protocol(error: WireError) -> TunnelClose {
    debug!(%error, "greeting failed");
    TunnelClose::Protocol
}

async fn note_host(shared: &Shared, agent: &AgentRow, host: HostFacts, build: String) {
    let cut = |text: String| text.chars().filter(|c| !c.is_control()).take(FACT_CHARS_MAX).collect::<String>();
    let HostFacts { hostname, os, kernel, arch, cpus, memory_bytes, booted_at } = host;
    let [hostname, os, kernel, arch, build] = [hostname, os, kernel, arch, build].map(cut);
    // A fleet that comes back must not be a write per agent: the same start, told again, is the one that is known.
    let known = agent.host.booted_at.filter(|known| booted_at.is_some_and(|at| at.distance_secs(*known) <= SAME_BOOT));
    let host = HostFacts { hostname, os, kernel, arch, cpus, memory_bytes, booted_at: known.or(booted_at) };
    if host == agent.host && build == agent.build {
        return;
    }
    if let Err(error) = shared.store.of(agent.tenant).set_host_facts(&agent.agent, &host, &build).await {
        warn!(%error, "could not write what a server says about itself");
    }
}

/// A greeted tunnel.
struct Link<'a> {
    agent: &'a AgentRow,
    kind: TunnelKind,
    send: SendStream,
    frames: FrameReader,
    heads: watch::Receiver<u64>,
    /// How far the agent says it is.
    confirmed: TrustHead,
    /// The entry up to which a page is on its way.
    asked: Option<u64>,
    /// The log grew while an answer was awaited.
    grown: bool,
}

impl Link<'_> {
    async fn is_still_enrolled(&self, shared: &Shared) -> bool {
        match known(shared, &self.agent.transport_key).await {
            Ok(known) => known.is_some_and(|known| !known.agent.removed && known.agent.agent == self.agent.agent),
            Err(error) => {
                warn!(%error, "cannot look up an agent");
                false
            }
        }
    }

    async fn run(&mut self, shared: &Shared, connection: &Connection) -> TunnelClose {
        let agent = self.agent;
        let place = shared.registry.enter(agent.agent, agent.tenant_id, connection.clone(), clock::now());
        // A removal closes what is entered: one that happened during the greeting is found here (TLS-04).
        if !self.is_still_enrolled(shared).await {
            return TunnelClose::NotEnrolled;
        }
        info!(agent = %agent.agent.short(), name = agent.name, "agent connected");
        if self.kind == TunnelKind::Guest {
            shared.guests.send_modify(|changes| *changes += 1);
        }
        let why = self.talk(shared, connection).await;
        drop(place);
        match self.kind {
            TunnelKind::Enrolled => shared.seen.note(agent.agent, clock::now()),
            TunnelKind::Guest if said_good_bye(connection) => guests::left(shared, &agent.transport_key).await,
            TunnelKind::Guest => {}
        }
        info!(agent = %agent.agent.short(), name = agent.name, reason = why.text(), "agent disconnected");
        why
    }

    async fn talk(&mut self, shared: &Shared, connection: &Connection) -> TunnelClose {
        if let Err(why) = self.push(shared).await {
            return why;
        }
        loop {
            let turn = tokio::select! {
                biased;
                error = connection.closed() => {
                    debug!(%error, "connection ended");
                    return TunnelClose::Done;
                }
                grown = self.heads.changed() => {
                    drop(grown);
                    self.push(shared).await
                }
                frame = self.frames.next() => match frame {
                    Ok(Some(frame)) => self.heard(shared, &frame).await,
                    Ok(None) | Err(_) => Err(TunnelClose::Protocol),
                },
            };
            if let Err(why) = turn {
                return why;
            }
        }
    }

    /// Kinds of newer or other conversations mean nothing here.
    async fn heard(&mut self, shared: &Shared, frame: &Frame) -> Result<(), TunnelClose> {
        if frame.kind == Kind::TrustHead {
            self.confirm(shared, frame).await
        } else if frame.kind == Kind::Ping {
            self.pong().await
        } else {
            Ok(())
        }
    }

    /// The answer tells the agent that the path works both ways, and that somebody is here.
    async fn pong(&mut self) -> Result<(), TunnelClose> {
        self.send.write_all(&frame::encode(Kind::Ping, &[])).await.map_err(|error| protocol(error.into()))
    }

    async fn confirm(&mut self, shared: &Shared, frame: &Frame) -> Result<(), TunnelClose> {
        let head: TrustHead = wire::parse(frame).map_err(protocol)?;
        self.confirmed = head;
        match self.asked.take() {
            Some(asked) if head.seq < asked => {
                warn!(agent = %self.agent.agent.short(), at = head.seq, asked, "the agent refuses trust-log entries");
                // What it refuses is asked again only when there is more: it may have come meanwhile.
                if std::mem::take(&mut self.grown) { self.push(shared).await } else { Ok(()) }
            }
            Some(_) => self.push(shared).await,
            None => Ok(()),
        }
    }

    /// Sends the next page, unless one is on its way.
    async fn push(&mut self, shared: &Shared) -> Result<(), TunnelClose> {
        if self.kind == TunnelKind::Guest {
            return Ok(());
        }
        if self.asked.is_some() {
            self.grown = true;
            return Ok(());
        }
        self.grown = false;
        let from = self.confirmed.seq + 1;
        let entries = match shared.store.of(self.agent.tenant).log_entries(from, ENTRIES_PAGE).await {
            Ok(entries) => entries,
            Err(error) => return self.store_failed(&error),
        };
        let Some(last) = u64::try_from(entries.len()).ok().and_then(|count| count.checked_sub(1)) else {
            return Ok(());
        };
        let update = TrustUpdate { entries: entries.into_iter().map(ByteBuf::from).collect() };
        wire::send(&mut self.send, Kind::TrustUpdate, &update).await.map_err(protocol)?;
        self.asked = Some(from + last);
        Ok(())
    }

    /// Live tunnels survive a database that does not; the next growth of the log asks again.
    fn store_failed(&self, error: &StoreError) -> Result<(), TunnelClose> {
        warn!(agent = %self.agent.agent.short(), %error, "cannot read trust-log entries");
        Ok(())
    }
}
