//! What a check returns: what it found, or why it cannot tell.

use cloud_doctor_proto::finding::{Detail, Evidence, Status, Words};
use std::borrow::Cow;

/// What a check found, one for each thing that it looked at; nothing that is fine may be left out.
pub type Outcome = Result<Vec<Found>, Gap>;

/// Why there is no finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// There is nothing of the kind on this host: no such program, file or device.
    NotHere(Words),
    /// It cannot be told, and why.
    Unknown(Words),
}

/// Texts in both languages, from one pair of formats.
#[macro_export]
macro_rules! words {
    ($en:literal, $zh:literal $(, $($argument:tt)*)?) => {
        ::cloud_doctor_proto::finding::Words::of(
            format_args!($en $(, $($argument)*)?),
            format_args!($zh $(, $($argument)*)?),
        )
    };
}

/// One finding in the making. Everything besides these three has a default: the check's own texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub(crate) subject: String,
    pub(crate) status: Status,
    pub(crate) note: bool,
    pub(crate) value: Option<(f64, &'static str)>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) summary: Words,
    pub(crate) impact: Option<Words>,
    pub(crate) remedy: Option<Words>,
    pub(crate) details: Vec<(Cow<'static, str>, Detail)>,
}

/// Longest text of one piece of evidence; a line of a log can be anything.
const EVIDENCE_CHARS_MAX: usize = 500;
/// Pieces of evidence of one finding.
const EVIDENCE_MAX: usize = 20;

impl Found {
    /// `subject` is empty when it is the host.
    pub fn new(subject: impl Into<String>, status: Status, summary: Words) -> Self {
        Self {
            subject: subject.into(),
            status,
            note: false,
            value: None,
            evidence: Vec::new(),
            summary,
            impact: None,
            remedy: None,
            details: Vec::new(),
        }
    }

    /// Advice about something that works.
    pub fn advice(subject: impl Into<String>, summary: Words) -> Self {
        Self { note: true, ..Self::new(subject, Status::Ok, summary) }
    }

    /// What was measured. Not a number: nothing.
    #[must_use]
    pub fn value(mut self, value: f64, unit: &'static str) -> Self {
        self.value = value.is_finite().then_some((value, unit));
        self
    }

    /// What was read. `source` is a file, with `:line` where there is one.
    #[must_use]
    pub fn evidence(mut self, source: impl Into<String>, text: impl AsRef<str>) -> Self {
        self.add_evidence(source.into(), text.as_ref());
        self
    }

    /// Apart from [`Self::evidence`], so that it is there once and not for each kind of text.
    fn add_evidence(&mut self, source: String, text: &str) {
        if self.evidence.len() < EVIDENCE_MAX {
            let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let text = lines.join(" / ").chars().take(EVIDENCE_CHARS_MAX).collect();
            self.evidence.push(Evidence { source, text });
        }
    }

    /// What it costs in this case.
    #[must_use]
    pub fn impact(mut self, impact: Words) -> Self {
        self.impact = Some(impact);
        self
    }

    /// What to do in this case.
    #[must_use]
    pub fn remedy(mut self, remedy: Words) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// One more number or name. Not a number: nothing.
    #[must_use]
    pub fn detail(mut self, name: impl Into<Cow<'static, str>>, detail: impl Into<Extra>) -> Self {
        if let Some(detail) = detail.into().0 {
            self.details.push((name.into(), detail));
        }
        self
    }
}

/// A detail that may be missing.
#[derive(Debug)]
pub struct Extra(Option<Detail>);

impl From<f64> for Extra {
    fn from(number: f64) -> Self {
        Self(number.is_finite().then_some(Detail::Number(number)))
    }
}

impl From<bool> for Extra {
    fn from(flag: bool) -> Self {
        Self(Some(Detail::Flag(flag)))
    }
}

impl From<&str> for Extra {
    fn from(text: &str) -> Self {
        Self(Some(Detail::Text(text.chars().take(EVIDENCE_CHARS_MAX).collect())))
    }
}

impl<T: Into<Extra>> From<Option<T>> for Extra {
    fn from(maybe: Option<T>) -> Self {
        maybe.map_or(Self(None), Into::into)
    }
}
