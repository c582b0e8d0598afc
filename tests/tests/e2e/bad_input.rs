//! What goes wrong on real machines: clocks, disks, missing shells, crowds. One clear sentence to who can act.

use cloud_doctor_tests::agent::{Agent, Invitation};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::{Plan, Site};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Debian's libfaketime: what a program takes for the wall clock is off.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

fn off(mut command: Command, by: &str) -> Command {
    assert!(Path::new(FAKETIME).exists(), "this test needs Debian's package faketime: make test installs it");
    command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", by).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// The one sentence on standard error that is not about the server's name.
#[track_caller]
fn sentence(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("calls itself")).collect();
    assert!((1..=2).contains(&lines.len()) && !said.contains("panicked"), "{said}");
    lines.join("\n")
}

/// For a server, a clock a year ahead and a customer a year behind are the same.
#[test]
fn flt_20_a_server_whose_clock_is_a_year_ahead_says_so() {
    let site = Site::founded(Plan::default());
    let out = site.world.path("old.install");
    let (address, pin) = (site.relay.agents_url(), site.relay.listening().agents_pin.clone());
    let mut token = site.client.command(&["tenant", "token", "--out", out.to_str().unwrap()]);
    token.args(["--relay-address", &address, "--relay-pin", &pin]);
    let made = site.world.output("token-off", off(token, "-400d"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = fs::read_to_string(&out).unwrap().trim().to_owned();
    let invitation = Invitation { relay: address, relay_pin: pin, trust: site.words(), token };
    let mut enrolling = Agent::new(&site.world, "late").start_enrol(&invitation, "own");
    assert!(!enrolling.wait(SOON).success());
    let said = enrolling.stderr();
    assert!(said.trim().lines().count() == 1 && said.contains("past its last moment"), "{said}");
}

#[test]
fn flt_20_a_key_that_is_past_its_last_day_by_the_servers_clock_is_told() {
    let site = Site::new();
    // The owner's only key in the log gets a last day that is long over for the server.
    let key = site.world.path("home/owner.pub");
    let mut renew = site.client.command(&["tenant", "engineer", "add", key.to_str().unwrap(), "--name", "owner"]);
    renew.args(["--days", "1"]);
    let renewed = site.world.output("renew-off", off(renew, "-400d"));
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    let command = site.client.command(&["exec", "web-1", "--user", "root", "--", "/bin/true"]);
    let output = site.world.output("exec-off", off(command, "-400d"));
    assert_eq!(output.status.code(), Some(255));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("clock") && said.contains("past its last day"), "{said}");
}

#[test]
fn flt_20_a_client_whose_clock_is_a_year_off_is_told() {
    let site = Site::new();
    for by in ["+400d", "-400d"] {
        let command = site.client.command(&["exec", "web-1", "--user", "root", "--", "/bin/true"]);
        let output = site.world.output("exec-off", off(command, by));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(255), "{by}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("clock"), "{by}: {output:?}");
    }
}

/// Fills a file system to the last byte.
pub(crate) fn fill(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("filler");
    let mut out = fs::File::create(&file).unwrap();
    for size in [64 << 10, 1 << 10, 1] {
        while std::io::Write::write_all(&mut out, &vec![b'x'; size]).is_ok() {}
    }
    file
}

#[test]
fn aud_05_a_full_disk_on_the_server_opens_nothing_and_says_so() {
    let mut site = Site::founded(Plan::default());
    let small = site.world.small_folder("small", 16_384);
    let invitation = site.invite("web-1", 1);
    let mut agent = Agent::enrolled(&site.world, "small/web-1", &invitation, "own");
    agent.run();
    site.agent = agent;
    site.wait_until_online();
    let ask = || site.ask(&["exec", "small/web-1", "--user", "root", "--", "/bin/echo", "open"]);
    assert_eq!(ask().stdout, b"open\n");
    site.world.expect_error("audit");
    let filler = fill(&small);
    // What is kept in reserve may let some through; then nothing opens any more.
    let refused = eventually(Duration::from_secs(20), "a refusal", || {
        let output = ask();
        (!output.status.success()).then_some(output)
    });
    assert_eq!(refused.status.code(), Some(255));
    let said = sentence(&refused);
    assert!(said.contains("audit") && said.contains("space"), "{said}");
    fs::remove_file(filler).unwrap();
    eventually(SOON, "open again", || (ask().stdout == b"open\n").then_some(()));
}

#[test]
fn flt_22_a_full_disk_at_the_relay_is_one_sentence() {
    let site = Site::planned(Plan { small_relay: true, ..Plan::default() }, |_| {});
    let mut running = site.start(
        "running",
        &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", "echo begun; sleep 3; echo done"],
        Stdio::null(),
    );
    eventually(SOON, "it runs", || running.stdout().contains("begun").then_some(()));
    site.world.expect_error("");
    let filler = fill(&site.relay.data);
    let refused = eventually(SOON, "a refusal", || {
        let out = site.world.path(format!("token-{}", running.pid()));
        drop(fs::remove_file(&out));
        let output = site.ask(&["tenant", "token", "--out", out.to_str().unwrap()]);
        (!output.status.success()).then_some(output)
    });
    let said = sentence(&refused);
    assert!(said.contains("relay") || said.contains("space") || said.contains("database"), "{said}");
    // What was open goes on.
    assert!(running.wait(SOON).success());
    assert!(running.stdout().ends_with("done\n"));
    fs::remove_file(filler).unwrap();
    eventually(SOON, "open again", || site.exec(&["/bin/true"]).status.success().then_some(()));
}

#[test]
fn flt_27_a_corrupted_database_is_refused_with_the_way_back() {
    let mut site = Site::new();
    site.relay.stop();
    let file = site.relay.data.join("relay.db");
    for beside in ["relay.db-wal", "relay.db-shm"] {
        drop(fs::remove_file(site.relay.data.join(beside)));
    }
    let whole = fs::read(&file).unwrap();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[..100].fill(0x5a),
        |bytes| (1..bytes.len() / 4096).step_by(2).for_each(|page| bytes[page * 4096..][..4096].fill(0x5a)),
        |bytes| bytes[4096..].fill(0),
    ];
    site.world.expect_error("");
    for (number, damage) in damages.iter().enumerate() {
        let mut damaged = whole.clone();
        damage(&mut damaged);
        fs::write(&file, &damaged).unwrap();
        let mut relay = site.relay.spawn();
        let status = relay.wait(SOON);
        let said = format!("{}{}", relay.stdout(), relay.stderr());
        assert!(!status.success() && !said.contains("ready;"), "damage {number}: {said}");
        assert!(said.contains("database") && said.contains("restore"), "damage {number}: {said}");
        assert!(!said.contains("panicked"), "damage {number}: {said}");
    }
    for beside in ["relay.db-wal", "relay.db-shm"] {
        drop(fs::remove_file(site.relay.data.join(beside)));
    }
    fs::write(&file, &whole).unwrap();
    site.relay.run();
    eventually(SOON, "open again", || site.exec(&["/bin/true"]).status.success().then_some(()));
}

