//! Metrics of servers on their way through the relay, with agents that behave and agents that do not.

use crate::peer::{Agent, Frames};
use crate::world::{PATIENCE, Server, World, until};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::events::{Event as HostEvent, EventKind, EventSource, Events, EventsRequest, Named};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::metrics::{
    MetricsRequest, MetricsSeries, Processes, Range, RangeRequest, Sample, Series, SeriesKind,
};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_relay::broker::BrokerError;
use cloud_doctor_relay::metrics::{self, Metrics};
use cloud_doctor_relay::watch::{AnswerError, Cut, Event, Pace, Phase, Watch, Watching, Who};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) server: Server,
    pub(crate) agent: Agent,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Desk {
    pub(crate) async fn new(pace: Pace) -> Self {
        let world = World::new().await;
        let server = world.enrolled(1).await;
        let agent = Agent::up(&world, &server).await;
        let metrics = Arc::new(Metrics::default());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let run = (tasks.clone(), stop.clone());
        let watch = Watch::new(world.broker.clone(), world.registry.clone(), metrics.clone(), run, pace);
        Self { world, server, agent, metrics, watch, tasks, stop }
    }

    fn look(&self) -> Watching {
        self.watch.watch(self.server.agent(), &who())
    }

    /// The next stream that the relay opens, and what it wants there.
    pub(crate) async fn asked(agent: &Agent) -> (Frames, MetricsRequest) {
        let mut frames = agent.accept().await;
        let head: StreamHead = frames.expect(Kind::StreamHead).await;
        assert_eq!(head.purpose, StreamPurpose::Metrics);
        let request = frames.expect(Kind::MetricsRequest).await;
        (frames, request)
    }

    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        let registry = metrics::registry(&self.metrics, self.world.registry.clone(), self.world.broker.clone());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("cloud_doctor_relay_server_metrics_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.world.stop().await;
    }
}

fn who() -> Who {
    Who { account: "ann".into(), client: "192.0.2.7".into() }
}

/// Tests have no minute.
fn quick() -> Pace {
    let millis = Duration::from_millis;
    Pace { linger: millis(100), again: millis(200), look: millis(20) }
}

pub(crate) fn series(names: &[&str]) -> Vec<u8> {
    let series = names.iter().map(|name| Series {
        name: (*name).into(),
        unit: "1".into(),
        kind: SeriesKind::Gauge,
        attributes: vec![],
        summary: true,
    });
    frame::message(Kind::MetricsSeries, &MetricsSeries { first: 0, series: series.collect() })
}

pub(crate) fn sample(at: u64, values: &[f32]) -> Vec<u8> {
    let sample = Sample { at, elapsed: 1_000, dropped: 0, values: values.to_vec() };
    frame::encode(Kind::MetricsSample, &sample.to_bytes())
}

/// What a watcher is told next.
async fn next(watching: &mut Watching) -> Event {
    tokio::time::timeout(PATIENCE, watching.next()).await.expect("nothing was told").expect("the relay stopped")
}

/// The next frames, whatever is said about the state before.
async fn frames(watching: &mut Watching) -> Vec<Vec<u8>> {
    loop {
        if let Event::Frames(frames) = next(watching).await {
            return frames.iter().map(|frame| frame.to_vec()).collect();
        }
    }
}

async fn until_phase(watching: &mut Watching, wanted: impl Fn(&Phase) -> bool) {
    loop {
        if let Event::Phase(phase) = next(watching).await
            && wanted(&phase)
        {
            return;
        }
    }
}

