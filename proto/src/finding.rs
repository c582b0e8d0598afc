//! What a check found: travels from agent to relay and client, and is what `check --json` prints in one language.
//!
//! Sentences are whole and in both languages, so that a console of any age shows what a newer agent found. A finding is
//! data of a host that may be hostile: who shows it makes it safe first.

use crate::time::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the JSON form.
pub const FINDINGS_SCHEMA: &str = "cloud-doctor/findings/v1";

/// How it is. Ordered by how much it asks for attention: the worst of several is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It could not be told; the summary says why.
    Unknown,
    /// Worth a look.
    Warning,
    /// It hurts, or will soon.
    Critical,
}

impl Status {
    /// The exit status of monitoring plugins (monitoring-plugins `lib/states.h`).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Critical => 2,
            Status::Unknown => 3,
        }
    }

    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Unknown => "unknown",
        }
    }
}

/// One text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    pub zh: String,
}

impl Words {
    /// One text, put together in each language. One call for both: a thousand places make one.
    #[must_use]
    #[inline(never)]
    pub fn of(en: std::fmt::Arguments<'_>, zh: std::fmt::Arguments<'_>) -> Self {
        Self { en: en.to_string(), zh: zh.to_string() }
    }

    /// The same characters in both languages: a name, a number, a system's own message.
    #[must_use]
    pub fn same(text: &str) -> Self {
        Self { en: text.to_owned(), zh: text.to_owned() }
    }

    /// The text in one language.
    #[must_use]
    pub fn get(&self, language: crate::refusal::Language) -> &str {
        match language {
            crate::refusal::Language::En => &self.en,
            crate::refusal::Language::Zh => &self.zh,
        }
    }
}

/// What was read, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A file with its line (`/etc/haproxy/haproxy.cfg:42`), a socket, a measurement.
    pub source: String,
    /// What stood there.
    pub text: String,
}

/// A value of `details`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// Yes or no.
    Flag(bool),
    /// Times in seconds, sizes in bytes, shares in percent; the name says which.
    Number(f64),
    /// Anything else.
    Text(String),
}

/// One result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id.
    pub check: String,
    /// What it is about: a file system, a process, `haproxy backend web/web1`. Empty: the host.
    pub subject: String,
    /// How it is.
    pub status: Status,
    /// Advice about something that works: `status` is `ok`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub note: bool,
    /// Since when runs on this host have found it like this, as far as the host remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixTime>,
    /// What was measured or computed, where that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its unit: `s`, `%`, `B`, `/s`; empty for a count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// What was read. Never empty for a warning or a critical finding.
    pub evidence: Vec<Evidence>,
    /// One sentence: what is the case.
    pub summary: Words,
    /// What that costs.
    pub impact: Words,
    /// What to do.
    pub remedy: Words,
    /// More numbers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Detail>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_is_their_maximum() {
        let all = [Status::Ok, Status::Critical, Status::Unknown, Status::Warning];
        assert_eq!(all.into_iter().max(), Some(Status::Critical));
        assert_eq!([Status::Ok, Status::Unknown].into_iter().max(), Some(Status::Unknown));
        assert_eq!(all.map(Status::exit_code), [0, 2, 3, 1]);
    }

    #[test]
    fn a_finding_survives_the_wire() {
        let words = |text| Words::same(text);
        let finding = Finding {
            check: "lb.detection-time".into(),
            subject: "haproxy backend web/web1".into(),
            status: Status::Critical,
            note: false,
            since: Some(UnixTime(1_800_000_000)),
            value: Some(1800.0),
            unit: "s".into(),
            evidence: vec![Evidence { source: "/etc/haproxy/haproxy.cfg:42".into(), text: "inter 300s".into() }],
            summary: words("late"),
            impact: words("loss"),
            remedy: words("less"),
            details: BTreeMap::from([("refused".into(), Detail::Number(900.0)), ("tcp".into(), Detail::Flag(true))]),
        };
        let bytes = crate::pack::to_bytes(&finding);
        assert_eq!(crate::pack::from_bytes::<Finding>(&bytes, 4000).ok(), Some(finding));
    }
}
