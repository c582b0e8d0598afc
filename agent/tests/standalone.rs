//! The supervisor of a trial: what it starts, restarts, adopts, kills and leaves.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs, read clocks and wait")]
#![allow(dead_code, reason = "parts of guard's harness are used")]

#[path = "guard/client.rs"]
mod client;
#[path = "guard/customer.rs"]
mod customer;
#[path = "guard/host.rs"]
mod host;
#[path = "../../tests/src/not_tested.rs"]
mod not_tested;

use client::{Channel, shell};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::session::ToHolder;
use host::{Host, OWN, eventually, lives};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

struct Supervisor {
    host: Host,
    child: Child,
}

impl Supervisor {
    fn start() -> Self {
        let host = Host::enrolled(OWN);
        let child = run(&host);
        Self { host, child }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Its child in a role.
    fn role(&self, role: &str) -> Pid {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        eventually(role, || {
            let list = std::fs::read_to_string(&path).unwrap_or_default();
            list.split_whitespace().find_map(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let is = line.split(|b| *b == 0).nth(1) == Some(role.as_bytes());
                is.then(|| Pid::from_raw(pid.parse().unwrap()).unwrap())
            })
        })
    }

    fn shell(&self, id: u8) -> Channel {
        let mut client = self.host.client();
        let plan = client.visit(&self.host.customer);
        let mut channel = client.channel(&plan, ChannelKind::Shell, id, &shell()).unwrap();
        channel.begin();
        channel.say(&ToHolder::Input { offset: 0, data: b"echo is$((40+2))here $$\n" });
        channel.see("is42here ");
        channel
    }
}

fn run(host: &Host) -> Child {
    let mut child = host.command(&["run", "--standalone"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("The agent runs"), "{line}");
    child
}

/// The process id that the shell printed.
fn shell_pid(channel: &mut Channel) -> Pid {
    let text = String::from_utf8_lossy(&channel.out).into_owned();
    let after = text.split("is42here ").nth(1).unwrap();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().unwrap()).unwrap()
}

#[test]
fn flt_03_a_killed_guard_is_restarted_within_3_s_and_the_shell_lives() {
    let mut supervisor = Supervisor::start();
    let mut channel = supervisor.shell(1);
    kill_process(supervisor.role("guard"), Signal::KILL).unwrap();
    let start = Instant::now();
    eventually("a new guard answers", || {
        let stream = std::os::unix::net::UnixStream::connect(supervisor.host.dir.join("run/guard.sock")).ok()?;
        // The old socket may still be there; only an answer counts.
        client::Client::new(stream).challenge_if_alive()
    });
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    channel.say(&ToHolder::Input { offset: 24, data: b"echo still$((40+3))here\n" });
    channel.see("still43here");
    end(&mut supervisor, Signal::INT);
}

#[test]
fn a_killed_tunnel_is_restarted() {
    let mut supervisor = Supervisor::start();
    let first = supervisor.role("tunnel");
    kill_process(first, Signal::KILL).unwrap();
    eventually("another tunnel", || (supervisor.role("tunnel") != first).then_some(()));
    end(&mut supervisor, Signal::TERM);
}

#[test]
fn what_a_killed_holder_leaves_is_killed() {
    let mut supervisor = Supervisor::start();
    let mut channel = supervisor.shell(1);
    channel.say(&ToHolder::Input { offset: 24, data: b"trap '' HUP; setsid sleep 1000 & echo left $!.\n" });
    channel.see("left ");
    let shell = shell_pid(&mut channel);
    let holder = supervisor.host.holder_pids()[0];
    kill_process(holder, Signal::KILL).unwrap();
    eventually("the shell is gone", || (!lives(shell)).then_some(()));
    let sleeps = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| {
                let mut fields = stat.rsplit(") ").next().unwrap().split(' ');
                stat.contains("(sleep)") && fields.nth(1) == Some(&supervisor.child.id().to_string())
            })
        })
    };
    eventually("its background job is gone", || (!sleeps()).then_some(()));
    supervisor.host.audited(&["holder-died"]);
    end(&mut supervisor, Signal::INT);
}

#[test]
fn a_stopped_holder_does_not_escape_a_lockdown() {
    let mut supervisor = Supervisor::start();
    let mut channel = supervisor.shell(1);
    let (shell, holder) = (shell_pid(&mut channel), supervisor.host.holder_pids()[0]);
    kill_process(holder, Signal::STOP).unwrap();
    let start = Instant::now();
    let output = supervisor.host.ask(&["lockdown"]);
    assert!(output.status.success(), "{output:?}");
    eventually("both are gone", || (!lives(holder) && !lives(shell)).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    end(&mut supervisor, Signal::INT);
}

#[test]
fn ctrl_c_ends_everything_and_kill_9_leaves_the_shells() {
    let mut supervisor = Supervisor::start();
    let mut channel = supervisor.shell(1);
    let shell = shell_pid(&mut channel);
    let (guard, tunnel) = (supervisor.role("guard"), supervisor.role("tunnel"));
    let holder = supervisor.host.holder_pids()[0];
    kill_process(supervisor.pid(), Signal::KILL).unwrap();
    supervisor.child.wait().unwrap();
    eventually("guard and tunnel end", || (!lives(guard) && !lives(tunnel)).then_some(()));
    assert!(lives(holder) && lives(shell));
    channel.say(&ToHolder::Input { offset: 24, data: b"echo still$((40+3))here\n" });
    channel.see("still43here");
    // The next supervisor's guard finds them, and Ctrl-C ends them too.
    supervisor.child = run(&supervisor.host);
    supervisor.host.audited(&["channel-found"]);
    end(&mut supervisor, Signal::INT);
    eventually("nothing is left", || (!lives(holder) && !lives(shell)).then_some(()));
}

#[test]
fn a_server_that_is_not_enrolled_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(host::PROGRAM);
    command.args(["run", "--standalone", "--state-dir"]).arg(dir.path()).env("LC_ALL", "C");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not enrolled"), "{output:?}");
    command.env("LC_ALL", "zh_CN.UTF-8");
    assert!(String::from_utf8_lossy(&command.output().unwrap().stderr).contains("尚未接入"));
}

/// Ends the supervisor and checks that it took all of its own along.
fn end(supervisor: &mut Supervisor, signal: Signal) {
    let own = [supervisor.role("guard"), supervisor.role("tunnel")];
    kill_process(supervisor.pid(), signal).unwrap();
    let start = Instant::now();
    let status = supervisor.child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(own.iter().all(|pid| !lives(*pid)));
    assert!(supervisor.host.holders().is_empty() || supervisor.host.holder_pids().is_empty());
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing either.
        if self.child.try_wait().unwrap().is_none() {
            kill_process(self.pid(), Signal::TERM).ok();
            self.child.wait().ok();
        }
    }
}
