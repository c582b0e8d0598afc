//! Forecasts as findings, and findings as what the ledger learns.
//!
//! A checker says what it forecasts in details of its findings; whoever keeps the record learns from those, so that there is
//! one form. It must never call a forecast critical that has only the short history for it: what writes for hours is often
//! taken away again. Nor may an end of the interval decide: critical is what the median says is soon.

use super::{FULL, Forecast, Ledger, Outcome, Rule, certain, forecast};
use crate::check::Param;
use crate::found::{Found, Gap, Outcome as Findings};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Detail, Finding, Status, Words};
use cloud_doctor_proto::time::UnixTime;

/// Detail of every finding: share used, 0 to 1.
pub(super) const USED: &str = "used";
pub(super) const RULE: &str = "rule";
pub(super) const EARLIEST: &str = "earliest_s";
pub(super) const LIKELY: &str = "likely_s";
pub(super) const LATEST: &str = "latest_s";
/// How sure the interval is, 0 to 1: said of what is certain and of what was measured. The spread of a rule's slopes is no such
/// figure, since disks fill up outside of it more often than it says.
pub(super) const CONFIDENCE: &str = "confidence";
/// Until when it has come true or not.
const JUDGED: &str = "judged_s";
/// The check whose ends are certain.
const CERTAIN: &str = "tls.expiry";

/// Of every check that forecasts: a trend that has so long to go, or less, is critical.
pub(crate) const SOON: Param =
    Param::plain("critical", 24.0, "h", "a day is what people need who are not woken for it");

/// What a check forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// What the intervals were measured on.
    Disks,
    /// Without a confidence: nobody has traces of memory that was used up.
    Memory,
}

/// What `named` calls of the history, each with its finding. `named` gives a subject for what a check is about.
pub(crate) fn tell(settings: &Settings<'_>, of: Of, named: impl Fn(&str) -> Option<String>) -> Findings {
    let mut found = Vec::new();
    for (thing, points) in &settings.wanted().history {
        if let (Some(subject), Some((_, used))) = (named(thing), points.last()) {
            let said = forecast(points).map(|said| match of {
                Of::Disks => said.calibrated(),
                Of::Memory => said,
            });
            found.push(one(settings, &subject, *used, said.as_ref(), points));
        }
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "this host keeps no history of its metrics that can be read here",
            "此主机没有可在此读取的指标历史"
        )));
    }
    Ok(found)
}

fn one(settings: &Settings<'_>, subject: &str, used: f64, said: Option<&Forecast>, points: &[(u64, f64)]) -> Found {
    let percent = used * 100.0;
    let Some(said) = said else {
        let text = words!(
            "{subject} has no end in sight: {percent:.0} % used",
            "{subject} 暂无用尽迹象：已使用 {percent:.0}%"
        );
        return Found::new(subject, Status::Ok, text).value(percent, "%").detail(USED, used);
    };
    let ledger = &settings.wanted().ledger;
    let text = sentence(subject, percent, said, &record(ledger, said.rule));
    let soon = said.likely_secs <= settings.number(SOON.name) * 3_600.0;
    let status = if said.rule == Rule::Trend && soon { Status::Critical } else { Status::Warning };
    let first = points.first().map_or(0, |(at, _)| *at);
    let last = points.last().map_or(0, |(at, _)| *at);
    let seen =
        format!("{} points from {first} to {last}, rule {} version {}", points.len(), said.rule.id(), Rule::VERSION);
    let found = Found::new(subject, status, text).value(said.likely_secs, "s").evidence("history of metrics", seen);
    let found = found.detail(USED, used).detail(EARLIEST, said.earliest_secs).detail(LIKELY, said.likely_secs);
    let found = found.detail(RULE, said.rule.id()).detail(JUDGED, said.judged_secs);
    let found = became(ledger, said.rule).into_iter().fold(found, |found, (name, count)| found.detail(name, count));
    let rest = [(LATEST, said.latest_secs), (CONFIDENCE, said.confidence)];
    rest.into_iter().fold(found, |found, (name, known)| match known {
        Some(number) => found.detail(name, number),
        None => found,
    })
}

