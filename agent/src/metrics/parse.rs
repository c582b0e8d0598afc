//! Reads the kernel's small text files, byte by byte.
//!
//! Whatever stands there, nothing panics and nothing grows: what is not understood is nothing. It allocates nothing.

/// Lines, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// Words between blanks.
#[derive(Debug, Clone)]
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| !is_blank(*byte))?;
        let from = &self.0[start..];
        let end = from.iter().position(|byte| is_blank(*byte)).unwrap_or(from.len());
        let (word, rest) = from.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

impl Words<'_> {
    /// The next word as a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        number(self.next()?)
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// A whole word of digits. What is larger than the type is the largest.
pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// The only number in a file.
pub(super) fn alone(text: &[u8]) -> Option<u64> {
    Words(lines(text).next()?).number()
}

/// A number with a point, as load averages have.
pub(super) fn decimal(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

/// A word of hexadecimal digits.
pub(super) fn hexadecimal(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))
}

/// Reads the numbers of some keys out of a file of `key value` lines, the same file again and again: a running kernel
/// writes the same keys in the same order each time, so each line is compared with one key.
#[derive(Debug)]
pub(super) struct Keyed {
    keys: &'static [&'static str],
    /// The keys as they came last, by their number in `keys`.
    order: Vec<usize>,
    values: Vec<Option<u64>>,
}

impl Keyed {
    /// Of these keys; each begins a line and ends at a blank or a colon.
    pub(super) fn new(keys: &'static [&'static str]) -> Self {
        Self { keys, order: Vec::with_capacity(keys.len()), values: vec![None; keys.len()] }
    }

    /// The values of a file's text, in the order of the keys.
    pub(super) fn read(&mut self, text: &[u8]) -> &[Option<u64>] {
        if self.order.is_empty() || !self.read_in_order(text) {
            self.learn(text);
            self.read_in_order(text);
        }
        &self.values
    }

    /// What was read last.
    pub(super) fn values(&self) -> &[Option<u64>] {
        &self.values
    }

    /// Whether each known key came where it was expected.
    fn read_in_order(&mut self, text: &[u8]) -> bool {
        self.values.fill(None);
        let mut wanted = self.order.iter();
        let Some(mut next) = wanted.next() else { return true };
        for line in lines(text) {
            let Some(value) = value_of(line, self.keys[*next]) else { continue };
            self.values[*next] = Words(value).number();
            match wanted.next() {
                Some(key) => next = key,
                None => return true,
            }
        }
        false
    }

    fn learn(&mut self, text: &[u8]) {
        self.order.clear();
        for line in lines(text) {
            let key = self.keys.iter().position(|key| value_of(line, key).is_some());
            if let Some(key) = key.filter(|key| !self.order.contains(key)) {
                self.order.push(key);
            }
        }
    }
}

/// What follows the key that begins a line.
fn value_of<'a>(line: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(key.as_bytes())?;
    match rest.first()? {
        b':' => Some(&rest[1..]),
        byte if is_blank(*byte) => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cod_09_odd_numbers_are_none_or_the_largest() {
        assert_eq!(number(b"12"), Some(12));
        assert_eq!(number(b"99999999999999999999999"), Some(u64::MAX));
        for odd in [&b""[..], b"-1", b"+1", b"1.5", b"0x1", b"NaN", b"\xff", b" 1"] {
            assert_eq!(number(odd), None, "{odd:?}");
        }
        assert_eq!(decimal(b"0.25"), Some(0.25));
        for odd in [&b""[..], b"-1", b"NaN", b"inf", b"1e308", b"1.2.3", b"\xff"] {
            assert_eq!(decimal(odd), None, "{odd:?}");
        }
        assert_eq!(hexadecimal(b"0063f4cc"), Some(0x0063_f4cc));
        for odd in [&b""[..], b"+1", b"xyz", b"11112222333344445555"] {
            assert_eq!(hexadecimal(odd), None, "{odd:?}");
        }
        assert_eq!(alone(b"17\n"), Some(17));
        assert_eq!(alone(b"max\n"), None);
    }

    #[test]
    fn keys_are_found_in_any_order_also_when_it_changes() {
        let mut keyed = Keyed::new(&["MemTotal", "MemFree", "Mem", "Absent"]);
        assert_eq!(keyed.read(b"MemTotal:  10 kB\nMemFree: 5 kB\n"), [Some(10), Some(5), None, None]);
        assert_eq!(keyed.read(b"MemFree: 6 kB\nMemTotal: 11 kB\n"), [Some(11), Some(6), None, None]);
        assert_eq!(keyed.read(b"MemFree: 7 kB\n"), [None, Some(7), None, None]);
        assert_eq!(keyed.read(b"MemFree: x\nMem\n"), [None; 4]);
        assert_eq!(keyed.read(b"Absent 3"), [None, None, None, Some(3)]);
        assert_eq!(keyed.read(b""), [None; 4]);
        assert_eq!(keyed.read(b"MemTotal 1\nMemTotal 2\nMemFree 3\n"), [Some(1), Some(3), None, None]);
    }

    #[test]
    fn lines_and_words_of_anything() {
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
        assert_eq!(Words(b"  a\t b ").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(Words(b"").next(), None);
    }
}
