//! The log's rules, one row each.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::ids::Nonce;
use crate::pack::PackError;
use crate::refusal::Language;
use crate::signer::{KeyKind, NAMESPACE_LOG, SshKey};
use crate::time::DAY_SECS;
use ed25519_dalek::SigningKey;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};
use std::collections::BTreeSet;

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub(super) fn named(seed: u8, person: &str) -> NamedKey {
    NamedKey::ssh(SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap(), person)
}

pub(super) fn id(seed: u8) -> KeyId {
    named(seed, "x").key.id()
}

pub(super) fn sign(entry: &Entry, seed: u8) -> Vec<u8> {
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
        first: vec![],
    };
    sign(&Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(1), what }, 1)
}

pub(super) fn log() -> TrustLog {
    TrustLog::genesis(&genesis(), None).unwrap()
}

pub(super) fn add(log: &mut TrustLog, signer: u8, what: What) -> Result<(), LogError> {
    let entry = log.next_entry(id(signer), NOW, what);
    log.append(&sign(&entry, signer))
}

pub(super) fn engineer(seed: u8, days: u64) -> What {
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
}

#[test]
fn roots_come_and_go_by_a_roots_word_or_the_recovery_keys() {
    let mut log = log();
    for stranger in [5, 7] {
        let refused = add(&mut log, stranger, What::AddRoot { key: named(3, "new root") });
        assert!(matches!(refused, Err(LogError::NotAllowed { .. })), "{stranger}");
    }
    add(&mut log, 2, What::AddRoot { key: named(3, "new root") }).unwrap();
    let recovery = add(&mut log, 1, What::AddRoot { key: named(2, "safe") }).unwrap_err();
    assert!(matches!(recovery, LogError::Rule { rule: Rule::RecoveryApart, .. }), "{recovery}");
    add(&mut log, 1, engineer(1, 90)).unwrap();
    add(&mut log, 2, What::RemoveRoot { key: id(1) }).unwrap();
    assert!(add(&mut log, 1, engineer(5, 1)).is_err(), "a removed root signs no more");
    assert!(log.person(&id(1), Role::Engineer).is_none(), "nor grants");
    for last in [2, 3] {
        let refused = add(&mut log, last, What::RemoveRoot { key: id(3) }).unwrap_err();
        assert!(matches!(refused, LogError::Rule { rule: Rule::LastRoot, .. }), "{refused}");
    }
    add(&mut log, 3, engineer(5, 1)).unwrap();
    // A root that another one follows may go by itself.
    add(&mut log, 3, What::AddRoot { key: named(4, "third") }).unwrap();
    add(&mut log, 3, What::RemoveRoot { key: id(3) }).unwrap();
    assert_eq!(log.roots.keys().collect::<Vec<_>>(), [&id(4)]);
}

#[test]
fn the_recovery_key_alone_replaces_all_roots_in_one_entry() {
    let mut log = log();
    let batch = |seed: u8| VerifyKey(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes());
    let bind = |key| What::EnrolBatch { key, until: NOW.plus_secs(3600), uses: 5, note: String::new() };
    add(&mut log, 1, What::AddRoot { key: named(4, "second root") }).unwrap();
    add(&mut log, 1, engineer(1, 90)).unwrap();
    add(&mut log, 1, engineer(5, 90)).unwrap();
    add(&mut log, 1, bind(batch(40))).unwrap();
    add(&mut log, 4, bind(batch(41))).unwrap();
    let new = |roots: Vec<NamedKey>| What::ReplaceRoots { roots };
    for other in [1, 4, 5, 7] {
        let refused = add(&mut log, other, new(vec![named(3, "new root")]));
        assert!(matches!(refused, Err(LogError::NotAllowed { .. })), "{other}");
    }
    // In the recovery key's name by another key.
    let forged = log.next_entry(id(2), NOW, new(vec![named(3, "new root")]));
    assert!(matches!(log.append(&sign(&forged, 1)), Err(LogError::Signature { .. })));
    for (roots, rule) in [
        (Vec::new(), Rule::Roots),
        ((10..27).map(|seed| named(seed, "x")).collect(), Rule::Roots),
        (vec![named(3, "x"), named(3, "y")], Rule::SameRoots),
        (vec![named(2, "safe")], Rule::RecoveryApart),
        (vec![named(3, "")], Rule::NameLength),
    ] {
        assert_eq!(add(&mut log, 2, new(roots)), Err(LogError::Rule { seq: log.head().seq + 1, rule }));
    }
    let replaced = sign(&log.next_entry(id(2), NOW, new(vec![named(3, "new root"), named(4, "second root")])), 2);
    let before = log.clone();
    log.append(&replaced).unwrap();
    assert_eq!(log.roots.keys().collect::<BTreeSet<_>>(), [id(3), id(4)].iter().collect());
    assert!(log.person(&id(1), Role::Engineer).is_none(), "the replaced root signs no grants either");
    assert!(log.person(&id(5), Role::Engineer).is_some(), "others stay");
    let left: Vec<VerifyKey> = log.batches.values().map(|batch| batch.key).collect();
    assert_eq!(left, [batch(41)], "and its batches bind no servers");
    for what in [engineer(6, 1), What::AddRoot { key: named(8, "x") }, What::RemoveRoot { key: id(3) }] {
        assert!(matches!(add(&mut log, 1, what), Err(LogError::NotAllowed { .. })), "the old root says nothing more");
    }
    // Replayed, on the log that it made and on one that went another way.
    assert!(matches!(log.append(&replaced), Err(LogError::Fork { .. })));
    let mut other = before;
    add(&mut other, 1, engineer(6, 1)).unwrap();
    assert!(matches!(other.append(&replaced), Err(LogError::Fork { .. })));
    add(&mut log, 3, engineer(6, 1)).unwrap();
}

