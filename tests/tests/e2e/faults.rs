//! Faults to survive: numbered lines both ways, none lost, none twice.

use super::numbers::{Counting, Typing};
use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::eventually::{SOON, eventually, never};
use cloud_doctor_tests::process::{self, send};
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::{Plan, Site};
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

/// How often the agent had to dial.
fn dialled(site: &Site) -> usize {
    site.world.logs().iter().map(|(_, log)| String::from_utf8_lossy(log).matches("agent connected").count()).sum()
}

#[test]
fn flt_14_a_third_of_all_packets_is_lost() {
    let mut site = Site::through_chaos();
    survives(&mut site, |site| {
        site.chaos().lose(300);
        std::thread::sleep(scale::pick(Duration::from_secs(3), Duration::from_secs(60)));
        site.chaos().lose(0);
    });
    assert!(dialled(&site) <= 2, "the tunnel fell again and again: {}", dialled(&site));
}

/// Sends these bytes and has them echoed while the network misbehaves; they must come back as they are.
#[track_caller]
fn echoes(site: &Site, megabytes: usize, trouble: impl FnOnce()) {
    let bytes: Vec<u8> =
        (0..megabytes << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let input = site.world.path("input");
    fs::write(&input, &bytes).unwrap();
    let argv = ["exec", "web-1", "-i", "--user", "root", "--", "/bin/cat"];
    let mut client = site.start("echo", &argv, fs::File::open(&input).unwrap().into());
    eventually(SOON, "the first bytes", || (fs::metadata(&client.out).unwrap().len() > 1 << 16).then_some(()));
    trouble();
    assert!(client.wait(scale::pick(Duration::from_secs(20), Duration::from_secs(200))).success());
    assert!(fs::read(&client.out).unwrap() == bytes, "other bytes came back");
}

#[test]
fn flt_15_packets_above_1280_bytes_vanish_in_the_middle() {
    let site = Site::through_chaos();
    // 1,280 bytes with the headers of IP and UDP; nobody says that what is longer was lost.
    echoes(&site, scale::pick(8, 64), || site.chaos().narrow(1_252));
    echoes(&site, 1, || {});
    assert_eq!(dialled(&site), 1, "the tunnel found the smaller size without falling");
}

#[test]
fn flt_16_packets_come_twice_late_and_damaged() {
    let site = Site::through_chaos();
    echoes(&site, scale::pick(8, 100), || site.chaos().disorder(true));
    echoes(&site, 1, || {});
}

#[test]
fn flt_23_a_full_disk_before_the_start() {
    let mut site = Site::founded(Plan::default());
    let small = site.world.small_folder("small", 16_384);
    let invitation = site.invite("web-1", 1);
    site.agent = Agent::enrolled(&site.world, "small/web-1", &invitation, "own");
    let filler = super::bad_input::fill(&small);
    site.world.expect_error("");
    site.agent.run();
    let ask = || site.ask(&["exec", "small/web-1", "--user", "root", "--", "/bin/echo", "open"]);
    // Up to its reserve it may open; then it says why not.
    let refused = eventually(Duration::from_secs(15), "a sentence about the disk", || {
        let output = ask();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success() && said.contains("space")).then_some(output)
    });
    assert_eq!(refused.status.code(), Some(255));
    fs::remove_file(filler).unwrap();
    eventually(SOON, "open again", || (ask().stdout == b"open\n").then_some(()));
}

#[test]
fn flt_25_the_relays_database_is_locked() {
    let site = Site::new();
    let counting = Counting::start(&site, 300);
    counting.wait_for(10);
    let begun = Instant::now();
    let lock = locked(&site.relay.data);
    site.world.expect_error("");
    // A new visit is refused in words or waits, and never hangs for ever.
    let mut refused = site.start("refused", &["exec", "web-1", "--user", "root", "--", "/bin/true"], Stdio::null());
    let status = refused.wait(Duration::from_secs(15));
    assert!(status.success() || (status.code() == Some(255) && !refused.stderr().is_empty()), "{}", refused.stderr());
    // What is open goes on as if nothing were.
    counting.wait_for(100);
    assert!(begun.elapsed() < Duration::from_secs(18));
    drop(lock);
    counting.finish();
    eventually(SOON, "open again", || site.exec(&["/bin/true"]).status.success().then_some(()));
}

/// Somebody else writes to the database and does not come to an end.
fn locked(data: &Path) -> (tokio::runtime::Runtime, sqlx::SqliteConnection) {
    use sqlx::{ConnectOptions as _, Executor as _};
    let file = data.join("relay.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = runtime.block_on(async {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        connection.execute("BEGIN EXCLUSIVE").await.unwrap();
        connection
    });
    (runtime, connection)
}

#[test]
fn flt_36_a_name_that_is_found_no_more() {
    let mut site = Site::founded(Plan::default());
    let mut invitation = site.invite("web-1", 1);
    let port = site.relay.listening().agents.port();
    invitation.relay = format!("quic://localhost:{port}");
    site.agent = Agent::enrolled(&site.world, "web-1", &invitation, "own");
    let (hosts, switch) = (site.world.path("hosts"), site.world.path("nsswitch"));
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    fs::write(&switch, "passwd: files\ngroup: files\nhosts: files\n").unwrap();
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/usr/bin/unshare");
        let (hosts, switch) = (hosts.display(), switch.display());
        let script = format!(
            "mount --bind {hosts} /etc/hosts && mount --bind {switch} /etc/nsswitch.conf && exec \"$0\" \"$@\""
        );
        inside.args(["--mount", "/bin/sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
        inside
    });
    site.wait_until_online();
    // The name leads nowhere, then to somebody else; the relay is where it was, and comes back.
    for text in ["", "127.0.0.2 localhost\n"] {
        fs::write(&hosts, text).unwrap();
        site.relay.kill();
        site.relay.run();
        let begun = Instant::now();
        eventually(Duration::from_secs(15), "the last address is tried", || {
            // Clients have a limit of their own.
            std::thread::sleep(Duration::from_millis(300));
            site.exec(&["/bin/true"]).status.success().then_some(())
        });
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    }
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
    let (limit, text) = scale::pick((3, "3s"), (60, "60s"));
    let site = Site::with(|agent| {
        let ceiling = fs::read_to_string(agent.ceiling()).unwrap();
        assert!(ceiling.contains("detached = \"15m\""));
        let shorter = ceiling.replace("detached = \"15m\"", &format!("detached = \"{text}\""));
        fs::write(agent.ceiling(), shorter).unwrap();
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
    never(Duration::from_secs(limit - 1), "the command ends too early", || !process::lives(pid));
    eventually(SOON, "the command is ended", || (!process::lives(pid)).then_some(()));
    assert!(gone.elapsed() < Duration::from_secs(limit + 6), "ended after {:?}", gone.elapsed());
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
        assert!(own_memory(pid) < 64 << 20, "{:?} has {} bytes", process::look(pid), own_memory(pid));
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

/// Memory that is a process's own: the pages of its file are everybody's, and can be dropped.
fn own_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
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
