//! Scans of many servers: beginning and ending them, how far they are, what they found, and the reports that servers signed.
//! Numbers and lists are the relay's reading; a client that must be sure verifies the reports.

use super::Api;
use super::caller::{Admin, Asked, Body, Caller, Id};
use super::encoding::{Bytes, Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use super::scan_shapes::{CheckLine, Finding, Line, Server, Wanted, bad, place, place_text};
use crate::store::{NewScan, Rank, Scan, ScanRefused, Scoped, ServerState, WhichFindings, WhichServers};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::{AgentId, Nonce, ScanId, ScanSeed};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Scans in one answer.
const SCANS_PAGE: u32 = 20;
/// Servers or findings in one answer.
const ROWS_PAGE: u32 = 200;
/// Reports that may be asked for at once.
const REPORTS_MAX: usize = 32;
/// Bytes of reports after which no more is added to an answer.
const REPORTS_BYTES: usize = 3 << 20;

/// Begins a scan. It goes on when the caller has left, and when the relay is started anew.
#[utoipa::path(post, path = "/scans", tag = "scans", security(("login" = [])), request_body = Wanted,
    responses((status = 201, body = Line), (status = "default", body = ProblemBody)))]
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Body(Wanted { terms, seed }): Body<Wanted>,
) -> Result<(StatusCode, Json<Line>), Problem> {
    let seed = match seed {
        Some(Hex(seed)) => seed,
        None => ScanSeed(ListId::random()?.0),
    };
    let new = NewScan { seed, terms: terms.parsed()? };
    let scan = api.scans.start(caller.account.tenant, &new, caller.actor()).await?;
    Ok((StatusCode::CREATED, Json(counted(&caller.scoped(&api), scan).await?)))
}

async fn counted(scoped: &Scoped<'_>, scan: Scan) -> Result<Line, Problem> {
    let counts = scoped.scan_counts(scan.number).await?;
    Ok(Line::of(scan, &counts))
}

async fn found(scoped: &Scoped<'_>, id: &ScanId) -> Result<Scan, Problem> {
    Ok(scoped.scan(id).await?.ok_or(Code::Unknown)?)
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Those that began before this scan: the last one of an answer.
    #[param(value_type = Option<String>)]
    before: Option<Hex<ScanId>>,
}

/// Scans.
#[derive(Serialize, ToSchema)]
pub(super) struct Scans {
    /// The newest first, at most 20.
    scans: Vec<Line>,
    /// There are more: ask again, from before the last of these.
    more: bool,
}

/// Lists scans.
#[utoipa::path(get, path = "/scans", tag = "scans", security(("login" = [])), params(From),
    responses((status = 200, body = Scans), (status = "default", body = ProblemBody)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(From { before }): Asked<From>,
) -> Result<Json<Scans>, Problem> {
    let scoped = caller.scoped(&api);
    let mut rows = scoped.scans(before.map(|Hex(id)| id).as_ref(), SCANS_PAGE + 1).await?;
    let more = cut(&mut rows, SCANS_PAGE);
    let mut scans = Vec::new();
    for row in rows {
        scans.push(counted(&scoped, row).await?);
    }
    Ok(Json(Scans { scans, more }))
}

/// Cuts a list to a page; whether there was more.
fn cut<T>(rows: &mut Vec<T>, page: u32) -> bool {
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    let more = rows.len() > page;
    rows.truncate(page);
    more
}

/// Beside which scan.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Beside {
    /// The scan that this one is compared with. Default: the one of the same selection before it.
    #[param(value_type = Option<String>)]
    since: Option<Hex<ScanId>>,
}

/// The scan to compare with, which must have ended: while it runs, all that it has not seen would look new.
async fn since(scoped: &Scoped<'_>, of: Option<Hex<ScanId>>) -> Result<Option<Scan>, Problem> {
    let Some(Hex(id)) = of else { return Ok(None) };
    let scan = found(scoped, &id).await?;
    if scan.ended_at.is_none() {
        return Err(bad(
            "The scan to compare with still runs. Wait until it has ended, or choose another one.",
            "用于比较的巡检仍在运行。请等待其结束，或选择另一次巡检。",
        ));
    }
    Ok(Some(scan))
}

/// A scan at a glance.
#[derive(Serialize, ToSchema)]
pub(super) struct Glance {
    /// In numbers.
    #[serde(flatten)]
    line: Line,
    /// What it is compared with: the scan that was asked for, else the one of the same selection before it.
    #[schema(value_type = Option<String>)]
    before: Option<Hex<ScanId>>,
    /// What was found, by check: the worst first, then what most servers have.
    found: Vec<CheckLine>,
}

