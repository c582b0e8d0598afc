//! Journals that systemd 252 wrote (`systemd-journal-remote`, from `testdata/export.txt.gz`): whole, torn and damaged.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fixture::Fixture;
use std::io::Read as _;

/// A journal's machine.
pub(crate) const MACHINE: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_767_225_600;

/// The bytes of a recorded file: `regular`, or `compact` with keyed hashes.
fn bytes(form: &str) -> Vec<u8> {
    let packed: &[u8] = match form {
        "regular" => include_bytes!("testdata/regular.journal.gz"),
        _ => include_bytes!("testdata/compact.journal.gz"),
    };
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A host with a recorded journal.
pub(crate) fn recorded(fixture: Fixture, form: &str) -> Fixture {
    fixture.file(&format!("/var/log/journal/{MACHINE}/system.journal"), bytes(form))
}

/// The same as an older systemd writes it: its long message is compressed with LZ4.
pub(crate) fn recorded_before(fixture: Fixture, form: &str) -> Fixture {
    let mut bytes = bytes(form);
    let is_packed = |at: &usize| bytes[*at..*at + 8] == [1, 4, 0, 0, 0, 0, 0, 0];
    let object = (208..bytes.len() - 8).step_by(8).find(is_packed).unwrap();
    bytes[object + 1] = 2;
    fixture.file(&format!("/var/log/journal/{MACHINE}/system.journal"), bytes)
}

fn read(fixture: &Fixture, only: Option<(&str, &[&str])>, secs: u64, most: usize) -> Journal {
    fixture.host().journal(&Query { only, secs, most }).unwrap()
}

#[test]
fn log_04_both_forms_of_a_journal_are_read() {
    for form in ["regular", "compact"] {
        let fixture = recorded(Fixture::image(), form);
        let all = read(&fixture, None, DAY, 1000);
        assert_eq!((all.entries.len(), all.compressed, all.damaged, all.whole), (333, 0, 0, true), "{form}");
        assert_eq!(all.path, format!("/var/log/journal/{MACHINE}"));
        let (first, last) = (&all.entries[0], all.entries.last().unwrap());
        assert_eq!((first.message.as_str(), first.micros), ("request 0 served", (NOW - 7200) * 1_000_000));
        assert_eq!(
            (last.message.as_str(), last.name.as_str(), last.pid.as_str()),
            ("request 299 served", "app", "502")
        );
        let long = all.entries.iter().find(|entry| entry.message.starts_with("long xxxx")).unwrap();
        assert_eq!((long.message.len(), long.name.is_empty()), (2_000, false), "what was compressed is read");
        // By a field, by time, by number.
        let kernel = read(&fixture, Some(("_TRANSPORT", &["kernel"])), DAY, 1000);
        assert_eq!(kernel.entries.len(), 1, "what only calls itself kernel is not");
        assert_eq!(kernel.entries[0].name, "kernel");
        let newest = read(&fixture, None, DAY, 5);
        assert_eq!((newest.entries.len(), newest.whole), (5, false));
        assert_eq!(newest.entries.last(), all.entries.last());
        assert!(newest.left_out(UnixTime(NOW)).unwrap().en.contains("only the newest entries"));
        assert_eq!(read(&fixture, None, 1300, 1000).entries.len(), 5);
        assert!(read(&fixture, Some(("_TRANSPORT", &["audit"])), DAY, 9).entries.is_empty());
        assert!(read(&fixture, Some(("NO_SUCH_FIELD", &["x"])), DAY, 9).entries.is_empty());
    }
}

const DAY: u64 = 86_400;

#[test]
fn log_04_what_others_claim_is_not_believed() {
    let fixture = recorded(Fixture::image(), "compact");
    let all = read(&fixture, None, DAY, 1000);
    let forged: Vec<_> = all.entries.iter().filter(|entry| entry.message.contains("forged")).collect();
    assert_eq!(forged.len(), 2);
    assert_eq!(forged[0].name, "unnamed");
    assert_eq!((forged[1].unit.as_str(), forged[1].id.as_str()), ("", ""));
    for (kernel, identifier, command, expected) in [
        (true, "x", "", "kernel"),
        (false, "kernel", "", "unnamed"),
        (false, "kernel", "logger", "logger"),
        (false, "a kernel: b", "", "a_kernel__b"),
        (false, "", "", "unnamed"),
    ] {
        assert_eq!(name(kernel, identifier, command), expected);
    }
}

#[test]
fn log_04_rotated_files_and_other_machines() {
    let rotated = format!("/var/log/journal/{MACHINE}/system@72fd2531a4174519-0000000000000001-000641.journal");
    let crashed = format!("/run/log/journal/{MACHINE}/system@000641.journal~");
    let fixture = Fixture::image()
        .file("/etc/machine-id", format!("{MACHINE}\n"))
        .file(&rotated, bytes("regular"))
        .file(&crashed, bytes("compact"))
        .file(&format!("/var/log/journal/{MACHINE}/user-1000.journal"), bytes("regular"))
        .file("/var/log/journal/remote/remote-web9.journal", bytes("regular"))
        .file("/var/log/journal/fedcba9876543210fedcba9876543210/system.journal", bytes("regular"));
    let all = read(&fixture, None, DAY, 10_000);
    assert_eq!((all.entries.len(), all.whole), (2 * 333, true));
    assert!(all.entries.is_sorted_by_key(|entry| entry.micros));
    // A machine that has another id by now has none.
    let other =
        Fixture::image().file("/etc/machine-id", "11111111111111111111111111111111\n").file(&rotated, bytes("regular"));
    assert!(matches!(other.host().journal(&Query { only: None, secs: DAY, most: 9 }), Err(Gap::NotHere(_))));
}

#[test]
fn log_04_torn_and_damaged_files_do_no_harm() {
    let whole = bytes("compact");
    let query = Query { only: None, secs: DAY, most: 1000 };
    let place = format!("/var/log/journal/{MACHINE}/system.journal");
    let at = |bytes: &[u8]| Fixture::image().file(&place, bytes).host().journal(&query);
    for bad in [&b""[..], b"LPKSHHRH", &[0; 4096], b"no journal at all, but longer than a header would be"] {
        assert!(matches!(at(bad), Err(Gap::Unknown(_))), "{} bytes", bad.len());
    }
    // A newer form.
    let mut newer = whole.clone();
    newer[12] |= 0x80;
    assert!(matches!(at(&newer), Err(Gap::Unknown(_))));
    // Torn anywhere: what is there is read, and what is missing is told.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for end in [used / 8, used / 4, used / 2, used - 100] {
        let torn = at(&whole[..end]).unwrap();
        assert!(torn.entries.len() < 333 && (torn.damaged > 0 || !torn.whole || torn.entries.is_empty()), "{end}");
    }
    // Being written: the index has room for more than there is.
    let mut online = whole.clone();
    online[16] = 1;
    assert_eq!(at(&online).unwrap().entries.len(), 333);
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..60 {
        let mut bad = whole[..used + 1].to_vec();
        for _ in 0..1 + round % 40 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let place = usize::try_from(dice % bad.len() as u64).unwrap();
            bad[place] = dice.to_le_bytes()[7];
        }
        assert!(at(&bad).is_ok_and(|journal| journal.entries.len() <= 334) || round > 0);
        if round % 4 == 0 {
            let only = Some(("MESSAGE_ID", &["d9b373ed55a64feb8242e02dbe79a49c"][..]));
            drop(Fixture::image().file(&place, &bad).host().journal(&Query { only, ..query }));
        }
    }
}

