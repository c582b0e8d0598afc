//! with everything real: what a client sees of a relay that cheats, and what a relay
//! that is taken over holds.

use cloud_doctor_proto::channel::Secret;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::Challenge;
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::signer::NAMESPACE_GRANT;
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, OpenVisit};
use cloud_doctor_tests::eventually::{SOON, eventually, never};
use cloud_doctor_tests::evil::{EvilRelay, stolen_key};
use cloud_doctor_tests::interceptor::{Deed, Direction, cut_before};
use cloud_doctor_tests::people::{Person, random};
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Plan, Site};
use cloud_doctor_tests::visitor::{self, Answer, borrowed, challenge};
use cloud_doctor_tests::world::World;
use ed25519_dalek::SigningKey;
use rustix::process::Signal;
use serde_bytes::ByteBuf;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A site whose clients reach the relay through an attacker.
#[track_caller]
fn intercepted() -> Site {
    Site::planned(Plan { web: Web::Plain, intercepted: true, ..Plan::default() }, |_| {})
}

#[test]
fn r_02_the_real_relays_keys_open_nothing() {
    let mut site = Site::enrolled(Plan::default());
    site.agent.run_traced();
    site.wait_until_online();
    let (port, key) = (site.relay.listening().agents.port(), stolen_key(&site.relay.data));
    site.relay.stop();
    let evil = EvilRelay::start(key.clone(), port);
    assert_eq!(evil.pin().to_string(), site.relay.listening().agents_pin);
    let tunnel = evil.tunnel();
    let challenged = challenge(&mut tunnel.open()).unwrap();
    let mark = site.agent.trace().mark();

    let head = cloud_doctor_proto::control::TrustHead {
        seq: challenged.challenge.trust_seq,
        hash: challenged.challenge.trust_head,
    };
    let relay = Person::with("relay", &key);
    for engineer in [&relay, &site.owner] {
        let plan = visitor::Plan::honest(challenged.clone(), engineer, head, super::stage::commands());
        let grant = plan.grant.to_bytes();
        let engineer = borrowed(engineer, &relay, NAMESPACE_GRANT, &grant);
        let message = OpenVisit { grant: ByteBuf::from(grant), engineer, second: None, entries: Vec::new() };
        let answer = visitor::open(&mut tunnel.open(), &message);
        let refused = matches!(&answer, Answer::Refused(refused)
            if matches!(refused.code, Refusal::UnknownEngineer | Refusal::Signature));
        assert!(refused, "{answer:?}");
    }
    site.agent.wait_for_audit(&["unknown-engineer"]);
    let (audit, run) = (site.agent.state.join("guard/audit"), site.agent.state.join("run"));
    assert_eq!(site.agent.trace().strange(mark, &[&audit, &run]), []);
}

