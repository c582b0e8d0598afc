//! What an agent may send on a stream of live values or summaries, and how often. Pure: takes `now`.
//!
//! An honest agent samples once a second and says new series now and then. One that sends more is cut at once and counted
//! (DOS-06): it must cost its own watchers, not the relay. Values are not looked at: whoever shows them does.

use super::catalogue::Catalogue;
use super::stream::Whole;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::metrics::{MetricsSeries, SERIES_MAX, SUMMARY_SERIES_MAX};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use std::time::Instant;

/// Frames per second that are tolerated for long: twenty times what an honest agent sends.
const FRAMES_PER_SECOND: f64 = 20.0;
/// At once: what gathers while a path is dead for some seconds, and a whole catalogue.
const FRAMES_BURST: f64 = 60.0;
/// Series said per second for long: a host whose containers come and go.
const SERIES_PER_SECOND: f64 = 100.0;
/// At once: all of them, twice.
const SERIES_BURST: f64 = 4_000.0;
/// Summaries: five times what an honest agent sends, and what gathers while a path is dead.
const SUMMARIES_PER_SECOND: f64 = 1.0;
const SUMMARIES_BURST: f64 = 30.0;
/// Their series: a whole list now and then.
const SUMMARY_SERIES_PER_SECOND: f64 = 1.0;
const SUMMARY_SERIES_BURST: f64 = 256.0;
/// `u64 at | u32 elapsed | u32 dropped`, as [`cloud_doctor_proto::metrics::Sample`] has it.
const SAMPLE_HEAD: usize = 16;
const VALUE_BYTES: usize = 4;

/// Why a stream was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// More than anybody can look at.
    Flood,
    /// A frame that has no place on this stream.
    Kind,
    /// Series beyond the limits.
    Series,
    /// A sample or range of an impossible length, or bytes that are no message.
    Malformed,
    /// An answer that is larger than it may be.
    TooLarge,
}

impl Cut {
    /// For counters and clients.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Cut::Flood => "flood",
            Cut::Kind => "kind",
            Cut::Series => "series",
            Cut::Malformed => "malformed",
            Cut::TooLarge => "too-large",
        }
    }
}

/// What a frame turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Values, to be passed on as they are.
    Sample,
    /// The catalogue has grown.
    Series,
    /// The server said no; nothing follows.
    Refused(Refused),
}

/// Watches over one stream.
#[derive(Debug)]
pub struct Referee {
    frames: Tempo,
    series: Tempo,
    series_max: usize,
}

impl Referee {
    /// A stream that begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            frames: Tempo::new(FRAMES_PER_SECOND, FRAMES_BURST, now),
            series: Tempo::new(SERIES_PER_SECOND, SERIES_BURST, now),
            series_max: SERIES_MAX,
        }
    }

    /// A stream of summaries that begins now.
    #[must_use]
    pub fn of_summaries(now: Instant) -> Self {
        Self {
            frames: Tempo::new(SUMMARIES_PER_SECOND, SUMMARIES_BURST, now),
            series: Tempo::new(SUMMARY_SERIES_PER_SECOND, SUMMARY_SERIES_BURST, now),
            series_max: SUMMARY_SERIES_MAX,
        }
    }

    /// Judges a frame, and takes series into `catalogue`.
    ///
    /// # Errors
    /// [`Cut`]: the stream is of no further use.
    pub fn judge(&mut self, frame: &Whole, catalogue: &mut Catalogue, now: Instant) -> Result<Heard, Cut> {
        if !self.frames.take(1.0, now) {
            return Err(Cut::Flood);
        }
        if frame.kind == Kind::MetricsSample {
            return if is_sample(frame.body()) { Ok(Heard::Sample) } else { Err(Cut::Malformed) };
        }
        if frame.kind == Kind::MetricsSeries {
            let page = series(frame)?;
            let said = u32::try_from(page.series.len()).unwrap_or(u32::MAX);
            if usize::try_from(page.first.saturating_add(said)).is_ok_and(|end| end > self.series_max) {
                return Err(Cut::Series);
            }
            if !self.series.take(f64::from(said), now) {
                return Err(Cut::Flood);
            }
            return catalogue.learn(page).map(|()| Heard::Series).map_err(|_| Cut::Series);
        }
        if frame.kind == Kind::Refused { refused(frame).map(Heard::Refused) } else { Err(Cut::Kind) }
    }
}

/// A page of series.
pub(super) fn series(frame: &Whole) -> Result<MetricsSeries, Cut> {
    pack::from_bytes(frame.body(), Kind::MetricsSeries.bytes_max()).map_err(|_| Cut::Malformed)
}

