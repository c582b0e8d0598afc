//! One agent's life: it dials, says hello, serves what the relay asks, and comes back when it is cut off.
//!
//! ```text
//!  wait ──▶ dial ──▶ serve ──▶ wait …   after a loss as an agent waits: full jitter below a cap that doubles up to 30 s
//!                      └────▶ dial      at once when its nature, or somebody who measures, says so
//! ```

use super::wire::{Wire, parse};
use super::{Counters, Member, Nature, Shared, answer};
use crate::people::random;
use crate::raw_keys;
use anyhow::{Context as _, Result, ensure};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{HelloAck, TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::limits::{ALPN_TUNNEL, TUNNEL_KEEP_ALIVE_SECS};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::trust;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A handshake whose packets were dropped is repeated by QUIC until then.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first wait is below this; the longest below the other.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Why a tunnel is served no more.
enum End {
    /// The fleet is over.
    Over,
    /// It hung up by itself and comes back.
    Again,
    /// It was cut off.
    Lost(String),
}

/// Whoever answers there has another key than the relay's.
#[derive(Debug, thiserror::Error)]
#[error(
    "who answers at {relay} has the key {got}, which is not the pinned one: copy the pin that the relay prints when it starts"
)]
pub struct NotTheRelay {
    relay: SocketAddr,
    got: Pin,
}

/// Lives until the fleet is over.
pub(super) async fn live(member: Arc<Member>, shared: Arc<Shared>) {
    let mut failures = 0;
    let mut trust = shared.plan.trust;
    loop {
        let dialled = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            dialled = dial(&member, &shared, trust) => dialled,
        };
        let why = match dialled {
            Ok((connection, control)) => {
                failures = 0;
                Counters::add(&shared.counters.handshakes);
                Counters::add(&shared.counters.connected);
                member.handshakes.fetch_add(1, Ordering::Relaxed);
                let end = Box::pin(serve(&member, &shared, &connection, control, &mut trust)).await;
                Counters::take(&shared.counters.connected);
                close(&connection);
                match end {
                    End::Over => return,
                    End::Again => continue,
                    End::Lost(why) => {
                        Counters::add(&shared.counters.lost);
                        why
                    }
                }
            }
            Err(error) => {
                Counters::add(&shared.counters.failed);
                format!("{error:#}")
            }
        };
        *shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        let cap = WAIT.saturating_mul(1 << failures.min(16)).min(WAIT_MAX);
        failures += 1;
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(cap.mul_f64(share())) => {}
        }
    }
}

/// A number from 0 to 1.
fn share() -> f64 {
    f64::from(u16::from_be_bytes(random())) / f64::from(u16::MAX)
}

fn close(connection: &Connection) {
    let why = TunnelClose::Done;
    connection.close(u32::from(why.number()).into(), why.text().as_bytes());
}

/// A connection whose far end has one of the pinned keys.
pub(super) async fn reach(
    endpoint: &Endpoint,
    (relay, pins): (SocketAddr, &[Pin]),
    key: &ed25519_dalek::SigningKey,
    alpn: &[u8],
) -> Result<Connection> {
    let tls = raw_keys::client(Some(key), &[alpn]);
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(TUNNEL_KEEP_ALIVE_SECS)));
    config.transport_config(Arc::new(transport));
    let connecting = endpoint.connect_with(config, relay, "relay")?;
    let connection = timeout(PATIENCE, connecting).await.context("the relay did not answer a handshake")??;
    if !pins.is_empty() {
        let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'_>>>().ok());
        let shown = shown.and_then(|keys| keys.first().map(|key| Pin::of_spki(key)));
        let got = shown.context("the relay shows no key")?;
        ensure!(pins.contains(&got), NotTheRelay { relay, got });
    }
    Ok(connection)
}

async fn dial(member: &Member, shared: &Shared, trust: TrustHead) -> Result<(Connection, Wire)> {
    let turn = shared.networks.turn().await?;
    let (plan, simulated) = (&shared.plan, &member.simulated);
    let relay = (plan.relay, &plan.pins[..]);
    let connection = reach(&turn.endpoint, relay, &simulated.transport, ALPN_TUNNEL).await?;
    let greet = async {
        let mut control = Wire::new(connection.open_bi().await?);
        control.say(Kind::Hello, &simulated.hello(trust)).await?;
        let _: HelloAck = control.expect(Kind::HelloAck).await?;
        Ok::<_, anyhow::Error>(control)
    };
    let control = timeout(PATIENCE, greet).await.context("the relay did not answer a hello")?;
    Ok((connection.clone(), control.map_err(|error| reason(&connection).map_or(error, anyhow::Error::msg))?))
}

/// What the relay said when it closed the connection.
fn reason(connection: &Connection) -> Option<String> {
    connection.close_reason().map(|error| said(&error))
}

fn said(error: &ConnectionError) -> String {
    if let ConnectionError::ApplicationClosed(close) = error
        && let Some(why) = TunnelClose::from_number(close.error_code.into_inner())
    {
        return why.text().to_owned();
    }
    error.to_string()
}

async fn serve(
    member: &Arc<Member>,
    shared: &Arc<Shared>,
    connection: &Connection,
    mut control: Wire,
    trust: &mut TrustHead,
) -> End {
    let mut streams = JoinSet::new();
    let stays = match member.nature {
        // Half of it to one and a half: agents that came together do not leave together.
        Nature::Churning(about) => about / 2 + about.mul_f64(share()),
        Nature::Well | Nature::Absent | Nature::Hanging | Nature::Garbage(_) | Nature::Flooding => Duration::MAX,
    };
    let until = tokio::time::sleep(stays.min(Duration::from_secs(86_400 * 365)));
    tokio::pin!(until);
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return End::Over,
            () = member.again.notified() => return End::Again,
            () = &mut until => return End::Again,
            error = connection.closed() => return End::Lost(said(&error)),
            told = control.next() => match told {
                Ok(Some(frame)) => if let Err(error) = hear(&mut control, &frame, trust).await {
                    return End::Lost(format!("{error:#}"));
                },
                Ok(None) => return End::Lost("the relay ended the control stream".to_owned()),
                Err(error) => return End::Lost(reason(connection).unwrap_or_else(|| format!("{error:#}"))),
            },
            stream = connection.accept_bi() => if let Ok(stream) = stream {
                streams.spawn(answer::serve(member.clone(), shared.clone(), Wire::new(stream)));
            },
            Some(ended) = streams.join_next(), if !streams.is_empty() => drop(ended),
        }
    }
}

/// New entries of the customer's log are taken as they come: there is nobody here whom they could protect.
async fn hear(control: &mut Wire, frame: &cloud_doctor_proto::frame::Frame, trust: &mut TrustHead) -> Result<()> {
    if frame.kind != Kind::TrustUpdate {
        return Ok(());
    }
    let update: TrustUpdate = parse(frame)?;
    let count = u64::try_from(update.entries.len())?;
    if let Some(last) = update.entries.last() {
        let seq = trust.seq + count;
        let (signed, _) = trust::decode(last, seq)?;
        *trust = TrustHead { seq, hash: signed.hash() };
    }
    control.say(Kind::TrustHead, trust).await
}
