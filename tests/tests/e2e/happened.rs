//! What happened on a host, from its own logs to whoever asks: packages by the real dpkg, the real start of this machine.

use super::people::login;
use cloud_doctor_tests::calls::call;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::people::now;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Plan, Site};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// A secret's form, as the redactor knows it; as a package's name it is a bad idea that somebody will have.
const SECRET: &str = "canary-akiaiosfodnn7example";

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Has dpkg install, upgrade and remove a package in a root of its own, and write its log into `log`.
fn change_packages(root: &Path, log: &Path) {
    fs::create_dir_all(root.join("root/var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(root.join("root/var/lib/dpkg/info")).unwrap();
    fs::write(root.join("root/var/lib/dpkg/status"), "").unwrap();
    let path = |more: &str| root.join(more).display().to_string();
    let dpkg = |arguments: &[&str]| {
        let (of, log) = (format!("--root={}", path("root")), format!("--log={}", log.display()));
        run("/usr/bin/dpkg", &[&[of.as_str(), log.as_str()], arguments].concat());
    };
    for version in ["1.0-1", "1.0-2"] {
        fs::create_dir_all(root.join("package/DEBIAN")).unwrap();
        let control = format!(
            "Package: probe-tool\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.invalid>\n\
             Description: x\n"
        );
        fs::write(root.join("package/DEBIAN/control"), control).unwrap();
        run("/usr/bin/dpkg-deb", &["--build", &path("package"), &path("one.deb")]);
        dpkg(&["--install", &path("one.deb")]);
    }
    dpkg(&["--remove", "probe-tool"]);
}

/// The agent sees `folder` as its `/var/log`.
fn with_logs(site: &mut Site, folder: &Path) {
    let folder = folder.display().to_string();
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/usr/bin/unshare");
        let script = format!("mount --bind {folder} /var/log && exec \"$0\" \"$@\"");
        inside.args(["--mount", "/bin/sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
        inside
    });
}

fn named<'a>(events: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    let all = events["events"].as_array()?;
    let of = |event: &&Value| {
        event["kind"] == kind && event["names"].as_array().unwrap().iter().any(|one| one["name"] == name)
    };
    all.iter().find(of)
}

#[test]
fn web_09_packages_and_the_hosts_start_are_told_while_the_ceiling_says_so() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/dpkg-deb").exists() {
        return not_tested("it takes root and dpkg");
    }
    let mut site = Site::enrolled(Plan { web: Web::Plain, ..Plan::default() });
    let logs = site.world.folder("var-log");
    change_packages(&site.world.folder("packages"), &logs.join("dpkg.log"));
    let more = fs::read_to_string(logs.join("dpkg.log")).unwrap();
    let stamp = more.get(..19).unwrap();
    fs::write(logs.join("dpkg.log"), format!("{more}{stamp} install {} <none> a\u{1b}[2J\n", SECRET.to_uppercase()))
        .unwrap();
    with_logs(&mut site, &logs);
    site.wait_until_online();
    let (relay, login) = (site.relay.listening().clients, login(&site));
    let servers = call(relay, &login, ("GET", "/servers"), &Value::Null).1;
    let id = servers["servers"][0]["id"].as_str().unwrap().to_owned();
    let ask = || {
        let to = now().0 * 1_000 + 60_000;
        call(relay, &login, ("GET", &format!("/servers/{id}/metrics/events?from=0&to={to}")), &Value::Null)
    };
    let events = eventually(SOON, "events are told", || Some(ask()).filter(|(status, _)| *status == 200)).1;
    for (kind, before, after) in [("installed", "", "1.0-1"), ("upgraded", "1.0-1", "1.0-2"), ("removed", "1.0-2", "")]
    {
        let event = named(&events, kind, "probe-tool").unwrap_or_else(|| panic!("{kind}: {events:#}"));
        let one = event["names"].as_array().unwrap().iter().find(|one| one["name"] == "probe-tool").unwrap();
        assert_eq!((one["before"].as_str(), one["after"].as_str()), (Some(before), Some(after)), "{event:#}");
        let age = now().0.abs_diff(event["at"].as_u64().unwrap() / 1_000);
        assert!(age < 300, "{age} s: {event:#}");
    }
    let text = events.to_string();
    assert!(!text.contains("AKIAIOSFODNN7EXAMPLE") && !text.contains("\\u001b"), "{text}");
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let booted: u64 = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
    let is_start = |event: &&Value| event["kind"] == "booted" && event["at"].as_u64() == Some(booted * 1_000);
    let starts = events["events"].as_array().unwrap().iter().filter(is_start).count();
    assert_eq!(starts, usize::from(events["since"].as_u64().unwrap() <= booted * 1_000), "{events:#}");

    // A moment later again, and by the client.
    let refused = ask();
    assert_eq!((refused.0, refused.1["refusal"]["code"].as_str()), (409, Some("events-too-often")), "{refused:?}");
    let line = eventually(SOON, "the client shows it", || {
        let shown = site.client.must(&["top", "web-1", "--once", "--lang", "en"]);
        shown.lines().find(|line| line.contains("packages upgraded: 1  probe-tool 1.0-1 -> 1.0-2")).map(str::to_owned)
    });
    assert!(line.contains(" ago  "), "{line}");
    let json = eventually(SOON, "and as JSON", || {
        let json: Value = serde_json::from_str(&site.client.must(&["top", "web-1", "--json"])).unwrap();
        named(&json["sample"], "upgraded", "probe-tool").cloned()
    });
    assert_eq!(json["count"], 1);

    let ceiling = fs::read_to_string(site.agent.ceiling()).unwrap();
    fs::write(site.agent.ceiling(), ceiling.replace("scope = \"metrics\"", "scope = \"audit\"")).unwrap();
    let refused = eventually(SOON, "the ceiling holds", || {
        let (status, problem) = ask();
        Some((status, problem["refusal"]["code"].as_str()?.to_owned())).filter(|(_, code)| code != "events-too-often")
    });
    assert_eq!(refused, (409, "metrics-not-allowed".to_owned()));
    site.nothing_left();
}
