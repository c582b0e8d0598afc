//! Brings a scan's results here and verifies each: with the identity that this computer's trust log names, against the
//! nonce that follows from the scan's seed. Never: a finding that no server signed for this scan.

use super::SignedIn;
use crate::fail::Fail;
use cloud_doctor::relay_api::{REPORTS_AT_ONCE, RelayError, ScanGlance, ScanReport, ScanServer};
use cloud_doctor_proto::checks::{CheckReport, Report, ReportError};
use cloud_doctor_proto::ids::{AgentId, ScanSeed};
use cloud_doctor_proto::refusal::{Refusal, one_line};
use cloud_doctor_proto::trust::TrustLog;
use futures_util::StreamExt as _;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Servers of one scan that are read: more than a relay has.
const SERVERS_MAX: usize = 200_000;
/// Calls at once that fetch reports, a few megabytes each.
const CALLS_AT_ONCE: usize = 4;
/// After a "too many", and how often.
const LIMITED_PAUSE: Duration = Duration::from_secs(2);
/// See there.
const LIMITED_MAX: u32 = 60;
/// Longest name of a check as servers repeat it.
const NAME_CHARS_MAX: usize = 200;

/// What is known of a scan.
#[derive(Debug)]
pub(super) struct Fleet {
    /// What the relay says in numbers.
    pub(super) glance: ScanGlance,
    /// Each server that the relay tells of, the worst first.
    pub(super) servers: Vec<Server>,
    /// Servers of the trust log that the relay does not tell of.
    pub(super) left_out: Vec<String>,
}

/// A server of a scan.
#[derive(Debug)]
pub(super) struct Server {
    /// Its id as the relay wrote it.
    pub(super) id: String,
    /// Its name: from the trust log, where that knows it.
    pub(super) name: String,
    /// What became of it.
    pub(super) fate: Fate,
    /// How long it took, by the relay's word.
    pub(super) took_ms: Option<u64>,
}

/// What became of a server.
#[derive(Debug)]
pub(super) enum Fate {
    /// It signed this for this scan.
    Report(Box<Seen>),
    /// What the relay gave as its report is not to be believed.
    Unverified(Doubt),
    /// There is no report, by the relay's word: a state, a reason's id, and the value that its sentence names.
    Without(String, String, String),
}

/// A report that verified.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the server signed.
    pub(super) report: Report,
    /// Check and subject of what somebody answers for, by the relay's word.
    pub(super) waived: BTreeSet<(String, String)>,
}

/// Why a report is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The trust log has no such server.
    Stranger,
    /// The relay keeps it no more, or does not give it.
    Missing,
    /// Not a report's one form.
    Malformed,
    /// Not signed by the server's identity.
    Signature,
    /// The answer to another request.
    OtherScan,
    /// Other checks were asked for than this scan's.
    OtherChecks,
}

/// Fetches and verifies everything; `checks` are those that were asked for.
pub(super) async fn gather(
    signed_in: &SignedIn,
    log: &TrustLog,
    seed: &ScanSeed,
    checks: &[String],
) -> Result<Fleet, Fail> {
    let id = seed.scan().to_string();
    let rows = signed_in.relay.scan_servers(&id, SERVERS_MAX).await?;
    let with_report: Vec<String> =
        rows.iter().filter(|row| row.state == "report").map(|row| row.server.clone()).collect();
    let reports = fetch(signed_in, &id, &with_report).await?;
    let mut servers: Vec<Server> = rows.into_iter().map(|row| server(log, seed, checks, row, &reports)).collect();
    servers.sort_by(|a, b| (a.worry(), &a.name, &a.id).cmp(&(b.worry(), &b.name, &b.id)));
    let glance = signed_in.relay.scan(&id).await?;
    Ok(Fleet { glance, servers, left_out: Vec::new() })
}

