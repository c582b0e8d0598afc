//! Relays that die, networks that swallow packets.

use super::stage::{Guard, Network, Relay, Role, soon};
use cloud_doctor_proto::close::TunnelClose;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn elapsed(since: Instant) -> Duration {
    crate::tunnel::instant().saturating_duration_since(since)
}

#[tokio::test]
async fn flt_01_a_restarting_relay_is_dialled_again_within_a_second_while_a_session_lives() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    for _ in 0..5 {
        let tunnel = relay.tunnel().await;
        let (mut send, mut recv) = tunnel.open().await;
        send.write_all(b"x").await.unwrap();
        soon(recv.read_exact(&mut [0])).await.unwrap();
        let closed = crate::tunnel::instant();
        let why = TunnelClose::Restarting;
        tunnel.connection.close(u32::from(why.number()).into(), why.text().as_bytes());
        let next = relay.accept().await;
        assert!(elapsed(closed) < Duration::from_millis(1500), "{:?}", elapsed(closed));
        next.close(u32::from(why.number()).into(), b"");
    }
    role.stop().await;
}

#[tokio::test]
async fn flt_03_the_tunnel_comes_back_while_guard_is_away() {
    let (relay, mut guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    guard.stop().await;
    let why = TunnelClose::Restarting;
    tunnel.connection.close(u32::from(why.number()).into(), why.text().as_bytes());
    let again = relay.tunnel().await;
    assert_eq!(again.hello, tunnel.hello);
    role.stop().await;
}

#[tokio::test]
async fn flt_09_a_dead_path_is_noticed_within_five_seconds_while_a_session_is_open() {
    noticed_in_time(|network| {
        network.to_relay.store(false, Ordering::Relaxed);
        network.to_agent.store(false, Ordering::Relaxed);
    })
    .await;
}

#[tokio::test]
async fn flt_12_so_is_one_that_is_dead_in_one_direction() {
    // What the relay says still arrives.
    noticed_in_time(|network| network.to_relay.store(false, Ordering::Relaxed)).await;
}

async fn noticed_in_time(cut_network: impl FnOnce(&Network)) {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let network = Network::new(relay.addr).await;
    let role = Role::start(guard.settings(&[(network.addr, relay.pin)]));
    let mut tunnel = relay.tunnel().await;
    let (mut send, mut recv) = tunnel.open().await;
    send.write_all(b"x").await.unwrap();
    soon(recv.read_exact(&mut [0])).await.unwrap();
    let longer_than_a_missed_answer = Duration::from_millis(4500);
    assert!(tokio::time::timeout(longer_than_a_missed_answer, tunnel.answer_pings()).await.is_err(), "alive so far");
    cut_network(&network);
    let cut = crate::tunnel::instant();
    let waiting = async {
        while guard.state.reports.lock().unwrap().last().is_none_or(|state| state.relays[0].connected) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let relay_side = async {
        tunnel.answer_pings().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = soon(waiting) => {}
        () = relay_side => {}
    }
    assert!(elapsed(cut) <= Duration::from_millis(5200), "{:?}", elapsed(cut));
    network.to_relay.store(true, Ordering::Relaxed);
    network.to_agent.store(true, Ordering::Relaxed);
    let back = crate::tunnel::instant();
    relay.tunnel().await;
    assert!(elapsed(back) <= Duration::from_secs(2), "{:?}", elapsed(back));
    role.stop().await;
}

#[tokio::test]
async fn two_relays_are_kept_warm_and_one_may_be_missing() {
    let (first, second, guard) = (Relay::new(1), Relay::new(2), Guard::new());
    let relays = [(first.addr, first.pin), ("127.0.0.1:9".parse().unwrap(), first.pin), (second.addr, second.pin)];
    let role = Role::start(guard.settings(&relays));
    let (one, two) = tokio::join!(first.tunnel(), second.tunnel());
    let waiting = async {
        loop {
            let connected = guard
                .state
                .reports
                .lock()
                .unwrap()
                .last()
                .map(|state| state.relays.iter().map(|relay| relay.connected).collect::<Vec<_>>());
            if connected == Some(vec![true, false, true]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(waiting).await;
    first.close();
    let (mut send, mut recv) = two.open().await;
    send.finish().unwrap();
    assert_eq!(soon(recv.read_to_end(100)).await.unwrap(), b"<end>");
    drop(one);
    role.stop().await;
}

#[tokio::test]
async fn a_refused_tunnel_waits_and_says_why() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let connection = relay.accept().await;
    let why = TunnelClose::NotEnrolled;
    connection.close(u32::from(why.number()).into(), why.text().as_bytes());
    let told = async {
        loop {
            let error = guard.state.reports.lock().unwrap().last().and_then(|state| state.relays[0].error.clone());
            match error {
                Some(error) => return error,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let error = soon(told).await;
    assert!(error.contains("does not know this server's key"), "{error}");
    assert!(tokio::time::timeout(Duration::from_secs(1), relay.accept()).await.is_err(), "not at once");
    role.stop().await;
}

#[tokio::test]
async fn h_19_nothing_listens() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let ours = tunnel.connection.remote_address().port();
    // Columns: sl local_address rem_address st; a bound but unconnected socket has state 07 and no remote port.
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let line = table.lines().find(|line| line.contains(&format!(":{ours:04X} "))).expect("our socket");
    let remote = line.split_whitespace().nth(2).unwrap();
    assert!(remote.ends_with(&format!(":{:04X}", relay.addr.port())), "{line}");
    role.stop().await;
}

#[tokio::test]
async fn r_11_a_version_that_was_not_offered_ends_the_tunnel() {
    for proto in [0, 2, u16::MAX] {
        let (relay, guard) = (Relay::new(1), Guard::new());
        let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
        let tunnel = relay.tunnel_of_version(proto).await;
        let error = soon(tunnel.connection.closed()).await;
        let quinn::ConnectionError::ApplicationClosed(close) = error else { panic!("{error}") };
        assert_eq!(close.error_code, u32::from(TunnelClose::Version.number()).into());
        role.stop().await;
    }
}

#[tokio::test]
async fn a_stopped_tunnel_says_goodbye() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    role.stop().await;
    let error = soon(tunnel.connection.closed()).await;
    assert!(matches!(error, quinn::ConnectionError::ApplicationClosed(_)), "{error}");
}

/// Of sockets alone: the sampler opens its files when it gets to it.
fn sockets() -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().flatten().flat_map(|entry| std::fs::read_link(entry.path()));
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[tokio::test]
async fn flt_44_failed_and_ended_connections_leave_no_descriptor_behind() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let dir = tempfile::tempdir().unwrap();
    let key = crate::tunnel::key::TransportKey::load_or_create(dir.path()).unwrap();
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let baseline = sockets();
    for seed in 0..20 {
        let wrong = cloud_doctor_proto::pin::Pin([seed; 32]);
        let route = crate::tunnel::dial::Route::new(relay.addr.to_string().parse().unwrap(), vec![wrong]);
        let (refused, _) = tokio::join!(route.dial(&key, b"cloud-doctor/1"), relay.endpoint_accept());
        assert!(refused.is_err());
        let (mut send, mut recv) = tunnel.open().await;
        send.finish().unwrap();
        soon(recv.read_to_end(100)).await.unwrap();
    }
    let back = async {
        while sockets() > baseline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(back).await;
    role.stop().await;
}