#[test]
fn cod_08_names_hold_nothing_that_cannot_be_seen() {
    let hidden = (0..0x20).chain(0x7f..0xa0).chain(0x200b..0x2010).chain(0x2028..0x202f).chain(0x2066..0x206a);
    let mut log = log();
    for code in hidden.chain([0xfeff]) {
        let name = format!("eve{}", char::from_u32(code).unwrap());
        let policy = Policy { second_for: vec![name.clone()], ..Policy::default() };
        let until = NOW.plus_secs(3600);
        let rows = [
            What::AddRoot { key: named(3, &name) },
            What::AddPerson { key: named(5, &name), role: Role::Engineer, until },
            What::EnrolBatch { key: VerifyKey([1; 32]), until, uses: 1, note: name.clone() },
            What::SetPolicy { policy },
        ];
        for what in rows {
            let entry = log.next_entry(id(1), NOW, what);
            assert!(matches!(log.allows(&entry), Err(LogError::Rule { rule: Rule::NameHidden, .. })), "{code:x}");
            assert!(matches!(log.append(&sign(&entry, 1)), Err(LogError::Rule { rule: Rule::NameHidden, .. })));
        }
        assert_eq!(broken_by_name(&name), Some(Rule::NameHidden));
    }
    for name in ["Анна", "王小明", "Zoë O'Neil <z@example.com>", "naïve – dash", "💡"] {
        assert_eq!(broken_by_name(name), None, "{name}");
        add(&mut log, 1, What::AddPerson { key: named(5, name), role: Role::Engineer, until: NOW.plus_secs(9) })
            .unwrap();
    }
}

#[test]
fn a_key_keeps_its_kind_until_it_is_removed() {
    let mut log = log();
    let until = NOW.plus_secs(DAY_SECS);
    let person = |key| What::AddPerson { key, role: Role::Engineer, until };
    let browser = NamedKey::device(named(5, "eve").key, "eve");
    let refused = |log: &TrustLog, rule| Err(LogError::Rule { seq: log.head().seq + 1, rule });
    add(&mut log, 1, person(browser.clone())).unwrap();
    add(&mut log, 1, person(browser.clone())).unwrap();
    assert_eq!(add(&mut log, 1, person(named(5, "eve"))), refused(&log, Rule::OtherKind), "never more than it was");
    let copy = TrustLog::replay(&log.entries_from(0, 9), Some(log.tenant())).unwrap();
    assert_eq!(copy.person(&id(5), Role::Engineer).unwrap().key.kind, KeyKind::Device);
    add(&mut log, 1, What::RemovePerson { key: id(5) }).unwrap();
    add(&mut log, 1, person(named(5, "eve"))).unwrap();
    assert_eq!(add(&mut log, 1, person(browser)), refused(&log, Rule::OtherKind));
}

