//! Codecs, words and signatures.

use super::{flipped, hex};
use cloud_doctor_proto::channel::{ChannelKind, Handed, Secret};
use cloud_doctor_proto::frame::{self, Decoder, Kind};
use cloud_doctor_proto::ids::*;
use cloud_doctor_proto::limits::CONTROL_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::*;
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_LOG, NAMESPACE_SECOND, SshKey, sign_ed25519, unarmour};
use cloud_doctor_proto::told::Tell;
use cloud_doctor_proto::visit::*;
use cloud_doctor_proto::words::words;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// Made for these vectors; it opens nothing.
pub(crate) const P256: &str = include_str!("p256.key");

pub(crate) fn tolerant<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> Value {
    let bytes = pack::to_bytes(value);
    let accepts = |bytes: &[u8]| pack::from_bytes::<T>(bytes, CONTROL_BYTES_MAX).is_ok();
    json!({ "type": name, "bytes": hex(&bytes), "flipped": flipped(&bytes, accepts) })
}

/// Control messages that the console writes or reads.
pub(crate) fn pack() -> Value {
    let signed = Signed { key: KeyId([5; 32]), sshsig: ByteBuf::from(vec![6; 300]) };
    let channel = ChannelInfo {
        channel: ChannelId([1; 16]),
        kind: ChannelKind::Shell,
        user: "w\u{fc}rzburg \u{4e16}\u{754c} \u{1f980}".into(),
        age_secs: 70_000,
        attached: false,
    };
    let entries = vec![ByteBuf::from(vec![7; 40]), ByteBuf::new()];
    let request = OpenRequest {
        user: "x".repeat(40),
        attach: true,
        abandoned: (0..20).map(|seed| ExchangeKey([seed; 32])).collect(),
        term: "xterm-256color".into(),
        lang: String::new(),
        argv: vec![],
    };
    json!([
        tolerant("challengeRequest", &ChallengeRequest { proto_min: 1, proto_max: 300, trust_seq: 1 << 33 }),
        tolerant(
            "challengeReply",
            &ChallengeReply { challenge: ByteBuf::from(vec![1; 260]), signature: [2; 64], entries: entries.clone() }
        ),
        tolerant(
            "openVisit",
            &OpenVisit {
                grant: ByteBuf::from(vec![1]),
                engineer: signed.clone(),
                second: None,
                entries: entries.clone()
            }
        ),
        tolerant(
            "openVisit",
            &OpenVisit {
                grant: ByteBuf::from(vec![1]),
                engineer: signed.clone(),
                second: Some(signed.clone()),
                entries: vec![]
            }
        ),
        tolerant("visitOpened", &VisitOpened { visit: VisitId([1; 16]), ends_in_secs: 3600, channels: vec![channel] }),
        tolerant("needSecond", &NeedSecond { visit: VisitId([1; 16]), within_secs: 600, remote: true, local: false }),
        tolerant("second", &Second { second: signed }),
        tolerant(
            "openChannel",
            &OpenChannel {
                visit: VisitId([1; 16]),
                channel: ChannelId([2; 16]),
                kind: ChannelKind::Exec,
                resume: 4,
                first: ByteBuf::from(vec![5; 300])
            }
        ),
        tolerant("channelReply", &ChannelReply { second: ByteBuf::from(vec![1; 100]) }),
        tolerant("handed", &Handed { index: 128, secret: Secret([2; 32]) }),
        tolerant::<Refused>("refused", &Refusal::NoUser.with("bob")),
        tolerant::<Refused>("refused", &Refusal::NotStarted.telling(Tell::NoHome.with(&[&"/home/eve", &"denied"]))),
        tolerant("openRequest", &request),
        super::metrics::series(),
    ])
}

