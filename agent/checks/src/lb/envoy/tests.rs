//! What is read of Envoy's files: from the head of a bootstrap down to one probe.
#![allow(clippy::unwrap_used)]

use crate::host::fixture::Fixture;
use crate::lb::detect::detection;
use crate::lb::{Active, Fleet, Layer, Origin, Probe};
use cloud_doctor_proto::finding::Status;

const PATH: &str = "/etc/envoy/envoy.yaml";

/// A bootstrap with one cluster of one endpoint, and what stands in the cluster besides.
fn bootstrap(cluster: &str) -> String {
    format!(
        "static_resources:\n  clusters:\n  - name: web\n    load_assignment:\n      cluster_name: web\n      endpoints:\n      - lb_endpoints:\n        \
         - endpoint:\n            address:\n              socket_address: {{address: 10.0.0.1, port_value: 80}}\n{cluster}"
    )
}

/// A health check with what is required, `more` settings, and its kind.
fn check(more: &str) -> String {
    bootstrap(&format!(
        "    health_checks:\n    - interval: 5s\n      timeout: 1s\n      unhealthy_threshold: 3\n      healthy_threshold: 2\n{more}"
    ))
}

fn read(text: &str) -> Fleet {
    super::read(&Fixture::image().file(PATH, text).host()).unwrap()
}

fn active(fleet: &Fleet) -> &Active {
    let probe = &fleet.pools[0].members[0].probe;
    let Probe::Active(active) = probe else { panic!("{probe:?}") };
    active
}

const HTTP: &str = "      http_health_check: {path: /h}\n";