#[test]
fn a_browsers_key_is_no_root_and_recovers_nothing() {
    let mut log = log();
    let browser = |seed: u8| NamedKey::device(named(seed, "page").key, "page");
    let refused = |log: &TrustLog| Err(LogError::Rule { seq: log.head().seq + 1, rule: Rule::RootKind });
    assert_eq!(add(&mut log, 1, What::AddRoot { key: browser(3) }), refused(&log));
    assert_eq!(add(&mut log, 2, What::ReplaceRoots { roots: vec![named(3, "x"), browser(4)] }), refused(&log));
    for (roots, recovery, rule) in
        [(vec![browser(1)], named(2, "safe"), Rule::RootKind), (vec![named(1, "root")], browser(2), Rule::RecoveryKind)]
    {
        let what = What::Genesis { name: "ACME".into(), roots, recovery, salt: Nonce([9; 16]), first: vec![] };
        let entry = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(1), what };
        let begun = TrustLog::genesis(&sign(&entry, 1), None).map(|_| ());
        assert_eq!(begun, Err(LogError::Rule { seq: 0, rule }));
    }
}

/// An entry with a field or value that this build would not write is refused, whatever its signature.
#[test]
fn kinds_have_one_form_and_unknown_ones_are_refused() {
    let key = named(5, "eve");
    let written = crate::pack::to_bytes(&key);
    assert_eq!(written[0], 0x82, "two fields: entries from before kinds keep their bytes");
    let kind = |kind: &str| {
        let mut bytes = written.clone();
        bytes[0] = 0x83;
        bytes.push(0xa6);
        bytes.extend(b"signer");
        bytes.push(0xa0 | u8::try_from(kind.len()).unwrap());
        bytes.extend(kind.as_bytes());
        crate::pack::from_signed_bytes::<NamedKey>(&bytes, 1000)
    };
    assert_eq!(kind("device"), Ok(NamedKey::device(key.key.clone(), "eve")));
    assert_eq!(kind("sshsig"), Err(PackError::NotCanonical), "the default is not written");
    for unknown in ["local", "root", "Device", ""] {
        assert!(matches!(kind(unknown), Err(PackError::Malformed(_))), "{unknown}");
    }
}

#[test]
fn every_rule_has_two_languages() {
    for rule in Rule::ALL {
        assert!(rule.text(Language::En).is_ascii() && !rule.text(Language::Zh).is_ascii(), "{rule:?}");
    }
    let error = LogError::Rule { seq: 3, rule: Rule::LastRoot };
    assert_eq!(error.text(Language::Zh), "第 3 条：不能移除最后一把根密钥；请先添加另一把");
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

fn passkey(seed: u8, person: &str) -> NamedKey {
    NamedKey::held(crate::passkey::tests::eddsa(seed), person)
}

/// An entry under a passkey's signature.
fn touch(entry: &Entry, seed: u8) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let signature = ByteBuf::from(crate::passkey::tests::touch(seed, NAMESPACE_LOG, &bytes));
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}

/// A customer who started alone in a browser: a passkey as root and engineer, begun by the recovery key.
fn solo(first: Vec<First>) -> Result<TrustLog, LogError> {
    let what = What::Genesis {
        name: "Ann".into(),
        roots: vec![passkey(1, "ann")],
        recovery: named(2, "ann"),
        salt: Nonce([9; 16]),
        first,
    };
    TrustLog::genesis(&sign(&Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(2), what }, 2), None)
}

fn batch(seed: u8) -> First {
    First::EnrolBatch { key: VerifyKey([seed; 32]), until: NOW.plus_secs(DAY_SECS), uses: 1, note: String::new() }
}

#[test]
fn a_first_entry_may_hold_people_and_install_tokens() {
    let until = NOW.plus_secs(90 * DAY_SECS);
    let ann = First::AddPerson { key: passkey(1, "ann"), role: Role::Engineer, until };
    let log = solo(vec![ann.clone(), batch(3)]).unwrap();
    assert!(log.person(&passkey(1, "").key.id(), Role::Engineer).is_some());
    assert_eq!(log.batches.len(), 1);
    let late = First::AddPerson { key: named(5, "eve"), role: Role::Engineer, until: until.plus_secs(1) };
    let twice = First::AddPerson { key: passkey(1, "ann"), role: Role::Approver, until };
    let rows = [
        ((1..10).map(batch).collect(), Rule::FirstCount),
        (vec![late], Rule::PersonDays),
        (vec![ann, twice], Rule::OtherRole),
    ];
    for (first, expected) in rows {
        assert_eq!(solo(first).unwrap_err(), LogError::Rule { seq: 0, rule: expected });
    }
}

