//! Makes an hour of seconds coarser: of each ten seconds the smallest, the mean and the largest value.
//!
//! The hour is read into memory once, series by series, so that it never holds all of them unpacked. It must never hide a
//! peak, nor make values where there were none.

use super::segment::{self, Block, Opened, Point, Segment, Tier};
use super::{Ids, new_ids, record};
use cloud_doctor_proto::metrics::Series;
use record::BlockHead;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Blocks that are farther apart than this do not share a coarse one.
const GAP_MILLIS: u64 = 600_000;

/// Writes the coarse blocks of a fine file's hour. The series that are new in the coarse file.
pub(super) fn coarsen(folder: &Path, fine: &Segment, ids: &mut Ids, out: &mut Vec<u8>) -> io::Result<Vec<Arc<Series>>> {
    let file = Opened::new(folder, Tier::Fine, fine.number)?;
    let runs = runs(&fine.blocks);
    let (mut new, last) = (Vec::new(), runs.len().saturating_sub(1));
    for (place, run) in runs.iter().enumerate() {
        let heads: Vec<(&Block, BlockHead)> =
            run.iter().filter_map(|block| Some((block, file.columns(block)?))).collect();
        let Some((first, _)) = heads.first() else { continue };
        let step = u64::from(Tier::Coarse.step());
        let from = first.from / step * step;
        let end = run.iter().map(Block::to).max().unwrap_or(from);
        let count = usize::try_from((end - from).div_ceil(step)).unwrap_or(0);
        let mut columns = Vec::new();
        for (id, series) in (0u32..).zip(&fine.series) {
            let mut buckets = vec![Bucket::default(); count];
            heads.iter().for_each(|(block, head)| add(&file, block, head, id, from, &mut buckets));
            if buckets.iter().any(|bucket| bucket.count > 0) {
                let points: Vec<Point> = buckets.iter().map(Bucket::point).collect();
                new.extend(new_ids(ids, std::iter::once(series), out));
                columns.push((ids[series], segment::pack_coarse(&points)));
            }
        }
        columns.sort_by_key(|(id, _)| *id);
        let head = BlockHead {
            source: fine.number,
            more: place < last,
            from,
            boot: heads[0].1.boot,
            step: Tier::Coarse.step(),
            points: count,
            columns: Vec::new(),
        };
        record::write_block(&head, &columns, out);
    }
    Ok(new)
}

/// Blocks that follow one another in time.
fn runs(blocks: &[Block]) -> Vec<Vec<Block>> {
    let longest = u64::from(Tier::Coarse.step()) * (record::POINTS_MAX as u64 - 1);
    let mut runs: Vec<Vec<Block>> = Vec::new();
    for block in blocks {
        let follows = |run: &&mut Vec<Block>| {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
            let gap = block.from.checked_sub(last.to());
            gap.is_some_and(|gap| gap <= GAP_MILLIS) && block.to() - first.from < longest
        };
        match runs.last_mut().filter(follows) {
            Some(run) => run.push(*block),
            None => runs.push(vec![*block]),
        }
    }
    runs
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    min: f32,
    max: f32,
    sum: f64,
    count: u32,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { min: f32::INFINITY, max: f32::NEG_INFINITY, sum: 0.0, count: 0 }
    }
}

impl Bucket {
    fn add(&mut self, value: f32) {
        if !value.is_nan() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += f64::from(value);
            self.count += 1;
        }
    }

    fn point(&self) -> Point {
        if self.count == 0 {
            return Point { min: f32::NAN, mean: f32::NAN, max: f32::NAN };
        }
        let mean = crate::metrics::table::finite(self.sum / f64::from(self.count));
        Point { min: self.min, mean, max: self.max }
    }
}

/// Adds one block's values of a series.
fn add(file: &Opened, block: &Block, head: &BlockHead, id: u32, from: u64, buckets: &mut [Bucket]) {
    let Ok(place) = head.columns.binary_search_by_key(&id, |column| column.id) else { return };
    let Some(packed) = file.column(block, &head.columns[place]) else { return };
    let points = segment::points(block.tier, &packed, block.points).unwrap_or_default();
    let starts = (block.from..).step_by(usize::try_from(block.step).unwrap_or(usize::MAX));
    for (point, at) in points.iter().zip(starts) {
        let bucket = usize::try_from((at - from) / u64::from(Tier::Coarse.step())).unwrap_or(usize::MAX);
        if let Some(bucket) = buckets.get_mut(bucket) {
            bucket.add(point.mean);
        }
    }
}
