//! Caddy's configurations, whole, and what becomes of them.

use super::super::detect::detection;
use super::super::includes::line_of;
use super::super::{Member, Pool, Probe};
use super::*;
use crate::host::fixture::Fixture;

fn fleet(fixture: &Fixture) -> Fleet {
    read(&fixture.host()).unwrap_or_default()
}

fn file(text: impl AsRef<[u8]>) -> Fixture {
    Fixture::image().file(FILE, text)
}

fn members(fleet: &Fleet) -> Vec<String> {
    let members = fleet.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    let text = |(pool, member): (&Pool, &Member)| {
        let probe = match &member.probe {
            Probe::Active(active) => {
                let times = detection(active);
                assert!(!active.consecutive);
                format!("{} {} {}", times.refused_secs, times.hanging_secs, times.return_secs)
            }
            Probe::Passive { per_request_secs, fails, window_secs } => {
                format!("passive {} {} {}", per_request_secs.value, fails.value, window_secs.value)
            }
            Probe::Never => "never".to_owned(),
            Probe::Unresolved(_) => "unresolved".to_owned(),
            Probe::Tracks(_) => unreachable!(),
        };
        format!("{}/{}: {probe}{}", pool.name, member.name, if member.backup { " backup" } else { "" })
    };
    members.map(text).collect()
}

fn troubles(fleet: &Fleet) -> Vec<String> {
    fleet.troubles.iter().map(|trouble| trouble.place.source()).collect()
}

#[test]
fn lb_01_caddy_defaults_and_settings() {
    for (settings, expected) in [
        ("", "never"),
        ("health_uri /up", "30 35 30"),
        ("health_port 81", "30 35 30"),
        ("health_path /up", "30 35 30"),
        // Neither of these makes it probe.
        ("health_interval 5s\nhealth_timeout 2s", "never"),
        ("health_upstream a:1", "never"),
        ("health_uri /up\nhealth_interval 5s\nhealth_timeout 2s", "5 7 5"),
        ("health_uri /up\nhealth_interval 5m", "300 305 300"),
        ("health_uri /up\nhealth_interval 1m30s\nhealth_fails 2\nhealth_passes 3", "180 185 270"),
        ("health_uri /up\nhealth_interval 500ms\nhealth_timeout 250ms", "0.5 0.75 0.5"),
        ("health_uri /up\nhealth_fails 0\nhealth_passes -1", "30 35 30"),
        ("health_uri /up\nhealth_interval 0", "30 35 30"),
        ("health_uri /up\nhealth_headers {\nAuthorization secret\n}\nhealth_body ok\nhealth_status 2xx", "30 35 30"),
        ("fail_duration 30s", "passive inf 1 30"),
        ("fail_duration 30s\nmax_fails 3\ntransport http {\nresponse_header_timeout 5s\n}", "passive 5 3 30"),
        ("fail_duration 0\nmax_fails 3", "never"),
        ("max_fails 3\nunhealthy_status 5xx", "never"),
        ("health_uri /up\nfail_duration 30s", "30 35 30"),
        ("health_uri /up\nhealth_interval {$I:10s}", "10 15 10"),
        ("health_uri \"/up?a b\" # c\nhealth_interval `9s`", "9 14 9"),
    ] {
        let fleet = fleet(&file(format!("example.com {{\nreverse_proxy a:1 {{\n{settings}\n}}\n}}\n")));
        assert_eq!(
            (members(&fleet), troubles(&fleet)),
            (vec![format!("example.com/a:1: {expected}")], vec![]),
            "{settings}"
        );
        assert!(!format!("{fleet:?}").contains("secret"));
    }
}

