//! What a simulated agent answers on a stream that the relay opens: as its nature says.
//!
//! Findings are made once and shared; a report is signed when it is asked for, because it answers one nonce.

use super::wire::Wire;
use super::{Counters, Lie, Member, Nature, Shared, values};
use crate::people::{now, random};
use anyhow::Result;
use cloud_doctor_proto::checks::{Absent, CheckReport, CheckRequest, Report};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::finding::{Evidence, Finding, Status, Words};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::Nonce;
use cloud_doctor_proto::metrics::MetricsRequest;
use cloud_doctor_proto::refusal::Refusal;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One check in so many finds something to look at; the others say that there is nothing.
const FOUND_EACH: usize = 3;
/// A lying agent's clock is so far ahead.
const AHEAD_SECS: u64 = 7 * 86_400;

/// What all agents find.
#[derive(Debug)]
pub(super) struct Findings {
    found: Vec<Finding>,
    absent: Vec<Absent>,
}

impl Findings {
    pub(super) fn new() -> Self {
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        for (number, check) in cloud_doctor_checks::all().enumerate() {
            if number % FOUND_EACH == 0 {
                found.push(finding(check));
            } else {
                let why = Words::same("simulated: there is nothing of this kind here");
                absent.push(Absent { check: check.id.to_owned(), why });
            }
        }
        Self { found, absent }
    }

    /// What agent `number` finds: mostly nothing, here and there something that deserves a look.
    fn report(&self, number: usize, host: &str, request: &CheckRequest, millis: u64) -> Report {
        let mut report = Report::empty(host.to_owned(), "simulated".to_owned(), now());
        let wanted = |id: &str| {
            let group = id.split('.').next().unwrap_or(id);
            request.checks.is_empty() || request.checks.iter().any(|asked| asked == id || asked == group)
        };
        report.findings = self.found.iter().filter(|one| wanted(&one.check)).cloned().collect();
        report.absent = self.absent.iter().filter(|one| wanted(&one.check)).cloned().collect();
        for (place, finding) in report.findings.iter_mut().enumerate() {
            finding.status = match (number + 7 * place) % 50 {
                0 => Status::Critical,
                1 | 2 => Status::Warning,
                3.. => Status::Ok,
            };
        }
        (report.nonce, report.asked, report.millis) = (request.nonce, request.checks.clone(), millis);
        report
    }
}

fn finding(check: &cloud_doctor_checks::Check) -> Finding {
    let words = |text: &cloud_doctor_checks::Text| Words { en: text.en.to_owned(), zh: text.zh.to_owned() };
    let source = check.reads.first().copied().unwrap_or("simulated");
    Finding {
        check: check.id.to_owned(),
        subject: String::new(),
        status: Status::Ok,
        note: false,
        since: None,
        value: Some(42.0),
        unit: "%".to_owned(),
        evidence: vec![Evidence { source: source.to_owned(), text: "42.0 % (simulated)".to_owned() }],
        summary: words(&check.title),
        impact: words(&check.impact),
        remedy: Words::same("This server is simulated: there is nothing to do."),
        details: BTreeMap::new(),
    }
}

/// Serves one stream to its end. What a relay that has gone away does not hear is nobody's loss.
pub(super) async fn serve(member: Arc<Member>, shared: Arc<Shared>, mut wire: Wire) {
    drop(answer(&member, &shared, &mut wire).await);
}

async fn answer(member: &Member, shared: &Shared, wire: &mut Wire) -> Result<()> {
    let head: StreamHead = wire.expect(Kind::StreamHead).await?;
    match head.purpose {
        StreamPurpose::Checks => {
            let request: CheckRequest = wire.expect(Kind::CheckRequest).await?;
            checks(member, shared, wire, &request).await?;
        }
        StreamPurpose::Metrics => {
            let request: MetricsRequest = wire.expect(Kind::MetricsRequest).await?;
            if member.nature == Nature::Hanging {
                return hang(wire).await;
            }
            values::serve(member, shared, wire, &request).await?;
        }
        StreamPurpose::Sealed | StreamPurpose::Unknown => {
            wire.say(Kind::Refused, &Refusal::Lockdown.with("this server is simulated")).await?;
        }
    }
    wire.send.finish()?;
    Ok(())
}