#[tokio::test]
async fn all_watchers_share_one_stream_and_a_late_one_is_told_what_numbers_mean() {
    let desk = Desk::new(quick()).await;
    let mut first = desk.look();
    let (mut upstream, request) = Desk::asked(&desk.agent).await;
    assert_eq!(request, MetricsRequest::Live {});
    let (catalogue, one) = (series(&["a", "b"]), sample(1, &[1.0, 2.0]));
    upstream.send.write_all(&[&catalogue[..], &one].concat()).await.unwrap();
    assert_eq!(frames(&mut first).await, std::slice::from_ref(&catalogue));
    assert_eq!(frames(&mut first).await, [one]);
    let mut late = desk.look();
    assert_eq!(next(&mut late).await, Event::Phase(Phase::Live));
    assert_eq!(frames(&mut late).await, [catalogue]);
    let two = sample(2, &[3.0, 4.0]);
    upstream.send.write_all(&two).await.unwrap();
    for watching in [&mut first, &mut late] {
        assert_eq!(frames(watching).await, std::slice::from_ref(&two));
    }
    assert_eq!(desk.watch.watched(), (1, 2));
    // No watcher, no stream.
    drop(first);
    tokio::time::sleep(quick().linger * 2).await;
    assert_eq!(desk.watch.watched(), (1, 1), "one still looks");
    drop(late);
    let stopped = tokio::time::timeout(PATIENCE, upstream.send.stopped()).await;
    assert!(stopped.is_ok(), "the stream was closed");
    until(|| desk.watch.watched() == (0, 0)).await;
    assert_eq!(desk.counted("sample"), 2);
    desk.stop().await;
}

#[tokio::test]
async fn a_watcher_waits_for_a_server_that_is_away_and_gets_values_when_it_is_back() {
    let desk = Desk::new(quick()).await;
    let mut watching = desk.look();
    let (mut upstream, _) = Desk::asked(&desk.agent).await;
    upstream.send.write_all(&[series(&["old", "x"]), sample(1, &[1.0, 1.0])].concat()).await.unwrap();
    frames(&mut watching).await;
    frames(&mut watching).await;
    desk.agent.peer.connection.close(0u32.into(), b"");
    until_phase(&mut watching, |phase| *phase == Phase::Away).await;
    let back = Agent::up(&desk.world, &desk.server).await;
    let (mut upstream, _) = Desk::asked(&back).await;
    let (catalogue, value) = (series(&["new"]), sample(2, &[5.0]));
    upstream.send.write_all(&[&catalogue[..], &value].concat()).await.unwrap();
    assert_eq!(frames(&mut watching).await, [catalogue]);
    assert_eq!(frames(&mut watching).await, [value]);
    desk.stop().await;
}

#[tokio::test]
async fn dos_06_an_agent_that_floods_is_cut_counted_and_asked_again_later() {
    let desk = Desk::new(quick()).await;
    let mut watching = desk.look();
    let (mut upstream, _) = Desk::asked(&desk.agent).await;
    let flood = sample(1, &[1.0]).repeat(5_000);
    drop(upstream.send.write_all(&flood).await);
    until_phase(&mut watching, |phase| *phase == Phase::Cut(Cut::Flood)).await;
    assert_eq!(desk.counted("flood"), 1);
    assert!(desk.counted("sample") <= 60, "{}", desk.counted("sample"));
    let (mut upstream, _) = Desk::asked(&desk.agent).await;
    upstream.send.write_all(&sample(2, &[1.0])).await.unwrap();
    until_phase(&mut watching, |phase| *phase == Phase::Live).await;
    desk.stop().await;
}

#[tokio::test]
async fn web_09_an_agent_that_lies_about_series_is_cut_and_nobody_is_told_them() {
    let long = "x".repeat(64 << 10);
    for (bytes, why) in [
        (series(&[&long]), Cut::Series),
        (series(&["x"; 501]), Cut::Series),
        (frame::encode(Kind::MetricsRange, &[0; 20]), Cut::Kind),
        (frame::encode(Kind::Record, b"x"), Cut::Kind),
        (frame::encode(Kind::MetricsSample, &[0; 17]), Cut::Malformed),
        (frame::header(Kind::MetricsSample, 1 << 20).to_vec(), Cut::Malformed),
    ] {
        let desk = Desk::new(quick()).await;
        let mut watching = desk.look();
        let (mut upstream, _) = Desk::asked(&desk.agent).await;
        upstream.send.write_all(&bytes).await.unwrap();
        loop {
            match next(&mut watching).await {
                Event::Phase(Phase::Opening) => {}
                Event::Phase(phase) => {
                    assert_eq!(phase, Phase::Cut(why));
                    break;
                }
                event @ (Event::Frames(_) | Event::Skipped(_)) => panic!("{why:?}: {event:?}"),
            }
        }
        assert_eq!(desk.counted(why.id()), 1);
        desk.stop().await;
    }
}

