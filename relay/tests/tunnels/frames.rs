//! WebSocket frames written by hand: what no honest client sends ends its stream, and costs nobody anything.

use crate::peer::Agent;
use crate::pipe::{Client, Reports, agent_side, client, report, serve};
use crate::world::{PATIENCE, World, until};
use cloud_doctor_proto::close::StreamClose;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const FIN: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const CONTINUED: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame with a mask of zeros, which leaves the payload as it is.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ 0..126 => vec![0x80 | u8::try_from(len).unwrap()],
        len => [&[0x80 | 127][..], &u64::try_from(len).unwrap().to_be_bytes()].concat(),
    };
    [&[head][..], &len, &[0; 4], payload].concat()
}

/// Writes until all is out or the relay has closed, then reads until it has.
async fn pour(mut client: Client, bytes: &[u8]) {
    let (mut from_relay, mut to_relay) = client.get_mut().split();
    let writing = async { drop(to_relay.write_all(bytes).await) };
    let reading = async {
        let mut answers = Vec::new();
        drop(from_relay.read_to_end(&mut answers).await);
    };
    timeout(PATIENCE, async { tokio::join!(writing, reading) }).await.expect("the relay closes");
}

async fn ended(reports: &Reports) -> StreamClose {
    until(|| report(reports).is_some()).await;
    let ended = reports.lock().unwrap().remove(0);
    assert_eq!(ended.bytes_to_agent, 0);
    ended.why
}

#[tokio::test]
async fn dos_04_h_04_a_message_without_end_and_frames_that_are_none_end_the_stream() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, reports) = serve(&world, &server).await;
    let in_one = frame(FIN | BINARY, &vec![7; 65 << 10]);
    let in_bytes = [frame(BINARY, b"x"), frame(CONTINUED, b"x").repeat(300 << 10)].concat();
    for (what, bytes) in [
        ("a frame over 64 KiB", in_one),
        ("a message in frames of one byte", in_bytes),
        ("a length that nobody has", [&[FIN | BINARY, 0xff][..], &[0xff; 12]].concat()),
        ("no mask", vec![FIN | BINARY, 1, b'x']),
        ("compressed", frame(FIN | COMPRESSED | BINARY, b"x")),
        ("a kind that is none", frame(FIN | 3, b"x")),
        ("the rest of nothing", frame(FIN | CONTINUED, b"x")),
        ("a message within a message", [frame(BINARY, b"x"), frame(FIN | BINARY, b"x")].concat()),
        ("a ping in pieces", frame(PING, b"x")),
        ("a ping too large", frame(FIN | PING, &[7; 126])),
        ("a close without a whole code", frame(FIN | CLOSE, b"x")),
    ] {
        let client = client(addr).await;
        let mut frames = agent_side(&agent).await;
        pour(client, &bytes).await;
        ended(&reports).await;
        let rest = timeout(PATIENCE, frames.recv.read_to_end(1)).await.expect("the agent's stream ends");
        assert_eq!(rest.unwrap(), b"", "{what}");
    }
    world.stop().await;
}

#[tokio::test]
async fn dos_04_a_flood_of_pings_ends_the_stream_and_nothing_waits_for_a_goodbye() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, reports) = serve(&world, &server).await;
    for sign in [PING, PONG] {
        let flooding = client(addr).await;
        let _frames = agent_side(&agent).await;
        pour(flooding, &frame(FIN | sign, b"x").repeat(100_000)).await;
        assert_eq!(ended(&reports).await, StreamClose::Protocol);
    }
    // It neither answers the relay's close nor stops talking.
    let silent = client(addr).await;
    let mut frames = agent_side(&agent).await;
    frames.send.reset(u32::from(StreamClose::GuardAway.number()).into()).unwrap();
    pour(silent, &[]).await;
    assert_eq!(ended(&reports).await, StreamClose::GuardAway);
    let talking = client(addr).await;
    let mut frames = agent_side(&agent).await;
    frames.send.reset(u32::from(StreamClose::GuardAway.number()).into()).unwrap();
    pour(talking, &frame(FIN | PONG, b"x").repeat(1 << 20)).await;
    until(|| report(&reports).is_some()).await;
    world.stop().await;
}