/// Kinds, and byte streams with what comes out of them.
pub(crate) fn frames() -> Value {
    let kinds: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| json!({ "name": format!("{kind:?}"), "number": *kind as u16, "max": kind.bytes_max() }))
        .collect();
    let two = [frame::encode(Kind::Challenge, b"a"), frame::encode(Kind::Record, &[7; 300])].concat();
    let skipped = [&[0, 0, 0, 2, 0x7f, 0xff, 0, 9, 9][..], &two].concat();
    let must = [&[0, 0, 0, 2, 0x7f, 0xff, 1, 9, 9][..], &two].concat();
    let long = [&[0, 1, 0, 0, 1, 0x0a, 0][..], &[0; 10]].concat();
    let unknown_long = [0, 0x10, 0, 1, 0x7f, 0xff, 0];
    let streams = [two.clone(), two[..two.len() - 1].to_vec(), skipped, must, long, unknown_long.to_vec()];
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| {
            let mut decoder = Decoder::new();
            decoder.push(stream);
            let mut frames = Vec::new();
            let broken = loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push(json!({ "kind": frame.kind as u16, "body": hex(&frame.body) })),
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            json!({ "bytes": hex(stream), "frames": frames, "broken": broken })
        })
        .collect();
    json!({ "kinds": kinds, "streams": streams })
}

