//! QUI-03, QUI-05 and QUI-08: what no QUIC library sends.

use crate::peer::{Agent, Shows, tls};
use crate::rawquic::{Closed, RawQuic, encode, honest, varint};
use crate::world::{Server, World};
use cloud_doctor_proto::limits::ALPN_TUNNEL;

const TRANSPORT_PARAMETER_ERROR: u64 = 0x08;

async fn raw(world: &World, server: &Server, parameters: Vec<u8>) -> RawQuic {
    let tls = tls(world.pins, &Shows::key(&server.transport), &[ALPN_TUNNEL]);
    RawQuic::new(world.addr, tls, parameters).await
}

/// An honest agent is served: nobody crashed, nobody spins.
async fn serves(world: &World, canary: &Server) {
    drop(Agent::up(world, canary).await);
    world.until_live(&canary.agent(), false).await;
}

/// A set of parameters without one, or with another value for one.
fn with(id: u64, value: Option<Vec<u8>>) -> Vec<u8> {
    let mut parameters = honest();
    parameters.retain(|(known, _)| *known != id);
    parameters.extend(value.map(|value| (id, value)));
    encode(&parameters)
}

#[tokio::test]
async fn qui_03_invalid_transport_parameters_end_the_handshake() {
    let world = World::new().await;
    let (server, canary) = (world.enrolled(1).await, world.enrolled(2).await);
    raw(&world, &server, encode(&honest())).await.handshake(&[]).await.expect("honest parameters are taken");
    // What is unknown is ignored, as RFC 9000 wants it.
    raw(&world, &server, with(31 * 27 + 27, Some(vec![1; 40]))).await.handshake(&[]).await.expect("grease is taken");
    let twice = [encode(&honest()), encode(&[(0x01, varint(1))])].concat();
    let cut = {
        let mut all = encode(&honest());
        all.pop();
        all
    };
    let rows = [
        ("no id of ours", with(0x0f, None)),
        ("another id of ours", with(0x0f, Some(vec![8; 8]))),
        ("an id of 21 bytes", with(0x0f, Some(vec![7; 21]))),
        ("packets below 1,200 bytes", with(0x03, Some(varint(1_199)))),
        ("an exponent of 21", with(0x0a, Some(varint(21)))),
        ("a delay of 2^14 ms", with(0x0b, Some(varint(1 << 14)))),
        ("room for one id", with(0x0e, Some(varint(1)))),
        ("more than 2^60 streams", with(0x08, Some(varint((1 << 60) + 1)))),
        ("more than 2^60 one-way streams", with(0x09, Some(varint((1 << 60) + 1)))),
        ("a reset token from a client", with(0x02, Some(vec![1; 16]))),
        ("a preferred address from a client", with(0x0d, Some(vec![1; 41]))),
        ("a destination from a client", with(0x00, Some(vec![9; 8]))),
        ("a Retry from a client", with(0x10, Some(vec![9; 8]))),
        ("one twice", twice),
        ("a cut end", cut),
        ("a length beyond the end", [encode(&honest()), vec![0x01, 0x3f, 0]].concat()),
        ("a number with bytes behind it", with(0x01, Some(vec![1, 2]))),
        ("a number of no bytes", with(0x01, Some(Vec::new()))),
        ("a flag with a value", with(0x0c, Some(vec![1]))),
    ];
    for (what, parameters) in rows {
        eprintln!("{what}");
        let ended = raw(&world, &server, parameters).await.handshake(&[]).await;
        assert_eq!(ended, Err(Closed::Transport(TRANSPORT_PARAMETER_ERROR)), "{what}");
    }
    serves(&world, &canary).await;
    world.stop().await;
}

/// Frames that no peer of a server may send, or not so; each ends the connection with an error of the transport.
fn forbidden() -> Vec<(&'static str, Vec<u8>)> {
    let id = |sequence: u64, retire: u64, len: u8| {
        [vec![0x18], varint(sequence), varint(retire), vec![len], vec![3; usize::from(len)], vec![4; 16]].concat()
    };
    vec![
        ("an unknown frame", vec![0x21, 1, 2, 3]),
        ("an unknown frame of two bytes", vec![0x52, 0x34]),
        ("an unknown frame of eight bytes", varint(1 << 61)),
        ("a datagram that was not negotiated", vec![0x30, 1, 2, 3]),
        ("done, from a client", vec![0x1e]),
        ("a token from a client", vec![0x07, 1, 1]),
        ("an acknowledgement of what was not sent", [vec![0x02], varint(1 << 30), vec![0, 0, 0]].concat()),
        ("an acknowledgement below zero", vec![0x02, 5, 0, 0, 9]),
        ("handshake bytes far away", [vec![0x06], varint(1 << 40), vec![1, 0]].concat()),
        ("a stream's bytes beyond 2^62", [vec![0x0e, 0], varint((1 << 62) - 1), vec![2, 1, 1]].concat()),
        ("a stream that only we may open", vec![0x0a, 1, 1, 0]),
        ("a one-way stream of ours", vec![0x0a, 3, 1, 0]),
        ("one stream too many", vec![0x0a, 4, 1, 0]),
        ("a one-way stream", vec![0x0a, 2, 1, 0]),
        ("more bytes than the window", [vec![0x0e, 0], varint(64 << 20), vec![1, 1]].concat()),
        ("a reset with another size", [vec![0x0a, 0, 4], vec![1; 4], vec![0x04, 0, 0, 2]].concat()),
        ("more than 2^60 streams", [vec![0x12], varint((1 << 60) + 1)].concat()),
        ("2^60 streams blocked and one more", [vec![0x16], varint((1 << 60) + 1)].concat()),
        ("an id that was never given", [vec![0x19], varint(1 << 20)].concat()),
        ("an id of no bytes", id(1, 0, 0)),
        ("an id of 21 bytes", id(1, 0, 21)),
        ("an id that retires later ones", id(1, 2, 8)),
        ("a frame that ends too early", vec![0x1a, 1, 2]),
        ("a stream's frame that ends too early", vec![0x0a, 0, 0x3f, 1]),
    ]
}

