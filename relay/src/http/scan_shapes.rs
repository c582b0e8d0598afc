//! Scans as JSON: what is asked for, and how scans, servers and findings are shown.

use super::encoding::{Bytes, Hex, ListId};
use super::problem::{Code, Problem};
use crate::scan::{AT_ONCE, WAIT_SECS};
use crate::store::{
    self, CheckCount, FindingPlace, LABELS_MAX, Label, Rank, ScanFinding, ScanPlanRow, ScanServer, ScanTerms,
    ServerCount, ServerState,
};
use cloud_doctor_proto::checks::REQUEST_CHECKS_MAX;
use cloud_doctor_proto::ids::{AgentId, Nonce, ScanId, ScanSeed};
use cloud_doctor_proto::refusal::Language;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// Servers of a wave.
const AT_ONCE_RANGE: RangeInclusive<u32> = 1..=1_000;
/// How long one server may take: guard gives a run 60 s, so less is for checks that are known to be quick.
const WAIT_RANGE: RangeInclusive<u64> = 5..=300;
/// Longest name of a check or group.
const NAME_CHARS_MAX: usize = 100;

/// Which servers, which checks, how.
#[derive(Deserialize, ToSchema)]
pub(super) struct Terms {
    /// Labels that a server must have, all of them; none: all servers. A key without a value means any value.
    #[serde(default)]
    labels: Vec<String>,
    /// Ids and groups; none: all that each server's ceiling allows.
    #[serde(default)]
    checks: Vec<String>,
    /// Servers of a wave, 1 to 1000; default 128. A server that is silent for a second leaves its wave.
    #[serde(default)]
    at_once: Option<u32>,
    /// How long one server may take, 5 to 300 seconds; default 75.
    #[serde(default)]
    wait_secs: Option<u64>,
}

impl Terms {
    /// What is valid of it.
    pub(super) fn parsed(self) -> Result<ScanTerms, Problem> {
        if self.labels.len() > LABELS_MAX {
            return Err(Code::BadLabel.into());
        }
        let labels: Vec<Label> = self.labels.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let fits = |name: &String| (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(plain);
        if self.checks.len() > REQUEST_CHECKS_MAX || !self.checks.iter().all(fits) {
            return Err(bad("checks: at most 500 ids or groups", "checks：最多 500 个检查 ID 或组"));
        }
        let at_once = self.at_once.unwrap_or(AT_ONCE);
        if !AT_ONCE_RANGE.contains(&at_once) {
            return Err(bad("at_once: 1 to 1000", "at_once：1 至 1000"));
        }
        let wait_secs = self.wait_secs.unwrap_or(WAIT_SECS);
        if !WAIT_RANGE.contains(&wait_secs) {
            return Err(bad("wait_secs: 5 to 300", "wait_secs：5 至 300"));
        }
        Ok(ScanTerms { labels, checks: self.checks, at_once, wait_secs })
    }
}

pub(super) fn bad(en: &str, zh: &str) -> Problem {
    Problem::telling(Code::BadPlan, |language| match language {
        Language::En => en.to_owned(),
        Language::Zh => zh.to_owned(),
    })
}

/// A scan to begin.
#[derive(Deserialize, ToSchema)]
pub(super) struct Wanted {
    /// What it is about.
    #[serde(flatten)]
    pub(super) terms: Terms,
    /// Sixteen random bytes from which the scan's name and the nonces of all servers follow, so that the caller need not
    /// believe the relay that a report answers this scan. Default: the relay draws them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) seed: Option<Hex<ScanSeed>>,
}

/// A scan in numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    /// Its name.
    #[schema(value_type = String)]
    scan: Hex<ScanId>,
    /// What its name and the nonces of its servers follow from.
    #[schema(value_type = String)]
    seed: Hex<ScanSeed>,
    /// The plan that started it; empty: somebody did.
    plan: String,
    /// Who asked, or who made the plan.
    by: String,
    /// When it began.
    started_at: u64,
    /// When every server had its result; absent: it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<u64>,
    /// Somebody ended it before.
    cancelled: bool,
    /// Labels that servers had to have.
    labels: Vec<String>,
    /// Checks that were asked for.
    checks: Vec<String>,
    /// Servers of a wave.
    at_once: u32,
    /// How long one server may take.
    wait_secs: u64,
    /// How many servers were selected.
    servers: u64,
    /// How many servers are in which state; each is in one of `pending`, `asked`, `report`, `refused`, `absent`, `silent`,
    /// `dropped`, `broke`, `failed`, `cancelled`.
    states: BTreeMap<&'static str, u64>,
    /// How many servers are how: the worst that nobody answers for. `critical`, `warning`, `unknown`, `ok`, or `open` while
    /// there is no result.
    worst: BTreeMap<&'static str, u64>,
}

impl Line {
    pub(super) fn of(scan: store::Scan, counts: &[ServerCount]) -> Self {
        let (mut states, mut worst) = (BTreeMap::new(), BTreeMap::new());
        for count in counts {
            *states.entry(count.state.id()).or_default() += count.servers;
            *worst.entry(count.rank.id()).or_default() += count.servers;
        }
        Self {
            scan: Hex(scan.id),
            seed: Hex(scan.seed),
            plan: scan.plan,
            by: scan.account,
            started_at: scan.started_at.0,
            ended_at: scan.ended_at.map(|at| at.0),
            cancelled: scan.cancelled,
            labels: scan.terms.labels.iter().map(Label::to_string).collect(),
            checks: scan.terms.checks,
            at_once: scan.terms.at_once,
            wait_secs: scan.terms.wait_secs,
            servers: scan.servers,
            states,
            worst,
        }
    }
}

