//! Fleets of simulated agents at a real relay: scans that account for everybody, floods that harm nobody else, returns.

use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::token::Token;
use cloud_doctor_tests::api::Api;
use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::fleet::{self, Enrolment, Fleet, Mix, Nature, Share, Simulated, enrol, rows};
use cloud_doctor_tests::people::random;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::{Plan, Site};
use futures_util::StreamExt as _;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::tungstenite::Message;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn site(patience: Duration) -> Site {
    Site::founded(Plan { web: Web::Plain, patience, ..Plan::default() })
}

fn api(site: &Site) -> Api {
    Api::new(&site.relay.url(), None, &site.client.home.join("tokens")).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A fleet that is written into the relay's database.
fn entered(site: &Site, count: usize, mix: &Mix) -> (Fleet, Vec<cloud_doctor_proto::ids::AgentId>) {
    let database = site.relay.data.join("relay.db");
    let customer = rows::customer(&database).unwrap();
    let agents = Simulated::fleet(&random(), count, mix, customer.tenant);
    rows::enter(&database, &customer, &agents).unwrap();
    let ids = agents.iter().map(|agent| agent.agent).collect();
    let plan = fleet::Plan::new(site.relay.listening().agents, customer.trust);
    (Fleet::new(plan, mix, agents).unwrap(), ids)
}

#[test]
fn chk_12_a_scan_of_a_fleet_with_absent_hanging_and_lying_servers_accounts_for_each() {
    let count = scale::pick(60, 1_000);
    let site = site(scale::pick(secs(55), secs(580)));
    // Enrolled for real, so that the client can verify what they signed.
    let invitation = site.invite("fleet", u32::try_from(count).unwrap());
    let token = Token::parse(&invitation.token).unwrap();
    let pin: Pin = invitation.relay_pin.parse().unwrap();
    let relay = site.relay.listening().agents;
    let agents = Simulated::fleet(&random(), count, &Mix::SCAN, token.tenant);
    let to = Enrolment { relay, pins: vec![pin], token };
    let mut enrolled = 0;
    let trust = runtime().block_on(enrol(&to, &agents, |done| enrolled = done)).unwrap();
    assert_eq!(enrolled, count);
    let checks = Duration::from_millis(500);
    let plan = fleet::Plan { pins: vec![pin], checks, ..fleet::Plan::new(relay, trust) };
    let mut fleet = Fleet::new(plan, &Mix::SCAN, agents).unwrap();
    fleet.connect(0..count).unwrap();

    let terms = serde_json::json!({ "wait_secs": scale::pick(6, 75) });
    let ended = runtime().block_on(api(&site).scan(&terms, scale::pick(secs(25), secs(300)))).unwrap();
    let is = |like: fn(Nature) -> bool| u64::try_from(Mix::SCAN.count(count, like)).unwrap();
    let state = |name: &str| ended["states"][name].as_u64().unwrap_or(0);
    assert_eq!(state("report"), is(|one| one == Nature::Well), "{ended}");
    assert_eq!(state("absent"), is(|one| one == Nature::Absent), "{ended}");
    assert_eq!(state("silent"), is(|one| one == Nature::Hanging), "{ended}");
    assert_eq!(state("dropped"), is(|one| matches!(one, Nature::Garbage(_))), "{ended}");
    assert_eq!(["report", "absent", "silent", "dropped"].map(state).iter().sum::<u64>(), count as u64, "{ended}");
    let counts = fleet.counts();
    assert_eq!((counts.reports, counts.garbage), (state("report"), state("dropped")));
    fleet.check().unwrap();
    // Whoever shows it to a person verifies each report by the customer's log.
    let id = ended["scan"].as_str().unwrap();
    let shown = site.ask(&["scan", "show", id, "--json", "--fail-on", "none"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{text}{}", String::from_utf8_lossy(&shown.stderr));
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["servers"].as_array().map(Vec::len), Some(count), "{text:.2000}");
}

/// What a watcher has seen of one server.
#[derive(Debug, Default)]
struct Seen {
    samples: usize,
    longest: Duration,
    cut: bool,
}

async fn watched(api: &Api, agent: cloud_doctor_proto::ids::AgentId, during: Duration) -> Seen {
    let mut socket = api.watch(&agent).await.unwrap();
    let (mut seen, begun) = (Seen::default(), Instant::now());
    let mut last = None;
    while let Some(left) = during.checked_sub(begun.elapsed()) {
        let Ok(message) = tokio::time::timeout(left, socket.next()).await else { break };
        match message {
            Some(Ok(Message::Binary(frame))) if frame.len() > FRAME_HEADER_BYTES => {
                let kind = u16::from_be_bytes([frame[4], frame[5]]);
                if kind == Kind::MetricsSample as u16 {
                    seen.samples += 1;
                    let now = Instant::now();
                    seen.longest = last.replace(now).map_or(seen.longest, |before| seen.longest.max(now - before));
                }
            }
            Some(Ok(Message::Text(text))) => seen.cut |= text.contains("\"cut\"") && text.contains("flood"),
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{error}"),
            None => break,
        }
    }
    seen
}

#[test]
fn dos_06_a_flooding_server_is_cut_and_delays_nobody_elses_values() {
    let site = site(secs(50));
    let none = Share::default();
    let mix = Mix::new([none, none, none, Share::percent(10)], None).unwrap();
    let (mut fleet, ids) = entered(&site, 20, &mix);
    fleet.connect(0..20).unwrap();
    let api = api(&site);
    let during = secs(8);
    let seen = runtime().block_on(async {
        futures_util::future::join_all(ids.iter().map(|agent| watched(&api, *agent, during))).await
    });
    let (floods, others) = seen.split_at(mix.count(20, |one| one == Nature::Flooding));
    assert_eq!((floods.len(), others.len()), (2, 18));
    assert!(floods.iter().all(|one| one.cut), "{floods:?}");
    // One each second; a busy machine may be late once or twice.
    assert!(others.iter().all(|one| !one.cut && one.samples >= 5), "{others:?}");
    let mut longest: Vec<_> = others.iter().map(|one| one.longest).collect();
    longest.sort();
    assert!(longest[others.len() / 2] < Duration::from_millis(2_500), "{longest:?}");
    fleet.check().unwrap();
}

#[test]
fn flt_34_a_fleet_comes_back_after_the_relay_was_started_anew() {
    let count = scale::pick(500, 5_000);
    let mut site = site(scale::pick(secs(55), secs(580)));
    let (mut fleet, _) = entered(&site, count, &Mix::default());
    fleet.connect(0..count).unwrap();
    assert_eq!(fleet.counts().connected, count as u64);
    site.relay.stop();
    eventually(secs(10), "everybody was told", || (fleet.counts().connected == 0).then_some(()));
    site.relay.run();
    eventually(scale::pick(secs(40), secs(120)), "everybody is back", || {
        (fleet.counts().connected == count as u64).then_some(())
    });
    // Nobody was asked to wait as somebody who comes too often, and people still get in.
    site.client.must(&["servers", "--json"]);
    let counts = fleet.counts();
    assert_eq!((counts.handshakes, counts.lost), (2 * count as u64, count as u64), "{:?}", fleet.trouble());
}

/// The load generator against the site's relay.
fn generator(site: &Site, pin: &str, more: &[&str]) -> std::process::Command {
    let mut command = site.world.command(Program::Fleet.path());
    command.args(["--relay", &site.relay.agents_url(), "--pin", pin, "--agents", "5", "--absent", "20%", "--json"]);
    command.args(more);
    command
}

#[test]
fn the_load_generator_enrols_its_agents_brings_them_back_and_says_what_is_wrong() {
    let site = site(secs(55));
    let invitation = site.invite("fleet", 5);
    let pin = invitation.relay_pin.as_str();
    let text = |name: &str| site.world.path(name).to_str().unwrap().to_owned();
    let (token, keep, other) = (text("fleet.install"), text("fleet.keys"), text("other.keys"));
    let all = ["--token-file", &token, "--keep", &keep];
    let stranger = format!("sha256:{}", "ab".repeat(32));
    let no = |pin: &str, more: &[&str], says: &str| {
        let output = site.world.output("fleet", generator(&site, pin, more));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{more:?}: {said}");
    };
    no(&stranger, &all, "not the pinned one");
    no(pin, &["--keep", &other], "needs an install token");
    std::fs::write(site.world.path("cut"), &invitation.token[..40]).unwrap();
    no(pin, &["--token-file", &text("cut")], "copy the whole line again");

    let output = site.world.output("fleet", generator(&site, pin, &[&all[..], &["--duration", "3s"]].concat()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((last["over"].as_bool(), last["present"].as_u64()), (Some(true), Some(4)), "{said}");
    assert_eq!(last["counts"]["handshakes"].as_u64(), Some(4), "{said}");
    let listed: serde_json::Value = serde_json::from_str(&site.client.must(&["servers", "--json"])).unwrap();
    assert_eq!(listed["servers"].as_array().map(Vec::len), Some(5), "{listed}");

    // The token is used up; a fleet that was kept needs none.
    no(pin, &["--token-file", &token], "does not take this token");
    let mut again = site.world.start("again", generator(&site, pin, &["--keep", &keep]));
    eventually(secs(20), "they are back", || again.stdout().contains("\"connected\":4").then_some(()));
    again.signal(rustix::process::Signal::INT);
    assert!(again.wait(secs(10)).success(), "{}", again.stderr());
    assert!(again.stdout().lines().last().unwrap().contains("\"over\":true"));
}
