//! What the last runs on a host found, as far as the next one has to know it: a level that fired holds until it is clear,
//! some must hold for a while before they count, and people want to know since when.
//!
//! ```text
//!  text of a file ─ read() ─▶ Record ─ tell() ─▶ Wanted of the next run
//!                             ▲    └── text(), 256 KiB at most, what was seen longest ago is dropped
//!                             └ learn() ── what it found
//! ```
//!
//! The host keeps it for itself: nothing in it ever comes from a relay. It must never grow without a bound, nor be
//! believed when it is damaged.

use crate::check::Check;
use crate::forecast::{self, Entry, Ledger};
use crate::pack;
use crate::run::{Ran, Wanted};
use crate::words;
use cloud_doctor_proto::finding::{Detail, Finding, Status, Words};
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A record's text. All checks of a small server take 12 kB of it.
pub const RECORD_BYTES_MAX: usize = 256 << 10;
/// What nobody has looked at for a week says nothing about now.
const SEEN_SECS_MAX: u64 = 7 * 86_400;
/// Subjects are names; a hostile host's may be anything.
const SUBJECT_BYTES_MAX: usize = 2048;
const HEAD: &str = "cloud-doctor record v1 ";

/// How the things that checks looked at were the last time, by check and subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    things: BTreeMap<(String, String), Thing>,
    ledger: Ledger,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    status: Status,
    since: UnixTime,
    seen: UnixTime,
    value: Option<f64>,
    /// Levels that hold and do not count yet, and since when.
    pending: Vec<(String, u64)>,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Kept {
    Thing(String, String, Thing),
    Forecast((Entry,)),
}

/// What of a thing is worth a write when it changes.
type State = (Status, Vec<(String, u64)>);

/// A record that cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// Not written by this program, or by another version.
    Head,
    /// Changed or cut off.
    Hash,
    /// A line that is none.
    Line(usize),
}

impl Damaged {
    /// The same for people.
    #[must_use]
    pub fn words(self) -> Words {
        match self {
            Damaged::Head => words!("it is not a record of this version", "它不是此版本的记录"),
            Damaged::Hash => words!("its bytes are not those that were written", "其内容与写入时不同"),
            Damaged::Line(line) => words!("line {line} cannot be read", "第 {line} 行无法读取"),
        }
    }
}

