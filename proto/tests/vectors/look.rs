//! What a page needs to watch a shell and to read a host's audit: scopes, questions, answers and records.

use super::bytes::{said_by_holder, said_to_holder, tolerant};
use super::sealed::{grant_value, transcript};
use super::{flipped, hex};
use cloud_doctor_proto::channel::{ChannelKind, Handed, Secret};
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::look::{Answer, AuditFile, AuditPage, LivingShell, Question};
use cloud_doctor_proto::session::{FinReason, ToClient, ToHolder, Watchers};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

fn grants() -> Value {
    let shell = |user: &str| Scope::Shell { user: user.into() };
    let exec = |user: &str| Scope::Exec { user: user.into() };
    let watch = |user: &str| Scope::Watch { user: user.into() };
    let rows = [
        vec![watch("deploy"), watch("root"), Scope::Audit {}],
        vec![Scope::Audit {}],
        vec![shell("root"), exec("root"), watch("a"), Scope::Audit {}],
        vec![Scope::Audit {}, watch("root")],
        vec![watch("root"), exec("a")],
        vec![Scope::Audit {}, Scope::Audit {}],
        vec![watch("")],
    ];
    let row = |scopes: Vec<Scope>| {
        let bytes = Grant { scopes, ..grant_value() }.to_bytes();
        let good = |bytes: &[u8]| Grant::from_bytes(bytes).is_ok();
        json!({ "bytes": hex(&bytes), "good": good(&bytes), "flipped": flipped(&bytes, good) })
    };
    rows.map(row).into_iter().collect()
}

fn messages() -> Value {
    let shell = LivingShell {
        channel: ChannelId([1; 16]),
        user: "root".into(),
        person: "eve \u{4e16}".into(),
        reason: "slow site".into(),
        ticket: String::new(),
        age_secs: 70_000,
        ends_in_secs: 3600,
        attached: true,
        watchers: 2,
        may_end: true,
    };
    let files = vec![AuditFile { first: 0, bytes: 4 << 20 }, AuditFile { first: 9_000, bytes: 300 }];
    json!([
        tolerant("question", &Question::Shells {}),
        tolerant("question", &Question::Audit { file: 9_000, offset: 1 << 20 }),
        tolerant("answer", &Answer::Shells { shells: vec![] }),
        tolerant("answer", &Answer::Shells { shells: vec![shell] }),
        tolerant("answer", &Answer::Audit(AuditPage { files, data: ByteBuf::from(vec![0x7b; 300]) })),
        tolerant("channelKind", &ChannelKind::Watch),
        tolerant("channelKind", &ChannelKind::Ask),
    ])
}

pub(crate) fn look() -> Value {
    let handed = Handed { index: 2, secret: Secret([50; 32]) };
    json!({
        "grants": grants(),
        "pack": messages(),
        "toHolder": {
            "look": said_to_holder(&ToHolder::Look { from: 1 << 34, last: 256 << 10 }),
            "end": said_to_holder(&ToHolder::End),
        },
        "toClient": [
            said_by_holder(&ToClient::Size { cols: 500, rows: 24 }),
            said_by_holder(&ToClient::Watchers(Watchers { people: vec!["carl".into(), "w\u{fc}rz".into()] })),
            said_by_holder(&ToClient::Watchers(Watchers { people: vec![] })),
            said_by_holder(&ToClient::Unknown { tag: 0xc1, body: b"of a newer holder" }),
            said_by_holder(&ToClient::Fin(FinReason::Ended)),
        ],
        "transcripts": [
            transcript(None, ChannelKind::Watch),
            transcript(Some(&handed), ChannelKind::Watch),
            transcript(None, ChannelKind::Ask),
        ],
    })
}
