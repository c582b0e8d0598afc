//! When a plan's scan begins next, in UTC: `minute hour day month weekday`. Pure code: takes the time and chance.

use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use std::cmp::Ordering;

/// Two scans of one plan are at least this far apart: what is asked more often is monitoring.
const APART_SECS_MIN: u64 = 300;
/// Times that are looked at for that.
const TIMES_LOOKED_AT: usize = 100;
/// A scan begins at most so much later than its line says: many plans say midnight.
const LATE_SECS_MAX: u64 = 300;
/// Longest line that is read.
const LINE_CHARS_MAX: usize = 100;

/// A line that says when.
#[derive(Debug, Clone)]
pub struct Cron(croner::Cron);

/// A line that is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACron {
    /// It cannot be read.
    #[error("expected five fields in UTC: minute hour day month weekday, for example 30 2 * * 1-5")]
    Form,
    /// Its time never comes.
    #[error("this time never comes")]
    Never,
    /// It comes more often than every five minutes.
    #[error("two scans of a plan are at least five minutes apart")]
    TooOften,
}

impl Cron {
    /// Reads a line, as seen from `now`.
    ///
    /// # Errors
    /// [`NotACron`].
    pub fn parse(line: &str, now: UnixTime) -> Result<Self, NotACron> {
        let five = line.split(' ').filter(|field| !field.is_empty()).count() == 5;
        if !five || !line.is_ascii() || line.len() > LINE_CHARS_MAX {
            return Err(NotACron::Form);
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = Self(parser.parse(line).map_err(|_| NotACron::Form)?);
        let mut at = cron.after(now).ok_or(NotACron::Never)?;
        for _ in 0..TIMES_LOOKED_AT {
            let Some(next) = cron.after(at) else { break };
            if next.0 < at.0 + APART_SECS_MIN {
                return Err(NotACron::TooOften);
            }
            at = next;
        }
        Ok(cron)
    }

    /// When a scan begins next: a little after the line's next time, so that not all begin in one second, and never so late
    /// that the time after is near. `None`: the time never comes again.
    pub fn next(&self, now: UnixTime, random: impl FnOnce(u64) -> u64) -> Option<UnixTime> {
        let at = self.after(now)?;
        let apart = self.after(at).map_or(DAY_SECS, |next| next.0.saturating_sub(at.0));
        let late_max = (apart / 20).clamp(1, LATE_SECS_MAX);
        Some(at.plus_secs(random(late_max).min(late_max)))
    }

    /// The line's own next time.
    fn after(&self, now: UnixTime) -> Option<UnixTime> {
        let from = Utc(i64::try_from(now.0).ok()?);
        let found = self.0.find_next_occurrence(&from, false).ok()?;
        u64::try_from(found.0).ok().map(UnixTime)
    }
}

/// Seconds since 1970, for croner: in UTC no time is skipped or comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Utc(i64);

const DAY: i64 = 86_400;

impl CronDateTime for Utc {
    fn to_civil(&self) -> CivilDateTime {
        let (days, secs) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = date_of(days);
        let part = |value: i64| u32::try_from(value).unwrap_or(0);
        let time = CivilTime::from_parts_unchecked(part(secs / 3_600), part(secs / 60 % 60), part(secs % 60));
        CivilDateTime::new(CivilDate::from_parts_unchecked(year, month, day), time)
    }

    fn civil_weekday(&self) -> Weekday {
        // 1970 began on a Thursday.
        match (self.0.div_euclid(DAY) + 4).rem_euclid(7) {
            0 => Weekday::Sunday,
            1 => Weekday::Monday,
            2 => Weekday::Tuesday,
            3 => Weekday::Wednesday,
            4 => Weekday::Thursday,
            5 => Weekday::Friday,
            _ => Weekday::Saturday,
        }
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let days = days_of(civil.year(), civil.month(), civil.day());
        let secs = i64::from(civil.hour()) * 3_600 + i64::from(civil.minute()) * 60 + i64::from(civil.second());
        Ok(Resolution::Single(Utc(days * DAY + secs)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds).map(Utc)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// Days since 1970 of a date: years begin in March, so that the leap day is a year's last.
fn days_of(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
fn date_of(days: i64) -> (i32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let part = |value: i64| u32::try_from(value).unwrap_or(1);
    (i32::try_from(year).unwrap_or(i32::MAX), part(month), part(day))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 2027-01-15 08:00:00 UTC, a Friday.
    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn text(at: UnixTime) -> String {
        let utc = Utc(i64::try_from(at.0).unwrap());
        format!("{} {:?}", utc.to_civil(), utc.civil_weekday())
    }

    #[test]
    fn days_and_dates_are_each_others_ways_back() {
        for (days, date) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_833, (2027, 1, 15)), (-1, (1969, 12, 31))]
        {
            assert_eq!((date_of(days), days_of(date.0, date.1, date.2)), (date, days));
        }
        for days in (-200_000..200_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }

    #[test]
    fn a_line_says_the_next_time_in_utc() {
        let check = |line: &str, expected: &str| {
            let cron = Cron::parse(line, NOW).unwrap();
            assert_eq!(text(cron.next(NOW, |_| 0).unwrap()), expected, "{line}");
        };
        check("0 9 * * *", "2027-01-15T09:00:00 Friday");
        check("0 8 * * *", "2027-01-16T08:00:00 Saturday");
        check("30 2 * * 1-5", "2027-01-18T02:30:00 Monday");
        check("0 0 1 * *", "2027-02-01T00:00:00 Monday");
        check("0 0 29 2 *", "2028-02-29T00:00:00 Tuesday");
        check("*/5 * * * *", "2027-01-15T08:05:00 Friday");
        check("15 3 * * SUN", "2027-01-17T03:15:00 Sunday");
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for (line, expected) in [
            ("", NotACron::Form),
            ("x", NotACron::Form),
            ("0 9 * *", NotACron::Form),
            ("0 0 9 * * *", NotACron::Form),
            ("60 9 * * *", NotACron::Form),
            ("@daily", NotACron::Form),
            ("0 0 30 2 *", NotACron::Never),
            ("* * * * *", NotACron::TooOften),
            ("0,4 * * * *", NotACron::TooOften),
            ("59,0 1,2 * * *", NotACron::TooOften),
        ] {
            assert_eq!(Cron::parse(line, NOW).map(|_| ()), Err(expected), "{line}");
        }
    }

    #[test]
    fn scans_begin_a_little_late_by_chance_and_never_twice_for_one_time() {
        let cron = Cron::parse("*/5 * * * *", NOW).unwrap();
        let mut at = NOW;
        for number in 1..=20 {
            let next = cron.next(at, |most| most).unwrap();
            assert!(next > at && next.0 - NOW.0 > number * 300 && next.0 - NOW.0 <= number * 300 + 15, "{number}");
            at = next;
        }
        let daily = Cron::parse("0 9 * * *", NOW).unwrap();
        assert_eq!(daily.next(NOW, |most| most).unwrap().0, NOW.0 + 3_600 + 300);
    }

    #[test]
    fn times_that_were_missed_are_one() {
        let cron = Cron::parse("0 * * * *", NOW).unwrap();
        let planned = cron.next(NOW, |_| 0).unwrap();
        // The relay was away for a day: the time has come once, and the next is in the future.
        let back = planned.plus_secs(DAY_SECS);
        assert!(planned <= back && cron.next(back, |_| 0).unwrap() > back);
    }
}
