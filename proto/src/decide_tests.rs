//! The evil relay's cases that end in the decision, and the ceiling's rows.
#![allow(clippy::unwrap_used)]
use super::*;

#[path = "decide_look_tests.rs"]
mod look;

use crate::ids::{BootId, ExchangeKey, Nonce, TenantId, VerifyKey};
use crate::signer::{NAMESPACE_LOG, SshKey, unarmour};
use crate::trust::{Entry, NamedKey, SignedEntry, What, batch_id};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(super) const BOOT: BootTime = BootTime(1_000_000);
const OWN: &str = "version=1\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['root','*']\n[end]";
const ASK: &str = "version=1\n[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\n[end]";

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

pub(super) fn named(seed: u8, person: &str) -> NamedKey {
    let key = SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap();
    NamedKey::ssh(key, person)
}

pub(super) fn sshsig(seed: u8, namespace: &str, bytes: &[u8]) -> ByteBuf {
    let pem = private(seed).sign(namespace, HashAlg::Sha512, bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    ByteBuf::from(unarmour(&pem).unwrap())
}

/// A customer (root 1), an engineer (5), approvers (6, and 7 who is the engineer's other key) and one server.
pub(super) struct Setting {
    pub(super) log: TrustLog,
    identity: SigningKey,
    pub(super) book: ChallengeBook,
    pub(super) ceiling: Ceiling,
}

impl Setting {
    pub(super) fn new(ceiling: &str) -> Self {
        Self::of(ceiling, named(5, "eve"), named(6, "carl"))
    }

    /// With this engineer's and this approver's key.
    fn of(ceiling: &str, eve: NamedKey, carl: NamedKey) -> Self {
        let root = named(1, "root");
        let by = root.key.id();
        let what = What::Genesis {
            name: "ACME".into(),
            roots: vec![root],
            recovery: named(2, "safe"),
            salt: Nonce([0; 16]),
            first: vec![],
        };
        let entry = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: NOW, by, what };
        let mut log = TrustLog::genesis(&signed(&entry), None).unwrap();
        let until = NOW.plus_secs(86_400);
        let batch = SigningKey::from_bytes(&[3; 32]);
        let batch_key = VerifyKey(batch.verifying_key().to_bytes());
        for what in [
            What::AddPerson { key: eve, role: Role::Engineer, until },
            What::AddPerson { key: carl, role: Role::Approver, until },
            What::AddPerson { key: named(7, "eve"), role: Role::Approver, until },
            What::EnrolBatch { key: batch_key, until, uses: 2, note: String::new() },
        ] {
            log.append(&signed(&log.next_entry(by, NOW, what))).unwrap();
        }
        let identity = SigningKey::from_bytes(&[4; 32]);
        let what = What::AddAgent { identity: VerifyKey(identity.verifying_key().to_bytes()), name: "web".into() };
        let entry = log.next_entry(batch_id(&batch_key), NOW, what).sign_with_batch(&batch).to_bytes();
        log.append(&entry).unwrap();
        Self { log, identity, book: ChallengeBook::default(), ceiling: ceiling.parse().unwrap() }
    }

    pub(super) fn agent(&self) -> AgentId {
        AgentId::of(&VerifyKey(self.identity.verifying_key().to_bytes()))
    }

    pub(super) fn challenge(&mut self, nonce: u8) -> Vec<u8> {
        let secret = Secret([nonce; 32]);
        let challenge = Challenge {
            version: 1,
            offered_min: 1,
            offered_max: 1,
            identity: VerifyKey(self.identity.verifying_key().to_bytes()),
            tenant: self.log.tenant(),
            host: "web".into(),
            boot: BootId([1; 16]),
            nonce: Nonce([nonce; 16]),
            agent_key: secret.exchange_key(),
            trust_seq: self.log.head().seq,
            trust_head: self.log.head().hash,
            at: NOW,
            ttl_secs: CHALLENGE_TTL_SECS,
        };
        let (bytes, signature) = challenge.sign(&self.identity);
        assert!(Challenge::verify(&bytes, &signature, &challenge.identity).is_ok());
        self.book.admit(BOOT).unwrap();
        self.book.issue(&bytes, challenge, secret, BOOT);
        bytes
    }

    pub(super) fn grant(&self, challenge: &[u8]) -> Grant {
        Grant {
            version: 1,
            tenant: self.log.tenant(),
            agent: self.agent(),
            challenge: Challenge::hash(challenge),
            client_key: ExchangeKey([8; 32]),
            engineer: named(5, "").key.id(),
            scopes: vec![Scope::Shell { user: "root".into() }],
            ttl_secs: 3600,
            reason: "slow site".into(),
            ticket: String::new(),
            trust_seq: self.log.head().seq,
            trust_head: self.log.head().hash,
            at: NOW,
        }
    }

    fn decide_at(
        &mut self,
        now: UnixTime,
        boot: BootTime,
        grant: &[u8],
        signature: ByteBuf,
    ) -> Result<Permit, Refusal> {
        let world = World {
            agent: self.agent(),
            log: &self.log,
            ceiling: Some(&self.ceiling),
            now,
            zone_secs: 0,
            guest: false,
        };
        let engineer = Signed { key: named(5, "").key.id(), sshsig: signature };
        decide(world, &mut self.book, boot, grant, &engineer).map_err(|refused| refused.code)
    }

    fn decide(&mut self, grant: &Grant) -> Result<Permit, Refusal> {
        let bytes = grant.to_bytes();
        self.decide_at(NOW, BOOT, &bytes, sshsig(5, NAMESPACE_GRANT, &bytes))
    }
}

