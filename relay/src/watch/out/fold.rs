//! A second's values folded to an interval: gauges as their mean, counters summed. Pure.

use crate::watch::Catalogue;
use cloud_doctor_proto::metrics::{SERIES_MAX, Sample, Series, SeriesKind};
use std::collections::HashMap;

/// Intervals after which a series that is not there any more is forgotten, and its total with it.
const ABSENT_MAX: u32 = 20;

/// One series in one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Which.
    pub series: Series,
    /// A gauge's mean; a counter's total since the relay began to watch.
    pub value: f64,
    /// A counter's increase within the interval.
    pub increase: f64,
}

#[derive(Debug, Default)]
struct Cell {
    sum: f64,
    count: u32,
    total: f64,
    absent: u32,
}

/// The series of one server.
#[derive(Debug, Default)]
pub struct Fold(HashMap<Series, Cell>);

/// Names that agents have: a server must not pass something off as another program's, such as `up`.
fn is_ours(name: &str) -> bool {
    ["system.", "process.", "hw.", "cloud_doctor."].iter().any(|ours| name.starts_with(ours))
}

impl Fold {
    /// Takes a sample. What is no number, or goes back, counts as nothing (COD-09).
    pub fn take(&mut self, catalogue: &Catalogue, sample: &Sample) {
        for (number, series) in catalogue.iter().filter(|(_, series)| is_ours(&series.name)) {
            let value = sample.values.get(number).copied().filter(|value| value.is_finite());
            let Some(value) = value.filter(|value| series.kind == SeriesKind::Gauge || *value >= 0.0) else { continue };
            if !self.0.contains_key(series) {
                // A server that names ever new series has room for twice what it may have at once.
                if self.0.len() >= 2 * SERIES_MAX {
                    continue;
                }
                self.0.insert(series.clone(), Cell::default());
            }
            if let Some(cell) = self.0.get_mut(series) {
                cell.sum += f64::from(value);
                cell.count += 1;
            }
        }
    }

    /// Ends the interval.
    pub fn cut(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        self.0.retain(|series, cell| {
            if cell.count == 0 {
                cell.absent += 1;
                return cell.absent < ABSENT_MAX;
            }
            let (sum, count) = (cell.sum, f64::from(cell.count));
            let value = match series.kind {
                SeriesKind::Gauge => sum / count,
                SeriesKind::Counter => {
                    cell.total += sum;
                    cell.total
                }
            };
            points.push(Point { series: series.clone(), value, increase: sum });
            *cell = Cell { total: cell.total, ..Cell::default() };
            true
        });
        points
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::metrics::MetricsSeries;

    fn catalogue() -> Catalogue {
        let series =
            |name: &str, kind| Series { name: name.into(), unit: "1".into(), kind, attributes: vec![], summary: false };
        let series = vec![
            series("system.gauge", SeriesKind::Gauge),
            series("system.counter", SeriesKind::Counter),
            series("up", SeriesKind::Gauge),
        ];
        let mut catalogue = Catalogue::default();
        catalogue.learn(MetricsSeries { first: 0, series }).unwrap();
        catalogue
    }

    fn cut(fold: &mut Fold) -> Vec<(String, f64, f64)> {
        let mut points: Vec<_> =
            fold.cut().into_iter().map(|point| (point.series.name, point.value, point.increase)).collect();
        points.sort_by(|a, b| a.0.cmp(&b.0));
        points
    }

    #[test]
    fn cod_09_gauges_are_means_counters_grow_and_what_is_no_number_counts_as_nothing() {
        let (mut fold, catalogue) = (Fold::default(), catalogue());
        let take = |fold: &mut Fold, values: [f32; 2]| {
            // Nobody passes anything off as another program's.
            let values = [values[0], values[1], 1.0];
            fold.take(&catalogue, &Sample { at: 0, elapsed: 1_000, dropped: 0, values: values.to_vec() });
        };
        take(&mut fold, [1.0, 5.0]);
        take(&mut fold, [3.0, 6.0]);
        take(&mut fold, [f32::NAN, -7.0]);
        assert_eq!(cut(&mut fold), [("system.counter".into(), 11.0, 11.0), ("system.gauge".into(), 2.0, 4.0)]);
        take(&mut fold, [f32::INFINITY, 1.0]);
        assert_eq!(cut(&mut fold), [("system.counter".into(), 12.0, 1.0)], "a gauge without a value has no point");
        for _ in 0..ABSENT_MAX + 1 {
            assert!(cut(&mut fold).is_empty());
        }
        take(&mut fold, [1.0, 1.0]);
        assert_eq!(cut(&mut fold)[0], ("system.counter".into(), 1.0, 1.0), "forgotten, as after a restart");
    }
}
