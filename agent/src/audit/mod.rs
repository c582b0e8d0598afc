//! The host's audit: what happened here, on disk and signed before anybody is told that it happened.
//!
//! Segments of 4 MiB, at most 16, one chain through all of them ([`cloud_doctor_proto::audit`]). A line that a crash cut
//! off was never acknowledged and is cut on start. A reserve keeps room for the end of what has begun: on a full disk
//! nothing new opens. It must never hold a secret, and no stranger can make it grow: [`gate`] counts instead.

pub(crate) mod gate;
mod pages;
mod recover;

use crate::state::files::{self, FileError};
use cloud_doctor_proto::audit::{self, Head, Moment};
use cloud_doctor_proto::refusal::{Refusal, Refused};
use ed25519_dalek::SigningKey;
use gate::{Gate, Rate};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a segment: small enough to read at start, large enough for weeks.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Segments kept: 64 MiB, years of visits.
const SEGMENTS_MAX: usize = 16;
/// Room kept for ends of visits on a full disk: about 2,000 lines.
const RESERVE_BYTES: u64 = 1 << 20;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    name: &'static str,
    fields: Map<String, Value>,
}

impl Event {
    /// Of a kind. Kinds are kebab-case and never renamed: people search for them.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, fields: Map::new() }
    }

    /// With a field.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }
}

/// The log, open for appending. One process has it: the guard.
#[derive(Debug)]
pub(crate) struct Audit {
    dir: PathBuf,
    identity: SigningKey,
    head: Head,
    segment: Option<Segment>,
    strangers: Gate,
    engineers: Gate,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Audit {
    /// Opens the log, cuts what a crash left of a last line, and says so in the log.
    ///
    /// # Errors
    /// [`FileError`] when the directory cannot be read or written.
    pub(crate) fn open(dir: &Path, identity: SigningKey, moment: Moment) -> Result<Self, FileError> {
        files::make_dir(dir, 0o700)?;
        let key = crate::state::identity::public(&identity);
        let found = recover::recover(dir, &key)?;
        let (strangers, engineers) = (Gate::new(Rate::STRANGERS), Gate::new(Rate::ENGINEERS));
        let mut audit = Self { dir: dir.to_owned(), identity, head: found.head, segment: None, strangers, engineers };
        if let Some((path, len)) = found.last {
            audit.segment = Some(Segment { file: append_to(&path).map_err(FileError::at(&path))?, path, len });
        }
        let notes = [("cut-bytes", found.cut_bytes), ("damaged-lines", found.damaged_lines)];
        let event = notes
            .iter()
            .filter(|(_, count)| *count > 0)
            .fold(Event::new("audit-repaired"), |event, note| event.with(note.0, note.1));
        if !event.fields.is_empty() {
            audit.append(moment, &event)?;
        }
        Ok(audit)
    }

    /// Number of the newest line; `None` when there is none.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.head.next.checked_sub(1)
    }

    /// Writes an event; when this returns it is on disk. For whatever begins something.
    ///
    /// # Errors
    /// [`Refusal::AuditFull`]: it must not begin.
    pub(crate) fn begin(&mut self, moment: Moment, event: &Event) -> Result<(), Refused> {
        let full = |error: FileError| {
            tracing::error!(%error, "the audit log cannot be written: nothing opens");
            Refusal::AuditFull.with(self.dir.display().to_string())
        };
        make_reserve(&self.dir).map_err(full)?;
        let dir = self.dir.display().to_string();
        self.append(moment, event).map_err(|error| {
            tracing::error!(%error, "the audit log cannot be written: nothing opens");
            Refusal::AuditFull.with(dir)
        })
    }

    /// Writes an event that happened anyway: an end, a removal, a lockdown. Takes from the reserve on a full disk.
    pub(crate) fn note(&mut self, moment: Moment, event: &Event) {
        if self.append(moment, event).is_ok() {
            return;
        }
        let freed = files::remove(&reserve(&self.dir));
        if let Err(error) = freed.and_then(|()| self.append(moment, event)) {
            tracing::error!(%error, event = event.name, "an event could not be written to the audit log");
        }
    }

    /// Writes an event that a stranger can cause as often as they like: some of them, and how many more there were.
    pub(crate) fn note_counted(&mut self, moment: Moment, key: &'static str, event: Event) {
        if let Some(more) = self.strangers.pass(key, moment.boot) {
            self.note_with_count(moment, event, more);
        }
    }

    /// The same for what engineers cause in their visits: nearly all of them.
    pub(crate) fn note_often(&mut self, moment: Moment, key: &'static str, event: Event) {
        if let Some(more) = self.engineers.pass(key, moment.boot) {
            self.note_with_count(moment, event, more);
        }
    }

    fn note_with_count(&mut self, moment: Moment, event: Event, more: u64) {
        let event = if more > 0 { event.with("more", more) } else { event };
        self.note(moment, &event);
    }

    /// Writes how many events were only counted, when it is time again. Called now and then.
    pub(crate) fn flush_counts(&mut self, moment: Moment) {
        let due = self.strangers.due(moment.boot).into_iter().chain(self.engineers.due(moment.boot));
        for (key, more) in due.collect::<Vec<_>>() {
            self.note(moment, &Event::new("counted").with("what", key).with("more", more));
        }
    }

    fn append(&mut self, moment: Moment, event: &Event) -> Result<(), FileError> {
        let (mut line, head) = audit::encode(self.head, moment, event.name, &event.fields, &self.identity);
        line.push('\n');
        let full = self.segment.as_ref().is_none_or(|s| s.len + line.len() as u64 > SEGMENT_BYTES);
        if full {
            self.segment = Some(self.next_segment()?);
        }
        let segment = self.segment.as_mut().expect("made above when there was none");
        segment.append(line.as_bytes()).map_err(FileError::at(&segment.path))?;
        self.head = head;
        Ok(())
    }

    fn next_segment(&self) -> Result<Segment, FileError> {
        let path = self.dir.join(format!("{:016}.jsonl", self.head.next));
        files::remove(&path)?;
        files::create(&path, files::PRIVATE, b"")?;
        let segments = segments(&self.dir)?;
        for old in segments.iter().rev().skip(SEGMENTS_MAX) {
            files::remove(old)?;
        }
        Ok(Segment { file: append_to(&path).map_err(FileError::at(&path))?, path, len: 0 })
    }
}

impl Segment {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.len)).and_then(|_| {
            self.file.write_all(line)?;
            self.file.sync_data()
        });
        match written {
            Ok(()) => self.len += line.len() as u64,
            // Half a line must not stay in front of the next one; if it does, the next write goes over it.
            Err(_) => self.file.set_len(self.len)?,
        }
        written
    }
}

/// The segments, oldest first.
pub(crate) fn segments(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let list = || {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
            if named.is_some_and(|number| number.len() == 16 && number.bytes().all(|b| b.is_ascii_digit())) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    };
    list().map_err(FileError::at(dir))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Room kept for the end of what has begun; an audit that is over needs none.
pub(crate) fn reserve(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

fn make_reserve(dir: &Path) -> Result<(), FileError> {
    let path = reserve(dir);
    let make = || {
        if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == RESERVE_BYTES) {
            return Ok(());
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(files::PRIVATE)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)?;
        let kept = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES);
        if kept.is_err() {
            file.set_len(0)?;
        }
        Ok(kept?)
    };
    make().map_err(FileError::at(&path))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