pub(super) fn signed(entry: &Entry) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let signature = sshsig(1, NAMESPACE_LOG, &bytes);
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}

#[test]
fn a_genuine_grant_opens() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let grant = setting.grant(&challenge);
    let permit = setting.decide(&grant).unwrap();
    assert_eq!((permit.person.as_str(), permit.second), ("eve", None));
    assert_eq!(permit.visit, Grant::visit(&grant.to_bytes()));
}

#[test]
fn r_02_signatures_by_other_keys_or_for_other_purposes() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let bytes = setting.grant(&challenge).to_bytes();
    for (seed, namespace) in [(9, NAMESPACE_GRANT), (1, NAMESPACE_GRANT), (5, NAMESPACE_SECOND), (5, NAMESPACE_LOG)] {
        let result = setting.decide_at(NOW, BOOT, &bytes, sshsig(seed, namespace, &bytes));
        assert_eq!(result.unwrap_err(), Refusal::Signature);
    }
}

#[test]
fn r_03_r_07_every_bit_of_a_grant_and_its_signature() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let bytes = setting.grant(&challenge).to_bytes();
    let signature = sshsig(5, NAMESPACE_GRANT, &bytes);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(setting.decide_at(NOW, BOOT, &bad, signature.clone()).unwrap_err(), Refusal::Signature, "bit {bit}");
    }
    for bit in 0..signature.len() * 8 {
        let mut bad = signature.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(setting.decide_at(NOW, BOOT, &bytes, bad).unwrap_err(), Refusal::Signature, "bit {bit}");
    }
    assert!(setting.decide_at(NOW, BOOT, &bytes, signature).is_ok(), "the attempts did not use the challenge up");
}

