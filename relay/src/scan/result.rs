//! What became of a server, as a scan keeps it. Pure code: reports in, rows out.

use crate::broker::BrokerError;
use crate::checks::{AskError, Change, ChangeKind, changes};
use crate::store::{NewFinding, Rank, ServerResult, ServerState};
use cloud_doctor_proto::checks::{REQUEST_CHECKS_MAX, Report};
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::refusal::{Refusal, one_line};
use std::collections::{BTreeMap, BTreeSet};

/// Findings of one server that a scan keeps, the worst first: a report may have thousands.
const FINDINGS_MAX: usize = 500;
/// Characters of a sentence in a list; the report has all of it.
const SENTENCE_CHARS_MAX: usize = 300;
/// Characters of a subject and a check's id. Waivers have no longer ones.
const SUBJECT_CHARS_MAX: usize = 1_000;
/// Characters of a value that a reason names.
const DETAIL_CHARS_MAX: usize = 200;

/// A server's report as a result.
pub(super) fn of_report(
    agent: AgentId,
    run: Nonce,
    took_ms: u64,
    before: Option<&Report>,
    now: &Report,
) -> ServerResult {
    let changes = before.map(|before| changes(before, now)).unwrap_or_default();
    let (state, findings) = (ServerState::Report, findings(now, &changes));
    let looked = if findings.len() < FINDINGS_MAX { looked(now) } else { Vec::new() };
    let (reason, detail) = (String::new(), String::new());
    ServerResult { agent, state, reason, detail, took_ms, run: Some(run), findings, looked }
}

/// Checks that have surely looked: they said something, and of nothing that they could not tell it. None where something
/// was left out of the report.
fn looked(report: &Report) -> Vec<String> {
    let unsure = report.findings.iter().filter(|finding| finding.status == Status::Unknown);
    let unsure: BTreeSet<&str> = unsure.map(|finding| finding.check.as_str()).collect();
    let said = report.findings.iter().map(|finding| finding.check.as_str());
    let said: BTreeSet<&str> = said.chain(report.absent.iter().map(|absent| absent.check.as_str())).collect();
    let fits = report.left_out == 0 && said.len() <= REQUEST_CHECKS_MAX;
    let sure = said.difference(&unsure).filter(|check| check.len() <= SUBJECT_CHARS_MAX);
    if fits { sure.map(|check| (*check).to_owned()).collect() } else { Vec::new() }
}

/// What is worth a row, each check and subject once.
fn findings(report: &Report, changes: &[Change]) -> Vec<NewFinding> {
    let change: BTreeMap<_, _> = changes.iter().map(|one| ((one.check.as_str(), one.subject.as_str()), one)).collect();
    let mut worst = BTreeMap::<(&str, &str), &Finding>::new();
    for finding in report.findings.iter().filter(|finding| finding.status != Status::Ok) {
        let known = worst.entry((&finding.check, &finding.subject)).or_insert(finding);
        if finding.status > known.status {
            *known = finding;
        }
    }
    let cut = |text: &str, most| text.chars().take(most).collect::<String>();
    let bad = worst.into_iter().map(|((check, subject), finding)| NewFinding {
        check: cut(check, SUBJECT_CHARS_MAX),
        subject: cut(subject, SUBJECT_CHARS_MAX),
        rank: rank(finding.status),
        change: change.get(&(check, subject)).map_or("", |change| change.kind.id()),
        en: cut(&finding.summary.en, SENTENCE_CHARS_MAX),
        zh: cut(&finding.summary.zh, SENTENCE_CHARS_MAX),
    });
    let gone = changes.iter().filter(|one| one.kind == ChangeKind::Gone).map(|one| NewFinding {
        check: cut(&one.check, SUBJECT_CHARS_MAX),
        subject: cut(&one.subject, SUBJECT_CHARS_MAX),
        rank: Rank::Ok,
        change: ChangeKind::Gone.id(),
        en: String::new(),
        zh: String::new(),
    });
    let mut all: Vec<_> = bad.chain(gone).collect();
    all.sort_by_key(|finding| finding.rank);
    all.truncate(FINDINGS_MAX);
    all
}

fn rank(status: Status) -> Rank {
    match status {
        Status::Critical => Rank::Critical,
        Status::Warning => Rank::Warning,
        Status::Unknown => Rank::Unknown,
        Status::Ok => Rank::Ok,
    }
}

/// A server's answer that is no report, or none at all.
pub(super) fn of_error(agent: AgentId, took_ms: u64, error: &AskError) -> ServerResult {
    let (state, reason, detail) = match error {
        AskError::Broker(BrokerError::Unreachable) => (ServerState::Absent, "", String::new()),
        AskError::Broker(BrokerError::Busy | BrokerError::TooMany) => (ServerState::Failed, "no-room", String::new()),
        AskError::Busy => (ServerState::Failed, "busy", String::new()),
        AskError::Refused(refused) => (ServerState::Refused, refused.code.id(), refused.detail.clone()),
        AskError::Dropped(why) => (ServerState::Dropped, why.id(), String::new()),
        AskError::Silent => (ServerState::Silent, "", String::new()),
        AskError::Broke => (ServerState::Broke, "", String::new()),
        AskError::Store(error) => (ServerState::Failed, "store", error.to_string()),
        AskError::Randomness(_) => (ServerState::Failed, "randomness", String::new()),
    };
    let detail = one_line(&detail, DETAIL_CHARS_MAX);
    ServerResult {
        agent,
        state,
        reason: reason.to_owned(),
        detail,
        took_ms,
        run: None,
        findings: Vec::new(),
        looked: Vec::new(),
    }
}

