//! What stays as evidence: the audit through damage, crashes and evil words, and state that was damaged.

use crate::client::{Client, Plan};
use crate::customer::{Customer, EVE};
use crate::host::{Host, OWN};
use cloud_doctor_proto::audit::{Fault, Verifier};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::visit::VisitOpened;
use std::io::Write;

#[test]
fn aud_01_a_flipped_byte_is_named_by_the_verifier_and_by_the_command() {
    let host = Host::start();
    for _ in 0..3 {
        host.client().visit(&host.customer);
    }
    assert!(host.ask(&["audit"]).status.success());
    let path = host.dir.join("guard/audit/0000000000000000.jsonl");
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    bytes[second + 30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut verifier = Verifier::new(host.customer.verify_key());
    let lines = host.audit_lines();
    assert!(verifier.line(&lines[0]).is_ok());
    assert_eq!(verifier.line(&lines[1]), Err(Fault::Signature));
    let output = host.ask(&["audit"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"), "{output:?}");
}

#[test]
fn aud_03_every_acknowledged_visit_is_found_after_kill_9_at_any_moment() {
    let mut host = Host::start();
    let mut opened = Vec::new();
    // Full load under `make stress`.
    let full = std::env::var_os("CLOUD_DOCTOR_STRESS").is_some_and(|value| value == "1");
    for round in 0..if full { 1000 } else { 8u64 } {
        let mut client = host.client();
        let pid = rustix::process::Pid::from_raw(i32::try_from(host.guard_pid()).unwrap()).unwrap();
        // Killed somewhere in the middle of what follows, each time a little later.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(round % 16 * 3));
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        for _ in 0..16 {
            let Some(visit) = try_visit(&mut client, &host.customer) else { break };
            opened.push(visit);
        }
        killer.join().unwrap();
        host.kill();
        host.run();
    }
    let audit = host.audit();
    for visit in opened {
        let found = audit.iter().filter(|line| line.event == "visit-opened" && line.fields["visit"] == *visit);
        assert_eq!(found.count(), 1, "{visit}");
    }
}

/// Opens a visit on a connection that may break at any moment.
fn try_visit(client: &mut Client, customer: &Customer) -> Option<String> {
    use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest};
    let ask = ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 0 };
    client.stream.write_all(&frame::message(Kind::ChallengeRequest, &ask)).ok()?;
    let reply = client.try_hear().filter(|frame| frame.kind == Kind::Challenge)?;
    let reply: ChallengeReply = pack::from_bytes(&reply.body, 1 << 20).unwrap();
    let plan = Plan::answering(customer, EVE, &reply);
    client.stream.write_all(&frame::message(Kind::OpenVisit, &plan.open(EVE))).ok()?;
    let opened = client.try_hear().filter(|frame| frame.kind == Kind::VisitOpened)?;
    let opened: VisitOpened = pack::from_bytes(&opened.body, 1 << 20).unwrap();
    Some(opened.visit.to_string())
}

#[test]
fn aud_10_names_and_reasons_cannot_break_a_line() {
    let host = Host::start();
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.reason = "a\r\n{\"v\":1}\u{1b}[2J\u{202e}\" ,".into();
    plan.grant.ticket = "T\0\n".into();
    client.open(&plan, EVE).unwrap();
    host.audit();
    let lines = host.audit_lines();
    assert!(lines.iter().all(|line| line.starts_with("{\"v\":1,") && line.chars().all(|c| !c.is_control())));
    let shown = String::from_utf8_lossy(&host.ask(&["status"]).stdout).into_owned();
    assert!(shown.contains("\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn explain_tells_who_could_do_what_and_why_requests_were_refused() {
    let host = Host::start();
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.ttl_secs = 9 * 3600;
    client.open(&plan, EVE).unwrap_err();
    let output = host.ask(&["explain"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "shell as root, * (any but root): with an engineer's signature (sshsig local)",
        "eve may sign as engineer",
        "too-long",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let json = host.ask(&["explain", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["people"].as_array().unwrap().len(), 4);
    let status: serde_json::Value = serde_json::from_slice(&host.ask(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["ceiling"], "own");
}

/// Damages a file in as many ways as were asked for: cut, emptied, bits flipped, bytes added.
fn mutations(good: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut bad = vec![Vec::new(), [good, b"x"].concat()];
    for number in 0..count {
        // A fixed walk over the file, so that a failure can be repeated.
        let at = number * 7919 % (good.len() * 8);
        if number % 4 == 3 {
            bad.push(good[..at / 8].to_vec());
        } else {
            let mut flipped = good.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            bad.push(flipped);
        }
    }
    bad
}

/// Whether this state lets a genuine engineer in. A guard that does not even begin lets nobody in.
fn opens(host: &mut Host) -> bool {
    if !host.try_run() {
        return false;
    }
    let mut client = host.client();
    let opened = client.try_challenge().is_some_and(|reply| {
        let plan = Plan::answering(&host.customer, EVE, &reply);
        client.open(&plan, EVE).is_ok()
    });
    host.kill();
    opened
}

#[test]
fn flt_24_a_damaged_file_of_trust_trusts_nobody() {
    let mut host = Host::enrolled(OWN);
    assert!(opens(&mut host));
    // The exhaustive thousand run on the loaders themselves, without a process for each; these go through the door.
    for (name, count) in [("guard/identity.key", 6), ("guard/trust.log", 12), ("guard/trust.head", 6)] {
        let path = host.dir.join(name);
        let good = std::fs::read(&path).unwrap();
        for (number, bad) in mutations(&good, count).into_iter().enumerate() {
            std::fs::write(&path, &bad).unwrap();
            // Bytes behind the last whole entry are what a crash leaves: they are cut and nothing else changes.
            let crash = name.ends_with("trust.log") && bad.starts_with(&good);
            assert_eq!(opens(&mut host), crash, "{name} mutation {number}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!opens(&mut host), "{name} missing");
        std::fs::write(&path, &good).unwrap();
    }
    assert!(opens(&mut host));
}

#[test]
fn flt_24_a_damaged_guard_says_so_to_clients_and_to_root() {
    let mut host = Host::enrolled(OWN);
    std::fs::write(host.dir.join("guard/trust.head"), "").unwrap();
    host.run();
    let mut client = host.client();
    assert_eq!(client.refusal(), Refusal::TrustBroken);
    let output = host.ask(&["status"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("trust.head"), "{output:?}");
}

#[test]
fn leaving_takes_keys_and_log_along_and_leaves_a_verifiable_audit() {
    let mut host = Host::start();
    host.client().visit(&host.customer);
    let running = host.ask(&["unenrol", "--yes"]);
    assert_eq!(running.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&running.stderr).contains("Stop it first"), "{running:?}");
    host.kill();
    let output = host.ask(&["unenrol", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("could not be told"),
        "its relay is not there: {output:?}"
    );
    for gone in ["guard/identity.key", "guard/trust.log", "guard/trust.head", "etc/agent.toml", "tunnel/transport.key"]
    {
        assert!(!host.dir.join(gone).exists(), "{gone}");
    }
    assert!(host.dir.join("etc/ceiling.toml").exists(), "the customer's own file stays");
    let left = host.dir.join(format!("guard/audit-{}", host.customer.agent().short()));
    let key = std::fs::read_to_string(left.join("identity.pub")).unwrap();
    let mut verifier = Verifier::new(key.trim().parse().unwrap());
    let text = std::fs::read_to_string(left.join("0000000000000000.jsonl")).unwrap();
    let events: Vec<String> = text.lines().map(|line| verifier.line(line).unwrap().event).collect();
    assert_eq!(events.last().unwrap(), "unenrolled");
    assert_eq!(host.ask(&["status"]).status.code(), Some(78));
}