#[test]
fn r_03_every_field_changed_and_signed_again_is_refused_or_another_visit() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let good = setting.grant(&challenge);
    let rows: Vec<(Grant, Refusal)> = vec![
        (Grant { version: 2, ..good.clone() }, Refusal::Version),
        (Grant { tenant: TenantId([0; 32]), ..good.clone() }, Refusal::OtherServer),
        (Grant { agent: AgentId([0; 32]), ..good.clone() }, Refusal::OtherServer),
        (Grant { challenge: Hash([0; 32]), ..good.clone() }, Refusal::Challenge),
        (Grant { engineer: named(6, "").key.id(), ..good.clone() }, Refusal::Signature),
        (Grant { scopes: vec![Scope::Exec { user: "root".into() }], ..good.clone() }, Refusal::Ceiling),
        (Grant { scopes: vec![], ..good.clone() }, Refusal::Malformed),
        (Grant { ttl_secs: 8 * 3600 + 1, ..good.clone() }, Refusal::TooLong),
        (Grant { ttl_secs: 0, ..good.clone() }, Refusal::Malformed),
        (Grant { reason: "x".repeat(501), ..good.clone() }, Refusal::Malformed),
        (Grant { ticket: "x".repeat(129), ..good.clone() }, Refusal::Malformed),
        (Grant { trust_seq: 99, ..good.clone() }, Refusal::StaleLog),
        (Grant { trust_head: Hash([0; 32]), ..good.clone() }, Refusal::LogFork),
    ];
    for (i, (mut grant, expected)) in (10..).zip(rows) {
        if grant.challenge == good.challenge {
            grant.challenge = Challenge::hash(&setting.challenge(i));
        }
        assert_eq!(setting.decide(&grant).unwrap_err(), expected, "{grant:?}");
        setting.book = ChallengeBook::default();
    }
}

#[test]
fn r_04_r_05_replays_at_once_later_and_after_a_restart() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let grant = setting.grant(&challenge);
    setting.decide(&grant).unwrap();
    assert_eq!(setting.decide(&grant).unwrap_err(), Refusal::Challenge);
    setting.book = ChallengeBook::default();
    assert_eq!(setting.decide(&grant).unwrap_err(), Refusal::Challenge, "a new guard knows no old challenge");
    let challenge = setting.challenge(2);
    let bytes = setting.grant(&challenge).to_bytes();
    let late = BOOT.plus_secs(CHALLENGE_TTL_SECS);
    let result = setting.decide_at(NOW, late, &bytes, sshsig(5, NAMESPACE_GRANT, &bytes));
    assert_eq!(result.unwrap_err(), Refusal::Challenge);
}

#[test]
fn r_06_a_grant_for_another_server_of_the_same_customer() {
    let mut host_a = Setting::new(OWN);
    let challenge = host_a.challenge(1);
    let grant = host_a.grant(&challenge);
    let mut host_b = Setting::new(OWN);
    assert_eq!(host_b.decide(&grant).unwrap_err(), Refusal::Challenge);
}

#[test]
fn r_14_r_19_removed_and_expired_engineers() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let bytes = setting.grant(&challenge).to_bytes();
    let signature = sshsig(5, NAMESPACE_GRANT, &bytes);
    let tomorrow = NOW.plus_secs(86_401);
    let result = setting.decide_at(tomorrow, BOOT, &bytes, signature.clone());
    assert_eq!(result.unwrap_err(), Refusal::ExpiredEngineer);
    let remove = What::RemovePerson { key: named(5, "").key.id() };
    let entry = setting.log.next_entry(named(1, "").key.id(), NOW, remove);
    setting.log.append(&signed(&entry)).unwrap();
    assert_eq!(setting.decide_at(NOW, BOOT, &bytes, signature).unwrap_err(), Refusal::UnknownEngineer);
    let trusted = still_trusted(&setting.log, &named(5, "").key.id(), &[], &setting.agent());
    assert!(trusted.is_none());
}

#[test]
fn flt_20_a_clock_that_is_a_year_behind_revives_nobody() {
    let mut setting = Setting::new(OWN);
    let policy = What::SetPolicy { policy: crate::trust::Policy::default() };
    let entry = setting.log.next_entry(named(1, "").key.id(), NOW.plus_secs(90_000), policy);
    setting.log.append(&signed(&entry)).unwrap();
    let challenge = setting.challenge(1);
    let bytes = setting.grant(&challenge).to_bytes();
    let last_year = UnixTime(NOW.0 - 365 * 86_400);
    let result = setting.decide_at(last_year, BOOT, &bytes, sshsig(5, NAMESPACE_GRANT, &bytes));
    assert_eq!(result.unwrap_err(), Refusal::ExpiredEngineer);
}

