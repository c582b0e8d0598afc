//! What is read of Traefik's files: from its start down to one probe.
#![allow(clippy::unwrap_used)]

use crate::host::fixture::Fixture;
use crate::lb::detect::detection;
use crate::lb::{Active, Fleet, Layer, Probe};
use cloud_doctor_proto::finding::Status;

const STATIC: &str = "providers:\n  file:\n    directory: /etc/traefik/dynamic\n";

fn fixture(file: &str, dynamic: &str) -> Fixture {
    Fixture::image().file("/etc/traefik/traefik.yml", STATIC).file(&format!("/etc/traefik/dynamic/{file}"), dynamic)
}

fn read(file: &str, dynamic: &str) -> Fleet {
    super::read(&fixture(file, dynamic).host()).unwrap()
}

/// A service of two servers, and what stands beside them.
fn http(beside: &str) -> String {
    format!(
        "http:\n  services:\n    web:\n      loadBalancer:\n        servers:\n        - url: http://10.0.0.1:80\n        - url: http://10.0.0.2:80\n{beside}"
    )
}

fn check(settings: &str) -> String {
    http(&format!("        healthCheck: {{path: /h{settings}}}\n"))
}

fn active(fleet: &Fleet) -> &Active {
    let probe = &fleet.pools[0].members[0].probe;
    let Probe::Active(active) = probe else { panic!("{probe:?}") };
    active
}

#[test]
fn lb_01_traefik_probes_are_read_as_they_are_in_effect() {
    let toml = "[http.services.web.loadBalancer]\n[[http.services.web.loadBalancer.servers]]\nurl = \"http://a:1\"\n\
                [http.services.web.loadBalancer.healthCheck]\npath = \"/h\"\ninterval = \"10s\"\n";
    let tcp = "tcp: {services: {db: {loadBalancer: {servers: [{address: 'a:1'}], healthCheck: {interval: 2s, timeout: 1s, failsThreshold: 3}}}}}\n";
    for (name, file, text, refused, hanging, back) in [
        ("defaults, and the other server's timeout", "a.yml", check(""), 30.0, 40.0, 30.0),
        ("set", "a.yml", check(", interval: 10s, timeout: 2s"), 10.0, 14.0, 10.0),
        ("bare numbers are seconds", "a.yml", check(", interval: 10, timeout: 2"), 10.0, 14.0, 10.0),
        ("quoted", "a.yml", check(", interval: '1m30s'"), 90.0, 100.0, 90.0),
        (
            "names have no case",
            "a.yaml",
            check(", Interval: 10s").replace("loadBalancer", "loadbalancer"),
            10.0,
            20.0,
            10.0,
        ),
        ("unhealthy", "a.yml", check(", unhealthyInterval: 5s"), 30.0, 40.0, 5.0),
        ("zero is the default", "a.yml", check(", interval: 0s, timeout: 0"), 30.0, 40.0, 30.0),
        ("below zero is the default", "a.yml", check(", interval: -1s"), 30.0, 40.0, 30.0),
        ("null is the default", "a.yml", check(", interval: ~"), 30.0, 40.0, 30.0),
        ("timeout above the interval", "a.yml", check(", interval: 1s, timeout: 5s"), 1.0, 11.0, 1.0),
        ("toml", "a.toml", toml.into(), 10.0, 15.0, 10.0),
        ("tcp", "a.yml", tcp.into(), 6.0, 7.0, 2.0),
        (
            "anchor",
            "a.yml",
            format!("x: &h {{path: /h, interval: 4s}}\n{}", http("        healthCheck: *h\n")),
            4.0,
            14.0,
            4.0,
        ),
        (
            "merge",
            "a.yml",
            format!("x: &h {{path: /h, interval: 4s}}\n{}", http("        healthCheck: {<<: *h, timeout: 1s}\n")),
            4.0,
            6.0,
            4.0,
        ),
        ("the seed case", "a.yml", check(", interval: 300s"), 300.0, 310.0, 300.0),
    ] {
        let fleet = read(file, &text);
        let times = detection(active(&fleet));
        assert_eq!((times.refused_secs, times.hanging_secs, times.return_secs), (refused, hanging, back), "{name}");
        assert!(fleet.troubles.is_empty(), "{name}: {:?}", fleet.troubles);
    }
}

