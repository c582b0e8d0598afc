//! All series and their newest values.
//!
//! A series has a number as long as it lives; whoever adds one keeps its [`Slot`]. When there are too many, the oldest
//! that belongs to a device, service or the like goes, and is counted; its slot then takes no more values, and whoever
//! has it need not know. It must never show a number that is not finite, nor a counter's step backwards.

use super::catalog::Metric;
use cloud_doctor_proto::metrics::{SERIES_MAX, Series, SeriesKind, TEXT_CHARS_MAX};
use std::collections::VecDeque;
use std::sync::Arc;

/// The place of a series; worthless when another one has its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    number: usize,
    version: u32,
}

/// How many bits the kernel has for a counter, so that one that began again at zero is told from one that was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    /// Milliseconds of disks, on every machine.
    Always32,
    /// The kernel's `unsigned long`.
    Machine,
}

impl Bits {
    fn are_32(self) -> bool {
        match self {
            Self::Always32 => true,
            Self::Machine => cfg!(target_pointer_width = "32"),
        }
    }
}

/// How long a value stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// For one sample.
    Once,
    /// Until what is read more seldom is read again.
    Seldom,
    /// Until it is set again.
    Held,
}

/// A series of one number, at one time.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// Counts up with each series that is added to the table.
    pub(crate) version: u32,
    pub(crate) series: Arc<Series>,
}

/// What all numbers mean at one time.
pub(crate) type Layout = Vec<Named>;

#[derive(Debug, Default)]
pub(super) struct Table {
    /// What each number means; of a series that is gone, what it last meant.
    named: Layout,
    /// Of the newest sample, by number.
    pub(super) values: Vec<f32>,
    stays: Vec<Stays>,
    /// Versions of `named` once more: each value that is set is compared with one, and names lie far apart in memory.
    live: Vec<u32>,
    /// A counter's raw value in the sample before.
    before: Vec<Option<u64>>,
    /// Those that may be dropped, the oldest in front.
    old: VecDeque<Slot>,
    free: Vec<usize>,
    /// Those that summaries hold, in their order.
    marked: Vec<(usize, SeriesKind)>,
    versions: u32,
    dropped: u32,
    /// The layout as readers have it, until it changes.
    shared: Option<Arc<Layout>>,
}

impl Table {
    /// Begins a sample: what nobody sets has no value. With `is_all`, what is read more seldom is read in this one.
    pub(super) fn begin(&mut self, is_all: bool) {
        for (value, stays) in self.values.iter_mut().zip(&self.stays) {
            let is_over = match stays {
                Stays::Once => true,
                Stays::Seldom => is_all,
                Stays::Held => false,
            };
            if is_over {
                *value = f32::NAN;
            }
        }
    }

    /// Adds a series of the whole host, which summaries hold.
    pub(super) fn add_summary(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        self.put(series(metric, attributes, true), Stays::Once)
    }

    /// Adds a series of the whole host: it is never dropped.
    pub(super) fn add(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        self.put(series(metric, attributes, false), Stays::Once)
    }

    /// The same for what is read more seldom.
    pub(super) fn add_seldom(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        self.put(series(metric, attributes, false), Stays::Seldom)
    }

    /// A summary's series that is read more seldom.
    pub(super) fn add_seldom_summary(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        self.put(series(metric, attributes, true), Stays::Seldom)
    }

    /// Adds one that belongs to a device, or to something else of which there may be thousands.
    pub(super) fn add_one_of_many(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        let slot = self.put(series(metric, attributes, false), Stays::Once);
        self.old.push_back(slot);
        slot
    }

    /// The same for a value that stays until it is set again.
    pub(super) fn add_held(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        let slot = self.put(series(metric, attributes, false), Stays::Held);
        self.old.push_back(slot);
        slot
    }

    /// A summary's series that stays until it is set again.
    pub(super) fn add_held_summary(&mut self, metric: &Metric, attributes: &[(&str, &str)]) -> Slot {
        self.put(series(metric, attributes, true), Stays::Held)
    }

    fn put(&mut self, series: Series, stays: Stays) -> Slot {
        let number = self.number();
        self.versions = self.versions.wrapping_add(1);
        let version = self.versions;
        self.shared = None;
        if series.summary {
            self.marked.push((number, series.kind));
        }
        let named = Named { version, series: Arc::new(series) };
        if number == self.named.len() {
            self.named.push(named);
            self.values.push(f32::NAN);
            self.stays.push(stays);
            self.live.push(version);
            self.before.push(None);
        } else {
            self.named[number] = named;
            self.values[number] = f32::NAN;
            self.stays[number] = stays;
            self.live[number] = version;
            self.before[number] = None;
        }
        Slot { number, version }
    }

