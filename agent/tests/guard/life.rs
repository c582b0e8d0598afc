//! Visits and channels from their beginning to their end.

use crate::client::{Client, Plan, exec, shell};
use crate::customer::{DAN, EVE, key_id, now};
use crate::host::{Host, OWN, eventually, lives};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::session::{ExitStatus, FinReason, ToHolder};
use cloud_doctor_proto::trust::{Role, What};
use std::time::{Duration, Instant};

/// A shell of eve's that has shown its prompt's work.
fn living_shell(host: &Host, id: u8) -> (Plan, crate::client::Channel) {
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut channel = client.channel(&plan, ChannelKind::Shell, id, &shell()).unwrap();
    channel.begin();
    channel.say(&ToHolder::Input { offset: 0, data: b"echo is$((40+2))here\n" });
    channel.see("is42here");
    (plan, channel)
}

#[test]
fn a_command_runs_under_a_grant_and_stands_in_the_audit() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let request = exec(&["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
    let mut channel = client.channel(&plan, ChannelKind::Exec, 1, &request).unwrap();
    channel.begin();
    assert_eq!(channel.end(), Some((Some(ExitStatus::Code(3)), FinReason::Exited)));
    assert_eq!((&channel.out[..], &channel.err[..]), (&b"out\n"[..], &b"err\n"[..]));
    host.audited(&["channel-ended", "code 3"]);
    let events: Vec<String> = host.audit().into_iter().map(|line| line.event).collect();
    let expected = ["guard-started", "visit-opened", "channel-opening", "channel-attached", "channel-began"];
    for event in expected {
        assert!(events.iter().any(|e| e == event), "{event} in {events:?}");
    }
    eventually("the holder is gone", || host.holders().is_empty().then_some(()));
}

#[test]
fn a_grant_and_its_first_channel_may_come_in_one_write() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &exec(&["/bin/echo", "hi"]), None);
    let mut bytes = cloud_doctor_proto::frame::message(cloud_doctor_proto::frame::Kind::OpenVisit, &plan.open(EVE));
    bytes.extend(cloud_doctor_proto::frame::message(cloud_doctor_proto::frame::Kind::OpenChannel, &open));
    std::io::Write::write_all(&mut client.stream, &bytes).unwrap();
    let opened: cloud_doctor_proto::visit::VisitOpened =
        client.answer(cloud_doctor_proto::frame::Kind::VisitOpened).unwrap();
    assert_eq!(opened.ends_in_secs, 600);
    let mut channel = client.finish(initiator).unwrap();
    channel.begin();
    assert_eq!(channel.end(), Some((Some(ExitStatus::Code(0)), FinReason::Exited)));
}

#[test]
fn flt_03_a_shell_survives_kill_9_of_guard_and_the_next_one_finds_it() {
    let mut host = Host::start();
    let (plan, mut channel) = living_shell(&host, 1);
    host.kill();
    channel.say(&ToHolder::Input { offset: 21, data: b"echo still$((40+3))here\n" });
    channel.see("still43here");
    host.run();
    host.audited(&["channel-found", &ChannelId([1; 16]).to_string()]);
    // The same grant goes on: the new guard learned it from the holder.
    let request = exec(&["/bin/echo", "again"]);
    let mut second = host.client().channel(&plan, ChannelKind::Exec, 2, &request).unwrap();
    second.begin();
    assert!(second.end().is_some());
    assert_eq!(second.out, b"again\n");
    channel.say(&ToHolder::Close);
    assert!(matches!(channel.end(), Some((_, FinReason::Closed))));
    host.audited(&["channel-ended", "closed"]);
}

#[test]
fn flt_03_a_holder_that_dies_is_noted_and_frees_its_place() {
    let host = Host::start();
    let (_plan, mut channel) = living_shell(&host, 1);
    let holder = host.holder_pids()[0];
    // Its shell is left without a supervisor here; it ends with its terminal.
    rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
    assert_eq!(channel.end(), None, "cut, not ended");
    host.audited(&["holder-died"]);
    eventually("its socket is gone", || host.holders().is_empty().then_some(()));
}

#[test]
fn flt_03_a_client_resumes_with_its_secret_through_a_new_guard() {
    let mut host = Host::start();
    let (plan, channel) = living_shell(&host, 1);
    host.kill();
    host.run();
    let mut request = shell();
    request.attach = true;
    let (initiator, open) = plan.channel(ChannelKind::Shell, ChannelId([1; 16]), &request, Some(&channel.handed));
    let mut client = host.client();
    client.say(cloud_doctor_proto::frame::Kind::OpenChannel, &open);
    let mut again = client.finish(initiator).unwrap();
    again.begin();
    again.see("is42here");
    again.say(&ToHolder::Close);
    assert!(again.end().is_some());
}

#[test]
fn attaching_takes_a_visit_of_the_same_engineer_and_user() {
    let host = Host::start();
    let (_plan, mut channel) = living_shell(&host, 1);
    let mut attach = shell();
    attach.attach = true;
    // Dan may open visits, but this shell is eve's.
    let mut client = host.client();
    let plan = client.plan(&host.customer, DAN);
    let opened = client.open(&plan, DAN).unwrap();
    assert!(opened.channels.is_empty(), "{:?}", opened.channels);
    let refused = client.channel(&plan, ChannelKind::Shell, 1, &attach).err().unwrap();
    assert_eq!(refused.code, Refusal::NoChannel);
    // Eve under another grant may.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let opened = client.open(&plan, EVE).unwrap();
    assert_eq!(opened.channels.len(), 1);
    assert_eq!(opened.channels[0].channel, ChannelId([1; 16]));
    let mut again = client.channel(&plan, ChannelKind::Shell, 1, &attach).unwrap();
    again.begin();
    again.see("is42here");
    assert!(matches!(channel.end(), Some((_, FinReason::TakenOver))));
    again.say(&ToHolder::Close);
    assert!(again.end().is_some());
}

