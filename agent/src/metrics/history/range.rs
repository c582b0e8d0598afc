//! Reads a part of history: per series equally long intervals, each with smallest, mean and largest value.
//!
//! What is in memory comes first, then the newest block: where the host's clock was set back, or files overlap, a moment
//! counts once. A file that goes away or is damaged meanwhile is left out. It must never hold more than one series'
//! values, nor the lock while it reads.

use super::segment::{self, Block, Opened, Point, Segment, Tier};
use super::{History, Inner, Waiting, minute, record};
use cloud_doctor_proto::metrics::{POINTS_MAX, Range, RangeRequest, SERIES_MAX, Series};
use std::collections::HashMap;
use std::sync::Arc;

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What there is: once, first.
    Series(Vec<Arc<Series>>),
    /// One of them.
    Range(Range),
}

/// A block on disk or in memory, and the part of its time for which it counts.
#[derive(Debug)]
struct Source {
    place: Place,
    from: u64,
    step: u32,
    points: usize,
    visible: Vec<(u64, u64)>,
}

#[derive(Debug)]
enum Place {
    /// Columns by the numbers of `wanted`, packed as those of a fine file.
    Memory(HashMap<usize, Vec<u8>>),
    /// File, and columns by those numbers.
    Disk(usize, Block, HashMap<usize, record::Column>),
}

/// A file that blocks are in.
#[derive(Debug)]
struct Used {
    file: Opened,
    tier: Tier,
    number: u64,
    /// Ids as the numbers of `wanted`.
    ids: HashMap<u32, usize>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// At a multiple of the step.
    from: u64,
    to: u64,
    step: u64,
}

/// All that is needed of what the lock protects.
struct Seen {
    waiting: Vec<Waiting>,
    blocks: Vec<Block>,
    segments: Vec<(Tier, u64, Vec<Arc<Series>>)>,
}

impl History {
    /// Answers piece by piece, until `each` has enough. A request that makes no sense has an empty answer.
    pub(in crate::metrics) fn range(&self, request: &RangeRequest, each: &mut dyn FnMut(Answer) -> bool) {
        let seen = see(&self.inner(), request);
        let Some(frame) = frame(request, &seen.blocks) else {
            each(Answer::Series(Vec::new()));
            return;
        };
        let wanted = wanted(&seen, &request.names);
        if !each(Answer::Series(wanted.clone())) {
            return;
        }
        let numbers: HashMap<&Arc<Series>, usize> = wanted.iter().zip(0..).collect();
        let files = self.files(&seen, &numbers);
        let mut sources = sources(seen, frame, &numbers, &files);
        cover(&mut sources, frame);
        for number in 0..wanted.len() {
            let mut sums = vec![Sum::default(); usize::try_from((frame.to - frame.from) / frame.step).unwrap_or(0)];
            sources.iter().for_each(|source| source.add(number, &files, frame, &mut sums));
            if !each(Answer::Range(range(number, frame, &sums))) {
                return;
            }
        }
    }

    fn files(&self, seen: &Seen, numbers: &HashMap<&Arc<Series>, usize>) -> Vec<Used> {
        let open = |(tier, number, series): &(Tier, u64, Vec<Arc<Series>>)| {
            let file = Opened::new(&self.folder, *tier, *number).ok()?;
            let known = (0u32..).zip(series).filter_map(|(id, series)| Some((id, *numbers.get(series)?)));
            Some(Used { file, tier: *tier, number: *number, ids: known.collect() })
        };
        seen.segments.iter().filter_map(open).collect()
    }
}

