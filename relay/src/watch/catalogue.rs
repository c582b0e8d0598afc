//! What the numbers in samples mean, as an agent said it: bounded, and told to whoever comes late. Pure.

use axum::body::Bytes;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::metrics::{MetricsSeries, SERIES_MAX, SERIES_PAGE, Series};
use std::sync::Arc;

/// One frame's body stays below half of what a frame may hold, whatever the series are: a series of the longest texts in four
/// bytes a character has 5 KiB.
const PAGE_BYTES: usize = 512 << 10;

/// All texts of one stream's series: ten times what 2,000 of our own have.
const TEXT_BYTES_MAX: usize = 2 << 20;

/// A page of series that no honest agent sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("series beyond the limits of the protocol")]
pub struct Lie;

/// The series of one stream.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// By number; none: never said.
    series: Vec<Option<Known>>,
    version: u64,
    /// The version with which this stream's numbers began.
    began: u64,
}

#[derive(Debug, Clone)]
struct Known {
    /// Shared: a catalogue is copied whenever it grows.
    series: Arc<Series>,
    /// The version in which it was said.
    since: u64,
}

impl Catalogue {
    /// How often something was said.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Forgets all series: another stream has numbers of its own.
    pub fn restart(&mut self) {
        self.series.clear();
        self.version += 1;
        self.began = self.version;
    }

    /// The version with which the numbers began that count now.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Takes a page.
    ///
    /// # Errors
    /// [`Lie`]; nothing was taken.
    pub fn learn(&mut self, page: MetricsSeries) -> Result<(), Lie> {
        let first = usize::try_from(page.first).map_err(|_| Lie)?;
        let end = first.checked_add(page.series.len()).filter(|end| *end <= SERIES_MAX).ok_or(Lie)?;
        if page.series.len() > SERIES_PAGE || !page.series.iter().all(Series::is_bounded) {
            return Err(Lie);
        }
        let kept = self.series.iter().enumerate().filter(|(number, _)| !(first..end).contains(number));
        let kept: usize = kept.filter_map(|(_, known)| Some(size(&known.as_ref()?.series))).sum();
        if kept + page.series.iter().map(size).sum::<usize>() > TEXT_BYTES_MAX {
            return Err(Lie);
        }
        self.version += 1;
        if self.series.len() < end {
            self.series.resize(end, None);
        }
        for (place, series) in self.series[first..end].iter_mut().zip(page.series) {
            *place = Some(Known { series: Arc::new(series), since: self.version });
        }
        Ok(())
    }

    /// The series of a number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Series> {
        self.series.get(number)?.as_ref().map(|known| &*known.series)
    }

    /// All series that are known, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Series)> {
        self.series.iter().enumerate().filter_map(|(number, known)| Some((number, &*known.as_ref()?.series)))
    }

    /// Frames that tell what was said after a version; after 0: everything.
    #[must_use]
    pub fn frames_since(&self, version: u64) -> Vec<Bytes> {
        let news = self.series.iter().enumerate().filter_map(|(number, known)| {
            let known = known.as_ref().filter(|known| known.since > version)?;
            Some((number, &*known.series))
        });
        frames(news)
    }
}

/// Series as frames: runs of numbers that follow each other, cut where a page is full.
pub(super) fn frames<'a>(series: impl Iterator<Item = (usize, &'a Series)>) -> Vec<Bytes> {
    let mut pages: Vec<MetricsSeries> = Vec::new();
    let (mut bytes, mut expected) = (0, usize::MAX);
    for (number, series) in series {
        let size = size(series);
        let fits = pages.last().is_some_and(|page| page.series.len() < SERIES_PAGE) && bytes + size <= PAGE_BYTES;
        if number == expected && fits {
            pages.last_mut().into_iter().for_each(|page| page.series.push(series.clone()));
            bytes += size;
        } else {
            let first = u32::try_from(number).unwrap_or(u32::MAX);
            pages.push(MetricsSeries { first, series: vec![series.clone()] });
            bytes = size;
        }
        expected = number + 1;
    }
    pages.iter().map(|page| Bytes::from(frame::message(Kind::MetricsSeries, page))).collect()
}

