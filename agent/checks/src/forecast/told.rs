//! Forecasts as findings, and findings as what the ledger learns.
//!
//! A checker says what it forecasts in details of its findings; whoever keeps the record learns from those, so that there is
//! one form. It must never call a forecast critical that has only the short history for it: what writes for hours is often
//! taken away again. Nor may an end of the interval decide: critical is what the median says is soon.

use super::certain::secs;
use super::ledger::whole;
use super::{FULL, Forecast, Ledger, Of, Outcome, Rule, STEP_SECS, Seen, certain, forecast};
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
/// How sure the interval is, 0 to 1: of what is certain, 1; else as it was measured.
pub(super) const CONFIDENCE: &str = "confidence";
/// Until when it has come true or not.
const JUDGED: &str = "judged_s";
/// Unix seconds when it was full the last time, if it was in its history.
const FULL_AT: &str = "full_at";
/// The checks that forecast, and what the second calls inodes.
const DISK: &str = "disk.fills-up";
const MEMORY: &str = "memory.fills-up";
const INODES: &str = "inodes of ";
/// The check whose ends are certain.
const CERTAIN: &str = "tls.expiry";

/// Of every check that forecasts: a trend that has so long to go, or less, is critical.
pub(crate) const SOON: Param =
    Param::plain("critical", 24.0, "h", "a day is what people need who are not woken for it");

impl Of {
    /// What a check's finding is about, or an entry; none: not a forecast of a rule.
    pub(super) fn told_by(check: &str, subject: &str) -> Option<Self> {
        match check {
            MEMORY => Some(Of::Memory),
            DISK if subject.starts_with(INODES) => Some(Of::Inodes),
            DISK => Some(Of::Space),
            _ => None,
        }
    }

    /// What a finding about `thing` of the history is about; none: it is not of this.
    fn subject(self, thing: &str) -> Option<String> {
        match self {
            Of::Space => thing.strip_prefix("space ").map(str::to_owned),
            Of::Inodes => thing.strip_prefix("inodes ").map(|mount| format!("{INODES}{mount}")),
            Of::Memory => (thing == "memory").then(|| thing.to_owned()),
        }
    }
}

