//! Packs from their text to their findings.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fixture::Fixture;
use crate::run::Wanted;

/// A pack that is well, with its lines by number.
const GOOD: &str = r#"pack: lb-core
version: 1.4.0
requires: { agent: ">=0.1", schema: 1 }
checks:
  - id: x.lb-core.late
    title: { en: "Dead backend detected too late", zh: "故障后端发现过慢" }
    collect: { lb: { use: lb.effective_config, kinds: [haproxy, nginx] } }
    for_each: lb.backends.filter(one, one.active)
    let: { down: "item.detect.hang_ms", rto: "param.rto_s * 1000" }
    params: { rto_s: 900 }
    crit: { when: "down > 300000 || down * 4 > rto", clear: "down <= 60000" }
    warn: { when: "down > 60000", clear: "down <= 45000" }
    value: down
    unit: ms
    message: "{item.name}: a hang is noticed after {down|duration} (interval {item.interval_ms|duration}, fall {item.fall})"
    evidence: [ item.inherited_from ]
    remedy: { en: "Probe more often." }
    tests:
      - name: the seed case
        given: { lb: { backends: [ { name: web, active: true, interval_ms: 300000, fall: 3, detect: { hang_ms: 1800000 } } ] } }
        expect: [ { subject: web, state: crit, message: "30 min" } ]
      - name: defaults
        given: { lb: { backends: [ { name: web, active: true, interval_ms: 2000, fall: 3, detect: { hang_ms: 12000 } } ] } }
        expect: []
      - name: what fired holds until it is clear
        given: { lb: { backends: [ { name: web, active: true, interval_ms: 2000, fall: 3, detect: { hang_ms: 50000 } } ] } }
        before: [ { subject: web, state: warn } ]
        expect: [ { subject: web, state: warn } ]
"#;

fn source(text: &str) -> Source {
    Source { path: "/p.yaml".to_owned(), text: text.to_owned() }
}

fn faults(text: &str) -> Vec<Fault> {
    open(&source(text)).err().unwrap_or_default()
}

/// The one check of a pack over a host.
fn found(text: &str, fixture: &Fixture, wanted: &Wanted) -> Outcome {
    let read = read::read("/p.yaml", text).unwrap_or_else(|faults| panic!("{}", sentences("", &faults).en));
    let own = &read.checks[0];
    look(own, &fixture.host(), &Settings::of(as_check(own), wanted))
}

/// A small pack around some fields of its check.
fn small(collect: &str, rest: &str, given: [&str; 2]) -> String {
    let [fires, silent] = given;
    format!(
        "pack: p\nversion: 1.0.0\nrequires: {{ schema: 1 }}\nchecks:\n  - id: x.p.c\n    title: t\n    collect: {{ c: {collect} }}\n    {rest}\n    message: m\n    remedy: r\n    tests:\n      - {{ given: {{ c: {fires} }}, expect: [ {{ state: crit }} ] }}\n      - {{ given: {{ c: {silent} }}, expect: [] }}\n"
    )
}

const HAPROXY: &str = "defaults\n    timeout connect 5s\n    timeout server 30s\nbackend web\n    option httpchk GET /\n    default-server inter 300s fall 3 rise 2\n    server web1 10.0.0.1:80 check\n";

#[test]
fn a_pack_is_read_listed_and_finds() {
    let pack = open(&source(GOOD)).unwrap_or_else(|faults| panic!("{}", sentences("", &faults).en));
    assert_eq!((pack.name.as_str(), pack.version.as_str()), ("lb-core", "1.4.0"));
    assert_eq!(pack.ids, ["x.lb-core.late"]);
    let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", HAPROXY);
    let all = found(GOOD, &fixture, &Wanted::default()).unwrap();
    assert_eq!((all.len(), all[0].status, all[0].subject.as_str()), (1, Status::Critical, "haproxy backend web/web1"));
    assert_eq!(all[0].summary.zh, "haproxy backend web/web1: a hang is noticed after 30 min (interval 300 s, fall 3)");
    assert_eq!(all[0].value, Some((1_800_000.0, "ms")));
    let sources: Vec<_> = all[0].evidence.iter().map(|one| one.source.as_str()).collect();
    assert_eq!(sources, ["/etc/haproxy/haproxy.cfg:7", "item.inherited_from", "/p.yaml:11"]);
    assert_eq!(all[0].evidence[2].text, "down > 300000 || down * 4 > rto");
    let fast = HAPROXY.replace("300s", "2s").replace("timeout server", "timeout check 1s\n    timeout server");
    let fast = Fixture::image().file("/etc/haproxy/haproxy.cfg", fast);
    assert_eq!(found(GOOD, &fast, &Wanted::default()).unwrap()[0].status, Status::Ok);
    assert!(matches!(found(GOOD, &Fixture::image(), &Wanted::default()), Err(Gap::NotHere(_))));
}