/// Says nothing until the relay has had enough.
async fn hang(wire: &mut Wire) -> Result<()> {
    wire.send.stopped().await?;
    Ok(())
}

async fn checks(member: &Member, shared: &Shared, wire: &mut Wire, request: &CheckRequest) -> Result<()> {
    let counters = &shared.counters;
    Counters::add(&counters.asked);
    let takes = takes(member.number, shared.plan.checks);
    let millis = u64::try_from(takes.as_millis())?;
    let report = || shared.findings.report(member.number, &member.simulated.name, request, millis);
    let bytes = match member.nature {
        Nature::Hanging | Nature::Absent => {
            Counters::add(&counters.unanswered);
            return hang(wire).await;
        }
        Nature::Garbage(lie) => {
            Counters::add(&counters.garbage);
            lied(lie, &member.simulated.identity, report())
        }
        Nature::Well | Nature::Churning(_) | Nature::Flooding => {
            tokio::time::sleep(takes).await;
            Counters::add(&counters.reports);
            frame::message(Kind::CheckReport, &CheckReport::sign(&member.simulated.identity, report()))
        }
    };
    // A relay that has read enough stops.
    drop(wire.send.write_all(&bytes).await);
    Ok(())
}

/// Each agent's own share of the longest time, always the same: a third of it and more.
fn takes(number: usize, most: Duration) -> Duration {
    let share = u32::try_from(number % 67).unwrap_or(0) + 33;
    most * share / 100
}

/// What a lying agent sends.
fn lied(lie: Lie, identity: &SigningKey, mut report: Report) -> Vec<u8> {
    let signed = |report| CheckReport::sign(identity, report);
    let honest = match lie {
        Lie::Noise => return random::<900>().to_vec(),
        Lie::Oversized => {
            let frame = frame::encode(Kind::CheckReport, &vec![0; Kind::CheckReport.bytes_max()]);
            return [&frame[..], &frame[..]].concat();
        }
        Lie::Stranger => CheckReport::sign(&SigningKey::from_bytes(&random()), report),
        Lie::Signature => {
            let mut signed = signed(report);
            signed.signature[7] ^= 1;
            signed
        }
        Lie::Future => {
            report.at = report.at.plus_secs(AHEAD_SECS);
            signed(report)
        }
        Lie::Replay => {
            report.nonce = Nonce(random());
            signed(report)
        }
    };
    frame::message(Kind::CheckReport, &honest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::ids::{AgentId, VerifyKey};
    use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
    use cloud_doctor_proto::pack;

    #[test]
    fn a_report_answers_its_request_and_a_lie_never_does() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let agent = AgentId::of(&VerifyKey(key.verifying_key().to_bytes()));
        let nonce = Nonce([9; 16]);
        let request = CheckRequest { nonce, checks: vec!["disk".to_owned()] };
        let findings = Findings::new();
        let made = || findings.report(4, "well-00004", &request, 12);
        let read = CheckReport::sign(&key, made()).answers(&agent, &nonce).unwrap();
        assert!(!read.findings.is_empty() && read.findings.iter().all(|one| one.check.starts_with("disk.")));
        assert_eq!((read.host.as_str(), read.asked.len(), read.millis), ("well-00004", 1, 12));
        for lie in Lie::ALL.into_iter().filter(|lie| ![Lie::Noise, Lie::Oversized].contains(lie)) {
            let bytes = lied(lie, &key, made());
            let body = &bytes[FRAME_HEADER_BYTES..];
            let signed: CheckReport = pack::from_bytes(body, body.len()).unwrap();
            let read = signed.answers(&agent, &nonce);
            assert!(read.is_err() || read.unwrap().at > now().plus_secs(86_400), "{lie:?}");
        }
        assert!(lied(Lie::Oversized, &key, made()).len() > Kind::CheckReport.bytes_max());
    }

    #[test]
    fn checks_take_a_third_of_the_longest_time_and_more() {
        let all: Vec<_> = (0..200).map(|number| takes(number, Duration::from_secs(3))).collect();
        assert!(all.iter().all(|one| (990..=3_000).contains(&one.as_millis())), "{all:?}");
    }
}