pub(crate) fn words_of_hashes() -> Value {
    let of = |hash: Hash| json!({ "hash": hash.to_string(), "words": words(&hash) });
    json!([of(Hash([7; 32])), of(Hash([0; 32])), of(Hash::of(&[b"console"]))])
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// What a hardware key would answer, with these flags.
fn hardware(namespace: &str, message: &[u8], flags: u8) -> (Vec<u8>, Vec<u8>) {
    let key = SigningKey::from_bytes(&[8; 32]);
    let name = b"sk-ssh-ed25519@openssh.com";
    let blob = [string(name), string(&key.verifying_key().to_bytes()), string(b"ssh:")].concat();
    let about = [string(namespace.as_bytes()), string(b""), string(b"sha512")].concat();
    let data = [b"SSHSIG".as_slice(), &about, &string(&Sha512::digest(message))].concat();
    let trailer = [flags, 0, 0, 0, 9];
    let signed = [Sha256::digest(b"ssh:").as_slice(), &trailer, &Sha256::digest(&data)].concat();
    let signature = [string(name), string(&key.sign(&signed).to_bytes()), trailer.to_vec()].concat();
    let sshsig = [b"SSHSIG".as_slice(), &1u32.to_be_bytes(), &string(&blob), &about, &string(&signature)].concat();
    (blob, sshsig)
}

pub(crate) fn p256_signature(namespace: &str, message: &[u8], hash: HashAlg) -> (Vec<u8>, Vec<u8>) {
    let key = PrivateKey::from_openssh(P256).unwrap();
    let pem = key.sign(namespace, hash, message).unwrap().to_pem(LineEnding::LF).unwrap();
    (key.public_key().to_bytes().unwrap(), unarmour(&pem).unwrap())
}

/// Signatures with a verdict each, and which flipped bits leave them good (none).
pub(crate) fn signatures() -> Value {
    let ed25519 = SigningKey::from_bytes(&[7; 32]);
    let blob = SshKey::of_ed25519(&VerifyKey(ed25519.verifying_key().to_bytes())).blob().to_vec();
    let message = b"what is signed";
    let plain = sign_ed25519(&ed25519, NAMESPACE_LOG, message);
    let (p256, by_p256) = p256_signature(NAMESPACE_GRANT, message, HashAlg::Sha512);
    let (_, by_p256_sha256) = p256_signature(NAMESPACE_GRANT, message, HashAlg::Sha256);
    let (sk, touched) = hardware(NAMESPACE_SECOND, message, 1);
    let (_, untouched) = hardware(NAMESPACE_SECOND, message, 0);
    let rows: [(&str, &[u8], &str, &[u8]); 9] = [
        ("ed25519", &blob, NAMESPACE_LOG, &plain),
        ("ed25519, other namespace", &blob, NAMESPACE_GRANT, &plain),
        ("ed25519, other key", &p256, NAMESPACE_LOG, &plain),
        ("p256", &p256, NAMESPACE_GRANT, &by_p256),
        ("p256, sha256", &p256, NAMESPACE_GRANT, &by_p256_sha256),
        ("p256, other namespace", &p256, NAMESPACE_LOG, &by_p256),
        ("hardware", &sk, NAMESPACE_SECOND, &touched),
        ("hardware, not touched", &sk, NAMESPACE_SECOND, &untouched),
        ("cut", &blob, NAMESPACE_LOG, &plain[..plain.len() - 1]),
    ];
    let rows: Vec<Value> = rows
        .iter()
        .map(|(name, blob, namespace, sshsig)| {
            let key = SshKey::from_blob(blob).unwrap();
            let verdict = key.verify(namespace, message, sshsig);
            json!({
                "name": name,
                "blob": hex(blob),
                "openssh": key.to_openssh().unwrap(),
                "fingerprint": key.fingerprint(),
                "id": key.id().to_string(),
                "namespace": namespace,
                "message": hex(message),
                "sshsig": hex(sshsig),
                "verdict": verdict.map_or_else(|error| format!("{error:?}"), |()| "ok".to_owned()),
                "flipped": flipped(sshsig, |bytes| key.verify(namespace, message, bytes).is_ok()),
            })
        })
        .collect();
    json!(rows)
}

/// A client's message.
pub(crate) fn said_to_holder(message: &ToHolder<'_>) -> String {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    hex(&bytes)
}

/// A holder's message, and which flipped bits leave it one.
pub(crate) fn said_by_holder(message: &ToClient<'_>) -> Value {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let accepts = |bytes: &[u8]| ToClient::decode(bytes).is_ok();
    json!({ "said": format!("{message:?}"), "bytes": hex(&bytes), "flipped": flipped(&bytes, accepts) })
}

/// Messages inside the channel, both ways.
pub(crate) fn session() -> Value {
    let to_holder = |message: ToHolder<'_>| said_to_holder(&message);
    let to_client = |message: ToClient<'_>| said_by_holder(&message);
    let welcome = |notice| Welcome { pid: 1, input_applied: 2, out_end: 300, err_end: 0, ends_in_secs: 3600, notice };
    json!({
        "toHolder": {
            "begin": to_holder(ToHolder::Begin(Begin { out_from: 1 << 34, err_from: 0, cols: 80, rows: 24 })),
            "input": to_holder(ToHolder::Input { offset: 1 << 40, data: b"ls\n" }),
            "ack": to_holder(ToHolder::Ack { out: 1, err: 2 }),
            "resize": to_holder(ToHolder::Resize { cols: 500, rows: 24 }),
            "ping": to_holder(ToHolder::Ping(7)),
            "close": to_holder(ToHolder::Close),
            "bye": to_holder(ToHolder::Bye),
        },
        "toClient": [
            to_client(ToClient::Welcome(welcome(None))),
            to_client(ToClient::Welcome(welcome(Some(Tell::NoHome.with(&[&"/home/eve", &"denied"]))))),
            to_client(ToClient::Output { stream: Stream::Out, offset: 3, data: b"hi" }),
            to_client(ToClient::InputAck { offset: 8 }),
            to_client(ToClient::Skipped { stream: Stream::Out, from: 1, to: 2 }),
            to_client(ToClient::Exit(ExitStatus::Code(3))),
            to_client(ToClient::Exit(ExitStatus::Signal(9))),
            to_client(ToClient::Exit(ExitStatus::NotStarted(Tell::NoUser.with(&[&"bob"])))),
            to_client(ToClient::Notice(Notice { ends_in_secs: 60 })),
            to_client(ToClient::Pong(7)),
            to_client(ToClient::Fin(FinReason::TakenOver)),
            to_client(ToClient::Fin(FinReason::Exited)),
        ],
    })
}