#[test]
fn lb_01_caddy_files_as_people_write_them() {
    for (name, text, expected) in [
        (
            "one site without braces",
            "example.com\n\nreverse_proxy a:1 b:2\n",
            &["example.com/a:1: never", "example.com/b:2: never"][..],
        ),
        (
            "global options and several addresses",
            "{\n\tadmin off\n}\na.com,\nb.com {\n\treverse_proxy a\n}\n",
            &["a.com/a:80: never"],
        ),
        (
            "matchers",
            "a.com {\n@m path /x\nreverse_proxy @m a\nreverse_proxy /y/* b\nreverse_proxy * c\n}",
            &["a.com @m/a:80: never", "a.com /y/*/b:80: never", "a.com */c:80: never"],
        ),
        (
            "nested",
            "a.com {\nhandle /x/* {\nroute {\nreverse_proxy a\n}\n}\nhandle_path /y/* {\nreverse_proxy b\n}\nhandle {\nreverse_proxy c\n}\n}",
            &["a.com /x/*/a:80: never", "a.com /y/*/b:80: never", "a.com/c:80: never"],
        ),
        (
            "to, and the first that is up",
            "a.com {\nreverse_proxy {\nto a b\nto c\nlb_policy first\n}\n}",
            &["a.com/a:80: never", "a.com/b:80: never backup", "a.com/c:80: never backup"],
        ),
        ("php", "a.com {\nphp_fastcgi unix//run/php.sock\n}", &["a.com/unix//run/php.sock: never"]),
        (
            "dynamic",
            "a.com {\nreverse_proxy {\ndynamic srv _a._tcp.b\n}\nreverse_proxy {http.request.header.x}\n}",
            &["a.com/dynamic: unresolved", "a.com #2/{http.request.header.x}: unresolved"],
        ),
        (
            "a snippet with arguments",
            "(up) {\nhealth_uri {args[0]}\nhealth_interval {args[1]}\n}\na.com {\nreverse_proxy a {\nimport up /u 7s\n}\n}",
            &["a.com/a:80: 7 12 7"],
        ),
        (
            "all arguments and a block",
            "(p) {\nreverse_proxy {args[:]} {\n{block}\n}\n}\na.com {\nimport p a b {\nhealth_port 9\n}\n}",
            &["a.com/a:80: 30 35 30", "a.com/b:80: 30 35 30"],
        ),
        (
            "named blocks",
            "(p) {\nreverse_proxy a {\n{blocks.up}\n}\n}\na.com {\nimport p {\nup {\nhealth_port 9\n}\n}\n}",
            &["a.com/a:80: 30 35 30"],
        ),
        ("files", "import sites/*\nimport none/*\n", &["x.com/x:80: 3 8 3", "y.com/y:80: never"]),
        ("a heredoc", "a.com {\nrespond <<END\nreverse_proxy b {\nEND\nreverse_proxy a\n}", &["a.com/a:80: never"]),
        ("a named route", "&(r) {\nreverse_proxy a\n}\na.com {\ninvoke r\n}", &["&(r)/a:80: never"]),
        ("continued", "a.com {\nreverse_proxy a \\\n  b\n}", &["a.com/a:80: never", "a.com/b:80: never"]),
        ("no proxy", ":80 {\nroot * /usr/share/caddy\nfile_server\n# reverse_proxy a\n}", &[]),
    ] {
        let fixture = file(text)
            .file("/etc/caddy/sites/x", "x.com {\n\treverse_proxy x {\n\t\timport ../snip/up\n\t}\n}\n")
            .file("/etc/caddy/sites/y", "y.com {\n\treverse_proxy y\n}")
            .file("/etc/caddy/snip/up", "health_uri /\nhealth_interval 3s");
        let fleet = fleet(&fixture);
        let expected = expected.iter().map(|member| (*member).to_owned()).collect();
        assert_eq!((members(&fleet), troubles(&fleet)), (expected, vec![]), "{name}");
    }
}

#[test]
fn lb_01_caddy_says_what_it_would_refuse_and_where_a_value_comes_from() {
    for (text, expected, lines) in [
        (
            "a.com {\nreverse_proxy a {\nhealth_uri /\nhealth_interval 30\n}\n}",
            &["a.com/a:80: unresolved"][..],
            &[4][..],
        ),
        ("a.com {\nreverse_proxy a {\nhealth_uri /\nhealth_interval {$I}\n}\n}", &["a.com/a:80: unresolved"], &[4]),
        ("a.com {\nreverse_proxy a {\nhealth_uri /\nhealth_fails many\n}\n}", &["a.com/a:80: unresolved"], &[4]),
        ("a.com {\nreverse_proxy {$BACKEND}\n}", &["a.com/{$BACKEND}: unresolved"], &[]),
        ("import none\nimport {$X}/*\nimport\n", &[], &[1, 2, 3]),
        ("(a) {\nimport b\n}\n(b) {\nimport a\n}\nx.com {\nimport a\n}", &[], &[5]),
        ("a.com {\nreverse_proxy b\n", &[], &[1]),
        ("}\na.com {\nreverse_proxy b\n}", &["a.com/b:80: never"], &[1]),
        ("a.com {\nrespond \"x\n}", &[], &[2]),
        ("a.com {\nreverse_proxy a { health_uri /\n}\n}", &[], &[2]),
    ] {
        let fleet = fleet(&file(text));
        let lines: Vec<String> = lines.iter().map(|line| format!("{FILE}:{line}")).collect();
        let expected = expected.iter().map(|member| (*member).to_owned()).collect();
        assert_eq!((members(&fleet), troubles(&fleet)), (expected, lines), "{text}");
    }
    let text = "a.com {\nreverse_proxy a:80 {\nhealth_port 81\nhealth_interval {$I:300s}\n}\n}";
    let fleet = fleet(&file(text));
    let (_, active) = fleet.pools[0].active().next().expect("it is probed");
    let place = line_of(FILE, 4, "health_interval 300s (default of a variable)");
    assert_eq!(active.interval, Setting::at(300.0, place));
    assert_eq!(active.elsewhere, Some(line_of(FILE, 3, "health_port 81")));
}