#[test]
fn pty_13_five_hundred_opens_at_once_are_refused_clearly_and_harm_nothing() {
    let host = Host::with_ceiling(
        &OWN.replace("[[rule]]\nscope = \"shell\"", "[limits]\nchannels = 3\n[[rule]]\nscope = \"shell\""),
    );
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut living = Vec::new();
    for id in 1..=3 {
        let mut channel = host.client().channel(&plan, ChannelKind::Exec, id, &exec(&["/bin/cat"])).unwrap();
        channel.begin();
        living.push(channel);
    }
    let mut asking: Vec<Client> = Vec::new();
    for number in 0..500u16 {
        let mut id = [200; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let (_, open) = plan.channel(ChannelKind::Exec, ChannelId(id), &exec(&["/bin/true"]), None);
        let mut client = host.client();
        client.say(cloud_doctor_proto::frame::Kind::OpenChannel, &open);
        asking.push(client);
    }
    let (mut too_many, mut busy) = (0, 0);
    for mut client in asking {
        match client.try_hear() {
            None => panic!("a connection was closed without a word"),
            Some(frame) => {
                let refused: cloud_doctor_proto::refusal::Refused =
                    cloud_doctor_proto::pack::from_bytes(&frame.body, 1000).unwrap();
                if refused.code == Refusal::TooMany {
                    assert_eq!(refused.detail, "3");
                    too_many += 1;
                } else {
                    assert_eq!(refused.code, Refusal::Busy);
                    busy += 1;
                }
            }
        }
    }
    assert_eq!(too_many + busy, 500);
    assert!(too_many >= 1, "{too_many} were told the number, {busy} to try again");
    assert_eq!(host.holders().len(), 3);
    for channel in &mut living {
        channel.say(&ToHolder::Input { offset: 0, data: b"alive\n" });
        channel.see("alive");
        channel.say(&ToHolder::Eof { offset: 6 });
        assert_eq!(channel.end(), Some((Some(ExitStatus::Code(0)), FinReason::Exited)));
    }
    eventually("guard opens again", || {
        let plan = host.client().visit(&host.customer);
        host.client().channel(&plan, ChannelKind::Exec, 90, &exec(&["/bin/true"])).ok()
    });
}

#[test]
fn removing_an_engineer_ends_their_visits_and_shells_also_detached_ones() {
    let mut host = Host::start();
    let (_plan, detached) = living_shell(&host, 1);
    drop(detached);
    host.audited(&["channel-detached"]);
    let (plan, mut attached) = living_shell(&host, 2);
    let pids = host.holder_pids();
    let entry = host.customer.says(What::RemovePerson { key: key_id(EVE) });
    let start = Instant::now();
    let answer = host.trust_update(vec![entry]);
    assert_eq!(answer.kind, cloud_doctor_proto::frame::Kind::TrustHead);
    assert!(matches!(attached.end(), Some((_, FinReason::Revoked))));
    eventually("both shells are over", || pids.iter().all(|pid| !lives(*pid)).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    host.audited(&["visit-ended", "revoked"]);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 3, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::UnknownEngineer);
}

#[test]
fn an_engineer_whose_time_runs_out_is_out() {
    let mut host = Host::start();
    let until = now().plus_secs(3);
    let key = crate::customer::named(EVE, "eve");
    let entry = host.customer.says(What::AddPerson { key, role: Role::Engineer, until });
    host.trust_update(vec![entry]);
    let (_plan, mut channel) = living_shell(&host, 1);
    assert!(matches!(channel.end(), Some((_, FinReason::Revoked))));
    host.audited(&["visit-ended", "revoked"]);
}

#[test]
fn aut_11_a_visit_ends_on_time() {
    let host = Host::start();
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.ttl_secs = 2;
    client.open(&plan, EVE).unwrap();
    let mut channel = client.channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/cat"])).unwrap();
    channel.begin();
    let start = Instant::now();
    assert!(matches!(channel.end(), Some((_, FinReason::Expired))));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    host.audited(&["visit-ended", "expired"]);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
}

#[test]
fn lockdown_ends_all_within_a_second_persists_and_is_undone() {
    let mut host = Host::start();
    let (plan, mut channel) = living_shell(&host, 1);
    let pids = host.holder_pids();
    let start = Instant::now();
    let output = host.ask(&["lockdown"]);
    assert!(output.status.success(), "{output:?}");
    assert!(matches!(channel.end(), Some((_, FinReason::Ended))));
    eventually("the shell is over", || pids.iter().all(|pid| !lives(*pid)).then_some(()));
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(host.client().challenge(&host.customer).unwrap_err().code, Refusal::Lockdown);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::Lockdown);
    host.kill();
    host.run();
    assert_eq!(host.client().challenge(&host.customer).unwrap_err().code, Refusal::Lockdown, "after a restart");
    assert!(String::from_utf8_lossy(&host.ask(&["status"]).stdout).contains("LOCKED DOWN"));
    assert!(host.ask(&["lockdown", "--undo"]).status.success());
    host.client().visit(&host.customer);
    for event in ["\"lockdown\"", "lockdown-undone"] {
        host.audited(&[event]);
    }
}

#[test]
fn lockdown_works_without_a_guard() {
    let mut host = Host::start();
    let (_plan, mut channel) = living_shell(&host, 1);
    host.kill();
    let output = host.ask(&["lockdown"]);
    assert!(output.status.success(), "{output:?}");
    assert!(matches!(channel.end(), Some((_, FinReason::Ended))));
    host.run();
    assert_eq!(host.client().challenge(&host.customer).unwrap_err().code, Refusal::Lockdown);
}
