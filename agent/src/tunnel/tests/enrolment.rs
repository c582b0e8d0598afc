//! The host's side of a first contact.

use super::stage::{Relay, Talk, soon};
use crate::tunnel::enrol::{self, EnrolError};
use crate::tunnel::key::TransportKey;
use cloud_doctor_proto::control::{
    EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, EnrolRefusal, HostFacts, TransportBinding, Unenrol,
};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::pin::Pin;
use ed25519_dalek::SigningKey;
use quinn::Connection;
use serde_bytes::ByteBuf;

const TENANT: TenantId = TenantId([3; 32]);

#[derive(Debug, thiserror::Error)]
#[error("the caller stops")]
struct Stop;

fn page(from: u64, entries: &[u8], more: bool) -> EnrolLog {
    EnrolLog { tenant: TENANT, from, entries: entries.iter().map(|byte| ByteBuf::from(vec![*byte])).collect(), more }
}

fn begin() -> EnrolBegin {
    EnrolBegin { secret: [9; 32], host: HostFacts::default() }
}

/// Signs an entry that is as long as the log.
fn sign(key: &TransportKey, entries: &[ByteBuf]) -> EnrolCommit {
    let binding = TransportBinding::sign(&SigningKey::from_bytes(&[1; 32]), key.public(), TENANT);
    EnrolCommit { entry: ByteBuf::from(vec![0xee; entries.len()]), binding }
}

fn key() -> (tempfile::TempDir, TransportKey) {
    let dir = tempfile::tempdir().unwrap();
    let key = TransportKey::load_or_create(dir.path()).unwrap();
    (dir, key)
}

async fn greeted(relay: &Relay) -> (Connection, Talk) {
    let connection = relay.accept().await;
    let mut talk = Talk::accept(&connection).await;
    assert_eq!(soon(talk.frames.expect::<EnrolBegin>(Kind::EnrolBegin)).await.unwrap(), begin());
    (connection, talk)
}

#[tokio::test]
async fn enr_01_pages_are_gathered_and_an_overtaken_host_signs_again() {
    let relay = Relay::new(1);
    let (_dir, key) = key();
    let (addr, pins, first) = (relay.addr.to_string(), [relay.pin], begin());
    let host = enrol::enrol(&addr, &pins, &key, &first, |log| Ok::<_, Stop>(sign(&key, log)));
    let side = async {
        let (_connection, mut talk) = greeted(&relay).await;
        talk.say(Kind::EnrolLog, &page(0, &[0, 1], true)).await;
        talk.say(Kind::EnrolLog, &page(2, &[2], false)).await;
        let commit: EnrolCommit = soon(talk.frames.expect(Kind::EnrolCommit)).await.unwrap();
        assert_eq!(commit.entry.len(), 3);
        talk.say(Kind::EnrolLog, &page(3, &[3, 4], false)).await;
        let commit: EnrolCommit = soon(talk.frames.expect(Kind::EnrolCommit)).await.unwrap();
        assert_eq!(commit.entry.len(), 5);
        talk.say(Kind::EnrolDone, &EnrolDone { refused: None }).await;
        assert!(soon(talk.frames.next()).await.is_err(), "closed by the host");
    };
    let (log, ()) = tokio::join!(host, side);
    let log: Vec<Vec<u8>> = log.unwrap().into_iter().map(ByteBuf::into_vec).collect();
    assert_eq!(log, [vec![0], vec![1], vec![2], vec![3], vec![4], vec![0xee; 5]]);
}

#[tokio::test]
async fn enr_02_refusals_gaps_and_silence_are_told_apart() {
    let relay = Relay::new(1);
    let (_dir, key) = key();
    let (addr, pins, first) = (relay.addr.to_string(), [relay.pin], begin());
    let run = async |script: &[(Kind, Vec<u8>)]| {
        let host = enrol::enrol(&addr, &pins, &key, &first, |log| Ok::<_, Stop>(sign(&key, log)));
        let side = async {
            let (connection, mut talk) = greeted(&relay).await;
            for (kind, body) in script {
                let bytes = cloud_doctor_proto::frame::encode(*kind, body);
                drop(talk.send.write_all(&bytes).await);
            }
            drop(talk.send.finish());
            connection.closed().await;
        };
        let (ended, ()) = tokio::join!(soon(host), soon(side));
        ended.unwrap_err()
    };
    let done = |refusal| cloud_doctor_proto::pack::to_bytes(&EnrolDone { refused: Some(refusal) });
    let log = |page: EnrolLog| (Kind::EnrolLog, cloud_doctor_proto::pack::to_bytes(&page));
    let error = run(&[(Kind::EnrolDone, done(EnrolRefusal::Token))]).await;
    assert!(matches!(error, EnrolError::Refused(EnrolRefusal::Token)), "{error}");
    let gap = run(&[log(page(0, &[0], true)), log(page(2, &[2], false))]).await;
    assert!(matches!(gap, EnrolError::Log));
    let empty = run(&[log(page(0, &[], true))]).await;
    assert!(matches!(empty, EnrolError::Log));
    let unsigned = run(&[(Kind::EnrolDone, cloud_doctor_proto::pack::to_bytes(&EnrolDone { refused: None }))]).await;
    assert!(matches!(unsigned, EnrolError::Log), "enrolled without an entry of ours");
    let ended = run(&[]).await;
    assert!(matches!(ended, EnrolError::Wire(_) | EnrolError::Closed(_)), "{ended}");
    let junk = run(&[(Kind::Hello, vec![1])]).await;
    assert!(matches!(junk, EnrolError::Wire(_)));
}

#[tokio::test]
async fn enr_06_a_wrong_pin_or_words_stop_it_before_anything_is_told() {
    let relay = Relay::new(1);
    let (_dir, key) = key();
    let (addr, pins, first) = (relay.addr.to_string(), [relay.pin], begin());
    let wrong = [Pin([7; 32])];
    let host = enrol::enrol(&addr, &wrong, &key, &first, |log| Ok::<_, Stop>(sign(&key, log)));
    let (ended, accepted) = tokio::join!(host, relay.endpoint_accept());
    assert!(matches!(ended, Err(EnrolError::Dial(_))));
    assert!(accepted.is_err(), "no handshake, no token");

    let host = enrol::enrol(&addr, &pins, &key, &first, |_| Err(Stop));
    let side = async {
        let (connection, mut talk) = greeted(&relay).await;
        talk.say(Kind::EnrolLog, &page(0, &[0], false)).await;
        assert!(soon(talk.frames.next()).await.is_err(), "no commit follows");
        drop(connection);
    };
    let (ended, ()) = tokio::join!(host, side);
    assert!(matches!(ended, Err(EnrolError::Caller(Stop))));
}

#[tokio::test]
async fn enr_09_leaving_is_signed_and_answered() {
    let relay = Relay::new(1);
    let (_dir, key) = key();
    let (addr, pins) = (relay.addr.to_string(), [relay.pin]);
    let leave = Unenrol::sign(&SigningKey::from_bytes(&[1; 32]));
    let host = enrol::unenrol::<Stop>(&addr, &pins, &key, &leave);
    let side = async {
        let connection = relay.accept().await;
        let mut talk = Talk::accept(&connection).await;
        let heard: Unenrol = soon(talk.frames.expect(Kind::Unenrol)).await.unwrap();
        assert!(heard.verify().is_some());
        talk.say(Kind::EnrolDone, &EnrolDone { refused: None }).await;
        connection.closed().await;
    };
    let (ended, ()) = tokio::join!(host, side);
    ended.unwrap();
}
