//! Links that let a new person in, and what their secret says about a key.

use crate::hex;
use cloud_doctor_proto::ids::{TenantId, VerifyKey};
use cloud_doctor_proto::join::{JoinId, JoinLink};
use cloud_doctor_proto::signer::SshKey;
use serde_json::{Value, json};

pub(crate) fn join() -> Value {
    let links = [1u8, 0xfe].map(|seed| JoinLink {
        token: [seed; 16],
        secret: [seed.wrapping_add(1); 32],
        tenant: TenantId([seed.wrapping_add(2); 32]),
    });
    let key = SshKey::of_ed25519(&VerifyKey([7; 32]));
    let good = links[0].text();
    let rows: Vec<Value> = links.iter().map(|link| row(link, &key)).collect();
    let bad = [
        String::new(),
        good[1..].to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{}A", *good),
        format!("{}.", *good),
        format!("{}=", *good),
        good.replace('.', " "),
    ];
    assert!(bad.iter().all(|text| JoinLink::parse(text).is_err()));
    json!({ "links": rows, "bad": bad })
}

fn row(link: &JoinLink, key: &SshKey) -> Value {
    let macs: Vec<Value> = ["sshsig", "device", "webauthn"]
        .iter()
        .map(|kind| json!({ "kind": kind, "mac": hex(link.mac(kind, key.blob())) }))
        .collect();
    json!({
        "text": *link.text(),
        "token": hex(link.token),
        "secret": hex(link.secret),
        "tenant": hex(link.tenant.0),
        "id": JoinId::of(&link.token).to_string(),
        "key": key.to_openssh(),
        "blob": hex(key.blob()),
        "macs": macs,
    })
}