/// A server's no.
pub(super) fn refused(frame: &Whole) -> Result<Refused, Cut> {
    pack::from_bytes(frame.body(), GREETING_BYTES_MAX).map_err(|_| Cut::Malformed)
}

fn is_sample(body: &[u8]) -> bool {
    let values = body.len().checked_sub(SAMPLE_HEAD);
    values.is_some_and(|bytes| bytes % VALUE_BYTES == 0 && bytes / VALUE_BYTES <= SERIES_MAX)
}

/// So much per second over a long time, and so much at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Tempo {
    pub(super) fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, left: burst, at: now }
    }

    pub(super) fn take(&mut self, much: f64, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = self.at.max(now);
        self.left = (self.left + gained).min(self.burst);
        let allowed = self.left >= much;
        if allowed {
            self.left -= much;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::frame;
    use cloud_doctor_proto::metrics::{Sample, Series, SeriesKind};
    use cloud_doctor_proto::refusal::Refusal;
    use std::time::Duration;

    fn whole(kind: Kind, body: &[u8]) -> Whole {
        Whole { kind, bytes: frame::encode(kind, body).into() }
    }

    fn sample(values: usize) -> Whole {
        let sample = Sample { at: 1, elapsed: 1_000, dropped: 0, values: vec![1.0; values] };
        whole(Kind::MetricsSample, &sample.to_bytes())
    }

    fn page(series: Vec<Series>) -> Whole {
        whole(Kind::MetricsSeries, &pack::to_bytes(&MetricsSeries { first: 0, series }))
    }

    fn referee() -> (Referee, Catalogue, Instant) {
        let now = crate::clock::instant();
        (Referee::new(now), Catalogue::default(), now)
    }

    #[test]
    fn dos_06_a_flood_is_cut_and_an_honest_stream_goes_on_for_a_day() {
        let (mut referee, mut catalogue, start) = referee();
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            assert_eq!(referee.judge(&sample(2_000), &mut catalogue, now), Ok(Heard::Sample), "{second}");
        }
        let (mut referee, mut catalogue, start) = self::referee();
        let mut passed = 0;
        while referee.judge(&sample(3), &mut catalogue, start + Duration::from_micros(10 * passed)).is_ok() {
            passed += 1;
        }
        assert_eq!(passed, 60, "100,000 a second");
        let (mut referee, mut catalogue, start) = self::referee();
        let sustained = (0_u64..10_000).position(|number| {
            let now = start + Duration::from_millis(40 * number);
            referee.judge(&sample(3), &mut catalogue, now).is_err()
        });
        assert!(sustained.is_some(), "25 a second are too many in the long run");
    }

    #[test]
    fn dos_06_series_that_are_said_again_and_again_are_a_flood_too() {
        let (mut referee, mut catalogue, start) = referee();
        let series =
            Series { name: "x".into(), unit: "1".into(), kind: SeriesKind::Gauge, attributes: vec![], summary: false };
        let full = page(vec![series; 500]);
        let verdicts: Vec<_> = (0..9).map(|_| referee.judge(&full, &mut catalogue, start)).collect();
        assert!(verdicts[..8].iter().all(|verdict| *verdict == Ok(Heard::Series)));
        assert_eq!(verdicts[8], Err(Cut::Flood));
    }

    #[test]
    fn web_09_what_no_honest_agent_sends_is_cut() {
        let long = Series {
            name: "x".repeat(64 << 10),
            unit: String::new(),
            kind: SeriesKind::Counter,
            attributes: vec![],
            summary: true,
        };
        for (frame, expected) in [
            (page(vec![long]), Err(Cut::Series)),
            (sample(2_001), Err(Cut::Malformed)),
            (whole(Kind::MetricsSample, &[0; 15]), Err(Cut::Malformed)),
            (whole(Kind::MetricsSample, &[0; 18]), Err(Cut::Malformed)),
            (whole(Kind::MetricsSeries, b"\xc1"), Err(Cut::Malformed)),
            (whole(Kind::Refused, b"\xc1"), Err(Cut::Malformed)),
            (whole(Kind::MetricsRange, &[0; 20]), Err(Cut::Kind)),
            (whole(Kind::Record, b"x"), Err(Cut::Kind)),
            (whole(Kind::MetricsSample, &[0; 16]), Ok(Heard::Sample)),
        ] {
            let (mut referee, mut catalogue, now) = referee();
            assert_eq!(referee.judge(&frame, &mut catalogue, now), expected);
        }
        let (mut referee, mut catalogue, now) = referee();
        let no = whole(Kind::Refused, &pack::to_bytes(&Refusal::Lockdown.with("")));
        assert_eq!(referee.judge(&no, &mut catalogue, now), Ok(Heard::Refused(Refusal::Lockdown.with(""))));
    }
}