#[test]
fn log_04_loops_end_and_bounds_hold() {
    let whole = bytes("regular");
    let place = format!("/var/log/journal/{MACHINE}/system.journal");
    let offset = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap());
    // An array that names itself as the next one.
    let mut looped = whole.clone();
    let array = usize::try_from(offset(176)).unwrap();
    looped[array + 16..array + 24].copy_from_slice(&offset(176).to_le_bytes());
    let few = Fixture::image().file(&place, &looped).host().journal(&Query { only: None, secs: DAY, most: 9 }).unwrap();
    assert!(!few.entries.is_empty() && few.entries.len() < 10);
    // What this run may read is spent.
    let fixture = recorded(Fixture::image(), "regular");
    let host = fixture.host();
    host.bytes_left.set(100_000);
    let cut = host.journal(&Query { only: None, secs: DAY, most: 1000 }).unwrap();
    assert!(!cut.whole && cut.entries.len() < 333);
    assert!(cut.left_out(UnixTime(NOW)).is_some());
}

#[test]
fn log_04_a_journal_reads_like_a_log() {
    let fixture = recorded(Fixture::image(), "compact").file("/etc/hostname", "web1\n");
    let host = fixture.host();
    let journal = host.journal(&Query { only: None, secs: DAY, most: 1000 }).unwrap();
    let text = journal.text(&host);
    assert!(text.starts_with("2025-12-31T22:00:00+00:00 web1 app[500]: request 0 served\n"), "{text:.200}");
    assert!(text.contains(" web1 kernel: Out of memory: Killed process 812 (java) total-vm:8123kB\n"));
    assert!(!text.contains(" kernel: Out of memory: Killed process 1 (forged)"));
    assert_eq!(journal.left_out(UnixTime(NOW)), None);
    for form in ["regular", "compact"] {
        let before = read(&recorded_before(Fixture::image(), form), None, DAY, 1000);
        assert_eq!((before.entries.len(), before.compressed, before.whole), (332, 1, true), "{form}");
        let left_out = before.left_out(UnixTime(NOW)).unwrap();
        assert!(left_out.en.contains(": 1 long messages are compressed with LZ4 or XZ"), "{left_out:?}");
    }
}