#[tokio::test]
async fn a_slow_watcher_skips_and_delays_nobody() {
    let desk = Desk::new(quick()).await;
    let (mut slow, mut quick) = (desk.look(), desk.look());
    let (mut upstream, _) = Desk::asked(&desk.agent).await;
    upstream.send.write_all(&series(&["a"])).await.unwrap();
    frames(&mut quick).await;
    for at in 1..=30 {
        let one = sample(at, &[1.0]);
        upstream.send.write_all(&one).await.unwrap();
        assert_eq!(frames(&mut quick).await, [one]);
    }
    let mut skipped = 0;
    let mut seen = Vec::new();
    while seen.last() != Some(&sample(30, &[1.0])) {
        match next(&mut slow).await {
            Event::Skipped(count) => skipped += count,
            Event::Frames(frames) => seen.extend(frames.iter().map(|frame| frame.to_vec())),
            Event::Phase(_) => {}
        }
    }
    assert_eq!(seen[0], series(&["a"]), "nobody skips what numbers mean");
    assert_eq!((skipped, seen.len()), (22, 1 + 8));
    assert_eq!(desk.counted("skipped"), 22);
    desk.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_the_watcher_as_it_was_said() {
    let desk = Desk::new(quick()).await;
    let mut watching = desk.look();
    let (mut upstream, _) = Desk::asked(&desk.agent).await;
    let no = frame::message(Kind::Refused, &Refusal::Lockdown.with(""));
    upstream.send.write_all(&no).await.unwrap();
    until_phase(&mut watching, |phase| matches!(phase, Phase::Refused(frame) if **frame == no[..])).await;
    desk.stop().await;
}

fn wanted() -> RangeRequest {
    RangeRequest { from: 1, to: 2, points: 10, names: vec!["a".into()] }
}

/// All frames of an answer, in one.
async fn range(desk: &Desk) -> Result<Vec<u8>, AnswerError> {
    let mut answer = desk.watch.range((desk.world.tenant, &desk.server.agent()), &who(), wanted()).await?;
    let mut all = Vec::new();
    while let Some(frame) = answer.next().await? {
        all.extend_from_slice(&frame);
    }
    Ok(all)
}

#[tokio::test]
async fn a_range_is_passed_on_as_it_came_and_bounded() {
    let desk = Desk::new(quick()).await;
    let answered = async |bytes: Vec<u8>| {
        let server = async {
            let (mut frames, request) = Desk::asked(&desk.agent).await;
            assert_eq!(request, MetricsRequest::Range(wanted()));
            drop(frames.send.write_all(&bytes).await);
            drop(frames.send.finish());
            frames
        };
        let (answer, _frames) = tokio::join!(range(&desk), server);
        answer
    };
    let part = Range { series: 0, from: 1, step: 10, min: vec![1.0], mean: vec![1.5], max: vec![2.0] };
    let part = frame::encode(Kind::MetricsRange, &part.to_bytes());
    let good = [series(&["a"]), part.clone()].concat();
    assert_eq!(answered(good.clone()).await.unwrap(), good);
    assert_eq!(answered(Vec::new()).await.unwrap(), b"", "a history with nothing in it");
    let refused = answered(frame::message(Kind::Refused, &Refusal::Lockdown.with(""))).await;
    assert!(matches!(refused, Err(AnswerError::Refused(no)) if no.code == Refusal::Lockdown));
    let cut_off = answered(good[..good.len() - 1].to_vec()).await;
    assert!(matches!(cut_off, Err(AnswerError::Broke)), "{cut_off:?}");
    let other = answered([good.clone(), sample(1, &[1.0])].concat()).await;
    assert!(matches!(other, Err(AnswerError::Dropped(Cut::Kind))), "{other:?}");
    let points = 4_096;
    let large =
        Range { series: 0, from: 1, step: 1, min: vec![0.0; points], mean: vec![0.0; points], max: vec![0.0; points] };
    let large = frame::encode(Kind::MetricsRange, &large.to_bytes()).repeat(400);
    let large = answered(large).await;
    assert!(matches!(large, Err(AnswerError::Dropped(Cut::TooLarge))), "more than 16 MiB");
    assert_eq!((desk.counted("too-large"), desk.counted("kind")), (1, 1));
    desk.agent.peer.connection.close(0u32.into(), b"");
    desk.world.until_live(&desk.server.agent(), false).await;
    let away = range(&desk).await;
    assert!(matches!(away, Err(AnswerError::Broker(BrokerError::Unreachable))), "{away:?}");
    desk.stop().await;
}

#[tokio::test]
async fn processes_come_as_the_server_said_them() {
    let desk = Desk::new(quick()).await;
    let said = Processes { at: 5, elapsed: 1_000, total: 9, processes: vec![] };
    let server = async {
        let (mut frames, request) = Desk::asked(&desk.agent).await;
        assert_eq!(request, MetricsRequest::Processes { count: 7 });
        frames.send.write_all(&frame::message(Kind::Processes, &said)).await.unwrap();
        frames
    };
    let agent = desk.server.agent();
    let who = who();
    let asking = desk.watch.processes((desk.world.tenant, &agent), &who, 7);
    let (answer, _frames) = tokio::join!(asking, server);
    assert_eq!(answer.unwrap(), said);
    assert_eq!(
        pack::from_bytes::<Processes>(&frame::message(Kind::Processes, &said)[FRAME_HEADER_BYTES..], 1 << 16),
        Ok(said)
    );
    desk.stop().await;
}

const ASKED: EventsRequest = EventsRequest { from: 1_000, to: 9_000 };

fn happened(at: u64, name: &str) -> Events {
    let named = Named { name: name.into(), before: "1".into(), after: "2".into() };
    let kind = EventKind::Upgraded;
    let event = HostEvent { at, kind, count: 1, names: vec![named], unit: String::new(), guessed: false };
    Events { since: 1_000, events: vec![event], left_out: 0, blind: vec![EventSource::Kernel] }
}

#[tokio::test]
async fn web_09_events_are_passed_on_as_they_were_said_and_an_agent_that_lies_is_cut() {
    let desk = Desk::new(quick()).await;
    let (agent, who) = (desk.server.agent(), who());
    let answered = async |bytes: Vec<u8>| {
        let server = async {
            let (mut frames, request) = Desk::asked(&desk.agent).await;
            assert_eq!(request, MetricsRequest::Events(ASKED));
            drop(frames.send.write_all(&bytes).await);
            drop(frames.send.finish());
            frames
        };
        let asking = desk.watch.events((desk.world.tenant, &agent), &who, ASKED);
        let (answer, _frames) = tokio::join!(asking, server);
        answer
    };
    let say = |all: &Events| frame::message(Kind::Events, all);
    let honest = happened(5_000, "nginx");
    assert_eq!(answered(say(&honest)).await.unwrap(), honest);
    let more = [say(&honest), say(&honest).repeat(1_000)].concat();
    assert_eq!(answered(more).await.unwrap(), honest, "what follows is not read");
    let mut many = happened(5_000, "nginx");
    many.events = vec![many.events[0].clone(); 501];
    for lie in [happened(9_000, "nginx"), happened(999, "nginx"), happened(5_000, "a\u{1b}[2J"), many] {
        let dropped = answered(say(&lie)).await;
        assert!(matches!(dropped, Err(AnswerError::Dropped(Cut::Malformed))), "{dropped:?}");
    }
    let large = answered(frame::header(Kind::Events, 2 << 20).to_vec()).await;
    assert!(matches!(large, Err(AnswerError::Dropped(Cut::Malformed))), "before anything of it is held: {large:?}");
    let other = answered(sample(1, &[1.0])).await;
    assert!(matches!(other, Err(AnswerError::Dropped(Cut::Kind))), "{other:?}");
    assert_eq!((desk.counted("malformed"), desk.counted("kind")), (4, 1));
    let refused = answered(frame::message(Kind::Refused, &Refusal::EventsTooOften.with("4"))).await;
    assert!(matches!(refused, Err(AnswerError::Refused(no)) if no.code == Refusal::EventsTooOften));
    let older = answered(frame::message(Kind::Refused, &Refusal::Malformed.with(""))).await;
    assert!(matches!(older, Err(AnswerError::Older)), "an agent that does not know the question: {older:?}");
    desk.stop().await;
}
