//! The flight recorder: what is kept of agents that vanish, flood, lie about the time or come back in a crowd.

use crate::peer::{Agent, Frames};
use crate::watch::{Desk, sample, series};
use crate::world::until;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::metrics::{MetricsRequest, Sample};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::watch::{Pace, Recorder, RecorderPace, keep_recording};
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1 << 20;

fn quick() -> RecorderPace {
    let millis = Duration::from_millis;
    RecorderPace { spread: millis(20), again: millis(3_000), soon: millis(20) }
}

fn recording(desk: &Desk, bytes_max: usize, pace: RecorderPace) -> Arc<Recorder> {
    let recorder = Recorder::new(desk.watch.clone(), desk.world.store.clone(), bytes_max, pace);
    desk.tasks.spawn(keep_recording(recorder.clone(), desk.stop.clone()));
    recorder
}

async fn summaries(agent: &Agent) -> Frames {
    let (frames, request) = Desk::asked(agent).await;
    assert_eq!(request, MetricsRequest::Summary {});
    frames
}

/// What is told of the desk's server: values of each sample, and when it vanished.
async fn told(desk: &Desk, recorder: &Recorder) -> (Vec<Vec<f32>>, Option<u64>) {
    let stored = desk.world.store.of(desk.world.tenant).recording(&desk.server.agent()).await.unwrap();
    let last = recorder.last_minutes(&desk.server.agent(), stored);
    let now = clock::now_millis();
    let samples = last.frames.iter().skip(1).map(|frame| Sample::from_bytes(&frame[FRAME_HEADER_BYTES..]).unwrap());
    let near = |sample: Sample| {
        assert!(sample.at <= now && sample.at + 60_000 > now, "by the relay's clock: {} {now}", sample.at);
        sample.values
    };
    (samples.map(near).collect(), last.vanished_at)
}

async fn count(recorder: &Recorder, desk: &Desk) -> usize {
    told(desk, recorder).await.0.len()
}

async fn until_count(recorder: &Recorder, desk: &Desk, wanted: usize) {
    let counted = async {
        while count(recorder, desk).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, counted).await.expect("never so many samples");
}

#[tokio::test]
async fn a_server_that_vanished_still_tells_its_last_minutes_also_after_a_restart() {
    let desk = Desk::new(Pace::default()).await;
    let recorder = recording(&desk, MIB, quick());
    let mut upstream = summaries(&desk.agent).await;
    assert_eq!(desk.world.registry.live(&desk.server.agent()).unwrap().streams, 0, "no client's");
    upstream
        .send
        .write_all(&[series(&["a", "b"]), sample(1, &[1.0, 2.0]), sample(2, &[1.0, 3.0])].concat())
        .await
        .unwrap();
    until_count(&recorder, &desk, 2).await;
    assert_eq!(told(&desk, &recorder).await, (vec![vec![1.0, 2.0], vec![1.0, 3.0]], None));
    desk.agent.peer.connection.close(0u32.into(), b"");
    let stored = async || desk.world.store.of(desk.world.tenant).recording(&desk.server.agent()).await.unwrap();
    let written = async {
        while stored().await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, written).await.expect("written when it vanished");
    let vanished_at = told(&desk, &recorder).await.1.expect("it vanished");
    assert!(vanished_at.abs_diff(clock::now_millis()) < 10_000);
    // Another recorder knows what is on disk, and goes on with it when the server is back.
    let other = Recorder::new(desk.watch.clone(), desk.world.store.clone(), MIB, quick());
    let (values, vanished) = told(&desk, &other).await;
    assert_eq!((values.len(), vanished.is_some()), (2, true));
    desk.tasks.spawn(keep_recording(other.clone(), desk.stop.clone()));
    let back = Agent::up(&desk.world, &desk.server).await;
    // Both recorders ask.
    let (mut one, mut two) = (summaries(&back).await, summaries(&back).await);
    for upstream in [&mut one, &mut two] {
        upstream.send.write_all(&[series(&["b"]), sample(3, &[9.0])].concat()).await.unwrap();
    }
    until_count(&other, &desk, 3).await;
    let (values, vanished) = told(&desk, &other).await;
    assert!(values[2][0].is_nan() && values[2][1] == 9.0 && vanished.is_none(), "{values:?}");
    desk.stop().await;
}

#[tokio::test]
async fn cod_09_a_host_whose_clock_is_years_off_is_kept_by_ours_and_counted() {
    let desk = Desk::new(Pace::default()).await;
    let recorder = recording(&desk, MIB, quick());
    let mut upstream = summaries(&desk.agent).await;
    let (past, future) = (sample(0, &[f32::NAN]), sample(u64::MAX, &[1.0e38]));
    upstream
        .send
        .write_all(&[series(&["a"]), past, future, sample(clock::now_millis(), &[7.0])].concat())
        .await
        .unwrap();
    until_count(&recorder, &desk, 3).await;
    let values = told(&desk, &recorder).await.0;
    assert!(values[0][0].is_nan() && values[1][0].is_finite() && values[2][0] == 7.0, "{values:?}");
    assert_eq!(desk.counted("clock"), 2);
    desk.stop().await;
}

#[tokio::test]
async fn dos_06_an_agent_that_floods_or_refuses_summaries_is_left_alone_for_a_while() {
    for bytes in [
        sample(1, &[1.0]).repeat(1_000),
        frame::encode(Kind::MetricsRange, &[0; 20]),
        frame::message(Kind::Refused, &Refusal::Lockdown.with("")),
    ] {
        let desk = Desk::new(Pace::default()).await;
        let recorder = recording(&desk, MIB, quick());
        let mut upstream = summaries(&desk.agent).await;
        drop(upstream.send.write_all(&bytes).await);
        drop(tokio::time::timeout(crate::world::PATIENCE, upstream.send.stopped()).await.expect("it was cut"));
        let again = tokio::time::timeout(Duration::from_millis(1_000), desk.agent.peer.connection.accept_bi()).await;
        assert!(again.is_err(), "asked again at once");
        assert!(recorder.size().1 <= 4 << 10);
        desk.stop().await;
    }
}

