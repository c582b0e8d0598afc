//! From logs to findings.
use super::*;
use crate::host::fixture::Fixture;
use crate::web::access_log::tests::line;

/// A log of `nodes` that probe every `interval` seconds for `window` seconds up to now, each at its own time.
fn log(nodes: u64, interval: u64, window: u64, request: &str, agent: &str) -> String {
    let mut lines = Vec::new();
    for node in 0..nodes {
        let mut before = node * interval / nodes;
        while before <= window {
            lines.push((before, format!("10.0.0.{node}")));
            before += interval;
        }
    }
    lines.sort_by_key(|(before, _)| std::cmp::Reverse(*before));
    lines.into_iter().map(|(before, source)| line(before, &source, request, 200, agent)).collect()
}

fn fixture(log: &str) -> Fixture {
    Fixture::live().file("/var/log/nginx/access.log", log)
}

#[test]
fn lb_20_probers_are_measured_by_source() {
    let elb = "ELB-HealthChecker/2.0";
    let get = "GET /health HTTP/1.1";
    for (log, status, note, median) in [
        (log(3, 10, 600, get, elb), Status::Ok, false, 10.0),
        (log(3, 60, 1800, get, elb), Status::Ok, false, 60.0),
        (log(3, 300, 3600, get, elb), Status::Warning, false, 300.0),
        (log(1, 2, 600, "OPTIONS / HTTP/1.0", "-"), Status::Ok, false, 2.0),
        // Regular, but who knows.
        (log(1, 300, 3600, "HEAD / HTTP/1.1", "monitor/1"), Status::Ok, true, 300.0),
        (log(1, 30, 3600, "HEAD / HTTP/1.1", "monitor/1"), Status::Ok, false, 30.0),
    ] {
        let found = fixture(&log).run(&CHECK);
        let one = found.first().expect("a finding");
        assert_eq!((one.status, one.note, one.value), (status, note, Some(median)), "{found:?}");
    }
    let found = fixture(&log(3, 300, 3600, get, elb)).run(&CHECK);
    assert_eq!(found[0].subject, "AWS ELB GET /health");
    assert!(found[0].evidence[0].text.contains("sources: 3"), "{:?}", found[0].evidence);
    assert!(found[0].summary.en.contains("of log tell"));
}

#[test]
fn lb_20_too_little_is_told_as_such() {
    let elb = "ELB-HealthChecker/2.0";
    let few = log(1, 900, 3000, "GET / HTTP/1.1", elb);
    assert_eq!(fixture(&few).status(&CHECK), Status::Unknown);
    let people: String = [3000, 2900, 2000, 1999, 1500, 700, 690, 20, 10, 1]
        .map(|before| line(before, "10.1.1.1", "GET / HTTP/1.1", 200, "Mozilla/5.0"))
        .concat();
    assert!(fixture(&people).has_none_of(&CHECK));
    // It ended half an hour ago.
    let ended: String = (0..30).map(|at| line(3600 - at * 30, "10.0.0.1", "GET / HTTP/1.1", 200, elb)).collect();
    assert!(fixture(&format!("{ended}{}", line(1, "10.1.1.1", "GET /x HTTP/1.1", 200, "x"))).has_none_of(&CHECK));
    assert!(Fixture::live().has_none_of(&CHECK));
    assert_eq!(fixture("junk\n").status(&CHECK), Status::Unknown);
}

#[test]
fn lb_20_this_hosts_own_balancer_is_held_to_its_configuration() {
    let config = "http { upstream a { server 127.0.0.1:8080; server 10.0.0.2:80; check interval=5000 type=http; } server { location / { proxy_pass http://a; } } }";
    for (interval, expected) in [(5, Status::Ok), (7, Status::Ok), (30, Status::Warning)] {
        let log: String =
            (0..60).map(|at| line((59 - at) * interval, "127.0.0.1", "GET / HTTP/1.0", 200, "-")).collect();
        let found = fixture(&log).file("/etc/nginx/nginx.conf", config);
        assert_eq!(found.status(&CHECK), expected, "{interval}");
    }
}

#[test]
fn lb_20_loopback_is_told_with_and_without_a_port() {
    for (address, own) in [
        ("127.0.0.1:80", true),
        ("127.0.0.1", true),
        ("localhost:80", true),
        ("[::1]:80", true),
        ("::1", true),
        ("10.0.0.1:80", false),
        ("[fe80::1]:80", false),
        ("", false),
    ] {
        assert_eq!(is_own(address), own, "{address}");
    }
}
