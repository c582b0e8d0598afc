//! Files of history: what is in them, found again at the start, and read in places.
//!
//! A file grows at its end alone. What a crash cut off there is cut away; behind damage in the middle the next whole record
//! counts again. It must never believe a file, read one whole but for the hour that is made coarser, or follow a link.

use super::codec::{self, Told};
use super::record::{self, BlockHead, Head, RECORD_HEAD};
use cloud_doctor_proto::metrics::Series;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 6] = b"cdhist";
/// The first one told the distances of coarse points as their differences.
const VERSION: u8 = 2;
/// Bytes of a file before its first record.
pub(super) const FILE_HEAD: usize = 8;
/// Bytes looked at at once when a record's beginning is searched.
const SEARCH_BYTES: usize = 64 << 10;

/// How fine a file's points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tier {
    /// Seconds: a block is a minute.
    Fine,
    /// Ten seconds, each with smallest, mean and largest: a block is an hour.
    Coarse,
}

impl Tier {
    pub(super) fn step(self) -> u32 {
        match self {
            Self::Fine => 1_000,
            Self::Coarse => 10_000,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Fine => "1s-",
            Self::Coarse => "10s-",
        }
    }
}

/// A block's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) tier: Tier,
    pub(super) segment: u64,
    /// Of the record in its file.
    pub(super) offset: u64,
    pub(super) head_bytes: usize,
    pub(super) from: u64,
    pub(super) step: u32,
    pub(super) points: usize,
    pub(super) source: u64,
    pub(super) more: bool,
}

impl Block {
    /// The first millisecond after it.
    pub(super) fn to(&self) -> u64 {
        self.from.saturating_add(u64::from(self.step) * u64::try_from(self.points).unwrap_or(0))
    }
}

/// A file and what is in it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) tier: Tier,
    pub(super) number: u64,
    path: PathBuf,
    /// Where the next record goes.
    pub(super) bytes: u64,
    pub(super) blocks: Vec<Block>,
    /// By id.
    pub(super) series: Vec<Arc<Series>>,
    /// Records, or stretches, that were not what they should be.
    pub(super) damaged: usize,
}