#[test]
fn r_15_a_root_made_of_a_passkey_adds_no_roots() {
    let mut log = solo(vec![batch(3)]).unwrap();
    let by = passkey(1, "").key.id();
    let say = |log: &TrustLog, what| touch(&log.next_entry(by, NOW, what), 1);
    let add = say(&log, engineer(5, 90));
    log.append(&add).unwrap();
    for what in [
        What::AddRoot { key: named(7, "eve") },
        What::RemoveRoot { key: by },
        What::ReplaceRoots { roots: vec![named(7, "eve")] },
    ] {
        let entry = say(&log, what);
        assert!(matches!(log.append(&entry), Err(LogError::NotAllowed { .. })));
    }
    // The recovery key, which no browser holds, replaces it; tokens that were given out at the start are void.
    let entry = log.next_entry(id(2), NOW, What::ReplaceRoots { roots: vec![named(7, "ann")] });
    log.append(&sign(&entry, 2)).unwrap();
    let late = say(&log, engineer(6, 90));
    assert!(matches!(log.append(&late), Err(LogError::NotAllowed { .. })));
    assert!(log.batches.is_empty());
}

#[test]
fn keys_are_listed_as_what_they_are() {
    let mut log = log();
    let until = NOW.plus_secs(DAY_SECS);
    let as_ssh = NamedKey { kind: KeyKind::Sshsig, ..passkey(5, "eve") };
    let as_passkey = NamedKey { kind: KeyKind::Webauthn, ..named(6, "eve") };
    for key in [as_ssh.clone(), as_passkey.clone()] {
        let refused = add(&mut log, 1, What::AddPerson { key: key.clone(), role: Role::Engineer, until }).unwrap_err();
        assert_eq!(refused, LogError::Rule { seq: 1, rule: Rule::PasskeyKind });
        let refused = add(&mut log, 1, What::AddRoot { key }).unwrap_err();
        assert_eq!(refused, LogError::Rule { seq: 1, rule: Rule::PasskeyKind });
    }
    add(&mut log, 1, What::AddPerson { key: passkey(5, "eve"), role: Role::Engineer, until }).unwrap();
    let copy = TrustLog::replay(&log.entries_from(0, 10), None).unwrap();
    assert_eq!(copy.person(&passkey(5, "").key.id(), Role::Engineer).unwrap().key.kind, KeyKind::Webauthn);
}

#[test]
fn a_recovery_key_is_no_browsers() {
    let what = |recovery| What::Genesis {
        name: "ACME".into(),
        roots: vec![named(1, "root")],
        recovery,
        salt: Nonce([9; 16]),
        first: vec![],
    };
    for recovery in [passkey(2, "safe"), NamedKey { kind: KeyKind::Device, ..named(2, "safe") }] {
        let entry = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(1), what: what(recovery) };
        let refused = TrustLog::genesis(&sign(&entry, 1), None).unwrap_err();
        assert_eq!(refused, LogError::Rule { seq: 0, rule: Rule::RecoveryKind });
    }
}

#[test]
fn servers_are_renamed_by_roots() {
    let mut log = log();
    let batch_key = SigningKey::from_bytes(&[3; 32]);
    let batch_public = VerifyKey(batch_key.verifying_key().to_bytes());
    let until = NOW.plus_secs(DAY_SECS);
    add(&mut log, 1, What::EnrolBatch { key: batch_public, until, uses: 1, note: String::new() }).unwrap();
    let identity = VerifyKey([4; 32]);
    let agent = AgentId::of(&identity);
    let entry = log.next_entry(batch_id(&batch_public), NOW, What::AddAgent { identity, name: "web".into() });
    log.append(&entry.sign_with_batch(&batch_key).to_bytes()).unwrap();
    add(&mut log, 1, What::RenameAgent { agent, name: "web-1".into() }).unwrap();
    assert_eq!(log.agents[&agent].name, "web-1");
    for (agent, name, rule) in [
        (AgentId([9; 32]), "web", Rule::NoServer),
        (agent, "", Rule::NameLength),
        (agent, "web\u{200b}", Rule::NameHidden),
    ] {
        let refused = add(&mut log, 1, What::RenameAgent { agent, name: name.into() }).unwrap_err();
        assert!(matches!(refused, LogError::Rule { rule: broken, .. } if broken == rule), "{refused}");
    }
}
