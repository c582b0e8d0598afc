//! When the kernel and the services started.

use super::wtmp::{self, Record};
use super::{Confidence, Row, RowKind, Seen};
use crate::host::{Host, control_groups};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeMap;

/// What starts with the kernel is no news; it takes this long on a slow host.
const BOOTING_SECS: u64 = 300;
const TICKS_PER_SEC: u64 = 100;
/// Two sources tell of the same start when they are this close.
pub(super) const SAME_SECS: u64 = 120;

pub(super) fn look(host: &Host) -> Seen {
    let mut seen = Seen::default();
    match wtmp::records(host) {
        Ok(records) => seen.rows.extend(records.iter().filter_map(from_record)),
        Err(why) => seen.gaps.push(why),
    }
    let Some(booted) = booted(host) else { return seen };
    if !seen.rows.iter().any(|row| row.at.distance_secs(booted) < SAME_SECS) {
        seen.rows.push(row(booted, words!("the kernel started", "内核启动"), "/proc/stat btime", Confidence::High));
    }
    seen.rows.extend(services(host, booted).into_iter().map(|Start { name, at, pid }| {
        let what = words!("{name} started (its oldest process, {pid})", "{name} 启动（其最早的进程为 {pid}）");
        row(at, what, &format!("/proc/{pid}/stat"), Confidence::Medium)
    }));
    seen
}

/// A service that was started after the boot.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) at: UnixTime,
    /// Its oldest process.
    pid: u32,
}

fn from_record(record: &Record) -> Option<Row> {
    let (at, what) = match record {
        Record::Boot(at) => (*at, words!("the kernel started", "内核启动")),
        Record::Shutdown(at) => (*at, words!("the system was shut down", "系统关机")),
        Record::Login(..) => return None,
    };
    Some(row(at, what, wtmp::PATH, Confidence::High))
}

fn row(at: UnixTime, what: Words, evidence: &str, confidence: Confidence) -> Row {
    Row { at, kind: RowKind::Restart, what, evidence: evidence.to_owned(), confidence }
}

pub(super) fn booted(host: &Host) -> Option<UnixTime> {
    if !host.is_live() {
        return None;
    }
    let stat = host.read("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|secs| secs.trim().parse().ok()).map(UnixTime)
}

/// Services whose oldest process is younger than the boot: they were started or started again.
pub(super) fn services(host: &Host, booted: UnixTime) -> Vec<Start> {
    let mut oldest: BTreeMap<String, (UnixTime, u32)> = BTreeMap::new();
    for process in host.processes() {
        // Kernel threads belong to no service.
        if process.argv.is_empty() {
            continue;
        }
        let Some(service) = service(host, process.pid) else { continue };
        let at = booted.plus_secs(process.start_ticks / TICKS_PER_SEC);
        let entry = oldest.entry(service).or_insert((at, process.pid));
        if at < entry.0 {
            *entry = (at, process.pid);
        }
    }
    let later = oldest.into_iter().filter(|(_, (at, _))| at.0 > booted.0.saturating_add(BOOTING_SECS));
    later.map(|(name, (at, pid))| Start { name, at, pid }).collect()
}

/// `nginx.service` of `0::/system.slice/nginx.service`.
fn service(host: &Host, pid: u32) -> Option<String> {
    let text = host.read(&format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (controllers.is_empty() || controllers == "name=systemd").then_some(path)
    })?;
    let name = control_groups::name(path);
    (path.starts_with("/system.slice/") && name.ends_with(".service")).then(|| one_line(&name, 120))
}

#[cfg(test)]
mod tests {
    use super::super::wtmp::tests::record;
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::report::Step;

    #[test]
    fn chk_starts_of_the_kernel_and_of_services() {
        let now = 1_767_225_600;
        let group = |name: &str| format!("0::/system.slice/{name}\n");
        // Processes of the fixture start 10 s after the boot.
        let fixture = Fixture::live()
            .file("/proc/stat", format!("cpu 1\nbtime {}\n", now - 5000))
            .file(
                wtmp::PATH,
                [record(1, "shutdown", now - 5100), record(2, "reboot", now - 5000), record(7, "a", now)].concat(),
            )
            .process(10, 'S', &["/usr/sbin/sshd"])
            .file("/proc/10/cgroup", group("ssh.service"))
            .process(20, 'S', &["nginx: master process"])
            .file("/proc/20/stat", "20 (nginx) S 1 20 20 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 400000 1000000 250 0 0\n")
            .file("/proc/20/cgroup", group("nginx.service"))
            .process(21, 'S', &["x"])
            .file("/proc/21/cgroup", "0::/user.slice/x.scope\n");
        let seen = super::super::look(&Step::Starts, &fixture.host());
        let told: Vec<_> = seen.rows.iter().map(|row| (row.what.en.as_str(), u64::from(now) - row.at.0)).collect();
        assert_eq!(
            told,
            [
                ("nginx.service started (its oldest process, 20)", 1000),
                ("the kernel started", 5000),
                ("the system was shut down", 5100)
            ]
        );
        let bare = Fixture::live().file("/proc/stat", format!("btime {}\n", now - 5000));
        assert_eq!(look(&bare.host()).rows[0].evidence, "/proc/stat btime");
        assert!(look(&Fixture::image().host()).rows.is_empty());
        look(&Fixture::live().file("/proc/stat", "btime x\n").host());
    }
}