/// One scan: how far it is, and what it found so far.
#[utoipa::path(get, path = "/scans/{id}", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the scan's name"), Beside),
    responses((status = 200, body = Glance), (status = "default", body = ProblemBody)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ScanId>,
    Asked(beside): Asked<Beside>,
) -> Result<Json<Glance>, Problem> {
    let scoped = caller.scoped(&api);
    let scan = found(&scoped, &id).await?;
    let other = since(&scoped, beside.since).await?;
    let counts = match &other {
        Some(other) => scoped.change_counts(scan.number, other.number).await?,
        None => scoped.finding_counts(scan.number).await?,
    };
    let before = match other {
        Some(other) => Some(other),
        None => scoped.scan_before(&scan).await?,
    };
    let before = before.map(|scan| Hex(scan.id));
    let found = counts.into_iter().map(CheckLine::of).collect();
    Ok(Json(Glance { line: counted(&scoped, scan).await?, before, found }))
}

/// Ends a scan: servers without a result get none.
#[utoipa::path(post, path = "/scans/{id}/cancel", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the scan's name")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<ScanId>,
) -> Result<StatusCode, Problem> {
    found(&caller.scoped(&api), &id).await?;
    if api.scans.cancel(caller.account.tenant, &id, caller.actor()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(bad("This scan has ended already.", "此巡检已结束。"))
}

/// Which servers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfServers {
    /// Those in this state.
    state: Option<String>,
    /// Those whose worst is `critical`, `warning`, `unknown`, `ok` or `open`.
    worst: Option<String>,
    /// Those behind this server: the last one of an answer.
    #[param(value_type = Option<String>)]
    after: Option<Hex<AgentId>>,
}

/// Servers of a scan.
#[derive(Serialize, ToSchema)]
pub(super) struct Servers {
    /// The worst first, then by name; at most 200.
    servers: Vec<Server>,
    /// There are more: ask again, from behind the last of these.
    more: bool,
}

/// Lists servers of a scan: every one that was selected is among them.
#[utoipa::path(get, path = "/scans/{id}/servers", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the scan's name"), OfServers),
    responses((status = 200, body = Servers), (status = "default", body = ProblemBody)))]
pub(super) async fn servers(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ScanId>,
    Asked(of): Asked<OfServers>,
) -> Result<Json<Servers>, Problem> {
    let scoped = caller.scoped(&api);
    let scan = found(&scoped, &id).await?;
    let state = of.state.as_deref().map(str::parse::<ServerState>).transpose();
    let rank = of.worst.as_deref().map(str::parse::<Rank>).transpose();
    let (Ok(state), Ok(rank)) = (state, rank) else {
        return Err(Problem::with(Code::BadRequest, "state or worst: no such name"));
    };
    let which = WhichServers { state, rank, after: of.after.map(|Hex(agent)| agent) };
    let mut rows = scoped.scan_servers(scan.number, which, ROWS_PAGE + 1).await?;
    let more = cut(&mut rows, ROWS_PAGE);
    Ok(Json(Servers { servers: rows.into_iter().map(Server::of).collect(), more }))
}

/// How a finding may have changed since another scan.
const CHANGES: [&str; 5] = ["new", "worse", "better", "gone", "unsure"];

/// Which findings.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFindings {
    /// `critical`, `warning`, `unknown`; `ok`: it was bad, and is not any more.
    status: Option<String>,
    /// Of this check.
    check: Option<String>,
    /// Of this server.
    #[param(value_type = Option<String>)]
    server: Option<Hex<AgentId>>,
    /// `new`, `worse`, `better` or `gone`; beside a scan that was asked for also `unsure`.
    change: Option<String>,
    /// The scan that this one is compared with. Default: as each server's report was compared when it came.
    #[param(value_type = Option<String>)]
    since: Option<Hex<ScanId>>,
    /// Answered for, or not.
    waived: Option<bool>,
    /// `next` of an answer.
    after: Option<String>,
}

/// Findings of a scan.
#[derive(Serialize, ToSchema)]
pub(super) struct Findings {
    /// The worst first, then by check; at most 200.
    findings: Vec<Finding>,
    /// There are more: ask again with this as `after`.
    next: Option<String>,
}

/// Lists what a scan found that is not as it should be.
#[utoipa::path(get, path = "/scans/{id}/findings", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the scan's name"), OfFindings),
    responses((status = 200, body = Findings), (status = "default", body = ProblemBody)))]
