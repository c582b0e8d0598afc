//! One journal file: its header, its objects, and the entries that an index lists, the newest first.
//!
//! Read as systemd's JOURNAL_FILE_FORMAT describes it, in the regular and the compact form. Every offset and size in it is
//! hostile: nothing is followed backwards in a chain, nothing is read beyond the file, and the bytes that one file may
//! cost are bounded. Hashes and seals are not verified, so a file that was altered is read as it stands. A file that is
//! being written to has all of an entry before its index names it. It must never map the file: one that is cut short
//! meanwhile would end this process.

use super::unpack::{BYTES_MAX, PACKED_BYTES_MAX, unpack};
use crate::found::Gap;
use crate::host::Host;
use crate::host::read_at::Places;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

const SIGNATURE: &[u8] = b"LPKSHHRH";
/// Compression with XZ, LZ4 and ZSTD, keyed hashes, the compact form: what this reader can live with.
const KNOWN_FLAGS: u32 = 0b1_1111;
const COMPACT: u32 = 16;
const HEADER_BYTES: usize = 208;
/// Any of the three ways to compress, and the one that is read: all that Debian 12 and newer systems write.
const COMPRESSED: u8 = 7;
const ZSTD: u8 = 4;
const DATA: u8 = 1;
const FIELD: u8 = 2;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
const FIELD_HASH_TABLE: u64 = 16;

const BLOCK_BYTES: u64 = 4096;
/// Of one field; of a message no more is shown.
const PAYLOAD_BYTES_MAX: u64 = 4096;
/// Fields of one entry.
const ITEMS_MAX: u64 = 1024;
/// Each array of a chain is twice as large as the one before.
const ARRAYS_MAX: usize = 64;
/// Steps in chains of fields and values: a journal has some hundred fields, and some hundred names of programs.
const CHAIN_MAX: usize = 1000;
/// Values that are remembered, and the longest of them: messages are seldom said twice.
const VALUES_MAX: usize = 50_000;
const VALUE_BYTES_MAX: usize = 100;

/// An open journal file.
pub(super) struct JournalFile<'a> {
    host: &'a Host,
    places: Places,
    blocks: BTreeMap<u64, Vec<u8>>,
    compact: bool,
    fields: Range<u64>,
    entries: List,
    /// When its newest entry was written, in microseconds since 1970.
    pub(super) newest: u64,
    values: BTreeMap<u64, Item>,
    /// Bytes that may still be read, of this and of other files.
    left: &'a Cell<u64>,
    /// Whether a bound kept something from being read.
    pub(super) cut: bool,
    /// Whether a part of it is missing, or an index goes on for too long.
    pub(super) torn: bool,
}

/// Where entries are listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    /// One that stands outside of the arrays, or 0.
    first: u64,
    array: u64,
    count: u64,
}

/// A field of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Its text, `NAME=value`.
    Text(String),
    /// Something that nobody here asks for.
    Other,
    /// Compressed in another way, or too large: what it is cannot be told.
    Compressed,
}

/// An entry as it stands there.
#[derive(Debug)]
pub(super) struct Raw {
    /// In microseconds since 1970.
    pub(super) micros: u64,
    pub(super) items: Vec<Item>,
}

impl<'a> JournalFile<'a> {
    /// Reads the header; nothing for a file that is no journal of a form that is known here.
    ///
    /// # Errors
    /// As [`Host::read`].
    pub(super) fn open(host: &'a Host, path: &str, left: &'a Cell<u64>) -> Result<Option<Self>, Gap> {
        Ok(Self::read(host, host.open_places(path)?, left))
    }

    fn read(host: &'a Host, places: Places, left: &'a Cell<u64>) -> Option<Self> {
        let head = host.read_at(&places, 0, HEADER_BYTES)?;
        let flags = u32::from_le_bytes(head.get(12..16)?.try_into().ok()?);
        if head.get(..8)? != SIGNATURE || flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        let at = number(&head, 120)?;
        Some(Self {
            host,
            blocks: BTreeMap::new(),
            compact: flags & COMPACT != 0,
            fields: at..at.checked_add(number(&head, 128)?)?.min(places.size),
            entries: List { first: 0, array: number(&head, 176)?, count: number(&head, 152)? },
            newest: number(&head, 192)?,
            values: BTreeMap::new(),
            left,
            cut: false,
            torn: number(&head, 88)?.checked_add(number(&head, 96)?)? > places.size,
            places,
        })
    }

