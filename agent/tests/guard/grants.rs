//! Grants that were not given: forged, changed, replayed, meant for another server, or wider than they say.

use crate::client::{Plan, exec};
use crate::customer::{CARL, Customer, DAN, EVE, ROOT, STRANGER, key_id, now};
use crate::host::{Host, OWN, eventually, nothing_started};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::{AgentId, ChannelId, ExchangeKey, Hash, TenantId, VisitId};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, SshKey, unarmour};
use cloud_doctor_proto::trust::{NamedKey, Role, What};
use cloud_doctor_proto::visit::{OpenChannel, Signed, VisitOpened};
use serde_bytes::ByteBuf;
use ssh_key::{EcdsaCurve, HashAlg, LineEnding, PrivateKey};

#[test]
fn r_01_a_channel_without_a_grant_is_refused_and_audited() {
    let host = Host::start();
    let mut client = host.client();
    let open = OpenChannel {
        visit: VisitId([7; 16]),
        channel: ChannelId([1; 16]),
        kind: ChannelKind::Shell,
        resume: 0,
        first: ByteBuf::from(vec![0; 96]),
    };
    client.say(Kind::OpenChannel, &open);
    assert_eq!(client.refusal(), Refusal::NoVisit);
    host.audited(&["\"refused\"", "no-visit", "eve@relay", "192.0.2.7"]);
    nothing_started(&host);
}

#[test]
fn r_02_signatures_of_other_keys_open_nothing() {
    let host = Host::start();
    let rows = [(STRANGER, Refusal::UnknownEngineer), (ROOT, Refusal::UnknownEngineer), (CARL, Refusal::ApproverScope)];
    for (seed, expected) in rows {
        let mut client = host.client();
        let mut plan = client.plan(&host.customer, EVE);
        plan.grant.engineer = key_id(seed);
        assert_eq!(client.open(&plan, seed).unwrap_err().code, expected, "{seed}");
    }
    // In eve's name by another key.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let mut request = plan.open(STRANGER);
    request.engineer.key = key_id(EVE);
    client.say(Kind::OpenVisit, &request);
    assert_eq!(client.refusal(), Refusal::Signature);
    nothing_started(&host);
}

#[test]
fn r_03_every_flipped_bit_of_a_grant_is_refused() {
    let host = Host::start();
    let mut asking = host.client();
    let plan = asking.plan(&host.customer, EVE);
    let good = plan.open(EVE);
    let mut client = host.client();
    // Each stream may try 32 times; every third bit keeps the test short, offsets differ so that all bits of bytes are met.
    for (count, bit) in (0..good.grant.len() * 8).step_by(3).enumerate() {
        if count % 30 == 0 {
            client = host.client();
        }
        let mut bad = good.clone();
        bad.grant[bit / 8] ^= 1 << (bit % 8);
        client.say(Kind::OpenVisit, &bad);
        assert_eq!(client.refusal(), Refusal::Signature, "bit {bit}");
    }
    // None of them used up the challenge.
    assert!(asking.open(&plan, EVE).is_ok());
}

#[test]
fn r_03_every_field_changed_and_signed_again_is_refused_for_its_own_reason() {
    let host = Host::start();
    type Change = fn(&mut Plan);
    let rows: [(Change, Refusal); 10] = [
        (|p| p.grant.version = 2, Refusal::Version),
        (|p| p.grant.tenant = TenantId([0; 32]), Refusal::OtherServer),
        (|p| p.grant.agent = AgentId([0; 32]), Refusal::OtherServer),
        (|p| p.grant.challenge = Hash([0; 32]), Refusal::Challenge),
        (|p| p.grant.engineer = key_id(DAN), Refusal::Signature),
        (|p| p.grant.scopes.clear(), Refusal::Malformed),
        (|p| p.grant.ttl_secs = 9 * 3600, Refusal::TooLong),
        (|p| p.grant.trust_seq += 1, Refusal::StaleLog),
        (|p| p.grant.trust_head = Hash([1; 32]), Refusal::LogFork),
        (|p| p.grant.reason = "x".repeat(501), Refusal::Malformed),
    ];
    for (number, (change, expected)) in rows.into_iter().enumerate() {
        let mut client = host.client();
        let mut plan = client.plan(&host.customer, EVE);
        change(&mut plan);
        assert_eq!(client.open(&plan, EVE).unwrap_err().code, expected, "row {number}");
    }
    nothing_started(&host);
}

#[test]
fn r_04_r_05_a_replayed_grant_opens_nothing_now_or_after_a_restart() {
    let mut host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::Challenge);
    let unused = host.client().plan(&host.customer, EVE);
    host.kill();
    host.run();
    for plan in [&plan, &unused] {
        assert_eq!(host.client().open(plan, EVE).unwrap_err().code, Refusal::Challenge);
    }
    host.audited(&["\"refused\"", "\"challenge\""]);
    nothing_started(&host);
}

#[test]
fn r_04_a_replayed_first_message_starts_nothing() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &exec(&["/bin/true"]), None);
    client.say(Kind::OpenChannel, &open);
    let mut channel = client.finish(initiator).unwrap();
    // While it lives the holder knows it.
    let mut replay = host.client();
    replay.say(Kind::OpenChannel, &open);
    assert_eq!(replay.refusal(), Refusal::Handshake);
    channel.begin();
    assert!(channel.end().is_some());
    eventually("the holder is gone", || host.holders().is_empty().then_some(()));
    // Afterwards guard does.
    let mut replay = host.client();
    replay.say(Kind::OpenChannel, &open);
    assert_eq!(replay.refusal(), Refusal::Handshake);
    assert!(host.holders().is_empty());
}

