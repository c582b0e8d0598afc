//! What the engineer's terminal gets of a server's output: everything that draws, nothing that acts on the engineer.
//!
//! A terminal obeys what it shows, and types some of its answers back into the shell. So a file that somebody runs
//! `cat` on must not set or read the clipboard, program keys, print, or have the terminal type text that the file
//! chose. Plain output is passed on as it is, without a copy.
//!
//! ```text
//!  Text ──ESC──▶ Escape ──[──▶ Csi ─────final byte─────▶ Text
//!   │  ▲            │  └──] P X ^ _──▶ Word ◀──other──┐    (Word: an operating system command or control string)
//!   C2 └──2nd byte  └──0x20-0x2f──▶ Charset           └── WordEscape ◀──ESC── Word
//! ```
//!
//! Never: a part of a sequence, which what follows could complete; more than [`SEQUENCE_BYTES_MAX`] kept.

mod allowed;
#[cfg(test)]
mod tests;

/// Longest sequence that is passed on. A terminal needs less; what is longer is dropped up to its end.
const SEQUENCE_BYTES_MAX: usize = 4096;

const ENQ: u8 = 0x05;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;
/// First byte of the characters U+0080 to U+00BF, of which the first half are controls (C1).
const C1_LEAD: u8 = 0xc2;
/// What a terminal shows for a byte that is no character: U+FFFD.
const NO_CHARACTER: &[u8] = "\u{fffd}".as_bytes();

/// The place in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Text,
    /// After [`C1_LEAD`], which is kept back.
    C1,
    Escape,
    /// After ESC and an intermediate byte.
    Charset,
    Csi,
    Word,
    /// ESC inside a word: its end, if a backslash follows.
    WordEscape,
}

/// The rest of a character that has begun: how many bytes, and which the next may be.
#[derive(Debug, Clone, Copy)]
struct Rest {
    bytes: u8,
    low: u8,
    high: u8,
}

impl Rest {
    const NONE: Self = Self { bytes: 0, low: 0x80, high: 0xbf };

    /// After the first byte of a character. Forms that are too long, and what is no character, have no rest.
    fn after(first: u8) -> Self {
        let (bytes, low, high) = match first {
            0xc3..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            _ => (0, 0x80, 0xbf),
        };
        Self { bytes, low, high }
    }
}

/// One stream of output on its way to a terminal.
#[derive(Debug)]
pub(crate) struct Filter {
    at: At,
    rest: Rest,
    /// The sequence that has begun, without its ESC.
    held: Vec<u8>,
    /// It is too long, and will not be passed on.
    too_long: bool,
}

impl Filter {
    pub(crate) fn new() -> Self {
        Self { at: At::Text, rest: Rest::NONE, held: Vec::new(), too_long: false }
    }

    /// Bytes were lost on the way: what comes next continues nothing.
    pub(crate) fn skipped(&mut self) {
        *self = Self::new();
    }

    /// What of `data` is shown: itself, or what is left of it, in `shown`.
    pub(crate) fn pass<'a>(&mut self, data: &'a [u8], shown: &'a mut Vec<u8>) -> &'a [u8] {
        if self.at == At::Text && self.rest.bytes == 0 && is_plain(data) {
            return data;
        }
        shown.clear();
        let mut left = data;
        while let [byte, after @ ..] = left {
            let plain = if self.at == At::Text { plain_bytes(left) } else { 0 };
            if plain > 0 {
                self.rest = Rest::NONE;
                shown.extend_from_slice(&left[..plain]);
                left = &left[plain..];
            } else {
                self.step(*byte, shown);
                left = after;
            }
        }
        shown
    }

    fn step(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.at {
            At::Text => self.text(byte, shown),
            At::C1 => self.second(byte, shown),
            At::Escape => self.escape(byte, shown),
            At::Charset | At::Csi => self.sequence(byte, shown),
            At::Word => self.word(byte, shown),
            At::WordEscape if byte == b'\\' => self.end_word(b"\x1b\\", shown),
            // A word that another sequence cuts off is none.
            At::WordEscape => {
                self.begin(At::Escape);
                self.escape(byte, shown);
            }
        }
    }

    fn begin(&mut self, at: At) {
        self.at = at;
        self.rest = Rest::NONE;
        self.held.clear();
        self.too_long = false;
    }

