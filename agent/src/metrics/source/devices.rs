//! Devices that a file of the kernel has a line each for: looked up once, kept in the order of the lines, and forgotten with
//! their series when their line is gone.

use crate::metrics::parse::Words;

/// What is kept of each line of a file.
#[derive(Debug)]
pub(super) struct Devices<D> {
    /// In the order of the file's lines, as far as they stay the same.
    known: Vec<Known<D>>,
    /// Counts samples, to tell who was not seen in this one.
    round: u64,
    /// Where the next line's is expected.
    place: usize,
}

#[derive(Debug)]
struct Known<D> {
    name: Vec<u8>,
    device: D,
    seen: u64,
}

impl<D> Devices<D> {
    pub(super) fn new() -> Self {
        Self { known: Vec::new(), round: 0, place: 0 }
    }

    /// All that are known.
    pub(super) fn iter(&self) -> impl Iterator<Item = &D> {
        self.known.iter().map(|known| &known.device)
    }

    /// A sample begins.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.place = 0;
    }

    /// The device of a line, which `new` makes when it was not seen before.
    pub(super) fn of(&mut self, name: &[u8], new: impl FnOnce() -> D) -> &D {
        let is_it = |known: &Known<D>| known.name == name;
        // Lines come in the same order each time.
        let at = match self.known.get(self.place).is_some_and(is_it) {
            true => self.place,
            false => self.known.iter().position(is_it).unwrap_or_else(|| {
                self.known.push(Known { name: name.to_vec(), device: new(), seen: 0 });
                self.known.len() - 1
            }),
        };
        self.place = at + 1;
        self.known[at].seen = self.round;
        &self.known[at].device
    }

    /// The sample is over: those without a line are `gone`.
    pub(super) fn end(&mut self, mut gone: impl FnMut(&D)) {
        let round = self.round;
        self.known.retain(|known| {
            let is_there = known.seen == round;
            if !is_there {
                gone(&known.device);
            }
            is_there
        });
    }
}

/// The next words as numbers.
pub(super) fn numbers<const N: usize>(mut words: Words<'_>) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = words.number()?;
    }
    Some(numbers)
}