#[test]
fn r_04_a_dead_resume_secret_ends_the_visit_and_is_audited() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let request = exec(&["/bin/cat"]);
    let mut first = client.channel(&plan, ChannelKind::Exec, 1, &request).unwrap();
    first.begin();
    let attach = cloud_doctor_proto::session::OpenRequest { attach: true, ..request };
    let resume = |handed: &cloud_doctor_proto::channel::Handed| {
        let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &attach, Some(handed));
        let mut client = host.client();
        client.say(Kind::OpenChannel, &open);
        client.finish(initiator)
    };
    let stolen = first.handed.clone();
    let mut second = resume(&stolen).unwrap();
    second.begin();
    assert!(matches!(first.end(), Some((_, cloud_doctor_proto::session::FinReason::TakenOver))));
    assert_eq!(resume(&stolen).err().unwrap().code, Refusal::Compromised);
    assert!(matches!(second.end(), Some((_, cloud_doctor_proto::session::FinReason::Compromised))));
    host.audited(&["visit-ended", "compromised"]);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
}

#[test]
fn r_06_a_grant_for_one_server_does_not_open_another_of_the_same_customer() {
    let one = Host::start();
    let other = Host::of(Customer::with_server(44), OWN);
    let mut other = other;
    other.run();
    let plan = one.client().plan(&one.customer, EVE);
    // The challenge is not its own.
    assert_eq!(other.client().open(&plan, EVE).unwrap_err().code, Refusal::Challenge);
    // And with its own challenge the grant still names the first one.
    let mut client = other.client();
    let mut plan = client.plan(&other.customer, EVE);
    plan.grant.agent = one.customer.agent();
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::OtherServer);
    nothing_started(&other);
}

#[test]
fn r_07_a_relay_with_keys_of_its_own_opens_no_channel() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut evil = plan.clone();
    evil.secret = cloud_doctor_proto::channel::Secret([9; 32]);
    let refused = host.client().channel(&evil, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    // The visit's id is the same, the key is not.
    assert_eq!(refused.code, Refusal::Handshake);
    // In the grant itself it is signed.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let mut request = plan.open(EVE);
    let mut changed = plan.clone();
    changed.grant.client_key = ExchangeKey([9; 32]);
    request.grant = ByteBuf::from(changed.bytes());
    client.say(Kind::OpenVisit, &request);
    assert_eq!(client.refusal(), Refusal::Signature);
    nothing_started(&host);
}

#[test]
fn scopes_kinds_and_users_beyond_the_grant_are_refused() {
    let host = Host::start();
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.scopes.retain(|scope| matches!(scope, Scope::Exec { .. }));
    client.open(&plan, EVE).unwrap();
    let refused = client.channel(&plan, ChannelKind::Shell, 1, &crate::client::shell()).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling, "a shell under a grant for commands");
    let mut request = exec(&["/bin/true"]);
    request.user = "nobody".into();
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &request).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling, "another user than the grant's");
    // The handshake of a command does not open a shell.
    let (_, mut open) = plan.channel(ChannelKind::Exec, ChannelId([3; 16]), &exec(&["/bin/true"]), None);
    open.kind = ChannelKind::Shell;
    let mut client = host.client();
    client.say(Kind::OpenChannel, &open);
    assert_eq!(client.refusal(), Refusal::Handshake);
    nothing_started(&host);
}

/// As a page has it: an ECDSA key on P-256 whose private half WebCrypto keeps.
fn browsers_key() -> PrivateKey {
    let pair = ssh_key::private::EcdsaKeypair::random(&mut ssh_key::rand_core::OsRng, EcdsaCurve::NistP256).unwrap();
    PrivateKey::from(pair)
}

#[test]
fn a_browsers_key_opens_only_where_the_ceiling_names_device() {
    let mut host = Host::start();
    let private = browsers_key();
    let key = SshKey::from_blob(&private.public_key().to_bytes().unwrap()).unwrap();
    let until = now().plus_secs(3600);
    let browser = NamedKey::device(key.clone(), "eve");
    let entry = host.customer.says(What::AddPerson { key: browser, role: Role::Engineer, until });
    host.trust_update(vec![entry]);
    let open = |host: &Host| {
        let mut client = host.client();
        let mut plan = client.plan(&host.customer, EVE);
        plan.grant.engineer = key.id();
        let mut request = plan.open(EVE);
        let pem = private.sign(NAMESPACE_GRANT, HashAlg::Sha512, &plan.bytes()).unwrap();
        let sshsig = unarmour(&pem.to_pem(LineEnding::LF).unwrap()).unwrap();
        request.engineer = Signed { key: key.id(), sshsig: ByteBuf::from(sshsig) };
        client.say(Kind::OpenVisit, &request);
        (client.answer::<VisitOpened>(Kind::VisitOpened), plan)
    };
    let refused = open(&host).0.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (Refusal::SignerKind, "device"));
    host.audited(&["\"refused\"", "signer-kind"]);
    nothing_started(&host);

    let named = OWN.replace("users =", "signers = [\"sshsig\", \"device\"]\nusers =");
    std::fs::write(host.dir.join("etc/ceiling.toml"), named).unwrap();
    let (opened, plan) = open(&host);
    assert_eq!(opened.unwrap().visit, plan.visit());
    let mut channel = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/echo", "from a page"])).unwrap();
    channel.begin();
    assert!(channel.end().is_some());
    let said = String::from_utf8_lossy(&host.ask(&["explain"]).stdout).into_owned();
    assert!(said.contains("an engineer's signature (sshsig device)") && said.contains("(device SHA256:"), "{said}");
}