#[test]
fn r_08_aut_15_the_second_signature() {
    let mut setting = Setting::new(ASK);
    let challenge = setting.challenge(1);
    let grant = setting.grant(&challenge);
    let permit = setting.decide(&grant).unwrap();
    assert!(permit.second.is_some());
    let world = World {
        agent: setting.agent(),
        log: &setting.log,
        ceiling: Some(&setting.ceiling),
        now: NOW,
        zone_secs: 0,
        guest: false,
    };
    let second = |seed: u8, namespace, bytes: &[u8]| {
        let second = Signed { key: named(seed, "").key.id(), sshsig: sshsig(seed, namespace, bytes) };
        second_by_key(world, &permit, &second).map_err(|refused| refused.code)
    };
    assert_eq!(second(6, NAMESPACE_SECOND, &permit.grant_bytes), Ok("carl".to_owned()));
    assert_eq!(second(5, NAMESPACE_SECOND, &permit.grant_bytes), Err(Refusal::SamePerson));
    assert_eq!(second(7, NAMESPACE_SECOND, &permit.grant_bytes), Err(Refusal::SamePerson));
    assert_eq!(second(6, NAMESPACE_GRANT, &permit.grant_bytes), Err(Refusal::SecondSignature));
    assert_eq!(second(6, NAMESPACE_SECOND, b"another grant"), Err(Refusal::SecondSignature));
    assert_eq!(second(9, NAMESPACE_SECOND, &permit.grant_bytes), Err(Refusal::SecondSignature));
}

fn device(seed: u8, person: &str) -> NamedKey {
    NamedKey::device(named(seed, person).key, person)
}

#[test]
fn a_device_key_opens_only_where_the_ceiling_names_it() {
    let rule =
        |signers: &str| format!("version=1\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['root']\n{signers}\n[end]");
    let rows = [
        ("", named(5, "eve"), true),
        ("", device(5, "eve"), false),
        ("signers=['sshsig']", device(5, "eve"), false),
        ("signers=['sshsig','local','webauthn']", device(5, "eve"), false),
        ("signers=['sshsig','device']", device(5, "eve"), true),
        ("signers=['device']", device(5, "eve"), true),
        ("signers=['device']", named(5, "eve"), false),
        ("signers=[]", named(5, "eve"), false),
    ];
    for (signers, eve, opens) in rows {
        let kind = eve.kind;
        let mut setting = Setting::of(&rule(signers), eve, named(6, "carl"));
        let challenge = setting.challenge(1);
        let grant = setting.grant(&challenge);
        let decided = setting.decide(&grant).map(|_| ());
        assert_eq!(decided, if opens { Ok(()) } else { Err(Refusal::SignerKind) }, "{kind:?} by {signers}");
    }
}

#[test]
fn a_device_key_signs_second_only_where_the_ceiling_names_it_for_that() {
    let rule = |second: &str| {
        format!(
            "version=1\n[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\nsigners=['sshsig','device']\n\
             {second}\n[end]"
        )
    };
    let rows = [
        ("", named(6, "carl"), Ok("carl")),
        ("", device(6, "carl"), Err("device")),
        ("second=['local']", named(6, "carl"), Err("sshsig")),
        ("second=['local','device']", device(6, "carl"), Ok("carl")),
        ("second=['local','device']", named(6, "carl"), Err("sshsig")),
    ];
    for (second, carl, expected) in rows {
        let mut setting = Setting::of(&rule(second), device(5, "eve"), carl);
        let challenge = setting.challenge(1);
        let grant = setting.grant(&challenge);
        let permit = setting.decide(&grant).unwrap();
        let (agent, log) = (setting.agent(), &setting.log);
        let world = World { agent, log, ceiling: Some(&setting.ceiling), now: NOW, zone_secs: 0, guest: false };
        let sshsig = sshsig(6, NAMESPACE_SECOND, &permit.grant_bytes);
        let signed = second_by_key(world, &permit, &Signed { key: named(6, "").key.id(), sshsig });
        let expected = expected.map(str::to_owned).map_err(|kind| Refusal::SignerKind.with(kind));
        assert_eq!(signed, expected, "{second}");
    }
}