#[test]
fn r_09_changed_output_is_never_shown() {
    let site = intercepted();
    let flipped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&flipped);
    site.interceptor().attack(move |direction, mut frame| {
        let record = direction == Direction::Down && frame.kind == Kind::Record;
        if !record || ![1, 4, 8, 13].contains(&count.fetch_add(1, Ordering::AcqRel)) {
            return Deed::Pass;
        }
        frame.body[0] ^= 1;
        Deed::Instead(frame::encode(frame.kind, &frame.body))
    });
    let output = site.exec(&["/bin/sh", "-c", "for i in 1 2 3 4 5 6; do echo genuine $i; sleep 0.02; done"]);
    assert!(flipped.load(Ordering::Acquire) > 9);
    let genuine: String = (1..=6).map(|i| format!("genuine {i}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), genuine);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn r_10_a_cut_before_the_end_is_not_taken_for_the_end() {
    let site = intercepted();
    let counted = Arc::new(AtomicUsize::new(0));
    site.interceptor().attack(cut_before(usize::MAX, Arc::clone(&counted)));
    let argv = ["exec", "web-1", "--user", "root", "--", "/bin/echo", "all"];
    assert_eq!(site.ask(&argv).stdout, b"all\n");
    let whole = counted.load(Ordering::Acquire);
    assert!(whole >= 3, "{whole} records");
    for cut in 0..whole {
        let counted = Arc::new(AtomicUsize::new(0));
        site.interceptor().attack(cut_before(cut, Arc::clone(&counted)));
        let mut client = site.start("cut", &argv, Stdio::null());
        eventually(SOON, "the cut", || (counted.load(Ordering::Acquire) > cut).then_some(()));
        let said_cut = || client.stderr().contains("reconnecting").then_some(());
        eventually(SOON, &format!("cut before record {cut} of {whole}: the client says so"), said_cut);
        never(Duration::from_millis(200), "a cut command is over", || client.ended().is_some_and(|s| s.success()));
        client.signal(Signal::INT);
        let status = client.wait(SOON);
        assert!(!status.success(), "cut before record {cut} of {whole}");
    }
}

#[test]
fn r_11_a_narrowed_version_offer_is_found_out() {
    let site = intercepted();
    site.interceptor().attack(|_, frame| {
        if frame.kind != Kind::ChallengeRequest {
            return Deed::Pass;
        }
        let mut request: ChallengeRequest = pack::from_bytes(&frame.body, 1000).unwrap();
        request.proto_min = 0;
        Deed::Instead(frame::message(Kind::ChallengeRequest, &request))
    });
    let output = site.exec(&["/bin/true"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(!output.stderr.is_empty());
}

#[test]
fn r_12_an_agent_of_the_relays_own_gets_no_signature() {
    let site = intercepted();
    let signed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&signed);
    let identity = SigningKey::from_bytes(&random());
    site.interceptor().attack(move |direction, frame| match (direction, frame.kind) {
        (Direction::Down, Kind::Challenge) => {
            // The genuine challenge, word for word, by another identity.
            let genuine: ChallengeReply = pack::from_bytes(&frame.body, frame.body.len()).unwrap();
            let mut challenge: Challenge = pack::from_bytes(&genuine.challenge, genuine.challenge.len()).unwrap();
            challenge.identity = VerifyKey(identity.verifying_key().to_bytes());
            challenge.agent_key = Secret(random()).exchange_key();
            let (bytes, signature) = challenge.sign(&identity);
            let forged = ChallengeReply { challenge: ByteBuf::from(bytes), signature, entries: genuine.entries };
            Deed::Instead(frame::message(Kind::Challenge, &forged))
        }
        (Direction::Up, Kind::OpenVisit) => {
            seen.store(true, Ordering::Release);
            Deed::Pass
        }
        (Direction::Up | Direction::Down, _) => Deed::Pass,
    });
    let output = site.exec(&["/bin/true"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(said.contains("not web-1") && said.contains("Nothing was signed"), "{said}");
    assert!(!signed.load(Ordering::Acquire), "a grant was signed for a stranger");
}

#[test]
fn r_13_a_client_never_goes_back_to_an_older_log() {
    let mut site = Site::new();
    site.relay.stop();
    let older = site.world.path("older");
    copy_folder(&site.relay.data, &older);
    site.relay.run();
    let friend = Person::new("friend");
    let key = friend.write(&site.world.path("home")).with_extension("pub");
    site.client.must(&["tenant", "engineer", "add", key.to_str().unwrap(), "--name", "friend"]);
    site.relay.stop();
    fs::remove_dir_all(&site.relay.data).unwrap();
    copy_folder(&older, &site.relay.data);
    site.relay.run();
    let output = site.ask(&["tenant", "engineer", "list"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("older trust log") && said.contains("never goes back"), "{said}");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("/bin/cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn r_20_a_relay_holds_no_byte_of_a_terminal() {
    let mut site = intercepted();
    let passed = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&passed);
    site.interceptor().attack(move |_, frame| {
        copy.lock().unwrap().extend_from_slice(&frame.body);
        Deed::Pass
    });
    let marker = "marker-4b1d9c77e2";
    let output =
        site.exec_with(&["/bin/sh", "-c", &format!("cat; echo {marker}-argv; env | wc -c")], marker.as_bytes());
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("{marker}{marker}-argv")));
    let mut shell = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    shell.type_in(&format!("echo {marker}-typed\n"));
    shell.wait_for(&format!("{marker}-typed"));
    shell.wait_for(&format!("{marker}-typed"));
    shell.type_in("exit\n");
    shell.finish();
    site.relay.stop();
    let passed = passed.lock().unwrap();
    assert!(passed.len() > 1000);
    assert!(!passed.windows(marker.len()).any(|window| window == marker.as_bytes()));
    assert_eq!(World::found_below(&site.relay.data, marker.as_bytes()), Vec::<std::path::PathBuf>::new());
    for (name, log) in site.world.logs().iter().filter(|(name, _)| name.contains("relay") || name.contains("web-1")) {
        assert!(!String::from_utf8_lossy(log).contains(marker), "{name}");
    }
    // Neither does the host write it down: not in the audit, not in its state.
    let written = World::found_below(&site.agent.state, format!("{marker}-typed").as_bytes());
    assert_eq!(written, Vec::<std::path::PathBuf>::new());
}