/// Findings of one check, counted.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckLine {
    /// The check's id.
    check: String,
    /// `critical`, `warning`, `unknown`; `ok`: it was bad, and is not any more.
    status: &'static str,
    /// Somebody answers for them.
    waived: bool,
    /// Since each server's last report in a scan of the same selection: `new`, `worse`, `better`, `gone`, or empty. Beside a
    /// scan that was asked for also `unsure`: one of the two has not looked.
    change: String,
    /// How many.
    findings: u64,
    /// On how many servers.
    servers: u64,
}

impl CheckLine {
    pub(super) fn of(count: CheckCount) -> Self {
        let CheckCount { check, rank, waived, change, findings, servers } = count;
        Self { check, status: rank.id(), waived, change, findings, servers }
    }
}

/// A server of a scan.
#[derive(Serialize, ToSchema)]
pub(super) struct Server {
    /// Which.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// As it was called then.
    name: String,
    /// How it stands with it.
    state: &'static str,
    /// Why, by an id: a refusal's, or why an answer was dropped.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The value that the reason's sentence names.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The kept run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    run: Option<Hex<Nonce>>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    /// The worst that nobody answers for.
    worst: &'static str,
}

impl Server {
    pub(super) fn of(row: ScanServer) -> Self {
        let ScanServer { agent, name, state, reason, detail, run, took_ms, rank } = row;
        let (run, state) = (run.map(Hex), ServerState::id(state));
        Self { server: Hex(agent), name, state, reason, detail, run, took_ms, worst: rank.id() }
    }
}

/// A finding of a scan. Its words are a server's: escape them where they are shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Finding {
    /// Which server.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// As it was called then.
    name: String,
    /// The check's id.
    check: String,
    /// What it is about.
    subject: String,
    /// `critical`, `warning`, `unknown`; `ok`: it was bad, and is not any more.
    status: &'static str,
    /// Somebody answers for it.
    waived: bool,
    /// `new`, `worse`, `better`, `gone`, `unsure`, or empty.
    change: String,
    /// One sentence, in English and Chinese, perhaps cut: the server's report has all of it.
    summary: [String; 2],
}

impl Finding {
    pub(super) fn of(row: ScanFinding) -> Self {
        let ScanFinding { agent, name, check, subject, rank, waived, change, en, zh } = row;
        Self { server: Hex(agent), name, check, subject, status: rank.id(), waived, change, summary: [en, zh] }
    }
}

/// A place in the list of findings, as text that means nothing to others.
pub(super) fn place_text(row: &ScanFinding) -> String {
    let place = (row.rank.id(), &row.check, row.agent.to_string(), &row.subject);
    data_encoding::BASE64URL_NOPAD.encode(serde_json::json!(place).to_string().as_bytes())
}

pub(super) fn place(text: &str) -> Result<FindingPlace, Problem> {
    let read = || {
        let Bytes(bytes) = text.parse().ok()?;
        let (rank, check, agent, subject): (String, String, String, String) = serde_json::from_slice(&bytes).ok()?;
        Some(FindingPlace { rank: rank.parse::<Rank>().ok()?, check, agent: agent.parse().ok()?, subject })
    };
    read().ok_or_else(|| Problem::with(Code::BadRequest, "after: as an answer has it in `next`"))
}

/// A plan.
#[derive(Serialize, ToSchema)]
pub(super) struct Plan {
    /// Its name in paths.
    plan: String,
    /// Its name for people.
    name: String,
    /// When: minute, hour, day of the month, month, weekday, in UTC.
    cron: String,
    /// Labels that servers must have.
    labels: Vec<String>,
    /// Checks that are asked for.
    checks: Vec<String>,
    /// Servers of a wave.
    at_once: u32,
    /// How long one server may take.
    wait_secs: u64,
    /// Who made it, or changed it last.
    by: String,
    /// When.
    created_at: u64,
    /// When the next scan begins.
    next_at: u64,
    /// None begins until somebody lets it go on.
    paused: bool,
    /// The newest scan that it began, if that is still kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_scan: Option<Hex<ScanId>>,
    /// When that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<u64>,
}

impl Plan {
    pub(super) fn of(row: ScanPlanRow) -> Self {
        let ScanPlanRow { tenant: _, plan, account, created_at, last } = row;
        Self {
            plan: ListId(plan.id).to_string(),
            name: plan.name,
            cron: plan.cron,
            labels: plan.terms.labels.iter().map(Label::to_string).collect(),
            checks: plan.terms.checks,
            at_once: plan.terms.at_once,
            wait_secs: plan.terms.wait_secs,
            by: account,
            created_at: created_at.0,
            next_at: plan.next_at.0,
            paused: plan.paused,
            last_scan: last.map(|(scan, _)| Hex(scan)),
            last_at: last.map(|(_, at)| at.0),
        }
    }
}