#[test]
fn a_parameter_that_somebody_has_set_counts() {
    let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", HAPROXY.replace("300s", "14s"));
    let mut wanted = Wanted::default();
    let status = |wanted: &Wanted| found(GOOD, &fixture, wanted).unwrap()[0].status;
    assert_eq!(status(&wanted), Status::Warning);
    wanted.set.insert("x.lb-core.late.rto_s".to_owned(), 100.0);
    assert_eq!(status(&wanted), Status::Critical);
}

#[test]
fn every_fault_of_a_file_is_told_at_once_with_its_line() {
    let text = GOOD
        .replace("version: 1.4.0", "version: one\nowner: me")
        .replace("id: x.lb-core.late", "id: lb.detection-time")
        .replace("lb.effective_config, kinds: [haproxy, nginx]", "lb.effective_config, kinds: [haproxy, f5]")
        .replace("clear: \"down <= 45000\"", "clear: \"down <= \"")
        .replace("unit: ms", "unit: fortnights")
        .replace("expect: []", "expect: [ { state: bad } ]");
    let found: Vec<_> = faults(&text).into_iter().map(|fault| (fault.line, fault.why.en)).collect();
    for (line, part) in [
        (2, "version is three numbers"),
        (3, "no field owner"),
        (6, "lb.detection-time must be x.lb-core."),
        (8, "no kind f5"),
        (13, "no expression"),
        (15, "unit is one of"),
        (25, "state is warn, crit"),
        (19, "one that is silent"),
    ] {
        assert!(found.iter().any(|(at, why)| *at == line && why.contains(part)), "{line} {part}: {found:#?}");
    }
}

#[test]
fn what_is_wrong_with_a_pack_is_said() {
    for (from, to, part) in [
        ("pack: lb-core", "pack: LB", "a-z, 0-9"),
        ("schema: 1", "schema: 2", "this agent reads 1"),
        (">=0.1", ">=99", "needs an agent"),
        (">=0.1", "1", "written like"),
        ("item.detect.hang_ms", "lb.backends.map(x, x)", "no map"),
        ("down > 60000\"", "lb.backends.all(x, lb.backends.all(y, y == x))\"", "inside another"),
        ("lb.effective_config,", "shell,", "no collector shell"),
        ("kinds: [haproxy, nginx]", "command: rm", "no field command"),
        ("fall {item.fall})", "fall {item.fall)", "brace"),
        ("down|duration", "down|poem", "no form poem"),
        ("let: { down:", "let: { item:", "cannot be a name"),
        ("params: { rto_s: 900 }", "params: { rto_s: much }", "params holds numbers"),
        ("remedy: { en: \"Probe more often.\" }", "remedy: { zh: \"x\" }", "en is missing"),
        ("given: { lb:", "given: { xx:", "xx is collected nowhere"),
        ("when: \"down > 60000\", ", "", "when is missing"),
        ("when: \"down > 60000\"", "when: \"down > 60000\", for: soon", "for is a time"),
        ("for_each: ", "for_each: ''\n    for_each: ", "stands here twice"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.why.en.contains(part)), "{from} -> {to}: {found:#?}");
    }
    for (text, part) in [
        ("", "no pack here"),
        ("a: [", "line"),
        ("- 1\n", "a pack must be a map"),
        ("pack: a\n---\npack: b\n", "one pack"),
        (&"x".repeat(PACK_BYTES_MAX + 1), "at most are read"),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|fault| fault.why.en.contains(part)), "{:.20}: {found:#?}", text);
    }
}

#[test]
fn a_check_without_a_firing_and_a_silent_test_is_refused() {
    let silent_only = GOOD.split("      - name: the seed case").next().unwrap().to_owned();
    assert!(faults(&silent_only).iter().any(|fault| fault.why.en.contains("needs tests")));
    assert!(faults(&silent_only.replace("    tests:\n", "")).iter().any(|fault| fault.why.en.contains("needs tests")));
}

