//! A column of values, packed: rounded, then coded by an adaptive binary range coder, as LZMA has one.
//!
//! A value keeps nine binary digits, so that it is off by at most 0.2 % (1/512). Rounded values are whole numbers that
//! grow with the value, so small changes are small differences; a value that repeats costs about a fiftieth of a bit.
//! Zero and what is no number are kept as such. Whatever bytes are read, as many values come out as were asked for.

/// Binary digits of a value that are not kept.
const ROUNDED_BITS: u32 = 15;
/// Values between [`key`] of two values whose digits differ in the last one that is kept.
const HALF: u32 = 1 << (ROUNDED_BITS - 1);

/// A rounded value: whole numbers in the order of the values; none for what is no number.
pub(super) fn key(value: f32) -> Option<i32> {
    if !value.is_finite() {
        return None;
    }
    let rounded = (value.abs().to_bits() + HALF) >> ROUNDED_BITS;
    // The largest round up to infinity.
    let size = i32::try_from(rounded).unwrap_or(i32::MAX).min(KEY_MAX);
    Some(if value < 0.0 { -size } else { size })
}

/// The largest finite value.
const KEY_MAX: i32 = (0x7f80_0000 >> ROUNDED_BITS) - 1;

/// The value of a key.
pub(super) fn value(key: Option<i32>) -> f32 {
    let Some(key) = key else { return f32::NAN };
    let size = f32::from_bits(key.unsigned_abs().min(KEY_MAX.unsigned_abs()) << ROUNDED_BITS);
    if key < 0 { -size } else { size }
}

/// A probability in 2048ths that a bit is 0.
type Odds = u16;
const ODDS_BITS: u32 = 11;
const EVEN: Odds = 1 << (ODDS_BITS - 1);
/// How fast odds follow: columns are short.
const SPEED: u32 = 4;
const TOP: u32 = 1 << 24;

fn seen(odds: &mut Odds, bit: bool) {
    if bit {
        *odds -= *odds >> SPEED;
    } else {
        *odds += ((1 << ODDS_BITS) - *odds) >> SPEED;
    }
}

/// Packs bits by their odds.
#[derive(Debug)]
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    low: u64,
    range: u32,
    cache: u8,
    /// Bytes that a carry may still change.
    pending: u64,
    is_first: bool,
}

impl<'a> Packer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, low: 0, range: u32::MAX, cache: 0, pending: 1, is_first: true }
    }

    fn bit(&mut self, bit: bool, odds: &mut Odds) {
        let bound = (self.range >> ODDS_BITS) * u32::from(*odds);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        seen(odds, bit);
        self.normalise();
    }

    /// A bit about which nothing is known.
    fn plain(&mut self, bit: bool) {
        self.range >>= 1;
        if bit {
            self.low += u64::from(self.range);
        }
        self.normalise();
    }

    fn normalise(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the coder's registers are cut on purpose")]
    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > u64::from(u32::MAX) {
            let carry = (self.low >> 32) as u8;
            let mut byte = self.cache;
            while self.pending > 0 {
                // The very first byte is always zero: it is not written.
                if self.is_first {
                    self.is_first = false;
                } else {
                    self.out.push(byte.wrapping_add(carry));
                }
                byte = 0xff;
                self.pending -= 1;
            }
            self.cache = (self.low >> 24) as u8;
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// Writes what is left, as short as it can be: missing bytes are read as zero.
    fn finish(mut self) {
        let from = self.out.len();
        for _ in 0..5 {
            self.shift();
        }
        while self.out.len() > from && self.out.last() == Some(&0) {
            self.out.pop();
        }
    }
}

/// Unpacks them again.
#[derive(Debug)]
struct Unpacker<'a> {
    bytes: std::slice::Iter<'a, u8>,
    range: u32,
    code: u32,
}

impl<'a> Unpacker<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut bytes = bytes.iter();
        let mut code = 0;
        for _ in 0..4 {
            code = code << 8 | u32::from(bytes.next().copied().unwrap_or(0));
        }
        Self { bytes, range: u32::MAX, code }
    }

    fn bit(&mut self, odds: &mut Odds) -> bool {
        let bound = (self.range >> ODDS_BITS) * u32::from(*odds);
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        seen(odds, bit);
        self.normalise();
        bit
    }

    fn plain(&mut self) -> bool {
        self.range >>= 1;
        let bit = self.code >= self.range;
        if bit {
            self.code -= self.range;
        }
        self.normalise();
        bit
    }

    fn normalise(&mut self) {
        // A damaged code may leave nothing of the range; it grows again.
        while self.range < TOP {
            self.range = self.range << 8 | u32::from(self.range == 0);
            self.code = self.code << 8 | u32::from(self.bytes.next().copied().unwrap_or(0));
        }
    }
}

