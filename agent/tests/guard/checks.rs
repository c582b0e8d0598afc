//! What a relay may have run without a grant: what the ceiling lists, at a bounded rate, signed.

use crate::client::Client;
use crate::host::{Host, eventually};
use cloud_doctor_proto::checks::{CheckReport, CheckRequest, Report, ReportError};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::{AgentId, Nonce, StreamId};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Instant, SystemTime};

const LISTED: &str = "version = 1\n[[rule]]\nscope = \"checks\"\nmode = \"allow\"\nchecks = [\"cpu.usage\"]\n[end]\n";
const NEVER: &str = "version = 1\n[[rule]]\nscope = \"checks\"\nmode = \"never\"\n[end]\n";

const NONCE: Nonce = Nonce([9; 16]);

fn ask(host: &Host, checks: &[&str]) -> Result<CheckReport, Refused> {
    let mut client = Client::silent(host.connect());
    client.say(
        Kind::StreamHead,
        &StreamHead {
            purpose: StreamPurpose::Checks,
            stream: StreamId([1; 16]),
            account: "ann@relay".into(),
            client: String::new(),
        },
    );
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    client.say(Kind::CheckRequest, &CheckRequest { nonce: NONCE, checks });
    client.answer(Kind::CheckReport)
}

fn read(host: &Host, report: &CheckReport) -> Report {
    report.answers(&AgentId::of(&host.customer.verify_key()), &NONCE).unwrap()
}

#[test]
fn r_17_a_relay_has_only_run_what_the_ceiling_lists() {
    let host = Host::with_ceiling(LISTED);
    let signed = ask(&host, &["cpu.usage", "lb", "/bin/sh"]).unwrap();
    let report = read(&host, &signed);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!((report.findings[0].check.as_str(), report.findings[0].value.is_some()), ("cpu.usage", true));
    assert_eq!(report.asked, ["/bin/sh", "cpu.usage", "lb"], "a part is never passed off as the whole");
    assert_eq!(report.refused, ["/bin/sh", "lb"]);
    assert_eq!(report.sandbox_open, [""; 0]);
    assert_eq!(
        signed.answers(&AgentId::of(&host.customer.verify_key()), &Nonce([1; 16])),
        Err(ReportError::Nonce),
        "an older report is no answer"
    );
    host.audited(&["checks-reported", "ann@relay"]);
}

#[test]
fn r_18_runs_that_follow_too_soon_are_told_to_wait() {
    let host = Host::with_ceiling(LISTED);
    ask(&host, &[]).unwrap();
    let refused = ask(&host, &[]).unwrap_err();
    assert_eq!(refused.code, Refusal::ChecksTooOften);
    let secs: u64 = refused.detail.parse().unwrap();
    assert!((1..=20).contains(&secs), "{secs}");
}

#[test]
fn r_17_without_a_rule_nothing_runs() {
    for ceiling in [NEVER, "version = 1\n[end]\n"] {
        let host = Host::with_ceiling(ceiling);
        assert_eq!(ask(&host, &[]).unwrap_err().code, Refusal::ChecksNotAllowed);
    }
    let host = Host::with_ceiling(LISTED);
    assert_eq!(ask(&host, &["no.such-check"]).unwrap_err().code, Refusal::ChecksNotAllowed);
}

/// Who runs plugins: somebody else, where that can be.
fn somebody() -> String {
    let is_root = rustix::process::geteuid().is_root();
    if is_root { "nobody".to_owned() } else { me() }
}

fn me() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

fn plugin(id: &str, exec: &str, args: &[&str], more: &str) -> String {
    format!("[[plugin]]\nid = '{id}'\nexec = '{exec}'\nargs = {args:?}\n{more}\n")
}

fn listing(plugins: &str, checks: &[&str]) -> String {
    format!("version = 1\n{plugins}[[rule]]\nscope = 'checks'\nmode = 'allow'\nchecks = {checks:?}\n[end]\n")
}

/// A pack with checks that judge what a plugin says.
fn pack(host: &Host, checks: &[(&str, &str, &str)]) {
    let mut text = "pack: app\nversion: 1.0.0\nrequires: { schema: 1 }\nchecks:\n".to_owned();
    for (id, plugin, levels) in checks {
        write!(
            text,
            "  - id: {id}\n    title: t\n    collect: {{ it: {{ use: plugin.nagios, plugin: {plugin} }} }}\n{levels}    message: \"{{it.text}}\"\n    remedy: r\n    \
             tests:\n      - {{ given: {{ it: {{ exit: 0, stdout: \"a | n=20\" }} }}, expect: [ {{ state: crit }} ] }}\n      - {{ given: {{ it: {{ exit: 0, stdout: \"a | n=7\" }} }}, expect: [] }}\n"
        )
        .unwrap();
    }
    fs::create_dir_all(host.dir.join("etc/packs")).unwrap();
    fs::write(host.dir.join("etc/packs/app.yaml"), text).unwrap();
}