/// All that the history has of these, each with its finding.
pub(crate) fn tell(settings: &Settings<'_>, about: &[Of]) -> Findings {
    let mut found = Vec::new();
    for (thing, points) in &settings.wanted().history {
        let of = about.iter().find_map(|of| Some((*of, of.subject(thing)?)));
        if let (Some((of, subject)), Some((_, used))) = (of, points.last()) {
            let full = points.iter().rfind(|(_, used)| *used >= FULL);
            let one = one(settings, (of, &subject), *used, points);
            // By the end of its step: what ran out in the one in which it was forecast came true.
            found.push(full.into_iter().fold(one, |one, (at, _)| one.detail(FULL_AT, secs(*at + STEP_SECS))));
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

fn one(settings: &Settings<'_>, (of, subject): (Of, &str), used: f64, points: &[(u64, f64)]) -> Found {
    let percent = used * 100.0;
    let Some(said) = forecast(of, points) else {
        let text = words!(
            "{subject} has no end in sight: {percent:.0} % used",
            "{subject} 暂无用尽迹象：已使用 {percent:.0}%"
        );
        return Found::new(subject, Status::Ok, text).value(percent, "%").detail(USED, used);
    };
    let became = Became::of(&settings.wanted().ledger, of, said.rule);
    let text = sentence(subject, percent, &said, &became.words());
    let soon = said.likely_secs <= settings.number(SOON.name) * 3_600.0;
    let status = if said.rule == Rule::Trend && soon { Status::Critical } else { Status::Warning };
    let first = points.first().map_or(0, |(at, _)| *at);
    let last = points.last().map_or(0, |(at, _)| *at);
    let seen =
        format!("{} points from {first} to {last}, rule {} version {}", points.len(), said.rule.id(), Rule::VERSION);
    let found = Found::new(subject, status, text).value(said.likely_secs, "s").evidence("history of metrics", seen);
    let found = found.detail(USED, used).detail(EARLIEST, said.earliest_secs).detail(LIKELY, said.likely_secs);
    let found = found.detail(LATEST, said.latest_secs).detail(CONFIDENCE, said.confidence);
    let found = found.detail(RULE, said.rule.id()).detail(JUDGED, said.judged_secs);
    became.details().into_iter().fold(found, |found, (name, count)| found.detail(name, count))
}

fn sentence(subject: &str, percent: f64, said: &Forecast, record: &Words) -> Words {
    let (likely, earliest, latest) = (span(said.likely_secs), span(said.earliest_secs), span(said.latest_secs));
    let (sure, Words { en, zh }) = (said.confidence * 100.0, record);
    words!(
        "{subject} is {percent:.0} % used and fills up in {likely}; if it does, then with {sure:.0} % confidence \
         in {earliest} to {latest}; {en}",
        "{subject} 已使用 {percent:.0}%，预计 {likely} 后用尽；若确会用尽，\
         则有 {sure:.0}% 的置信度在 {earliest} 至 {latest} 后发生；{zh}"
    )
}

/// What became of a rule's forecasts of such things here.
struct Became([(&'static str, usize); 4]);

impl Became {
    fn of(ledger: &Ledger, of: Of, rule: Rule) -> Self {
        let names = [
            ("came_true", Outcome::True),
            ("did_not", Outcome::False),
            ("averted", Outcome::Averted),
            ("open", Outcome::Open),
        ];
        Self(names.map(|(name, outcome)| (name, ledger.count(of, rule, outcome))))
    }

    /// As a part of a sentence: those that are known.
    fn words(&self) -> Words {
        let [(_, came_true), (_, did_not), ..] = self.0;
        if came_true + did_not == 0 {
            return words!("no such forecast was judged here yet", "本机尚无此类预测得到验证");
        }
        words!(
            "of such forecasts here {came_true} came true and {did_not} did not",
            "本机此类预测已应验 {came_true} 次，未应验 {did_not} 次"
        )
    }

    fn details(&self) -> [(&'static str, f64); 4] {
        self.0.map(|(name, count)| (name, u32::try_from(count).map_or(f64::MAX, f64::from)))
    }
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
        let used = number(USED).filter(|used| (0.0..=1.0).contains(used));
        let Some((used, _)) = used.zip(Of::told_by(check, &finding.subject)) else { continue };
        let said = rule.filter(|_| used < FULL).and_then(|rule| {
            Some(Forecast {
                rule,
                earliest_secs: number(EARLIEST)?,
                likely_secs: number(LIKELY)?,
                latest_secs: number(LATEST)?,
                judged_secs: number(JUDGED)?,
                confidence: number(CONFIDENCE)?,
                used,
            })
        });
        let full_at = number(FULL_AT).map(whole).or_else(|| (used >= FULL).then_some(now.0));
        ledger.see(check, &finding.subject, Seen { now: now.0, used, full_at }, said.as_ref());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
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
        assert_eq!(wanted.ledger.record(Of::Space, Rule::Trend), (1, 0));
        let told = found(&wanted).into_iter().find(|one| one.subject == "/").unwrap();
        assert!(told.summary.en.ends_with("; of such forecasts here 1 came true and 0 did not"), "{told:?}");
        assert!(told.summary.zh.ends_with("；本机此类预测已应验 1 次，未应验 0 次"), "{told:?}");
        let detail = |name: &str| number(&told, name);
        assert_eq!((detail("came_true"), detail("did_not"), detail("open")), (Some(1.0), Some(0.0), Some(0.0)));
    }

    #[test]
    fn dsk_mem_an_interval_has_the_confidence_that_was_measured_and_decides_nothing() {
        let mut wanted = Wanted::default();
        for thing in ["space /", "inodes /", "memory"] {
            // A tenth of it is left, and as much was used in two days.
            wanted.history.insert(thing.into(), leak(23.0 * 3_600.0));
        }
        let mut all = found(&wanted);
        all.extend(found_by("memory.fills-up", &wanted));
        assert_eq!(all.len(), 3);
        for told in &all {
            let detail = |name: &str| number(told, name).unwrap();
            let reach = Rule::Trend.reach(Of::told_by(&told.check, &told.subject).unwrap()).unwrap();
            assert_eq!((detail(CONFIDENCE), told.status), (0.8, Status::Critical), "{told:?}");
            for (name, times) in [(EARLIEST, reach.earliest), (LATEST, reach.latest)] {
                assert!((detail(name) / detail(LIKELY) - times).abs() < 1e-9, "{told:?}");
            }
            assert!(detail(EARLIEST) < detail(LIKELY) && detail(LIKELY) < detail(LATEST), "{told:?}");
            let (earliest, latest) = (span(detail(EARLIEST)), span(detail(LATEST)));
            let en = format!("; if it does, then with 80 % confidence in {earliest} to {latest}; no such");
            let zh = format!("则有 80% 的置信度在 {earliest} 至 {latest} 后发生；");
            assert!(told.summary.en.contains(&en) && told.summary.zh.contains(&zh), "{told:?}");
        }
        // The earliest time is soon, the median is not.
        wanted.history.insert("space /".into(), leak(40.0 * 3_600.0));
        let told = found(&wanted).into_iter().find(|one| one.subject == "/").unwrap();
        assert!(number(&told, EARLIEST).unwrap() < 4.0 * 3_600.0 && told.status == Status::Warning, "{told:?}");
    }

    #[test]
    fn mem_what_ran_out_between_two_looks_is_learnt_from_its_history() {
        let mut wanted = Wanted::default();
        wanted.history.insert("memory".into(), leak(20.0 * 3_600.0));
        let mut record = Record::default();
        let first = found_by("memory.fills-up", &wanted);
        assert_eq!(number(&first[0], FULL_AT), None, "{first:?}");
        record.learn(&mut [(by_id("memory.fills-up").unwrap(), Ran::Findings(first))], UnixTime(NOW));
        let killed = NOW + 19 * 3_600;
        wanted.history.insert("memory".into(), vec![(killed, 1.0), (killed + STEP_SECS, 0.3), (killed + 9_000, 0.35)]);
        let later = found_by("memory.fills-up", &wanted);
        assert_eq!(
            (later[0].status, number(&later[0], FULL_AT)),
            (Status::Ok, Some(secs(killed + STEP_SECS))),
            "{later:?}"
        );
        record.learn(&mut [(by_id("memory.fills-up").unwrap(), Ran::Findings(later))], UnixTime(killed + 9_000));
        record.tell(&mut wanted, UnixTime(killed + 9_000));
        assert_eq!(wanted.ledger.record(Of::Memory, Rule::Trend), (1, 0), "{:?}", wanted.ledger);
        assert_eq!(wanted.ledger.record(Of::Space, Rule::Trend), (0, 0));
    }

    #[test]
    fn dsk_what_fills_up_within_a_day_is_critical_and_no_history_says_nothing() {
        let mut wanted = Wanted::default();
        assert!(matches!(run(by_id("disk.fills-up").unwrap(), &Host::live().unwrap(), &wanted), Ran::NotHere(_)));
        wanted.history.insert("space /var".into(), leak(10.0 * 3_600.0));
        assert_eq!(found(&wanted)[0].status, Status::Critical);
    }
}
