//! Checks of servers: asking for them, and what they found. The server decided what ran and signed what was found; a
//! client verifies that itself and believes nothing else here.

use super::Api;
use super::caller::{Asked, Body, Caller, Id, TwoIds};
use super::check_plans::{Schedule, Waiver};
use super::encoding::{Bytes, Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use crate::broker::BrokerError;
use crate::checks::{Ask, AskError, changes};
use crate::clock;
use crate::store::{self, CheckRun, RunLine, RunWhy, Scoped};
use axum::Json;
use axum::extract::State;
use cloud_doctor_proto::checks::{REPORT_BYTES_MAX, REQUEST_CHECKS_MAX, Report};
use cloud_doctor_proto::finding::{Detail, Evidence, Finding, Status, Words};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Language, Refused};
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::error;
use utoipa::{IntoParams, ToSchema};

/// Runs in one answer.
const RUNS_PAGE: u32 = 50;
/// Longest name of a check or group.
const NAME_CHARS_MAX: usize = 100;

/// Which checks.
#[derive(Deserialize, ToSchema)]
pub(super) struct Wanted {
    /// Ids and groups; none: all that the server's ceiling allows.
    #[serde(default)]
    checks: Vec<String>,
    /// Sixteen random bytes that the server signs with its report, so that the caller need not believe the relay that it is
    /// the answer to this request. The run has this name.
    #[schema(value_type = Option<String>)]
    nonce: Option<Hex<Nonce>>,
}

/// A run of checks. What it found is a stranger's text: escape it where it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Run {
    /// In numbers.
    #[serde(flatten)]
    line: Line,
    /// How long it took.
    millis: u64,
    /// The agent's version.
    version: String,
    /// What was found, the worst first.
    findings: Vec<Found>,
    /// Checks that had nothing to look at.
    absent: Vec<Absent>,
    /// Checks that were asked for and that the ceiling does not allow, or the agent does not have.
    refused: Vec<String>,
    /// Findings of status `ok` that did not fit.
    left_out: u64,
    /// What of the checker's sandbox the host's kernel does not have.
    sandbox_open: Vec<String>,
    /// What changed since the run of all checks before.
    changes: Vec<Change>,
    /// The report's exact bytes.
    #[schema(value_type = String)]
    report: Bytes,
    /// By the server's identity, over those.
    #[schema(value_type = String)]
    signature: Bytes,
}

/// A run in numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    /// Its name.
    #[schema(value_type = String)]
    run: Hex<Nonce>,
    /// When, by the host's clock.
    at: u64,
    /// When its report came.
    received_at: u64,
    /// `asked` or `schedule`.
    why: &'static str,
    /// Who asked; empty for the schedule.
    by: String,
    /// Findings that are critical.
    critical: u64,
    /// Findings that are warnings.
    warning: u64,
    /// What could not be told.
    unknown: u64,
    /// What is as it should be.
    ok: u64,
    /// What works, with advice.
    notes: u64,
}

/// A finding.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The check's id.
    check: String,
    /// What it is about; empty: the host.
    subject: String,
    /// `ok`, `unknown`, `warning` or `critical`.
    status: &'static str,
    /// Advice about something that works.
    note: bool,
    /// Since when the host's own runs have found it like this, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// What was measured.
    value: Option<f64>,
    /// Its unit.
    unit: String,
    /// What was read, and where.
    evidence: Vec<Seen>,
    /// What is the case.
    summary: Text,
    /// What that costs.
    impact: Text,
    /// What to do.
    remedy: Text,
    /// More values, by name.
    details: BTreeMap<String, Value>,
    /// The waiver that counts for it now.
    waiver: Option<String>,
}

/// What was read.
#[derive(Serialize, ToSchema)]
pub(super) struct Seen {
    /// A file with its line, a socket, a measurement.
    source: String,
    /// What stood there.
    text: String,
}

/// One text in both languages.
#[derive(Serialize, ToSchema)]
pub(super) struct Text {
    /// English.
    en: String,
    /// Simplified Chinese.
    zh: String,
}

/// A check that had nothing to look at.
#[derive(Serialize, ToSchema)]
pub(super) struct Absent {
    /// Its id.
    check: String,
    /// Why.
    why: Text,
}

/// Something that changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Change {
    /// Which check.
    check: String,
    /// About what.
    subject: String,
    /// `new`, `worse`, `better` or `gone`.
    change: &'static str,
    /// How it was; absent: not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'static str>,
    /// How it is; absent: not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'static str>,
}

