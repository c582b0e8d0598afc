//! keepalived's configurations, whole, and what becomes of them.

use super::super::Setting;
use super::super::detect::detection;
use super::super::includes::line_of;
use super::*;
use crate::host::fixture::Fixture;

fn fleet(fixture: &Fixture) -> Fleet {
    read(&fixture.host()).unwrap_or_default()
}

fn file(text: impl AsRef<[u8]>) -> Fixture {
    Fixture::image().file("/etc/hostname", "lb1.example.com\n").file(FILE, text)
}

/// `member: refused hanging return` of every member, or what its probe is instead.
fn members(fleet: &Fleet) -> Vec<String> {
    let members = fleet.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    let text = |(pool, member): (&Pool, &Member)| {
        let probe = match &member.probe {
            Probe::Active(active) => {
                let times = detection(active);
                format!("{} {} {} {:?}", times.refused_secs, times.hanging_secs, times.return_secs, active.layer)
            }
            Probe::Never => "never".to_owned(),
            Probe::Unresolved(why) => why.en.split(':').next().unwrap().to_owned(),
            Probe::Passive { .. } | Probe::Tracks(_) => unreachable!(),
        };
        let flags = [(member.disabled, " disabled"), (member.backup, " backup")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        format!("{}/{}: {probe}{flags}", pool.name, member.name)
    };
    members.map(text).collect()
}

fn troubles(fleet: &Fleet) -> Vec<String> {
    fleet.troubles.iter().map(|trouble| trouble.place.source()).collect()
}

/// One checker on one real server, with settings before it.
fn one(server: &str, real: &str, checker: &str) -> Vec<String> {
    let text = format!(
        "virtual_server 10.0.0.1 80 {{ protocol TCP\n{server}\nreal_server 10.0.0.2 80 {{\n{real}\n{checker}\n}}\n}}\n"
    );
    let fleet = fleet(&file(text));
    assert!(fleet.troubles.is_empty(), "{:?}", fleet.troubles);
    members(&fleet)
}

#[test]
fn lb_01_keepalived_defaults_and_precedence() {
    for (server, real, checker, expected) in [
        ("", "", "TCP_CHECK {\n}", "61 71 60 Tcp"),
        ("", "", "TCP_CHECK { }", "61 71 60 Tcp"),
        // A failed URL must answer twice, a delay_loop apart.
        ("", "", "HTTP_GET {\nurl {\npath /\n}\n}", "63 73 120 Http"),
        ("", "", "SSL_GET {\nfast_recovery\nurl {\npath /\n}\n}", "63 73 60 Http"),
        ("", "", "HTTP_GET {\nurl { path /a }\nurl { path /b }\n}", "63 73 180 Http"),
        ("", "", "DNS_CHECK {\ntype A\n}", "240 260 60 Protocol"),
        ("", "", "SMTP_CHECK {\n}", "61 71 60 Protocol"),
        ("", "", "PING_CHECK {\n}", "61 71 60 Tcp"),
        ("", "", "UDP_CHECK {\n}", "61 71 60 Tcp"),
        ("", "", "UDP_CHECK {\nrequire_reply\n}", "61 71 60 Protocol"),
        ("", "", "MISC_CHECK {\nmisc_path /x\n}", "60 120 60 Protocol"),
        ("delay_loop 10", "", "MISC_CHECK {\nmisc_path /x\nmisc_timeout 4\nretry 2\n}", "12 22 10 Protocol"),
        ("", "", "BFD_CHECK {\nname b\n}", "BFD_CHECK"),
        ("", "", "FILE_CHECK {\ntrack_file b\n}", "FILE_CHECK"),
        ("", "", "", "never"),
        ("delay_loop 6", "", "TCP_CHECK {\nconnect_timeout 3\n}", "7 13 6 Tcp"),
        ("delay_loop 6", "delay_loop 4", "TCP_CHECK {\n}", "5 15 4 Tcp"),
        ("delay_loop 6", "delay_loop 4", "TCP_CHECK {\ndelay_loop 2\n}", "3 13 2 Tcp"),
        ("delay_loop 2.5", "", "TCP_CHECK {\ndelay_before_retry 0.5\nconnect_timeout .5\n}", "3 4 2.5 Tcp"),
        ("retry 3", "", "TCP_CHECK {\n}", "63 83 60 Tcp"),
        ("retry 3", "retry 2", "TCP_CHECK {\n}", "62 77 60 Tcp"),
        ("retry 3", "retry 2", "TCP_CHECK {\nretry 0\n}", "60 65 60 Tcp"),
        ("", "", "HTTP_GET {\nnb_get_retry 2\nurl { path / }\n}", "66 81 120 Http"),
        ("connect_timeout 9", "delay_before_retry 7", "TCP_CHECK {\n}", "67 85 60 Tcp"),
        ("delay_loop 5\ndelay_loop 8", "", "TCP_CHECK {\n}", "9 19 8 Tcp"),
        // It may stand after what it counts for, and the seed case.
        ("", "TCP_CHECK {\n}\n", "delay_loop 300", "301 311 300 Tcp"),
        // Of several checkers the one that sees most, then the first to notice.
        ("", "TCP_CHECK { delay_loop 1 }", "HTTP_GET { url { path / } }", "63 73 120 Http"),
        ("", "TCP_CHECK { delay_loop 9 }", "TCP_CHECK { delay_loop 3 }", "4 14 3 Tcp"),
    ] {
        assert_eq!(one(server, real, checker), [format!("10.0.0.1:80/10.0.0.2:80: {expected}")], "{checker}");
    }
}

#[test]
fn lb_01_keepalived_files_as_people_write_them() {
    let check = "TCP_CHECK { }";
    for (name, text, expected) in [
        ("braces on lines of their own", "virtual_server 10.0.0.1 80\n{\nprotocol TCP\nreal_server 10.0.0.2 80\n{\nTCP_CHECK\n{\n}\n}\n}".to_owned(), &["10.0.0.1:80/10.0.0.2:80: 61 71 60 Tcp"][..]),
        ("glued braces and comments", format!("virtual_server 10.0.0.1 80{{ protocol TCP\n  ! c\n# real_server 9.9.9.9 80 {{\nreal_server 10.0.0.2 81{{{check}}}}}"), &["10.0.0.1:80/10.0.0.2:81: 61 71 60 Tcp"]),
        ("the port of the virtual server", format!("virtual_server 10.0.0.1 080 {{ protocol TCP\n  real_server 10.0.0.2 0 {{ {check} }} }}"), &["10.0.0.1:80/10.0.0.2:80: 61 71 60 Tcp"]),
        ("IPv6", format!("virtual_server fd00::1 443 {{ protocol TCP\n  real_server fd00::2 443 {{ {check} }} }}"), &["[fd00::1]:443/[fd00::2]:443: 61 71 60 Tcp"]),
        ("fwmark and group", "virtual_server fwmark 7 { real_server 10.0.0.2 { } }\nvirtual_server group web { real_server 10.0.0.3 80 { } }".to_owned(), &["fwmark 7/10.0.0.2: never", "group web/10.0.0.3:80: never"]),
        ("UDP beside TCP", "virtual_server 10.0.0.1 53 { protocol TCP\n  real_server 10.0.0.2 53 { } }\nvirtual_server 10.0.0.1 53 { protocol UDP\n real_server 10.0.0.2 53 { } }".to_owned(), &["10.0.0.1:53/10.0.0.2:53: never", "10.0.0.1:53/udp/10.0.0.2:53: never"]),
        ("weight 0 and a sorry server", format!("virtual_server 10.0.0.1 80 {{ protocol TCP\n  sorry_server 127.0.0.1 8080\n real_server 10.0.0.2 80 {{ weight 0\n {check} }} }}"), &["10.0.0.1:80/10.0.0.2:80: 61 71 60 Tcp disabled", "10.0.0.1:80/127.0.0.1:8080 (sorry_server): never backup"]),
        ("a quoted brace", format!("virtual_server 10.0.0.1 80 {{ protocol TCP\n  quorum_up \"/x }} {{\"\n real_server 10.0.0.2 80 {{ {check} }} }}"), &["10.0.0.1:80/10.0.0.2:80: 61 71 60 Tcp"]),
        ("parameters", format!("$D=6\n$RS= \\\nreal_server 10.0.0.${{N}} 80 {{ \\\ndelay_loop $D \\\n{check} \\\n}}\nvirtual_server 10.0.0.1 80 {{ protocol TCP\n$N=2\n$RS\n$N=3\n$RS\n}}"), &["10.0.0.1:80/10.0.0.2:80: 7 17 6 Tcp", "10.0.0.1:80/10.0.0.3:80: 7 17 6 Tcp"]),
        ("conditions by host name", format!("virtual_server 10.0.0.1 80 {{ protocol TCP\n@lb1 delay_loop 5\n@lb2 delay_loop 300\nreal_server 10.0.0.2 80 {{ {check} }} }}"), &["10.0.0.1:80/10.0.0.2:80: 6 16 5 Tcp"]),
        ("other blocks", format!("global_defs {{ router_id x }}\nvrrp_instance a {{ authentication {{ auth_pass secret }} }}\nvirtual_server 10.0.0.1 80 {{ protocol TCP\n  real_server 10.0.0.2 80 {{ {check} }} }}"), &["10.0.0.1:80/10.0.0.2:80: 61 71 60 Tcp"]),
    ] {
        let fleet = fleet(&file(text));
        assert_eq!((members(&fleet), troubles(&fleet)), (expected.iter().map(|m| (*m).to_owned()).collect(), vec![]), "{name}");
        assert!(!format!("{fleet:?}").contains("secret"));
    }
}

#[test]
fn lb_01_keepalived_reads_the_file_that_runs() {
    let server =
        |port: u32| format!("virtual_server 10.0.0.1 {port} {{ protocol TCP\n@main real_server 10.0.0.2 80 {{ }}\n}}");
    for (name, fixture, expected) in [
        (
            "its -f and -i",
            Fixture::live().process(9, 'S', &["/usr/sbin/keepalived", "-f", "/srv/k.conf", "-i", "main"]),
            "10.0.0.1:1/10.0.0.2:80: never",
        ),
        (
            "its --use-file",
            Fixture::live().process(9, 'S', &["keepalived", "--use-file=/srv/k.conf", "--config-id=main"]),
            "10.0.0.1:1/10.0.0.2:80: never",
        ),
        (
            "what its unit passes",
            Fixture::image().file("/etc/default/keepalived", "# x\nDAEMON_ARGS=\"-i main -f /srv/k.conf\"\n"),
            "10.0.0.1:1/10.0.0.2:80: never",
        ),
        ("the usual one", Fixture::image().file("/etc/hostname", "main.x"), "10.0.0.1:2/10.0.0.2:80: never"),
    ] {
        let fixture = fixture.file("/srv/k.conf", server(1)).file(FILE, server(2));
        assert_eq!(members(&fleet(&fixture)), [expected], "{name}");
    }
    let gone = fleet(&Fixture::live().process(9, 'S', &["keepalived", "-f", "/gone"]));
    assert_eq!(troubles(&gone), ["/gone"]);
    assert!(read(&Fixture::image().host()).is_none());
    assert!(read(&file("vrrp_instance a { }").host()).is_none());
}

#[test]
fn lb_01_keepalived_says_what_it_ignores_and_where_a_value_comes_from() {
    for (text, expected, lines) in [
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\ndelay_loop 5s\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\n}",
            "61 71 60 Tcp",
            &[2][..],
        ),
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\ndelay_loop 0\nretry 0\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\n}",
            "61 71 60 Tcp",
            &[2, 3],
        ),
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\ndelay_loop 5\ndelay_loop -1\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\n}",
            "6 16 5 Tcp",
            &[3],
        ),
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\nconnect_timeout 5000\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\n}",
            "61 71 60 Tcp",
            &[2],
        ),
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\nreal_server 10.0.0.2 80 { }\n}",
            "61 71 60 Tcp",
            &[3],
        ),
        (
            "virtual_server 10.0.0.1 80 { protocol TCP\nreal_server web 80 { TCP_CHECK { } }\nreal_server 10.0.0.2 80 { TCP_CHECK { } }\n}",
            "61 71 60 Tcp",
            &[2],
        ),
    ] {
        let fleet = fleet(&file(text));
        let lines: Vec<String> = lines.iter().map(|line| format!("{FILE}:{line}")).collect();
        let expected = vec![format!("10.0.0.1:80/10.0.0.2:80: {expected}")];
        assert_eq!((members(&fleet), troubles(&fleet)), (expected, lines), "{text}");
    }
    // The kernel's protocol 0 is UDP.
    let udp = fleet(&file("\nvirtual_server 10.0.0.1 80 { real_server 10.0.0.2 80 { } }"));
    assert_eq!(troubles(&udp), [format!("{FILE}:2")]);
    let text = "virtual_server 10.0.0.1 80 { protocol TCP\ndelay_loop 300\nreal_server 10.0.0.2 80 {\nHTTP_GET {\nconnect_port 81\nurl { path / }\n}\n}\n}";
    let fleet = fleet(&file(text));
    let (_, active) = fleet.pools[0].active().next().unwrap();
    assert_eq!(active.interval, Setting::at(300.0, line_of(FILE, 2, "delay_loop 300")));
    assert_eq!(active.elsewhere.as_ref().unwrap().source(), format!("{FILE}:5"));
}

