//! Relays that die, agents that come back.

use crate::peer::{Agent, Shows, connect_with, tls};
use crate::world::{PATIENCE, World, roomy, until};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::limits::ALPN_TUNNEL;
use cloud_doctor_relay::tunnels::registry::Registry;
use cloud_doctor_relay::tunnels::{Heads, ListenerKeys, Tunnels};
use quinn::{ConnectionError, TransportConfig};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn flt_01_a_stopped_relay_says_so() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    world.stop().await;
    assert_eq!(agent.peer.closed().await, TunnelClose::Restarting);
}

#[tokio::test]
async fn flt_01_after_a_crash_and_restart_the_first_packet_tells_the_agent() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    // A second relay with the same keys, in a runtime that is dropped like a killed process: it says no goodbye.
    let crashing = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listen = |addr: &str| {
        let keys = ListenerKeys::load_or_create(world.dir.path()).unwrap();
        let registry = Arc::<Registry>::default();
        Tunnels::listen(addr.parse().unwrap(), roomy(), &keys, world.store.clone(), registry, Arc::<Heads>::default())
    };
    let entered = crashing.enter();
    let tunnels = listen("127.0.0.1:0").unwrap();
    let addr = tunnels.local_addr().unwrap();
    drop(entered);
    drop(crashing.spawn(tunnels.run(CancellationToken::new())));
    let tls = tls(world.pins, &Shows::key(&server.transport), &[ALPN_TUNNEL]);
    let (_endpoint, connection) = connect_with(tls, TransportConfig::default(), addr).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let began = Instant::now();
    tokio::task::spawn_blocking(move || crashing.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
    let restarted = loop {
        match listen(&addr.to_string()) {
            Ok(tunnels) => break tunnels,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(restarted.run(stop.clone()));
    let began = Instant::now();
    send.write_all(b"anything").await.unwrap();
    let error = tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
    assert!(matches!(error, ConnectionError::Reset), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    stop.cancel();
    running.await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn flt_40_an_agent_that_comes_back_replaces_its_older_self() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let older = Agent::up(&world, &server).await;
    let since = world.registry.live(&server.agent()).unwrap().address;
    let newer = Agent::up(&world, &server).await;
    assert_eq!(older.peer.closed().await, TunnelClose::Replaced);
    drop(older);
    until(|| world.registry.live(&server.agent()).is_some_and(|live| live.address != since)).await;
    let stream = world.open(&server).await;
    newer.accept().await.hear().await.unwrap();
    drop(stream);
    assert_eq!(world.registry.count(), 1);
    world.stop().await;
}
