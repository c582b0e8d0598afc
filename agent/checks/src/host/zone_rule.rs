//! The rule at the end of a zone's file, for times after its last change: POSIX `TZ`, like `CET-1CEST,M3.5.0,M10.5.0/3`.

use super::date::{civil, days_since_1970};
use super::zone::year_of;

const DAY_SECS: i64 = 86_400;

/// A rule for every year to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Seconds east of UTC in winter.
    standard: i64,
    /// Seconds east of UTC in summer, and when it begins and ends.
    summer: Option<(i64, Day, Day)>,
}

/// `M3.5.0/2`: the fifth (last) Sunday of March, at a time of that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    month: i64,
    week: i64,
    weekday: i64,
    secs: i64,
}

impl Rule {
    /// Reads a rule; nothing when it is of another form (`Jn`, `n`: no zone of the tz database of today uses them).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (standard, rest) = offset(name(text)?)?;
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let rest = name(rest)?;
        let (summer, rest) = if rest.starts_with(',') { (standard + 3600, rest) } else { offset(rest)? };
        let mut days = rest.strip_prefix(',')?.split(',');
        let (from, to) = (Day::parse(days.next()?)?, Day::parse(days.next()?)?);
        Some(Self { standard, summer: Some((summer, from, to)) })
    }

    /// Seconds east of UTC at a moment.
    pub(super) fn east_secs(&self, at: i64) -> i64 {
        let Some((summer, from, to)) = self.summer else { return self.standard };
        let year = year_of(at.saturating_add(self.standard));
        let (Some(from), Some(to)) = (from.secs_in(year), to.secs_in(year)) else { return self.standard };
        let (from, to) = (from - self.standard, to - summer);
        // In the south summer goes over the end of the year.
        let is_summer = if from < to { (from..to).contains(&at) } else { !(to..from).contains(&at) };
        if is_summer { summer } else { self.standard }
    }
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut numbers = day.strip_prefix('M')?.split('.').map(|number| number.parse::<i64>().ok());
        let (month, week, weekday) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && (0..=6).contains(&weekday);
        valid.then_some(Self { month, week, weekday, secs: clock(time)? })
    }

    /// Local seconds since 1970 in a year.
    fn secs_in(self, year: i64) -> Option<i64> {
        let first = days_since_1970(year, self.month, 1)?;
        // Day 0 was a Thursday.
        let day = first + (self.weekday - (first + 4)).rem_euclid(7) + (self.week - 1) * 7;
        let is_in_month = civil(day).1 == self.month;
        Some((if is_in_month { day } else { day - 7 }) * DAY_SECS + self.secs)
    }
}

/// What follows a name: letters, or anything within `<>`.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let end = text.find(|one: char| !one.is_ascii_alphabetic()).unwrap_or(text.len());
    (end >= 3).then(|| &text[end..])
}

/// Seconds east of UTC (the rule counts to the west), and what follows.
fn offset(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|one: char| !(one.is_ascii_digit() || matches!(one, '+' | '-' | ':'))).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((-clock(number)?, rest))
}

/// `-3`, `2:30`, `+1:00:00`.
fn clock(text: &str) -> Option<i64> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = text.split(':').map(|part| part.parse::<i64>().ok().filter(|part| (0..=167).contains(part)));
    let hours = parts.next()??;
    let (minutes, secs) = (parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    Some(sign * (hours * 3600 + minutes * 60 + secs))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_say_when_summer_is() {
        // 2026-01-01, 2026-07-01 and the second of the change, UTC.
        for (rule, winter, summer) in [
            ("CST-8", 28_800, 28_800),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200),
            ("EST5EDT,M3.2.0,M11.1.0", -18_000, -14_400),
            ("<+0330>-3:30", 12_600, 12_600),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 39_600, 36_000),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600),
        ] {
            let read = Rule::parse(rule).unwrap();
            assert_eq!([1_767_225_600, 1_782_864_000].map(|at| read.east_secs(at)), [winter, summer], "{rule}");
        }
        let berlin = Rule::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!([1_774_745_999, 1_774_746_000].map(|at| berlin.east_secs(at)), [3600, 7200]);
        for odd in [
            "",
            "C",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M1.1.1",
            "CET-x",
            "<CET-1",
            "CET-1C\u{e9}",
        ] {
            assert_eq!(Rule::parse(odd), None, "{odd}");
        }
    }
}
