//! Golden bytes of every message, replayed for ever: what a released build wrote, every later build reads and writes
//! the same. New fields get new lines; old lines never change.
#![allow(clippy::unwrap_used)]

use cloud_doctor_proto::channel::{Binding, ChannelKind, Handed, Secret};
use cloud_doctor_proto::checks::{Absent, CheckReport, CheckRequest, Report};
use cloud_doctor_proto::control::*;
use cloud_doctor_proto::events::{Event, EventKind, EventSource, Events, EventsRequest, Named};
use cloud_doctor_proto::finding::{Detail, Evidence, Finding, Status, Words};
use cloud_doctor_proto::frame::{self, Decoder, Kind};
use cloud_doctor_proto::grant::{Challenge, Grant, Scope};
use cloud_doctor_proto::guest::{GuestBegin, GuestCommit, GuestOffer};
use cloud_doctor_proto::ids::*;
use cloud_doctor_proto::look::{Answer, AuditFile, AuditPage, LivingShell, Question};
use cloud_doctor_proto::metrics::{
    MetricsLease, MetricsRequest, MetricsSeries, Process, Processes, Range, RangeRequest, Sample, Series, SeriesKind,
};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::session::OpenRequest;
use cloud_doctor_proto::signer::SshKey;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{Ahead, Entry, Policy, SignedEntry, What};
use cloud_doctor_proto::visit::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use std::fmt::Debug;

const GOLDEN: &str = include_str!("golden/v1.txt");
const AT: UnixTime = UnixTime(1_800_000_000);

/// Checks one message against its golden line, its round trip and damaged forms of it.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(seen: &mut Vec<String>, name: &str, value: &T) {
    let bytes = pack::to_bytes(value);
    let line = format!("{name} {}", data_encoding::HEXLOWER.encode(&bytes));
    assert!(GOLDEN.lines().any(|golden| golden == line), "not in golden/v1.txt:\n{line}");
    assert_eq!(pack::from_signed_bytes::<T>(&bytes, 1 << 20).unwrap(), *value);
    for at in 0..bytes.len() {
        let _cut = pack::from_bytes::<T>(&bytes[..at], 1 << 20).is_ok();
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let _damaged = pack::from_bytes::<T>(&bad, 1 << 20).is_ok();
        }
    }
    seen.push(name.to_owned());
}

/// As [`check`], and as a whole frame: the announced length is the true one.
fn check_frame<T: Serialize + DeserializeOwned + PartialEq + Debug>(seen: &mut Vec<String>, kind: Kind, value: &T) {
    check(seen, &format!("{kind:?}"), value);
    let bytes = frame::message(kind, value);
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.kind, frame.body), (kind, pack::to_bytes(value)));
    assert!(decoder.into_rest().is_empty());
}

/// A frame whose body is no MessagePack, against its golden line; its type's own tests read damaged ones.
fn check_raw(seen: &mut Vec<String>, kind: Kind, body: &[u8]) {
    let line = format!("{kind:?} {}", data_encoding::HEXLOWER.encode(body));
    assert!(GOLDEN.lines().any(|golden| golden == line), "not in golden/v1.txt:\n{line}");
    let mut decoder = Decoder::new();
    decoder.push(&frame::encode(kind, body));
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.kind, &frame.body[..]), (kind, body));
    seen.push(format!("{kind:?}"));
}

fn binding() -> TransportBinding {
    TransportBinding { claim: ByteBuf::from(vec![1, 2]), signature: [3; 64] }
}

fn host() -> HostFacts {
    HostFacts {
        hostname: "web-1".into(),
        os: "Debian 12".into(),
        kernel: "6.1".into(),
        arch: "x86_64".into(),
        ..HostFacts::default()
    }
}

fn signed() -> Signed {
    Signed { key: KeyId([5; 32]), sshsig: ByteBuf::from(vec![6]) }
}

