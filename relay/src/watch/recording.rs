//! What is kept of one agent: its last 180 summaries of at most 32 values, in some kilobytes. Pure.
//!
//! A value is kept as the upper half of its 32 bits, rounded: within 0.4 %, which is what a chart shows. A sample is the
//! milliseconds since the one before, two bits for each value (as before, its low byte differs, both bytes differ) and the
//! bytes that differ. Most values of most hosts stand still for most of the time, so a sample has some 30 bytes.

use axum::body::Bytes;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::metrics::{SUMMARY_SERIES_MAX, Sample, Series};
use cloud_doctor_proto::pack;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::VecDeque;
use std::sync::Arc;

/// Samples that are kept: fifteen minutes.
pub const SAMPLES_MAX: usize = 180;
/// Bytes of them: an agent whose values all change all the time is kept for less than fifteen minutes.
const BYTES_MAX: usize = 10 << 10;
/// Room is made in such steps: a buffer that doubles would be half empty.
const STEP_BYTES: usize = 512;
/// A recording as bytes, its series included.
const STORED_BYTES_MAX: usize = 64 << 10;
/// No value.
const NONE: u16 = 0x7fc0;
/// The largest finite one.
const LARGEST: u16 = 0x7f7f;
/// Values whose two bits share a byte.
const IN_A_BYTE: usize = 4;

/// One agent's last minutes. Times are the recorder's.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What the values are, by their place.
    series: Arc<[Series]>,
    /// The values before the oldest sample, and when those were.
    base: Vec<u16>,
    base_at: u64,
    /// The newest values, and when.
    last: Vec<u16>,
    last_at: u64,
    samples: VecDeque<u8>,
    count: usize,
}

/// As it is kept on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    series: Vec<Series>,
    base: Vec<u16>,
    base_at: u64,
    samples: ByteBuf,
}

impl Recording {
    /// Nothing yet, from `now` on.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            series: Arc::new([]),
            base: Vec::new(),
            base_at: now,
            last: Vec::new(),
            last_at: now,
            samples: VecDeque::new(),
            count: 0,
        }
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// When the newest one came.
    #[must_use]
    pub fn last_at(&self) -> u64 {
        self.last_at
    }

    /// Bytes that it takes, but for the series, which agents share.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * (self.base.capacity() + self.last.capacity()) + self.samples.capacity()
    }

    /// What the values are.
    #[must_use]
    pub fn series(&self) -> &Arc<[Series]> {
        &self.series
    }

    /// Takes series that an agent says now; returns the place of each. Those that it said before keep theirs; when there is
    /// no room for new ones, what was kept is forgotten. `share` returns an equal list that somebody else holds.
    pub fn adopt(&mut self, said: &[&Series], share: impl FnOnce(Vec<Series>) -> Arc<[Series]>) -> Vec<Option<usize>> {
        let unknown = |series: &&&Series| !self.series.contains(series);
        let mut all = self.series.to_vec();
        all.extend(said.iter().filter(unknown).map(|series| (**series).clone()));
        all.dedup();
        if all.len() > SUMMARY_SERIES_MAX {
            let mut newest: Vec<Series> = said.iter().map(|series| (*series).clone()).collect();
            newest.truncate(SUMMARY_SERIES_MAX);
            *self = Self::new(self.last_at);
            all = newest;
        }
        if all[..] != self.series[..] {
            self.base.resize(all.len(), NONE);
            self.last.resize(all.len(), NONE);
            self.series = share(all);
        }
        said.iter().map(|series| self.series.iter().position(|known| known == *series)).collect()
    }

    /// Takes a sample: values by place, NaN where there is none.
    pub fn push(&mut self, at: u64, values: &[f32]) {
        let at = at.max(self.last_at);
        let values: Vec<u16> =
            (0..self.last.len()).map(|place| values.get(place).map_or(NONE, |v| coarse(*v))).collect();
        let mut sample = Vec::with_capacity(2 * values.len() + 16);
        write(&mut sample, at - self.last_at, &self.last, &values);
        if self.samples.capacity() - self.samples.len() < sample.len() {
            self.samples.reserve_exact(STEP_BYTES);
        }
        self.samples.extend(sample);
        (self.last, self.last_at, self.count) = (values, at, self.count + 1);
        while self.count > SAMPLES_MAX || self.samples.len() > BYTES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let waited = read(&mut || self.samples.pop_front(), &mut self.base);
        match waited {
            Some(waited) => {
                self.base_at = self.base_at.saturating_add(waited);
                self.count -= 1;
            }
            None => (self.count, self.samples) = (0, VecDeque::new()),
        }
    }

    /// The samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> Vec<(u64, Vec<f32>)> {
        let (mut values, mut at) = (self.base.clone(), self.base_at);
        let mut bytes = self.samples.iter().copied();
        let mut all = Vec::with_capacity(self.count);
        while let Some(waited) = read(&mut || bytes.next(), &mut values) {
            at = at.saturating_add(waited);
            all.push((at, values.iter().map(|value| fine(*value)).collect()));
        }
        all
    }

    /// As an agent would say it: what the values are, then each sample. `shift` is what the clock of whoever reads it is
    /// ahead of the recorder's, in milliseconds.
    #[must_use]
    pub fn frames(&self, shift: i64) -> Vec<Bytes> {
        let mut frames = super::catalogue::frames(self.series.iter().enumerate());
        let mut before = None;
        for (at, values) in self.samples() {
            let elapsed = before.map_or(0, |before| u32::try_from(at - before).unwrap_or(u32::MAX));
            before = Some(at);
            let sample = Sample { at: at.saturating_add_signed(shift), elapsed, dropped: 0, values };
            frames.push(frame::encode(Kind::MetricsSample, &sample.to_bytes()).into());
        }
        frames
    }

    /// For the disk.
    #[must_use]
    pub fn to_bytes(&self, shift: i64) -> Vec<u8> {
        pack::to_bytes(&Stored {
            series: self.series.to_vec(),
            base: self.base.clone(),
            base_at: self.base_at.saturating_add_signed(shift),
            samples: ByteBuf::from(self.samples.iter().copied().collect::<Vec<u8>>()),
        })
    }

    /// From the disk; none: it is no recording of ours.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], share: impl FnOnce(Vec<Series>) -> Arc<[Series]>) -> Option<Self> {
        let Stored { series, base, base_at, samples } = pack::from_bytes(bytes, STORED_BYTES_MAX).ok()?;
        let bounded = series.len() <= SUMMARY_SERIES_MAX && series.iter().all(Series::is_bounded);
        if !bounded || base.len() != series.len() || samples.len() > BYTES_MAX {
            return None;
        }
        let (mut last, mut last_at, mut count) = (base.clone(), base_at, 0);
        let mut left = samples.iter().copied();
        while let Some(waited) = read(&mut || left.next(), &mut last) {
            last_at = last_at.saturating_add(waited);
            count += 1;
        }
        let samples = VecDeque::from(samples.into_vec());
        Some(Self { series: share(series), base, base_at, last, last_at, samples, count })
    }
}