/// A server that was not here.
pub(super) fn without_asking(agent: AgentId, state: ServerState) -> ServerResult {
    let (reason, detail) = (String::new(), String::new());
    ServerResult { agent, state, reason, detail, took_ms: 0, run: None, findings: Vec::new(), looked: Vec::new() }
}

/// A server that cannot just now may be asked again; in how many seconds, if it says.
pub(super) fn early(error: &AskError) -> Option<Option<u64>> {
    match error {
        AskError::Refused(refused) if refused.code == Refusal::ChecksTooOften => Some(refused.detail.parse().ok()),
        AskError::Broker(BrokerError::Busy) => Some(Some(2)),
        AskError::Broker(BrokerError::Unreachable | BrokerError::TooMany)
        | AskError::Refused(_)
        | AskError::Busy
        | AskError::Dropped(_)
        | AskError::Silent
        | AskError::Broke
        | AskError::Store(_)
        | AskError::Randomness(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Dropped;
    use cloud_doctor_proto::finding::Words;
    use cloud_doctor_proto::ids::VerifyKey;
    use cloud_doctor_proto::time::UnixTime;

    const WEB: AgentId = AgentId([1; 32]);

    fn report(findings: &[(&str, &str, Status)]) -> Report {
        let finding = |(check, subject, status): &(&str, &str, Status)| Finding {
            check: (*check).to_owned(),
            subject: (*subject).to_owned(),
            status: *status,
            note: false,
            since: None,
            value: None,
            unit: String::new(),
            evidence: Vec::new(),
            summary: Words::same("It is so."),
            impact: Words::default(),
            remedy: Words::default(),
            details: BTreeMap::new(),
        };
        Report {
            identity: VerifyKey([0; 32]),
            nonce: Nonce([0; 16]),
            asked: Vec::new(),
            at: UnixTime(0),
            millis: 0,
            version: String::new(),
            host: String::new(),
            findings: findings.iter().map(finding).collect(),
            absent: Vec::new(),
            refused: Vec::new(),
            left_out: 0,
            sandbox_open: Vec::new(),
        }
    }

    #[test]
    fn what_is_bad_and_what_has_gone_is_kept_each_once() {
        let before = report(&[("disk", "/", Status::Warning), ("cpu", "", Status::Critical), ("net", "", Status::Ok)]);
        let now = report(&[
            ("disk", "/", Status::Warning),
            ("disk", "/", Status::Critical),
            ("cpu", "", Status::Ok),
            ("net", "", Status::Unknown),
            ("log", "", Status::Warning),
        ]);
        let result = of_report(WEB, Nonce([7; 16]), 5, Some(&before), &now);
        let line = |one: &NewFinding| format!("{} {} {}", one.check, one.rank.id(), one.change);
        let lines: Vec<String> = result.findings.iter().map(line).collect();
        assert_eq!(lines, ["disk critical worse", "log warning new", "net unknown ", "cpu ok gone"]);
        assert_eq!((result.state, result.run), (ServerState::Report, Some(Nonce([7; 16]))));
        let first = of_report(WEB, Nonce([7; 16]), 5, None, &now);
        assert!(first.findings.iter().all(|one| one.change.is_empty()), "nothing to compare with");
    }

    #[test]
    fn a_report_with_thousands_of_findings_keeps_the_worst() {
        let names: Vec<String> = (0..3_000).map(|number| format!("{number:04}")).collect();
        let status = |at: usize| if at == 2_999 { Status::Critical } else { Status::Warning };
        let all: Vec<_> = names.iter().enumerate().map(|(at, name)| ("disk", name.as_str(), status(at))).collect();
        let kept = of_report(WEB, Nonce([7; 16]), 5, None, &report(&all)).findings;
        assert_eq!((kept.len(), kept.first().map(|one| one.rank)), (500, Some(Rank::Critical)));
    }

    #[test]
    fn chk_10_each_failure_is_a_state_of_its_own() {
        for (error, state, reason) in [
            (AskError::Broker(BrokerError::Unreachable), ServerState::Absent, ""),
            (AskError::Silent, ServerState::Silent, ""),
            (AskError::Broke, ServerState::Broke, ""),
            (AskError::Dropped(Dropped::Future), ServerState::Dropped, "future"),
            (AskError::Dropped(Dropped::Stranger), ServerState::Dropped, "stranger"),
            (AskError::Refused(Refusal::ChecksNotAllowed.into()), ServerState::Refused, "checks-not-allowed"),
            (AskError::Broker(BrokerError::Busy), ServerState::Failed, "no-room"),
        ] {
            let result = of_error(WEB, 9, &error);
            assert_eq!((result.state, result.reason.as_str(), result.took_ms), (state, reason, 9), "{error}");
        }
        assert_eq!(early(&AskError::Refused(Refusal::ChecksTooOften.with("12"))), Some(Some(12)));
        assert_eq!(early(&AskError::Refused(Refusal::ChecksTooOften.with("soon"))), Some(None));
        assert_eq!(early(&AskError::Silent), None);
    }
}