const MANY: &str = "    crit: { when: \"it.perf.exists(one, one.value > 10.0)\" }\n";
/// Critical after a second only, and warning from 10 up to where it is below 5 again.
const SLOWLY: &str = "    crit: { when: \"it.perf.exists(one, one.value > 10.0)\", for: 1s }\n    \
     warn: { when: \"it.perf.exists(one, one.value > 10.0)\", clear: \"it.perf.all(one, one.value < 5.0)\" }\n";

fn of<'a>(report: &'a Report, check: &str) -> &'a Finding {
    report.findings.iter().find(|one| one.check == check).unwrap_or_else(|| panic!("{check}: {report:?}"))
}

#[test]
fn r_17_packs_and_plugins_run_for_a_relay_as_the_ceiling_says_and_no_others() {
    let mut host = Host::enrolled("");
    let (user, ran) = (format!("user = '{}'", somebody()), host.dir.join("ran"));
    let ran_text = ran.to_str().unwrap().to_owned();
    let plugins = plugin("x.site.who", "/usr/bin/id", &["-un"], &user)
        + &plugin("x.site.hang", "/bin/sleep", &["60"], &format!("{user}\ntimeout = '1s'"))
        + &plugin("x.site.other", "/usr/bin/touch", &[&ran_text], &format!("user = '{}'", me()));
    let listed = ["x.site.who", "x.site.hang", "x.app.who", "x.app.other", "x.app.gone", "cpu.load"];
    fs::write(host.dir.join("etc/ceiling.toml"), listing(&plugins, &listed)).unwrap();
    pack(
        &host,
        &[("x.app.who", "x.site.who", MANY), ("x.app.other", "x.site.other", MANY), ("x.app.not", "x.site.who", MANY)],
    );
    host.run();
    let since = Instant::now();
    let report = read(&host, &ask(&host, &["x", "cpu.load", "x.site.other", "x.app.not", "x.app.gone"]).unwrap());
    assert!(since.elapsed().as_secs() < 9, "what hangs is given up: {:?}", since.elapsed());
    assert_eq!(
        (of(&report, "x.site.who").status, of(&report, "x.site.who").summary.en.as_str()),
        (Status::Ok, &*somebody())
    );
    let hung = of(&report, "x.site.hang");
    assert!(hung.status == Status::Unknown && hung.summary.en.contains("no answer within 1 s"), "{hung:?}");
    assert_eq!(of(&report, "x.app.who").status, Status::Ok);
    assert_eq!(of(&report, "cpu.load").since, Some(report.at));
    // A check that may run starts no program that may not.
    let other = of(&report, "x.app.other");
    assert!(other.status == Status::Unknown && other.summary.en.contains("does not allow it"), "{other:?}");
    assert_eq!(report.refused, ["x.app.not", "x.site.other", "x.app.gone"]);
    assert_eq!(report.findings.len(), 5, "{report:?}");
    assert!(!ran.exists());
    // Whoever sits at the server may run it.
    host.ask(&["check", "x.site.other"]);
    assert!(ran.exists());
}

#[test]
fn what_a_relays_runs_found_is_known_to_the_next_one_and_to_nobody_else() {
    let mut host = Host::enrolled("");
    pack(&host, &[("x.app.n", "x.site.n", SLOWLY)]);
    let user = format!("user = '{}'", somebody());
    // Guard is another one each time: it must not be its memory that knows.
    let mut run = |n: u32, before: &mut dyn FnMut(&Host)| {
        let plugins = plugin("x.site.n", "/bin/echo", &[&format!("fine | n={n}")], &user);
        fs::write(host.dir.join("etc/ceiling.toml"), listing(&plugins, &["x"])).unwrap();
        before(&host);
        host.run();
        let report = read(&host, &ask(&host, &["x.app.n"]).unwrap());
        host.kill();
        let found = of(&report, "x.app.n").clone();
        (found.status, found.since.unwrap(), report.at)
    };
    let nothing = &mut |_: &Host| {};
    let (status, since, at) = run(20, nothing);
    assert_eq!((status, since), (Status::Warning, at));
    eventually("a second has passed", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        (now.as_secs() > at.0 + 1).then_some(())
    });
    let (status, since, at) = run(20, nothing);
    assert_eq!((status, since), (Status::Critical, at), "it has held for long enough");
    let (status, warned, _) = run(7, nothing);
    assert_eq!(status, Status::Warning, "below where it fires, above where it is over");
    let (status, since, _) = run(8, nothing);
    assert_eq!((status, since), (Status::Warning, warned));
    // On the command line nothing was found before.
    let mut alone = |host: &Host| {
        let output = host.ask(&["check", "x.app.n", "--json", "--all"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\"status\":\"ok\""), "{text}");
    };
    assert_eq!(run(8, &mut alone).0, Status::Warning);
    assert_eq!(run(3, nothing).0, Status::Ok);
    assert_eq!(run(20, nothing).0, Status::Warning);
    let mut damage = |host: &Host| fs::write(host.dir.join("guard/found.record"), "junk").unwrap();
    assert_eq!(run(8, &mut damage).0, Status::Ok, "what is damaged is not believed");
    assert_eq!(run(20, nothing).0, Status::Warning);
    assert_eq!(run(8, nothing).0, Status::Warning, "and begins anew");
}
