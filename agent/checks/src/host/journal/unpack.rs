//! Values that journald has compressed with Zstandard, which it does above 512 bytes: a decoder, bounded.
//!
//! A few bytes can stand for gigabytes. So a frame that needs more than [`BYTES_MAX`] is not unpacked at all; one that says
//! less than it holds is left after the block that showed it, and a block has 128 KiB at most.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What a value may have when it is unpacked: journald cuts lines at 48 KiB (`LineMax=`).
pub(super) const BYTES_MAX: usize = 64 << 10;
/// What it may have before: what cannot be compressed grows a little.
pub(super) const PACKED_BYTES_MAX: u64 = (BYTES_MAX as u64) + 1024;

/// What the decoder may have to look back to; journald's frames ask for no more than they hold.
const WINDOW_BYTES_MAX: u64 = 1 << 20;

/// The value; nothing when it is too large or damaged.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (mut source, mut frame) = (packed, FrameDecoder::new());
    frame.set_max_window_size(WINDOW_BYTES_MAX);
    frame.init(&mut source).ok()?;
    if frame.content_size() > BYTES_MAX as u64 {
        return None;
    }
    let is_whole = frame.decode_blocks(&mut source, BlockDecodingStrategy::UptoBytes(BYTES_MAX)).ok()?;
    frame.collect().filter(|bytes| is_whole && bytes.len() <= BYTES_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn packed(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn log_04_what_is_short_is_unpacked_and_a_bomb_is_not() {
        let line = "MESSAGE=it failed, and here is why: ".repeat(100);
        assert_eq!(unpack(&packed(line.as_bytes())).unwrap(), line.as_bytes());
        let most = vec![b'x'; BYTES_MAX];
        assert_eq!(unpack(&packed(&most)).map(|bytes| bytes.len()), Some(BYTES_MAX));
        assert_eq!(unpack(&packed(&vec![b'x'; BYTES_MAX + 1])), None);
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        assert_eq!(unpack(&bomb), None);
        // One that says nothing of its size: 1000 blocks of 128 KiB, each told in four bytes.
        let mut silent = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x30];
        for at in 0..1000_u32 {
            let head = (128 << 10) << 3 | 1 << 1 | u32::from(at == 999);
            silent.extend_from_slice(&head.to_le_bytes()[..3]);
            silent.push(b'x');
        }
        assert_eq!(unpack(&silent), None);
    }

    #[test]
    fn log_04_what_is_damaged_or_something_else_does_no_harm() {
        assert_eq!(unpack(b""), None);
        assert_eq!(unpack(b"MESSAGE=plain"), None);
        let text: String = (0..300).map(|at| format!("request {at} of {} was refused; ", at * 7919 % 1000)).collect();
        let whole = packed(text.as_bytes());
        assert_eq!(unpack(&whole).unwrap(), text.as_bytes());
        for end in 0..whole.len() {
            assert_ne!(unpack(&whole[..end]).as_deref(), Some(text.as_bytes()), "{end}");
        }
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2000 {
            let mut bad = whole.clone();
            for _ in 0..1 + dice % 8 {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                let place = usize::try_from(dice % bad.len() as u64).unwrap();
                bad[place] = dice.to_le_bytes()[6];
            }
            assert!(unpack(&bad).is_none_or(|bytes| bytes.len() <= BYTES_MAX));
        }
    }
}