/// Copies what is needed.
fn see(inner: &Inner, request: &RangeRequest) -> Seen {
    let mut waiting: Vec<Waiting> = inner.waiting.iter().cloned().collect();
    if !inner.minute.is_empty() {
        let (from, boot) = inner.minute.began();
        let columns = inner.minute.columns().into_iter();
        let columns = columns.map(|column| (column.series, minute::pack(&column.values))).collect();
        waiting.push(Waiting { from, boot, points: inner.minute.seconds(), columns });
    }
    let all = || inner.coarse.iter().chain(&inner.fine);
    let is_asked = |block: &&Block| block.from < request.to && block.to() > request.from;
    let blocks: Vec<Block> = all().flat_map(|segment| &segment.blocks).filter(is_asked).copied().collect();
    let is_used =
        |segment: &&Segment| blocks.iter().any(|block| block.tier == segment.tier && block.segment == segment.number);
    let segments = all().filter(is_used).map(|one| (one.tier, one.number, one.series.clone())).collect();
    Seen { waiting, blocks, segments }
}

/// The step: as long as it must be, a multiple of what history has for that time.
fn frame(request: &RangeRequest, blocks: &[Block]) -> Option<Frame> {
    let span = request.to.checked_sub(request.from).filter(|span| *span > 0)?;
    // The last year that people write with four digits.
    Some(request.to).filter(|to| *to < 1 << 48)?;
    let points = u64::from(request.points.clamp(1, POINTS_MAX));
    let least = span.div_ceil(points);
    // Seconds serve as long as they reach back to all that is there.
    let first = |tier: Tier| {
        let of_tier = blocks.iter().filter(|block| block.tier == tier);
        of_tier.map(|block| block.from.max(request.from)).min()
    };
    let (fine, coarse) = (first(Tier::Fine), first(Tier::Coarse));
    let is_older = coarse.is_some_and(|coarse| fine.is_none_or(|fine| coarse + u64::from(Tier::Coarse.step()) < fine));
    let unit = if is_older || least > u64::from(Tier::Coarse.step()) / 2 { Tier::Coarse } else { Tier::Fine };
    let unit = u64::from(unit.step());
    let mut step = least.div_ceil(unit) * unit;
    let count = |step: u64| request.to.div_ceil(step) - request.from / step;
    if count(step) > points {
        // Beginning and end at multiples of it make one more than the span has.
        step = span.div_ceil(points.max(2) - 1).div_ceil(unit) * unit;
    }
    let from = request.from / step * step;
    let count = count(step).min(u64::from(POINTS_MAX));
    u32::try_from(step).ok()?;
    Some(Frame { from, to: from + count * step, step })
}

/// The series of all that is used, each once; the newest first when there are too many.
fn wanted(seen: &Seen, names: &[String]) -> Vec<Arc<Series>> {
    let is_named = |series: &Series| !series.name.is_empty() && (names.is_empty() || names.contains(&series.name));
    let in_memory = seen.waiting.iter().rev().flat_map(|waiting| waiting.columns.iter().map(|(series, _)| series));
    let on_disk = seen.segments.iter().rev().flat_map(|(_, _, series)| series);
    let mut known = std::collections::HashSet::new();
    let all = in_memory.chain(on_disk).filter(|series| is_named(series) && known.insert(*series));
    all.take(SERIES_MAX).cloned().collect()
}

/// Blocks in the order in which they count: memory, then the finer and newer first.
fn sources(seen: Seen, frame: Frame, numbers: &HashMap<&Arc<Series>, usize>, files: &[Used]) -> Vec<Source> {
    let mut sources = Vec::new();
    for Waiting { from, points, columns, .. } in seen.waiting.into_iter().rev() {
        let columns = columns.into_iter().filter_map(|(series, packed)| Some((*numbers.get(&series)?, packed)));
        let place = Place::Memory(columns.collect());
        sources.push(Source { place, from, step: Tier::Fine.step(), points, visible: Vec::new() });
    }
    let is_coarse = |block: &&Block| block.tier == Tier::Coarse;
    // Where ten seconds are fine enough, an hour that has them is not read by the second.
    let suffices = frame.step.is_multiple_of(u64::from(Tier::Coarse.step()));
    let mut coarsened: Vec<u64> = seen.blocks.iter().filter(is_coarse).map(|block| block.source).collect();
    coarsened.sort_unstable();
    let is_read = |block: &&Block| match block.tier {
        Tier::Coarse => suffices,
        Tier::Fine => !suffices || coarsened.binary_search(&block.segment).is_err(),
    };
    // Fine blocks stand behind coarse ones, newer behind older ones.
    for block in seen.blocks.iter().filter(is_read).rev() {
        let Some(place) = files.iter().position(|file| file.tier == block.tier && file.number == block.segment) else {
            continue;
        };
        let Some(head) = files[place].file.columns(block) else {
            tracing::debug!(?block, "a damaged block of metrics' history is left out");
            continue;
        };
        let ids = &files[place].ids;
        let columns = head.columns.iter().filter_map(|column| Some((*ids.get(&column.id)?, *column))).collect();
        let (from, step, points) = (block.from, block.step, block.points);
        sources.push(Source { place: Place::Disk(place, *block, columns), from, step, points, visible: Vec::new() });
    }
    sources
}

