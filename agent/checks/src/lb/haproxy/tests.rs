//! Whole configurations, and what they come to. Those that HAProxy takes were compared with `haproxy -c` (2.6.12).
#![allow(clippy::unwrap_used)]

use super::super::detect::detection;
use super::super::{Layer, Probe};
use super::*;
use crate::host::fixture::Fixture;
use crate::lb::detection_time;
use cloud_doctor_proto::finding::Status;
use std::fmt::Write as _;
use std::time::Duration;

const FILE: &str = "/etc/haproxy/haproxy.cfg";

/// Every server in one line: name, probe, and the worst cases in seconds (refused/hanging/return).
fn told(fleet: &Fleet) -> String {
    let mut told = String::new();
    for pool in &fleet.pools {
        for member in &pool.members {
            let name = format!("{}/{}", pool.name, member.name);
            match &member.probe {
                Probe::Active(active) => {
                    let times = detection(active);
                    let layer = match active.layer {
                        Layer::Tcp => "tcp",
                        Layer::Tls => "tls",
                        Layer::Protocol => "protocol",
                        Layer::Http => "http",
                    };
                    let (refused, hanging, back) = (times.refused_secs, times.hanging_secs, times.return_secs);
                    write!(told, "{name} {layer} {refused}/{hanging}/{back}").unwrap();
                    told += if active.elsewhere.is_some() { " elsewhere" } else { "" };
                }
                Probe::Never => write!(told, "{name} never").unwrap(),
                Probe::Tracks(other) => write!(told, "{name} as {other}").unwrap(),
                Probe::Unresolved(_) => write!(told, "{name} unknown").unwrap(),
                Probe::Passive { .. } => unreachable!(),
            }
            told += if member.disabled { " disabled" } else { "" };
            told += if member.backup { " backup" } else { "" };
            told += "; ";
        }
    }
    for trouble in &fleet.troubles {
        write!(told, "trouble {}; ", trouble.place.line).unwrap();
    }
    told.trim_end_matches("; ").to_owned()
}

fn fleet_of(config: impl AsRef<[u8]>) -> Fleet {
    read(&Fixture::image().file(FILE, config).host()).unwrap()
}