    fn hold(&mut self, byte: u8) {
        if self.held.len() < SEQUENCE_BYTES_MAX {
            self.held.push(byte);
        } else {
            self.too_long = true;
        }
    }

    fn text(&mut self, byte: u8, shown: &mut Vec<u8>) {
        let rest = self.rest;
        match byte {
            ESC => self.begin(At::Escape),
            // The terminal would answer with whatever its owner configured.
            ENQ => self.rest = Rest::NONE,
            _ if rest.bytes > 0 && (rest.low..=rest.high).contains(&byte) => {
                self.rest = Rest { bytes: rest.bytes - 1, ..Rest::NONE };
                shown.push(byte);
            }
            // A terminal that is not in UTF-8 would take it for a control.
            0x80..=0x9f => {
                self.rest = Rest::NONE;
                shown.extend_from_slice(NO_CHARACTER);
            }
            C1_LEAD => self.begin(At::C1),
            _ => {
                self.rest = Rest::after(byte);
                shown.push(byte);
            }
        }
    }

    fn second(&mut self, byte: u8, shown: &mut Vec<u8>) {
        self.begin(At::Text);
        match byte {
            0x80..=0x9f => shown.extend_from_slice(NO_CHARACTER),
            0xa0..=0xbf => shown.extend_from_slice(&[C1_LEAD, byte]),
            _ => {
                shown.push(C1_LEAD);
                self.text(byte, shown);
            }
        }
    }

    fn escape(&mut self, byte: u8, shown: &mut Vec<u8>) {
        self.hold(byte);
        match byte {
            b'[' => self.at = At::Csi,
            b']' | b'P' | b'X' | b'^' | b'_' => self.at = At::Word,
            0x20..=0x2f => self.at = At::Charset,
            0x30..=0x7e => self.end_sequence(shown),
            _ => {
                self.held.clear();
                self.inside(byte, shown);
            }
        }
    }

    fn sequence(&mut self, byte: u8, shown: &mut Vec<u8>) {
        let last = if self.at == At::Csi { 0x40..=0x7e } else { 0x30..=0x7e };
        match byte {
            _ if last.contains(&byte) => {
                self.hold(byte);
                self.end_sequence(shown);
            }
            0x20..=0x3f => self.hold(byte),
            _ => self.inside(byte, shown),
        }
    }

    /// A byte that belongs to no sequence came inside one.
    fn inside(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match byte {
            ESC => self.begin(At::Escape),
            CAN | SUB => self.begin(At::Text),
            ENQ | DEL => {}
            // Terminals do these at once and go on with the sequence.
            0..0x20 => shown.push(byte),
            _ => {
                self.begin(At::Text);
                self.text(byte, shown);
            }
        }
    }

    fn end_sequence(&mut self, shown: &mut Vec<u8>) {
        if !self.too_long && allowed::sequence(&self.held) {
            shown.push(ESC);
            shown.extend_from_slice(&self.held);
        }
        self.begin(At::Text);
    }

    fn word(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match byte {
            ESC => self.at = At::WordEscape,
            CAN | SUB => self.begin(At::Text),
            BEL if self.held.first() == Some(&b']') => self.end_word(b"\x07", shown),
            // Linux's console sets and resets colours so, without an end.
            b'R' if self.held == b"]" => self.begin(At::Text),
            _ => {
                self.hold(byte);
                if self.held.len() == 9 && self.held.starts_with(b"]P") {
                    self.begin(At::Text);
                }
            }
        }
    }

    fn end_word(&mut self, end: &[u8], shown: &mut Vec<u8>) {
        if !self.too_long
            && let Some(word) = allowed::word(&self.held)
        {
            shown.push(ESC);
            shown.extend_from_slice(&word);
            shown.extend_from_slice(end);
        }
        self.begin(At::Text);
    }
}

/// Nothing that a terminal obeys, and no character of more than one byte. The loop has no way out, so that it is done
/// many bytes at a time.
fn is_plain(data: &[u8]) -> bool {
    data.chunks(4096).all(|chunk| !chunk.iter().fold(false, |found, byte| found | !is_plain_byte(*byte)))
}

fn plain_bytes(data: &[u8]) -> usize {
    data.iter().position(|byte| !is_plain_byte(*byte)).unwrap_or(data.len())
}

fn is_plain_byte(byte: u8) -> bool {
    byte != ESC && byte != ENQ && byte < 0x80
}
