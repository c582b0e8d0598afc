//! Faults to survive: numbered lines both ways, none lost, none twice.

use super::numbers::{Counting, Typing};
use cloud_doctor_tests::eventually::{SOON, eventually, never};
use cloud_doctor_tests::process::{self, send};
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::Site;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Counts and types while `fault` happens in the middle.
#[track_caller]
fn survives(site: &mut Site, fault: impl FnOnce(&mut Site)) {
    let counting = Counting::start(site, 300);
    let mut typing = Typing::start(site);
    typing.type_lines(50);
    typing.wait();
    counting.wait_for(30);
    typing.type_lines(50);
    fault(site);
    typing.type_lines(100);
    typing.finish();
    counting.finish();
}

#[test]
fn flt_01_relay_killed_and_started_again() {
    survives(&mut Site::new(), |site| {
        site.relay.kill();
        site.relay.run();
    });
}

#[test]
fn flt_02_tunnel_killed() {
    survives(&mut Site::new(), |site| {
        site.agent.kill("tunnel");
    });
}

#[test]
fn flt_03_guard_killed() {
    let mut site = Site::new();
    survives(&mut site, |site| {
        site.agent.kill("guard");
        let killed = Instant::now();
        eventually(SOON, "a new visit", || site.exec(&["/bin/true"]).status.success().then_some(()));
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?} until a new visit opened", killed.elapsed());
    });
}

#[test]
fn flt_09_blackout_both_ways() {
    survives(&mut Site::through_chaos(), |site| {
        let before = site.chaos().passed();
        site.chaos().blackout(true);
        std::thread::sleep(scale::pick(Duration::from_secs(3), Duration::from_secs(30)));
        let lost = site.chaos().passed();
        assert!(lost.0 <= before.0 + 50 && lost.1 <= before.1 + 50, "the blackout leaked");
        site.chaos().blackout(false);
    });
}

#[test]
fn flt_12_what_the_agent_sends_is_lost() {
    survives(&mut Site::through_chaos(), |site| {
        site.chaos().lose_to_relay(true);
        std::thread::sleep(scale::pick(Duration::from_secs(6), Duration::from_secs(40)));
        site.chaos().lose_to_relay(false);
    });
}

#[test]
fn flt_07_source_port_changes() {
    survives(&mut Site::through_chaos(), |site| {
        for _ in 0..scale::pick(3, 30) {
            site.chaos().rebind();
            std::thread::sleep(scale::pick(Duration::from_millis(300), Duration::from_secs(2)));
        }
    });
}

#[test]
fn flt_40_tunnel_and_guard_stopped_for_a_while() {
    let pause = scale::pick(Duration::from_millis(2500), Duration::from_secs(60));
    survives(&mut Site::new(), |site| {
        let roles = ["tunnel", "guard"].map(|role| site.agent.one(role));
        roles.iter().for_each(|pid| send(*pid, Signal::STOP));
        std::thread::sleep(pause);
        roles.iter().for_each(|pid| send(*pid, Signal::CONT));
    });
}

#[test]
fn flt_11_a_shell_that_nobody_looks_at_ends() {
    let site = Site::with(|agent| {
        let ceiling = fs::read_to_string(agent.ceiling()).unwrap();
        fs::write(agent.ceiling(), ceiling.replace("detached = \"15m\"", "detached = \"3s\"")).unwrap();
    });
    let script = "echo pid $$; sleep 1001 & exec sleep 1000";
    let mut client =
        site.start("detached", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", script], Stdio::null());
    let pid = eventually(SOON, "the command's id", || {
        client.stdout().strip_prefix("pid ").and_then(|pid| pid.trim().parse::<u32>().ok())
    });
    let holder = site.agent.one("holder");
    client.kill();
    let gone = Instant::now();
    never(Duration::from_secs(2), "the command ends too early", || !process::lives(pid));
    eventually(SOON, "the command is ended", || (!process::lives(pid)).then_some(()));
    assert!(gone.elapsed() < Duration::from_secs(9), "ended after {:?}", gone.elapsed());
    eventually(SOON, "nothing is left below the holder", || process::descendants(holder).is_empty().then_some(()));
    site.agent.wait_for_audit(&["detached"]);
}

#[test]
fn flt_19_a_slow_reader_holds_up_nobody_else() {
    let site = Site::new();
    // Nobody reads this pipe: the client stops, and with it everything up to the command.
    let stuck = site
        .start_unread("stuck", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", "yes | head -c 400000000"]);
    let holder = site.agent.one("holder");
    let writer = eventually(SOON, "the command runs", || {
        process::descendants(holder).into_iter().find(|seen| seen.argv.first().is_some_and(|first| first == "yes"))
    });
    let standing = || {
        let before = written(writer.pid);
        std::thread::sleep(Duration::from_millis(500));
        (written(writer.pid) == before && before > 0).then_some(before)
    };
    let written = eventually(SOON, "the command is held up", standing);
    assert!(written < 40 << 20, "{written} bytes were written for a reader that does not read");
    for pid in [holder, site.agent.one("tunnel"), site.relay.pid(), stuck.pid()] {
        assert!(resident(pid) < 64 << 20, "{:?} has {} bytes", process::look(pid), resident(pid));
    }
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(site.exec(&["/bin/echo", "hi"]).stdout, b"hi\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "others waited {:?}", begun.elapsed());
}

fn written(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok()).unwrap_or(0)
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[test]
fn flt_24_damaged_state_trusts_nobody() {
    let mut site = Site::new();
    assert!(site.exec(&["/bin/true"]).status.success());
    site.agent.stop();
    let guard = site.agent.state.join("guard");
    let files: Vec<_> = ["identity.key", "trust.log"].iter().map(|name| guard.join(name)).collect();
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        },
    ];
    site.world.expect_error("");
    for file in files {
        let whole = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for damage in damages {
            let mut damaged = whole.clone();
            damage(&mut damaged);
            fs::write(&file, &damaged).unwrap();
            refuses_all(&mut site, &file);
            assert_eq!(fs::read(&file).unwrap(), damaged, "{} was written over", file.display());
        }
        fs::write(&file, &whole).unwrap();
    }
    site.agent.run();
    eventually(SOON, "whole again, it opens", || site.exec(&["/bin/true"]).status.success().then_some(()));
}

/// Started on damaged files, the agent says which one it is, and opens nothing.
#[track_caller]
fn refuses_all(site: &mut Site, file: &Path) {
    let marker = site.world.path("opened");
    let name = file.file_name().unwrap().to_str().unwrap();
    site.agent.run();
    let supervisor = site.agent.supervisor();
    let named = || supervisor.stderr().contains(name) || supervisor.stdout().contains(name);
    eventually(SOON, &format!("the agent names {name}"), || named().then_some(()));
    let output = site.exec(&["/usr/bin/touch", marker.to_str().unwrap()]);
    assert!(!output.status.success() && !marker.exists(), "{name} is damaged and a visit opened");
    site.agent.stop();
}