/// Bytes of a series in a frame, at most.
fn size(series: &Series) -> usize {
    let texts: usize = series.attributes.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    series.name.len() + series.unit.len() + texts + 96
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
    use cloud_doctor_proto::metrics::{ATTRIBUTES_MAX, SeriesKind, TEXT_CHARS_MAX};
    use cloud_doctor_proto::pack;

    fn series(name: &str) -> Series {
        let (unit, attributes) = ("1".into(), Vec::new());
        Series { name: name.into(), unit, kind: SeriesKind::Gauge, attributes, summary: false }
    }

    fn read(frames: &[Bytes]) -> Vec<(u32, usize)> {
        let page = |frame: &Bytes| {
            let page: MetricsSeries = pack::from_bytes(&frame[FRAME_HEADER_BYTES..], 1 << 20).unwrap();
            (page.first, page.series.len())
        };
        frames.iter().map(page).collect()
    }

    #[test]
    fn web_09_what_is_beyond_the_limits_is_refused_and_changes_nothing() {
        let mut catalogue = Catalogue::default();
        let page = |first, count| MetricsSeries { first, series: vec![series("x"); count] };
        catalogue.learn(page(0, 1)).unwrap();
        for bad in [page(1_999, 2), page(u32::MAX, 1), page(0, SERIES_PAGE + 1)] {
            assert_eq!(catalogue.learn(bad), Err(Lie));
        }
        let long = MetricsSeries { first: 0, series: vec![series("good"), series(&"x".repeat(64 << 10))] };
        assert_eq!(catalogue.learn(long), Err(Lie));
        assert_eq!((catalogue.version(), catalogue.iter().count(), &*catalogue.get(0).unwrap().name), (1, 1, "x"));
        for first in (0..2_000).step_by(500) {
            catalogue.learn(page(first, 500)).unwrap();
        }
        assert_eq!(catalogue.iter().count(), SERIES_MAX);
    }

    #[test]
    fn a_late_comer_is_told_everything_and_others_what_is_new() {
        let mut catalogue = Catalogue::default();
        let page = |first, count| MetricsSeries { first, series: vec![series("x"); count] };
        catalogue.learn(page(0, 500)).unwrap();
        catalogue.learn(page(500, 30)).unwrap();
        catalogue.learn(page(700, 1)).unwrap();
        catalogue.learn(page(3, 2)).unwrap();
        assert_eq!(read(&catalogue.frames_since(0)), [(0, 500), (500, 30), (700, 1)]);
        assert_eq!(read(&catalogue.frames_since(2)), [(3, 2), (700, 1)]);
        assert!(catalogue.frames_since(4).is_empty());
        catalogue.restart();
        assert!(catalogue.frames_since(0).is_empty() && catalogue.version() == 5);
    }

    #[test]
    fn web_09_series_of_the_longest_texts_still_fit_into_frames() {
        let text = "\u{1f600}".repeat(TEXT_CHARS_MAX);
        let attributes = vec![(text.clone(), text.clone()); ATTRIBUTES_MAX];
        let longest = Series { name: text.clone(), unit: text, attributes, ..series("x") };
        let mut catalogue = Catalogue::default();
        let page = |first| MetricsSeries { first, series: vec![longest.clone(); 100] };
        for first in (0..300).step_by(100) {
            catalogue.learn(page(first)).unwrap();
        }
        catalogue.learn(page(200)).expect("what is said again takes the room of what it was");
        assert_eq!(catalogue.learn(page(300)), Err(Lie), "four hundred of the longest are more than 2 MiB");
        let pages = read(&catalogue.frames_since(0));
        assert_eq!(pages.iter().map(|(_, count)| count).sum::<usize>(), 300);
        assert!(pages.iter().all(|(_, count)| *count * size(&longest) <= PAGE_BYTES));
    }
}
