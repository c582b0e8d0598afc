//! A relay's run watches connections where a rule of the ceiling says for how long, and nowhere else: real probes of a real
//! HAProxy, measured at their port, told to the client.

use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::backend::Backend;
use cloud_doctor_tests::balancer::{Finding, Findings, free_port};
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::site::Site;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const HAPROXY: &str = "/usr/sbin/haproxy";
const CHECK: &str = "lb.measured-interval";
/// What HAProxy is told, in seconds.
const INTERVAL: f64 = 1.0;
/// Nine probes make eight gaps, the fewest that tell a clock.
const WATCH_SECS: u32 = 11;
/// For a run that watches: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(40);
/// The finding that every watch makes, whatever it saw.
const WATCHED: &str = "watched connections";

/// Puts a rule for this check in front of all others: the first one that names it decides.
fn rule(agent: &Agent, more: &str) {
    let text = fs::read_to_string(agent.ceiling()).unwrap();
    let rule = format!("[[rule]]\nscope = \"checks\"\nmode = \"allow\"\nchecks = [\"{CHECK}\"]\n{more}\n\n[[rule]]");
    let changed = text.replacen("[[rule]]", &rule, 1);
    assert_ne!(changed, text, "the ceiling has a rule");
    fs::write(agent.ceiling(), changed).unwrap();
}

/// A balancer that probes this backend.
fn haproxy(site: &Site, backend: &Backend) -> Process {
    let (users, port) = (free_port(), backend.port());
    let text = format!(
        "defaults\n mode http\n timeout connect 200ms\n timeout client 5s\n timeout server 5s\nfrontend users\n \
         bind 127.0.0.1:{users}\n default_backend web\nbackend web\n option httpchk GET /health\n \
         server one 127.0.0.1:{port} check inter {INTERVAL}s\n"
    );
    let file = site.world.path("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut command = site.world.command(HAPROXY);
    command.arg("-db").arg("-f").arg(file);
    site.world.start("haproxy", command)
}

/// What the client is told in English.
fn told(site: &Site) -> Findings {
    let mut check = site.start("check", &["check", "web-1", CHECK, "--json", "--all", "--lang", "en"], Stdio::null());
    check.wait(PATIENCE);
    Findings::read(check.stdout().as_bytes())
}

#[test]
fn lb_20_r_17_a_relays_run_measures_probes_where_the_ceiling_lets_it_watch() {
    if !Path::new(HAPROXY).exists() {
        return not_tested(&format!("{HAPROXY} is not installed"));
    }
    let watching = format!("set = [\"{CHECK}.observe={WATCH_SECS}\"]");
    let site = Site::with(|agent| rule(agent, &watching));
    let backend = Backend::start("web");
    let _haproxy = haproxy(&site, &backend);
    let found = told(&site);
    let Finding { status, value, summary, .. } = found.about(CHECK, &format!("127.0.0.1 port {}", backend.port()));
    let measured = value.unwrap();
    eprintln!("MEASURED haproxy inter {INTERVAL} s: {measured:.3} s through the relay, {summary}");
    assert!((measured / INTERVAL - 1.0).abs() < 0.15 && status == "ok", "{found:#?}");
    let watched = summary.split_once('(').and_then(|(_, rest)| rest.split_once(" s of watching)"));
    let watched: f64 = watched.and_then(|(seconds, _)| seconds.parse().ok()).unwrap_or_default();
    // No shorter than the ceiling says; a busy machine ends it later.
    assert!((f64::from(WATCH_SECS)..f64::from(WATCH_SECS) + 5.0).contains(&watched), "{summary}");
    assert!(found.has(CHECK, WATCHED));
    site.nothing_left();
}

#[test]
fn lb_20_r_17_a_relays_run_watches_nothing_where_the_ceiling_does_not_say_so() {
    let site = Site::with(|agent| rule(agent, ""));
    let found = told(&site);
    assert!(!found.has(CHECK, WATCHED), "{found:#?}");
    // Where this machine's logs tell nothing either, it is said who could change that, and where.
    let Some(why) = found.absent.get(CHECK) else {
        return assert!(!found.is_empty(), "neither findings nor a reason");
    };
    assert!(why.contains("access log") && why.contains(&format!("set = [\"{CHECK}.observe=30\"]")), "{why}");
    site.nothing_left();
}