/// Asks a server for checks; answers when they have run, within 75 seconds. `server-refused` carries the server's `refusal`:
/// its code, its detail and the sentence in both languages.
#[utoipa::path(post, path = "/servers/{id}/checks", tag = "checks", security(("login" = [])), request_body = Wanted,
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 201, body = Run), (status = "default", body = ProblemBody)))]
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Body(Wanted { checks, nonce }): Body<Wanted>,
) -> Result<(axum::http::StatusCode, Json<Run>), Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let fits = |name: &String| (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if checks.len() > REQUEST_CHECKS_MAX || !checks.iter().all(fits) {
        return Err(Problem::with(Code::BadRequest, "checks: at most 500 names of 1 to 100 characters"));
    }
    if !api.broker.may_open(&caller.account.name, clock::instant()) {
        return Err(Code::Limited.into());
    }
    let nonce = match nonce {
        Some(Hex(nonce)) => nonce,
        None => Nonce(ListId::random()?.0),
    };
    // Not for what cannot reach anybody.
    if api.registry.live(&agent).is_none() {
        return Err(Code::ServerAway.into());
    }
    scoped.checks_asked(&agent, caller.actor(), clock::now()).await?;
    let ask = Ask {
        tenant: caller.account.tenant,
        agent,
        checks,
        nonce,
        why: RunWhy::Asked,
        account: caller.account.name.clone(),
        client: caller.client.clone(),
    };
    let kept = asked(&api, ask).await?;
    Ok((axum::http::StatusCode::CREATED, Json(shown(&scoped, kept).await?)))
}

/// In a task of its own: what a server found is kept also when whoever asked has left.
async fn asked(api: &Arc<Api>, ask: Ask) -> Result<CheckRun, Problem> {
    let here = api.clone();
    let run = api.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = here.stopping() => None,
            run = here.checks.run(&ask) => Some(run),
        }
    });
    match run.await {
        Ok(Some(Ok(run))) => Ok(run),
        Ok(Some(Err(error))) => Err(error.into()),
        Ok(None) => Err(Code::Busy.into()),
        Err(gone) => match gone.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Code::Busy.into()),
        },
    }
}

/// What is known of a server's checks.
#[derive(Serialize, ToSchema)]
pub(super) struct Known {
    /// The newest run.
    latest: Option<Run>,
    /// How often the relay asks by itself.
    schedule: Schedule,
    /// What somebody answers for, by check and subject; also what counts no more.
    waivers: Vec<Waiver>,
}

/// The newest run of a server, its schedule and its waivers.
#[utoipa::path(get, path = "/servers/{id}/checks", tag = "checks", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 200, body = Known), (status = "default", body = ProblemBody)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Json<Known>, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let latest = match scoped.newest_check_run(&agent).await? {
        Some(run) => Some(shown(&scoped, run).await?),
        None => None,
    };
    let schedule = Schedule { every_secs: scoped.check_schedule(&agent).await? };
    let waivers = scoped.waivers(&agent).await?.into_iter().map(Waiver::of).collect();
    Ok(Json(Known { latest, schedule, waivers }))
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Those that came before this run: the last one of an answer.
    #[param(value_type = Option<String>)]
    before: Option<Hex<Nonce>>,
}

/// Runs of a server.
#[derive(Serialize, ToSchema)]
pub(super) struct Runs {
    /// The newest first, at most 50.
    runs: Vec<Line>,
    /// There are more: ask again, from before the last of these.
    more: bool,
}

/// Lists runs of a server.
#[utoipa::path(get, path = "/servers/{id}/checks/runs", tag = "checks", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), From),
    responses((status = 200, body = Runs), (status = "default", body = ProblemBody)))]
pub(super) async fn runs(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Asked(From { before }): Asked<From>,
) -> Result<Json<Runs>, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let before = before.map(|Hex(run)| run);
    let mut rows = scoped.check_runs(&agent, before.as_ref(), RUNS_PAGE + 1).await?;
    let page = usize::try_from(RUNS_PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > page;
    rows.truncate(page);
    Ok(Json(Runs { runs: rows.into_iter().map(Line::of).collect(), more }))
}

/// One run of a server.
#[utoipa::path(get, path = "/servers/{id}/checks/runs/{run}", tag = "checks", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), ("run" = String, Path, description = "the run")),
    responses((status = 200, body = Run), (status = "default", body = ProblemBody)))]
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    caller: Caller,
    TwoIds(id, run): TwoIds<AgentId, Nonce>,
) -> Result<Json<Run>, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let kept = scoped.check_run(&agent, &run).await?.ok_or(Code::Unknown)?;
    Ok(Json(shown(&scoped, kept).await?))
}