fn tunnel_frames(seen: &mut Vec<String>) {
    let trust = TrustHead { seq: 7, hash: Hash([8; 32]) };
    let hello = Hello { proto_min: 1, proto_max: 1, build: "0.1.0".into(), binding: binding(), host: host(), trust };
    check_frame(seen, Kind::Hello, &hello);
    let sized = HostFacts { cpus: Some(8), memory_bytes: Some(16 << 30), booted_at: Some(AT), ..host() };
    check(seen, "host-facts", &sized);
    check_frame(seen, Kind::HelloAck, &HelloAck { proto: 1, build: "0.1.0".into(), now: AT });
    check_frame(seen, Kind::TrustUpdate, &TrustUpdate { entries: vec![ByteBuf::from(vec![1])] });
    check_frame(seen, Kind::TrustHead, &trust);
    let head = StreamHead {
        purpose: StreamPurpose::Sealed,
        stream: StreamId([1; 16]),
        account: "eve".into(),
        client: "192.0.2.1:5".into(),
    };
    check_frame(seen, Kind::StreamHead, &head);
    check_frame(seen, Kind::EnrolBegin, &EnrolBegin { secret: [1; 32], host: host() });
    let log = EnrolLog { tenant: TenantId([2; 32]), from: 3, entries: vec![ByteBuf::from(vec![4])], more: false };
    check_frame(seen, Kind::EnrolLog, &log);
    check_frame(seen, Kind::EnrolCommit, &EnrolCommit { entry: ByteBuf::from(vec![1]), binding: binding() });
    check_frame(seen, Kind::EnrolDone, &EnrolDone { refused: Some(EnrolRefusal::Token) });
    check_frame(seen, Kind::BindTransport, &BindTransport { transport: VerifyKey([1; 32]) });
    check_frame(seen, Kind::TransportBinding, &binding());
    let relay = RelayState { url: "relay:4433".into(), connected: true, rtt_ms: Some(23), error: None };
    check_frame(seen, Kind::TunnelState, &TunnelState { relays: vec![relay] });
    check_frame(seen, Kind::Unenrol, &Unenrol { identity: VerifyKey([1; 32]), signature: [2; 64] });
    check_frame(seen, Kind::Unsupported, &Unsupported { number: 9 });
    check_frame(seen, Kind::GuestBegin, &GuestBegin { secret: [1, 2, 3, 4, 5], host: host() });
    let engineer = SshKey::of_ed25519(&VerifyKey([1; 32]));
    check_frame(seen, Kind::GuestOffer, &GuestOffer { engineer, account: "eve".into() });
    check_frame(seen, Kind::GuestCommit, &GuestCommit { binding: binding() });
}

fn check_frames(seen: &mut Vec<String>) {
    let request = CheckRequest { nonce: Nonce([1; 16]), checks: vec!["lb".into()] };
    check_frame(seen, Kind::CheckRequest, &request);
    let report = CheckReport { report: ByteBuf::from(vec![1]), signature: [2; 64] };
    check_frame(seen, Kind::CheckReport, &report);
    let head = StreamHead {
        purpose: StreamPurpose::Checks,
        stream: StreamId([1; 16]),
        account: "eve".into(),
        client: String::new(),
    };
    check(seen, "check-stream-head", &head);
    let words = |text: &str| Words { en: text.into(), zh: "词".into() };
    let finding = Finding {
        check: "lb.detection-time".into(),
        subject: "haproxy backend web/web1".into(),
        status: Status::Critical,
        note: false,
        since: None,
        value: Some(1800.0),
        unit: "s".into(),
        evidence: vec![Evidence { source: "/etc/haproxy/haproxy.cfg:42".into(), text: "inter 300s".into() }],
        summary: words("late"),
        impact: words("loss"),
        remedy: words("less"),
        details: [("refused_s".to_owned(), Detail::Number(900.0)), ("tcp".to_owned(), Detail::Flag(true))].into(),
    };
    let report = Report {
        identity: VerifyKey([1; 32]),
        nonce: Nonce([2; 16]),
        asked: vec!["lb".into()],
        at: AT,
        millis: 1200,
        version: "0.1.0".into(),
        host: "web-1".into(),
        findings: vec![finding],
        absent: vec![Absent { check: "nginx.workers".into(), why: words("none") }],
        refused: vec!["x".into()],
        left_out: 3,
        sandbox_open: vec!["Landlock".into()],
    };
    check(seen, "check-report-signed", &report);
}