/// The number in a file's name.
pub(super) fn number(tier: Tier, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(tier.prefix())?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

pub(super) fn path(folder: &Path, tier: Tier, number: u64) -> PathBuf {
    folder.join(format!("{}{number:010}", tier.prefix()))
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options.open(path)
}

impl Segment {
    /// Makes an empty one. One that is there already, of which nothing was understood, is replaced.
    pub(super) fn create(folder: &Path, tier: Tier, number: u64) -> io::Result<Self> {
        let path = path(folder, tier, number);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&path)?.write_all(&file_head(tier))?;
        let bytes = FILE_HEAD as u64;
        Ok(Self { tier, number, path, bytes, blocks: Vec::new(), series: Vec::new(), damaged: 0 })
    }

    /// Looks what is in one. `None`: it is none of ours, or of another version.
    pub(super) fn read(folder: &Path, tier: Tier, number: u64) -> io::Result<Option<Self>> {
        let path = path(folder, tier, number);
        let file = open(&path, false)?;
        let len = file
            .metadata()
            .and_then(|meta| meta.is_file().then_some(meta.len()).ok_or(io::ErrorKind::InvalidInput.into()))?;
        let mut head = [0; FILE_HEAD];
        if read_up_to(&file, &mut head, 0)? < FILE_HEAD || head != file_head(tier) {
            return Ok(None);
        }
        let mut segment = Self { tier, number, path, bytes: 0, blocks: Vec::new(), series: Vec::new(), damaged: 0 };
        segment.scan(&file, len)?;
        Ok(Some(segment))
    }

    /// Walks from record to record.
    fn scan(&mut self, file: &File, len: u64) -> io::Result<()> {
        let mut at = FILE_HEAD as u64;
        self.bytes = at;
        while at < len {
            let Some(next) = self.take(file, at, len)? else {
                self.damaged += 1;
                match find_marker(file, at + 1, len)? {
                    Some(found) => at = found,
                    None => return Ok(()),
                }
                continue;
            };
            at = next;
            self.bytes = at;
        }
        Ok(())
    }

    /// Takes the record that begins here; where the next one does.
    fn take(&mut self, file: &File, at: u64, len: u64) -> io::Result<Option<u64>> {
        let mut start = [0; RECORD_HEAD];
        if read_up_to(file, &mut start, at)? < RECORD_HEAD {
            return Ok(None);
        }
        let Some((head_bytes, data_bytes)) = record::lengths(&start) else { return Ok(None) };
        let end = at + (RECORD_HEAD + head_bytes + data_bytes) as u64;
        if end > len {
            return Ok(None);
        }
        let mut head = vec![0; head_bytes];
        if read_up_to(file, &mut head, at + RECORD_HEAD as u64)? < head_bytes {
            return Ok(None);
        }
        match record::head(&start, &head) {
            Some(Head::Series { first, series }) => {
                // Ids have no gaps, but where a record is damaged: those that are missing name nothing.
                let first = usize::try_from(first).unwrap_or(usize::MAX);
                if first > usize::from(u16::MAX) {
                    return Ok(None);
                }
                self.series.resize(first.max(self.series.len()), nameless());
                self.series.truncate(first);
                self.series.extend(series.into_iter().map(Arc::new));
            }
            Some(Head::Block(block)) if block.step == self.tier.step() => {
                self.blocks.push(self.place(&block, at, head_bytes));
            }
            Some(Head::Block(_)) => return Ok(None),
            None => return Ok(None),
        }
        Ok(Some(end))
    }

    fn place(&self, block: &BlockHead, offset: u64, head_bytes: usize) -> Block {
        let BlockHead { from, step, points, source, more, .. } = *block;
        Block { tier: self.tier, segment: self.number, offset, head_bytes, from, step, points, source, more }
    }

    /// Puts bytes of whole records at the end. What cannot be written whole is not written.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = open(&self.path, true)?;
        let written = file.write_all_at(bytes, self.bytes);
        if written.is_err() {
            // What is half there would be found as damage.
            file.set_len(self.bytes).ok();
        }
        written?;
        let len = self.bytes + bytes.len() as u64;
        let damaged = self.damaged;
        self.scan_from(&file, len)?;
        self.damaged = damaged;
        Ok(())
    }

    fn scan_from(&mut self, file: &File, len: u64) -> io::Result<()> {
        while self.bytes < len {
            let Some(next) = self.take(file, self.bytes, len)? else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what was written is not there"));
            };
            self.bytes = next;
        }
        Ok(())
    }

    /// Cuts away what a crash left at the end.
    pub(super) fn cut(&self) -> io::Result<()> {
        open(&self.path, true)?.set_len(self.bytes)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Seconds that its blocks cover.
    pub(super) fn seconds(&self) -> u64 {
        self.blocks.iter().map(|block| (block.to() - block.from) / 1_000).sum()
    }
}

/// Stands for a series whose name is lost: no metric has this one.
fn nameless() -> Arc<Series> {
    let (name, unit) = (String::new(), String::new());
    let kind = cloud_doctor_proto::metrics::SeriesKind::Gauge;
    Arc::new(Series { name, unit, kind, attributes: Vec::new(), summary: false })
}

fn file_head(tier: Tier) -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head[6] = VERSION;
    head[7] = match tier {
        Tier::Fine => 1,
        Tier::Coarse => 10,
    };
    head
}

/// Fills the bytes as far as the file goes.
fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// The next place at which a record may begin.
fn find_marker(file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; SEARCH_BYTES];
    let mut at = from;
    while at < len {
        let count = read_up_to(file, &mut bytes, at)?;
        if count < record::MARKER.len() {
            return Ok(None);
        }
        if let Some(place) = bytes[..count].windows(record::MARKER.len()).position(|four| four == record::MARKER) {
            return Ok(Some(at + place as u64));
        }
        // The marker may lie across two pieces.
        at += (count - record::MARKER.len() + 1) as u64;
    }
    Ok(None)
}

/// A file that is read in places, block by block.
#[derive(Debug)]
pub(super) struct Opened(File);

