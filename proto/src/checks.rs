//! Checks that a relay asks for, and what the agent's identity signs of them.
//!
//! No grant is needed: the customer's ceiling lists which checks may run, and it alone decides. The relay asks on a stream of
//! purpose [`crate::control::StreamPurpose::Checks`]; guard answers with one report or a refusal. A report holds what was
//! found, after secrets were taken out on the host. It must never hold a file's content beyond the lines that a finding
//! names, and never be believed without its signature, its nonce and the key that the trust log names for that server.

use crate::control;
use crate::finding::{Finding, Words};
use crate::ids::{AgentId, Nonce, VerifyKey};
use crate::pack::{self, PackError};
use crate::time::UnixTime;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Largest report: with its frame below [`crate::limits::CONTROL_BYTES_MAX`].
pub const REPORT_BYTES_MAX: usize = 960 << 10;
/// Ids in one request.
pub const REQUEST_CHECKS_MAX: usize = 500;
/// Between two runs on one server; a relay that asks more often is told to wait.
pub const RUN_PAUSE_SECS: u64 = 20;

const REPORT_CONTEXT: &[u8] = b"cloud-doctor check report v1\0";

/// Relay to guard, after the stream's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Comes back in the report, so that no older one can be passed off as this one's answer.
    pub nonce: Nonce,
    /// Ids and groups; none: all that the ceiling allows.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// Guard to relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The [`Report`] in its one form.
    pub report: ByteBuf,
    /// By the agent's identity, over a context and those bytes.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Who signs.
    pub identity: VerifyKey,
    /// The request's.
    pub nonce: Nonce,
    /// What was asked for; none: all that the ceiling allows. So nobody can pass a part off as the whole.
    pub asked: Vec<String>,
    /// When the checks ran, by the host's clock.
    pub at: UnixTime,
    /// How long they took.
    pub millis: u64,
    /// The agent's version.
    pub version: String,
    /// The host's name for itself.
    pub host: String,
    /// What was found, also what is as it should be.
    pub findings: Vec<Finding>,
    /// Checks that had nothing to look at.
    pub absent: Vec<Absent>,
    /// Checks that were asked for and that the ceiling does not allow, or this agent does not have.
    pub refused: Vec<String>,
    /// Findings of status `ok` that did not fit.
    pub left_out: u64,
    /// What of the checker's sandbox the host's kernel does not have.
    pub sandbox_open: Vec<String>,
}

/// A check that had nothing to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// Its id.
    pub check: String,
    /// Why.
    pub why: Words,
}

/// A report that may not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not a report's one form, or too large.
    #[error("the report is {0}")]
    Malformed(#[from] PackError),
    /// Its key did not sign it.
    #[error("the report's signature does not verify")]
    Signature,
    /// Another server's.
    #[error("the report is another server's")]
    Stranger,
    /// The answer to another request.
    #[error("the report answers another request")]
    Nonce,
}

impl CheckReport {
    /// Signs a report; findings that are as they should be are left out when it would be too large, and, when that is not
    /// enough, the rest from the end.
    #[must_use]
    pub fn sign(identity: &SigningKey, mut report: Report) -> Self {
        report.identity = VerifyKey(identity.verifying_key().to_bytes());
        let mut bytes = pack::to_bytes(&report);
        if bytes.len() > REPORT_BYTES_MAX {
            report.drop_quiet();
            bytes = pack::to_bytes(&report);
        }
        while bytes.len() > REPORT_BYTES_MAX {
            let keep = report.findings.len() / 2;
            report.left_out += (report.findings.len() - keep) as u64;
            report.findings.truncate(keep);
            if keep == 0 {
                report.absent.clear();
                report.refused.clear();
                report.asked.truncate(1);
            }
            bytes = pack::to_bytes(&report);
        }
        let signature = identity.sign(&[REPORT_CONTEXT, &bytes].concat()).to_bytes();
        Self { report: ByteBuf::from(bytes), signature }
    }

