//! HAProxy, which is asked through its socket for operators who is in.

use crate::place::{LONG, Place, Probed, is_installed, is_predicted, serves};
use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::{Row, ask, free_port, haproxy_row};
use cloud_doctor_tests::eventually::{eventually, never};
use cloud_doctor_tests::process::Process;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/haproxy";
const FILE: &str = "/etc/haproxy/haproxy.cfg";

/// HAProxy with one backend, `web`.
struct Haproxy<'a> {
    place: &'a Place,
    file: PathBuf,
    stats: PathBuf,
    port: u16,
}

impl<'a> Haproxy<'a> {
    /// Its file, with these lines in `global` and in `backend web`. Nothing when it is not installed.
    fn new(place: &'a Place, global: &str, web: &str) -> Self {
        let (stats, port) = (place.world.path("haproxy.sock"), free_port());
        let socket = stats.display();
        let text = format!(
            "global\n stats socket {socket} mode 600 level admin\n{global}defaults\n mode http\n retries 0\n timeout connect 200ms\n \
             timeout client 5s\n timeout server 5s\nfrontend users\n bind 127.0.0.1:{port}\n default_backend web\n\
             backend web\n option httpchk GET /health\n{web}"
        );
        Self { file: place.write(FILE, &text), place, stats, port }
    }

    fn start(&self) -> Process {
        let mut command = self.place.world.command(PROGRAM);
        command.arg("-db").arg("-f").arg(&self.file);
        let haproxy = self.place.world.start("haproxy", command);
        eventually(LONG, "HAProxy answers operators", || haproxy_row(&self.stats, "web", "one"));
        haproxy
    }

    fn row(&self, server: &str) -> Row {
        eventually(LONG, "HAProxy answers operators", || haproxy_row(&self.stats, "web", server))
    }

    fn ask(&self) -> u16 {
        ask(self.port, "/", LONG).unwrap().status
    }
}

fn server(name: &str, backend: &Backend, options: &str) -> String {
    format!(" server {name} 127.0.0.1:{} {options}\n", backend.port())
}

#[test]
fn lb_01_haproxy_takes_members_out_and_back_as_predicted() {
    if !is_installed(PROGRAM) {
        return;
    }
    for (name, lines, options, [fall, rise], interval, phase, [refused, hanging, back]) in [
        (
            "haproxy, all times set",
            " timeout check 300ms\n",
            "check inter 600ms fastinter 200ms downinter 400ms fall 3 rise 2",
            [3, 2],
            0.2,
            [0.6, 0.4],
            [1.0, 1.9, 0.6],
        ),
        ("haproxy, no timeout check", "", "check inter 400ms fall 2 rise 3", [2, 3], 0.4, [0.4, 0.4], [0.8, 1.6, 1.2]),
    ] {
        let place = Place::new();
        let backend = Backend::start("one");
        let haproxy = Haproxy::new(&place, "", &(lines.to_owned() + &server("one", &backend, options)));
        let predicted = place.check(&["lb"]).predicted("haproxy backend web/one");
        is_predicted(predicted, refused, hanging, back);
        let _running = haproxy.start();
        serves(haproxy.port);
        Probed { name, fall, rise, interval, phase, predicted }.holds(&backend, || haproxy.row("one").is_in());
    }
}

#[test]
fn lb_05_without_a_limit_of_its_own_a_probe_hangs_for_an_interval() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let backend = Backend::start("one");
    let haproxy = Haproxy::new(&place, "", &server("one", &backend, "check inter 500ms fall 2"));
    // Such intervals are ten seconds and more elsewhere.
    let found = place.check(&["lb", "--set", "lb.hang-timeout.interval=0.5"]);
    assert_eq!(found.about("lb.hang-timeout", "haproxy backend web/one").status, "warning");
    let _running = haproxy.start();
    serves(haproxy.port);
    backend.behave(Behaviour::Hangs);
    eventually(LONG, "the member is out", || (!haproxy.row("one").is_in()).then_some(()));
    let row = haproxy.row("one");
    let millis: u32 = row.get("check_duration").parse().unwrap();
    // It rounds down.
    assert!(row.get("check_status").ends_with("TOUT") && millis >= 490, "{row:?}");
}