    /// The list of all entries.
    pub(super) fn all(&self) -> List {
        self.entries
    }

    /// Lists of the entries that have one of these values of a field.
    pub(super) fn lists(&mut self, field: &str, values: &[&str]) -> Vec<List> {
        let mut lists = Vec::new();
        let (mut at, mut steps) = (self.values_of(field).unwrap_or(0), 0);
        while at != 0 && lists.len() < values.len() {
            steps += 1;
            self.torn |= steps > CHAIN_MAX;
            let Some(head) = self.object(at, DATA, 64).filter(|_| steps <= CHAIN_MAX) else { break };
            if let Item::Text(text) = self.item(at)
                && text.split_once('=').is_some_and(|(name, value)| name == field && values.contains(&value))
                && let (Some(first), Some(array), Some(count)) =
                    (number(&head, 40), number(&head, 48), number(&head, 56))
            {
                lists.push(List { first, array, count });
            }
            // Each value points to one that was there before it.
            at = number(&head, 32).filter(|next| *next < at).unwrap_or(0);
        }
        lists
    }

    /// The first value of a field. The table is looked through: that spares the two hash functions.
    fn values_of(&mut self, field: &str) -> Option<u64> {
        let table =
            self.bytes(self.fields.start, usize::try_from(self.fields.end.checked_sub(self.fields.start)?).ok()?)?;
        let mut left = CHAIN_MAX;
        for bucket in table.chunks_exact(usize::try_from(FIELD_HASH_TABLE).ok()?) {
            let mut at = number(bucket, 0)?;
            while at != 0 && left > 0 {
                left -= 1;
                let head = self.object(at, FIELD, 40)?;
                let size = number(&head, 8)?;
                let name = self.bytes(at.checked_add(40)?, usize::try_from(size.checked_sub(40)?.min(100)).ok()?)?;
                if name == field.as_bytes() {
                    return number(&head, 32);
                }
                at = number(&head, 24)?;
            }
        }
        None
    }

    /// Where the newest `most` entries of a list stand, the newest first.
    pub(super) fn newest(&mut self, list: List, most: usize) -> Vec<u64> {
        let width: u64 = if self.compact { 4 } else { 8 };
        let (mut arrays, mut before, mut at) = (Vec::new(), u64::from(list.first != 0), list.array);
        // A chain that goes back would have no end.
        while at != 0 && arrays.len() < ARRAYS_MAX && arrays.last().is_none_or(|(last, _)| *last < at) {
            let Some(head) = self.object(at, ENTRY_ARRAY, 24) else {
                self.torn = true;
                break;
            };
            let items = (number(&head, 8).unwrap_or(0) - 24) / width;
            arrays.push((at, items.min(list.count.saturating_sub(before))));
            before = before.saturating_add(items);
            at = number(&head, 16).unwrap_or(0);
        }
        let mut newest = Vec::new();
        for (at, items) in arrays.into_iter().rev() {
            let mut index = items;
            while index > 0 && newest.len() < most {
                index -= 1;
                let place = at.saturating_add(24).saturating_add(index.saturating_mul(width));
                let Some(bytes) = self.bytes(place, if self.compact { 4 } else { 8 }) else { return newest };
                // In the order in which they were written; a place that is not used yet is 0.
                let before = newest.last().copied().unwrap_or(u64::MAX);
                newest.extend(offset(&bytes).filter(|entry| *entry != 0 && *entry < before));
            }
        }
        if list.first != 0 && newest.len() < most {
            newest.push(list.first);
        }
        newest
    }

    /// An entry; nothing for one that is damaged.
    pub(super) fn entry(&mut self, at: u64) -> Option<Raw> {
        let head = self.object(at, ENTRY, 64)?;
        let width = if self.compact { 4 } else { 16 };
        let count = (number(&head, 8)? - 64) / width;
        let length = usize::try_from(count.min(ITEMS_MAX) * width).ok()?;
        let items = self.bytes(at.checked_add(64)?, length)?;
        let places =
            items.chunks_exact(usize::try_from(width).ok()?).filter_map(|item| offset(item.get(..8).unwrap_or(item)));
        Some(Raw { micros: number(&head, 24)?, items: places.map(|place| self.item(place)).collect() })
    }