/// Gives each moment to the first source that has it.
fn cover(sources: &mut [Source], frame: Frame) {
    // What is not covered yet, in order.
    let mut open = vec![(frame.from, frame.to)];
    for source in sources {
        let end = source.from.saturating_add(u64::from(source.step) * source.points as u64);
        let mut rest = Vec::with_capacity(open.len() + 1);
        for (from, to) in open {
            let (first, last) = (from.max(source.from), to.min(end));
            if first >= last {
                rest.push((from, to));
                continue;
            }
            source.visible.push((first, last));
            rest.extend([(from, first), (last, to)].into_iter().filter(|(from, to)| from < to));
        }
        open = rest;
    }
}

impl Source {
    /// Adds a series' values to the intervals that they lie in.
    fn add(&self, number: usize, files: &[Used], frame: Frame, sums: &mut [Sum]) {
        if self.visible.is_empty() {
            return;
        }
        let points = match &self.place {
            Place::Memory(columns) => {
                columns.get(&number).and_then(|packed| segment::points(Tier::Fine, packed, self.points))
            }
            Place::Disk(file, block, columns) => columns.get(&number).and_then(|column| {
                let packed = files[*file].file.column(block, column)?;
                segment::points(block.tier, &packed, block.points)
            }),
        };
        let step = u64::from(self.step);
        for (point, at) in points.unwrap_or_default().iter().zip((0u64..).map(|place| self.from + place * step)) {
            // The middle decides: a point of ten seconds may begin before what is seen of it.
            let middle = at + step / 2;
            if self.visible.iter().any(|(from, to)| (*from..*to).contains(&middle)) {
                let place = usize::try_from((middle - frame.from) / frame.step).unwrap_or(usize::MAX);
                if let Some(sum) = sums.get_mut(place) {
                    sum.add(point, step);
                }
            }
        }
    }
}

/// An interval's values so far.
#[derive(Debug, Clone, Copy)]
struct Sum {
    min: f32,
    max: f32,
    sum: f64,
    weight: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { min: f32::NAN, max: f32::NAN, sum: 0.0, weight: 0.0 }
    }
}

impl Sum {
    fn add(&mut self, point: &Point, millis: u64) {
        if point.mean.is_nan() {
            return;
        }
        let weight = crate::metrics::table::lossy(millis);
        self.min = self.min.min(point.min);
        self.max = self.max.max(point.max);
        self.sum += f64::from(point.mean) * weight;
        self.weight += weight;
    }

    fn mean(&self) -> f32 {
        if self.weight > 0.0 { crate::metrics::table::finite(self.sum / self.weight) } else { f32::NAN }
    }
}

fn range(number: usize, frame: Frame, sums: &[Sum]) -> Range {
    Range {
        series: u32::try_from(number).unwrap_or(u32::MAX),
        from: frame.from,
        step: u32::try_from(frame.step).unwrap_or(u32::MAX),
        min: sums.iter().map(|sum| sum.min).collect(),
        mean: sums.iter().map(Sum::mean).collect(),
        max: sums.iter().map(|sum| sum.max).collect(),
    }
}