fn metrics_frames(seen: &mut Vec<String>) {
    for (name, request) in [
        ("metrics-live", MetricsRequest::Live {}),
        ("metrics-summary", MetricsRequest::Summary {}),
        ("metrics-processes", MetricsRequest::Processes { count: 20 }),
        ("metrics-events", MetricsRequest::Events(EventsRequest { from: 1, to: 2 })),
    ] {
        check(seen, name, &request);
    }
    let range = RangeRequest { from: 1, to: 2, points: 300, names: vec!["system.disk.io".into()] };
    check_frame(seen, Kind::MetricsRequest, &MetricsRequest::Range(range));
    check_frame(seen, Kind::MetricsLease, &MetricsLease {});
    let series = Series {
        name: "system.disk.io".into(),
        unit: "By".into(),
        kind: SeriesKind::Counter,
        attributes: vec![("device".into(), "sda".into()), ("direction".into(), "read".into())],
        summary: false,
    };
    check_frame(seen, Kind::MetricsSeries, &MetricsSeries { first: 3, series: vec![series] });
    let sample = Sample { at: 1_800_000_000_123, elapsed: 1001, dropped: 2, values: vec![1.5, f32::NAN] };
    check_raw(seen, Kind::MetricsSample, &sample.to_bytes());
    let range = Range { series: 3, from: 1, step: 10_000, min: vec![1.0], mean: vec![2.0], max: vec![3.0] };
    check_raw(seen, Kind::MetricsRange, &range.to_bytes());
    let process = Process {
        pid: 7,
        name: "nginx".into(),
        user: "www-data".into(),
        unit: "nginx.service".into(),
        state: "R".into(),
        processors: 0.5,
        memory: 4096,
        read: Some(1.0),
        written: None,
        descriptors: Some(9),
        threads: 2,
    };
    let processes = Processes { at: 1, elapsed: 1000, total: 90, processes: vec![process] };
    check_frame(seen, Kind::Processes, &processes);
    event_frames(seen);
}

fn event_frames(seen: &mut Vec<String>) {
    let named = Named { name: "nginx".into(), before: "1.22.1-8".into(), after: "1.22.1-9".into() };
    let event = |kind| Event { at: 1, kind, count: 1, names: vec![], unit: String::new(), guessed: false };
    let upgraded = Event { count: 9, names: vec![named], guessed: true, ..event(EventKind::Upgraded) };
    let failed = Event { unit: "nginx.service".into(), ..event(EventKind::Failed) };
    let events = vec![upgraded, failed, event(EventKind::Booted)];
    check_frame(seen, Kind::Events, &Events { since: 1, events, left_out: 3, blind: vec![EventSource::Kernel] });
    let kinds: Vec<EventKind> = EventKind::ALL.to_vec();
    check(seen, "event-kinds", &kinds);
    check(seen, "event-sources", &EventSource::ALL.to_vec());
}

fn visit_frames(seen: &mut Vec<String>) {
    check_frame(seen, Kind::ChallengeRequest, &ChallengeRequest { proto_min: 1, proto_max: 1, trust_seq: 3 });
    let reply = ChallengeReply { challenge: ByteBuf::from(vec![1]), signature: [2; 64], entries: vec![] };
    check_frame(seen, Kind::Challenge, &reply);
    let open = OpenVisit { grant: ByteBuf::from(vec![1]), engineer: signed(), second: Some(signed()), entries: vec![] };
    check_frame(seen, Kind::OpenVisit, &open);
    let channel = ChannelInfo {
        channel: ChannelId([1; 16]),
        kind: ChannelKind::Shell,
        user: "root".into(),
        age_secs: 5,
        attached: false,
    };
    let opened = VisitOpened { visit: VisitId([1; 16]), ends_in_secs: 3600, channels: vec![channel] };
    check_frame(seen, Kind::VisitOpened, &opened);
    let need = NeedSecond { visit: VisitId([1; 16]), within_secs: 600, remote: true, local: true };
    check_frame(seen, Kind::NeedSecond, &need);
    check_frame(seen, Kind::Second, &Second { second: signed() });
    check_frame(seen, Kind::Refused, &Refusal::NoUser.with("bob"));
    let channel = OpenChannel {
        visit: VisitId([1; 16]),
        channel: ChannelId([2; 16]),
        kind: ChannelKind::Exec,
        resume: 4,
        first: ByteBuf::from(vec![5]),
    };
    check_frame(seen, Kind::OpenChannel, &channel);
    check_frame(seen, Kind::ChannelReply, &ChannelReply { second: ByteBuf::from(vec![1]) });
}

