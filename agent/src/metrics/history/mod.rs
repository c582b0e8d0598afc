//! History at the edge: an hour of seconds, fourteen days of tens of seconds, at most 64 MB on this host's disk.
//!
//! ```text
//! minute (memory) ─ each minute ─▶ 1s-N ─ when it holds an hour ─▶ 10s-M ─ a file holds a day ─▶ oldest removed
//! ```
//!
//! One write a minute, none of them waited for: what a crash cuts off is found at the start. When nothing can be written,
//! the oldest file goes; when that does not help, an hour is kept in memory, and what falls out is counted (FLT-22). How
//! much is kept is measured by what was recorded, never by the host's clock, which may jump (FLT-20).

mod codec;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::metrics) mod full_disk;
mod minute;
mod range;
mod record;
mod rollup;
mod segment;
#[cfg(test)]
mod tests;

use super::clock::Moment;
use super::table::Table;
use cloud_doctor_proto::metrics::Series;
use minute::Minute;
pub(crate) use range::Answer;
use record::BlockHead;
use segment::{Segment, Tier};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All files together.
const BYTES_MAX: u64 = 64 << 20;
/// Recorded seconds of a fine file, and blocks of either: a restart makes short ones.
const FINE_SECONDS: u64 = 3_600;
const BLOCKS_MAX: usize = 256;
/// Of a coarse file: a day, or as many bytes.
const COARSE_SECONDS: u64 = 86_400;
const COARSE_BYTES: u64 = 4 << 20;
/// Recorded seconds that are kept of the coarse ones.
const KEPT_SECONDS: u64 = 14 * 86_400;
/// Blocks in memory while nothing can be written, and their bytes.
const WAITING_MAX: usize = 60;
const WAITING_BYTES: usize = 4 << 20;
/// A disk with less room than this share is not filled further.
const FREE_MIN: f64 = 0.05;

/// A series' id in the file that is written.
type Ids = HashMap<Arc<Series>, u32>;

/// History, shared by the sampler, which writes, and those who ask.
#[derive(Debug)]
pub(super) struct History {
    inner: Mutex<Inner>,
    folder: PathBuf,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    free_share: fn(&Path) -> Option<f64>,
    minute: Minute,
    /// By tier and number; the last one of each tier is written.
    fine: Vec<Segment>,
    coarse: Vec<Segment>,
    fine_ids: Ids,
    coarse_ids: Ids,
    waiting: VecDeque<Waiting>,
    /// Blocks that fell out of memory.
    lost: u64,
    was_told: bool,
}

/// A minute that could not be written yet.
#[derive(Debug, Clone)]
struct Waiting {
    from: u64,
    boot: u64,
    points: usize,
    columns: Vec<(Arc<Series>, Vec<u8>)>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.columns.iter().map(|(_, packed)| packed.len() + 64).sum()
    }
}

impl History {
    /// History below a folder of which nothing is known yet: [`History::find`] looks.
    pub(super) fn new(folder: &Path) -> Self {
        Self::bounded(folder, BYTES_MAX, free_share)
    }

    /// Only looks at what another process writes: nothing is cut off, removed or written.
    pub(super) fn look(folder: &Path) -> io::Result<Self> {
        let mut inner = Inner::new(folder, BYTES_MAX, free_share);
        let mut left = BYTES_MAX;
        for tier in [Tier::Fine, Tier::Coarse] {
            for number in inner.numbers(tier)? {
                let bytes = std::fs::symlink_metadata(segment::path(folder, tier, number)).map_or(0, |meta| meta.len());
                // More than a writer of ours keeps is none of ours.
                let Some(rest) = left.checked_sub(bytes) else { continue };
                left = rest;
                // What is of no use, or goes away meanwhile, is the writer's.
                if let Ok(Some(segment)) = Segment::read(folder, tier, number) {
                    inner.found(segment);
                }
            }
        }
        Ok(Self { inner: Mutex::new(inner), folder: folder.to_owned() })
    }

    fn bounded(folder: &Path, bytes_max: u64, free_share: fn(&Path) -> Option<f64>) -> Self {
        Self { inner: Mutex::new(Inner::new(folder, bytes_max, free_share)), folder: folder.to_owned() }
    }

    /// Finds what is there, cuts off what a crash left, and goes on behind it; whoever asks meanwhile waits. Without a
    /// folder everything stays in memory.
    pub(super) fn find(&self) {
        if let Err(error) = self.inner().find() {
            tracing::warn!(%error, folder = %self.folder.display(), "history of metrics cannot be read; it begins anew");
        }
    }

    /// Held for a copy into memory each second and a write each minute; whoever asks copies and lets go.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample.
    pub(super) fn push(&self, table: &mut Table, now: Moment, elapsed_micros: u64) {
        let mut inner = self.inner();
        if inner.minute.is_over(now) {
            inner.write_minute();
        }
        inner.minute.push(table, now, elapsed_micros);
    }