pub(super) async fn findings(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ScanId>,
    Asked(of): Asked<OfFindings>,
) -> Result<Json<Findings>, Problem> {
    let scoped = caller.scoped(&api);
    let scan = found(&scoped, &id).await?;
    let rank = of.status.as_deref().map(str::parse::<Rank>).transpose();
    if of.change.as_deref().is_some_and(|change| !CHANGES.contains(&change)) {
        return Err(Problem::with(Code::BadRequest, "change: no such name"));
    }
    let which = WhichFindings {
        rank: rank.map_err(|_| Problem::with(Code::BadRequest, "status: no such name"))?,
        check: of.check,
        agent: of.server.map(|Hex(agent)| agent),
        change: of.change,
        waived: of.waived,
        after: of.after.as_deref().map(place).transpose()?,
    };
    let mut rows = match since(&scoped, of.since).await? {
        Some(other) => scoped.changes_since((scan.number, other.number), &which, ROWS_PAGE + 1).await?,
        None => scoped.scan_findings(scan.number, &which, ROWS_PAGE + 1).await?,
    };
    let more = cut(&mut rows, ROWS_PAGE);
    let next = rows.last().filter(|_| more).map(place_text);
    Ok(Json(Findings { findings: rows.into_iter().map(Finding::of).collect(), next }))
}

/// Which reports.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfReports {
    /// Ids of servers with commas between them, at most 32.
    #[serde(default)]
    of: String,
}

/// Reports of a scan.
#[derive(Serialize, ToSchema)]
pub(super) struct Reports {
    /// In the order in which they were asked for. What does not fit into an answer is not there: ask for it again. Of a
    /// server whose report is kept no more, there is only the name.
    reports: Vec<Report>,
}

/// A report as its server signed it.
#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    /// Whose.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// The report's exact bytes.
    #[schema(value_type = Option<String>)]
    report: Option<Bytes>,
    /// By the server's identity, over those.
    #[schema(value_type = Option<String>)]
    signature: Option<Bytes>,
    /// Findings that somebody answers for: check and subject.
    waived: Vec<[String; 2]>,
}

/// Reports of servers of a scan, as they were signed.
#[utoipa::path(get, path = "/scans/{id}/reports", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the scan's name"), OfReports),
    responses((status = 200, body = Reports), (status = "default", body = ProblemBody)))]
pub(super) async fn reports(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ScanId>,
    Asked(OfReports { of }): Asked<OfReports>,
) -> Result<Json<Reports>, Problem> {
    let scoped = caller.scoped(&api);
    let scan = found(&scoped, &id).await?;
    let agents = of.split(',').take(REPORTS_MAX + 1).map(str::parse::<AgentId>).collect::<Result<Vec<_>, _>>();
    let agents = agents.ok().filter(|agents| agents.len() <= REPORTS_MAX);
    let agents = agents.ok_or_else(|| Problem::with(Code::BadRequest, "of: 1 to 32 ids of servers"))?;
    let (mut reports, mut bytes) = (Vec::new(), 0);
    for agent in agents {
        if bytes > REPORTS_BYTES {
            break;
        }
        let report = signed(&scoped, &scan, agent).await?;
        bytes += report.report.as_ref().map_or(0, |report| report.0.len());
        reports.push(report);
    }
    Ok(Json(Reports { reports }))
}

async fn signed(scoped: &Scoped<'_>, scan: &Scan, agent: AgentId) -> Result<Report, Problem> {
    let nonce: Nonce = scan.seed.nonce(&agent);
    let run = scoped.check_run(&agent, &nonce).await?;
    let waived = if run.is_some() { scoped.waived_in_scan(scan.number, &agent).await? } else { Vec::new() };
    let (report, signature) = run.map(|run| (Bytes(run.report), Bytes(run.signature.to_vec()))).unzip();
    Ok(Report { server: Hex(agent), report, signature, waived })
}

impl std::convert::From<ScanRefused> for Problem {
    fn from(refused: ScanRefused) -> Self {
        match refused {
            ScanRefused::Nobody => bad("No server has these labels.", "没有带这些标签的服务器。"),
            ScanRefused::TooMany => bad(
                "Four scans run already. Wait until one has ended, or cancel one.",
                "已有四个巡检在运行。请等待其中一个结束，或取消一个。",
            ),
            ScanRefused::Again => bad("There is a scan of this seed already.", "已有使用此种子的巡检。"),
            ScanRefused::Store(error) => error.into(),
        }
    }
}
