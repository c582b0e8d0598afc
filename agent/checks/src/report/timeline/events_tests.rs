//! Events of hosts as they are, and of hosts that say odd things.
#![allow(clippy::unwrap_used)]
use super::wtmp::tests::record;
use super::*;
use crate::host::fixture::Fixture;
use crate::host::journal::JournalEntry;
use crate::host::journal::tests::recorded;
use cloud_doctor_proto::limits::EVENTS_SECS_MAX;

const NOW: u64 = 1_767_225_600;
const ALL: EventsRequest = EventsRequest { from: 0, to: u64::MAX };

fn look(fixture: &Fixture, asked: &EventsRequest) -> Events {
    let found = events(&fixture.host(), asked, &mut Redactor::new([7; 32]));
    assert!(found.is_bounded(asked), "{found:?}");
    found
}

/// Kind, seconds ago, how many, the unit, and each name with its versions.
fn told(found: &Events) -> Vec<String> {
    let named = |Named { name, before, after }: &Named| format!(" {name}[{before}>{after}]");
    let one = |event: &Event| {
        let Event { at, kind, count, unit, names, .. } = event;
        format!("{} {} {count} {unit}{}", NOW - at / 1_000, kind.id(), names.iter().map(named).collect::<String>())
    };
    found.events.iter().map(one).collect()
}

#[test]
fn chk_packages_are_events_with_their_versions() {
    let dpkg = "2025-12-31 22:00:00 upgrade nginx:amd64 1.22.1-8 1.22.1-9\n2025-12-31 22:00:01 upgrade libx:amd64 1 2\n\
                2025-12-31 23:00:00 install local-tool:all <none> 1.0\n2025-12-31 23:00:30 remove old-tool:amd64 0.9 <none>\n\
                2025-11-01 09:00:00 install long-ago:all <none> 1.0\n";
    let found = look(&Fixture::image().file("/var/log/dpkg.log", dpkg), &ALL);
    assert_eq!(
        told(&found),
        [
            "7200 upgraded 2  nginx[1.22.1-8>1.22.1-9] libx[1>2]",
            "3600 installed 1  local-tool[>1.0]",
            "3600 removed 1  old-tool[0.9>]"
        ]
    );
    let dnf = "2025-12-31T22:00:00Z SUBDEBUG Upgrade: nginx-1:1.20.1-16.el9.x86_64\n\
               2025-12-31T23:00:00Z SUBDEBUG Erase: telnet-0.17-66.el7.x86_64\n";
    let found = look(&Fixture::image().file("/var/log/dnf.rpm.log", dnf), &ALL);
    assert_eq!(told(&found), ["7200 upgraded 1  nginx[>1:1.20.1-16.el9]", "3600 removed 1  telnet[0.17-66.el7>]"]);
    let yum = "Dec 31 23:00:00 Installed: 1:nginx-1.20.1-1.el7.x86_64\n";
    let found = look(&Fixture::image().file("/var/log/yum.log", yum), &ALL);
    assert_eq!(told(&found), ["3600 installed 1  nginx[>1.20.1-1.el7]"]);
    assert!(found.events[0].guessed, "the year was");
}

#[test]
fn chk_starts_services_and_kills_are_events_and_told_once() {
    let log = "6,1,1000000000,-;Linux version 6.1\n\
               4,2,4500000000,-;oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/system.slice/shop.service,task=java,pid=42,uid=1\n\
               3,3,4500000000,-;Out of memory: Killed process 42 (java) total-vm:1kB\n\
               3,4,4600000000,-;I/O error, dev sda\n";
    let secs = |at: u64| u32::try_from(at).unwrap();
    let fixture = recorded(Fixture::live(), "compact")
        .file("/dev/kmsg", log)
        .file("/proc/uptime", "5000.00 1.0\n")
        .file("/proc/stat", format!("cpu 1\nbtime {}\n", NOW - 5_000))
        .file(
            wtmp::PATH,
            [
                record(1, "shutdown", secs(NOW - 5_100)),
                record(2, "reboot", secs(NOW - 5_000)),
                record(7, "alice", secs(NOW - 10)),
            ]
            .concat(),
        )
        .process(20, 'S', &["nginx: master process", "--password=correcthorse"])
        .file("/proc/20/stat", "20 (nginx) S 1 20 20 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 400000 1000000 250 0 0\n")
        .file("/proc/20/cgroup", "0::/system.slice/nginx.service\n");
    let found = look(&fixture, &ALL);
    assert_eq!(
        told(&found),
        [
            "5100 shut-down 1 ",
            "5000 booted 1 ",
            // The journal's; that it was of the service systemd alone says.
            "4199 killed 1 shop.service java[>]",
            "4197 failed 1 shop.service",
            "4196 restarted 1 shop.service",
            "1000 started 1 nginx.service",
            "500 killed 1 shop.service java[>]",
        ]
    );
    let text = format!("{found:?}");
    assert!(!text.contains("alice") && !text.contains("correcthorse") && !text.contains("sda"), "{text}");
    assert_eq!(found.blind, []);
}

