//! A host's own checks with the real binary: packs, their lock and tests, and plugins that are as hostile as they can be.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs, read clocks and wait")]

#[path = "../../tests/src/not_tested.rs"]
mod not_tested;

use not_tested::not_tested;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where Debian's monitoring-plugins-basic puts them.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// A trial's folder, with an `etc` of its own.
struct Trial(TempDir);

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc/packs")).unwrap();
        // Plugins run as somebody else, who must get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn ceiling(&self, text: &str) -> PathBuf {
        self.file("etc/ceiling.toml", &format!("version = 1\n{text}\n[end]\n"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let folder = self.0.path().to_str().unwrap();
        Command::new(env!("CARGO_BIN_EXE_cloud-doctor-agent"))
            .args(["--state-dir", folder])
            .args(arguments)
            .env_clear()
            .output()
            .unwrap()
    }

    fn check(&self, arguments: &[&str]) -> (i32, Vec<Value>, Value) {
        let output = self.run(&[&["check", "--json", "--all"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (output.status.code().unwrap(), document["findings"].as_array().unwrap().clone(), document)
    }

    /// The finding of one plugin, run as whoever runs the test unless `user` says who.
    fn plugin(&self, exec: &Path, more: &str) -> Value {
        let own = format!("user = \"{}\"", whoami());
        let more = if more.contains("user") { more.to_owned() } else { format!("{more}\n{own}") };
        self.ceiling(&format!("[[plugin]]\nid = \"x.site.it\"\nexec = \"{}\"\n{more}\n", exec.display()));
        let (_, findings, document) = self.check(&["x.site.it"]);
        assert_eq!(findings.len(), 1, "{document}");
        findings[0].clone()
    }
}

fn whoami() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A pack whose check looks at `/etc/app.conf`.
fn pack(version: &str) -> String {
    format!(
        r#"pack: app
version: {version}
requires: {{ schema: 1 }}
checks:
  - id: x.app.workers
    title: {{ en: Workers of the application, zh: 应用的工作进程 }}
    collect: {{ conf: {{ use: file.kv, path: /etc/app.conf }} }}
    params: {{ least: 4 }}
    crit: {{ when: conf.values.workers < 1 }}
    warn: {{ when: conf.values.workers < param.least }}
    value: conf.values.workers
    message: {{ en: "{{conf.values.workers}} workers", zh: "{{conf.values.workers}} 个工作进程" }}
    remedy: Start more of them.
    tests:
      - name: too few
        given: {{ conf: {{ values: {{ workers: 2 }} }} }}
        expect: [ {{ state: warn, message: 2 workers }} ]
      - name: enough
        given: {{ conf: {{ values: {{ workers: 8 }} }} }}
        expect: []
"#
    )
}

/// A root with `/etc/app.conf`.
fn root(text: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/app.conf"), text).unwrap();
    root
}

#[test]
fn a_pack_is_listed_explained_run_and_set_like_any_check() {
    let trial = Trial::new();
    trial.file("etc/packs/app.yaml", &pack("1.0.0"));
    let root = root("workers = 2\n");
    let folder = root.path().to_str().unwrap();
    let (code, findings, _) = trial.check(&["x", "--root", folder]);
    assert_eq!((code, findings.len()), (1, 1));
    let finding = &findings[0];
    assert_eq!(
        (&finding["check"], &finding["status"], &finding["value"]),
        (&"x.app.workers".into(), &"warning".into(), &2.0.into())
    );
    assert_eq!((&finding["summary"], &finding["remedy"]), (&"2 workers".into(), &"Start more of them.".into()));
    assert_eq!(finding["evidence"][0]["text"], "conf.values.workers < param.least");
    assert_eq!(trial.check(&["x.app.workers", "--root", folder, "--set", "x.app.workers.least=2"]).0, 0);
    let chinese = trial.run(&["check", "x.app.workers", "--root", folder, "--lang", "zh"]);
    assert!(text(&chinese.stdout).contains("2 个工作进程") && text(&chinese.stdout).contains("Start more of them."));
    let list = text(&trial.run(&["check", "--list", "--lang", "zh"]).stdout);
    assert!(list.contains("自定义检查") && list.contains("应用的工作进程"), "{list}");
    let explained = text(&trial.run(&["check", "--explain", "x.app.workers"]).stdout);
    assert!(explained.contains("/etc/app.conf") && explained.contains("x.app.workers.least = 4"), "{explained}");
    let json: Value = serde_json::from_slice(&trial.run(&["check", "--list", "--json"]).stdout).unwrap();
    assert!(json.as_array().unwrap().iter().any(|one| one["id"] == "x.app.workers" && one["group"] == "x"));
}

#[test]
fn a_pack_that_is_refused_is_a_finding_and_hides_nothing_else() {
    let trial = Trial::new();
    trial.file("etc/packs/app.yaml", &pack("1.0.0"));
    trial.file("etc/packs/bad.yaml", "pack: bad\nversion: x\ncolour: red\n");
    let root = root("workers = 8\n");
    let (code, findings, document) = trial.check(&["x", "--root", root.path().to_str().unwrap()]);
    assert_eq!((code, findings.len()), (3, 2), "{document}");
    assert_eq!((&findings[0]["check"], &findings[0]["status"]), (&"x.refused".into(), &"unknown".into()));
    let why = findings[0]["summary"].as_str().unwrap();
    assert!(why.contains("bad.yaml:2") && why.contains("no field colour"), "{why}");
    // Whoever asks for a check that was refused learns why.
    let (code, findings, _) = trial.check(&["x.bad.one", "--root", root.path().to_str().unwrap()]);
    assert_eq!((code, &findings[0]["check"]), (3, &"x.refused".into()));
    // What somebody names on the command line is refused there and then.
    let refused = trial.run(&["check", "x", "--pack", trial.path("etc/packs/bad.yaml").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("no field colour"));
}

#[test]
fn pack_test_prints_each_test_and_fails_with_one() {
    let trial = Trial::new();
    let good = trial.file("good.yaml", &pack("1.0.0"));
    let bad = trial.file("bad.yaml", &pack("1.0.0").replace("workers: 8", "workers: 3"));
    let output = trial.run(&["pack", "test", good.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("x.app.workers too few")
            && text(&output.stdout).contains("2 tests passed, 0 failed")
    );
    let output = trial.run(&["pack", "test", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("FAILED") && text(&output.stdout).contains("not expected"),
        "{}",
        text(&output.stdout)
    );
    // Nor is such a check believed.
    let root = root("workers = 0\n");
    let (_, findings, _) =
        trial.check(&["x.app.workers", "--root", root.path().to_str().unwrap(), "--pack", bad.to_str().unwrap()]);
    assert!(findings[0]["summary"].as_str().unwrap().contains("its own test"), "{}", findings[0]);
    let schema: Value = serde_json::from_slice(&trial.run(&["pack", "schema"]).stdout).unwrap();
    assert_eq!(schema["$id"], "cloud-doctor/pack/v1");
}

#[test]
fn chk_06_a_pack_that_asks_for_shadow_is_refused_by_name() {
    let trial = Trial::new();
    for path in ["/etc/shadow", "/etc/gshadow", "/proc/1/environ"] {
        let text_of = pack("1.0.0").replace("/etc/app.conf", path);
        let file = trial.file("secret.yaml", &text_of);
        let output = trial.run(&["check", "x", "--pack", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3));
        assert!(
            text(&output.stderr).contains(path) && text(&output.stderr).contains("CHK-06"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn chk_06_a_pack_that_others_could_have_written_is_refused() {
    let trial = Trial::new();
    let file = trial.file("etc/packs/app.yaml", &pack("1.0.0"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let root = root("workers = 8\n");
    let (code, findings, document) = trial.check(&["x", "--root", root.path().to_str().unwrap()]);
    assert_eq!((code, findings.len()), (3, 1), "{document}");
    assert!(findings[0]["summary"].as_str().unwrap().contains("must not be writable"), "{document}");
}

#[test]
fn chk_09_a_changed_or_older_pack_is_refused_once_it_is_locked() {
    let trial = Trial::new();
    let file = trial.file("etc/packs/app.yaml", &pack("1.2.0"));
    let root = root("workers = 8\n");
    let refused = || {
        let (_, findings, document) = trial.check(&["x", "--root", root.path().to_str().unwrap()]);
        assert_eq!(findings.len(), 1, "{document}");
        (findings[0]["check"] == "x.refused").then(|| findings[0]["summary"].as_str().unwrap().to_owned())
    };
    assert_eq!(trial.run(&["pack", "lock"]).status.code(), Some(0));
    assert_eq!(refused(), None);
    trial.file("etc/packs/app.yaml", &pack("1.2.0").replace("< 1 ", "< 2 "));
    assert!(refused().unwrap().contains("has the hash sha256:"));
    trial.file("etc/packs/app.yaml", &pack("1.1.9"));
    assert!(refused().unwrap().contains("older than 1.2.0"));
    assert_eq!(trial.run(&["pack", "lock"]).status.code(), Some(78), "a lock does not go back");
    trial.file("etc/packs/app.yaml", &pack("1.3.0"));
    assert!(refused().unwrap().contains("has the hash"));
    assert_eq!(trial.run(&["pack", "lock"]).status.code(), Some(0));
    assert_eq!(refused(), None);
    let other = format!("sha256:{}", "0".repeat(64));
    let output = Trial::new().run(&["check", "x", "--pack", file.to_str().unwrap(), "--pack-hash", &other]);
    assert!(text(&output.stderr).contains("CHK-09"), "{}", text(&output.stderr));
}

#[test]
fn chk_08_a_pack_that_costs_too_much_is_given_up_and_the_others_are_told() {
    let trial = Trial::new();
    let slow = format!("conf.lines.all(x, {}true)", "size(conf.text)>0&&".repeat(40));
    let text_of = pack("1.0.0").replace("use: file.kv", "use: file.text").replace("{ workers: 2 }", "{}");
    let heavy = text_of
        .replace("pack: app", "pack: heavy")
        .replace("x.app.workers", "x.heavy.lines")
        .replace("conf.values.workers < 1", &format!("\"{slow} && false\""))
        .replace("conf.values.workers < param.least", "\"size(conf.lines) > 0 && conf.lines[0] == 'no'\"")
        .replace("    value: conf.values.workers\n", "")
        .replace("{conf.values.workers}", "{size(conf.lines)}")
        .replace("given: { conf: { values: {} } }", "given: { conf: { lines: ['no'], text: a } }")
        .replace("given: { conf: { values: { workers: 8 } } }", "given: { conf: { lines: [], text: a } }")
        .replace(", message: 2 workers", "");
    trial.file("etc/packs/heavy.yaml", &heavy);
    trial.file("etc/packs/light.yaml", &pack("1.0.0").replace("/etc/app.conf", "/etc/light.conf"));
    let root = root(&"a".repeat(100).lines().cycle().take(9000).map(|line| format!("{line}\n")).collect::<String>());
    fs::write(root.path().join("etc/light.conf"), "workers = 8\n").unwrap();
    let since = Instant::now();
    let (code, findings, document) = trial.check(&["x", "--root", root.path().to_str().unwrap()]);
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    assert_eq!(code, 3, "{document}");
    let of = |id: &str| findings.iter().find(|one| one["check"] == id).unwrap_or_else(|| panic!("{document}")).clone();
    assert_eq!(of("x.app.workers")["status"], "ok");
    let heavy = of("x.heavy.lines");
    assert!(heavy["status"] == "unknown" && heavy["summary"].as_str().unwrap().contains("given up"), "{heavy}");
}

#[test]
fn plugins_say_what_they_say_anywhere() {
    let trial = Trial::new();
    for (script, status, summary) in [
        ("echo 'RAID OK | bad=0;1;2'", "ok", "RAID OK"),
        ("echo 'RAID WARNING'; exit 1", "warning", "RAID WARNING"),
        ("echo 'RAID CRITICAL - 2 disks | bad=2;1;2'; exit 2", "critical", "RAID CRITICAL - 2 disks"),
        ("echo 'no controller'; exit 3", "unknown", "no controller"),
        ("exit 9", "unknown", "exit status 9"),
        ("kill -SEGV $$", "unknown", "signal 11"),
    ] {
        let finding = trial.plugin(&trial.script("plugin", script), "");
        assert_eq!(finding["status"], status, "{script}: {finding}");
        assert!(finding["summary"].as_str().unwrap().contains(summary), "{script}: {finding}");
    }
    let finding = trial.plugin(&trial.script("plugin", "echo \"OK | 'a b'=2MB;1;@5:9 t=12ms\""), "");
    assert_eq!(
        (&finding["details"]["a b [B]"], &finding["details"]["a b crit"]),
        (&2_097_152.0.into(), &"@5:9".into()),
        "{finding}"
    );
    assert_eq!(finding["details"]["t [s]"], 0.012);
}

#[test]
fn chk_08_a_plugin_has_nothing_of_ours() {
    let trial = Trial::new();
    let script = trial.script("plugin", "echo \"$(id -u) $(id -G) $(pwd) [$(env | grep -v ^PWD= | grep -v ^_= | tr '\\n' ' ')] $(grep NoNewPrivs /proc/self/status | tr '\\t' ' ') $(ls /proc/self/fd | wc -l) $(ulimit -c) $#\"");
    let finding = trial.plugin(&script, "args = [\"a b\", \"c\"]");
    let said = finding["summary"].as_str().unwrap();
    assert!(said.contains(" / [LANG=C ] NoNewPrivs: 1 ") && said.ends_with(" 0 2"), "{said}");
    if !is_root() {
        return not_tested("only root can run plugins as nobody");
    }
    let finding = trial.plugin(&script, "user = \"nobody\"");
    let said = finding["summary"].as_str().unwrap();
    assert!(said.starts_with("65534 65534 / "), "{said}");
}

#[test]
fn chk_08_hostile_plugins_are_ended_with_all_that_they_started() {
    let trial = Trial::new();
    let mark = format!("86{:03}", std::process::id() % 1000);
    let lives = |mark: &str| {
        text(&Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout).contains(&format!("sleep {mark}"))
    };
    for (name, script, timeout, status, summary) in [
        ("never ends", format!("sleep {mark}"), "2s", "unknown", "no answer within 2 s"),
        ("forks and stays", format!("sleep {mark} & sleep {mark} & echo fine"), "8s", "ok", "fine"),
        ("flees", format!("setsid sleep {mark} & (setsid -f sleep {mark}; true); echo fine"), "8s", "ok", "fine"),
        ("floods", "head -c 1073741824 /dev/zero".to_owned(), "8s", "unknown", "more than 64 KiB"),
        ("writes a million lines", "yes | head -n 1000000".to_owned(), "8s", "unknown", "more than 64 KiB"),
        ("exits 127", "exit 127".to_owned(), "8s", "unknown", "exit status 127"),
        ("starts what is not there", "/no/such/program".to_owned(), "8s", "unknown", "exit status 127"),
        (
            "takes memory",
            "head -c 1000000000 /dev/zero | tail -n 1 | wc -c >/dev/null; echo done".to_owned(),
            "8s",
            "ok",
            "done",
        ),
        ("ignores signals", format!("trap '' TERM INT HUP; sleep {mark}; sleep {mark}"), "2s", "unknown", "no answer"),
    ] {
        let since = Instant::now();
        let finding = trial.plugin(&trial.script("plugin", &script), &format!("timeout = \"{timeout}\""));
        assert!(since.elapsed() < Duration::from_secs(15), "{name}: {:?}", since.elapsed());
        assert_eq!(finding["status"], status, "{name}: {finding}");
        assert!(finding["summary"].as_str().unwrap().contains(summary), "{name}: {finding}");
        let until = Instant::now() + Duration::from_secs(3);
        while lives(&mark) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!lives(&mark), "{name}: something that it started is still there");
    }
}

#[test]
fn chk_08_a_plugin_that_cannot_or_may_not_run_says_so() {
    let trial = Trial::new();
    let plain = trial.file("plain", "no program");
    let open = trial.script("open", "echo hello");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for (exec, more, part) in [
        (plain.as_path(), "", "exit status 126"),
        (Path::new("/no/such/plugin"), "", "No such file"),
        (Path::new("/etc"), "", "regular file"),
        (open.as_path(), "", "must not be writable"),
        (Path::new("/bin/true"), "user = \"no-such-user\"", "no-such-user"),
    ] {
        let finding = trial.plugin(exec, more);
        assert_eq!(finding["status"], "unknown", "{finding}");
        assert!(finding["summary"].as_str().unwrap().contains(part), "{part}: {finding}");
    }
    trial.ceiling("[[plugin]]\nid = \"cpu.usage\"\nexec = \"/bin/true\"\n");
    let (_, findings, document) = trial.check(&["x"]);
    assert!(
        findings[0]["check"] == "x.refused" && findings[0]["summary"].as_str().unwrap().contains("an id is like"),
        "{document}"
    );
    // On another root they would tell of the wrong host.
    trial.ceiling("[[plugin]]\nid = \"x.site.it\"\nexec = \"/bin/true\"\n");
    let (_, findings, document) = trial.check(&["x.site.it", "--root", root("").path().to_str().unwrap()]);
    assert!(findings[0]["summary"].as_str().unwrap().contains("only the running host"), "{document}");
}

/// A pack that judges the number that `x.site.it` says.
const MANY: &str = r#"pack: many
version: 1.0.0
requires: { schema: 1 }
checks:
  - id: x.many.n
    title: n
    collect: { it: { use: plugin.nagios, plugin: x.site.it } }
    warn: { when: "it.perf.exists(one, one.value > 10.0)", clear: "it.perf.all(one, one.value < 5.0)" }
    message: "{it.text}"
    remedy: r
    tests:
      - { given: { it: { exit: 0, stdout: "a | n=20" } }, expect: [ { state: warn } ] }
      - { given: { it: { exit: 0, stdout: "a | n=7" } }, expect: [] }
"#;

#[test]
fn r_17_ceiling_check_tells_what_a_relay_may_have_run() {
    let trial = Trial::new();
    trial.file("etc/packs/many.yaml", MANY);
    trial.ceiling(
        "[[plugin]]\nid = 'x.site.it'\nexec = '/bin/echo'\nargs = ['a b']\nuser = 'www-data'\ntimeout = '3s'\n\
         [[rule]]\nscope = 'checks'\nmode = 'allow'\nchecks = ['x.many.n', 'x.no.such']\n",
    );
    for (locale, parts) in [
        (
            "C",
            [
                "plugin x.site.it: runs /bin/echo 'a b' as www-data, for 3s at most. Not from afar now.",
                "check x.many.n of the pack",
                "may have it run at any time, without a signature.",
                "names the check x.no.such, which there is not",
            ],
        ),
        (
            "zh_CN.UTF-8",
            [
                "\u{63d2}\u{4ef6} x.site.it",
                "/bin/echo 'a b'",
                "\u{7528}\u{6237} www-data",
                "\u{65e0}\u{9700}\u{7b7e}\u{540d}",
            ],
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cloud-doctor-agent"))
            .args(["ceiling", "check", "--state-dir", trial.0.path().to_str().unwrap()])
            .env_clear()
            .env("LC_ALL", locale)
            .output()
            .unwrap();
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}");
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

#[test]
fn what_a_run_found_holds_for_the_next_one_of_roots_and_for_no_other() {
    let trial = Trial::new();
    trial.file("etc/packs/many.yaml", MANY);
    let run = |n: u32, more: &[&str]| {
        let own = whoami();
        trial.ceiling(&format!(
            "[[plugin]]\nid = 'x.site.it'\nexec = '/bin/echo'\nargs = ['fine | n={n}']\nuser = '{own}'\n"
        ));
        let output = trial.run(&[&["check", "x.many.n", "--json", "--all"], more].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let finding = document["findings"][0].clone();
        (finding["status"].as_str().unwrap().to_owned(), finding["since"].as_u64(), text(&output.stderr))
    };
    let file = trial.path("checks/found.record");
    assert_eq!((run(20, &["--rto", "15m"]).0.as_str(), file.exists()), ("warning", false), "other numbers than usual");
    let (status, since, said) = run(20, &[]);
    assert_eq!((status.as_str(), said.as_str()), ("warning", ""));
    if !is_root() {
        assert_eq!((since.is_some(), file.exists()), (true, false), "only root's runs are kept");
        return not_tested("only root's runs are kept");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Below where it fires, above where it is over: it holds, since then.
    assert_eq!(run(7, &[]), ("warning".into(), since, String::new()));
    assert_eq!(run(3, &[]).0, "ok");
    assert_eq!(run(7, &[]).0, "ok");
    assert_eq!(run(20, &[]).0, "warning");
    // Another root's is another host's.
    let (kept, root) = (fs::read(&file).unwrap(), root("workers = 2\n"));
    trial.check(&["cpu.usage", "x.many.n", "--root", root.path().to_str().unwrap()]);
    assert_eq!(fs::read(&file).unwrap(), kept);
    // Neither believed nor in the way.
    fs::write(&file, "junk").unwrap();
    let (status, _, said) = run(7, &[]);
    assert!(status == "ok" && said.contains("begins anew") && said.contains("found.record"), "{status} {said}");
    assert_eq!((run(20, &[]).0.as_str(), run(20, &[]).2.as_str()), ("warning", ""));
    assert_eq!(run(7, &[]).0, "warning");
}

#[test]
fn debians_plugins_run_unchanged_and_a_pack_judges_one() {
    if !Path::new(PLUGINS).join("check_load").exists() {
        return not_tested("monitoring-plugins-basic is not installed");
    }
    let trial = Trial::new();
    let exec = |name: &str| Path::new(PLUGINS).join(name);
    for (name, args, status, part) in [
        ("check_dummy", "[\"0\", \"all well\"]", "ok", "OK: all well"),
        ("check_dummy", "[\"1\", \"so so\"]", "warning", "WARNING: so so"),
        ("check_dummy", "[\"2\", \"bad\"]", "critical", "CRITICAL: bad"),
        ("check_dummy", "[\"3\", \"what\"]", "unknown", "UNKNOWN: what"),
        ("check_load", "[\"-w\", \"1000,1000,1000\", \"-c\", \"2000,2000,2000\"]", "ok", "load average"),
        ("check_disk", "[\"-w\", \"0\", \"-c\", \"0\", \"-p\", \"/\"]", "ok", "DISK OK"),
        ("check_procs", "[\"-w\", \"1:100000\", \"-c\", \"1:200000\"]", "ok", "PROCS OK"),
    ] {
        let finding = trial.plugin(&exec(name), &format!("args = {args}"));
        assert_eq!(finding["status"], status, "{name}: {finding}");
        assert!(finding["summary"].as_str().unwrap().contains(part), "{name}: {finding}");
        if name != "check_dummy" {
            assert!(
                finding["value"].is_number() && finding["details"].as_object().unwrap().len() > 1,
                "{name}: {finding}"
            );
        }
    }
    let judge = pack("1.0.0")
        .replace("use: file.kv, path: /etc/app.conf", "use: plugin.nagios, plugin: x.site.it")
        .replace("conf.values.workers < 1", "conf.state == 2")
        .replace(
            "conf.values.workers < param.least",
            "\"conf.perf.exists(one, one.name == 'load1' && one.value >= 0.0)\"",
        )
        .replace("    value: conf.values.workers\n", "")
        .replace("{conf.values.workers}", "{conf.text}")
        .replace(", message: 2 workers", "")
        .replace("{ values: { workers: 2 } }", "{ exit: 0, stdout: 'OK | load1=1;5;9' }")
        .replace("{ values: { workers: 8 } }", "{ exit: 0, stdout: OK }");
    trial.file("etc/packs/app.yaml", &judge);
    trial.plugin(&exec("check_load"), "args = [\"-w\", \"1000,1000,1000\", \"-c\", \"2000,2000,2000\"]");
    let (_, findings, document) = trial.check(&["x.app.workers"]);
    assert_eq!(findings[0]["status"], "warning", "{document}");
    assert!(findings[0]["summary"].as_str().unwrap().contains("load average"), "{document}");
}