#[test]
fn lb_01_envoy_probes_are_read_as_they_are_in_effect() {
    for (name, text, refused, hanging, back) in [
        ("as it stands", check(HTTP), 15.0, 18.0, 10.0),
        ("json", r#"{"static_resources":{"clusters":[{"name":"web","healthChecks":[{"interval":"5s","timeout":"1s","unhealthyThreshold":3,"healthyThreshold":2,"tcpHealthCheck":{}}],"loadAssignment":{"endpoints":[{"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"a","portValue":80}}}}]}]}}]}}"#.into(), 15.0, 18.0, 10.0),
        ("fractions", check(HTTP).replace("5s", "0.250s"), 0.75, 3.75, 0.5),
        ("seconds and nanoseconds", check(HTTP).replace("5s", "{seconds: 5, nanos: 500000000}"), 16.5, 19.5, 11.0),
        ("quoted", check(HTTP).replace("5s", "\"5s\""), 15.0, 18.0, 10.0),
        ("jitter", check(&format!("      interval_jitter: 1s\n{HTTP}")), 18.0, 21.0, 12.0),
        ("jitter in percent", check(&format!("      interval_jitter_percent: 20\n{HTTP}")), 18.0, 21.0, 12.0),
        ("down", check(&format!("      unhealthy_interval: 60s\n{HTTP}")), 125.0, 128.0, 120.0),
        ("going down", check(&format!("      unhealthy_edge_interval: 1s\n{HTTP}")), 7.0, 10.0, 10.0),
        ("coming back", check(&format!("      healthy_edge_interval: 20s\n{HTTP}")), 15.0, 18.0, 25.0),
        ("the last of two keys", check(&format!("      interval: 2s\n{HTTP}")), 6.0, 9.0, 4.0),
        ("comments", check(&format!("      # timeout: 100s\n{HTTP}")), 15.0, 18.0, 10.0),
        ("the seed case", check(HTTP).replace("5s", "300s"), 900.0, 903.0, 600.0),
    ] {
        let fleet = read(&text);
        let times = detection(active(&fleet));
        let same = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(
            same(times.refused_secs, refused) && same(times.hanging_secs, hanging) && same(times.return_secs, back),
            "{name}: {times:?}"
        );
        assert!(fleet.troubles.is_empty(), "{name}");
    }
}

#[test]
fn lb_01_envoy_anchors_and_merge_keys_are_resolved_and_lines_kept() {
    let text = bootstrap("    health_checks:\n    - <<: *probe\n      timeout: 2s\n      tcp_health_check: {}\n")
        + "  x: &late 1\n";
    let text = format!(
        "probe: &probe\n  interval: 7s\n  timeout: 1s\n  unhealthy_threshold: 2\n  healthy_threshold: 1\n{text}"
    );
    let fleet = read(&text);
    let active = active(&fleet);
    assert_eq!((active.interval.value, active.hang_secs.value, active.fall.value), (7.0, 2.0, 2));
    let Origin::At(place) = &active.interval.origin else { panic!() };
    assert_eq!(place.source(), "/etc/envoy/envoy.yaml:2");
    assert_eq!(place.text, "interval: 7s (until the cluster has had traffic: 60 s, no_traffic_interval)");
    let Origin::At(place) = &active.hang_secs.origin else { panic!() };
    assert_eq!(text.lines().nth(place.line as usize - 1).unwrap().trim(), place.text);
}

#[test]
fn lb_04_envoy_members_without_a_probe_are_told_apart_from_those_that_cannot_be_told() {
    let kind = |text: &str| {
        let fleet = read(text);
        match &fleet.pools[0].members[0].probe {
            Probe::Active(_) => "active".to_owned(),
            Probe::Passive { fails, window_secs, .. } => format!("passive {} {}", fails.value, window_secs.value),
            Probe::Never => "never".to_owned(),
            Probe::Tracks(other) => other.clone(),
            Probe::Unresolved(why) => why.en.clone(),
        }
    };
    for (name, text, part) in [
        ("nothing", bootstrap(""), "never"),
        ("empty list", bootstrap("    health_checks: []\n"), "never"),
        ("outliers", bootstrap("    outlier_detection: {}\n"), "passive 5 30"),
        (
            "outliers set",
            bootstrap("    outlier_detection: {consecutive_5xx: 2, base_ejection_time: 10s}\n"),
            "passive 2 10",
        ),
        ("no timeout", check(HTTP).replace("      timeout: 1s\n", ""), "timeout is required and missing"),
        ("no unit", check(HTTP).replace("5s", "5"), "envoy.yaml:12: \"interval: 5\" has no valid value"),
        ("minutes are no duration", check(HTTP).replace("5s", "1m"), "no valid value"),
        ("zero", check(HTTP).replace("5s", "0s"), "no valid value"),
        ("below zero", check(HTTP).replace("5s", "-5s"), "no valid value"),
        ("not a number", check(HTTP).replace("5s", "NaNs"), "no valid value"),
        ("threshold as a word", check(HTTP).replace("threshold: 3", "threshold: three"), "no valid value"),
        ("no kind", check(""), "says not what it asks"),
        ("no path", check("      http_health_check: {}\n"), "path is required"),
        ("a list where a map should be", check("      http_health_check: [path]\n"), "path is required"),
        ("EDS", "static_resources: {clusters: [{name: a, type: EDS}]}".into(), "type EDS"),
        (
            "original destination",
            "static_resources: {clusters: [{name: a, type: ORIGINAL_DST}]}".into(),
            "type ORIGINAL_DST",
        ),
    ] {
        let kind = kind(&text);
        assert!(kind.contains(part), "{name}: {kind}");
    }
}

#[test]
fn lb_07_envoy_layers_are_those_of_the_service_and_of_the_probe() {
    let tcp = "      tcp_health_check: {}\n";
    let tls = "    transport_socket: {name: envoy.transport_sockets.tls}\n";
    let route = "  listeners:\n  - filter_chains: [{filters: [{typed_config: {route_config: {virtual_hosts: [{routes: [{route: {cluster: web}}]}]}}}]}]\n";
    let weighted = route.replace("cluster: web", "weighted_clusters: {clusters: [{name: web, weight: 1}]}");
    let proxy = route.replace("route_config: {virtual_hosts: [{routes: [{route: {cluster: web}}]}]}", "cluster: web");
    for (name, text, service, probe) in [
        ("http by a route", check(HTTP) + route, Layer::Http, Layer::Http),
        ("tcp for http", check(tcp) + route, Layer::Http, Layer::Tcp),
        ("a weighted route", check(tcp) + &weighted, Layer::Http, Layer::Tcp),
        ("a tcp proxy", check(tcp) + &proxy, Layer::Tcp, Layer::Tcp),
        ("http by its options", check(tcp) + "    http2_protocol_options: {}\n", Layer::Http, Layer::Tcp),
        ("tls", check(tcp) + tls, Layer::Tls, Layer::Tls),
        (
            "expects an answer",
            check("      tcp_health_check: {receive: [{text: '01'}]}\n"),
            Layer::Tcp,
            Layer::Protocol,
        ),
        ("grpc", check("      grpc_health_check: {}\n"), Layer::Tcp, Layer::Protocol),
        (
            "custom",
            check("      custom_health_check: {name: envoy.health_checkers.redis}\n"),
            Layer::Tcp,
            Layer::Protocol,
        ),
    ] {
        let fleet = read(&text);
        assert_eq!((fleet.pools[0].layer, active(&fleet).layer), (service, probe), "{name}");
    }
}

#[test]
fn lb_10_envoy_expected_statuses_end_before_their_end() {
    let statuses = |list: &str| check(&format!("      http_health_check: {{path: /h, expected_statuses: {list}}}\n"));
    for (text, ranges) in [
        (statuses("[{start: 200, end: 201}]"), &[(200, 200)][..]),
        (statuses("[{start: 200, end: 400}, {start: '401', end: '402'}]"), &[(200, 399), (401, 401)]),
        (statuses("[{start: 300, end: 300}]"), &[]),
        (statuses("[]"), &[]),
        (check(HTTP), &[]),
    ] {
        let fleet = read(&text);
        assert_eq!(fleet.accepted.first().map_or(&[][..], |one| &one.ranges), ranges, "{text}");
    }
}

#[test]
fn lb_09_envoy_endpoints_may_be_probed_elsewhere_be_backups_or_out_of_service() {
    let text = check(HTTP).replace(
        "      - lb_endpoints:\n",
        "      - priority: 1\n        lb_endpoints:\n        - health_status: DRAINING\n          endpoint: {address: {socket_address: {address: '::1', port_value: 81}}, health_check_config: {port_value: 9000}}\n        \
         - endpoint: {address: {pipe: {path: /run/a.sock}}, health_check_config: {disable_active_health_check: true}}\n      - lb_endpoints:\n",
    );
    let fleet = read(&text);
    let members = &fleet.pools[0].members;
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["[::1]:81", "/run/a.sock", "10.0.0.1:80"]);
    assert!(members[0].disabled && members[0].backup && !members[2].backup && !members[2].disabled);
    assert!(
        matches!(&members[0].probe, Probe::Active(active) if active.elsewhere.as_ref().unwrap().text == "port_value: 9000")
    );
    assert!(matches!(members[1].probe, Probe::Never));
}

