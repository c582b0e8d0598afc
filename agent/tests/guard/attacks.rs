//! What a hostile reading of guard turned up, one test each, named after the finding.

use crate::client::{Client, exec, own_user};
use crate::customer::{CARL, EVE, key_id};
use crate::host::{Host, eventually};
use cloud_doctor_proto::audit::LINE_BYTES_MAX;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::{TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::trust::{Policy, What};
use std::io::Write;
use std::time::{Duration, Instant};

fn never(user: String) -> What {
    What::SetPolicy { policy: Policy { never: vec![user], ..Policy::default() } }
}

#[test]
fn h_02_long_command_lines_make_short_lines_in_the_audit() {
    let host = Host::start();
    let plan = host.client().visit(&host.customer);
    let many = vec!["x"; 20_000];
    let evil = vec!["\u{1b}".repeat(1999); 20];
    let rows: [Vec<&str>; 2] = [many, evil.iter().map(String::as_str).collect()];
    for (id, arguments) in (1..).zip(rows) {
        let argv: Vec<&str> = [&["/bin/true"], &arguments[..]].concat();
        let mut channel = host.client().channel(&plan, ChannelKind::Exec, id, &exec(&argv)).unwrap();
        channel.begin();
        assert!(channel.end().is_some());
    }
    host.audited(&["channel-began", "\"argc\":20001"]);
    for line in host.audit_lines() {
        assert!(line.len() < LINE_BYTES_MAX / 4, "{} bytes", line.len());
    }
    host.audit();
}

#[test]
fn m_02_half_sent_frames_take_little_memory_and_do_not_slow_root_down() {
    let host = Host::start();
    let before = resident_kib(&host);
    let half = {
        let mut bytes = frame::header(Kind::OpenVisit, (1 << 20) - 1).to_vec();
        bytes.resize(900 << 10, 7);
        bytes
    };
    let mut held = Vec::new();
    for _ in 0..60 {
        let client = host.client();
        client.stream.set_nonblocking(true).unwrap();
        held.push(client);
    }
    // As much as guard takes: the rest stays in the kernel, on the sender's account.
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut sent = vec![0; held.len()];
    while Instant::now() < deadline {
        for (client, sent) in held.iter_mut().zip(&mut sent) {
            if let Ok(count) = client.stream.write(&half[*sent..]) {
                *sent += count;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let grown = resident_kib(&host).saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB for {} streams", held.len());
    let start = Instant::now();
    assert!(host.ask(&["lockdown"]).status.success());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

fn resident_kib(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.guard_pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn m_03_a_challenge_lives_only_as_long_as_the_one_who_asked_for_it() {
    let host = Host::start();
    let mut client = host.client();
    let first = client.plan(&host.customer, EVE);
    let second = client.plan(&host.customer, EVE);
    assert_eq!(client.open(&first, EVE).unwrap_err().code, Refusal::Challenge, "one at a time");
    let gone = {
        let mut other = host.client();
        other.plan(&host.customer, EVE)
    };
    eventually("the place of the one who went away is free", || {
        let refused = host.client().open(&gone, EVE).err()?;
        (refused.code == Refusal::Challenge).then_some(())
    });
    assert!(client.open(&second, EVE).is_ok());
}

#[test]
fn m_04_a_new_policy_holds_for_visits_that_are_open() {
    let mut host = Host::start();
    let plan = host.client().visit(&host.customer);
    let mut channel = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/cat"])).unwrap();
    channel.begin();
    let entry = host.customer.says(never(own_user()));
    host.trust_update(vec![entry]);
    assert!(matches!(channel.end(), Some((_, FinReason::Revoked))));
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
}

#[test]
fn m_04_a_second_signature_asked_for_later_is_missing_for_new_channels() {
    let mut host = Host::start();
    let plan = host.client().visit(&host.customer);
    let policy = Policy { second_for: vec![own_user()], ..Policy::default() };
    let entry = host.customer.says(What::SetPolicy { policy });
    host.trust_update(vec![entry]);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::Policy);
}

#[test]
fn m_05_a_command_line_is_in_the_audit_before_the_command_begins() {
    let host = Host::start();
    let plan = host.client().visit(&host.customer);
    let channel = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/echo", "a\nb"])).unwrap();
    // No record was sent, so nothing runs; the line is there.
    host.audited(&["channel-opening", "/bin/echo a\\\\u{a}b"]);
    drop(channel);
}

#[test]
fn m_11_a_lockdown_by_another_process_holds_for_a_living_guard() {
    let host = Host::start();
    let plan = host.client().visit(&host.customer);
    std::fs::write(host.dir.join("guard/lockdown"), "").unwrap();
    assert_eq!(host.client().challenge(&host.customer).unwrap_err().code, Refusal::Lockdown);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::Lockdown);
    assert!(host.ask(&["lockdown", "--undo"]).status.success());
    assert!(host.client().challenge(&host.customer).is_ok());
}

#[test]
fn m_12_more_entries_than_a_page_are_refused_unread() {
    let mut host = Host::start();
    let entry = host.customer.says(What::RemovePerson { key: key_id(CARL) });
    let answer = host.trust_update(vec![entry; 101]);
    assert_eq!(answer.kind, Kind::Refused);
    let head = host.trust_update(Vec::new());
    let head: TrustHead = cloud_doctor_proto::pack::from_bytes(&head.body, 1000).unwrap();
    assert_eq!(head.seq + 1, host.customer.log.head().seq, "nothing of it was taken");
}

#[test]
fn m_14_silent_clients_do_not_keep_the_tunnels_news_out() {
    let mut host = Host::start();
    let silent: Vec<Client> = (0..120).map(|_| host.client()).collect();
    let entry = host.customer.says(What::RemovePerson { key: key_id(EVE) });
    let head = eventually("the tunnel is heard", || {
        let mut tunnel = Client::silent(host.connect());
        tunnel.say(Kind::TrustUpdate, &TrustUpdate { entries: vec![entry.clone()] });
        let frame = tunnel.try_hear()?;
        (frame.kind == Kind::TrustHead).then_some(frame)
    });
    let head: TrustHead = cloud_doctor_proto::pack::from_bytes(&head.body, 1000).unwrap();
    assert_eq!(head, host.customer.log.head());
    drop(silent);
}