/// A configuration that HAProxy takes, and what it comes to.
const TAKEN: &[(&str, &str, &str)] = &[
    ("the defaults", "backend b\n server s 10.0.0.1:80 check\n", "b/s tcp 6/12/4"),
    ("no check", "backend b\n server s 10.0.0.1:80\n", "b/s never"),
    ("an interval is no check", "backend b\n server s 10.0.0.1:80 inter 300s fall 2\n", "b/s never"),
    (
        "the seed case",
        "defaults\n mode http\n default-server inter 300s fall 3 rise 2\nbackend b\n server s 10.0.0.1:80 check\n",
        "b/s tcp 900/1800/600",
    ),
    ("measured: 24 s", "backend b\n option httpchk\n server s 10.0.0.1:80 check inter 4s fall 3\n", "b/s http 12/24/8"),
    (
        "measured: 15 s",
        "backend b\n timeout connect 5s\n timeout check 1s\n option httpchk\n server s 10.0.0.1:80 check inter 4s fall 3\n",
        "b/s http 12/15/8",
    ),
    (
        "measured: 8 s",
        "backend b\n timeout check 1s\n option httpchk\n server s 10.0.0.1:80 check inter 4s fastinter 500 downinter 1s fall 3\n",
        "b/s http 5/8/1.5",
    ),
    (
        "a default-server below does not count",
        "backend b\n server above 10.0.0.1:80 check\n default-server inter 300s\n server below 10.0.0.1:80 check\n",
        "b/above tcp 6/12/4; b/below tcp 900/1800/600",
    ),
    (
        "several default-server lines add up, the server's own line wins",
        "defaults\n default-server inter 10s fall 5\nbackend b\n default-server fall 2 check\n server s 10.0.0.1:80 rise 1\n server t 10.0.0.1:80 inter 1s\n server u 10.0.0.1:80 no-check\n",
        "b/s tcp 20/40/10; b/t tcp 2/4/2; b/u never",
    ),
    (
        "a timeout below the servers counts all the same",
        "backend b\n option httpchk\n server s 10.0.0.1:80 check inter 60s\n timeout check 3s\n",
        "b/s http 180/189/120",
    ),
    (
        "the last defaults above, and one that begins anew",
        "defaults\n default-server inter 300s\n timeout check 3s\ndefaults\n mode http\nbackend b\n server s 10.0.0.1:80 check\n",
        "b/s tcp 6/12/4",
    ),
    (
        "named defaults and chained ones",
        "defaults slow\n default-server inter 100s\n timeout check 2s\n option httpchk\ndefaults slower from slow\n default-server fall 4\ndefaults\n mode http\nbackend b from slower\n server s 10.0.0.1:80 check\nbackend c\n server s 10.0.0.1:80 check\n",
        "b/s http 400/408/200; c/s tcp 6/12/4",
    ),
    (
        "connecting is bounded by timeout connect only beside timeout check",
        "defaults\n timeout connect 1s\nbackend b\n server s 10.0.0.1:80 check inter 10s\nbackend c\n timeout check 4s\n server s 10.0.0.1:80 check inter 10s\n",
        "b/s tcp 30/60/20; c/s tcp 30/33/20",
    ),
    (
        "a handshake hangs while connecting",
        "backend b\n timeout connect 6s\n timeout check 1s\n option httpchk\n server s 10.0.0.1:443 check inter 10s ssl verify none\n",
        "b/s http 30/48/20",
    ),
    (
        "bare numbers are milliseconds",
        "backend b\n server s 10.0.0.1:80 check inter 300 fall 3\n",
        "b/s tcp 0.8999999999999999/1.7999999999999998/0.6",
    ),
    (
        "units",
        "backend b\n server m 10.0.0.1:80 check inter 1m fall 1 rise 1\n server h 10.0.0.1:80 check inter 1h fall 1 rise 1\n server u 10.0.0.1:80 check inter 1500000us fall 1 rise 1\n",
        "b/m tcp 60/120/60; b/h tcp 3600/7200/3600; b/u tcp 1.5/3/1.5",
    ),
    ("slow start counts as coming back", "backend b\n server s 10.0.0.1:80 check slowstart 60s\n", "b/s tcp 6/12/64"),
    (
        "a template",
        "backend b\n server-template web 2-4 10.0.0.1:80 check\n server-template x 2 10.0.0.2:80\n",
        "b/web2 tcp 6/12/4; b/web3 tcp 6/12/4; b/web4 tcp 6/12/4; b/x1 never; b/x2 never",
    ),
    (
        "probes elsewhere",
        "backend b\n server p 10.0.0.1:80 check port 8080\n server q 10.0.0.1:80 check port 80\n server a 10.0.0.1:80 check addr 10.0.0.9\n server n 10.0.0.1 check port 80\n server v [::1]:80 check port 81\n",
        "b/p tcp 6/12/4 elsewhere; b/q tcp 6/12/4; b/a tcp 6/12/4 elsewhere; b/n tcp 6/12/4; b/v tcp 6/12/4 elsewhere",
    ),
    (
        "layers",
        "backend a\n option mysql-check\n server s 10.0.0.1:80 check\nbackend b\n option ssl-hello-chk\n server s 10.0.0.1:80 check\nbackend c\n option tcp-check\n server s 10.0.0.1:80 check\nbackend d\n option tcp-check\n tcp-check expect string x\n server s 10.0.0.1:80 check\nbackend e\n server s 10.0.0.1:80 check ssl verify none\n server t 10.0.0.1:80 check ssl verify none port 81\n server u 10.0.0.1:80 check check-ssl verify none port 81\nbackend f\n option httpchk\n option redis-check\n server s 10.0.0.1:80 check\n",
        "a/s protocol 6/12/4; b/s tls 6/12/4; c/s tcp 6/12/4; d/s protocol 6/12/4; e/s tls 6/12/4; e/t tcp 6/12/4 elsewhere; e/u tls 6/12/4 elsewhere; f/s protocol 6/12/4",
    ),
    (
        "tracking, disabled, backup, and taken back",
        "backend b\n default-server check disabled\n server s 10.0.0.1:80 enabled\n server t 10.0.0.1:80 backup\n server u 10.0.0.1:80 no-check track s\nbackend c\n disabled\n server s 10.0.0.1:80 check\n",
        "b/s tcp 6/12/4; b/t tcp 6/12/4 disabled backup; b/u as s disabled; c/s tcp 6/12/4 disabled",
    ),
    (
        "an agent alone takes nobody out",
        "backend b\n server s 10.0.0.1:80 agent-check agent-port 99 agent-inter 5s\n",
        "b/s never",
    ),
    (
        "only listen and backend have pools",
        "frontend f\n bind 127.0.0.1:18080\n default_backend b\nlisten l\n bind 127.0.0.1:18081\n server s 10.0.0.1:80 check\nbackend b\n server s 10.0.0.1:80 check\npeers p\n peer me 127.0.0.1:18082\n",
        "l/s tcp 6/12/4; b/s tcp 6/12/4",
    ),
    (
        "variables of the global section, quotes, escapes, comments",
        "global\n setenv EVERY 300s\n presetenv FALLS 4\nbackend b # \"not open\n server \"w\"'eb'\\x31 10.0.0.1:80 check inter \"${EVERY}\" fall \"$FALLS\" # inter 1s\n",
        "b/web1 tcp 1200/2400/600",
    ),
    (
        "a variable of the environment is not known",
        "backend b\n server s \"${ADDRESS-10.0.0.1}:80\" check\n server t 10.0.0.1:80 check inter \"${EVERY-300s}\"\n server u 10.0.0.1:80 check \"${MORE-inter}\" 5s\n",
        "b/s tcp 6/12/4; b/t unknown; b/u unknown",
    ),
    (
        "in single quotes nothing is a variable",
        "backend b\n http-request set-header x '$EVERY'\n server s 10.0.0.1:80 check\n",
        "b/s tcp 6/12/4",
    ),
    (
        "conditions that are known",
        "backend b\n.if 0\n default-server inter 300s\n.else\n default-server inter 1s\n.endif\n server s 10.0.0.1:80 check\n",
        "b/s tcp 3/6/2",
    ),
    (
        "conditions that are not known",
        "backend b\n.if version_atleast(2.4)\n default-server inter 300s\n.endif\n server s 10.0.0.1:80 check\nbackend c\n.if feature(OPENSSL)\n option httplog\n.endif\n server s 10.0.0.1:80 check\n",
        "b/s unknown; c/s tcp 6/12/4; trouble 2",
    ),
    (
        "a section that is perhaps there",
        ".if version_atleast(2.4)\ndefaults\n default-server inter 300s\n.endif\nbackend b\n server s 10.0.0.1:80 check\n.if feature(OPENSSL)\nbackend c\n server s 10.0.0.1:80 check\n.endif\n",
        "b/s unknown; trouble 1; trouble 7",
    ),
    ("CRLF (chk_04)", "backend b\r\n server s 10.0.0.1:80 check inter 300s\r\n", "b/s tcp 900/1800/600"),
    (
        "options with values of their own",
        "backend b\n server s 10.0.0.1:80 source 0.0.0.0 usesrc clientip cookie check set-proxy-v2-tlv-fmt(0x20) inter weight 10 observe layer7 on-error mark-down check fall 1\n",
        "b/s tcp 2/4/4",
    ),
    ("a scope", "[other]\nbackend b\n server s 10.0.0.1:80 check\n", "b/s tcp 6/12/4"),
    (
        "the packaged file",
        "global\n\tlog /dev/log\tlocal0\n\tstats socket /run/haproxy/admin.sock mode 660 level admin\ndefaults\n\tmode\thttp\n        timeout connect 5000\n",
        "",
    ),
];

