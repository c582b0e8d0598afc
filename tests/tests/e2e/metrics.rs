//! Metrics of a real host through a real relay: history as the agent kept it, and nothing where the ceiling says no.

use super::people::login;
use cloud_doctor_proto::frame::{Decoder, Frame, Kind};
use cloud_doctor_proto::metrics::{MetricsSeries, Range, Series};
use cloud_doctor_proto::pack;
use cloud_doctor_tests::calls::call;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::people::now;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Plan, Site};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A sample is taken each second.
const SOON: Duration = Duration::from_secs(15);

/// The status of an answer, and the frames in it.
fn frames(relay: SocketAddr, login: &str, path: &str) -> (String, Vec<Frame>) {
    let mut stream = TcpStream::connect(relay).unwrap();
    let request = format!("GET /api/v1{path} HTTP/1.0\r\nhost: {relay}\r\nauthorization: Bearer {login}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[..end]).lines().next().unwrap().to_owned();
    if !status.contains("200") {
        return (status, Vec::new());
    }
    let mut decoder = Decoder::new();
    decoder.push(&answer[end + 4..]);
    (status, std::iter::from_fn(|| decoder.next_frame().unwrap()).collect())
}

/// Series with their ranges.
fn ranges(frames: &[Frame]) -> Vec<(Series, Range)> {
    let of = |kind: Kind| frames.iter().filter(move |frame| frame.kind == kind);
    let page = |frame: &Frame| pack::from_bytes::<MetricsSeries>(&frame.body, frame.kind.bytes_max()).unwrap().series;
    let series: Vec<Series> = of(Kind::MetricsSeries).flat_map(page).collect();
    let ranges = of(Kind::MetricsRange).map(|frame| Range::from_bytes(&frame.body).unwrap());
    ranges.map(|range| (series[usize::try_from(range.series).unwrap()].clone(), range)).collect()
}

#[test]
fn a_servers_history_outlives_its_agent_and_is_shown_while_the_ceiling_says_so() {
    let mut site = Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {});
    let (relay, login) = (site.relay.listening().clients, login(&site));
    let servers = call(relay, &login, ("GET", "/servers"), &Value::Null).1;
    let id = servers["servers"][0]["id"].as_str().unwrap().to_owned();
    let began = now().0 * 1_000 - 60_000;
    let part =
        |name: &str, to: u64| format!("/servers/{id}/metrics/range?from={began}&to={to}&points=4096&name={name}");
    let known = |name: &str| {
        let (_, frames) = frames(relay, &login, &part(name, now().0 * 1_000 + 2_000));
        let all = ranges(&frames).into_iter();
        let values = all.flat_map(|(_, range)| range.mean).filter(|mean| !mean.is_nan());
        values.collect::<Vec<_>>()
    };
    let memory = eventually(SOON, "three seconds of history", || {
        Some(known("system.memory.utilization")).filter(|values| values.len() >= 3)
    });
    assert!(memory.iter().all(|value| (0.0..=1.0).contains(value)), "{memory:?}");
    let switches = known("system.linux.context_switches");
    assert!(switches.iter().all(|value| *value > 0.0), "{switches:?}");

    // What was in memory is written when the tunnel is told to stop, and found again.
    site.agent.stop();
    site.agent.run();
    site.wait_until_online();
    let again = eventually(SOON, "more of it", || {
        Some(known("system.memory.utilization")).filter(|values| values.len() > memory.len())
    });
    assert!(again.len() > memory.len());

    let ceiling = fs::read_to_string(site.agent.ceiling()).unwrap();
    fs::write(site.agent.ceiling(), ceiling.replace("scope = \"metrics\"", "scope = \"audit\"")).unwrap();
    let refused = eventually(SOON, "the ceiling holds", || {
        let (status, frames) = frames(relay, &login, &part("system.memory.utilization", now().0 * 1_000));
        Some(status).filter(|_| frames.iter().all(|frame| frame.kind != Kind::MetricsRange))
    });
    assert!(!refused.is_empty());
}