#[test]
fn a_passkey_opens_and_signs_second_where_the_ceiling_names_it() {
    use crate::passkey::tests::{eddsa, touch};
    const BOTH: &str = "signers=['webauthn']\nsecond=['webauthn']";
    let rule = |kinds: &str| format!("version=1\n[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\n{kinds}\n[end]");
    let (eve, carl) = (NamedKey::held(eddsa(5), "eve"), NamedKey::held(eddsa(6), "carl"));
    let opened = |kinds: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut setting = Setting::of(&rule(kinds), eve.clone(), carl.clone());
        let challenge = setting.challenge(1);
        let grant = Grant { engineer: eve.key.id(), ..setting.grant(&challenge) }.to_bytes();
        let signed = Signed { key: eve.key.id(), sshsig: ByteBuf::from(sign(&grant)) };
        let (agent, log) = (setting.agent(), &setting.log);
        let world = World { agent, log, ceiling: Some(&setting.ceiling), now: NOW, zone_secs: 0, guest: false };
        let permit = decide(world, &mut setting.book, BOOT, &grant, &signed).map_err(|refused| refused.code)?;
        let second =
            |namespace| Signed { key: carl.key.id(), sshsig: ByteBuf::from(touch(6, namespace, &permit.grant_bytes)) };
        let wrong = second_by_key(world, &permit, &second(NAMESPACE_GRANT)).map_err(|refused| refused.code);
        assert_eq!(wrong, Err(Refusal::SecondSignature), "a touch for a visit of one's own is no approval");
        second_by_key(world, &permit, &second(NAMESPACE_SECOND)).map_err(|refused| refused.code)
    };
    let by_touch = |grant: &[u8]| touch(5, NAMESPACE_GRANT, grant);
    assert_eq!(opened(BOTH, &by_touch), Ok("carl".to_owned()));
    assert_eq!(opened("", &by_touch), Err(Refusal::SignerKind), "a rule that names none means SSH keys");
    assert_eq!(opened(BOTH, &|grant| touch(5, NAMESPACE_SECOND, grant)), Err(Refusal::Signature));
    assert_eq!(opened(BOTH, &|grant| touch(6, NAMESPACE_GRANT, grant)), Err(Refusal::Signature));
    assert_eq!(opened(BOTH, &|grant| sshsig(5, NAMESPACE_GRANT, grant).into_vec()), Err(Refusal::Signature));
}

#[test]
fn r_17_no_ceiling_means_never_and_the_stricter_of_two_wins() {
    let mut setting = Setting::new(OWN);
    let challenge = setting.challenge(1);
    let bytes = setting.grant(&challenge).to_bytes();
    let world =
        World { agent: setting.agent(), log: &setting.log, ceiling: None, now: NOW, zone_secs: 0, guest: false };
    let engineer = Signed { key: named(5, "").key.id(), sshsig: sshsig(5, NAMESPACE_GRANT, &bytes) };
    assert_eq!(decide(world, &mut setting.book, BOOT, &bytes, &engineer).unwrap_err().code, Refusal::Ceiling);

    let root = named(1, "").key.id();
    let policies = [
        (crate::trust::Policy { never: vec!["root".into()], ..Default::default() }, Err(Refusal::Policy)),
        (crate::trust::Policy { visit: Some(Span(60)), ..Default::default() }, Err(Refusal::TooLong)),
        (crate::trust::Policy { second_for: vec!["root".into()], ..Default::default() }, Ok(true)),
    ];
    for (nonce, (policy, expected)) in (20..).zip(policies) {
        let entry = setting.log.next_entry(root, NOW, What::SetPolicy { policy });
        setting.log.append(&signed(&entry)).unwrap();
        let challenge = setting.challenge(nonce);
        let grant = setting.grant(&challenge);
        assert_eq!(setting.decide(&grant).map(|permit| permit.second.is_some()), expected);
    }
}