/// What HAProxy refuses. What can be read is still told, and the trouble has its line.
const REFUSED: &[(&str, &str, &str)] = &[
    ("a fraction", "backend b\n server s 10.0.0.1:80 check inter 5.5s\n", "b/s unknown; trouble 2"),
    ("an option of no server", "backend b\n server s 10.0.0.1:80 interval 5s check\n", "b/s unknown; trouble 2"),
    ("an interval of nothing", "backend b\n server s 10.0.0.1:80 check inter 0\n", "b/s unknown; trouble 2"),
    ("no value", "backend b\n server s 10.0.0.1:80 check inter\n", "b/s unknown; trouble 2"),
    ("fall 0", "backend b\n server s 10.0.0.1:80 check fall 0\n", "b/s unknown; trouble 2"),
    (
        "an open quote",
        "backend b\n server \"s 10.0.0.1:80 check\n server t 10.0.0.1:80 check\n",
        "b/t tcp 6/12/4; trouble 2",
    ),
    ("defaults that are not there", "backend b from x\n server s 10.0.0.1:80 check\n", "b/s unknown; trouble 1"),
    ("no last line feed", "backend b\n server s 10.0.0.1:80 check", "b/s tcp 6/12/4; trouble 2"),
    ("an open condition", "backend b\n.if 1\n server s 10.0.0.1:80 check\n", "b/s tcp 6/12/4; trouble 4"),
    ("out of a section", "inter 5s\n", "trouble 1"),
    ("a byte order mark", "\u{feff}backend b\n server s 10.0.0.1:80 check\n", "b/s tcp 6/12/4; trouble 1"),
    ("a NUL", "backend b\n server s\0 10.0.0.1:80 check\n", "trouble 2"),
    (
        "too many words",
        "backend b\n server s 10.0.0.1:80 check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check check\n",
        "trouble 2",
    ),
];

#[test]
fn lb_01_a_configuration_is_read_as_haproxy_reads_it() {
    for (name, config, expected) in TAKEN.iter().chain(REFUSED) {
        assert_eq!(told(&fleet_of(config)), *expected, "{name}");
    }
}

#[test]
fn chk_04_a_configuration_that_is_cut_off_anywhere_is_survived() {
    let variables = locate::variables(&Fixture::image().host());
    for (_, config, _) in TAKEN.iter().chain(REFUSED) {
        for cut in 0..config.len() {
            let mut reader = Reader::new(variables.clone());
            reader.read("f", &config.as_bytes()[cut / 2..cut]);
            reader.finish();
        }
    }
}

