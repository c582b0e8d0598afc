//! A trust log with good and bad entries: each is tried after the good ones before it.

use super::ahead::signed_ahead;
use super::bytes::p256_signature;
use super::passkeys::{eddsa, touch};
use super::{flipped, hex};
use cloud_doctor_proto::ids::*;
use cloud_doctor_proto::limits::ENTRY_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::signer::{KeyKind, NAMESPACE_GRANT, NAMESPACE_LOG, SshKey, sign_ed25519};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_proto::trust::{
    Entry, First, LogError, NamedKey, Policy, Role, Rule, SignedEntry, TrustLog, What, batch_id,
};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use ssh_key::HashAlg;
use std::collections::BTreeSet;

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

pub(crate) fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn verify_key(seed: u8) -> VerifyKey {
    VerifyKey(signing(seed).verifying_key().to_bytes())
}

pub(super) fn named(seed: u8, person: &str) -> NamedKey {
    NamedKey::ssh(SshKey::of_ed25519(&verify_key(seed)), person)
}

/// A browser's key.
pub(super) fn device(person: &str) -> NamedKey {
    let (blob, _) = p256_signature(NAMESPACE_LOG, b"", HashAlg::Sha512);
    NamedKey::device(SshKey::from_blob(&blob).unwrap(), person)
}

/// A passkey.
pub(super) fn passkey(seed: u8, person: &str) -> NamedKey {
    NamedKey::held(eddsa(seed), person)
}

pub(super) fn id(seed: u8) -> KeyId {
    named(seed, "x").key.id()
}

fn signed_in(namespace: &str, entry: &Entry, seed: u8) -> Vec<u8> {
    let entry = entry.to_bytes();
    let signature = ByteBuf::from(sign_ed25519(&signing(seed), namespace, &entry));
    SignedEntry { entry: ByteBuf::from(entry), signature }.to_bytes()
}

fn signed(entry: &Entry, seed: u8) -> Vec<u8> {
    signed_in(NAMESPACE_LOG, entry, seed)
}

fn genesis(roots: Vec<NamedKey>, recovery: NamedKey, name: &str) -> Entry {
    let what = What::Genesis { name: name.to_owned(), roots, recovery, salt: Nonce([9; 16]), first: vec![] };
    Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by: id(1), what }
}

pub(crate) fn first() -> Vec<u8> {
    signed(&genesis(vec![named(1, "root@acme")], named(2, "safe"), "ACME"), 1)
}

fn verdict(result: &Result<(), LogError>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(LogError::Pack { .. }) => "pack".to_owned(),
        Err(LogError::Fork { .. }) => "fork".to_owned(),
        Err(LogError::OtherTenant { .. }) => "other-tenant".to_owned(),
        Err(LogError::NotAllowed { .. }) => "not-allowed".to_owned(),
        Err(LogError::Signature { error, .. }) => format!("signature {error:?}"),
        Err(LogError::Rule { rule, .. }) => format!("rule {rule:?}"),
        Err(LogError::Empty) => "empty".to_owned(),
    }
}

pub(super) struct Tried {
    pub(super) log: TrustLog,
    rows: Vec<Value>,
    verdicts: BTreeSet<String>,
}

impl Tried {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let verdict = verdict(&self.log.append(bytes));
        let head = self.log.head();
        self.rows.push(json!({
            "bytes": hex(bytes),
            "verdict": verdict,
            "seq": head.seq,
            "head": head.hash.to_string(),
            "roots": self.log.roots.len(),
            "people": self.log.people.len(),
            "batches": self.log.batches.values().map(|batch| batch.uses_left).sum::<u32>(),
            "agents": self.log.agents.len(),
            "ahead": self.log.ahead.len(),
            "at": self.log.newest_claim().0,
        }));
        self.verdicts.insert(verdict);
    }

    pub(super) fn at(&mut self, seed: u8, at: UnixTime, what: What) {
        let entry = self.log.next_entry(id(seed), at, what);
        self.bytes(&signed(&entry, seed));
    }

    pub(super) fn say(&mut self, seed: u8, what: What) {
        self.at(seed, NOW, what);
    }

    /// By a passkey.
    pub(super) fn touch(&mut self, seed: u8, what: What) {
        let entry = self.log.next_entry(passkey(seed, "").key.id(), NOW, what).to_bytes();
        let signature = ByteBuf::from(touch(seed, NAMESPACE_LOG, &entry));
        self.bytes(&SignedEntry { entry: ByteBuf::from(entry), signature }.to_bytes());
    }

    /// By a browser's key.
    pub(super) fn by_device(&mut self, what: What) {
        let entry = self.log.next_entry(device("").key.id(), NOW, what).to_bytes();
        let (_, signature) = p256_signature(NAMESPACE_LOG, &entry, HashAlg::Sha512);
        self.bytes(&SignedEntry { entry: ByteBuf::from(entry), signature: ByteBuf::from(signature) }.to_bytes());
    }

    fn agent(&mut self, batch: u8, at: UnixTime, identity: u8, name: &str) {
        let what = What::AddAgent { identity: verify_key(identity), name: name.to_owned() };
        let entry = self.log.next_entry(batch_id(&verify_key(batch)), at, what);
        self.bytes(&entry.sign_with_batch(&signing(batch)).to_bytes());
    }
}