    /// A free number: a used one that is free again, a new one, or that of the oldest series.
    fn number(&mut self) -> usize {
        if self.named.len() < SERIES_MAX {
            return self.free.pop().unwrap_or(self.named.len());
        }
        if let Some(number) = self.free.pop() {
            return number;
        }
        while let Some(oldest) = self.old.pop_front() {
            if self.is_live(oldest) {
                self.dropped = self.dropped.saturating_add(1);
                return oldest.number;
            }
        }
        // Series of the whole host alone are far fewer than a table holds: `host_wide_series_fit` counts them.
        SERIES_MAX - 1
    }

    /// Whether the slot's number is still its own.
    pub(super) fn is_live(&self, slot: Slot) -> bool {
        self.live.get(slot.number) == Some(&slot.version)
    }

    /// What the slot stood for is gone.
    pub(super) fn remove(&mut self, slot: Slot) {
        if self.is_live(slot) {
            // A version that no slot has: the number is nobody's until it is given again.
            self.versions = self.versions.wrapping_add(1);
            self.named[slot.number].version = self.versions;
            self.live[slot.number] = self.versions;
            self.values[slot.number] = f32::NAN;
            self.stays[slot.number] = Stays::Once;
            self.free.push(slot.number);
            if self.old.len() > 2 * SERIES_MAX {
                let live = &self.live;
                self.old.retain(|old| live.get(old.number) == Some(&old.version));
            }
        }
    }

    /// Counts series that were not even added.
    pub(super) fn leave_out(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Sets a gauge.
    pub(super) fn set(&mut self, slot: Slot, value: f64) {
        if self.is_live(slot) {
            self.values[slot.number] = finite(value);
        }
    }

    /// Sets a counter by the kernel's number; a unit of it is `scale`. Returns the increase in such units, if there is one.
    pub(super) fn count(&mut self, slot: Slot, raw: u64, bits: Bits, scale: f64) -> Option<u64> {
        if !self.is_live(slot) {
            return None;
        }
        let increase = self.before[slot.number].replace(raw).and_then(|before| increase(before, raw, bits));
        self.values[slot.number] = increase.map_or(f32::NAN, |increase| finite(lossy(increase) * scale));
        increase
    }

    #[cfg(test)]
    pub(super) fn named(&self) -> &[Named] {
        &self.named
    }

    /// Series dropped so far.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Changes with every series that comes or goes.
    pub(super) fn versions(&self) -> u32 {
        self.versions
    }

    /// The layout, for readers that keep it.
    pub(super) fn layout(&mut self) -> Arc<Layout> {
        self.shared.get_or_insert_with(|| Arc::new(self.named.clone())).clone()
    }
}

/// From one reading to the next: nothing when the counter was reset in between (FLT-20, COD-09).
pub(super) fn increase(before: u64, now: u64, bits: Bits) -> Option<u64> {
    const FULL: u64 = 1 << 32;
    if now >= before {
        return Some(now - before);
    }
    // Only a counter near its end comes round to near its beginning between two readings.
    let came_round = bits.are_32() && (FULL / 4 * 3..FULL).contains(&before) && now < FULL / 4;
    came_round.then(|| now + FULL - before)
}

/// Numbers of the kernel as values: beyond 2^53 the last digits go, which nobody sees.
#[expect(clippy::cast_precision_loss, reason = "three digits are kept of it")]
pub(super) fn lossy(number: u64) -> f64 {
    number as f64
}

/// What is too large for the smaller type, or no number, is none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "digits are lost on purpose; what is out of range becomes infinite"
)]
pub(super) fn finite(value: f64) -> f32 {
    let value = value as f32;
    if value.is_finite() { value } else { f32::NAN }
}

fn series(metric: &Metric, attributes: &[(&str, &str)], summary: bool) -> Series {
    let mut attributes: Vec<_> = attributes.iter().map(|(key, value)| ((*key).to_owned(), clean(value))).collect();
    attributes.sort();
    Series { name: metric.name.into(), unit: metric.unit.into(), kind: metric.kind, attributes, summary }
}

/// A name that somebody chose, without what would act on who reads it, and not too long (WEB-09).
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(TEXT_CHARS_MAX).collect()
}

/// What summaries hold: a gauge's largest value, a counter's sum.
#[derive(Debug, Default)]
pub(super) struct Summary {
    values: Vec<f32>,
}

impl Summary {
    /// Takes a sample into account.
    pub(super) fn take(&mut self, table: &Table) {
        self.values.resize(table.marked.len(), f32::NAN);
        for (sum, (number, kind)) in self.values.iter_mut().zip(&table.marked) {
            let value = table.values[*number];
            *sum = match kind {
                _ if sum.is_nan() => value,
                _ if value.is_nan() => *sum,
                SeriesKind::Gauge => sum.max(value),
                SeriesKind::Counter => *sum + value,
            };
        }
    }

    /// The values since the last time.
    pub(super) fn finish(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.values)
    }
}