#[test]
fn lb_01_caddy_json_is_searched_for_proxies() {
    let proxy = |checks: &str| {
        format!(
            r#"{{"apps":{{"http":{{"servers":{{"s":{{"routes":[{{"handle":[{{"handler":"subroute","routes":[{{"handle":[
            {{"handler":"reverse_proxy","upstreams":[{{"dial":"a:1"}}],{checks}}}]}}]}}]}}]}}}}}}}}}}"#
        )
    };
    let name = "apps.http.servers.s.routes[0].handle[0].routes[0].handle[0]";
    for (checks, expected) in [
        (r#""x":1"#, "a:1: never"),
        (r#""health_checks":{"active":{"uri":"/"}}"#, "a:1: 30 35 30"),
        (r#""health_checks":{"active":{"uri":"/","interval":"10s","timeout":2000000000,"fails":2}}"#, "a:1: 20 22 10"),
        (r#""health_checks":{"active":{"port":9,"interval":10000000000}}"#, "a:1: 10 15 10"),
        (r#""health_checks":{"active":{"uri":"","interval":"5s"}}"#, "a:1: never"),
        (r#""health_checks":{"active":{"uri":"/","interval":"5"}}"#, "a:1: unresolved"),
        (r#""health_checks":{"passive":{"fail_duration":"9s","max_fails":2}}"#, "a:1: passive inf 2 9"),
        (r#""dynamic_upstreams":{"source":"srv"}"#, "a:1: never"),
    ] {
        let fixture = Fixture::live()
            .process(7, 'S', &["/usr/bin/caddy", "run", "--environ", "--config", "/srv/c.json"])
            .file("/srv/c.json", proxy(checks));
        let fleet = fleet(&fixture);
        assert_eq!(members(&fleet).first(), Some(&format!("{name}/{expected}")), "{checks}");
        assert_eq!(fleet.pools[0].place.source(), "/srv/c.json");
    }
}

#[test]
fn lb_01_caddy_reads_the_file_that_runs() {
    let site = |name: &str| format!("{name} {{\nreverse_proxy a\n}}");
    for (argv, expected) in [
        (&["caddy", "run", "--config", "/srv/one"][..], "one/a:80: never"),
        (&["caddy", "run", "-config=/srv/one", "--adapter", "caddyfile"], "one/a:80: never"),
        (&["caddy", "run", "--config=/etc/caddy/Caddyfile"], "usual/a:80: never"),
        (&["caddy", "file-server"], "usual/a:80: never"),
    ] {
        let fixture = Fixture::live().process(7, 'S', argv).file("/srv/one", site("one")).file(FILE, site("usual"));
        assert_eq!(members(&fleet(&fixture)), [expected], "{argv:?}");
    }
    let other = Fixture::live().process(7, 'S', &["caddy", "run", "--config", "/x.yaml", "--adapter", "yaml"]);
    assert_eq!(troubles(&fleet(&other)), ["/x.yaml"]);
    let resumed = Fixture::live().process(7, 'S', &["caddy", "run", "--resume"]).file(RESUMED, "{}\n{").file(FILE, "");
    assert_eq!(troubles(&fleet(&resumed)), [format!("{RESUMED}:2")]);
    let nothing = Fixture::image();
    assert!(read(&nothing.host()).is_none());
}

#[test]
fn chk_01_chk_04_caddy_takes_anything_without_a_guess() {
    let bomb: String =
        (1..12).map(|n| format!("(s{n}) {{\n{}}}\n", format!("import s{}\n", n - 1).repeat(10))).collect();
    for (name, bytes) in [
        ("a block without end", b"a.com {\n".to_vec()),
        ("NUL", b"a\0b\n".to_vec()),
        ("UTF-16", "a.com {".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("more than may be read", vec![b'x'; 9 << 20]),
        ("deep blocks", format!("{}{}", "a {\n".repeat(100_000), "}\n".repeat(100_000)).into_bytes()),
        ("a million statements", "a b\n".repeat(150_000).into_bytes()),
        ("itself", format!("import {FILE}\n").into_bytes()),
        ("snippets of snippets", format!("(s0) {{\na b c d e f g h\n}}\n{bomb}\nimport s11\n").into_bytes()),
        ("an open heredoc", b"a <<X\nb\n".to_vec()),
    ] {
        let fleet = fleet(&file(bytes));
        assert!(fleet.pools.is_empty(), "{name}");
        assert!(!fleet.troubles.is_empty() && fleet.troubles.len() <= 50, "{name}");
    }
    // These are strange, but no harm: one huge word, and braces that open nothing.
    for bytes in [vec![b'x'; 7 << 20], b"{ { {\n}\n".to_vec(), b"\xff\xfe{$".to_vec()] {
        assert!(fleet(&file(bytes)).pools.is_empty());
    }
    for bytes in ["[".repeat(1 << 20), "{\"apps\":{\"http\":{\"servers\":[[[[1".to_owned(), "nul".to_owned()] {
        let fixture = Fixture::live().process(7, 'S', &["caddy", "run", "--config", "/c.json"]).file("/c.json", bytes);
        assert_eq!(troubles(&fleet(&fixture)), ["/c.json:1"]);
    }
}