/// Bits of a difference's size, at most.
const SIZES: usize = 32;

/// What each value of a column is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The difference to the one before: for what moves from where it is.
    Difference,
    /// Itself: for what has a size, but no direction. Differences of such would be larger than they are.
    Itself,
}

/// What a column's values were like so far.
#[derive(Debug)]
struct Model {
    told: Told,
    /// Whether a value repeats, by whether the last three did.
    same: [Odds; 8],
    missing: Odds,
    /// Whether a difference is negative, by the sign of the last one.
    negative: [Odds; 2],
    /// How many bits a difference has, by whether the last one had many: a tree of five decisions.
    sizes: [[Odds; SIZES]; 2],
    /// The bit below the highest one, by how many there are.
    second: [Odds; SIZES],
    repeats: usize,
    was_negative: usize,
    was_large: usize,
    last: Option<i32>,
    /// What differences are counted from: the last one that was a number, or nothing.
    known: i32,
}

impl Model {
    fn new(told: Told) -> Self {
        Self {
            told,
            same: [EVEN; 8],
            missing: EVEN / 8 * 15,
            negative: [EVEN; 2],
            sizes: [[EVEN; SIZES]; 2],
            second: [EVEN; SIZES],
            repeats: 7,
            was_negative: 0,
            was_large: 0,
            last: Some(0),
            known: 0,
        }
    }

    fn remember(&mut self, key: Option<i32>, is_same: bool) {
        self.repeats = (self.repeats << 1 | usize::from(is_same)) & 7;
        self.last = key;
        match self.told {
            Told::Difference => self.known = key.unwrap_or(self.known),
            Told::Itself => {}
        }
    }

    /// Whether a difference may be none: after a gap a value may be the same as before it, and what is told as itself
    /// may be zero. Keys have 18 bits, so one more is no matter.
    fn may_be_none(&self) -> bool {
        self.last.is_none() || self.told == Told::Itself
    }

    fn remember_difference(&mut self, is_negative: bool, bits: usize) {
        self.was_negative = usize::from(is_negative);
        self.was_large = usize::from(bits > 5);
    }
}

/// Packs a column.
pub(super) fn pack(told: Told, keys: impl Iterator<Item = Option<i32>>, out: &mut Vec<u8>) {
    let (mut packer, mut model) = (Packer::new(out), Model::new(told));
    for key in keys {
        let is_same = key == model.last;
        packer.bit(!is_same, &mut model.same[model.repeats]);
        if !is_same {
            if model.last.is_some() {
                packer.bit(key.is_none(), &mut model.missing);
            }
            if let Some(key) = key {
                pack_difference(key, &mut packer, &mut model);
            }
        }
        model.remember(key, is_same);
    }
    packer.finish();
}

fn pack_difference(key: i32, packer: &mut Packer<'_>, model: &mut Model) {
    let difference = key.wrapping_sub(model.known);
    let is_negative = difference < 0;
    packer.bit(is_negative, &mut model.negative[model.was_negative]);
    let size = difference.unsigned_abs() + u32::from(model.may_be_none());
    let bits = usize::try_from(32 - size.leading_zeros()).unwrap_or(0);
    let tree = &mut model.sizes[model.was_large];
    let mut node = 1;
    for place in (0..5).rev() {
        let bit = ((bits - 1) >> place) & 1;
        packer.bit(bit == 1, &mut tree[node]);
        node = node << 1 | bit;
    }
    if bits > 1 {
        packer.bit(size >> (bits - 2) & 1 == 1, &mut model.second[bits - 1]);
        for place in (0..bits - 2).rev() {
            packer.plain(size >> place & 1 == 1);
        }
    }
    model.remember_difference(is_negative, bits);
}

/// Unpacks a column of so many values.
pub(super) fn unpack(told: Told, bytes: &[u8], count: usize, mut each: impl FnMut(Option<i32>)) {
    let (mut unpacker, mut model) = (Unpacker::new(bytes), Model::new(told));
    for _ in 0..count {
        let is_same = !unpacker.bit(&mut model.same[model.repeats]);
        let key = if is_same {
            model.last
        } else if model.last.is_some() && unpacker.bit(&mut model.missing) {
            None
        } else {
            Some(unpack_difference(&mut unpacker, &mut model))
        };
        model.remember(key, is_same);
        each(key);
    }
}

