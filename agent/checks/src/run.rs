//! Runs one check: its settings in, findings out, with hysteresis from what was found before.

use crate::check::{Check, Param};
use crate::forecast::Ledger;
use crate::found::{Found, Gap};
use crate::host::Host;
use crate::pack::Heard;
use crate::words;
use cloud_doctor_proto::ceiling::setting;
use cloud_doctor_proto::checks::Absent;
use cloud_doctor_proto::finding::{Finding, Status, Words};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the things that a check looked at were the last time.
pub type Before = BTreeMap<(String, String), Status>;

/// Since when, in seconds since 1970, a level of a pack's check holds that must hold for longer: by check, subject and level.
pub type Pending = BTreeMap<(String, String, String), u64>;

/// Shares that were used of things over time, 0 to 1 by Unix seconds, about [`crate::forecast::STEP_SECS`] apart.
pub type Shares = BTreeMap<String, Vec<(u64, f64)>>;

/// What the caller wants of all checks.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Recovery time objective of what this host serves, in seconds.
    pub rto_secs: Option<f64>,
    /// `check-id.param`, and the number in place of the default.
    pub set: BTreeMap<String, f64>,
    /// How it was the last time.
    pub before: Before,
    /// What is not yet so for long enough.
    pub pending: Pending,
    /// What plugins said, by their ids.
    pub plugins: BTreeMap<String, Heard>,
    /// Where this host keeps its metrics' history; whoever runs the checks reads it into `history`.
    pub history_from: Option<PathBuf>,
    /// What it says: by `space MOUNTPOINT`, `inodes MOUNTPOINT` and `memory`.
    pub history: Shares,
    /// What was forecast before, and what became of it.
    pub ledger: Ledger,
}

/// 15 minutes: what is assumed of a service whose objective nobody has said.
pub const RTO_SECS_DEFAULT: f64 = 900.0;

/// A setting that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting(pub Words);

impl Wanted {
    /// Takes `check-id.param=number`.
    ///
    /// # Errors
    /// [`BadSetting`] says what is wrong with it, and what there is.
    pub fn set(&mut self, text: &str) -> Result<(), BadSetting> {
        let form = || {
            BadSetting(words!(
                "{text:?} is not CHECK.PARAM=NUMBER, like cpu.usage.warning=80",
                "{text:?} 不符合 检查.参数=数值 的形式，例如 cpu.usage.warning=80"
            ))
        };
        let (id, name, number) = setting(text).ok_or_else(form)?;
        let Some(check) = crate::by_id(id) else {
            return Err(BadSetting(words!(
                "there is no check {id:?}; `check --list` shows all",
                "没有名为 {id:?} 的检查；`check --list` 可列出全部"
            )));
        };
        if !check.params.iter().any(|param| param.name == name) {
            let names = check.params.iter().map(|param| param.name).collect::<Vec<_>>().join(", ");
            return Err(BadSetting(words!(
                "{id} has no parameter {name:?}, only: {names}",
                "{id} 没有参数 {name:?}，仅有：{names}"
            )));
        }
        self.set.insert(format!("{id}.{name}"), number);
        Ok(())
    }
}

/// What one check works with.
#[derive(Debug)]
pub struct Settings<'a> {
    check: &'a Check,
    wanted: &'a Wanted,
}

#[cfg(test)]
impl<'a> Settings<'a> {
    /// What `check` works with, for tests of its parts.
    pub(crate) fn of(check: &'a Check, wanted: &'a Wanted) -> Self {
        Self { check, wanted }
    }
}

impl Settings<'_> {
    /// The recovery time objective, in seconds.
    #[must_use]
    pub fn rto_secs(&self) -> f64 {
        self.wanted.rto_secs.unwrap_or(RTO_SECS_DEFAULT)
    }

    /// A parameter's number, where it fires.
    ///
    /// # Panics
    /// When the check has no such parameter.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        let param = self.param(name);
        self.set(param).unwrap_or(param.fires)
    }

    /// How bad `value` is by the parameters `critical` and `warning`, of which a check may have one. What fired before for
    /// this subject holds until it is past the level where it is over.
    #[must_use]
    pub fn level(&self, subject: &str, value: f64) -> Status {
        self.level_of(subject, value, "warning", "critical")
    }

    /// The same by two parameters of other names.
    #[must_use]
    pub fn level_of(&self, subject: &str, value: f64, warning: &str, critical: &str) -> Status {
        let before = self.wanted.before.get(&(self.check.id.to_owned(), subject.to_owned()));
        let fires = |name: &str, status: Status| {
            let Some(param) = self.check.params.iter().find(|param| param.name == name) else { return false };
            let set = self.set(param);
            let level = match (before.is_some_and(|before| *before >= status), set) {
                // A level that somebody has set is over as far from it as the default was.
                (true, Some(set)) => set + param.clears - param.fires,
                (true, None) => param.clears,
                (false, set) => set.unwrap_or(param.fires),
            };
            if param.below { value < level } else { value > level }
        };
        if value.is_nan() {
            Status::Unknown
        } else if fires(critical, Status::Critical) {
            Status::Critical
        } else if fires(warning, Status::Warning) {
            Status::Warning
        } else {
            Status::Ok
        }
    }

    /// A parameter's number, which is `default` where nobody has set another.
    pub(crate) fn number_of(&self, name: &str, default: f64) -> f64 {
        self.wanted.set.get(&format!("{}.{name}", self.check.id)).copied().unwrap_or(default)
    }

    /// What the caller wants.
    pub(crate) fn wanted(&self) -> &Wanted {
        self.wanted
    }

    /// The check's own id.
    pub(crate) fn id(&self) -> &'static str {
        self.check.id
    }

    fn param(&self, name: &str) -> &'static Param {
        self.check.params.iter().find(|param| param.name == name).expect("a check asks for its own parameters")
    }

    fn set(&self, param: &Param) -> Option<f64> {
        self.wanted.set.get(&format!("{}.{}", self.check.id, param.name)).copied()
    }
}

