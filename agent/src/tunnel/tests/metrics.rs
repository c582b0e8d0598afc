//! Streams of metrics: nothing without guard's word, nothing after it, and what the sampler says in between.

use super::stage::{Guard, Relay, Role, Tunnel, soon};
use crate::tunnel::wire::{self, FrameReader};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::events::{Events, EventsRequest};
use cloud_doctor_proto::frame::{self, Frame, Kind};
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_proto::limits::{CONTROL_BYTES_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::metrics::{
    MetricsRequest, MetricsSeries, Processes, SUMMARY_SERIES_MAX, Sample, Series, SeriesKind,
};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use quinn::{RecvStream, SendStream};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

struct Watch {
    send: SendStream,
    frames: FrameReader<RecvStream>,
}

impl Watch {
    async fn open(tunnel: &Tunnel, request: &MetricsRequest) -> Self {
        let (mut send, recv) = soon(tunnel.connection.open_bi()).await.unwrap();
        let (purpose, stream) = (StreamPurpose::Metrics, StreamId([6; 16]));
        let head = StreamHead { purpose, stream, account: "ann".into(), client: "x".into() };
        wire::send(&mut send, Kind::StreamHead, &head).await.unwrap();
        wire::send(&mut send, Kind::MetricsRequest, request).await.unwrap();
        Self { send, frames: FrameReader::new(recv, CONTROL_BYTES_MAX) }
    }

    async fn next(&mut self) -> Option<Frame> {
        soon(self.frames.next()).await.unwrap()
    }

    /// The next sample, by the series that were said before it.
    async fn sample(&mut self, known: &mut BTreeMap<usize, Series>) -> Sample {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if frame.kind == Kind::MetricsSample {
                let sample = Sample::from_bytes(&frame.body).unwrap();
                assert!(sample.values.len() <= known.len(), "each number was said before");
                return sample;
            }
            assert_eq!(frame.kind, Kind::MetricsSeries);
            let page: MetricsSeries = wire::parse(&frame).unwrap();
            let first = usize::try_from(page.first).unwrap();
            assert!(page.series.iter().all(Series::is_bounded));
            known.extend(page.series.into_iter().enumerate().map(|(number, series)| (first + number, series)));
        }
    }
}

/// The value of a series without attributes.
fn value(sample: &Sample, known: &BTreeMap<usize, Series>, name: &str) -> f32 {
    let found = known.iter().find(|(_, series)| series.name == name && series.attributes.is_empty());
    sample.values[*found.expect(name).0]
}

#[tokio::test]
async fn samples_come_each_second_with_their_series_first_and_end_with_guards_word() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let (mut watch, mut known) = (Watch::open(&tunnel, &MetricsRequest::Live {}).await, BTreeMap::new());
    let first = watch.sample(&mut known).await;
    let second = watch.sample(&mut known).await;
    assert!((500..2_500).contains(&second.elapsed), "{}", second.elapsed);
    let apart = i128::from(second.at) - i128::from(first.at);
    assert!((apart - i128::from(second.elapsed)).abs() < 50, "{apart} by the clock, {}", second.elapsed);
    for sample in [&first, &second] {
        let used = value(sample, &known, "system.memory.utilization");
        assert!((0.0..=1.0).contains(&used), "{used}");
    }
    let busy = value(&second, &known, "system.cpu.utilization");
    assert!((0.0..=1.0).contains(&busy), "{busy}");
    let switches = value(&second, &known, "system.linux.context_switches");
    assert!(switches > 0.0 && known.values().any(|series| series.kind == SeriesKind::Counter), "{switches}");

    guard.state.over.notify_waiters();
    while let Some(frame) = watch.next().await {
        assert!([Kind::MetricsSample, Kind::MetricsSeries].contains(&frame.kind));
    }
    role.stop().await;
}

#[tokio::test]
async fn a_summary_holds_few_series_and_comes_every_five_seconds() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let (mut watch, mut known) = (Watch::open(&tunnel, &MetricsRequest::Summary {}).await, BTreeMap::new());
    let sample = watch.sample(&mut known).await;
    assert!((4_000..7_000).contains(&sample.elapsed), "{}", sample.elapsed);
    assert!(known.len() <= SUMMARY_SERIES_MAX && known.values().all(|series| series.summary));
    assert!((0.0..=1.0).contains(&value(&sample, &known, "system.memory.utilization")));

    // Whoever leaves is not served any longer, and guard hears of it.
    watch.send.reset(0u32.into()).unwrap();
    soon(async {
        while guard.state.leases.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    role.stop().await;
}

#[tokio::test]
async fn what_guard_says_instead_reaches_who_asked() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let mut watch = Watch::open(&tunnel, &MetricsRequest::Processes { count: 7 }).await;
    let answer: Processes = wire::parse(&watch.next().await.unwrap()).unwrap();
    assert_eq!(answer.total, 7);
    assert_eq!(watch.next().await, None);

    let mut watch = Watch::open(&tunnel, &MetricsRequest::Events(EventsRequest { from: 5, to: 9_000 })).await;
    let answer = watch.next().await.unwrap();
    assert!(answer.body.len() > GREETING_BYTES_MAX, "as large as an answer may be: {}", answer.body.len());
    let answer: Events = wire::parse(&answer).unwrap();
    assert_eq!((answer.events.len(), answer.events[0].at), (500, 5));
    assert_eq!(watch.next().await, None);

    guard.state.refuses.store(true, Ordering::Relaxed);
    let mut watch = Watch::open(&tunnel, &MetricsRequest::Live {}).await;
    let refused: Refused = wire::parse(&watch.next().await.unwrap()).unwrap();
    assert_eq!(refused.code, Refusal::Ceiling);
    assert_eq!(watch.next().await, None);
    role.stop().await;
}

#[tokio::test]
async fn dos_06_a_relay_gets_sixteen_streams_and_no_more() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let role = Role::start(guard.settings(&[(relay.addr, relay.pin)]));
    let tunnel = relay.tunnel().await;
    let mut watches = Vec::new();
    for _ in 0..16 {
        let mut watch = Watch::open(&tunnel, &MetricsRequest::Live {}).await;
        watch.sample(&mut BTreeMap::new()).await;
        watches.push(watch);
    }
    let mut beyond = Watch::open(&tunnel, &MetricsRequest::Live {}).await;
    let refused: Refused = wire::parse(&beyond.next().await.unwrap()).unwrap();
    assert_eq!(refused.code, Refusal::Busy);
    role.stop().await;
}

#[tokio::test]
async fn a_visit_by_a_code_has_no_metrics_and_a_malformed_question_no_answer() {
    let (relay, guard) = (Relay::new(1), Guard::new());
    let mut settings = guard.settings(&[(relay.addr, relay.pin)]);
    settings.guest = true;
    let role = Role::start(settings);
    let tunnel = relay.tunnel().await;
    let mut watch = Watch::open(&tunnel, &MetricsRequest::Live {}).await;
    let refused: Refused = wire::parse(&watch.next().await.unwrap()).unwrap();
    assert_eq!(refused.code, Refusal::MetricsNotAllowed);
    assert!(guard.state.heads.lock().unwrap().is_empty(), "guard is not even asked");

    let mut watch = Watch::open(&tunnel, &MetricsRequest::Live {}).await;
    watch.send.write_all(&frame::encode(Kind::MetricsRequest, b"again")).await.ok();
    assert_eq!(watch.next().await.unwrap().kind, Kind::Refused);
    role.stop().await;
}
