//! What a file of history holds: records, each either names of series or a block of columns.
//!
//! ```text
//! file    magic "cdhist", version, tier | record ...
//! record  marker | u32 bytes of head | u32 bytes of data | 8 bytes of the head's SHA-256 | head | data
//! head    series: first id, names ...
//!         block:  source, from, boot, step, points, columns x (id, bytes, check)
//! data    a block's columns, one after another, each packed by itself
//! ```
//!
//! A column is found and verified without reading its neighbours. Numbers are little endian; ids, lengths and the like are
//! of as many bytes as they need. What a file says is never believed: every length is compared with what is there.

use cloud_doctor_proto::metrics::{ATTRIBUTES_MAX, SERIES_MAX, Series, SeriesKind, TEXT_CHARS_MAX};
use sha2::{Digest as _, Sha256};

/// Begins each record, so that the next one is found behind damage.
pub(super) const MARKER: [u8; 4] = *b"cdr\x01";
/// Bytes of a record before its head.
pub(super) const RECORD_HEAD: usize = 20;
/// Longest head: names of as many series as there can be, each as long as it can be, come in several.
pub(super) const HEAD_MAX: usize = 1 << 20;
/// Longest data: all series, an hour, and nothing that can be packed.
pub(super) const DATA_MAX: usize = 16 << 20;
/// Points of one block.
pub(super) const POINTS_MAX: usize = 1_024;
/// Series named in one record.
const NAMES_PAGE: usize = 250;

/// A block's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockHead {
    /// Of a coarse block: the number of the segment that it was made from; above it, whether others of it follow.
    pub(super) source: u64,
    pub(super) more: bool,
    /// Its beginning, milliseconds of Unix time.
    pub(super) from: u64,
    /// The same in milliseconds since boot.
    pub(super) boot: u64,
    /// Of one point, in milliseconds.
    pub(super) step: u32,
    pub(super) points: usize,
    pub(super) columns: Vec<Column>,
}

/// A column's place in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) id: u32,
    pub(super) offset: usize,
    pub(super) bytes: usize,
    pub(super) check: u16,
}

/// What a head says.
#[derive(Debug)]
pub(super) enum Head {
    Series { first: u32, series: Vec<Series> },
    Block(BlockHead),
}

/// Sums of a column's bytes, as Fletcher has them, begun at one: a hole of zeros is none of ours.
pub(super) fn check(bytes: &[u8]) -> u16 {
    let (mut sum, mut sums) = (1u32, 1u32);
    for byte in bytes {
        sum = (sum + u32::from(*byte)) % 255;
        sums = (sums + sum) % 255;
    }
    u16::try_from(sums << 8 | sum).unwrap_or(u16::MAX)
}

/// A whole record.
fn record(head: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_HEAD + head.len() + data.len());
    out.extend_from_slice(&MARKER);
    for len in [head.len(), data.len()] {
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(&digest(head));
    out.extend_from_slice(head);
    out.extend_from_slice(data);
    out
}

fn digest(head: &[u8]) -> [u8; 8] {
    let whole = Sha256::digest(head);
    *whole.first_chunk().expect("a SHA-256 has 32 bytes")
}

/// The lengths of a record that begins here: head and data. Nothing when none does.
pub(super) fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let rest = bytes.strip_prefix(&MARKER)?;
    let (head, rest) = rest.split_first_chunk::<4>()?;
    let (data, _) = rest.split_first_chunk::<4>()?;
    let len = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
    let (head, data) = (len(head)?, len(data)?);
    (head <= HEAD_MAX && data <= DATA_MAX).then_some((head, data))
}

/// Reads a head, when it is as it was written. `start` is the record's first [`RECORD_HEAD`] bytes.
pub(super) fn head(start: &[u8], head: &[u8]) -> Option<Head> {
    let (_, data) = lengths(start)?;
    let told = start.get(RECORD_HEAD - 8..RECORD_HEAD)?;
    if told != digest(head) {
        return None;
    }
    let mut reader = Reader(head);
    match reader.byte()? {
        1 => names(&mut reader),
        2 => block(&mut reader, data),
        _ => None,
    }
}

/// Names of new series, from this id on.
pub(super) fn write_names(first: u32, series: &[&Series], out: &mut Vec<u8>) {
    for (page, some) in series.chunks(NAMES_PAGE).enumerate() {
        let mut head = vec![1];
        put(u64::from(first) + u64::try_from(page * NAMES_PAGE).unwrap_or(0), &mut head);
        put_len(some.len(), &mut head);
        for series in some {
            let kind = match series.kind {
                SeriesKind::Gauge => 0,
                SeriesKind::Counter => 1,
            };
            head.push(kind | u8::from(series.summary) << 1);
            put_text(&series.name, &mut head);
            put_text(&series.unit, &mut head);
            put_len(series.attributes.len(), &mut head);
            for (key, value) in &series.attributes {
                put_text(key, &mut head);
                put_text(value, &mut head);
            }
        }
        out.extend(record(&head, &[]));
    }
}

fn names(reader: &mut Reader<'_>) -> Option<Head> {
    let first = u32::try_from(reader.number()?).ok()?;
    let count = reader.len().filter(|count| *count <= SERIES_MAX)?;
    let mut series = Vec::with_capacity(count);
    for _ in 0..count {
        let flags = reader.byte()?;
        let kind = if flags & 1 == 0 { SeriesKind::Gauge } else { SeriesKind::Counter };
        let (name, unit) = (reader.text()?, reader.text()?);
        let attributes = reader.len().filter(|count| *count <= ATTRIBUTES_MAX)?;
        let attributes: Option<Vec<_>> =
            (0..attributes).map(|_| reader.text().and_then(|key| Some((key, reader.text()?)))).collect();
        let one = Series { name, unit, kind, attributes: attributes?, summary: flags & 2 != 0 };
        series.push(Some(one).filter(Series::is_bounded)?);
    }
    Some(Head::Series { first, series })
}