#[tokio::test]
async fn qui_03_frames_that_may_not_come_end_the_connection() {
    let world = World::new().await;
    let (server, canary) = (world.enrolled(1).await, world.enrolled(2).await);
    for (what, frames) in forbidden() {
        let mut peer = raw(&world, &server, encode(&honest())).await;
        peer.handshake(&[]).await.unwrap_or_else(|closed| panic!("{what}: {closed:?}"));
        // The end of a packet is the end of a frame: no padding behind it.
        let padded = [vec![0; 40], frames].concat();
        eprintln!("{what}");
        peer.frames(&padded).await;
        let closed = peer.closes().await;
        assert!(matches!(closed, Closed::Transport(1..=0x10)), "{what}: {closed:?}");
    }
    // Before the handshake is done, fewer are allowed.
    for (what, frames) in [("a stream", vec![0x0a, 0, 1, 0]), ("an unknown frame", vec![0x21]), ("done", vec![0x1e])] {
        let mut peer = raw(&world, &server, encode(&honest())).await;
        let ended = peer.handshake(&frames).await;
        assert!(matches!(ended, Err(Closed::Transport(1..=0x10))), "{what}: {ended:?}");
    }
    serves(&world, &canary).await;
    world.stop().await;
}

/// A token that is none of ours proves no address and breaks nothing: the handshake goes on without it, or is refused.
#[tokio::test]
async fn qui_03_malformed_tokens_break_nothing() {
    let world = World::new().await;
    let (server, canary) = (world.enrolled(1).await, world.enrolled(2).await);
    for len in [1, 15, 16, 17, 31, 32, 33, 63, 100, 400] {
        for byte in [0, 0x55, 0xff] {
            let peer = raw(&world, &server, encode(&honest())).await;
            let ended = peer.with_token(&vec![byte; len]).handshake(&[]).await;
            assert!(matches!(ended, Ok(()) | Err(Closed::Transport(0x0b))), "{len} times {byte}: {ended:?}");
        }
    }
    serves(&world, &canary).await;
    world.stop().await;
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() << 10
}

/// The frames of one packet of a flood.
type Flood = dyn Fn(u64) -> Vec<u8>;

#[tokio::test]
async fn qui_05_floods_of_ids_and_challenges_are_bounded() {
    let world = World::new().await;
    let (server, canary) = (world.enrolled(1).await, world.enrolled(2).await);
    let full = std::env::var_os("CLOUD_DOCTOR_STRESS").is_some_and(|value| value == "1");
    let packets = if full { 100_000u64 } else { 2_000 };
    // New ids, each of which retires the one before; the same id retired for ever; challenges of the path.
    let new_ids = |number: u64| -> Vec<u8> {
        let one = |sequence: u64| {
            let id = sequence.to_be_bytes();
            [vec![0x18], varint(sequence), varint(sequence), vec![8], id.to_vec(), [id, id].concat()].concat()
        };
        (1 + number * 20..=20 + number * 20).flat_map(one).collect()
    };
    let retired = |_: u64| -> Vec<u8> { [0x19, 0].repeat(400) };
    let challenges = |number: u64| -> Vec<u8> { [&[0x1a][..], &number.to_be_bytes()].concat().repeat(120) };
    let floods: [(&str, &Flood); 3] = [("new ids", &new_ids), ("retired ids", &retired), ("challenges", &challenges)];
    for (what, flood) in floods {
        serves(&world, &canary).await;
        let mut peer = raw(&world, &server, encode(&honest())).await;
        peer.handshake(&[]).await.unwrap();
        let before = resident();
        let mut closed = None;
        for number in 0..packets {
            peer.frames(&flood(number)).await;
            if number % 16 == 0 {
                tokio::task::yield_now().await;
                closed = peer.poll();
            }
            if closed.is_some() {
                break;
            }
        }
        serves(&world, &canary).await;
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 << 20, "{what}: {grown} bytes more, {closed:?}");
        if let Some(closed) = closed {
            assert!(matches!(closed, Closed::Transport(1..=0x10)), "{what}: {closed:?}");
        }
    }
    world.stop().await;
}
