//! First contact of simulated agents with a relay that somebody else runs: for real, with an install token for many servers.
//!
//! One after the other, because each appends to the customer's log, and not faster than a relay takes them from one address.

use super::Simulated;
use super::tunnel::reach;
use super::wire::{Wire, parse};
use crate::people::now;
use anyhow::{Context as _, Result, ensure};
use cloud_doctor_proto::control::{EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, EnrolRefusal, TrustHead};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::limits::ALPN_ENROL;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::token::Token;
use cloud_doctor_proto::trust::{self, Entry, What};
use ed25519_dalek::SigningKey;
use quinn::Endpoint;
use serde_bytes::ByteBuf;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two enrolments: a relay takes twenty per second from one address.
const PACE: Duration = Duration::from_millis(60);
/// For one of them.
const PATIENCE: Duration = Duration::from_secs(30);
/// Other servers of the batch may overtake an agent so often.
const TRIES: usize = 50;

/// Which relay, with which token.
#[derive(Debug)]
pub struct Enrolment {
    /// Where agents reach it.
    pub relay: SocketAddr,
    /// Its keys.
    pub pins: Vec<Pin>,
    /// For as many servers as there are agents.
    pub token: Token,
}

/// The relay said no.
#[derive(Debug, thiserror::Error)]
pub enum NotEnrolled {
    /// To the token.
    #[error(
        "the relay does not take this token: it is expired, used up, revoked or another relay's. Make one for enough \
         servers: cloud-doctor tenant token --max NUMBER --out FILE"
    )]
    Token,
    /// To what an agent signed.
    #[error("the relay does not take an agent's entry: is the token's batch still in the customer's log?")]
    Entry,
    /// For a while.
    #[error("the relay takes no more enrolments from this address for a while; try again in a minute")]
    Limited,
    /// It cannot.
    #[error("the relay cannot write just now: look into its log")]
    Unavailable,
    /// By a newer reason.
    #[error("the relay refuses, for a reason that this program does not know")]
    Unknown,
}

impl From<EnrolRefusal> for NotEnrolled {
    fn from(refusal: EnrolRefusal) -> Self {
        match refusal {
            EnrolRefusal::Token => Self::Token,
            EnrolRefusal::Entry => Self::Entry,
            EnrolRefusal::Limited => Self::Limited,
            EnrolRefusal::Unavailable => Self::Unavailable,
            EnrolRefusal::Unknown => Self::Unknown,
        }
    }
}

/// Enrols agents, telling `done` after each; returns how far the customer's log goes then.
///
/// # Errors
/// [`NotEnrolled`], [`super::NotTheRelay`], or what the network says.
pub async fn enrol(to: &Enrolment, agents: &[Simulated], mut done: impl FnMut(usize)) -> Result<TrustHead> {
    let any: IpAddr = if to.relay.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let endpoint = Endpoint::client((any, 0).into())?;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut head = None;
    for (number, agent) in agents.iter().enumerate() {
        pace.tick().await;
        let one = timeout(PATIENCE, enrol_one(&endpoint, to, agent)).await;
        let one = one.context("the relay did not end an enrolment")?;
        head = Some(one.with_context(|| format!("{} of {} agents are enrolled", number, agents.len()))?);
        done(number + 1);
    }
    head.context("a fleet has at least one agent")
}

async fn enrol_one(endpoint: &Endpoint, to: &Enrolment, agent: &Simulated) -> Result<TrustHead> {
    let connection = reach(endpoint, (to.relay, &to.pins), &agent.transport, ALPN_ENROL).await?;
    let mut wire = Wire::new(connection.open_bi().await?);
    wire.say(Kind::EnrolBegin, &EnrolBegin { secret: to.token.secret, host: agent.host() }).await?;
    let mut mine = None;
    for _ in 0..TRIES {
        let mut last = None;
        loop {
            let frame = wire.next().await?.context("the relay ended an enrolment")?;
            if frame.kind == Kind::EnrolDone {
                let done: EnrolDone = parse(&frame)?;
                connection.close(0_u32.into(), b"done");
                return match done.refused {
                    Some(refused) => Err(NotEnrolled::from(refused).into()),
                    None => mine.context("the relay enrolled an agent that had not signed"),
                };
            }
            ensure!(frame.kind == Kind::EnrolLog, "{:?} where the log had to come", frame.kind);
            let page: EnrolLog = parse(&frame)?;
            let seq = page.from + u64::try_from(page.entries.len())?.saturating_sub(1);
            last = page.entries.into_iter().next_back().map(|entry| (seq, entry)).or(last);
            if !page.more {
                break;
            }
        }
        let (seq, newest) = last.context("the relay sends an empty log")?;
        let (signed, before) = trust::decode(&newest, seq)?;
        let (commit, head) = commit(&to.token, agent, TrustHead { seq, hash: signed.hash() }, &before);
        wire.say(Kind::EnrolCommit, &commit).await?;
        mine = Some(head);
    }
    anyhow::bail!("other servers were faster {TRIES} times")
}

/// The agent's own entry, behind the newest one.
fn commit(token: &Token, agent: &Simulated, newest: TrustHead, before: &Entry) -> (EnrolCommit, TrustHead) {
    let batch = SigningKey::from_bytes(&token.batch_seed);
    let by = trust::batch_id(&VerifyKey(batch.verifying_key().to_bytes()));
    let identity = VerifyKey(agent.identity.verifying_key().to_bytes());
    let what = What::AddAgent { identity, name: agent.name.clone() };
    let (seq, prev, at) = (newest.seq + 1, newest.hash, now().max(before.at));
    let signed = Entry { version: 1, seq, prev, at, by, what }.sign_with_batch(&batch);
    let head = TrustHead { seq, hash: signed.hash() };
    (EnrolCommit { entry: ByteBuf::from(signed.to_bytes()), binding: agent.binding.clone() }, head)
}