/// A block. `columns` are in the order of their ids, each with its packed bytes.
pub(super) fn write_block(head: &BlockHead, columns: &[(u32, Vec<u8>)], out: &mut Vec<u8>) {
    let mut bytes = vec![2];
    put(head.source << 1 | u64::from(head.more), &mut bytes);
    for number in [head.from, head.boot, u64::from(head.step)] {
        put(number, &mut bytes);
    }
    put_len(head.points, &mut bytes);
    put_len(columns.len(), &mut bytes);
    let (mut data, mut last) = (Vec::new(), 0);
    for (id, column) in columns {
        put(u64::from(*id - last), &mut bytes);
        put_len(column.len(), &mut bytes);
        // A column of nothing but zeros has no bytes, and nothing to verify.
        if !column.is_empty() {
            bytes.extend_from_slice(&check(column).to_le_bytes());
        }
        data.extend_from_slice(column);
        last = *id;
    }
    out.extend(record(&bytes, &data));
}

fn block(reader: &mut Reader<'_>, data: usize) -> Option<Head> {
    let source = reader.number()?;
    let (from, boot) = (reader.number()?, reader.number()?);
    let step = u32::try_from(reader.number()?).ok().filter(|step| *step > 0)?;
    let points = reader.len().filter(|points| (1..=POINTS_MAX).contains(points))?;
    // Milliseconds of a year that people write with four digits: sums of them do not overflow.
    Some(from).filter(|from| *from < 1 << 48)?;
    let count = reader.len().filter(|count| *count <= usize::from(u16::MAX))?;
    let mut columns = Vec::with_capacity(count.min(SERIES_MAX));
    let (mut id, mut offset) = (0u32, 0usize);
    for _ in 0..count {
        id = id.checked_add(u32::try_from(reader.number()?).ok()?)?;
        let bytes = reader.len()?;
        let check = if bytes > 0 { u16::from_le_bytes(reader.take()?) } else { 0 };
        columns.push(Column { id, offset, bytes, check });
        offset = offset.checked_add(bytes).filter(|end| *end <= data)?;
    }
    let head = BlockHead { source: source >> 1, more: source & 1 == 1, from, boot, step, points, columns };
    Some(Head::Block(head))
}

/// A number, seven bits in each byte, the lowest first.
pub(super) fn put(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn put_len(len: usize, out: &mut Vec<u8>) {
    put(u64::try_from(len).unwrap_or(u64::MAX), out);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_len(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what was put; nothing where nothing fits.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn len(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(super) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.len().filter(|len| *len <= 4 * TEXT_CHARS_MAX)?;
        String::from_utf8(self.slice(len)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn series(number: usize) -> Series {
        Series {
            name: format!("system.disk.io.{number}"),
            unit: "By".into(),
            kind: SeriesKind::Counter,
            attributes: vec![("device".into(), "sda \u{4f60}".into())],
            summary: number.is_multiple_of(2),
        }
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        let (len, _) = lengths(bytes)?;
        head(&bytes[..RECORD_HEAD], bytes.get(RECORD_HEAD..RECORD_HEAD + len)?)
    }

    #[test]
    fn names_come_back() {
        let all: Vec<_> = (0..600).map(series).collect();
        let mut bytes = Vec::new();
        write_names(5, &all.iter().collect::<Vec<_>>(), &mut bytes);
        let mut back = Vec::new();
        while !bytes.is_empty() {
            let Some(Head::Series { first, series }) = read(&bytes) else { panic!("names") };
            assert_eq!(usize::try_from(first).unwrap(), 5 + back.len());
            back.extend(series);
            let (len, data) = lengths(&bytes).unwrap();
            bytes.drain(..RECORD_HEAD + len + data);
        }
        assert_eq!(back, all);
    }

    #[test]
    fn a_block_comes_back_and_no_damaged_head() {
        let mut columns = vec![(3, vec![1, 2, 3]), (4, vec![]), (900, vec![9; 300])];
        let mut head =
            BlockHead { source: 7, more: true, from: 1 << 40, boot: 5, step: 1_000, points: 60, columns: vec![] };
        let mut bytes = Vec::new();
        write_block(&head, &columns, &mut bytes);
        let Some(Head::Block(block)) = read(&bytes) else { panic!("a block") };
        for (column, (id, packed)) in block.columns.iter().zip(columns.drain(..)) {
            assert_eq!((column.id, column.bytes), (id, packed.len()));
            assert!(packed.is_empty() || column.check == check(&packed));
        }
        head.columns = block.columns.clone();
        assert_eq!(block, head);
        let (len, _) = lengths(&bytes).unwrap();
        for place in 0..RECORD_HEAD + len {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            let told = read(&damaged);
            // The length of the data is no part of the head; too little of it for the columns is noticed.
            assert!(told.is_none() || (8..12).contains(&place), "{place}");
        }
    }

    #[test]
    fn a_hole_is_no_column() {
        assert_ne!(check(&[0; 5]), 0);
        assert_ne!(check(&[1, 2]), check(&[2, 1]));
    }
}