/// The upper half of a value's bits, rounded.
fn coarse(value: f32) -> u16 {
    if !value.is_finite() {
        return NONE;
    }
    let upper = u16::try_from(value.to_bits().saturating_add(0x8000) >> 16).unwrap_or(u16::MAX);
    // Rounded beyond what is finite.
    if upper & 0x7fff > LARGEST { (upper & 0x8000) | LARGEST } else { upper }
}

fn fine(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

fn write(out: &mut Vec<u8>, waited: u64, before: &[u16], values: &[u16]) {
    let mut rest = waited;
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0x7f));
    out.push(u8::try_from(values.len()).unwrap_or(u8::MAX));
    let pairs: Vec<(u16, u16)> = before.iter().copied().zip(values.iter().copied()).collect();
    for four in pairs.chunks(IN_A_BYTE) {
        out.push(four.iter().enumerate().fold(0, |byte, (at, (old, new))| byte | (differs(*old, *new) << (2 * at))));
    }
    for (old, new) in pairs {
        let [high, low] = new.to_be_bytes();
        match differs(old, new) {
            0 => {}
            1 => out.push(low),
            _ => out.extend([low, high]),
        }
    }
}

fn differs(old: u16, new: u16) -> u8 {
    let ([old_high, _], [new_high, _]) = (old.to_be_bytes(), new.to_be_bytes());
    match (old == new, old_high == new_high) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

/// Reads one sample over the values before it; returns how long after that one it came. None: there is no whole one.
fn read(next: &mut impl FnMut() -> Option<u8>, values: &mut [u16]) -> Option<u64> {
    let mut waited = 0;
    for shift in (0..63).step_by(7) {
        let byte = next()?;
        waited |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let count = usize::from(next()?);
    let codes: Vec<u8> = (0..count.div_ceil(IN_A_BYTE)).map(|_| next()).collect::<Option<_>>()?;
    for place in 0..count {
        let value = values.get_mut(place)?;
        match (codes.get(place / IN_A_BYTE)? >> (2 * (place % IN_A_BYTE))) & 3 {
            0 => {}
            1 => *value = (*value & 0xff00) | u16::from(next()?),
            _ => {
                let low = next()?;
                *value = u16::from_be_bytes([next()?, low]);
            }
        }
    }
    Some(waited)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::metrics::SeriesKind;

    fn series(count: usize) -> Vec<Series> {
        let one = |number| Series {
            name: format!("system.{number}"),
            unit: "1".into(),
            kind: SeriesKind::Gauge,
            attributes: vec![],
            summary: true,
        };
        (0..count).map(one).collect()
    }

    fn recording(count: usize) -> Recording {
        let mut recording = Recording::new(1_000);
        let said = series(count);
        let places = recording.adopt(&said.iter().collect::<Vec<_>>(), Into::into);
        assert_eq!(places, (0..count).map(Some).collect::<Vec<_>>());
        recording
    }

    /// Values of a host that works: a third stand still, the others wander.
    fn wandering(state: &mut u64, values: &mut [f32]) {
        for (place, value) in values.iter_mut().enumerate() {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            if place % 3 > 0 {
                let share = f32::from(u16::try_from(*state & 0xffff).unwrap()) / 65_535.0;
                *value = (*value * (0.8 + 0.4 * share)).clamp(0.001, 1e12);
            }
        }
    }

    #[test]
    fn a_quarter_of_an_hour_of_a_busy_host_takes_less_than_eight_kilobytes() {
        let mut recording = recording(32);
        let mut values: Vec<f32> = (0..32).map(|place| 10_f32.powi(place % 9)).collect();
        let mut state = 7;
        let mut kept = Vec::new();
        for number in 1..=400_u64 {
            wandering(&mut state, &mut values);
            recording.push(1_000 + number * 5_003, &values);
            kept.push((1_000 + number * 5_003, values.clone()));
        }
        assert_eq!(recording.len(), SAMPLES_MAX);
        assert!(recording.bytes() <= 8 << 10, "{}", recording.bytes());
        let read = recording.samples();
        assert_eq!(read.len(), SAMPLES_MAX);
        for ((at, values), (expected_at, expected)) in read.iter().zip(&kept[220..]) {
            assert_eq!(at, expected_at);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() <= expected.abs() * 0.004, "{value} {expected}");
            }
        }
    }

    #[test]
    fn the_worst_agent_has_its_bound_and_keeps_its_newest() {
        let mut recording = recording(32);
        let mut state = 9_u32;
        for number in 1..=1_000_u64 {
            let value = |place: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223).rotate_left(place % 31);
                f32::from_bits(state)
            };
            recording.push(number * 5_000, &(0..32).map(value).collect::<Vec<_>>());
        }
        assert!(recording.bytes() <= BYTES_MAX + STEP_BYTES + 512, "{}", recording.bytes());
        assert!((100..=SAMPLES_MAX).contains(&recording.len()), "{}", recording.len());
        assert_eq!(recording.samples().len(), recording.len());
        assert_eq!(recording.samples().last().unwrap().0, 5_000_000);
    }

    #[test]
    fn cod_09_what_is_no_number_is_kept_as_none_and_time_never_goes_back() {
        let mut recording = recording(5);
        recording.push(2_000, &[f32::NAN, f32::INFINITY, f32::MAX, -f32::MAX, 1e-40]);
        recording.push(500, &[1.0]);
        let samples = recording.samples();
        let (at, values) = &samples[0];
        assert_eq!((*at, samples[1].0), (2_000, 2_000));
        assert!(values[0].is_nan() && values[1].is_nan() && values[2].is_finite() && values[3].is_finite());
        assert!(samples[1].1[0] == 1.0 && samples[1].1[1..].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn series_that_come_later_get_a_place_and_too_many_begin_anew() {
        let mut recording = recording(2);
        recording.push(2_000, &[1.0, 2.0]);
        let said = series(5);
        let order: Vec<&Series> = said.iter().rev().collect();
        let places = recording.adopt(&order, Into::into);
        assert_eq!((places[3], places[4]), (Some(1), Some(0)), "those that were known keep their places");
        recording.push(3_000, &[1.0; 5]);
        let samples = recording.samples();
        assert!(samples[0].1[2].is_nan() && samples[0].1[1] == 2.0 && samples[1].1[4] == 1.0);
        let many: Vec<Series> = series(40).into_iter().skip(5).collect();
        let places = recording.adopt(&many.iter().collect::<Vec<_>>(), Into::into);
        assert_eq!(places.iter().flatten().count(), SUMMARY_SERIES_MAX);
        assert!(recording.is_empty());
    }

    #[test]
    fn what_was_stored_is_read_again_and_what_is_damaged_is_not_trusted() {
        let mut recording = recording(3);
        for number in 1..20_u64 {
            recording.push(number * 5_000, &[1.0, f32::from(u8::try_from(number).unwrap()), f32::NAN]);
        }
        let bytes = recording.to_bytes(100);
        let mut again = Recording::from_bytes(&bytes, Into::into).unwrap();
        assert_eq!((again.len(), again.last_at()), (19, 95_100));
        assert_eq!(again.frames(-100), recording.frames(0));
        again.push(100_000, &[4.0; 3]);
        assert_eq!(again.samples().last().unwrap().1, [4.0; 3]);
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                if let Some(read) = Recording::from_bytes(&bad, Into::into) {
                    assert_eq!(read.samples().len(), read.len());
                }
            }
            drop(Recording::from_bytes(&bytes[..at], Into::into));
        }
    }
}