impl Opened {
    pub(super) fn new(folder: &Path, tier: Tier, number: u64) -> io::Result<Self> {
        open(&path(folder, tier, number), false).map(Self)
    }

    /// A block's columns, when it is as it was written.
    pub(super) fn columns(&self, block: &Block) -> Option<BlockHead> {
        let mut bytes = vec![0; RECORD_HEAD + block.head_bytes];
        let count = read_up_to(&self.0, &mut bytes, block.offset).ok()?;
        let (start, head) = bytes.get(..count)?.split_at_checked(RECORD_HEAD)?;
        match record::head(start, head)? {
            Head::Block(head) => Some(head).filter(|head| head.points == block.points && head.from == block.from),
            Head::Series { .. } => None,
        }
    }

    /// A column's packed bytes, when they are as they were written.
    pub(super) fn column(&self, block: &Block, column: &record::Column) -> Option<Vec<u8>> {
        let mut bytes = vec![0; column.bytes];
        let offset = block.offset + (RECORD_HEAD + block.head_bytes + column.offset) as u64;
        let count = read_up_to(&self.0, &mut bytes, offset).ok()?;
        let is_whole = count == bytes.len() && (bytes.is_empty() || record::check(&bytes) == column.check);
        is_whole.then_some(bytes)
    }
}

/// Smallest, mean and largest value of a point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) min: f32,
    pub(super) mean: f32,
    pub(super) max: f32,
}

/// Unpacks a column of a block.
pub(super) fn points(tier: Tier, packed: &[u8], count: usize) -> Option<Vec<Point>> {
    let mut out = Vec::with_capacity(count);
    match tier {
        Tier::Fine => codec::unpack(Told::Difference, packed, count, |key| {
            let value = codec::value(key);
            out.push(Point { min: value, mean: value, max: value });
        }),
        Tier::Coarse => {
            let mut reader = record::Reader(packed);
            let (mean, below) = if packed.is_empty() { (0, 0) } else { (reader.len()?, reader.len()?) };
            let (mean, below) = (reader.slice(mean)?, reader.slice(below)?);
            let mut keys = Vec::with_capacity(count);
            codec::unpack(Told::Difference, mean, count, |key| keys.push(key));
            let offsets = |packed: &[u8]| {
                let mut offsets = Vec::with_capacity(count);
                codec::unpack(Told::Itself, packed, count, |offset| offsets.push(offset.unwrap_or(0)));
                offsets
            };
            let (below, above) = (offsets(below), offsets(reader.0));
            for ((key, below), above) in keys.into_iter().zip(below).zip(above) {
                let at = |offset: i32| codec::value(key.map(|key| key.saturating_add(offset)));
                out.push(Point { min: at(below.saturating_neg()), mean: at(0), max: at(above) });
            }
        }
    }
    Some(out)
}

/// Packs points of ten seconds.
pub(super) fn pack_coarse(points: &[Point]) -> Vec<u8> {
    let keys = |value: fn(&Point) -> f32| points.iter().map(move |point| codec::key(value(point)));
    let apart = |high: Option<i32>, low: Option<i32>| Some((high? - low?).max(0));
    let (mut mean, mut below, mut above) = (Vec::new(), Vec::new(), Vec::new());
    let distances = |high: fn(&Point) -> f32, low: fn(&Point) -> f32| {
        keys(high).zip(keys(low)).map(move |(high, low)| apart(high, low))
    };
    codec::pack(Told::Difference, keys(|point| point.mean), &mut mean);
    codec::pack(Told::Itself, distances(|point| point.mean, |point| point.min), &mut below);
    codec::pack(Told::Itself, distances(|point| point.max, |point| point.mean), &mut above);
    let mut out = Vec::with_capacity(4 + mean.len() + below.len() + above.len());
    if mean.is_empty() && below.is_empty() && above.is_empty() {
        return out;
    }
    record::put_len(mean.len(), &mut out);
    record::put_len(below.len(), &mut out);
    for part in [mean, below, above] {
        out.extend(part);
    }
    out
}