    /// Reads the report after checking that `agent` signed it.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn verify(&self, agent: &AgentId) -> Result<Report, ReportError> {
        let report: Report = pack::from_signed_bytes(&self.report, REPORT_BYTES_MAX)?;
        if AgentId::of(&report.identity) != *agent {
            return Err(ReportError::Stranger);
        }
        let good = control::verify(&report.identity, REPORT_CONTEXT, &self.report, &self.signature);
        if good { Ok(report) } else { Err(ReportError::Signature) }
    }

    /// The same for the answer to a request.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn answers(&self, agent: &AgentId, nonce: &Nonce) -> Result<Report, ReportError> {
        let report = self.verify(agent)?;
        if report.nonce == *nonce { Ok(report) } else { Err(ReportError::Nonce) }
    }
}

impl Report {
    /// A report in which nothing was found yet. Guard says whose request it answers, and who signs is said when it is signed.
    #[must_use]
    pub fn empty(host: String, version: String, at: UnixTime) -> Self {
        Self {
            identity: VerifyKey([0; 32]),
            nonce: Nonce([0; 16]),
            asked: Vec::new(),
            at,
            millis: 0,
            version,
            host,
            findings: Vec::new(),
            absent: Vec::new(),
            refused: Vec::new(),
            left_out: 0,
            sandbox_open: Vec::new(),
        }
    }

    fn drop_quiet(&mut self) {
        let before = self.findings.len();
        self.findings.retain(|finding| finding.note || finding.status != crate::finding::Status::Ok);
        self.left_out += (before - self.findings.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::finding::{Evidence, Status};
    use std::collections::BTreeMap;

    fn finding(status: Status, text: &str) -> Finding {
        Finding {
            check: "disk.space".into(),
            subject: "/".into(),
            status,
            note: false,
            since: None,
            value: Some(97.5),
            unit: "%".into(),
            evidence: vec![Evidence { source: "statvfs".into(), text: text.into() }],
            summary: Words::same("full"),
            impact: Words::same("stops"),
            remedy: Words::same("more"),
            details: BTreeMap::new(),
        }
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report {
            nonce: Nonce([7; 16]),
            millis: 1200,
            findings,
            absent: vec![Absent { check: "lb.detection-time".into(), why: Words::same("none") }],
            ..Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000))
        }
    }

    #[test]
    fn chk_10_only_the_answer_of_the_server_that_was_asked_is_believed() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let id = |key: &SigningKey| AgentId::of(&VerifyKey(key.verifying_key().to_bytes()));
        let signed = CheckReport::sign(&key, report(vec![finding(Status::Critical, "x")]));
        let read = signed.answers(&id(&key), &Nonce([7; 16])).unwrap();
        assert_eq!(read.findings.len(), 1);
        assert_eq!(signed.answers(&id(&key), &Nonce([8; 16])), Err(ReportError::Nonce));
        assert_eq!(signed.verify(&id(&other)), Err(ReportError::Stranger));
        let mut changed = signed.clone();
        let at = changed.report.iter().position(|byte| *byte == b'w').unwrap();
        changed.report[at] = b'v';
        assert!(changed.verify(&id(&key)).is_err());
        let mut forged = CheckReport::sign(&other, report(Vec::new()));
        forged.report = signed.report;
        assert_eq!(forged.verify(&id(&key)), Err(ReportError::Signature));
        let huge = CheckReport { report: ByteBuf::from(vec![0; REPORT_BYTES_MAX + 1]), signature: [0; 64] };
        assert!(matches!(huge.verify(&id(&key)), Err(ReportError::Malformed(PackError::TooLong { .. }))));
    }

    #[test]
    fn a_report_that_is_too_large_keeps_what_matters() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let agent = AgentId::of(&VerifyKey(key.verifying_key().to_bytes()));
        let long = "x".repeat(2000);
        let mut findings = vec![finding(Status::Critical, &long)];
        findings.extend((0..800).map(|_| finding(Status::Ok, &long)));
        let read = CheckReport::sign(&key, report(findings)).verify(&agent).unwrap();
        assert_eq!((read.findings.len(), read.left_out), (1, 800));
        let many = (0..1000).map(|_| finding(Status::Warning, &long)).collect();
        let read = CheckReport::sign(&key, report(many)).verify(&agent).unwrap();
        assert!(read.findings.len() >= 200 && read.findings.len() as u64 + read.left_out == 1000);
    }
}
