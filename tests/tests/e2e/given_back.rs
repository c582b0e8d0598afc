//! What a load took is given back: memory and descriptors of every part are as before (O2, O7).

use cloud_doctor_tests::eventually::SOON;
use cloud_doctor_tests::process;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::Site;
use rustix::process::Signal;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What allocators keep without anybody using it, and pages of code that were never needed before.
const SLACK_BYTES: u64 = 3 << 20;

/// Memory and descriptors of one process.
#[derive(Debug, Clone, Copy)]
struct Held {
    pid: u32,
    resident: u64,
    descriptors: usize,
}

fn held(pid: u32) -> Held {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
    let resident = line.split(' ').next().unwrap().parse::<u64>().unwrap() << 10;
    Held { pid, resident, descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() }
}

fn parts(site: &Site) -> Vec<Held> {
    let agent = ["run", "guard", "tunnel"].map(|role| site.agent.one(role));
    agent.into_iter().chain([site.relay.pid()]).map(held).collect()
}

/// Terminals, commands, much output and much input, several times over.
fn load(site: &Site, rounds: usize) {
    let megabytes = scale::pick("8", "256");
    for _ in 0..rounds {
        let flood = format!("head -c {megabytes}M /dev/zero");
        let pid = site.world.path("busy");
        let busy = format!("echo $$ >{}; exec yes", pid.display());
        let busy = site.start_unread("busy", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", &busy]);
        let argv = ["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", &flood];
        let mut crowd: Vec<_> = (0..3).map(|_| site.start("flood", &argv, Stdio::null())).collect();
        for client in &mut crowd {
            assert!(client.wait(scale::pick(Duration::from_secs(20), Duration::from_secs(120))).success());
        }
        let mut shell = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
        shell.type_in("seq 20000; exit 3\n");
        assert_eq!(shell.finish().code(), Some(3));
        // Its reader went away; the command waits for one until it is ended.
        drop(busy);
        let pid = fs::read_to_string(&pid).unwrap();
        process::send(pid.trim().parse().unwrap(), Signal::KILL);
    }
}

#[test]
fn pty_01_memory_and_descriptors_are_back_after_a_flood() {
    let site = Site::new();
    // What is allocated once, on first use, is no growth.
    load(&site, 1);
    site.nothing_left();
    let before = parts(&site);
    load(&site, scale::pick(1, 4));
    site.nothing_left();
    let back = |was: &Held| {
        let now = held(was.pid);
        now.resident <= was.resident + was.resident / 10 + SLACK_BYTES && now.descriptors <= was.descriptors
    };
    let begun = Instant::now();
    while !before.iter().all(back) {
        let patience = scale::pick(SOON, Duration::from_secs(60));
        assert!(begun.elapsed() < patience, "before: {before:#?}\nnow: {:#?}", parts(&site));
        std::thread::sleep(Duration::from_millis(100));
    }
}