fn sentence(subject: &str, percent: f64, said: &Forecast, record: &Words) -> Words {
    let (likely, earliest) = (span(said.likely_secs), span(said.earliest_secs));
    let Words { en, zh } = record;
    let Some((sure, latest)) = said.confidence.zip(said.latest_secs) else {
        return words!(
            "{subject} is {percent:.0} % used and fills up in {likely}, in {earliest} at the earliest; {en}",
            "{subject} 已使用 {percent:.0}%，预计 {likely} 后用尽，最早 {earliest} 后；{zh}"
        );
    };
    let (sure, latest) = (sure * 100.0, span(latest));
    words!(
        "{subject} is {percent:.0} % used and fills up in {likely}; if it does, then with {sure:.0} % confidence \
         in {earliest} to {latest}; {en}",
        "{subject} 已使用 {percent:.0}%，预计 {likely} 后用尽；若确会用尽，\
         则有 {sure:.0}% 的置信度在 {earliest} 至 {latest} 后发生；{zh}"
    )
}

/// What became of the rule's forecasts here, as a part of a sentence.
fn record(ledger: &Ledger, rule: Rule) -> Words {
    match ledger.record(rule) {
        (0, 0) => words!("no such forecast was judged here yet", "本机尚无此类预测得到验证"),
        (came_true, did_not) => words!(
            "of such forecasts here {came_true} came true and {did_not} did not",
            "本机此类预测已应验 {came_true} 次，未应验 {did_not} 次"
        ),
    }
}