#[test]
fn r_18_challenges_are_bounded_in_number_and_rate() {
    let mut setting = Setting::new(OWN);
    let mut now = BOOT;
    let mut admitted = 0;
    for _ in 0..1000 {
        admitted += u32::from(setting.book.admit(now).is_ok());
        now = BootTime(now.0 + 10);
    }
    assert!(admitted <= CHALLENGES_BURST + 10 * CHALLENGES_PER_SEC + 1, "{admitted}");
    setting.book = ChallengeBook::default();
    let mut now = BOOT;
    for i in 0..100u8 {
        if setting.book.admit(now).is_ok() {
            let challenge = Challenge {
                version: 1,
                offered_min: 1,
                offered_max: 1,
                identity: VerifyKey([0; 32]),
                tenant: TenantId([0; 32]),
                host: String::new(),
                boot: BootId([0; 16]),
                nonce: Nonce([i; 16]),
                agent_key: ExchangeKey([0; 32]),
                trust_seq: 0,
                trust_head: Hash([0; 32]),
                at: NOW,
                ttl_secs: 1,
            };
            setting.book.issue(&[i], challenge, Secret([0; 32]), now);
        }
        now = BootTime(now.0 + 1000);
    }
    assert_eq!(setting.book.len(), CHALLENGES_MAX);
    assert!(setting.book.admit(now.plus_secs(CHALLENGE_TTL_SECS)).is_ok(), "old ones make room");
}

#[test]
fn r_02_a_guests_grant_opens_no_enrolled_server_and_the_other_way_round() {
    for (guest, namespace, opens) in [
        (false, NAMESPACE_GRANT, true),
        (false, NAMESPACE_GUEST, false),
        (true, NAMESPACE_GUEST, true),
        (true, NAMESPACE_GRANT, false),
        (true, NAMESPACE_SECOND, false),
    ] {
        let mut setting = Setting::new(OWN);
        let challenge = setting.challenge(1);
        let grant = setting.grant(&challenge).to_bytes();
        let engineer = Signed { key: named(5, "").key.id(), sshsig: sshsig(5, namespace, &grant) };
        let (agent, log) = (setting.agent(), &setting.log);
        let world = World { agent, log, ceiling: Some(&setting.ceiling), now: NOW, zone_secs: 0, guest };
        let decided = decide(world, &mut setting.book, BOOT, &grant, &engineer).map_err(|refused| refused.code);
        assert_eq!(decided.map(|_| ()), if opens { Ok(()) } else { Err(Refusal::Signature) }, "{guest} {namespace}");
    }
}

#[test]
fn cod_09_times_at_their_ends_overflow_nothing() {
    let year_9999 = 253_402_300_799;
    let engineer_until = NOW.plus_secs(86_400);
    for end in [0, 1, year_9999, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let mut setting = Setting::new(OWN);
        // The client's clock is for the audit; the visit's length has a bound, and is some time.
        let challenge = setting.challenge(1);
        let grant = Grant { at: UnixTime(end), ..setting.grant(&challenge) };
        assert!(setting.decide(&grant).is_ok(), "at {end}");
        let challenge = setting.challenge(2);
        let grant = Grant { ttl_secs: end, ..setting.grant(&challenge) };
        assert_eq!(setting.decide(&grant).is_ok(), end == 1, "for {end} s");
        // The server's own clocks.
        let challenge = setting.challenge(3);
        let bytes = setting.grant(&challenge).to_bytes();
        let signature = sshsig(5, NAMESPACE_GRANT, &bytes);
        let late = setting.decide_at(NOW, BootTime(end), &bytes, signature.clone());
        assert_eq!(late.is_ok(), end < BOOT.plus_secs(CHALLENGE_TTL_SECS).0, "{end} ms after the boot");
        let challenge = setting.challenge(4);
        let bytes = setting.grant(&challenge).to_bytes();
        let result = setting.decide_at(UnixTime(end), BOOT, &bytes, sshsig(5, NAMESPACE_GRANT, &bytes));
        assert_eq!(result.is_ok(), UnixTime(end) <= engineer_until, "a clock at {end}");
        let _challenges_at_the_end_of_time = setting.book.admit(BootTime(end));
        assert!(crate::time::weekday_and_minute(UnixTime(end), i32::MIN).1 < 1440);
        assert!(crate::time::weekday_and_minute(UnixTime(end), i32::MAX).1 < 1440);
    }
}
