//! An attacker on the path, who records packets and sends them again from elsewhere.

use crate::peer::{Shows, connect_with, hello, tls};
use crate::world::{PATIENCE, Server, World, roomy};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::ALPN_TUNNEL;
use cloud_doctor_relay::tunnels::gate::GateLimits;
use quinn::TransportConfig;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Carries packets between one peer and the relay, and keeps those of the peer.
struct Tap {
    addr: SocketAddr,
    /// The port that the relay sees.
    seen_as: u16,
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Tap {
    async fn new(relay: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        back.connect(relay).await.unwrap();
        let packets = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let peer = Arc::<Mutex<Option<SocketAddr>>>::default();
        let (addr, seen_as) = (front.local_addr().unwrap(), back.local_addr().unwrap().port());
        let mut tasks = JoinSet::new();
        let (kept, from_peer, to_relay, known) = (packets.clone(), front.clone(), back.clone(), peer.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 2000];
            while let Ok((len, from)) = from_peer.recv_from(&mut buffer).await {
                *known.lock().unwrap() = Some(from);
                kept.lock().unwrap().push(buffer[..len].to_vec());
                to_relay.send(&buffer[..len]).await.unwrap();
            }
        });
        tasks.spawn(async move {
            let mut buffer = [0; 2000];
            while let Ok(len) = back.recv(&mut buffer).await {
                let to = peer.lock().unwrap().unwrap();
                front.send_to(&buffer[..len], to).await.unwrap();
            }
        });
        Self { addr, seen_as, packets, _tasks: tasks }
    }
}

/// Sends packets from an address of its own and tells how many bytes came back.
async fn replay(relay: SocketAddr, packets: &[Vec<u8>], patience: Duration) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(relay).await.unwrap();
    for packet in packets {
        socket.send(packet).await.unwrap();
    }
    let (mut bytes, mut buffer) = (0, [0; 2000]);
    let until = Instant::now() + patience;
    while let Ok(len) = timeout(until.saturating_duration_since(Instant::now()), socket.recv(&mut buffer)).await {
        bytes += len.unwrap();
    }
    bytes
}

async fn dial(world: &World, server: &Server, tap: &Tap) -> (quinn::Endpoint, quinn::Connection) {
    let tls = tls(world.pins, &Shows::key(&server.transport), &[ALPN_TUNNEL]);
    connect_with(tls, TransportConfig::default(), tap.addr).await.unwrap()
}

#[tokio::test]
async fn qui_01_an_unproved_address_gets_at_most_three_times_what_it_sent() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let tap = Tap::new(world.addr).await;
    let _line = dial(&world, &server, &tap).await;
    // The client's first flight: long-header packets of 1,200 bytes.
    let all = tap.packets.lock().unwrap().clone();
    let first: Vec<Vec<u8>> = all.into_iter().take_while(|packet| packet[0] & 0xf0 == 0xc0).take(2).collect();
    let sent: usize = first.iter().map(Vec::len).sum();
    let got = replay(world.addr, &first, Duration::from_secs(4)).await;
    assert!(got <= 3 * sent, "{got} bytes for {sent}");
    world.stop().await;
}

#[tokio::test]
async fn qui_08_a_token_is_worth_nothing_at_another_address() {
    let world = World::with_limits(GateLimits { unvalidated_max: 0, ..roomy() }).await;
    let server = world.enrolled(1).await;
    let tap = Tap::new(world.addr).await;
    let _line = dial(&world, &server, &tap).await;
    let initials: Vec<Vec<u8>> =
        tap.packets.lock().unwrap().iter().filter(|packet| packet[0] & 0xf0 == 0xc0).cloned().collect();
    assert!(initials.len() > 2, "one flight without a token, one with it");
    let with_token = &initials[initials.len() - 1..];
    let got = replay(world.addr, with_token, Duration::from_millis(500)).await;
    // A refusal or another Retry; a handshake's answer alone would have 1,200 bytes.
    assert!(got < 300, "{got} bytes");
    world.stop().await;
}

#[tokio::test]
async fn qui_10_replayed_packets_do_not_move_a_tunnel() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let tap = Tap::new(world.addr).await;
    let (_endpoint, connection) = dial(&world, &server, &tap).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&frame::message(Kind::Hello, &hello(&server, world.log().await.head()))).await.unwrap();
    world.until_live(&server.agent(), true).await;
    let mut stream = world.open(&server).await;
    let (mut back, mut forth) = timeout(PATIENCE, connection.accept_bi()).await.unwrap().unwrap();
    for round in 0..10u8 {
        back.write_all(&[round; 500]).await.unwrap();
        let mut bytes = [0; 500];
        timeout(PATIENCE, stream.recv.read_exact(&mut bytes)).await.unwrap().unwrap();
        let recorded = tap.packets.lock().unwrap().clone();
        let got = replay(world.addr, &recorded, Duration::from_millis(30)).await;
        let sent: usize = recorded.iter().map(Vec::len).sum();
        assert!(got <= 3 * sent);
        assert_eq!(world.registry.live(&server.agent()).unwrap().address.port(), tap.seen_as);
    }
    stream.send.write_all(b"still here").await.unwrap();
    let mut head = vec![0; frame::message(Kind::StreamHead, &crate::pipe::stream_head("ann")).len()];
    forth.read_exact(&mut head).await.unwrap();
    let mut bytes = [0; 10];
    timeout(PATIENCE, forth.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"still here");
    world.stop().await;
}