/// Servers of the trust log that the relay has not told of.
pub(super) fn left_out(log: &TrustLog, fleet: &Fleet) -> Vec<String> {
    let told: BTreeSet<&str> = fleet.servers.iter().map(|server| server.id.as_str()).collect();
    let missing = log.agents.iter().filter(|(id, _)| !told.contains(id.to_string().as_str()));
    let mut names: Vec<String> = missing.map(|(_, record)| one_line(&record.name, NAME_CHARS_MAX)).collect();
    names.sort();
    names
}

/// Reports by server, a few calls at once; what did not fit into an answer is asked for again.
async fn fetch(signed_in: &SignedIn, id: &str, servers: &[String]) -> Result<BTreeMap<String, ScanReport>, RelayError> {
    let fetch_some = async |some: &[String]| {
        let mut left: Vec<String> = some.to_vec();
        let mut found = Vec::new();
        while !left.is_empty() {
            let reports = patiently(signed_in, id, &left).await?;
            let before = left.len();
            left.retain(|server| !reports.iter().any(|report| report.server == *server));
            found.extend(reports);
            if left.len() == before {
                // A relay that gives nothing more: what is missing is shown as missing.
                break;
            }
        }
        Ok::<_, RelayError>(found)
    };
    let fetches: Vec<_> = servers.chunks(REPORTS_AT_ONCE).map(fetch_some).collect();
    let mut answers = futures_util::stream::iter(fetches).buffer_unordered(CALLS_AT_ONCE);
    let mut all = BTreeMap::new();
    while let Some(reports) = answers.next().await {
        all.extend(reports?.into_iter().map(|report| (report.server.clone(), report)));
    }
    Ok(all)
}

/// A relay that says "too many" is asked again a little later: a large fleet has many reports.
async fn patiently(signed_in: &SignedIn, id: &str, servers: &[String]) -> Result<Vec<ScanReport>, RelayError> {
    for _ in 0..LIMITED_MAX {
        match signed_in.relay.scan_reports(id, servers).await {
            Err(RelayError::Problem { status: 429, .. }) => tokio::time::sleep(LIMITED_PAUSE).await,
            answer => return answer,
        }
    }
    signed_in.relay.scan_reports(id, servers).await
}

fn server(
    log: &TrustLog,
    seed: &ScanSeed,
    checks: &[String],
    row: ScanServer,
    reports: &BTreeMap<String, ScanReport>,
) -> Server {
    let agent = row.server.parse::<AgentId>().ok();
    let known = agent.and_then(|agent| log.agents.get(&agent));
    let name = known.map_or(row.name.as_str(), |record| record.name.as_str());
    let name = one_line(name, NAME_CHARS_MAX);
    let fate = match (row.state.as_str(), agent.filter(|_| known.is_some())) {
        ("report", Some(agent)) => match verified(&agent, seed, checks, reports.get(&row.server)) {
            Ok(seen) => Fate::Report(Box::new(seen)),
            Err(doubt) => Fate::Unverified(doubt),
        },
        (_, None) => Fate::Unverified(Doubt::Stranger),
        (_, Some(_)) => Fate::Without(row.state, row.reason, row.detail),
    };
    Server { id: row.server, name, fate, took_ms: row.took_ms }
}

/// What a server signed for this scan.
fn verified(agent: &AgentId, seed: &ScanSeed, checks: &[String], given: Option<&ScanReport>) -> Result<Seen, Doubt> {
    let given = given.ok_or(Doubt::Missing)?;
    let (Some(report), Some(signature)) = (&given.report, &given.signature) else { return Err(Doubt::Missing) };
    let signature = signature.0.as_slice().try_into().map_err(|_| Doubt::Signature)?;
    let signed = CheckReport { report: ByteBuf::from(report.0.clone()), signature };
    let report = signed.answers(agent, &seed.nonce(agent)).map_err(|error| match error {
        ReportError::Malformed(_) => Doubt::Malformed,
        ReportError::Signature | ReportError::Stranger => Doubt::Signature,
        ReportError::Nonce => Doubt::OtherScan,
    })?;
    let asked: BTreeSet<&str> = report.asked.iter().map(String::as_str).collect();
    if asked != checks.iter().map(String::as_str).collect() {
        return Err(Doubt::OtherChecks);
    }
    let waived = given.waived.iter().map(|[check, subject]| (check.clone(), subject.clone())).collect();
    Ok(Seen { report, waived })
}

