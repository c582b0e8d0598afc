//! The log's rules, one row each.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::ids::Nonce;
use crate::signer::{NAMESPACE_LOG, SshKey};
use crate::time::DAY_SECS;
use ed25519_dalek::SigningKey;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn named(seed: u8, person: &str) -> NamedKey {
    NamedKey {
        key: SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap(),
        person: person.to_owned(),
    }
}

fn id(seed: u8) -> KeyId {
    named(seed, "x").key.id()
}

fn sign(entry: &Entry, seed: u8) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let pem = private(seed).sign(NAMESPACE_LOG, HashAlg::Sha512, &bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    let signature = ByteBuf::from(crate::signer::unarmour(&pem).unwrap());
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}

fn genesis() -> Vec<u8> {
    let what = What::Genesis {
        name: "ACME".into(),
        roots: vec![named(1, "root@acme")],
        recovery: named(2, "safe"),
        salt: Nonce([9; 16]),
    };
    sign(&Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(1), what }, 1)
}

fn log() -> TrustLog {
    TrustLog::genesis(&genesis(), None).unwrap()
}

fn add(log: &mut TrustLog, signer: u8, what: What) -> Result<(), LogError> {
    let entry = log.next_entry(id(signer), NOW, what);
    log.append(&sign(&entry, signer))
}

fn engineer(seed: u8, days: u64) -> What {
    What::AddPerson { key: named(seed, "eve"), role: Role::Engineer, until: NOW.plus_secs(days * DAY_SECS) }
}

#[test]
fn people_come_and_go_by_the_roots_word() {
    let mut log = log();
    add(&mut log, 1, engineer(5, 90)).unwrap();
    assert!(log.person(&id(5), Role::Engineer).is_some());
    assert!(log.person(&id(5), Role::Approver).is_none());
    add(&mut log, 1, engineer(5, 30)).unwrap();
    add(&mut log, 1, What::RemovePerson { key: id(5) }).unwrap();
    assert!(log.people.is_empty());
    let copy: Vec<ByteBuf> = log.entries_from(0, 100);
    let replayed = TrustLog::replay(&copy, Some(log.tenant())).unwrap();
    assert_eq!(replayed.head(), log.head());
}

#[test]
fn r_15_only_roots_add_keys() {
    let mut log = log();
    add(&mut log, 1, engineer(5, 90)).unwrap();
    for stranger in [2, 5, 7] {
        assert!(matches!(add(&mut log, stranger, engineer(6, 90)), Err(LogError::NotAllowed { .. })), "{stranger}");
    }
    // The right name under the wrong key's signature.
    let entry = log.next_entry(id(1), NOW, engineer(6, 90));
    assert!(matches!(log.append(&sign(&entry, 7)), Err(LogError::Signature { .. })));
    assert_eq!(log.head().seq, 1);
}

#[test]
fn r_13_rollback_and_fork_change_nothing() {
    let mut log = log();
    let first = log.next_entry(id(1), NOW, engineer(5, 90));
    let other = log.next_entry(id(1), NOW, engineer(6, 90));
    log.append(&sign(&first, 1)).unwrap();
    assert!(matches!(log.append(&sign(&first, 1)), Err(LogError::Fork { .. })));
    assert!(matches!(log.append(&sign(&other, 1)), Err(LogError::Fork { .. })));
    assert!(matches!(log.append(&genesis()), Err(LogError::Fork { .. })));
    assert!(matches!(TrustLog::genesis(&genesis(), Some(TenantId([0; 32]))), Err(LogError::OtherTenant { .. })));
    assert!(log.person(&id(6), Role::Engineer).is_none());
}

#[test]
fn rules_of_entries() {
    let mut log = log();
    let rows: Vec<(What, &str)> = vec![
        (engineer(5, 91), "90 days"),
        (engineer(5, 0), "past"),
        (What::RemoveRoot { key: id(1) }, "last root"),
        (What::RemovePerson { key: id(5) }, "nobody"),
        (What::AddRoot { key: named(1, "x") }, "already"),
        (What::RemoveAgent { agent: AgentId([0; 32]) }, "no such server"),
        (
            What::EnrolBatch {
                key: VerifyKey([1; 32]),
                until: NOW.plus_secs(8 * DAY_SECS),
                uses: 1,
                note: String::new(),
            },
            "seven days",
        ),
        (What::AddPerson { key: named(5, ""), role: Role::Engineer, until: NOW.plus_secs(10) }, "name"),
    ];
    for (what, expected) in rows {
        let error = add(&mut log, 1, what).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    add(&mut log, 2, What::AddRoot { key: named(3, "new root") }).unwrap();
    add(&mut log, 2, What::RemoveRoot { key: id(1) }).unwrap();
    assert!(add(&mut log, 1, engineer(5, 1)).is_err(), "a removed root signs no more");
    add(&mut log, 3, engineer(5, 1)).unwrap();
}

#[test]
fn enr_01_a_batch_binds_as_many_servers_as_it_says() {
    let mut log = log();
    let batch = SigningKey::from_bytes(&[40; 32]);
    let key = VerifyKey(batch.verifying_key().to_bytes());
    let until = NOW.plus_secs(3600);
    add(&mut log, 1, What::EnrolBatch { key, until, uses: 1, note: "web".into() }).unwrap();
    let bind = |log: &TrustLog, seed: u8, at: UnixTime| {
        let what = What::AddAgent { identity: VerifyKey([seed; 32]), name: "web-1".into() };
        log.next_entry(batch_id(&key), at, what).sign_with_batch(&batch).to_bytes()
    };
    assert!(log.append(&bind(&log, 1, until.plus_secs(1))).is_err(), "too late");
    let mut forged = bind(&log, 1, NOW);
    *forged.last_mut().unwrap() ^= 1;
    assert!(log.append(&forged).is_err());
    log.append(&bind(&log, 1, NOW)).unwrap();
    assert!(log.append(&bind(&log, 2, NOW)).is_err(), "used up");
    assert_eq!(log.agents.len(), 1);
    // A batch key signs servers, nothing else.
    let mut log = self::log();
    add(&mut log, 1, What::EnrolBatch { key, until, uses: 5, note: String::new() }).unwrap();
    let entry = log.next_entry(batch_id(&key), NOW, engineer(6, 1)).sign_with_batch(&batch).to_bytes();
    assert!(matches!(log.append(&entry), Err(LogError::NotAllowed { .. })));
}

#[test]
fn every_flipped_bit_of_an_entry_is_refused() {
    let mut log = log();
    let entry = log.next_entry(id(1), NOW, engineer(5, 90));
    let good = sign(&entry, 1);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(log.append(&bad).is_err(), "bit {bit}");
    }
    log.append(&good).unwrap();
}