pub(super) fn person(seed: u8, name: &str, role: Role, days: u64) -> What {
    What::AddPerson { key: named(seed, name), role, until: NOW.plus_secs(days * DAY_SECS) }
}

fn batch(seed: u8, days: u64, uses: u32, note: &str) -> What {
    What::EnrolBatch { key: verify_key(seed), until: NOW.plus_secs(days * DAY_SECS), uses, note: note.to_owned() }
}

fn people(tried: &mut Tried) {
    tried.say(1, person(5, "eve", Role::Engineer, 90));
    tried.say(1, person(5, "eve", Role::Engineer, 91));
    tried.say(1, person(5, "eve", Role::Engineer, 0));
    tried.say(1, person(5, "eve", Role::Approver, 9));
    tried.say(1, person(5, "eve", Role::Engineer, 30));
    tried.say(1, person(6, "", Role::Approver, 9));
    tried.say(1, person(6, &"\u{1f980}".repeat(128), Role::Approver, 9));
    tried.say(1, person(7, &"\u{1f980}".repeat(129), Role::Approver, 9));
    tried.say(1, person(7, "e\u{202e}ve", Role::Approver, 9));
    let browser = |key| What::AddPerson { key, role: Role::Engineer, until: NOW.plus_secs(9 * DAY_SECS) };
    tried.say(1, browser(device("eve")));
    tried.say(1, browser(device("eve")));
    tried.say(1, browser(NamedKey::ssh(device("eve").key, "eve")));
    tried.say(1, browser(NamedKey { kind: KeyKind::Sshsig, ..passkey(8, "eve") }));
    tried.say(1, browser(NamedKey { kind: KeyKind::Webauthn, ..named(8, "eve") }));
    tried.say(1, browser(passkey(8, "eve")));
    tried.say(1, What::RemovePerson { key: id(9) });
    tried.say(1, What::RemovePerson { key: id(6) });
    for stranger in [2, 5, 9] {
        tried.say(stranger, person(7, "mallory", Role::Engineer, 9));
    }
}

fn signatures_and_forks(tried: &mut Tried) {
    let entry = tried.log.next_entry(id(1), NOW, person(7, "mallory", Role::Engineer, 9));
    tried.bytes(&signed(&entry, 9));
    tried.bytes(&signed_in(NAMESPACE_GRANT, &entry, 1));
    let mut bytes = signed(&entry, 1);
    *bytes.last_mut().unwrap() ^= 1;
    tried.bytes(&bytes);
    tried.bytes(&[&signed(&entry, 1)[..], &[0xc0]].concat());
    tried.bytes(&first());
    tried.bytes(&signed(&Entry { seq: 99, ..entry.clone() }, 1));
    tried.bytes(&signed(&Entry { prev: Hash([1; 32]), ..entry.clone() }, 1));
    tried.bytes(&signed(&Entry { version: 2, ..entry.clone() }, 1));
    let again = genesis(vec![named(1, "r")], named(2, "s"), "ACME");
    tried.bytes(&signed(&Entry { seq: entry.seq, prev: entry.prev, ..again }, 1));
    tried.bytes(&[0x81; 100]);
    tried.bytes(&[]);
}