/// The same in numbers, with those that are neither.
fn became(ledger: &Ledger, rule: Rule) -> [(&'static str, f64); 4] {
    let of = |outcome: Outcome| {
        let count = ledger.entries.iter().filter(|entry| entry.rule == rule.id() && entry.outcome == outcome).count();
        u32::try_from(count).map_or(f64::MAX, f64::from)
    };
    let (came_true, did_not) = ledger.record(rule);
    let count = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    [
        ("came_true", count(came_true)),
        ("did_not", count(did_not)),
        ("averted", of(Outcome::Averted)),
        ("open", of(Outcome::Open)),
    ]
}

/// A number among a finding's details.
pub(super) fn number(finding: &Finding, name: &str) -> Option<f64> {
    match finding.details.get(name) {
        Some(Detail::Number(number)) => Some(*number),
        Some(Detail::Flag(_) | Detail::Text(_)) | None => None,
    }
}

/// Learns from the findings of a check that forecasts.
pub(crate) fn learn(ledger: &mut Ledger, check: &str, findings: &[Finding], now: UnixTime) {
    if check == CERTAIN {
        return certain::learn(ledger, check, findings, now);
    }
    for finding in findings {
        let number = |name: &str| number(finding, name);
        let rule = match finding.details.get(RULE) {
            Some(Detail::Text(id)) => Rule::ALL.into_iter().find(|rule| rule.id() == id),
            Some(Detail::Flag(_) | Detail::Number(_)) | None => None,
        };
        // A check's own id says that it forecasts.
        let Some(used) = number(USED).filter(|used| check.ends_with(".fills-up") && (0.0..=1.0).contains(used)) else {
            continue;
        };
        let said = rule.zip(number(EARLIEST)).zip(number(LIKELY)).zip(number(JUDGED)).filter(|_| used < FULL);
        let said = said.map(|(((rule, earliest_secs), likely_secs), judged_secs)| Forecast {
            rule,
            earliest_secs,
            likely_secs,
            latest_secs: number(LATEST),
            judged_secs,
            confidence: number(CONFIDENCE),
            used,
        });
        ledger.see(check, &finding.subject, now.0, used, said.as_ref());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::forecast::STEP_SECS;
    use crate::run::{Ran, Wanted};
    use crate::{Host, Record, by_id, run};

    const NOW: u64 = 1_800_000_000;

    /// Eight days up to now, of a disk that is full `secs` later.
    fn leak(secs: f64) -> Vec<(u64, f64)> {
        let count = 8 * 288_u32;
        let whole = f64::from(count * 300) + secs;
        let share = |at: u32| 1.0 - 0.6 * (whole - f64::from(at * 300)) / whole;
        (0..count).map(|at| (NOW - u64::from(count - at) * STEP_SECS, share(at))).collect()
    }

    fn found(wanted: &Wanted) -> Vec<Finding> {
        found_by("disk.fills-up", wanted)
    }

    fn found_by(id: &str, wanted: &Wanted) -> Vec<Finding> {
        match run(by_id(id).unwrap(), &Host::live().unwrap(), wanted) {
            Ran::Findings(found) => found,
            Ran::NotHere(why) => panic!("{why:?}"),
        }
    }

    #[test]
    fn dsk_a_forecast_is_told_and_its_record_is_kept_from_run_to_run() {
        let mut wanted = Wanted::default();
        wanted.history.insert("space /".into(), leak(40.0 * 3_600.0));
        wanted.history.insert("inodes /".into(), vec![(NOW, 0.2)]);
        wanted.history.insert("memory".into(), vec![(NOW, 0.2)]);
        let mut all = found(&wanted);
        all.sort_by(|a, b| a.subject.cmp(&b.subject));
        let (space, inodes) = (&all[0], &all[1]);
        assert_eq!((all.len(), space.subject.as_str(), space.status), (2, "/", Status::Warning), "{all:?}");
        assert!((30.0..50.0).contains(&(space.value.unwrap() / 3_600.0)), "{space:?}");
        assert!(space.summary.en.ends_with("; no such forecast was judged here yet"), "{space:?}");
        assert!(space.summary.zh.ends_with("；本机尚无此类预测得到验证"), "{space:?}");
        assert_eq!((inodes.subject.as_str(), inodes.status), ("inodes of /", Status::Ok));

        let mut record = Record::default();
        record.learn(&mut [(by_id("disk.fills-up").unwrap(), Ran::Findings(all))], UnixTime(NOW));
        let mut record = Record::read(&record.text()).unwrap();
        record.tell(&mut wanted, UnixTime(NOW));
        assert_eq!(wanted.ledger.entries.len(), 1);
        let full = UnixTime(NOW + 38 * 3_600);
        let mut later = found(&wanted);
        later.retain(|finding| finding.subject == "/");
        later[0].details.insert(USED.into(), Detail::Number(0.995));
        record.learn(&mut [(by_id("disk.fills-up").unwrap(), Ran::Findings(later))], full);
        record.tell(&mut wanted, full);
        assert_eq!(wanted.ledger.record(Rule::Trend), (1, 0));
        let told = found(&wanted).into_iter().find(|one| one.subject == "/").unwrap();
        assert!(told.summary.en.ends_with("; of such forecasts here 1 came true and 0 did not"), "{told:?}");
        assert!(told.summary.zh.ends_with("；本机此类预测已应验 1 次，未应验 0 次"), "{told:?}");
        let detail = |name: &str| number(&told, name);
        assert_eq!((detail("came_true"), detail("did_not"), detail("open")), (Some(1.0), Some(0.0), Some(0.0)));
    }

    #[test]
    fn dsk_an_interval_has_a_confidence_where_it_was_measured_and_decides_nothing() {
        let mut wanted = Wanted::default();
        for thing in ["space /", "inodes /", "memory"] {
            wanted.history.insert(thing.into(), leak(40.0 * 3_600.0));
        }
        let disks = found(&wanted);
        assert_eq!(disks.len(), 2);
        for told in &disks {
            let detail = |name: &str| number(told, name).unwrap();
            assert_eq!(
                (detail(CONFIDENCE), told.status),
                (0.8, Status::Warning),
                "the earliest time is soon: {told:?}"
            );
            assert!(detail(EARLIEST) < 4.0 * 3_600.0 && detail(LATEST) > 80.0 * 3_600.0, "{told:?}");
            let (earliest, latest) = (span(detail(EARLIEST)), span(detail(LATEST)));
            let en = format!("; if it does, then with 80 % confidence in {earliest} to {latest}; no such");
            let zh = format!("则有 80% 的置信度在 {earliest} 至 {latest} 后发生；");
            assert!(told.summary.en.contains(&en) && told.summary.zh.contains(&zh), "{told:?}");
        }
        let memory = found_by("memory.fills-up", &wanted);
        assert_eq!((number(&memory[0], CONFIDENCE), memory[0].status), (None, Status::Warning), "{memory:?}");
        assert!(memory[0].summary.en.contains(" at the earliest; "), "{memory:?}");
        assert!(number(&memory[0], EARLIEST).unwrap() > 30.0 * 3_600.0, "of slopes: {memory:?}");
    }

    #[test]
    fn dsk_what_fills_up_within_a_day_is_critical_and_no_history_says_nothing() {
        let mut wanted = Wanted::default();
        assert!(matches!(run(by_id("disk.fills-up").unwrap(), &Host::live().unwrap(), &wanted), Ran::NotHere(_)));
        wanted.history.insert("space /var".into(), leak(10.0 * 3_600.0));
        assert_eq!(found(&wanted)[0].status, Status::Critical);
    }
}
