//! The file in which one kind of runs keeps what it found for the next one: those for relays in guard's folder, root's own
//! in another, so that neither makes the other's findings hold or end.
//!
//! It is replaced in one step, so a crash leaves the old one or the new one. It must never be taken from, or shown to,
//! anybody but root: it names things of this host as they are.

use crate::state::files::{self, FileError, Lock};
use cloud_doctor_checks::{Check, Damaged, RECORD_BYTES_MAX, Ran, Record, Wanted};
use cloud_doctor_proto::time::UnixTime;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "found.record";
/// Rounds that find the same again are written down this often: a disk is not worn out by looking.
const SAME_SECS: u64 = 3600;

/// A record's file in this folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The text in the file; none is a record of nothing.
///
/// # Errors
/// It cannot be read, or is longer than any that was written.
pub(crate) fn read(folder: &Path) -> Result<String, FileError> {
    let file = file(folder);
    let failed = |error| FileError::at(&file)(io::Error::new(io::ErrorKind::InvalidData, error));
    match files::read(&file, RECORD_BYTES_MAX) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| failed(error.utf8_error())),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Keeps a text in its place.
///
/// # Errors
/// It cannot be written, or is longer than one may be; the old one stays then.
pub(crate) fn write(folder: &Path, text: &str) -> Result<(), FileError> {
    let file = file(folder);
    if text.len() > RECORD_BYTES_MAX {
        return Err(FileError::at(&file)(io::ErrorKind::FileTooLarge.into()));
    }
    files::replace(&file, files::PRIVATE, text.as_bytes())
}

/// What runs on this host found, for whoever runs them here: in its file, or for the life of this process only.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    record: Record,
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    saved: Option<UnixTime>,
}

/// Why a record begins anew.
#[derive(Debug)]
pub(crate) enum Anew {
    /// It cannot be read.
    File(FileError),
    /// It cannot be believed.
    Damaged(PathBuf, Damaged),
}

impl Memory {
    /// With what stands in `folder`, where there is one; why it begins anew, when it does although there is a file.
    pub(crate) fn open(folder: Option<PathBuf>) -> (Self, Option<Anew>) {
        let Some(folder) = folder else { return Self::default().with(None, None) };
        let read = read(&folder).map_err(Anew::File).and_then(|text| {
            let damaged = |damaged| Anew::Damaged(file(&folder), damaged);
            Record::read(&text).map_err(damaged)
        });
        match read {
            Ok(record) => Self { record, ..Self::default() }.with(Some(folder), None),
            Err(anew) => Self::default().with(Some(folder), Some(anew)),
        }
    }

    fn with(self, folder: Option<PathBuf>, anew: Option<Anew>) -> (Self, Option<Anew>) {
        (Self { folder, ..self }, anew)
    }

    /// Tells the next run how it was.
    pub(crate) fn tell(&self, wanted: &mut Wanted, now: UnixTime) {
        self.record.tell(wanted, now);
    }

    /// Learns what a run found, and keeps it.
    ///
    /// # Errors
    /// It is known to this process only.
    pub(crate) fn learn(&mut self, ran: &mut [(&'static Check, Ran)], now: UnixTime) -> Result<(), FileError> {
        let is_changed = self.record.learn(ran, now);
        let is_due = self.saved.is_none_or(|saved| saved.plus_secs(SAME_SECS) <= now);
        let Some(folder) = self.folder.as_deref().filter(|_| is_changed || is_due) else { return Ok(()) };
        files::make_dir(folder, 0o700)?;
        let lock = match Lock::take(folder) {
            Ok(lock) => lock,
            // Another run is writing what it found: one of the two is as good as the other.
            Err(error) if error.source.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        write(folder, &self.record.text())?;
        drop(lock);
        self.saved = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_checks::{by_id, unknown};
    use cloud_doctor_proto::finding::{Status, Words};
    use std::os::unix::fs::PermissionsExt as _;

    fn ran(status: Status) -> Vec<(&'static Check, Ran)> {
        let check = by_id("cpu.usage").unwrap();
        let mut finding = unknown(check, Words::same("so"));
        finding.status = status;
        vec![(check, Ran::Findings(vec![finding]))]
    }

    fn before(memory: &Memory) -> Option<Status> {
        let mut wanted = Wanted::default();
        memory.tell(&mut wanted, UnixTime(1));
        wanted.before.get(&("cpu.usage".to_owned(), String::new())).copied()
    }

    #[test]
    fn what_was_found_is_kept_for_root_alone_and_a_damaged_file_begins_anew() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("checks");
        let open = || Memory::open(Some(folder.clone()));
        let (mut memory, anew) = open();
        assert!(anew.is_none() && before(&memory).is_none());
        memory.learn(&mut ran(Status::Warning), UnixTime(1)).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file(&folder))), (0o700, 0o600));
        let (memory, anew) = open();
        assert_eq!((anew.is_none(), before(&memory)), (true, Some(Status::Warning)));

        for bytes in [&b"junk"[..], &[0xff; 9], &vec![b'x'; RECORD_BYTES_MAX + 1]] {
            std::fs::write(file(&folder), bytes).unwrap();
            let (mut memory, anew) = open();
            assert!(anew.is_some() && before(&memory).is_none());
            memory.learn(&mut ran(Status::Critical), UnixTime(1)).unwrap();
            let (memory, anew) = open();
            assert_eq!((anew.is_none(), before(&memory)), (true, Some(Status::Critical)), "it goes on");
        }
        assert!(write(&folder, &"x".repeat(RECORD_BYTES_MAX + 1)).is_err());
        assert_eq!(before(&open().0), Some(Status::Critical), "the old one stays");
    }

    #[test]
    fn a_round_that_finds_the_same_wears_out_no_disk() {
        let place = tempfile::tempdir().unwrap();
        let (mut memory, _) = Memory::open(Some(place.path().to_owned()));
        let text = || std::fs::read_to_string(file(place.path())).unwrap();
        memory.learn(&mut ran(Status::Warning), UnixTime(10)).unwrap();
        let first = text();
        memory.learn(&mut ran(Status::Warning), UnixTime(20)).unwrap();
        assert_eq!(text(), first);
        memory.learn(&mut ran(Status::Critical), UnixTime(30)).unwrap();
        assert_ne!(text(), first);
        let second = text();
        memory.learn(&mut ran(Status::Critical), UnixTime(30 + SAME_SECS)).unwrap();
        assert_ne!(text(), second);
    }

    #[test]
    fn without_a_folder_nothing_is_written_and_rounds_still_know() {
        let (mut memory, _) = Memory::open(None);
        memory.learn(&mut ran(Status::Warning), UnixTime(1)).unwrap();
        assert_eq!(before(&memory), Some(Status::Warning));
    }
}