#[test]
fn chk_what_cannot_be_read_is_said_and_what_is_not_there_is_silence() {
    let bare = look(&Fixture::image(), &ALL);
    assert!(bare.events.is_empty());
    assert_eq!(bare.blind, [EventSource::Kernel], "there is no host without a kernel");
    let odd = Fixture::image()
        .file(wtmp::PATH, b"SQLite format 3\0")
        .file("/var/log/journal/0123456789abcdef0123456789abcdef/system.journal", b"junk")
        .file("/var/log/kern.log", "Dec 31 23:59:50 web1 kernel: x\n");
    assert_eq!(look(&odd, &ALL).blind, [EventSource::Starts, EventSource::Services]);
}

#[test]
fn chk_without_a_record_of_starts_systemd_tells_of_them() {
    let entry = |at: u64| JournalEntry {
        micros: at * 1_000_000,
        name: "systemd".to_owned(),
        pid: "1".to_owned(),
        unit: String::new(),
        id: units::UP.to_owned(),
        message: String::new(),
    };
    let mut found = Found { all: vec![event(UnixTime(NOW - 5_000), EventKind::Booted)], blind: Vec::new() };
    found.of_systemd(units::together(&[entry(NOW - 90_000), entry(NOW - 4_950)]));
    let starts: Vec<_> = found.all.iter().map(|one| (NOW - one.at / 1_000, one.kind, one.guessed)).collect();
    assert_eq!(starts, [(5_000, EventKind::Booted, false), (90_000, EventKind::Booted, true)]);
}

#[test]
fn chk_only_the_time_asked_for_and_a_week_at_most() {
    let dpkg = "2025-12-31 22:00:00 install a:all <none> 1\n2025-12-31 23:00:00 install b:all <none> 1\n";
    let fixture = Fixture::image().file("/var/log/dpkg.log", dpkg);
    let at = |ago: u64| (NOW - ago) * 1_000;
    assert_eq!(told(&look(&fixture, &EventsRequest { from: at(7_200), to: at(3_600) })).len(), 1);
    assert_eq!(told(&look(&fixture, &EventsRequest { from: at(3_600), to: at(0) })), ["3600 installed 1  b[>1]"]);
    assert!(look(&fixture, &EventsRequest { from: at(3_599), to: at(0) }).events.is_empty());
    assert_eq!(look(&fixture, &ALL).since, at(EVENTS_SECS_MAX));
    assert_eq!(look(&fixture, &EventsRequest { from: at(60), to: at(0) }).since, at(60));
}

#[test]
fn chk_names_that_hold_secrets_or_draw_on_screens_leave_harmless() {
    let secret = "AKIAIOSFODNN7EXAMPLE";
    let dpkg = format!(
        "2025-12-31 22:00:00 install {secret}:all <none> 1\n2025-12-31 23:00:00 install a\u{1b}[2Jb\u{202e}:all <none> {}\n",
        "9".repeat(5_000)
    );
    let found = look(&Fixture::image().file("/var/log/dpkg.log", dpkg), &ALL);
    let text = format!("{found:?}");
    assert!(!text.contains(secret) && text.contains("\u{2039}"), "{text}");
    assert!(!text.contains('\u{202e}') && text.len() < 2_000, "{text}");
}