#[test]
fn lb_04_traefik_probes_nothing_unless_there_is_a_path() {
    for (name, text, part) in [
        ("nothing", http(""), "Never"),
        ("no path", http("        healthCheck: {interval: 5s}\n"), "Never"),
        ("empty path", http("        healthCheck: {path: ''}\n"), "Never"),
        ("grpc needs none", http("        healthCheck: {mode: grpc}\n"), "Protocol"),
        ("passive", http("        passiveHealthCheck: {}\n"), "Passive"),
        ("passive, set", http("        passiveHealthCheck: {failureWindow: 3s, maxFailedAttempts: 2}\n"), "value: 3.0"),
        ("active beats passive", http("        passiveHealthCheck: {}\n        healthCheck: {path: /}\n"), "Active"),
        ("no number", check(", interval: soon"), "Unresolved"),
        ("a list", check(", interval: [5s]"), "Unresolved"),
        ("template", check(", interval: '{{ env \"I\" }}'"), "Unresolved"),
        ("tcp", "tcp: {services: {a: {loadBalancer: {servers: [{address: 'a:1'}]}}}}".into(), "Never"),
        ("tcp, expects", "tcp: {services: {a: {loadBalancer: {servers: [{address: 'a:1'}], healthCheck: {send: PING, expect: PONG}}}}}".into(), "layer: Protocol"),
        ("tcp, tls", "tcp: {services: {a: {loadBalancer: {servers: [{address: 'a:1', tls: true}], healthCheck: {interval: 5s}}}}}".into(), "layer: Tls"),
    ] {
        let fleet = read("a.yml", &text);
        let probe = format!("{:?}", fleet.pools[0].members[0].probe);
        assert!(probe.contains(part), "{name}: {probe}");
    }
}

#[test]
fn lb_09_traefik_members_are_named_without_passwords_and_probed_elsewhere_only_if_so() {
    let text = check(", port: 80").replace("http://10.0.0.2:80", "http://user:hunter2@10.0.0.2:8080/x");
    let fleet = read("a.yml", &text);
    let pool = &fleet.pools[0];
    assert_eq!((pool.subject().as_str(), pool.layer), ("traefik service web@file", Layer::Http));
    assert_eq!(pool.members[1].place.source(), "/etc/traefik/dynamic/a.yml:7");
    assert!(!format!("{pool:?}").contains("hunter2"), "{pool:?}");
    let elsewhere = |index: usize| {
        let Probe::Active(active) = &pool.members[index].probe else { panic!() };
        active.elsewhere.is_some()
    };
    assert!(!elsewhere(0) && elsewhere(1));
}

#[test]
fn lb_10_traefik_status_is_one() {
    for (settings, ranges) in
        [(", status: 401", &[(401, 401)][..]), (", status: 0", &[]), ("", &[]), (", status: '2xx'", &[])]
    {
        let fleet = read("a.yml", &check(settings));
        assert_eq!(fleet.accepted.first().map_or(&[][..], |one| &one.ranges), ranges, "{settings}");
    }
}

/// A host with files of Traefik that is started with `arguments`.
fn started(arguments: &[&str]) -> Fixture {
    let argv: Vec<&str> = std::iter::once("/traefik").chain(arguments.iter().copied()).collect();
    Fixture::live()
        .file("/d/a.yml", service("a"))
        .file("/d/sub/b.toml", "[http.services.b.loadBalancer]\n")
        .file("/d/c.txt", "x")
        .process(5, 'S', &argv)
}

fn service(name: &str) -> String {
    format!("http: {{services: {{{name}: {{loadBalancer: {{servers: [{{url: 'http://a'}}]}}}}}}}}")
}

/// Checks which services are read, and parts of what is said of the rest.
fn reads(name: &str, fixture: &Fixture, pools: Option<&str>, troubles: &[&str]) {
    let fleet = super::read(&fixture.host());
    let names = |fleet: &Fleet| fleet.pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(fleet.as_ref().map(names).as_deref(), pools, "{name}");
    let whys: Vec<String> = fleet.into_iter().flat_map(|fleet| fleet.troubles).map(|trouble| trouble.why.en).collect();
    assert_eq!(whys.len(), troubles.len(), "{name}: {whys:?}");
    assert!(whys.iter().zip(troubles).all(|(why, part)| why.contains(part)), "{name}: {whys:?}");
}