#[tokio::test]
async fn dos_06_all_recordings_have_one_bound_and_the_oldest_make_room() {
    let desk = Desk::new(Pace::default()).await;
    let recorder = recording(&desk, 4_000, quick());
    let mut upstream = summaries(&desk.agent).await;
    upstream.send.write_all(&[series(&["a"; 1]), sample(1, &[1.0])].concat()).await.unwrap();
    until(|| recorder.size().0 == 1).await;
    let mut others = Vec::new();
    for seed in 2..=8 {
        let server = desk.world.enrolled(seed).await;
        let agent = Agent::up(&desk.world, &server).await;
        let mut upstream = summaries(&agent).await;
        upstream.send.write_all(&[series(&["a"]), sample(1, &[1.0])].concat()).await.unwrap();
        others.push((server, agent, upstream));
    }
    until(|| desk.counted("forgotten") >= 1).await;
    assert!(recorder.size().1 <= 4_000, "{:?}", recorder.size());
    let newest = others.last().map(|(server, ..)| server.agent()).unwrap();
    until(|| !recorder.last_minutes(&newest, None).frames.is_empty()).await;
    desk.stop().await;
}

/// FLT-34 at the scale of a test: the streams to agents that are all here at once are opened over a time.
#[tokio::test]
async fn flt_34_agents_that_all_come_back_at_once_are_asked_one_after_the_other() {
    let desk = Desk::new(Pace::default()).await;
    let mut agents = Vec::new();
    for seed in 2..=41 {
        let server = desk.world.enrolled(seed).await;
        agents.push(Agent::up(&desk.world, &server).await);
    }
    let spread = Duration::from_millis(2_000);
    let began = clock::instant();
    let _recorder = recording(&desk, MIB, RecorderPace { spread, ..quick() });
    let asked = agents.iter().map(async |agent: &Agent| {
        drop(summaries(agent).await);
        clock::instant().saturating_duration_since(began)
    });
    let mut asked: Vec<Duration> = futures_util::future::join_all(asked).await;
    asked.sort();
    let tenth = spread / 10;
    let busiest = asked.iter().map(|from| asked.iter().filter(|at| (*from..*from + tenth).contains(*at)).count()).max();
    assert!(busiest.unwrap() <= 14, "4 of 40 are expected in each tenth of the time: {asked:?}");
    assert!(asked[39] >= spread / 2, "{asked:?}");
    desk.stop().await;
}

#[tokio::test]
async fn what_is_not_on_disk_is_written_when_the_relay_stops() {
    let desk = Desk::new(Pace::default()).await;
    let recorder = recording(&desk, MIB, quick());
    let mut upstream = summaries(&desk.agent).await;
    upstream.send.write_all(&[series(&["a"]), sample(1, &[1.0])].concat()).await.unwrap();
    until_count(&recorder, &desk, 1).await;
    recorder.write_all().await.unwrap();
    let row = desk.world.store.of(desk.world.tenant).recording(&desk.server.agent()).await.unwrap().unwrap();
    assert!(row.vanished_at.abs_diff(clock::now_millis()) < 10_000);
    desk.stop().await;
}

/// Nanoseconds that this process' threads of a name have had on a processor.
fn nanos_of(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let spent = |task: std::path::PathBuf| {
        let stat = std::fs::read_to_string(task.join("schedstat")).unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    named.map(spent).sum()
}

/// What 32 values each five seconds cost the relay, QUIC included; the agents are on a thread of their own. It fails on no
/// time: what 5,000 agents would take of one core is printed.
#[test]
fn what_summaries_cost_is_measured() {
    const AGENTS: u8 = 40;
    const EACH: u64 = 25;
    let relay = tokio::runtime::Builder::new_multi_thread();
    let relay = { relay }.worker_threads(1).thread_name("relay-cost").enable_all().build().unwrap();
    let agents = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = relay.block_on(Desk::new(Pace::default()));
    let recorder = relay.block_on(async { recording(&desk, 64 * MIB, quick()) });
    let names: Vec<String> = (0..32).map(|number| format!("system.some.metric.{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = agents.block_on(async {
        let mut all = Vec::new();
        for seed in 2..2 + AGENTS {
            let server = desk.world.enrolled(seed).await;
            let agent = Agent::up(&desk.world, &server).await;
            let mut upstream = summaries(&agent).await;
            upstream.send.write_all(&series(&names)).await.unwrap();
            all.push((server, agent, upstream));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = nanos_of("relay-cost");
        for number in 0..EACH {
            let value = f32::from(u16::try_from(number).unwrap());
            let one = sample(clock::now_millis(), &[value; 32]);
            for (_, _, upstream) in &mut all {
                upstream.send.write_all(&one).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let samples = |agent: AgentId| recorder.last_minutes(&agent, None).frames.len().saturating_sub(1);
        let each = usize::try_from(EACH).unwrap();
        until(|| all.iter().all(|(server, ..)| samples(server.agent()) == each)).await;
        let nanos = (nanos_of("relay-cost") - before) / (u64::from(AGENTS) * EACH);
        // A thousand samples a second are 5,000 agents.
        let (kept, bytes) = recorder.size();
        println!(
            "relay.unwatched: {} us per summary, {} % of a core for 5,000 agents, {} B each",
            nanos / 1_000,
            nanos / 10_000,
            bytes / kept
        );
        all
    });
    drop(all);
    relay.block_on(desk.stop());
}