#[test]
fn a_login_shell_that_does_not_exist_is_one_sentence() {
    let mut site = Site::enrolled(Plan::default());
    let passwd = site.world.path("passwd");
    let broken = "broken:x:1:1:broken:/tmp:/no/such/shell\nfolder:x:1:1:folder:/tmp:/usr\n";
    fs::write(&passwd, format!("{}{broken}", fs::read_to_string("/etc/passwd").unwrap())).unwrap();
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/usr/bin/unshare");
        let script = format!("mount --bind {} /etc/passwd && exec \"$0\" \"$@\"", passwd.display());
        inside.args(["--mount", "/bin/sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
        inside
    });
    site.wait_until_online();
    for user in ["broken", "folder"] {
        let mut terminal = site.terminal(&["shell", "web-1", "--user", user], 80, 24);
        let status = terminal.finish();
        let shown = String::from_utf8_lossy(&terminal.shown()).into_owned();
        assert!(!status.success(), "{shown}");
        assert!(shown.contains("/no/such/shell") || shown.contains("/usr"), "{shown}");
    }
    assert!(site.exec(&["/bin/true"]).status.success());
    site.nothing_left();
}

#[test]
fn pty_13_a_crowd_at_once_gets_answers_and_leaves_nothing() {
    let site = Site::new();
    let argv = ["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", "echo in; sleep 1"];
    let crowd: Vec<Process> = (0..scale::pick(60, 500)).map(|_| site.start("crowd", &argv, Stdio::null())).collect();
    let (mut done, mut refused) = (0, 0);
    for mut client in crowd {
        let status = client.wait(scale::pick(Duration::from_secs(20), Duration::from_secs(120)));
        if status.success() {
            assert_eq!(client.stdout(), "in\n");
            done += 1;
        } else {
            assert_eq!(status.code(), Some(255));
            let said = client.stderr();
            let told = ["requests", "as many shells", "streams", "too often"].iter().any(|part| said.contains(part));
            assert!(told, "{said}");
            refused += 1;
        }
    }
    assert!(done >= 16, "{done} got in, {refused} did not");
    site.nothing_left();
    // The relay counts by the minute.
    eventually(scale::pick(SOON, Duration::from_secs(90)), "the next one gets in", || {
        std::thread::sleep(scale::pick(Duration::ZERO, Duration::from_secs(2)));
        site.exec(&["/bin/true"]).status.success().then_some(())
    });
}
