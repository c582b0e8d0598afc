//! Identity, greeting, streams, trust-log entries.

use super::stage::{Guard, Relay, Role, soon, stream_head};
use crate::tunnel::dial::{DialError, Route};
use crate::tunnel::key::TransportKey;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::control::{StreamHead, TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::limits::ALPN_TUNNEL;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::pin::{self, Pin};
use quinn::{ReadError, ReadToEndError};
use rustls::pki_types::CertificateDer;
use serde_bytes::ByteBuf;

#[tokio::test]
async fn tls_03_another_key_is_refused_and_both_fingerprints_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = TransportKey::load_or_create(dir.path()).unwrap();
    let (real, other) = (Relay::new(1), Relay::new(2));
    let dial =
        async |pins: Vec<Pin>| Route::new(real.addr.to_string().parse().unwrap(), pins).dial(&key, ALPN_TUNNEL).await;
    let (accepted, dialled) = tokio::join!(real.endpoint_accept(), dial(vec![other.pin, real.pin]));
    let shown = accepted.unwrap().peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    assert_eq!(pin::key_of_spki(&shown[0]), Some(key.public()), "the relay sees our key");
    drop(dialled.unwrap());

    let (accepted, refused) = tokio::join!(real.endpoint_accept(), dial(vec![other.pin]));
    assert!(accepted.is_err());
    let error = refused.unwrap_err();
    assert!(matches!(&error, DialError::Pin { shown, .. } if *shown == real.pin));
    let text = error.to_string();
    assert!(text.contains(&real.pin.to_string()) && text.contains(&other.pin.to_string()), "{text}");
    assert!(pin::key_of_spki(&pin::spki(&VerifyKey([0; 32]))).is_some());
}

#[tokio::test]
async fn streams_reach_guard_with_their_head_and_half_close_both_ways() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    assert_eq!(tunnel.hello.binding.verify().unwrap().transport, tunnel_key(&tunnel.connection));
    assert!(!tunnel.hello.host.hostname.is_empty());
    let (mut send, mut recv) = tunnel.open().await;
    let mut got = [0; 5];
    for word in [b"hello", b"world"] {
        send.write_all(word).await.unwrap();
        soon(recv.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, word);
    }
    let head: StreamHead = pack::from_bytes(&guard.state.heads.lock().unwrap()[0], 1000).unwrap();
    assert_eq!(head, stream_head());
    send.finish().unwrap();
    assert_eq!(soon(recv.read_to_end(100)).await.unwrap(), b"<end>", "guard still speaks after our end");
    role.stop().await;
}

fn tunnel_key(connection: &quinn::Connection) -> VerifyKey {
    let shown = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    pin::key_of_spki(&shown[0]).unwrap()
}

#[tokio::test]
async fn thirty_megabytes_come_back_unchanged() {
    const TOTAL: usize = 30 << 20;
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let (mut send, mut recv) = tunnel.open().await;
    let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).unwrap();
    let writing = async {
        let mut at = 0;
        while at < TOTAL {
            let piece: Vec<u8> = (at..(at + 60_000).min(TOTAL)).map(byte).collect();
            at += piece.len();
            send.write_all(&piece).await.unwrap();
        }
        send.finish().unwrap();
    };
    let reading = async {
        let mut at = 0;
        while let Some(chunk) = recv.read_chunk(1 << 20, true).await.unwrap() {
            for got in chunk.bytes.iter().take(TOTAL.saturating_sub(at)) {
                assert_eq!(*got, byte(at));
                at += 1;
            }
        }
        at
    };
    let ((), total) = tokio::join!(writing, reading);
    assert_eq!(total, TOTAL);
    role.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_or_a_guard_that_hangs_up_ends_both_sides() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let (mut send, mut recv) = tunnel.open().await;
    send.write_all(b"hang up").await.unwrap();
    assert_eq!(soon(recv.read_to_end(100)).await.unwrap(), b"", "an end, not an error");

    let (mut send, mut recv) = tunnel.open().await;
    send.write_all(b"x").await.unwrap();
    soon(recv.read_exact(&mut [0])).await.unwrap();
    recv.stop(1000u32.into()).unwrap();
    send.write_all(b"last words").await.unwrap();
    send.finish().unwrap();
    assert!(soon(send.stopped()).await.unwrap().is_none(), "taken to the end");
    until_heard(&guard, b"last words").await;
    role.stop().await;
}

async fn until_heard(guard: &Guard, words: &[u8]) {
    let heard = async {
        while !guard.state.heard.lock().unwrap().ends_with(words) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(heard).await;
}

#[tokio::test]
async fn flt_03_without_guard_a_stream_is_refused_with_the_reason_and_the_tunnel_stays() {
    let (relay, mut guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    guard.stop().await;
    let (_send, mut recv) = tunnel.open().await;
    let error = soon(recv.read_to_end(100)).await.unwrap_err();
    let expected = u32::from(StreamClose::GuardAway.number());
    assert_eq!(error, ReadToEndError::Read(ReadError::Reset(expected.into())));
    guard.start();
    let (mut send, mut recv) = tunnel.open().await;
    send.finish().unwrap();
    assert_eq!(soon(recv.read_to_end(100)).await.unwrap(), b"<end>");
    role.stop().await;
}

#[tokio::test]
async fn cod_02_streams_for_unknown_purposes_and_garbage_are_reset() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let newer = serde_json::json!({"purpose": "teleport", "stream": vec![0u8; 16], "account": "", "client": ""});
    let rows =
        [frame::message(Kind::StreamHead, &newer), frame::encode(Kind::Hello, b"x"), vec![0xff; 50], vec![0, 0, 1]];
    for bytes in rows {
        let (mut send, mut recv) = tunnel.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        drop(send.finish());
        assert!(matches!(soon(recv.read_to_end(10)).await, Err(ReadToEndError::Read(ReadError::Reset(_)))));
    }
    assert!(guard.state.heads.lock().unwrap().is_empty(), "guard heard nothing of it");
    role.stop().await;
}

#[tokio::test]
async fn r_13_new_entries_reach_guard_even_if_it_is_restarting() {
    let (relay, mut guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let mut tunnel = relay.tunnel().await;
    let update = TrustUpdate { entries: vec![ByteBuf::from(vec![1; 300]); 3] };
    tunnel.control.say(Kind::TrustUpdate, &update).await;
    let head: TrustHead = soon(tunnel.control.frames.expect(Kind::TrustHead)).await.unwrap();
    assert_eq!(head.seq, 3);
    guard.stop().await;
    tunnel.control.say(Kind::TrustUpdate, &update).await;
    // The tunnel goes on serving meanwhile: a stream is refused because guard is away, not left hanging.
    let (_send, mut recv) = tunnel.open().await;
    assert!(soon(recv.read_to_end(10)).await.is_err());
    guard.start();
    let head: TrustHead = soon(tunnel.control.frames.expect(Kind::TrustHead)).await.unwrap();
    assert_eq!(head.seq, 6);
    role.stop().await;
}
