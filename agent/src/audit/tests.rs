//! Crashes, damage and rotation of the log on disk.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::state::identity;
use cloud_doctor_proto::audit::{Fault, Payload, Verifier};
use cloud_doctor_proto::time::{BootTime, UnixTime};

const MOMENT: Moment = Moment { at: UnixTime(1_800_000_000), boot: BootTime(5) };

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn open(dir: &Path) -> Audit {
    Audit::open(dir, key(), MOMENT).unwrap()
}

fn write(audit: &mut Audit, count: u32) {
    for i in 0..count {
        audit.begin(MOMENT, &Event::new("test").with("i", i)).unwrap();
    }
}

fn verify(dir: &Path) -> Result<Vec<Payload>, (usize, Fault)> {
    let mut verifier = Verifier::new(identity::public(&key()));
    let mut events = Vec::new();
    for path in segments(dir).unwrap() {
        let bytes = std::fs::read(&path).unwrap();
        for line in String::from_utf8_lossy(&bytes).lines() {
            events.push(verifier.line(line).map_err(|fault| (events.len(), fault))?);
        }
    }
    Ok(events)
}

#[test]
fn aud_03_a_line_cut_at_any_byte_is_cut_off_and_noted() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path());
    write(&mut audit, 3);
    drop(audit);
    let path = segments(dir.path()).unwrap().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let second = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0 + 1;
    for cut in (second..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut audit = open(dir.path());
        write(&mut audit, 1);
        let events = verify(dir.path()).unwrap();
        let names: Vec<&str> = events.iter().map(|e| e.event.as_str()).collect();
        let expected: &[&str] = &["test", "test", "audit-repaired", "test"];
        assert_eq!(names, if cut == second { &["test", "test", "test"] } else { expected }, "{cut}");
    }
}

#[test]
fn aud_01_a_damaged_last_line_stays_as_evidence_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write(&mut open(dir.path()), 3);
    let path = segments(dir.path()).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut audit = open(dir.path());
    assert_eq!(audit.newest(), Some(3), "three lines and the note about the repair");
    write(&mut audit, 1);
    assert_eq!(verify(dir.path()).unwrap_err().0, 2);
}

/// What root can do to the end of the log, and what tells of it: the next line of a guard that runs, or an earlier export.
#[test]
fn aud_06_a_tail_that_was_cut_shows_in_the_next_line_or_beside_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path());
    write(&mut audit, 5);
    let path = segments(dir.path()).unwrap().pop().unwrap();
    let exported = std::fs::read_to_string(&path).unwrap();
    let cut = |lines: usize| {
        let kept: String = exported.split_inclusive('\n').take(lines).collect();
        std::fs::write(&path, kept).unwrap();
    };
    cut(3);
    write(&mut audit, 1);
    assert_eq!(verify(dir.path()).unwrap_err().0, 3, "guard remembers how far it has written");
    drop(audit);
    // Without guard the file is all that this host knows: its log verifies, and says something else than was said.
    cut(3);
    let mut audit = open(dir.path());
    write(&mut audit, 1);
    assert_eq!(verify(dir.path()).unwrap().len(), 4);
    let (mut before, mut now) = (Verifier::new(identity::public(&key())), Verifier::new(identity::public(&key())));
    let log = std::fs::read_to_string(&path).unwrap();
    for (line, other) in exported.lines().zip(log.lines()).take(3) {
        assert_eq!(before.line(line).unwrap().seq, now.line(other).unwrap().seq);
        assert_eq!(before.head(), now.head());
    }
    let (line, other) = (exported.lines().nth(3).unwrap(), log.lines().nth(3).unwrap());
    assert_eq!(before.line(line).unwrap().seq, now.line(other).unwrap().seq);
    assert_ne!(before.head().hash, now.head().hash, "two lines with one number, both signed by this host");
}

#[test]
fn segments_rotate_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path());
    for _ in 0..3 {
        write(&mut audit, 20);
        // As if it were full: the next line begins another one.
        audit.segment.as_mut().unwrap().len += SEGMENT_BYTES;
    }
    write(&mut audit, 1);
    drop(audit);
    assert_eq!(segments(dir.path()).unwrap().len(), 4);
    write(&mut open(dir.path()), 2);
    assert_eq!(verify(dir.path()).unwrap().len(), 63);
    std::fs::remove_file(&segments(dir.path()).unwrap()[0]).unwrap();
    assert_eq!(verify(dir.path()).unwrap()[0].seq, 20, "an old segment that is gone is no fault");
}

#[test]
fn at_most_sixteen_segments_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path());
    for i in 0..20 {
        audit.head.next = i * 100;
        audit.segment = Some(audit.next_segment().unwrap());
    }
    assert_eq!(segments(dir.path()).unwrap().len(), SEGMENTS_MAX);
}

#[test]
fn the_reserve_is_there_before_anything_opens() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path());
    write(&mut audit, 1);
    assert_eq!(std::fs::metadata(reserve(dir.path())).unwrap().len(), RESERVE_BYTES);
}
