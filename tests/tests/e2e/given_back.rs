//! What a load took is given back: memory and descriptors of every part are as before (O2, O7).

use cloud_doctor_tests::eventually::SOON;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::Site;
use std::time::{Duration, Instant};
use std::{fs, io};

/// What allocators keep without anybody using it, and pages of code that were never needed before.
const SLACK_BYTES: u64 = 3 << 20;

/// The database's readers open their files when they are first needed, and keep them.
const SPARE_DESCRIPTORS: usize = 4;

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
    let megabytes = scale::pick(8, 256);
    for _ in 0..rounds {
        let unread = |bytes: u64| {
            let script = format!("yes | head -c {bytes}");
            site.start_unread("flood", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", &script])
        };
        // The first is held up all the time: nobody reads it yet.
        let mut held_up = unread(30_000_000);
        let mut crowd = [unread(megabytes << 20), unread(megabytes << 20)];
        for client in &mut crowd {
            assert_eq!(drain(client), megabytes << 20);
        }
        let mut shell = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
        shell.type_in("seq 20000; exit 3\n");
        assert_eq!(shell.finish().code(), Some(3));
        assert_eq!(drain(&mut held_up), 30_000_000);
    }
}

/// Reads everything that a client has to say, to its good end.
fn drain(client: &mut Process) -> u64 {
    let read = io::copy(&mut client.take_stdout().unwrap(), &mut io::sink()).unwrap();
    assert!(client.wait(SOON).success(), "{}", client.stderr());
    read
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
        now.resident <= was.resident + was.resident / 10 + SLACK_BYTES
            && now.descriptors <= was.descriptors + SPARE_DESCRIPTORS
    };
    let begun = Instant::now();
    while !before.iter().all(back) {
        let patience = scale::pick(SOON, Duration::from_secs(60));
        assert!(begun.elapsed() < patience, "before: {before:#?}\nnow: {:#?}", parts(&site));
        std::thread::sleep(Duration::from_millis(100));
    }
}
