//! Grants: bytes that somebody with a valid key signed. Whatever is permitted is what this server's ceiling allows.
#![no_main]

use cloud_doctor_fuzz::{ENGINEER, NOW, agent, changed, id, identity, log, sshsig};
use cloud_doctor_proto::ceiling::Ceiling;
use cloud_doctor_proto::channel::Secret;
use cloud_doctor_proto::decide::{ChallengeBook, World, decide};
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::ids::{BootId, ExchangeKey, Nonce, VerifyKey};
use cloud_doctor_proto::limits::CHALLENGE_TTL_SECS;
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::time::BootTime;
use cloud_doctor_proto::trust::TrustLog;
use cloud_doctor_proto::visit::Signed;
use std::sync::LazyLock;

const BOOT: BootTime = BootTime(1_000_000);
const CEILING: &str = "version=1\n[limits]\nvisit='2h'\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['ops']\n";

struct Setting {
    log: TrustLog,
    ceiling: Ceiling,
    challenge: Challenge,
    challenge_bytes: Vec<u8>,
    grant: Vec<u8>,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let log = log();
    let challenge = Challenge {
        version: 1,
        offered_min: 1,
        offered_max: 1,
        identity: VerifyKey(identity().verifying_key().to_bytes()),
        tenant: log.tenant(),
        host: "web".into(),
        boot: BootId([1; 16]),
        nonce: Nonce([7; 16]),
        agent_key: Secret([7; 32]).exchange_key(),
        trust_seq: log.head().seq,
        trust_head: log.head().hash,
        at: NOW,
        ttl_secs: CHALLENGE_TTL_SECS,
    };
    let (challenge_bytes, _) = challenge.sign(&identity());
    let grant = Grant {
        version: 1,
        tenant: log.tenant(),
        agent: agent(),
        challenge: Challenge::hash(&challenge_bytes),
        client_key: ExchangeKey([8; 32]),
        engineer: id(ENGINEER),
        scopes: vec![Scope::Shell { user: "ops".into() }],
        ttl_secs: 3600,
        reason: "slow site".into(),
        ticket: String::new(),
        trust_seq: log.head().seq,
        trust_head: log.head().hash,
        at: NOW,
    };
    let setting = Setting {
        log,
        ceiling: CEILING.parse().expect("a valid ceiling"),
        challenge,
        challenge_bytes,
        grant: grant.to_bytes(),
    };
    assert!(allowed(&setting, &setting.grant), "the unchanged grant opens a visit");
    setting
});

/// Signs the bytes as the engineer would and lets guard's code decide.
fn allowed(setting: &Setting, bytes: &[u8]) -> bool {
    let mut book = ChallengeBook::default();
    book.admit(BOOT).expect("the first challenge is admitted");
    book.issue(&setting.challenge_bytes, setting.challenge.clone(), Secret([7; 32]), BOOT);
    let signed = Signed { key: id(ENGINEER), sshsig: sshsig(ENGINEER, NAMESPACE_GRANT, bytes) };
    let world = World {
        agent: agent(),
        log: &setting.log,
        ceiling: Some(&setting.ceiling),
        now: NOW,
        zone_secs: 0,
        guest: false,
    };
    let Ok(permit) = decide(world, &mut book, BOOT, bytes, &signed) else { return false };
    let grant = &permit.grant;
    assert_eq!(grant.to_bytes(), bytes, "what was signed is what was read");
    assert_eq!((grant.agent, grant.tenant, grant.engineer), (agent(), setting.log.tenant(), id(ENGINEER)));
    assert_eq!(grant.scopes, [Scope::Shell { user: "ops".into() }], "beyond the ceiling");
    assert!(grant.ttl_secs <= 7200, "longer than the ceiling");
    assert!(book.is_empty(), "a challenge is used once");
    true
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let setting = &*SETTING;
    let bytes = changed(&setting.grant, input);
    allowed(setting, &bytes);
    if let Ok(grant) = Grant::from_bytes(input) {
        assert_eq!(grant.to_bytes(), input);
    }
    let key = setting.challenge.identity;
    assert!(Challenge::verify(input, &[0; 64], &key).is_err(), "nobody signed this");
});