impl Record {
    /// Reads a record's text; no text is a record of nothing.
    ///
    /// # Errors
    /// [`Damaged`]: nothing of it may be used.
    pub fn read(text: &str) -> Result<Self, Damaged> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (hash, lines) = text.strip_prefix(HEAD).and_then(|text| text.split_once('\n')).ok_or(Damaged::Head)?;
        if text.len() > RECORD_BYTES_MAX || pack::hash(lines) != hash {
            return Err(Damaged::Hash);
        }
        let (mut things, mut ledger) = (BTreeMap::new(), Ledger::default());
        for (at, line) in lines.lines().enumerate() {
            match serde_json::from_str(line).map_err(|_| Damaged::Line(at + 2))? {
                Kept::Thing(check, subject, thing) => drop(things.insert((check, subject), thing)),
                Kept::Forecast((entry,)) => ledger.entries.push(entry),
            }
        }
        Ok(Self { things, ledger })
    }

    /// The text to keep. What was seen longest ago has no place in it when there is too much.
    #[must_use]
    pub fn text(&self) -> String {
        let mut newest: Vec<_> = self.things.iter().collect();
        newest.sort_by_key(|(_, thing)| (std::cmp::Reverse(thing.seen), std::cmp::Reverse(thing.status)));
        // At most 200 of 300 bytes each.
        let forecasts = self.ledger.entries.iter().filter_map(|entry| serde_json::to_string(&(entry,)).ok());
        let mut lines: String = forecasts.map(|line| line + "\n").collect();
        // The head is as long as a hash.
        let room = RECORD_BYTES_MAX - HEAD.len() - pack::hash("").len() - 1;
        for ((check, subject), thing) in newest {
            // Every value has a JSON form.
            let Ok(line) = serde_json::to_string(&(check, subject, thing)) else { continue };
            if lines.len() + line.len() + 1 > room {
                break;
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        format!("{HEAD}{}\n{lines}", pack::hash(&lines))
    }

    /// Tells a run how it was before.
    pub fn tell(&self, wanted: &mut Wanted, now: UnixTime) {
        (wanted.before, wanted.pending) = Default::default();
        wanted.ledger = self.ledger.clone();
        for ((check, subject), thing) in self.things.iter().filter(|(_, thing)| thing.is_fresh(now)) {
            wanted.before.insert((check.clone(), subject.clone()), thing.status);
            for (level, since) in &thing.pending {
                wanted.pending.insert((check.clone(), subject.clone(), level.clone()), *since);
            }
        }
    }

    /// Learns what a run found, and writes since when into it. Returns whether anything is another way than before.
    pub fn learn(&mut self, ran: &mut [(&'static Check, Ran)], now: UnixTime) -> bool {
        let before = (self.states(), self.ledger.clone());
        self.things.retain(|_, thing| thing.is_fresh(now));
        for (check, ran) in ran {
            match ran {
                Ran::Findings(findings) => {
                    forecast::learn(&mut self.ledger, check.id, findings, now);
                    self.learn_one(check.id, findings, now);
                }
                // There is nothing of the kind any more.
                Ran::NotHere(_) => self.things.retain(|(id, _), _| id != check.id),
            }
        }
        before != (self.states(), self.ledger.clone())
    }

    fn learn_one(&mut self, id: &str, findings: &mut [Finding], now: UnixTime) {
        let mut old = BTreeMap::new();
        self.things.retain(|(check, subject), thing| {
            let keep = check != id;
            if !keep {
                old.insert(subject.clone(), thing.clone());
            }
            keep
        });
        let mut new: BTreeMap<String, Thing> = BTreeMap::new();
        for finding in findings.iter_mut() {
            let thing = Thing::of(finding, old.get(&finding.subject), now);
            // Of several about one thing the worst counts.
            if new.get(&finding.subject).is_none_or(|other| other.status < thing.status) {
                new.insert(finding.subject.clone(), thing);
            }
        }
        // A check that could not tell makes nothing gone.
        let is_whole = !findings.iter().any(|one| one.status == Status::Unknown && one.subject.is_empty());
        if !is_whole {
            old.append(&mut new);
            new = old;
        }
        let fits = |(subject, _): &(String, Thing)| subject.len() <= SUBJECT_BYTES_MAX;
        let named = |(subject, thing)| ((id.to_owned(), subject), thing);
        self.things.extend(new.into_iter().filter(fits).map(named));
    }

    fn states(&self) -> BTreeMap<(String, String), State> {
        let state = |(key, thing): (&(String, String), &Thing)| (key.clone(), (thing.status, thing.pending.clone()));
        self.things.iter().map(state).collect()
    }
}

impl Thing {
    /// How it is now, after it was `old`.
    fn of(finding: &mut Finding, old: Option<&Self>, now: UnixTime) -> Self {
        // A clock that was set back makes nothing younger than now.
        let since = old.filter(|old| old.status == finding.status).map_or(now, |old| old.since.min(now));
        if let (Some(old), true) = (old, finding.status == Status::Unknown)
            && old.status != Status::Unknown
        {
            // What could not be told this time is as it was, until somebody looks again.
            return old.clone();
        }
        finding.since = Some(since);
        let hurts = matches!(finding.status, Status::Warning | Status::Critical);
        if let Some(value) =
            old.and_then(|old| old.value).filter(|value| hurts && finding.value.is_some_and(|now| now != *value))
        {
            finding.details.insert("value_before".to_owned(), Detail::Number(value));
        }
        let pending = pack::pending(finding);
        Self { status: finding.status, since, seen: now, value: finding.value, pending }
    }

    fn is_fresh(&self, now: UnixTime) -> bool {
        self.seen.plus_secs(SEEN_SECS_MAX) >= now
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::found::Found;
    use crate::run::{Settings, unknown};

    const START: u64 = 1_800_000_000;

    fn at(secs: u64) -> UnixTime {
        UnixTime(START + secs)
    }

    fn usage() -> &'static Check {
        &crate::cpu::usage::CHECK
    }

    /// A run in a process of its own, of which the file alone is left: the status that cpu.usage has at this value.
    fn run(file: &mut String, secs: u64, subject: &str, value: f64) -> Finding {
        let mut record = Record::read(file).unwrap();
        let mut wanted = Wanted::default();
        record.tell(&mut wanted, at(secs));
        let status = Settings::of(usage(), &wanted).level(subject, value);
        let found = Found::new(subject, status, words!("so", "如此")).value(value, "%");
        let mut ran = [(usage(), Ran::Findings(vec![crate::run::finding(usage(), found)]))];
        record.learn(&mut ran, at(secs));
        *file = record.text();
        let Ran::Findings(mut findings) = ran.into_iter().next().unwrap().1 else { panic!("it found something") };
        findings.remove(0)
    }

    #[test]
    fn what_fired_holds_over_runs_until_it_is_clear_and_since_when_is_told() {
        let mut file = String::new();
        for (secs, value, status, since, before) in [
            (0, 80.0, Status::Ok, 0, None),
            (60, 86.0, Status::Warning, 60, Some(80.0)),
            // Below 85, where it fires; above 75, where it is over.
            (120, 80.0, Status::Warning, 60, Some(86.0)),
            (180, 97.0, Status::Critical, 180, Some(80.0)),
            (240, 90.0, Status::Critical, 180, Some(97.0)),
            (300, 84.0, Status::Warning, 300, Some(90.0)),
            (360, 74.0, Status::Ok, 360, None),
            (420, 80.0, Status::Ok, 360, None),
        ] {
            let found = run(&mut file, secs, "", value);
            assert_eq!((found.status, found.since), (status, Some(at(since))), "{secs}");
            let told = found.details.get("value_before");
            assert_eq!(told.cloned(), before.filter(|_| status > Status::Unknown).map(Detail::Number), "{secs}");
        }
        // Each thing has its own.
        run(&mut file, 500, "a", 86.0);
        assert_eq!(run(&mut file, 560, "b", 80.0).status, Status::Ok);
    }

    #[test]
    fn what_nobody_looked_at_for_a_week_is_forgotten() {
        let mut file = String::new();
        run(&mut file, 0, "", 86.0);
        assert_eq!(run(&mut file, SEEN_SECS_MAX, "", 80.0).status, Status::Warning);
        let found = run(&mut file, 2 * SEEN_SECS_MAX + 1, "", 80.0);
        assert_eq!((found.status, found.since), (Status::Ok, Some(at(2 * SEEN_SECS_MAX + 1))));
    }

    #[test]
    fn a_run_that_could_not_tell_makes_nothing_gone_and_one_that_could_does() {
        let learn = |file: &str, secs, ran| {
            let mut record = Record::read(file).unwrap();
            let mut ran = [(usage(), ran)];
            let changed = record.learn(&mut ran, at(secs));
            let [(_, ran)] = ran;
            (record, changed, ran)
        };
        let mut file = String::new();
        run(&mut file, 0, "", 86.0);
        let not_told = Ran::Findings(vec![unknown(usage(), Words::same("hangs"))]);
        let (record, changed, ran) = learn(&file, 60, not_told);
        assert!(!changed && record.text() == file, "{ran:?}");
        let Ran::Findings(findings) = ran else { panic!("{ran:?}") };
        assert_eq!(findings[0].since, None, "it is not known since when it could not be told");
        assert_eq!(run(&mut file, 120, "", 80.0).status, Status::Warning);

        let (record, changed, _) = learn(&file, 180, Ran::NotHere(Words::same("none")));
        assert!(changed && record == Record::default());
        let other = crate::run::finding(usage(), Found::new("b", Status::Ok, Words::same("so")));
        let (record, changed, _) = learn(&file, 180, Ran::Findings(vec![other]));
        let subjects: Vec<_> = record.things.keys().map(|(_, subject)| subject.as_str()).collect();
        assert_eq!((changed, subjects), (true, vec!["b"]));
    }

    #[test]
    fn levels_that_must_hold_for_a_while_are_passed_on() {
        let found = Found::new("a", Status::Ok, Words::same("so")).detail("warning_pending_since", 1_700_000_000.0);
        let mut ran = [(usage(), Ran::Findings(vec![crate::run::finding(usage(), found)]))];
        let mut record = Record::default();
        record.learn(&mut ran, at(0));
        let mut wanted = Wanted::default();
        Record::read(&record.text()).unwrap().tell(&mut wanted, at(10));
        let key = (usage().id.to_owned(), "a".to_owned(), "warning_pending_since".to_owned());
        assert_eq!(wanted.pending.get(&key), Some(&1_700_000_000));
    }

    #[test]
    fn flt_01_a_damaged_record_is_not_believed() {
        let mut file = String::new();
        run(&mut file, 0, "", 86.0);
        assert!(Record::read(&file).is_ok());
        let hashed = |lines: &str| format!("{HEAD}{}\n{lines}", pack::hash(lines));
        for (text, damaged) in [
            ("x".to_owned(), Damaged::Head),
            (file.replace(" v1 ", " v2 "), Damaged::Head),
            (file[..file.len() - 5].to_owned(), Damaged::Hash),
            (file[..HEAD.len() + 20].to_owned(), Damaged::Head),
            (file.replace("warning", "ok"), Damaged::Hash),
            (file.clone() + "\n", Damaged::Hash),
            (hashed("[1]\n"), Damaged::Line(2)),
            (hashed(&"x".repeat(RECORD_BYTES_MAX)), Damaged::Hash),
        ] {
            assert_eq!(Record::read(&text), Err(damaged), "{text:.80}");
        }
    }

    #[test]
    fn a_record_is_bounded_and_drops_what_was_seen_longest_ago() {
        let mut record = Record::default();
        let subject = |n: usize| format!("{n} {}", "\"".repeat(500));
        let mut learn = |from: usize, secs| {
            let one = |n| crate::run::finding(usage(), Found::new(subject(n), Status::Ok, Words::same("so")));
            let unknown = unknown(usage(), Words::same("not all"));
            let mut ran = [(usage(), Ran::Findings((from..from + 200).map(one).chain([unknown]).collect()))];
            record.learn(&mut ran, at(secs));
        };
        (0..5).for_each(|n| learn(n * 200, n as u64));
        let long = Found::new("y".repeat(SUBJECT_BYTES_MAX + 1), Status::Ok, Words::same("so"));
        record.learn(
            &mut [(
                usage(),
                Ran::Findings(vec![crate::run::finding(usage(), long), unknown(usage(), Words::same(""))]),
            )],
            at(6),
        );
        let text = record.text();
        assert!((200 << 10..=RECORD_BYTES_MAX).contains(&text.len()), "{}", text.len());
        let kept = Record::read(&text).unwrap();
        assert!(kept.things.len() < record.things.len());
        let has = |n| kept.things.contains_key(&(usage().id.to_owned(), subject(n)));
        assert!(has(999) && has(800) && !has(0) && !has(199));
    }
}