    /// Writes what is in memory.
    pub(super) fn flush(&self) {
        self.inner().write_minute();
    }

    /// Minutes that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.inner().lost
    }
}

/// The share of the file system that is free for us.
fn free_share(folder: &Path) -> Option<f64> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let all = super::table::lossy(told.f_blocks);
    Some(super::table::lossy(told.f_bavail) / all).filter(|_| all > 0.0)
}

impl Inner {
    fn new(folder: &Path, bytes_max: u64, free_share: fn(&Path) -> Option<f64>) -> Self {
        Self {
            folder: folder.to_owned(),
            bytes_max,
            free_share,
            minute: Minute::default(),
            fine: Vec::new(),
            coarse: Vec::new(),
            fine_ids: Ids::new(),
            coarse_ids: Ids::new(),
            waiting: VecDeque::new(),
            lost: 0,
            was_told: false,
        }
    }

    /// Of a tier's files, in order.
    fn numbers(&self, tier: Tier) -> io::Result<Vec<u64>> {
        let names = std::fs::read_dir(&self.folder)?.filter_map(Result::ok).map(|entry| entry.file_name());
        let mut numbers: Vec<u64> =
            names.filter_map(|name| segment::number(tier, name.to_str().unwrap_or_default())).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Finds the files that are there.
    fn find(&mut self) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for tier in [Tier::Fine, Tier::Coarse] {
            for number in self.numbers(tier)? {
                match Segment::read(&self.folder, tier, number) {
                    Ok(Some(segment)) => self.found(segment),
                    Ok(None) => self.remove_strange(tier, number, "it is empty, damaged or of another version"),
                    Err(error) => self.remove_strange(tier, number, &error.to_string()),
                }
            }
        }
        if let Some(last) = self.fine.last() {
            last.cut()?;
            self.fine_ids = ids(last);
        }
        if let Some(last) = self.coarse.last() {
            last.cut()?;
            self.coarse_ids = ids(last);
        }
        self.close_old_fine();
        Ok(())
    }

    fn found(&mut self, segment: Segment) {
        if segment.damaged > 0 {
            let (tier, number, damaged) = (segment.tier, segment.number, segment.damaged);
            tracing::warn!(?tier, number, damaged, "history of metrics is damaged in places, which are left out");
        }
        match segment.tier {
            Tier::Fine => self.fine.push(segment),
            Tier::Coarse => self.coarse.push(segment),
        }
    }

    fn remove_strange(&self, tier: Tier, number: u64, why: &str) {
        let path = segment::path(&self.folder, tier, number);
        tracing::warn!(file = %path.display(), why, "a file of metrics' history is of no use and is removed");
        std::fs::remove_file(path).ok();
    }

    /// Packs the minute and writes it, and whatever waited.
    fn write_minute(&mut self) {
        if self.minute.is_empty() {
            return;
        }
        let (from, boot) = self.minute.began();
        let points = self.minute.seconds();
        let columns = self.minute.columns();
        self.minute.clear();
        let columns = columns.into_iter().map(|column| (column.series, minute::pack(&column.values))).collect();
        self.waiting.push_back(Waiting { from, boot, points, columns });
        self.write_waiting();
        let mut bytes: usize = self.waiting.iter().map(Waiting::bytes).sum();
        while self.waiting.len() > WAITING_MAX || bytes > WAITING_BYTES {
            let Some(oldest) = self.waiting.pop_front() else { break };
            bytes -= oldest.bytes();
            self.lost += 1;
        }
    }

    fn write_waiting(&mut self) {
        self.make_room();
        while let Some(waiting) = self.waiting.front().cloned() {
            let written = if self.is_nearly_full() {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                self.write(&waiting).or_else(|error| self.write_after_removing(&waiting, error))
            };
            if let Err(error) = written {
                if !std::mem::replace(&mut self.was_told, true) {
                    tracing::warn!(%error, "history of metrics cannot be written; the last hour stays in memory");
                }
                return;
            }
            self.was_told = false;
            self.waiting.pop_front();
        }
    }

    /// The oldest file goes, once, where the disk is full.
    fn write_after_removing(&mut self, waiting: &Waiting, error: io::Error) -> io::Result<()> {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full && self.remove_oldest() { self.write(waiting) } else { Err(error) }
    }

    /// Puts a block into the fine file.
    fn write(&mut self, waiting: &Waiting) -> io::Result<()> {
        if self.fine.last().is_none_or(is_full) {
            self.close_fine()?;
        }
        let Some(segment) = self.fine.last_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut bytes = Vec::new();
        let new = new_ids(&mut self.fine_ids, waiting.columns.iter().map(|(series, _)| series), &mut bytes);
        let mut columns: Vec<(u32, Vec<u8>)> =
            waiting.columns.iter().map(|(series, packed)| (self.fine_ids[series], packed.clone())).collect();
        columns.sort_by_key(|(id, _)| *id);
        let head = BlockHead {
            source: 0,
            more: false,
            from: waiting.from,
            boot: waiting.boot,
            step: Tier::Fine.step(),
            points: waiting.points,
            columns: Vec::new(),
        };
        record::write_block(&head, &columns, &mut bytes);
        let written = segment.append(&bytes);
        if written.is_err() {
            // Their names are not on disk.
            self.fine_ids.retain(|series, _| !new.contains(series));
        }
        written
    }