#[test]
fn fixtures_that_fail_are_told_and_the_check_is_not_believed() {
    let read = read::read("/p.yaml", GOOD).unwrap();
    assert!(
        fixtures::run(&read.checks[0]).iter().all(|tried| tried.wrong.is_none()),
        "{:?}",
        fixtures::run(&read.checks[0])
    );
    for (from, to, part) in [
        ("down > 300000 ||", "down > 3000000 && down < 0 ||", ""),
        ("state: crit, message: \"30 min\"", "state: warn", "not expected: web critical"),
        ("message: \"30 min\"", "message: \"40 min\"", "not expected"),
        ("hang_ms: 12000", "hang_ms: 120000", "not expected"),
        ("hang_ms: 12000 }", "hang_s: 12000 }", "no value"),
    ] {
        let text = GOOD.replace(from, to);
        let read = read::read("/p.yaml", &text).unwrap();
        let wrong: Vec<_> = fixtures::run(&read.checks[0]).into_iter().filter_map(|tried| tried.wrong).collect();
        assert_eq!(wrong.is_empty(), part.is_empty(), "{from} -> {to}: {wrong:?}");
        if !part.is_empty() {
            assert!(wrong[0].en.contains(part), "{}", wrong[0].en);
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", HAPROXY);
            let Err(Gap::Unknown(why)) = found(&text, &fixture, &Wanted::default()) else { panic!("believed") };
            assert!(why.en.contains("its own test in /p.yaml:"), "{}", why.en);
        }
    }
}

#[test]
fn chk_06_a_pack_cannot_ask_for_secrets() {
    for path in ["/etc/shadow", "/etc/gshadow", "/proc/1/environ", "/root/.ssh/id_rsa", "/etc/ssh/ssh_host_rsa_key"] {
        let text = small(
            &format!("{{ use: file.text, path: {path} }}"),
            "crit: { when: \"size(c.text) > 0\" }",
            ["{ text: a }", "{ text: '' }"],
        );
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.line == 7 && fault.why.en.contains("CHK-06")), "{path}: {found:?}");
    }
    let text = small("{ use: sysctl, names: [\"../../etc/shadow\"] }", "crit: { when: \"true\" }", ["{}", "{}"]);
    assert!(faults(&text).iter().any(|fault| fault.why.en.contains("no name of a kernel setting")));
    // What a name cannot tell: a key inside of a harmless file, and a link.
    let text = small(
        "{ use: file.text, path: /etc/app.conf }",
        "crit: { when: \"size(c.text) > 100\" }",
        [&format!("{{ text: {} }}", "x".repeat(101)), "{ text: a }"],
    );
    let key = Fixture::image().file("/etc/app.conf", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n");
    let link = Fixture::image().file("/etc/shadow", "root:x");
    std::os::unix::fs::symlink("shadow", link.path("/etc/app.conf")).unwrap();
    for (fixture, part) in [(key, "private key"), (link, "/etc/shadow holds passwords")] {
        let Err(Gap::Unknown(why)) = found(&text, &fixture, &Wanted::default()) else { panic!("read") };
        assert!(why.en.contains(part), "{}", why.en);
    }
}

