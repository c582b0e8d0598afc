//! Metrics on their way out: to Debian's Prometheus, which says itself what it has, and to a collector that is played.

use crate::peer::Agent;
use crate::watch::Desk;
use crate::world::PATIENCE;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::metrics::{MetricsSeries, Sample, Series, SeriesKind};
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::Actor;
use cloud_doctor_relay::watch::Pace;
use cloud_doctor_relay::watch::out::{Exports, Plan, Target, keep_exporting};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Attributes = &'static [(&'static str, &'static str)];

/// The names that the agent's catalogue has, as far as the dashboard asks for them, with the units that it gives them.
const SERIES: &[(&str, &str, SeriesKind, Attributes)] = &[
    ("system.linux.oom_kills", "{process}", SeriesKind::Counter, &[]),
    ("system.linux.network.errors", "{error}", SeriesKind::Counter, &[]),
    ("system.linux.network.dropped", "{packet}", SeriesKind::Counter, &[]),
    ("system.linux.tcp.listen_overflows", "{connection}", SeriesKind::Counter, &[]),
    ("system.linux.pressure", "1", SeriesKind::Gauge, &[("kind", "some"), ("resource", "cpu")]),
    ("system.linux.cpu.load_per_cpu", "{thread}", SeriesKind::Gauge, &[]),
    ("system.linux.tcp.retransmits", "{segment}", SeriesKind::Counter, &[]),
    ("system.cpu.utilization", "1", SeriesKind::Gauge, &[]),
    ("system.memory.utilization", "1", SeriesKind::Gauge, &[]),
    ("system.linux.filesystem.fullest", "1", SeriesKind::Gauge, &[]),
    ("system.linux.disk.busiest", "1", SeriesKind::Gauge, &[]),
    ("system.linux.disk.io", "By", SeriesKind::Counter, &[("direction", "read")]),
    ("system.linux.network.io", "By", SeriesKind::Counter, &[("direction", "receive")]),
    ("system.filesystem.usage", "By", SeriesKind::Gauge, &[("mountpoint", "/a \"b\"\\c"), ("state", "used")]),
];
const VALUE: f32 = 0.25;

fn catalogue() -> Vec<u8> {
    let series = SERIES.iter().map(|(name, unit, kind, attributes)| Series {
        name: (*name).into(),
        unit: (*unit).into(),
        kind: *kind,
        attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        summary: false,
    });
    frame::message(Kind::MetricsSeries, &MetricsSeries { first: 0, series: series.collect() })
}