    /// Begins a new fine file; the one before is made coarser, and the one before that goes.
    fn close_fine(&mut self) -> io::Result<()> {
        let number = self.fine.last().map_or(1, |last| last.number + 1);
        let next = Segment::create(&self.folder, Tier::Fine, number)?;
        self.fine.push(next);
        self.fine_ids.clear();
        self.close_old_fine();
        Ok(())
    }

    /// Makes coarser what is closed and was not made coarser yet; removes what is not needed any more.
    fn close_old_fine(&mut self) {
        let closed = self.fine.len().saturating_sub(1);
        for place in 0..closed {
            let number = self.fine[place].number;
            let mut blocks = self.coarse.iter().flat_map(|segment| &segment.blocks);
            let is_done = blocks.any(|block| block.source == number && !block.more);
            if !is_done && let Err(error) = self.coarsen(number) {
                tracing::warn!(%error, number, "an hour of metrics cannot be made coarser");
            }
        }
        while self.fine.len() > 2 {
            self.fine.remove(0).remove().ok();
        }
    }

    fn coarsen(&mut self, number: u64) -> io::Result<()> {
        let Some(fine) = self.fine.iter().find(|segment| segment.number == number) else { return Ok(()) };
        if fine.blocks.is_empty() {
            return Ok(());
        }
        if self.coarse.last().is_none_or(is_full) {
            let number = self.coarse.last().map_or(1, |last| last.number + 1);
            self.coarse.push(Segment::create(&self.folder, Tier::Coarse, number)?);
            self.coarse_ids.clear();
        }
        let mut bytes = Vec::new();
        let new = rollup::coarsen(&self.folder, fine, &mut self.coarse_ids, &mut bytes)?;
        let Some(segment) = self.coarse.last_mut() else { return Ok(()) };
        let written = segment.append(&bytes);
        if written.is_err() {
            self.coarse_ids.retain(|series, _| !new.contains(series));
        }
        self.make_room();
        written
    }

    /// Removes the oldest files: beyond the days that are kept, and beyond the bytes.
    fn make_room(&mut self) {
        while self.coarse.len() > 1 {
            let behind: u64 = self.coarse[1..].iter().map(Segment::seconds).sum();
            if behind < KEPT_SECONDS && self.bytes() <= self.bytes_max {
                break;
            }
            self.remove_oldest();
        }
    }

    fn bytes(&self) -> u64 {
        self.coarse.iter().chain(&self.fine).map(|segment| segment.bytes).sum()
    }

    /// Removes the oldest file that is not written any more; whether there was one.
    fn remove_oldest(&mut self) -> bool {
        let from = if self.coarse.len() > 1 {
            &mut self.coarse
        } else if self.fine.len() > 1 {
            &mut self.fine
        } else {
            return false;
        };
        from.remove(0).remove().ok();
        true
    }

    /// Whether others need the disk more. The oldest file goes each time, as long as there is one.
    fn is_nearly_full(&mut self) -> bool {
        let is_full = |inner: &Self| (inner.free_share)(&inner.folder).is_some_and(|share| share < FREE_MIN);
        while is_full(self) {
            if !self.remove_oldest() {
                return true;
            }
        }
        false
    }
}

/// Whether the next block belongs into another file.
fn is_full(segment: &Segment) -> bool {
    let full = match segment.tier {
        Tier::Fine => segment.seconds() >= FINE_SECONDS,
        Tier::Coarse => segment.seconds() >= COARSE_SECONDS || segment.bytes >= COARSE_BYTES,
    };
    full || segment.blocks.len() >= BLOCKS_MAX || segment.series.len() + BLOCKS_MAX > usize::from(u16::MAX)
}

fn ids(segment: &Segment) -> Ids {
    let numbered = (0u32..).zip(&segment.series);
    numbered.filter(|(_, series)| !series.name.is_empty()).map(|(id, series)| (series.clone(), id)).collect()
}

/// Gives ids to series that have none, and writes their names. The new ones.
fn new_ids<'a>(ids: &mut Ids, all: impl Iterator<Item = &'a Arc<Series>>, out: &mut Vec<u8>) -> Vec<Arc<Series>> {
    let first = ids.values().max().map_or(0, |last| last + 1);
    let mut new = Vec::new();
    for (id, series) in (first..).zip(all.filter(|series| !ids.contains_key(*series))) {
        new.push((id, series.clone()));
    }
    let names: Vec<&Series> = new.iter().map(|(_, series)| &**series).collect();
    record::write_names(first, &names, out);
    ids.extend(new.iter().map(|(id, series)| (series.clone(), *id)));
    new.into_iter().map(|(_, series)| series).collect()
}