fn unpack_difference(unpacker: &mut Unpacker<'_>, model: &mut Model) -> i32 {
    let is_negative = unpacker.bit(&mut model.negative[model.was_negative]);
    let tree = &mut model.sizes[model.was_large];
    let mut node = 1;
    for _ in 0..5 {
        node = node << 1 | usize::from(unpacker.bit(&mut tree[node]));
    }
    let bits = node - SIZES + 1;
    let mut size = 1u32;
    if bits > 1 {
        size = size << 1 | u32::from(unpacker.bit(&mut model.second[bits - 1]));
        for _ in 0..bits - 2 {
            size = size << 1 | u32::from(unpacker.plain());
        }
    }
    model.remember_difference(is_negative, bits);
    let size = size.wrapping_sub(u32::from(model.may_be_none())).cast_signed();
    let difference = if is_negative { size.wrapping_neg() } else { size };
    // What no packer wrote is brought back to what there can be.
    model.known.wrapping_add(difference).clamp(-KEY_MAX, KEY_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The same numbers for each run.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }
    }

    fn round_trip(values: &[f32]) -> usize {
        let keys: Vec<_> = values.iter().map(|value| key(*value)).collect();
        let lens = [Told::Itself, Told::Difference].map(|told| {
            let (mut bytes, mut read) = (vec![7], Vec::new());
            pack(told, keys.iter().copied(), &mut bytes);
            unpack(told, &bytes[1..], keys.len(), |key| read.push(key));
            assert_eq!(read, keys, "{told:?}");
            bytes.len() - 1
        });
        assert!(lens[0] <= 4 * keys.len() + 8, "{lens:?}");
        lens[1]
    }

    #[test]
    fn a_value_is_off_by_a_fifth_of_a_percent_at_most() {
        let mut dice = Dice(1);
        for _ in 0..100_000 {
            let given = f32::from_bits(u32::try_from(dice.below(0x7f80_0000)).unwrap()).max(f32::MIN_POSITIVE);
            let kept = value(key(given));
            assert!(
                kept.is_finite() && (kept - given).abs() / given <= 1.0 / 512.0 || given > 3.3e38,
                "{given} {kept}"
            );
            assert_eq!(value(key(-given)).to_bits(), (-kept).to_bits());
        }
        assert_eq!(value(key(0.0)).to_bits(), 0);
        assert!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].iter().all(|odd| value(key(*odd)).is_nan()));
        assert!(value(key(f32::MAX)).is_finite());
        let ordered = [-1e9, -1.0, -1e-9, 0.0, 1e-9, 0.999, 1.0, 1e9].map(key);
        assert!(ordered.is_sorted());
    }

    #[test]
    fn columns_of_every_kind_come_back() {
        let mut dice = Dice(2);
        for round in 0..2_000 {
            let count = usize::try_from(dice.below(400)).unwrap();
            let kind = dice.below(5);
            let mut values: Vec<f32> = Vec::with_capacity(count);
            for _ in 0..count {
                let random = dice.next();
                values.push(match kind {
                    0 => f32::from_bits(u32::try_from(random >> 32).unwrap()),
                    1 => {
                        if random.is_multiple_of(10) {
                            f32::NAN
                        } else {
                            5.0
                        }
                    }
                    2 => f32::from(u16::try_from(random % 100).unwrap()) / 100.0,
                    3 => {
                        if random.is_multiple_of(30) {
                            f32::from(u16::try_from(random >> 48).unwrap())
                        } else {
                            0.0
                        }
                    }
                    _ => {
                        values.last().copied().unwrap_or(1e6)
                            * (1.0 + f32::from(u8::try_from(random % 7).unwrap()) / 100.0 - 0.03)
                    }
                });
            }
            assert!(round_trip(&values) <= 4 * count + 8, "round {round}");
        }
        assert_eq!(round_trip(&[]), 0);
        assert_eq!(round_trip(&[0.0; 60]), 0, "zeros cost nothing");
        assert!(round_trip(&[3.0; 3_600]) < 25);
        for edge in [[f32::MAX, -f32::MAX, f32::NAN, f32::MAX], [f32::NAN, 0.0, f32::NAN, 0.0]] {
            round_trip(&edge);
        }
    }

    #[test]
    fn what_has_no_direction_is_told_shorter_as_itself() {
        let mut dice = Dice(4);
        let sizes: Vec<_> = (0..3_600).map(|_| i32::try_from(dice.below(900)).ok()).collect();
        let len = |told: Told| {
            let mut bytes = Vec::new();
            pack(told, sizes.iter().copied(), &mut bytes);
            bytes.len()
        };
        assert!(len(Told::Itself) * 20 < len(Told::Difference) * 19);
    }

    #[test]
    fn any_bytes_give_as_many_values_as_were_asked_for() {
        let mut dice = Dice(3);
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..dice.below(80)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
            for told in [Told::Itself, Told::Difference] {
                let mut count = 0;
                unpack(told, &bytes, 360, |key| {
                    count += 1;
                    assert!(value(key).is_finite() || key.is_none());
                });
                assert_eq!(count, 360);
            }
        }
    }
}