#[test]
fn collectors_say_what_is_there() {
    let host = || {
        Fixture::live()
            .file("/etc/app.conf", "# c\nname = 'x y'\nworkers=4\nratio = 0.5\n[s]\n")
            .file("/proc/sys/vm/swappiness", "60\n")
            .file("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
            .file("/proc/self/mountinfo", "27 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n")
            .file("/.statvfs", "100 10 5 1000 100")
            .process(7, 'S', &["/usr/sbin/cron", "--secret"])
    };
    let kv = "{ use: file.kv, path: /etc/app.conf }";
    let sysctl = "{ use: sysctl, names: [vm.swappiness, net.ipv4.tcp_rmem, no.such] }";
    let missing = "{ use: file.text, path: /etc/none, optional: true }";
    for (collect, when, fires, silent) in [
        (
            kv,
            "c.values.workers > 3 && c.values.ratio < 1.0 && c.values.name == 'x y'",
            "{ values: { workers: 4, ratio: 0.5, name: x y } }",
            "{ values: { workers: 1, ratio: 2.5, name: a } }",
        ),
        (
            sysctl,
            "c.values['vm.swappiness'] > 10 && !has(c.values.x)",
            "{ values: { vm.swappiness: 60 } }",
            "{ values: { vm.swappiness: 1 } }",
        ),
        (missing, "!c.present", "{ present: false }", "{ present: true }"),
        ("{ use: processes, names: [cron] }", "c.count == 1", "{ count: 1 }", "{ count: 2 }"),
        (
            "{ use: mounts }",
            "c.mounts.exists(m, m.name == '/' && m.kind == 'ext4' && !m.read_only)",
            "{ mounts: [ { name: /, kind: ext4, read_only: false } ] }",
            "{ mounts: [] }",
        ),
        (
            "{ use: fs.usage }",
            "c.mounts.exists(m, m.used_pct > 90.0)",
            "{ mounts: [ { used_pct: 95.5 } ] }",
            "{ mounts: [] }",
        ),
    ] {
        let text = small(collect, &format!("crit: {{ when: \"{when}\" }}"), [fires, silent]);
        let all = found(&text, &host(), &Wanted::default());
        assert_eq!(all.as_ref().map(|all| all[0].status), Ok(Status::Critical), "{collect}: {all:?}");
        let empty = found(&text, &Fixture::image(), &Wanted::default());
        assert!(collect == missing || empty.is_err(), "{collect}: missing data is never ok");
    }
}

#[test]
fn what_is_missing_of_one_item_is_unknown_and_the_others_are_told() {
    let text = small(
        "{ use: fs.usage }",
        "for_each: c.mounts\n    crit: { when: \"item.used_pct > 90.0\" }",
        ["{ mounts: [ { name: '', used_pct: 95.5 } ] }", "{ mounts: [ { name: a, used_pct: 5.5 } ] }"],
    );
    let fixture = Fixture::live()
        .file(
            "/proc/self/mountinfo",
            "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 1 254:1 / /gone rw - ext4 /dev/vdb rw\n",
        )
        .file("/.statvfs", "100 10 5 1000 100");
    let all = found(&text, &fixture, &Wanted::default()).unwrap();
    let told: Vec<_> = all.iter().map(|one| (one.subject.as_str(), one.status)).collect();
    assert_eq!(told, [("/", Status::Critical), ("/gone", Status::Unknown)]);
}

#[test]
fn a_level_with_for_waits_until_it_has_held_for_as_long() {
    let text = small(
        "{ use: file.kv, path: /etc/a }",
        "crit: { when: \"c.values.n > 1\", for: 10m }",
        ["{ values: { n: 2 } }", "{ values: { n: 1 } }"],
    );
    let at = |now: u64| Fixture::image().file("/etc/a", "n=2").now(now);
    let mut wanted = Wanted::default();
    let first = found(&text, &at(1000), &wanted).unwrap().remove(0);
    assert_eq!((first.status, first.note), (Status::Ok, true));
    assert_eq!(first.details[0].0, "critical_pending_since");
    assert_eq!(first.evidence[0].text, "c.values.n > 1 (for 0 s; counts after 600 s)");
    wanted.pending.insert(("x.p.c".into(), String::new(), "critical_pending_since".into()), 1000);
    assert_eq!(found(&text, &at(1599), &wanted).unwrap()[0].status, Status::Ok);
    assert_eq!(found(&text, &at(1600), &wanted).unwrap()[0].status, Status::Critical);
}

#[test]
fn a_pack_judges_what_a_plugin_said() {
    let text = small(
        "{ use: plugin.nagios, plugin: x.site.raid }",
        "crit: { when: \"c.state == 2 || c.perf.exists(p, p.name == 'bad' && p.crits)\" }",
        ["{ exit: 0, stdout: 'OK | bad=3;1;2' }", "{ exit: 0, stdout: 'OK | bad=0;1;2' }"],
    );
    assert_eq!(open(&source(&text)).unwrap().plugins, ["x.site.raid"]);
    let mut wanted = Wanted::default();
    assert!(matches!(found(&text, &Fixture::live(), &wanted), Err(Gap::Unknown(_))));
    let heard = |exit| Heard { exit: Some(exit), output: "RAID".into(), trouble: None };
    for (exit, expected) in [(0, Status::Ok), (2, Status::Critical)] {
        wanted.plugins.insert("x.site.raid".into(), heard(exit));
        assert_eq!(found(&text, &Fixture::live(), &wanted).unwrap()[0].status, expected);
    }
}

#[test]
fn the_published_schema_names_what_is_read() {
    let schema: Value = serde_json::from_str(schema()).unwrap();
    let keys = |value: &Value| -> Vec<String> { value["properties"].as_object().unwrap().keys().cloned().collect() };
    let sorted = |names: &[&str]| {
        let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(keys(&schema["$defs"]["check"]), sorted(read::FIELDS));
    assert_eq!(keys(&schema["$defs"]["level"]), ["clear", "for", "when"]);
    assert_eq!(keys(&schema["$defs"]["test"]), ["before", "expect", "given", "name"]);
    let collectors = schema["$defs"]["collector"]["oneOf"].as_array().unwrap();
    let uses: Vec<_> = collectors.iter().map(|one| one["properties"]["use"]["const"].as_str().unwrap()).collect();
    assert_eq!(uses.join(", "), collect::USES);
}