#[test]
fn lb_01_the_seed_case_is_critical_with_its_line() {
    let config = "global\n    maxconn 1000\n\ndefaults\n    mode http\n    timeout connect 5s\n    timeout server 50s\n    default-server inter 300s fall 3 rise 2\n\nbackend web\n    server web1 10.0.0.1:80 check\n";
    let findings = Fixture::image().file(FILE, config).run(&detection_time::CHECK);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.status, finding.value), (Status::Critical, Some(1800.0)));
    assert_eq!(finding.subject, "haproxy backend web/web1");
    assert_eq!(finding.details["refused_s"], cloud_doctor_proto::finding::Detail::Number(900.0));
    assert_eq!(finding.evidence[0].source, "/etc/haproxy/haproxy.cfg:8");
    assert_eq!(finding.evidence[0].text, "default-server inter 300s fall 3 rise 2");
    for part in ["default-server inter 5s fastinter 1s", "timeout check 3s", "16 s", "haproxy -c"] {
        assert!(finding.remedy.en.contains(part) && finding.remedy.zh.contains(part), "{part}: {:?}", finding.remedy);
    }
}

#[test]
fn lb_01_files_follow_each_other_and_what_is_missing_is_said() {
    let fleet = |fixture: &Fixture| told(&read(&fixture.host()).unwrap());
    let two = Fixture::live()
        .file("/a.cfg", "defaults\n default-server inter 100s\n")
        .file("/d/b.cfg", "backend b\n server s 10.0.0.1:80 check\n")
        .file("/d/c.cfg", " server t 10.0.0.1:80 check\n")
        .process(7, 'S', &["haproxy", "-f", "/a.cfg", "-f", "/d"]);
    assert_eq!(fleet(&two), "b/s tcp 300/600/200; trouble 1");
    let gone = Fixture::live().process(7, 'S', &["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]);
    assert_eq!(fleet(&gone), "trouble 0");
    let service = Fixture::image()
        .file(FILE, "backend b\n server s 10.0.0.1:80 check inter \"$EVERY\"\n")
        .file("/etc/default/haproxy", "EVERY=300s\n");
    assert_eq!(fleet(&service), "b/s tcp 900/1800/600");
    assert!(read(&Fixture::live().host()).is_none());
}

#[test]
fn chk_01_02_04_junk_is_said_and_never_costs_long() {
    let begin = crate::host::boot_time();
    let servers = "backend b\n".to_owned() + &" server s 10.0.0.1:80 check\n".repeat(250_000);
    let utf16: Vec<u8> = "backend b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: [(&str, Vec<u8>); 8] = [
        ("10^6 servers in a line", b"backend b\n server-template s 1000000 10.0.0.1:80 check\n".to_vec()),
        ("many servers", servers.into_bytes()),
        ("one line of 8 MB", [b"backend b\n server ".to_vec(), vec![b'x'; 8_000_000]].concat()),
        ("more than 8 MiB", vec![b'#'; 9 << 20]),
        ("many quotes", b"\"'\\".repeat(1_000_000)),
        ("many conditions", b".if 1\n".repeat(100_000)),
        ("UTF-16", utf16),
        ("junk", (0..=255).cycle().skip(1).take(100_000).filter(|byte| *byte != 0).collect()),
    ];
    for (name, bytes) in rows {
        let fleet = fleet_of(&bytes);
        assert!(!fleet.troubles.is_empty() && fleet.troubles.len() <= 200, "{name}");
        assert!(fleet.pools.iter().map(|pool| pool.members.len()).sum::<usize>() <= MEMBERS_MAX, "{name}");
    }
    let latin_1 = fleet_of(b"backend b\n # caf\xe9\n server s\xe9 10.0.0.1:80 check\n");
    assert_eq!(told(&latin_1), "b/s\u{fffd} tcp 6/12/4");
    let took = Duration::from_millis(begin.millis_until(crate::host::boot_time()));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn lb_01_what_cannot_be_told_is_unknown_in_every_check() {
    let broken = Fixture::image().file(FILE, "backend b\n server s\0\n");
    let unclear = Fixture::image().file(FILE, "backend b\n mode http\n server s 10.0.0.1:80 check inter \"$X\"\n");
    let other_systems = ["lb.retry-statuses", "lb.measured-interval"];
    for check in crate::lb::CHECKS.iter().filter(|check| !check.needs.live && !other_systems.contains(&check.id)) {
        assert_eq!(broken.status(check), Status::Unknown, "{}", check.id);
        let silent = unclear.has_none_of(check);
        assert!(silent || matches!(unclear.status(check), Status::Unknown | Status::Ok), "{}", check.id);
    }
    assert_eq!(unclear.status(&detection_time::CHECK), Status::Unknown);
}