#[test]
fn lb_03_three_hundred_without_a_unit_is_three_probes_a_second() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let backend = Backend::start("one");
    let haproxy = Haproxy::new(&place, "", &server("one", &backend, "check inter 300"));
    assert_eq!(place.status("lb.interval-unit", "haproxy backend web/one inter"), "critical");
    let _running = haproxy.start();
    let probes = eventually(LONG, "seven probes, which would be half an hour if these were seconds", || {
        let seen = backend.seen();
        (seen.len() >= 7).then_some(seen)
    });
    let took = probes[6].at - probes[0].at;
    eprintln!("MEASURED haproxy, inter 300: six intervals in {:.3} s; predicted 1.8 s", took.as_secs_f64());
    assert!(took > Duration::from_millis(1700), "{took:?}");
    Haproxy::new(&place, "", &server("one", &backend, "check inter 300s"));
    assert_eq!(place.status("lb.interval-unit", "haproxy"), "ok");
}

#[test]
fn lb_04_a_dead_member_that_nobody_probes_keeps_its_users() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let [one, two] = ["one", "two"].map(Backend::start);
    // An interval alone probes nothing.
    let lines = server("one", &one, "check inter 200ms") + &server("two", &two, "inter 200ms");
    let haproxy = Haproxy::new(&place, "", &lines);
    assert_eq!(place.status("lb.no-active-check", "haproxy backend web"), "critical");
    let _running = haproxy.start();
    serves(haproxy.port);
    two.behave(Behaviour::Refuses);
    never(Duration::from_secs(2), "the dead member is out", || !haproxy.row("two").is_in());
    assert_eq!(haproxy.row("two").get("status"), "no check");
    let failed = (0..10).filter(|_| haproxy.ask() == 503).count();
    assert_eq!(failed, 5, "of ten users in turn");
    assert_eq!(haproxy.row("one").get("status"), "UP");
}

#[test]
fn lb_17_after_a_restart_a_dead_member_has_users_until_it_is_probed() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let [one, two] = ["one", "two"].map(Backend::start);
    let options = "check inter 10s fall 3";
    let lines = server("one", &one, options) + &server("two", &two, options);
    let cold = Haproxy::new(&place, "", &lines);
    assert_eq!(place.status("lb.reload-cold-start", "haproxy backend web"), "warning");
    two.behave(Behaviour::Unavailable);
    let mut running = cold.start();
    let (failed, took) = fail_until_out(&cold, &two);
    eprintln!("MEASURED haproxy, restart at inter 10s: {failed} users failed for {took:.3} s; predicted up to 10 s");
    assert!(failed >= 1, "the dead member had users");
    running.kill();
    let quick = Haproxy::new(&place, " max-spread-checks 300ms\n", &lines);
    assert_eq!(place.status("lb.reload-cold-start", "haproxy backend web"), "ok");
    let _running = quick.start();
    let (failed, took) = fail_until_out(&quick, &two);
    eprintln!(
        "MEASURED haproxy, max-spread-checks 300ms: {failed} users failed for {took:.3} s; predicted up to 0.3 s"
    );
}

/// Users come until the dead member is out, which one probe does: how many of them failed, and for how long.
#[track_caller]
fn fail_until_out(haproxy: &Haproxy<'_>, dead: &Backend) -> (usize, f64) {
    let (begun, before, mut failed) = (Instant::now(), dead.probes(Behaviour::Unavailable), 0);
    let probes = || dead.probes(Behaviour::Unavailable) - before;
    eventually(LONG, "the dead member is out", || {
        let was_probed = probes() > 0;
        let is_in = haproxy.row("two").is_in();
        assert!(is_in || probes() >= 1, "it is out without a probe");
        failed += usize::from(haproxy.ask() == 503 && !was_probed);
        (!is_in).then_some(())
    });
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(probes(), 1, "after a start one failed probe is enough");
    assert!((0..10).all(|_| haproxy.ask() == 200), "users after it is out");
    (failed, took)
}