#[test]
fn chk_01_chk_04_keepalived_takes_anything_without_a_guess() {
    let many = "x {".repeat(100_000);
    let wide = "a b\n".repeat(150_000);
    for (name, bytes) in [
        ("a block without end", b"virtual_server 10.0.0.1 80 { protocol TCP\n".to_vec()),
        ("an end without a block", b"}\n".to_vec()),
        ("a quote without end", b"a \"b\n".to_vec()),
        ("NUL", b"a\0b\n".to_vec()),
        ("UTF-16", "virtual_server".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a huge line", vec![b'x'; 7 << 20]),
        ("more than may be read", vec![b'x'; 9 << 20]),
        ("deep blocks", many.replace("x {", "x {\n").into_bytes()),
        ("a million statements", wide.into_bytes()),
        ("no names of blocks", b"{ {\n".to_vec()),
        ("braces in one line", vec![b'{'; 500]),
        ("parameters that grow", format!("$M= \\\n{}x\n{}", "a \\\n".repeat(7000), "$M\n".repeat(1000)).into_bytes()),
        ("itself", format!("include {FILE}\n").into_bytes()),
    ] {
        let fleet = fleet(&file(bytes));
        assert!(fleet.pools.iter().all(|pool| pool.members.is_empty()), "{name}");
        assert!(fleet.troubles.iter().all(|trouble| trouble.place.file == FILE), "{name}");
        assert!(!fleet.troubles.is_empty() && fleet.troubles.len() <= 50, "{name}");
    }
    let latin = fleet(&file(
        b"virtual_server 10.0.0.1 80 { protocol TCP\n  ! caf\xe9\r\n\treal_server 10.0.0.2 80 { }\r\n}\r\n",
    ));
    assert_eq!(members(&latin), ["10.0.0.1:80/10.0.0.2:80: never"]);
}

#[test]
fn chk_02_keepalived_never_waits_for_a_fifo() {
    let fixture = file(
        "include /etc/keepalived/fifo\nvirtual_server 10.0.0.1 80 { protocol TCP\n  real_server 10.0.0.2 80 { } }\n",
    );
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, fixture.path("/etc/keepalived/fifo"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    let fleet = fleet(&fixture);
    assert_eq!(
        (members(&fleet), troubles(&fleet)),
        (vec!["10.0.0.1:80/10.0.0.2:80: never".to_owned()], vec![format!("{FILE}:1")])
    );
}