/// What watchers sign, ask and are told.
fn looks(seen: &mut Vec<String>) {
    check(seen, "scopes-that-look", &vec![Scope::Watch { user: "root".into() }, Scope::Audit {}]);
    check(seen, "kinds-that-look", &vec![ChannelKind::Watch, ChannelKind::Ask]);
    check(seen, "question-shells", &Question::Shells {});
    check(seen, "question-audit", &Question::Audit { file: 300, offset: 70_000 });
    let shell = LivingShell {
        channel: ChannelId([1; 16]),
        user: "root".into(),
        person: "eve".into(),
        reason: "slow site".into(),
        ticket: "T-1".into(),
        age_secs: 5,
        ends_in_secs: 3600,
        attached: true,
        watchers: 1,
        may_end: false,
    };
    check(seen, "answer-shells", &Answer::Shells { shells: vec![shell] });
    let page = AuditPage { files: vec![AuditFile { first: 0, bytes: 2 }], data: ByteBuf::from(b"{}".to_vec()) };
    check(seen, "answer-audit", &Answer::Audit(page));
}

/// A second signature ahead, and its end.
fn entries_ahead(seen: &mut Vec<String>, entry: &Entry) {
    let ahead = Ahead {
        agent: AgentId([3; 32]),
        engineer: KeyId([4; 32]),
        scopes: vec![Scope::Shell { user: "root".into() }, Scope::Exec { user: "root".into() }],
        from: AT,
        until: AT.plus_secs(3600),
        note: "tonight".into(),
    };
    check(seen, "entry-sign-ahead", &Entry { what: What::SignAhead { ahead }, ..entry.clone() });
    check(seen, "entry-end-ahead", &Entry { what: What::EndAhead { seq: 300 }, ..entry.clone() });
}

fn signed_objects(seen: &mut Vec<String>) {
    let challenge = Challenge {
        version: 1,
        offered_min: 1,
        offered_max: 1,
        identity: VerifyKey([1; 32]),
        tenant: TenantId([2; 32]),
        host: "web-1".into(),
        boot: BootId([3; 16]),
        nonce: Nonce([4; 16]),
        agent_key: ExchangeKey([5; 32]),
        trust_seq: 6,
        trust_head: Hash([7; 32]),
        at: AT,
        ttl_secs: 600,
    };
    check(seen, "challenge", &challenge);
    let grant = Grant {
        version: 1,
        tenant: TenantId([1; 32]),
        agent: AgentId([2; 32]),
        challenge: Hash([3; 32]),
        client_key: ExchangeKey([4; 32]),
        engineer: KeyId([5; 32]),
        scopes: vec![Scope::Shell { user: "root".into() }, Scope::Exec { user: "root".into() }],
        ttl_secs: 3600,
        reason: "why".into(),
        ticket: "T-1".into(),
        trust_seq: 6,
        trust_head: Hash([7; 32]),
        at: AT,
    };
    check(seen, "grant", &grant);
    let policy = Policy { visit: None, second_for: vec!["root".into()], never: vec![] };
    let entry =
        Entry { version: 1, seq: 1, prev: Hash([1; 32]), at: AT, by: KeyId([2; 32]), what: What::SetPolicy { policy } };
    check(seen, "entry", &entry);
    let signed = SignedEntry { entry: ByteBuf::from(entry.to_bytes()), signature: ByteBuf::from(vec![9]) };
    check(seen, "signed-entry", &signed);
    entries_ahead(seen, &entry);
    let request = OpenRequest {
        user: "root".into(),
        attach: false,
        abandoned: vec![],
        term: "xterm".into(),
        lang: String::new(),
        argv: vec![ByteBuf::from(b"ls".to_vec())],
    };
    check(seen, "open-request", &request);
    looks(seen);
    check(seen, "handed", &Handed { index: 1, secret: Secret([2; 32]) });
    let binding = Binding {
        version: 1,
        challenge: Hash([1; 32]),
        grant: Hash([2; 32]),
        kind: ChannelKind::Shell,
        channel: ChannelId([3; 16]),
        resume: 0,
    };
    check(seen, "binding", &binding);
}

#[test]
fn golden_bytes_round_trip_and_damage_of_every_message() {
    let mut seen = Vec::new();
    tunnel_frames(&mut seen);
    visit_frames(&mut seen);
    check_frames(&mut seen);
    metrics_frames(&mut seen);
    signed_objects(&mut seen);
    for kind in Kind::ALL {
        // A record is raw ciphertext and a ping is empty: their golden bytes stand beside the frame codec.
        assert!(
            matches!(kind, Kind::Record | Kind::Ping) || seen.contains(&format!("{kind:?}")),
            "{kind:?} has no golden bytes"
        );
    }
    for line in GOLDEN.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(seen.iter().any(|known| known == name), "golden line {name} is replayed by nothing");
    }
}
