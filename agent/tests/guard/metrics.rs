//! What a relay may be shown of a server without a grant: as long as the ceiling says so, and not a moment longer.

use crate::client::Client;
use crate::host::{Host, eventually};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::events::{Event, EventKind, Events, EventsRequest};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_proto::metrics::{MetricsLease, MetricsRequest, Processes, RangeRequest};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use std::time::{Duration, Instant};

const SHOWN: &str = "version = 1\n[[rule]]\nscope = \"metrics\"\nmode = \"allow\"\n[end]\n";
const NEVER: &str = "version = 1\n[[rule]]\nscope = \"metrics\"\nmode = \"never\"\n[end]\n";
const ASK: &str = "version = 1\n[[rule]]\nscope = \"metrics\"\nmode = \"ask\"\n[end]\n";
const NOT_NOW: &str =
    "version = 1\n[[rule]]\nscope = \"metrics\"\nmode = \"allow\"\nhours = [\"Mon 00:00-00:01\"]\n[end]\n";

fn stream(host: &Host, request: &MetricsRequest) -> Client {
    let mut client = Client::silent(host.connect());
    client.say(
        Kind::StreamHead,
        &StreamHead {
            purpose: StreamPurpose::Metrics,
            stream: StreamId([1; 16]),
            account: "ann@relay".into(),
            client: String::new(),
        },
    );
    client.say(Kind::MetricsRequest, request);
    client
}

fn lease(host: &Host, request: &MetricsRequest) -> Result<Client, Refused> {
    let mut client = stream(host, request);
    client.answer::<MetricsLease>(Kind::MetricsLease).map(|_| client)
}

/// Waits until guard closes the connection, which it must within `secs`.
#[track_caller]
fn ends_within(client: &mut Client, secs: u64) {
    client.stream.set_read_timeout(Some(Duration::from_secs(secs))).unwrap();
    let began = Instant::now();
    assert!(client.try_hear().is_none());
    assert!(began.elapsed() < Duration::from_secs(secs), "the lease is still open");
}

#[test]
fn r_17_metrics_are_shown_only_while_the_ceiling_says_so() {
    for ceiling in [NEVER, ASK, NOT_NOW, "version = 1\n[end]\n"] {
        let host = Host::with_ceiling(ceiling);
        let range = RangeRequest { from: 0, to: 1, points: 1, names: vec![] };
        for request in [MetricsRequest::Live {}, MetricsRequest::Summary {}, MetricsRequest::Range(range)] {
            assert_eq!(lease(&host, &request).err().unwrap().code, Refusal::MetricsNotAllowed, "{ceiling}");
        }
        let events = stream(&host, &MetricsRequest::Events(DAY)).answer::<Events>(Kind::Events);
        assert_eq!(events.unwrap_err().code, Refusal::MetricsNotAllowed);
        let processes = stream(&host, &MetricsRequest::Processes { count: 3 }).answer::<Processes>(Kind::Processes);
        assert_eq!(processes.unwrap_err().code, Refusal::MetricsNotAllowed);
    }
    let host = Host::with_ceiling(SHOWN);
    let mut client = lease(&host, &MetricsRequest::Live {}).unwrap();
    host.audited(&["metrics-shown", "live", "ann@relay"]);
    std::fs::write(host.dir.join("etc/ceiling.toml"), NEVER).unwrap();
    ends_within(&mut client, 5);
    host.audited(&["metrics-ended"]);
}

#[test]
fn a_lockdown_ends_what_is_shown_at_once() {
    let host = Host::with_ceiling(SHOWN);
    let mut clients: Vec<_> =
        [MetricsRequest::Live {}, MetricsRequest::Summary {}].iter().map(|one| lease(&host, one).unwrap()).collect();
    assert!(host.ask(&["lockdown"]).status.success());
    clients.iter_mut().for_each(|client| ends_within(client, 1));
    assert_eq!(lease(&host, &MetricsRequest::Live {}).err().unwrap().code, Refusal::Lockdown);
}

#[test]
fn r_18_a_relay_holds_a_bounded_number_of_leases() {
    let host = Host::with_ceiling(SHOWN);
    let mut held: Vec<_> = (0..16).map(|_| lease(&host, &MetricsRequest::Summary {}).unwrap()).collect();
    assert_eq!(lease(&host, &MetricsRequest::Summary {}).err().unwrap().code, Refusal::Busy);
    held.pop();
    eventually("one that has gone makes room", || lease(&host, &MetricsRequest::Summary {}).ok());
}

#[test]
fn processes_come_with_what_they_use_and_without_their_arguments() {
    let host = Host::with_ceiling(SHOWN);
    let mut busy = std::process::Command::new("/bin/sh")
        .args(["-c", "while :; do :; done", "--password=correcthorse"])
        .spawn()
        .unwrap();
    let found = stream(&host, &MetricsRequest::Processes { count: 50 }).answer::<Processes>(Kind::Processes);
    busy.kill().unwrap();
    busy.wait().unwrap();
    let found = found.unwrap();
    let ours = found.processes.iter().find(|process| process.pid == busy.id()).unwrap();
    assert!(ours.processors > 0.0 && ours.memory > 0 && !ours.user.is_empty(), "{ours:?}");
    assert!(found.elapsed >= 1000 && found.total > 1);
    assert!(!format!("{found:?}").contains("correcthorse"));
    let again = stream(&host, &MetricsRequest::Processes { count: 1 }).answer::<Processes>(Kind::Processes);
    assert_eq!(again.unwrap_err().code, Refusal::ProcessesTooOften);
}

/// Any time that there is.
const DAY: EventsRequest = EventsRequest { from: 0, to: u64::MAX };

#[test]
fn what_happened_comes_from_the_host_itself_bounded_and_not_too_often() {
    let host = Host::with_ceiling(SHOWN);
    let ask = |asked| stream(&host, &MetricsRequest::Events(asked)).answer::<Events>(Kind::Events);
    assert_eq!(ask(EventsRequest { from: 5, to: 5 }).unwrap_err().code, Refusal::Malformed);
    let found = ask(DAY).unwrap();
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let booted: u64 = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
    assert!(found.is_bounded(&DAY));
    let is_start = |event: &&Event| event.kind == EventKind::Booted && (event.at / 1_000).abs_diff(booted) < 120;
    let starts = found.events.iter().filter(is_start).count();
    assert_eq!(starts, usize::from(found.since / 1_000 <= booted), "this host's start, once: {found:?}");
    host.audited(&["metrics-shown", "events", "ann@relay"]);
    assert_eq!(ask(DAY).unwrap_err().code, Refusal::EventsTooOften);
}