/// What became of one check.
#[derive(Debug, Clone, PartialEq)]
pub enum Ran {
    /// What it found; one finding of status `unknown` when it could not tell.
    Findings(Vec<Finding>),
    /// There is nothing of the kind here.
    NotHere(Words),
}

/// What was found, and which checks had nothing to look at.
#[must_use]
pub fn apart(ran: Vec<(&'static Check, Ran)>) -> (Vec<Finding>, Vec<Absent>) {
    let (mut findings, mut absent) = (Vec::new(), Vec::new());
    for (check, ran) in ran {
        match ran {
            Ran::Findings(found) => findings.extend(found),
            Ran::NotHere(why) => absent.push(Absent { check: check.id.to_owned(), why }),
        }
    }
    (findings, absent)
}

/// Runs `check` on `host`.
#[must_use]
pub fn run(check: &'static Check, host: &Host, wanted: &Wanted) -> Ran {
    match look(check, host, wanted) {
        // Every check is accounted for: one that says nothing had nothing to say it about.
        Ok(findings) if findings.is_empty() => {
            Ran::NotHere(words!("there is nothing of the kind on this host", "此主机上没有此类对象"))
        }
        Ok(findings) => Ran::Findings(findings),
        Err(why) => Ran::NotHere(why),
    }
}

/// What `check` finds, or why there is nothing to look at.
pub(crate) fn look(check: &'static Check, host: &Host, wanted: &Wanted) -> Result<Vec<Finding>, Words> {
    let settings = Settings { check, wanted };
    let outcome = if check.needs.live {
        host.must_live().and_then(|()| (check.run)(host, &settings))
    } else {
        (check.run)(host, &settings)
    };
    match outcome {
        Ok(found) => Ok(found.into_iter().map(|found| finding(check, found)).collect()),
        Err(Gap::NotHere(why)) => Err(why),
        Err(Gap::Unknown(why)) => Ok(vec![unknown(check, why)]),
    }
}

/// A finding that says that `check` could not tell.
#[must_use]
pub fn unknown(check: &Check, why: Words) -> Finding {
    finding(check, Found::new("", Status::Unknown, why))
}

pub(crate) fn finding(check: &Check, found: Found) -> Finding {
    let fires = found.note || matches!(found.status, Status::Warning | Status::Critical);
    let text = |own: Option<Words>, fixed: crate::check::Text| match own {
        Some(own) => own,
        None if fires => Words { en: fixed.en.to_owned(), zh: fixed.zh.to_owned() },
        None => Words::default(),
    };
    Finding {
        check: check.id.to_owned(),
        subject: found.subject,
        status: found.status,
        note: found.note,
        since: None,
        value: found.value.map(|(value, _)| value),
        unit: found.value.map(|(_, unit)| unit.to_owned()).unwrap_or_default(),
        evidence: found.evidence,
        summary: found.summary,
        impact: text(found.impact, check.impact),
        remedy: text(found.remedy, check.remedy),
        details: found.details.into_iter().map(|(name, detail)| (name.into_owned(), detail)).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn level(before: Option<Status>, value: f64, set: &[&str]) -> Status {
        let mut wanted = Wanted::default();
        for text in set {
            wanted.set(text).unwrap();
        }
        let key = ("cpu.usage".to_owned(), String::new());
        wanted.before.extend(before.map(|status| (key, status)));
        Settings { check: &crate::cpu::usage::CHECK, wanted: &wanted }.level("", value)
    }

    #[test]
    fn what_fired_holds_until_it_is_past_the_level_where_it_is_over() {
        for (before, value, set, expected) in [
            (None, 84.0, &[][..], Status::Ok),
            (None, 86.0, &[], Status::Warning),
            (Some(Status::Warning), 80.0, &[], Status::Warning),
            (Some(Status::Warning), 74.0, &[], Status::Ok),
            (None, 96.0, &[], Status::Critical),
            (Some(Status::Critical), 90.0, &[], Status::Critical),
            (Some(Status::Critical), 84.0, &[], Status::Warning),
            (None, 55.0, &["cpu.usage.warning=50"], Status::Warning),
            (Some(Status::Warning), 45.0, &["cpu.usage.warning=50"], Status::Warning),
            (Some(Status::Warning), 39.0, &["cpu.usage.warning=50"], Status::Ok),
            (None, f64::NAN, &[], Status::Unknown),
        ] {
            assert_eq!(level(before, value, set), expected, "{before:?} {value} {set:?}");
        }
    }

    #[test]
    fn a_bad_setting_is_answered_with_what_there_is() {
        for (text, part) in [
            ("cpu.usage", "CHECK.PARAM=NUMBER"),
            ("cpu.usage.warning=much", "CHECK.PARAM=NUMBER"),
            ("cpu.usage.warning=NaN", "CHECK.PARAM=NUMBER"),
            ("cpu.nothing.warning=1", "no check"),
            ("cpu.usage.colour=1", "warning, critical"),
        ] {
            let BadSetting(why) = Wanted::default().set(text).unwrap_err();
            assert!(why.en.contains(part), "{text}: {}", why.en);
        }
    }
}
