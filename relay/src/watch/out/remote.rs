//! Prometheus remote-write 1.0: one small protobuf message in snappy's block format, both written here. Pure.
//!
//! Only compressing: nothing that somebody else sends is ever decompressed here (COD-04), and no library is linked that could.

use super::Point;
use super::names::{Instance, labels, name};
use std::collections::BTreeSet;

/// A block of snappy: offsets within it fit two bytes.
const BLOCK_BYTES: usize = 1 << 16;
/// Entries of the table of what was seen.
const SEEN_BITS: u32 = 14;
/// Shortest repetition that is worth a reference.
const MATCH_MIN: usize = 4;
/// Longest in one reference.
const COPY_MAX: usize = 64;

/// The body of a request: one sample of each series.
pub(super) fn request(instance: &Instance, points: &[Point], at_millis: u64) -> Vec<u8> {
    let (mut message, mut seen) = (Vec::new(), BTreeSet::new());
    for point in points {
        let mut all = labels(instance, &point.series);
        all.insert("__name__".to_owned(), name(&point.series));
        let mut series = Vec::new();
        for (key, value) in &all {
            let mut label = Vec::new();
            field(&mut label, 1, key.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut series, 1, &label);
        }
        // Two series that are one to Prometheus would be refused with all others.
        if !seen.insert(series.clone()) {
            continue;
        }
        let mut sample = vec![0x09];
        sample.extend_from_slice(&point.value.to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, at_millis);
        field(&mut series, 2, &sample);
        field(&mut message, 1, &series);
    }
    compressed(&message)
}

/// A field of bytes.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0x7f));
}

/// Snappy's block format: labels repeat, so a request shrinks to a tenth.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 + 16);
    varint(&mut out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    bytes.chunks(BLOCK_BYTES).for_each(|block| compress(&mut out, block));
    out
}

fn compress(out: &mut Vec<u8>, block: &[u8]) {
    // One more than where four bytes of this hash were last seen; 0: nowhere.
    let mut seen = vec![0_usize; 1 << SEEN_BITS];
    let (mut at, mut said) = (0, 0);
    while let Some(four) = block.get(at..).and_then(|rest| rest.first_chunk::<MATCH_MIN>()) {
        let hash = u32::from_le_bytes(*four).wrapping_mul(0x1e35_a7bd) >> (u32::BITS - SEEN_BITS);
        let before =
            usize::try_from(hash).ok().and_then(|hash| seen.get_mut(hash)).map(|last| std::mem::replace(last, at + 1));
        let same = before.and_then(|before| before.checked_sub(1)).filter(|before| block[*before..].starts_with(four));
        let Some(before) = same else {
            at += 1;
            continue;
        };
        let length = block[at..].iter().zip(&block[before..]).take_while(|(new, old)| new == old).count();
        literal(out, &block[said..at]);
        copy(out, at - before, length);
        at += length;
        said = at;
    }
    literal(out, &block[said..]);
}

fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    let Some(less) = bytes.len().checked_sub(1).and_then(|less| u16::try_from(less).ok()) else { return };
    let [high, low] = less.to_be_bytes();
    match (high, low) {
        (0, 0..60) => out.push(low << 2),
        (0, _) => out.extend([60 << 2, low]),
        _ => out.extend([61 << 2, low, high]),
    }
    out.extend_from_slice(bytes);
}

fn copy(out: &mut Vec<u8>, back: usize, mut length: usize) {
    let [low, high] = u16::try_from(back).unwrap_or(u16::MAX).to_le_bytes();
    while length > 0 {
        let piece = length.min(COPY_MAX);
        out.extend([u8::try_from(piece - 1).unwrap_or(0) << 2 | 2, low, high]);
        length -= piece;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::metrics::{Series, SeriesKind};

    /// As the format's description has it; only tests read what was written here.
    fn read(mut bytes: &[u8]) -> Vec<u8> {
        let mut next = |count: usize| {
            let (first, rest) = bytes.split_at(count);
            bytes = rest;
            first.to_vec()
        };
        let (mut len, mut shift) = (0_usize, 0);
        loop {
            let byte = next(1)[0];
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut out = Vec::new();
        while out.len() < len {
            let tag = next(1)[0];
            if tag & 3 == 0 {
                let less = match tag >> 2 {
                    60 => usize::from(next(1)[0]),
                    61 => usize::from(u16::from_le_bytes(next(2).try_into().unwrap())),
                    less => usize::from(less),
                };
                out.extend(next(less + 1));
            } else {
                let back = usize::from(u16::from_le_bytes(next(2).try_into().unwrap()));
                for _ in 0..=(tag >> 2) {
                    out.push(out[out.len() - back]);
                }
            }
        }
        out
    }

    #[test]
    fn what_is_compressed_is_read_again() {
        let mut state = 3_u32;
        let mut noise = |len: usize| -> Vec<u8> {
            let mut byte = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            };
            (0..len).map(|_| byte()).collect()
        };
        for len in [0, 1, 3, 4, 59, 60, 61, 256, 257, 65_535, 65_536, 65_537, 200_000] {
            let bytes = noise(len);
            assert_eq!(read(&compressed(&bytes)), bytes, "{len}");
            let dull = vec![7; len];
            assert_eq!(read(&compressed(&dull)), dull, "{len}");
            let mixed: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| if at % 50 < 40 { 9 } else { *byte }).collect();
            assert_eq!(read(&compressed(&mixed)), mixed, "{len}");
        }
    }

    #[test]
    fn a_request_is_small_and_has_its_labels_in_order() {
        let instance = Instance { name: "web-1".into(), customer: "ACME".into(), id: "0011".into() };
        let point = |number: usize| Point {
            series: Series {
                name: "system.disk.io".into(),
                unit: "By".into(),
                kind: SeriesKind::Counter,
                attributes: vec![("device".into(), format!("sd{number}"))],
                summary: false,
            },
            value: 1.5,
            increase: 1.0,
        };
        let body = request(&instance, &[point(0), point(0)], 1);
        let label = |key: &str, value: &str| {
            let inner = [
                &[0x0a, u8::try_from(key.len()).unwrap()],
                key.as_bytes(),
                &[0x12, u8::try_from(value.len()).unwrap()],
                value.as_bytes(),
            ]
            .concat();
            [&[0x0a, u8::try_from(inner.len()).unwrap()][..], &inner].concat()
        };
        let labels = [
            label("__name__", "system_disk_io_bytes_total"),
            label("customer", "ACME"),
            label("device", "sd0"),
            label("instance", "web-1"),
            label("server_id", "0011"),
        ]
        .concat();
        let sample = [&[0x12, 11, 0x09][..], &1.5_f64.to_le_bytes(), &[0x10, 1]].concat();
        let series = [labels, sample].concat();
        let mut message = Vec::new();
        field(&mut message, 1, &series);
        assert_eq!(read(&body), message, "each series once");
        let many: Vec<Point> = (0..1_000).map(point).collect();
        let body = request(&instance, &many, 1);
        assert!(body.len() * 3 < read(&body).len(), "{}", body.len());
    }
}