    /// What a value says, remembered: most entries share most values.
    fn item(&mut self, at: u64) -> Item {
        if let Some(item) = self.values.get(&at) {
            return item.clone();
        }
        let item = self.read_item(at).unwrap_or(Item::Other);
        let is_short = !matches!(&item, Item::Text(text) if text.len() > VALUE_BYTES_MAX);
        if is_short && self.values.len() < VALUES_MAX {
            self.values.insert(at, item.clone());
        }
        item
    }

    fn read_item(&mut self, at: u64) -> Option<Item> {
        let begin = if self.compact { 72 } else { 64 };
        let head = self.object(at, DATA, begin)?;
        let length = number(&head, 8)? - begin as u64;
        let place = at.checked_add(begin as u64)?;
        match head.get(1)? & COMPRESSED {
            0 => {}
            ZSTD => return Some(self.unpacked(place, length).unwrap_or(Item::Compressed)),
            _ => return Some(Item::Compressed),
        }
        let length = length.min(PAYLOAD_BYTES_MAX);
        let name = self.bytes(place, usize::try_from(length.min(24)).ok()?)?;
        if !is_asked_for(&name) {
            return Some(Item::Other);
        }
        let bytes = self.bytes(place, usize::try_from(length).ok()?)?;
        Some(text(&bytes))
    }

    /// A compressed value. What it has unpacked counts as read, and what could not be unpacked as the most that was tried.
    fn unpacked(&mut self, place: u64, length: u64) -> Option<Item> {
        let length = usize::try_from(length).ok().filter(|_| length <= PACKED_BYTES_MAX)?;
        let packed = self.bytes(place, length)?;
        let Some(left) = self.left.get().checked_sub(BYTES_MAX as u64) else {
            self.cut = true;
            return None;
        };
        let bytes = unpack(&packed);
        let unused = bytes.as_ref().map_or(0, |bytes| BYTES_MAX.saturating_sub(bytes.len()));
        self.left.set(left.saturating_add(unused as u64));
        let bytes = bytes?;
        let shown = usize::try_from(PAYLOAD_BYTES_MAX).ok().and_then(|most| bytes.get(..most)).unwrap_or(&bytes);
        Some(if is_asked_for(shown) { text(shown) } else { Item::Other })
    }

    /// The head of an object of a kind, which lies whole within the file.
    fn object(&mut self, at: u64, kind: u8, head_bytes: usize) -> Option<Vec<u8>> {
        // Objects lie behind the header, at multiples of eight.
        if at < HEADER_BYTES as u64 || !at.is_multiple_of(8) {
            return None;
        }
        let head = self.bytes(at, head_bytes)?;
        let size = number(&head, 8)?;
        let fits = size >= head_bytes as u64 && at.checked_add(size)? <= self.places.size;
        (*head.first()? == kind && fits).then_some(head)
    }

    /// Bytes, all of them or nothing.
    fn bytes(&mut self, at: u64, length: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(length as u64).filter(|end| *end <= self.places.size)?;
        let mut bytes = Vec::new();
        let mut block = at - at % BLOCK_BYTES;
        while block < end {
            let part = self.block(block)?;
            let from = usize::try_from(at.saturating_sub(block)).ok()?;
            let until = usize::try_from(end - block).ok()?.min(part.len());
            bytes.extend_from_slice(part.get(from..until)?);
            block += BLOCK_BYTES;
        }
        (bytes.len() == length).then_some(bytes)
    }

    fn block(&mut self, at: u64) -> Option<&[u8]> {
        if !self.blocks.contains_key(&at) {
            let left = self.left.get().checked_sub(BLOCK_BYTES);
            let bytes = left.and_then(|_| self.host.read_at(&self.places, at, usize::try_from(BLOCK_BYTES).ok()?));
            self.cut |= bytes.is_none();
            self.left.set(left?);
            self.blocks.insert(at, bytes?);
        }
        self.blocks.get(&at).map(Vec::as_slice)
    }
}

/// Whether anybody here asks for a value that begins so.
fn is_asked_for(value: &[u8]) -> bool {
    super::FIELDS.iter().any(|field| value.starts_with(field.as_bytes()) && value.get(field.len()) == Some(&b'='))
}

fn text(bytes: &[u8]) -> Item {
    Item::Text(String::from_utf8_lossy(bytes).into_owned())
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// An offset as wide as it stands there.
fn offset(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().map(u64::from_le_bytes).or_else(|_| bytes.try_into().map(u32::from_le_bytes).map(u64::from)).ok()
}
