//! Challenge, grant, handshakes and records.

use super::log::{NOW, signing, verify_key};
use super::{flipped, hex};
use cloud_doctor_proto::channel::{Binding, ChannelKind, Handed, Initiator, Keys, Responder, Sealed, Secret};
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::ids::*;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::words::words;
use serde_json::{Value, json};

const CLIENT: Secret = Secret([10; 32]);
const HOLDER: Secret = Secret([20; 32]);

fn challenge_value() -> Challenge {
    Challenge {
        version: 1,
        offered_min: 1,
        offered_max: 1,
        identity: verify_key(20),
        tenant: TenantId([2; 32]),
        host: "web-1".into(),
        boot: BootId([3; 16]),
        nonce: Nonce([4; 16]),
        agent_key: HOLDER.exchange_key(),
        trust_seq: 6,
        trust_head: Hash([7; 32]),
        at: NOW,
        ttl_secs: 600,
    }
}

pub(crate) fn challenge() -> Value {
    let (bytes, signature) = challenge_value().sign(&signing(20));
    let identity = verify_key(20);
    let accepts = |bytes: &[u8]| Challenge::verify(bytes, &signature, &identity).is_ok();
    let canonical = |bytes: &[u8]| pack::from_signed_bytes::<Challenge>(bytes, 4096).is_ok();
    json!({
        "identity": identity.to_string(),
        "bytes": hex(&bytes),
        "signature": hex(signature),
        "hash": Challenge::hash(&bytes).to_string(),
        "flipped": flipped(&bytes, accepts),
        "canonical": flipped(&bytes, canonical),
    })
}

pub(crate) fn grant_value() -> Grant {
    Grant {
        version: 1,
        tenant: TenantId([2; 32]),
        agent: AgentId::of(&verify_key(20)),
        challenge: Challenge::hash(&challenge_value().sign(&signing(20)).0),
        client_key: CLIENT.exchange_key(),
        engineer: KeyId([5; 32]),
        scopes: vec![Scope::Shell { user: "deploy".into() }],
        ttl_secs: 3600,
        reason: "slow \u{2014} \u{6162}".into(),
        ticket: "T-1".into(),
        trust_seq: 6,
        trust_head: Hash([7; 32]),
        at: NOW,
    }
}

fn shell(user: &str) -> Scope {
    Scope::Shell { user: user.into() }
}

pub(crate) fn grant() -> Value {
    let bytes = grant_value().to_bytes();
    let hash = Grant::hash(&bytes);
    let exec = |user: &str| Scope::Exec { user: user.into() };
    let good = grant_value();
    let rows = [
        Grant { scopes: vec![], ..good.clone() },
        Grant { scopes: vec![shell("a"), shell("a")], ..good.clone() },
        Grant { scopes: vec![shell("b"), shell("a")], ..good.clone() },
        Grant { scopes: vec![exec("a"), shell("b")], ..good.clone() },
        Grant { scopes: vec![shell("a"), shell("ab"), shell("b"), exec("a")], ..good.clone() },
        Grant { scopes: vec![shell("\u{ffff}"), shell("\u{10000}")], ..good.clone() },
        Grant { scopes: (0..21).map(|n| shell(&format!("u{n:02}"))).collect(), ..good.clone() },
        Grant { scopes: vec![shell("")], ..good.clone() },
        Grant { scopes: vec![shell(&"\u{1f980}".repeat(128))], ..good.clone() },
        Grant { scopes: vec![shell(&"\u{1f980}".repeat(129))], ..good.clone() },
        Grant { reason: "r".repeat(501), ..good.clone() },
        Grant { ticket: "t".repeat(129), ..good.clone() },
        Grant { ttl_secs: 0, ..good },
    ];
    let rows: Vec<Value> = rows
        .iter()
        .map(|grant| json!({ "bytes": hex(grant.to_bytes()), "good": Grant::from_bytes(&grant.to_bytes()).is_ok() }))
        .collect();
    json!({
        "bytes": hex(&bytes),
        "hash": hash.to_string(),
        "visit": Grant::visit(&bytes).to_string(),
        "words": words(&hash),
        "flipped": flipped(&bytes, |bytes| Grant::from_bytes(bytes).is_ok()),
        "rules": rows,
    })
}

pub(crate) fn transcript(resume: Option<&Handed>, kind: ChannelKind) -> Value {
    let binding = Binding {
        version: 1,
        challenge: Hash([1; 32]),
        grant: Hash([2; 32]),
        kind,
        channel: ChannelId([3; 16]),
        resume: resume.map_or(0, |handed| handed.index),
    };
    let (holder, client) = (HOLDER.exchange_key(), CLIENT.exchange_key());
    let secret = resume.map(|handed| &handed.secret);
    let ours = Keys { ours: &CLIENT, theirs: &holder, resume: secret };
    let theirs = Keys { ours: &HOLDER, theirs: &client, resume: secret };
    let (initiator, first) = Initiator::start(&binding, ours, [30; 32], b"what the channel is to be").unwrap();
    let responder = Responder::read(&binding, theirs, [40; 32], &first).unwrap();
    let (second, mut holder_end) = responder.reply(b"what is handed out").unwrap();
    let (mut client_end, _) = initiator.finish(&second).unwrap();
    json!({
        "kind": kind,
        "resume": resume.map(|handed| json!({ "index": handed.index, "secret": hex(handed.secret.0) })),
        "ephemeral": hex([30; 32]),
        "payload": hex(b"what the channel is to be"),
        "first": hex(&first),
        "second": hex(&second),
        "answer": hex(b"what is handed out"),
        "toHolder": records(&mut client_end),
        "toClient": records(&mut holder_end),
    })
}

fn records(end: &mut Sealed) -> Value {
    let mut record = |plain: &[u8]| {
        let mut sealed = Vec::new();
        end.seal(plain, &mut sealed).unwrap();
        json!({ "plain": hex(plain), "sealed": hex(&sealed) })
    };
    json!([record(b"first"), record(b""), record(&[7; 200])])
}

pub(crate) fn transcripts() -> Value {
    let handed = Handed { index: 300, secret: Secret([50; 32]) };
    json!({
        "client": { "secret": hex(CLIENT.0), "open": CLIENT.exchange_key().to_string() },
        "holder": HOLDER.exchange_key().to_string(),
        "transcripts": [
            transcript(None, ChannelKind::Shell),
            transcript(None, ChannelKind::Exec),
            transcript(Some(&handed), ChannelKind::Shell),
        ],
    })
}