#[test]
fn lb_01_envoy_files_are_those_of_the_running_process_and_what_they_name() {
    let fixture = Fixture::live()
        .process(7, 'S', &["/usr/bin/envoy", "--config-path=/opt/e.yaml", "--config-yaml", "static_resources: {clusters: [{name: inline}]}"])
        .process(8, 'S', &["envoy", "-c", "/gone.yaml"])
        .process(9, 'S', &["envoy", "-c", "/opt/e.pb"])
        .file("/etc/envoy/envoy.yaml", "static_resources: {clusters: [{name: unused}]}")
        .file("/opt/e.yaml", "dynamic_resources: {cds_config: {path_config_source: {path: /opt/cds.yaml}}}\n---\ndynamic_resources:\n  cds_config: {ads: {}}\n")
        .file("/opt/cds.yaml", "resources:\n- {'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: named}\n- {'@type': type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment}\n");
    let fleet = super::read(&fixture.host()).unwrap();
    let names: Vec<&str> = fleet.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["inline", "named"]);
    let troubles: Vec<&str> = fleet.troubles.iter().map(|trouble| trouble.why.en.as_str()).collect();
    assert_eq!(troubles.len(), 3, "{troubles:?}");
    assert!(
        troubles[0].contains("management server")
            && troubles[1].contains("/gone.yaml")
            && troubles[2].contains("no YAML")
    );
    assert!(super::read(&Fixture::image().host()).is_none());
}

#[test]
fn lb_01_the_seed_case_of_envoy_is_critical_and_a_line_of_json_shows_no_secret() {
    let json = r#"{"static_resources":{"clusters":[{"name":"web","health_checks":[{"interval":"300s","timeout":"300s","unhealthy_threshold":3,"healthy_threshold":2,"http_health_check":{"path":"/h","request_headers_to_add":[{"header":{"key":"Authorization","value":"hunter2"}}],"expected_statuses":[{"start":200,"end":500}]}}],"load_assignment":{"endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":{"address":"a","port_value":80}}}}]}]}}]}}"#;
    let fixture = Fixture::image().file("/etc/envoy/envoy.json", json);
    let late = fixture.run(&crate::lb::detection_time::CHECK);
    assert_eq!((late[0].status, late[0].value), (Status::Critical, Some(1800.0)));
    assert_eq!(late[0].evidence[0].source, "/etc/envoy/envoy.json:1");
    let accepted = fixture.run(&crate::lb::accepted_statuses::CHECK);
    assert_eq!((accepted[0].status, accepted[0].subject.as_str()), (Status::Warning, "envoy cluster web"));
    assert!(!format!("{late:?}{accepted:?}").contains("hunter2"));
}

#[test]
fn chk_02_envoy_members_are_bounded_and_what_is_left_out_is_said() {
    let aliases = "*e,".repeat(21_000);
    let text = format!(
        "e: &e {{endpoint: {{address: {{pipe: {{path: /a}}}}}}}}\nstatic_resources: {{clusters: [{{name: a, load_assignment: {{endpoints: [{{lb_endpoints: [{aliases}]}}]}}}}]}}\n"
    );
    let fleet = read(&text);
    assert_eq!(fleet.pools[0].members.len(), 20_000);
    assert!(fleet.troubles.iter().any(|trouble| trouble.why.en.contains("20000 members")), "{:?}", fleet.troubles);
}

#[test]
fn chk_04_envoy_junk_is_a_trouble_with_its_line_and_never_a_panic() {
    for (text, part) in [
        ("static_resources:\n\t- x\n", "line 2"),
        ("{{ range }}\n- a: b\n", "line"),
        ("\u{1}\u{2}: [", "line"),
        (&"[".repeat(50_000), "line 1"),
    ] {
        let fleet = read(text);
        assert!(fleet.troubles.iter().any(|trouble| trouble.why.en.contains(part)), "{text:.40}: {:?}", fleet.troubles);
    }
    for text in [
        "",
        "static_resources: 5",
        "static_resources: {clusters: {a: b}}",
        "static_resources: {clusters: [null, 5, [1]]}",
        "- a\n- b\n",
    ] {
        read(text);
    }
    let whole = check(HTTP);
    for cut in 0..whole.len() {
        read(&whole[..cut]);
    }
}