/// Why a server said no, in its words.
pub(super) fn refusal(reason: &str, detail: &str, language: cloud_doctor_proto::refusal::Language) -> String {
    let code: Refusal = serde_json::from_value(serde_json::Value::from(reason)).unwrap_or(Refusal::Unknown);
    code.with(detail).text(language)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor::relay_api::TextBytes;
    use cloud_doctor_proto::ids::{Nonce, VerifyKey};
    use cloud_doctor_proto::time::UnixTime;
    use ed25519_dalek::SigningKey;

    const SEED: ScanSeed = ScanSeed([9; 16]);

    fn signed(by: u8, nonce: impl FnOnce(&AgentId) -> Nonce, asked: &[&str]) -> (AgentId, ScanReport) {
        let key = SigningKey::from_bytes(&[by; 32]);
        let agent = AgentId::of(&VerifyKey(key.verifying_key().to_bytes()));
        let report = Report {
            identity: VerifyKey([0; 32]),
            nonce: nonce(&agent),
            asked: asked.iter().map(|one| (*one).to_owned()).collect(),
            at: UnixTime(1_800_000_000),
            millis: 5,
            version: "0.1.0".into(),
            host: "web-1".into(),
            findings: Vec::new(),
            absent: Vec::new(),
            refused: Vec::new(),
            left_out: 0,
            sandbox_open: Vec::new(),
        };
        let signed = CheckReport::sign(&key, report);
        let (report, signature) = (TextBytes(signed.report.into_vec()), TextBytes(signed.signature.to_vec()));
        let waived = vec![["disk.space".to_owned(), "/".to_owned()]];
        (agent, ScanReport { server: agent.to_string(), report: Some(report), signature: Some(signature), waived })
    }

    #[test]
    fn chk_10_only_what_a_server_signed_for_this_scan_is_believed() {
        let of_scan = |agent: &AgentId| SEED.nonce(agent);
        let (agent, good) = signed(1, of_scan, &[]);
        let check = |given: Option<&ScanReport>, checks: &[&str], expected: Result<(), Doubt>| {
            let checks: Vec<String> = checks.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(verified(&agent, &SEED, &checks, given).map(|_| ()), expected);
        };
        check(Some(&good), &[], Ok(()));
        check(None, &[], Err(Doubt::Missing));
        check(Some(&ScanReport { report: None, ..good.clone() }), &[], Err(Doubt::Missing));
        check(Some(&signed(1, |_| Nonce([7; 16]), &[]).1), &[], Err(Doubt::OtherScan));
        check(Some(&signed(1, |agent| ScanSeed([8; 16]).nonce(agent), &[]).1), &[], Err(Doubt::OtherScan));
        check(Some(&signed(2, |_| SEED.nonce(&agent), &[]).1), &[], Err(Doubt::Signature));
        check(
            Some(&ScanReport { signature: Some(TextBytes(vec![1; 64])), ..good.clone() }),
            &[],
            Err(Doubt::Signature),
        );
        check(Some(&ScanReport { report: Some(TextBytes(vec![1, 2])), ..good.clone() }), &[], Err(Doubt::Malformed));
        // A relay that asks for less than it was told to.
        check(Some(&good), &["disk"], Err(Doubt::OtherChecks));
        check(Some(&signed(1, of_scan, &["cpu"]).1), &[], Err(Doubt::OtherChecks));
        check(Some(&signed(1, of_scan, &["cpu", "disk"]).1), &["disk", "cpu"], Ok(()));
        let seen = verified(&agent, &SEED, &[], Some(&good)).unwrap();
        assert!(seen.waived.contains(&("disk.space".to_owned(), "/".to_owned())));
    }
}
