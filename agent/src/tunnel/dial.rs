//! From a relay's name to a handshaken connection: names resolved each time, both address families tried.

use super::key::TransportKey;
use super::quic::{Dialer, SetupError};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::pin::Pin;
use quinn::{Connection, Endpoint};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// For a resolver that does not answer.
const RESOLVE: Duration = Duration::from_secs(5);
/// For one address: Initial packets are repeated within this time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For a close to leave this process.
const FAREWELL: Duration = Duration::from_millis(200);
/// The next address is tried beside the one before after this time (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried for one name.
const ADDRESSES_MAX: usize = 6;
/// UDP port of a relay when the address names none.
const DEFAULT_PORT: u16 = 4433;

/// Where a relay listens for agents: `host:port`, `host`, or either after `quic://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayAddr {
    host: String,
    port: u16,
}

/// The text is not a relay's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no relay address: write host:port, for example relay.example.com:4433")]
pub(crate) struct NotARelayAddr(String);

impl FromStr for RelayAddr {
    type Err = NotARelayAddr;

    fn from_str(text: &str) -> Result<Self, NotARelayAddr> {
        let wrong = || NotARelayAddr(text.to_owned());
        let rest = text.strip_prefix("quic://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(wrong)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, after.strip_prefix(':').or(after.is_empty().then_some("")).ok_or_else(wrong)?)
            }
            None => rest.split_once(':').unwrap_or((rest, "")),
        };
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| wrong())? };
        let bracketed = rest.starts_with('[');
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if port != 0 && (plain || bracketed) { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for RelayAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            Ok(IpAddr::V4(_)) | Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// No connection to a relay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The name has no address, now or ever.
    #[error("cannot resolve {0}: check the name and this server's DNS")]
    Resolve(String),
    /// Somebody answered with another key. Either the relay's key was replaced, or this is not the relay.
    #[error(
        "{relay} shows the key {shown}, but this server pins {}; if the relay's key was replaced, enrol again",
        pinned.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    )]
    Pin {
        /// As configured.
        relay: String,
        /// What it showed.
        shown: Pin,
        /// What it must show.
        pinned: Vec<Pin>,
    },
    /// No address answered.
    #[error("cannot reach {relay} over UDP: {reason}")]
    Unreachable {
        /// As configured.
        relay: String,
        /// What the last address said.
        reason: String,
    },
    /// Our own settings.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A handshaken connection and the socket that it uses.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connection: Connection,
    endpoint: Endpoint,
}

impl Line {
    /// Closes with a reason, and lets it leave before the process does: a relay that hears nothing waits for half a
    /// minute.
    pub(super) async fn close(&self, why: TunnelClose) {
        self.connection.close(u32::from(why.number()).into(), why.text().as_bytes());
        drop(timeout(FAREWELL, self.endpoint.wait_idle()).await);
    }
}

/// One relay as it is dialled again and again.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) relay: RelayAddr,
    pub(super) pins: Vec<Pin>,
    /// Addresses that worked, for days on which the resolver does not.
    last_good: Mutex<Option<SocketAddr>>,
}

impl Route {
    /// A relay and its keys.
    pub(super) fn new(relay: RelayAddr, pins: Vec<Pin>) -> Self {
        Self { relay, pins, last_good: Mutex::new(None) }
    }

    /// Connects, to whichever address answers first.
    pub(super) async fn dial(&self, key: &TransportKey, alpn: &[u8]) -> Result<Line, DialError> {
        let dialer = Arc::new(Dialer::new(key, &self.pins, alpn)?);
        let mut attempts = JoinSet::new();
        for (index, address) in self.resolve().await?.into_iter().take(ADDRESSES_MAX).enumerate() {
            let dialer = dialer.clone();
            attempts.spawn(async move {
                sleep(STAGGER * u32::try_from(index).unwrap_or(0)).await;
                one(&dialer, address).await.map(|line| (address, line))
            });
        }
        let mut reason = String::new();
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok((address, line))) => {
                    // The lock is for one assignment.
                    *self.last_good.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                    return Ok(line);
                }
                Ok(Err(error)) => reason = error,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        let relay = self.relay.to_string();
        match dialer.stranger() {
            Some(shown) => Err(DialError::Pin { relay, shown, pinned: self.pins.clone() }),
            None => Err(DialError::Unreachable { relay, reason }),
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, DialError> {
        let lookup = timeout(RESOLVE, tokio::net::lookup_host((self.relay.host.as_str(), self.relay.port))).await;
        let found: Vec<SocketAddr> = lookup.ok().and_then(Result::ok).into_iter().flatten().collect();
        let last_good = *self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = with_last_good(alternate(found), last_good);
        if addresses.is_empty() { Err(DialError::Resolve(self.relay.to_string())) } else { Ok(addresses) }
    }
}

async fn one(dialer: &Dialer, address: SocketAddr) -> Result<Line, String> {
    let (endpoint, connecting) = dialer.connect(address).map_err(|error| format!("{address}: {error}"))?;
    match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => Ok(Line { connection, endpoint }),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address}: no answer in {} s", HANDSHAKE.as_secs())),
    }
}

/// A resolver that answers nothing, or an address of yesterday, keeps nobody from a relay that is where it was. Second,
/// so that one which has moved costs one stagger.
fn with_last_good(mut found: Vec<SocketAddr>, last_good: Option<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(last) = last_good.filter(|last| !found.contains(last)) {
        found.insert(found.len().min(1), last);
    }
    found
}

/// The resolver's order, but with the families taking turns, so that a broken one costs one stagger.
fn alternate(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_parsed_at_the_edge() {
        let check = |text: &str| text.parse::<RelayAddr>().map(|addr| addr.to_string());
        for (text, shown) in [
            ("relay.example:4433", "relay.example:4433"),
            ("quic://relay.example:7", "relay.example:7"),
            ("quic://relay.example/", "relay.example:4433"),
            ("relay.example", "relay.example:4433"),
            ("192.0.2.1:4433", "192.0.2.1:4433"),
            ("[2001:db8::1]:4433", "[2001:db8::1]:4433"),
            ("[2001:db8::1]", "[2001:db8::1]:4433"),
        ] {
            assert_eq!(check(text).unwrap(), shown);
        }
        for bad in
            ["", ":4433", "relay:0", "relay:70000", "https://relay:1", "re lay", "[::1", "[zz]:1", "[::1]x", "a:1:2"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flt_37_families_take_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(alternate(found), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        assert_eq!(alternate(parse(&["1.1.1.1:1"])), parse(&["1.1.1.1:1"]));
    }

    #[test]
    fn flt_36_the_last_good_address_is_always_tried() {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let last: SocketAddr = "1.1.1.1:1".parse().unwrap();
        for (found, tried) in [
            (vec![], vec!["1.1.1.1:1"]),
            (vec!["2.2.2.2:1"], vec!["2.2.2.2:1", "1.1.1.1:1"]),
            (vec!["2.2.2.2:1", "[::1]:1"], vec!["2.2.2.2:1", "1.1.1.1:1", "[::1]:1"]),
            (vec!["[::1]:1", "1.1.1.1:1"], vec!["[::1]:1", "1.1.1.1:1"]),
        ] {
            assert_eq!(with_last_good(parse(&found), Some(last)), parse(&tried));
            assert_eq!(with_last_good(parse(&found), None), parse(&found));
        }
    }
}