fn servers(tried: &mut Tried) {
    tried.say(1, batch(10, 8, 1, ""));
    tried.say(1, batch(10, 7, 0, ""));
    tried.say(1, batch(10, 7, 10_001, ""));
    tried.say(1, batch(10, 7, 1, &"n".repeat(129)));
    tried.say(1, batch(10, 7, 1, "a\u{feff}b"));
    tried.say(1, batch(10, 7, 2, "rack 4"));
    tried.agent(10, NOW.plus_secs(7 * DAY_SECS + 1), 20, "web-1");
    tried.agent(10, UnixTime(NOW.0 - DAY_SECS - 1), 20, "web-1");
    tried.agent(10, UnixTime(NOW.0 - DAY_SECS), 20, "web-1");
    tried.agent(10, NOW, 20, "web-1");
    tried.agent(10, NOW, 21, "");
    tried.agent(11, NOW, 21, "web-2");
    let what = What::AddAgent { identity: verify_key(21), name: "web-2".to_owned() };
    let entry = tried.log.next_entry(batch_id(&verify_key(10)), NOW, what);
    tried.bytes(&entry.sign_with_batch(&signing(11)).to_bytes());
    tried.agent(10, NOW, 21, "web-2");
    tried.agent(10, NOW, 22, "web-3");
    let rename = |agent, name: &str| What::RenameAgent { agent, name: name.to_owned() };
    tried.say(1, rename(AgentId::of(&verify_key(21)), "web-two"));
    tried.say(1, rename(AgentId::of(&verify_key(21)), ""));
    tried.say(1, rename(AgentId([0; 32]), "web-two"));
    tried.say(1, What::RemoveAgent { agent: AgentId([0; 32]) });
    tried.say(1, What::RemoveAgent { agent: AgentId::of(&verify_key(21)) });
    let policy = |visit: Option<u64>, never: Vec<String>| What::SetPolicy {
        policy: Policy { visit: visit.map(cloud_doctor_proto::ceiling::Span), second_for: vec!["root".into()], never },
    };
    for visit in [None, Some(0), Some(90), Some(900), Some(7200), Some(2 * DAY_SECS)] {
        tried.say(1, policy(visit, vec![]));
    }
    tried.say(1, policy(None, vec!["u".into(); 100]));
    tried.say(1, policy(None, vec!["".into()]));
}

fn roots(tried: &mut Tried) {
    tried.say(1, What::RemoveRoot { key: id(1) });
    tried.say(1, What::RemoveRoot { key: id(9) });
    tried.say(1, What::AddRoot { key: named(1, "again") });
    tried.say(1, What::AddRoot { key: named(2, "recovery") });
    tried.say(1, What::AddRoot { key: named(3, "") });
    tried.say(1, What::AddRoot { key: device("page") });
    tried.say(1, What::AddRoot { key: named(3, "second") });
    tried.say(3, person(3, "second", Role::Engineer, 9));
    tried.say(3, batch(12, 1, 5, ""));
    tried.say(1, What::ReplaceRoots { roots: vec![named(4, "new")] });
    tried.say(1, What::AddRoot { key: passkey(15, "page") });
    tried.touch(15, person(16, "ann", Role::Engineer, 9));
    tried.touch(15, What::AddRoot { key: named(17, "mallory") });
    tried.touch(15, What::RemoveRoot { key: id(1) });
    tried.say(1, What::RemoveRoot { key: passkey(15, "").key.id() });
    tried.say(2, What::RemoveRoot { key: id(3) });
    tried.agent(12, NOW, 23, "web-4");
    tried.say(1, batch(13, 1, 5, ""));
    tried.say(2, What::ReplaceRoots { roots: vec![] });
    tried.say(2, What::ReplaceRoots { roots: vec![named(4, "new"), named(4, "new")] });
    tried.say(2, What::ReplaceRoots { roots: vec![named(4, "new"), named(2, "recovery")] });
    tried.say(2, What::ReplaceRoots { roots: (30..47).map(|seed| named(seed, "r")).collect() });
    tried.say(2, What::ReplaceRoots { roots: vec![named(4, "n\u{7}ew")] });
    tried.say(2, What::ReplaceRoots { roots: vec![named(4, "new"), device("page")] });
    tried.say(2, What::ReplaceRoots { roots: vec![named(4, "new"), named(3, "second")] });
    tried.say(1, person(7, "mallory", Role::Engineer, 9));
    let day = NOW.plus_secs(DAY_SECS);
    tried.at(4, day, batch(14, 8, 1, "tomorrow"));
    tried.agent(14, NOW, 24, "web-5");
    tried.say(4, person(5, "eve", Role::Engineer, 9));
}

/// The first entry of somebody who starts alone in a browser.
fn solo(first: Vec<First>) -> Entry {
    let mut entry = genesis(vec![passkey(1, "ann")], named(2, "ann"), "Ann");
    if let What::Genesis { first: besides, .. } = &mut entry.what {
        *besides = first;
    }
    Entry { by: id(2), ..entry }
}