#[test]
fn lb_01_traefik_files_are_those_that_its_arguments_name() {
    let docker = ["--providers.docker.exposedbydefault=false", "--providers.docker", "--providers.kubernetescrd=false"];
    for (name, arguments, pools, troubles) in [
        ("a folder", &["--providers.file.directory=/d"][..], "a@file b@file", &[][..]),
        ("its name ends with a slash", &["--providers.file.directory=/d/"], "a@file b@file", &[]),
        ("a file, apart", &["-providers.file.filename", "/d/a.yml"], "a@file", &[]),
        ("names have no case", &["--Providers.File.FileName=/d/a.yml"], "a@file", &[]),
        ("other providers", &docker, "", &["from docker"]),
        ("nothing", &[], "", &[]),
        ("an argument without its value", &["--configfile"], "", &[]),
        ("no such file", &["--configfile=/gone.yml"], "", &["/gone.yml is not there"]),
        ("no such folder", &["--providers.file.directory=/gone"], "", &["/gone is not there"]),
    ] {
        reads(name, &started(arguments), Some(pools), troubles);
    }
}

#[test]
fn lb_01_traefik_paths_begin_where_it_was_started() {
    let fixture = started(&["--providers.file.directory=./sub/"]);
    std::os::unix::fs::symlink("/d", fixture.path("/proc/5/cwd")).unwrap();
    reads("relative", &fixture, Some("b@file"), &[]);
}

#[test]
fn lb_01_the_seed_case_of_traefik_is_critical_with_its_line() {
    let fixture = fixture("a.yml", &check(", interval: 300s"));
    let findings = fixture.run(&crate::lb::detection_time::CHECK);
    let found = &findings[0];
    assert_eq!((found.status, found.value), (Status::Critical, Some(310.0)));
    assert_eq!(found.subject, "traefik service web@file/10.0.0.1:80");
    assert_eq!(found.evidence[0].source, "/etc/traefik/dynamic/a.yml:8");
    assert_eq!(found.evidence[0].text, "interval: 300s");
}

#[test]
fn lb_01_traefik_files_are_those_that_its_static_file_names() {
    let file = |path: &str, text: &str| Fixture::image().file(path, text);
    let static_file = "[providers.file]\nfilename = \"/d/a.yml\"\n[providers.consulCatalog]\n";
    let beside = started(&["--configFile=/e.toml", "--providers.file.directory=/d"]).file("/e.toml", static_file);
    reads("a file beats arguments", &beside, Some("a@file"), &["from consulCatalog"]);
    let twice = started(&["--providers.file.directory=/d"]).file("/d/0.yml", service("a"));
    reads("the first of two of one name", &twice, Some("a@file b@file"), &[]);
    let old = file("/etc/traefik/traefik.toml", "[backends.a]\nb = 1\n");
    reads("traefik 1", &old, Some(""), &["Traefik 1"]);
    reads("off", &file("/etc/traefik/traefik.yml", "providers: {docker: false, swarm: ~}\n"), Some(""), &[]);
    reads("not running, no file", &file("/d/a.yml", &service("a")), None, &[]);
}

#[test]
fn chk_04_traefik_files_that_it_would_refuse_are_troubles_and_never_a_panic() {
    for (file, text, part) in [
        ("a.yml", "http:\n\t- x\n".to_owned(), "line 2"),
        ("a.toml", "[http\n".into(), "line 1"),
        ("a.yml", "http: {}\nhttp: {}\n".into(), "stands twice"),
        ("a.toml", "[http]\n[http]\n".into(), "line 2"),
        ("a.yml", "{{ range $i := until 3 }}\nhttp: {}\n{{ end }}\n".into(), "template"),
        ("a.yml", format!("{}---\nb: 1\n", http("")), "only the first document"),
        ("a.yml", "[".repeat(50_000), "line 1"),
    ] {
        let fleet = read(file, &text);
        assert!(fleet.troubles.iter().any(|trouble| trouble.why.en.contains(part)), "{text:.40}: {:?}", fleet.troubles);
    }
    let whole = check(", interval: 5s, status: 200, port: 1");
    for cut in 0..whole.len() {
        read("a.yml", &whole[..cut]);
    }
    for text in
        ["", "http: 5", "http: {services: [1]}", "http: {services: {a: {loadBalancer: {servers: {url: x}}}}}", "- 1\n"]
    {
        read("a.yml", text);
    }
}
