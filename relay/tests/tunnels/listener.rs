//! The UDP port under people who are not agents.

use crate::peer::{Agent, Peer};
use crate::world::{PATIENCE, World, roomy};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::limits::ALPN_TUNNEL;
use cloud_doctor_relay::tunnels::gate::{GateLimits, Rate};
use quinn::{ConnectionError, TransportConfig};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

async fn stranger(world: &World) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.addr).await.unwrap();
    socket
}

/// Bytes that come back before a canary of ours was served, which is later than any answer.
async fn answers(world: &World, socket: &UdpSocket) -> usize {
    let server = world.enrolled(99).await;
    drop(Agent::up(world, &server).await);
    let mut bytes = 0;
    let mut buffer = [0; 2000];
    while let Ok(len) = socket.try_recv(&mut buffer) {
        bytes += len;
    }
    bytes
}

/// A long-header packet of this version, `len` bytes long, with 8-byte connection ids.
fn long_header(version: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(version.to_be_bytes());
    for id in [1u8, 2] {
        packet.push(8);
        packet.extend([id; 8]);
    }
    packet.resize(len, 0);
    packet
}

#[tokio::test]
async fn qui_02_garbage_small_initials_and_unknown_versions_earn_no_more_than_they_sent() {
    let world = World::new().await;
    let socket = stranger(&world).await;
    let mut sent = 0;
    for round in 0..200usize {
        let packets = [
            b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n".to_vec(),
            long_header(1, 600),
            long_header(1, 1200),
            vec![0xff; round],
            vec![0x40; 30 + round],
        ];
        for packet in packets {
            sent += packet.len();
            socket.send(&packet).await.unwrap();
        }
    }
    let got = answers(&world, &socket).await;
    assert_eq!(got, 0, "after {sent} bytes of junk");

    let other = stranger(&world).await;
    let packet = long_header(0x1a2a_3a4a, 1200);
    other.send(&packet).await.unwrap();
    let mut buffer = [0; 2000];
    let len = timeout(PATIENCE, other.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(buffer[1..5], [0; 4], "version negotiation");
    assert!(len <= packet.len());
    world.stop().await;
}

#[tokio::test]
async fn qui_12_random_short_packets_are_no_reset_oracle() {
    let world = World::new().await;
    let socket = stranger(&world).await;
    let mut state = 1u64;
    for _ in 0..2_000 {
        let mut packet = vec![0x40];
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            packet.extend(state.to_be_bytes());
        }
        socket.send(&packet).await.unwrap();
    }
    assert_eq!(answers(&world, &socket).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn qui_06_an_agent_opens_one_stream_and_resetting_it_ends_the_tunnel() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let mut agent = Agent::up(&world, &server).await;
    let second = timeout(Duration::from_millis(300), agent.peer.connection.open_bi()).await;
    assert!(second.is_err(), "no credit for a second stream");
    let uni = timeout(Duration::from_millis(300), agent.peer.connection.open_uni()).await;
    assert!(uni.is_err(), "none for one-way streams");
    agent.control.send.reset(7u32.into()).unwrap();
    assert_eq!(agent.peer.closed().await, TunnelClose::Protocol);
    world.until_live(&server.agent(), false).await;
    world.stop().await;
}

#[tokio::test]
async fn qui_01_one_network_is_limited_and_told_so() {
    let limits = GateLimits { per_prefix: Rate { per_minute: 60, burst: 5 }, ..roomy() };
    let world = World::with_limits(limits).await;
    let server = world.enrolled(1).await;
    let mut outcomes = Vec::new();
    for _ in 0..8 {
        outcomes.push(Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.map(drop));
    }
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((5..=6).contains(&accepted), "{outcomes:?}");
    let refused = outcomes.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "refused at once, not ignored: {refused:?}");
    world.stop().await;
}

#[tokio::test]
async fn qui_01_above_the_threshold_addresses_are_proved_first_and_honest_agents_get_in() {
    let world = World::with_limits(GateLimits { unvalidated_max: 0, ..roomy() }).await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    assert_eq!(agent.ack.proto, 1, "after a Retry");
    world.stop().await;
}

#[tokio::test]
async fn qui_07_an_agent_that_does_not_read_holds_up_nobody_else() {
    let world = World::new().await;
    let (deaf, other) = (world.enrolled(1).await, world.enrolled(2).await);
    let mut small = TransportConfig::default();
    small.stream_receive_window((64u32 << 10).into());
    let trust = world.log().await.head();
    let agent = Agent::up_with(&world, &deaf, trust, small).await;
    let mut stream = world.open(&deaf).await;
    let mut taken = 0;
    let piece = vec![7; 16 << 10];
    while let Ok(written) = timeout(Duration::from_millis(300), stream.send.write(&piece)).await {
        taken += written.unwrap();
    }
    assert!(taken <= 64 << 10, "{taken} bytes are held for it");
    let honest = Agent::up(&world, &other).await;
    let mut stream = world.open(&other).await;
    stream.send.write_all(b"hello").await.unwrap();
    let mut frames = honest.accept().await;
    frames.hear().await.unwrap();
    let mut bytes = [0; 5];
    frames.recv.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    drop(agent);
    world.stop().await;
}

#[tokio::test]
async fn qui_09_a_changing_source_port_loses_no_byte() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let mut stream = world.open(&server).await;
    let mut frames = agent.accept().await;
    frames.hear().await.unwrap();
    for round in 0..20u8 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        agent.peer.endpoint.rebind(socket).unwrap();
        frames.send.write_all(&[round; 1000]).await.unwrap();
        let mut bytes = [0; 1000];
        timeout(PATIENCE, stream.recv.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(bytes, [round; 1000]);
        stream.send.write_all(&[round]).await.unwrap();
        timeout(PATIENCE, frames.recv.read_exact(&mut bytes[..1])).await.unwrap().unwrap();
        assert_eq!(bytes[0], round);
        assert_eq!(world.registry.live(&server.agent()).unwrap().address.port(), port);
    }
    world.stop().await;
}