fn ann() -> First {
    First::AddPerson { key: passkey(1, "ann"), role: Role::Engineer, until: NOW.plus_secs(90 * DAY_SECS) }
}

fn token(seed: u8) -> First {
    First::EnrolBatch { key: verify_key(seed), until: NOW.plus_secs(DAY_SECS), uses: 1, note: String::new() }
}

/// First entries with their verdicts.
fn beginnings(verdicts: &mut BTreeSet<String>) -> Vec<Value> {
    let root = || vec![named(1, "root")];
    let good = genesis(root(), named(2, "safe"), "ACME");
    let first_is_another = {
        let what = What::RemoveRoot { key: id(1) };
        Entry { what, ..good.clone() }
    };
    let rows = [
        signed(&good, 1),
        signed(&good, 2),
        signed(&genesis(vec![], named(2, "safe"), "ACME"), 1),
        signed(&genesis(vec![named(1, "a"), named(1, "b")], named(2, "safe"), "ACME"), 1),
        signed(&genesis((1..18).map(|seed| named(seed, "r")).collect(), named(40, "safe"), "ACME"), 1),
        signed(&genesis(root(), named(1, "safe"), "ACME"), 1),
        signed(&genesis(root(), named(2, ""), "ACME"), 1),
        signed(&genesis(root(), named(2, "safe"), ""), 1),
        signed(&genesis(root(), named(2, "safe"), "A\u{200b}CME"), 1),
        signed(&genesis(vec![named(1, "")], named(2, "safe"), "ACME"), 1),
        signed(&genesis(root(), device("safe"), "ACME"), 1),
        signed(&genesis(root(), passkey(2, "safe"), "ACME"), 1),
        signed(&solo(vec![ann(), token(3)]), 2),
        signed(&solo(vec![ann(); 9]), 2),
        signed(&solo(vec![First::AddPerson { key: named(5, ""), role: Role::Engineer, until: NOW.plus_secs(9) }]), 2),
        signed(&genesis(vec![named(1, "root"), device("page")], named(2, "safe"), "ACME"), 1),
        signed(&Entry { version: 2, ..good.clone() }, 1),
        signed(&Entry { seq: 1, ..good.clone() }, 1),
        signed(&Entry { prev: Hash([1; 32]), ..good.clone() }, 1),
        signed(&Entry { by: id(9), ..good.clone() }, 9),
        signed(&first_is_another, 1),
    ];
    let mut verdict_of = |bytes: &Vec<u8>| {
        let verdict = verdict(&TrustLog::genesis(bytes, None).map(|_| ()));
        verdicts.insert(verdict.clone());
        json!({ "bytes": hex(bytes), "verdict": verdict })
    };
    rows.iter().map(&mut verdict_of).collect()
}

pub(crate) fn steps() -> Value {
    let log = TrustLog::genesis(&first(), None).unwrap();
    let tenant = log.tenant();
    let mut tried = Tried { log, rows: Vec::new(), verdicts: BTreeSet::new() };
    people(&mut tried);
    signatures_and_forks(&mut tried);
    servers(&mut tried);
    signed_ahead(&mut tried);
    roots(&mut tried);
    let beginnings = beginnings(&mut tried.verdicts);
    for rule in Rule::ALL {
        // Ten thousand entries, or 64 of a kind, would make this file too large: both languages' own tests count them.
        let counted = matches!(rule, Rule::Full | Rule::AheadMany);
        let shown = tried.verdicts.contains(&format!("rule {rule:?}"));
        assert!(shown || counted, "no entry breaks {rule:?}");
    }
    let accepts = |bytes: &[u8]| pack::from_signed_bytes::<SignedEntry>(bytes, ENTRY_BYTES_MAX).is_ok();
    let entry: SignedEntry = pack::from_signed_bytes(&first(), ENTRY_BYTES_MAX).unwrap();
    let accepts_entry = |bytes: &[u8]| pack::from_signed_bytes::<Entry>(bytes, ENTRY_BYTES_MAX).is_ok();
    json!({
        "genesis": hex(first()),
        "tenant": tenant.to_string(),
        "flipped": flipped(&first(), accepts),
        "entry": hex(&entry.entry),
        "entryFlipped": flipped(&entry.entry, accepts_entry),
        "beginnings": beginnings,
        "steps": tried.rows,
    })
}