/// A run with what changed in it and who answers for what.
async fn shown(scoped: &Scoped<'_>, kept: CheckRun) -> Result<Run, Problem> {
    let report = read(&kept)?;
    let before = scoped.check_run_before(&kept.line.agent, &kept.line.run).await?;
    let changes = match before {
        Some(before) => changes(&read(&before)?, &report),
        None => Vec::new(),
    };
    let waivers = scoped.waivers(&kept.line.agent).await?;
    Ok(Run::of(kept, report, changes, &waivers, clock::now()))
}

/// It was verified when it came, and is verified again by who shows it to a person.
fn read(run: &CheckRun) -> Result<Report, Problem> {
    pack::from_signed_bytes(&run.report, REPORT_BYTES_MAX).map_err(|why| {
        error!(%why, run = %run.line.run, "a stored report cannot be read");
        Code::Failed.into()
    })
}

impl Run {
    fn of(
        kept: CheckRun,
        report: Report,
        changes: Vec<crate::checks::Change>,
        waivers: &[store::Waiver],
        now: UnixTime,
    ) -> Self {
        let waivers: BTreeMap<(&str, &str), &store::Waiver> = waivers
            .iter()
            .filter(|waiver| waiver.counts(now))
            .map(|waiver| ((waiver.new.check.as_str(), waiver.new.subject.as_str()), waiver))
            .collect();
        let found = |finding: Finding| {
            let waiver = waivers.get(&(finding.check.as_str(), finding.subject.as_str()));
            let waiver = waiver.map(|waiver| ListId(waiver.new.id).to_string());
            Found::of(finding, waiver)
        };
        let Report { millis, version, findings, absent, refused, left_out, sandbox_open, .. } = report;
        Self {
            line: Line::of(kept.line),
            millis,
            version,
            findings: findings.into_iter().map(found).collect(),
            absent: absent.into_iter().map(|one| Absent { check: one.check, why: Text::of(one.why) }).collect(),
            refused,
            left_out,
            sandbox_open,
            changes: changes.into_iter().map(Change::of).collect(),
            report: Bytes(kept.report),
            signature: Bytes(kept.signature.to_vec()),
        }
    }
}

impl Line {
    fn of(line: RunLine) -> Self {
        Self {
            run: Hex(line.run),
            at: line.at.0,
            received_at: line.received_at.0,
            why: line.why.id(),
            by: line.account,
            critical: line.counts.critical,
            warning: line.counts.warning,
            unknown: line.counts.unknown,
            ok: line.counts.ok,
            notes: line.counts.notes,
        }
    }
}

impl Found {
    fn of(finding: Finding, waiver: Option<String>) -> Self {
        let Finding { check, subject, status, note, since, value, unit, evidence, summary, impact, remedy, details } =
            finding;
        let detail = |detail: Detail| match detail {
            Detail::Flag(flag) => json!(flag),
            Detail::Number(number) => json!(number),
            Detail::Text(text) => json!(text),
        };
        Self {
            check,
            subject,
            status: status.name(),
            note,
            since: since.map(|since| since.0),
            value,
            unit,
            evidence: evidence.into_iter().map(|Evidence { source, text }| Seen { source, text }).collect(),
            summary: Text::of(summary),
            impact: Text::of(impact),
            remedy: Text::of(remedy),
            details: details.into_iter().map(|(name, value)| (name, detail(value))).collect(),
            waiver,
        }
    }
}

impl Text {
    fn of(Words { en, zh }: Words) -> Self {
        Self { en, zh }
    }
}

impl Change {
    fn of(change: crate::checks::Change) -> Self {
        let crate::checks::Change { check, subject, kind, before, now } = change;
        Self { check, subject, change: kind.id(), before: before.map(Status::name), now: now.map(Status::name) }
    }
}

impl std::convert::From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Broker(BrokerError::Unreachable) | AskError::Broke => Code::ServerAway.into(),
            AskError::Broker(BrokerError::Busy) => Code::ServerBusy.into(),
            AskError::Broker(BrokerError::TooMany) => Code::Limited.into(),
            AskError::Busy => Code::Busy.into(),
            AskError::Refused(refused) => refused_by_server(&refused),
            AskError::Dropped(why) => Problem::telling(Code::ReportDropped, |language| why.text(language).to_owned())
                .and("reason", json!(why.id())),
            AskError::Silent => Code::ServerSilent.into(),
            AskError::Store(error) => error.into(),
            AskError::Randomness(error) => error.into(),
        }
    }
}

/// A server's no, in its words.
pub(super) fn refused_by_server(refused: &Refused) -> Problem {
    let [en, zh] = [Language::En, Language::Zh].map(|language| refused.text(language));
    let refusal = json!({"code": refused.code.id(), "detail": refused.detail, "en": en, "zh": zh});
    Problem::telling(Code::ServerRefused, |language| refused.text(language)).and("refusal", refusal)
}