/// Says a sample each 100 ms, for as long as somebody listens.
async fn play(agent: &Agent) {
    loop {
        let (mut upstream, _) = Desk::asked(agent).await;
        let mut open = upstream.send.write_all(&catalogue()).await.is_ok();
        while open {
            let values = vec![VALUE; SERIES.len()];
            let sample = Sample { at: clock::now_millis(), elapsed: 100, dropped: 0, values };
            open = upstream.send.write_all(&frame::encode(Kind::MetricsSample, &sample.to_bytes())).await.is_ok();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn labelled(desk: &Desk) {
    let by = Actor { account: "ann", client: "" };
    let label = ["prometheus=yes".parse().unwrap()];
    let scoped = desk.world.store.of(desk.world.tenant);
    scoped.label(&desk.server.agent(), (&label, &[]), by, clock::now()).await.unwrap();
}

fn exporting(desk: &Desk, remote: Option<Target>, otlp: Option<Target>) -> Arc<Exports> {
    let plan = Plan { label: "prometheus=yes".parse().unwrap(), every: Duration::from_millis(500) };
    let exports = Exports::new(desk.watch.clone(), desk.world.store.clone(), plan, (remote, otlp));
    desk.tasks.spawn(keep_exporting(exports.clone(), desk.stop.clone()));
    exports
}

/// Debian's Prometheus on a port of its own, which takes what is written and scrapes nothing.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Prometheus {
    fn start(addr: SocketAddr, dir: tempfile::TempDir) -> Option<Self> {
        std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let child = Command::new("prometheus")
            .current_dir(dir.path())
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--web.listen-address={addr}"))
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, addr, _dir: dir }),
            Err(error) => {
                crate::not_tested::not_tested(&format!(
                    "prometheus does not start ({error}): apt-get install prometheus"
                ));
                None
            }
        }
    }

    fn remote_write(&self) -> Target {
        let uri = format!("http://{}/api/v1/write", self.addr).parse().unwrap();
        Target::remote_write(uri, Some("Bearer x".into()), 1 << 20).unwrap()
    }

    /// What it answers to a query; nothing while it is not there.
    async fn query(&self, expr: &str) -> Vec<Value> {
        let query: String = expr.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(self.addr, &format!("/api/v1/query?query={query}")).await.unwrap_or_default();
        let Ok(answer) = serde_json::from_str::<Value>(&answer) else { return Vec::new() };
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    async fn until(&self, expr: &str) -> Vec<Value> {
        let found = async {
            loop {
                let found = self.query(expr).await;
                if !found.is_empty() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 2, found).await.unwrap_or_else(|_| panic!("{expr} was never there"))
    }
}

async fn get(addr: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Every query of the shipped dashboard.
fn dashboard() -> Vec<String> {
    let text = include_str!("../../grafana/cloud-doctor.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$instance", ".+").replace("[5m]", "[5s]")).collect()
}

#[tokio::test]
async fn debians_prometheus_takes_what_is_written_also_after_it_was_down_and_the_dashboard_finds_it() {
    let desk = Desk::new(Pace::default()).await;
    labelled(&desk).await;
    let addr = free().await;
    let Some(prometheus) = Prometheus::start(addr, tempfile::tempdir().unwrap()) else { return desk.stop().await };
    let exports = exporting(&desk, Some(prometheus.remote_write()), None);
    let all = async {
        let found = prometheus.until("system_filesystem_usage_bytes").await;
        let labels = &found[0]["metric"];
        let expected = ["web-1", "ACME", "/a \"b\"\\c", "used"];
        let keys = ["instance", "customer", "mountpoint", "state"];
        assert_eq!(keys.map(|key| labels[key].as_str().unwrap().to_owned()), expected.map(str::to_owned));
        assert_eq!(found[0]["value"][1], "0.25");
        let queries = dashboard();
        assert!(queries.len() >= 12, "{queries:?}");
        for query in queries {
            prometheus.until(&query).await;
        }
        // Down, and back with what it had: nothing more is needed.
        let _again = restarted(prometheus).await;
        let text = exports.text();
        assert!(text.contains("# TYPE system_linux_disk_io_bytes_total counter\n"), "{text}");
        assert!(text.contains("mountpoint=\"/a \\\"b\\\"\\\\c\""), "{text}");
    };
    tokio::select! {
        () = all => {}
        () = play(&desk.agent) => {}
    }
    assert!(desk.counted("sent") > 0 && desk.counted("unsent") == 0);
    desk.stop().await;
}

/// Kills it, waits while requests fail, starts it again: what waited is written.
async fn restarted(prometheus: Prometheus) -> Prometheus {
    let addr = prometheus.addr;
    drop(prometheus);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = clock::now();
    let again = Prometheus::start(addr, tempfile::tempdir().unwrap()).unwrap();
    // From before it was there: it was kept while it was down.
    let count = again.until("count_over_time(system_memory_utilization_ratio[1m])").await;
    assert!(!count.is_empty());
    let query = format!("timestamp(system_memory_utilization_ratio @ {} ) < {}", began.0, began.0);
    again.until(&query).await;
    again
}

#[tokio::test]
async fn a_collector_gets_deltas_over_otlp() {
    let desk = Desk::new(Pace::default()).await;
    labelled(&desk).await;
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v1/metrics", collector.local_addr().unwrap()).parse().unwrap();
    let _exports = exporting(&desk, None, Some(Target::otlp(uri, Some("Bearer secret".into()), 1 << 20).unwrap()));
    let body = async {
        // It is busy first: what was sent comes again.
        let first = taken(&collector, "503 Service Unavailable").await;
        assert!(first.0.contains("authorization: Bearer secret"), "{}", first.0);
        assert!(first.0.starts_with("POST /v1/metrics HTTP/1.1"));
        let again = taken(&collector, "200 OK").await;
        assert_eq!(again.1, first.1, "what was not taken comes again");
        again.1
    };
    let body = tokio::select! {
        body = body => body,
        () = play(&desk.agent) => unreachable!("it plays for ever"),
    };
    let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let io = metrics.as_array().unwrap().iter().find(|metric| metric["name"] == "system.linux.disk.io").unwrap();
    assert_eq!((io["sum"]["aggregationTemporality"].as_u64(), io["unit"].as_str()), (Some(1), Some("By")));
    let increase = io["sum"]["dataPoints"][0]["asDouble"].as_f64().unwrap();
    assert!((0.2..10.0).contains(&increase), "{increase}");
    desk.stop().await;
}

/// Takes one request that has metrics in it; its head, and its body.
async fn taken(collector: &TcpListener, status: &str) -> (String, Value) {
    let (mut stream, _) = tokio::time::timeout(PATIENCE, collector.accept()).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 16 << 10];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await.unwrap().unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length == Some(body.len()) {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head.to_owned(), serde_json::from_str(body).unwrap());
        }
    }
}
