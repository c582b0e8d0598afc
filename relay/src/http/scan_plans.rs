//! Scans by the clock: what an admin plans, and what is planned.

use super::Api;
use super::caller::{Admin, Body, Caller, Id};
use super::encoding::ListId;
use super::problem::{Code, Problem, ProblemBody};
use super::scan_shapes::{Plan, Terms, bad};
use crate::clock;
use crate::scan::{Cron, NotACron, chance};
use crate::store::{ScanPlan, ScanPlanRefused, Scoped};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest name of a plan.
const NAME_CHARS_MAX: usize = 64;

/// All plans.
#[derive(Serialize, ToSchema)]
pub(super) struct Plans {
    /// By name.
    plans: Vec<Plan>,
}

/// Lists plans of scans.
#[utoipa::path(get, path = "/scan-plans", tag = "scans", security(("login" = [])),
    responses((status = 200, body = Plans), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Plans>, Problem> {
    let rows = caller.scoped(&api).scan_plans().await?;
    Ok(Json(Plans { plans: rows.into_iter().map(Plan::of).collect() }))
}

/// A plan to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewPlan {
    /// Its name for people, 1 to 64 characters.
    name: String,
    /// When: minute, hour, day of the month, month, weekday, in UTC. A scan begins up to five minutes later.
    cron: String,
    /// No scan begins until somebody lets it go on.
    #[serde(default)]
    paused: bool,
    /// What its scans are about.
    #[serde(flatten)]
    terms: Terms,
}

impl NewPlan {
    fn parsed(self, id: [u8; 16], now: UnixTime) -> Result<ScanPlan, Problem> {
        let Self { name, cron, paused, terms } = self;
        if name.trim().is_empty() || one_line(&name, NAME_CHARS_MAX) != name {
            return Err(bad("name: 1 to 64 printable characters", "name：1 至 64 个可打印字符"));
        }
        let next_at = Cron::parse(&cron, now)?.next(now, chance).ok_or(NotACron::Never)?;
        Ok(ScanPlan { id, name, cron, terms: terms.parsed()?, next_at, paused })
    }
}

/// A plan as it stands now.
async fn standing(scoped: &Scoped<'_>, id: &[u8; 16]) -> Result<Json<Plan>, Problem> {
    let row = scoped.scan_plan(id).await?.ok_or(Code::Unknown)?;
    Ok(Json(Plan::of(row)))
}

/// Plans scans by the clock. Times that pass while the relay is away are made up for by one scan.
#[utoipa::path(post, path = "/scan-plans", tag = "scans", security(("login" = [])), request_body = NewPlan,
    responses((status = 201, body = Plan), (status = "default", body = ProblemBody)))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Body(new): Body<NewPlan>,
) -> Result<(StatusCode, Json<Plan>), Problem> {
    let now = clock::now();
    let plan = new.parsed(ListId::random()?.0, now)?;
    let scoped = caller.scoped(&api);
    scoped.add_scan_plan(&plan, caller.actor(), now).await?;
    Ok((StatusCode::CREATED, standing(&scoped, &plan.id).await?))
}

/// Changes a plan: all of it is said anew.
#[utoipa::path(put, path = "/scan-plans/{id}", tag = "scans", security(("login" = [])), request_body = NewPlan,
    params(("id" = String, Path, description = "the plan")),
    responses((status = 200, body = Plan), (status = "default", body = ProblemBody)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(ListId(id)): Id<ListId>,
    Body(new): Body<NewPlan>,
) -> Result<Json<Plan>, Problem> {
    let now = clock::now();
    let plan = new.parsed(id, now)?;
    let scoped = caller.scoped(&api);
    scoped.change_scan_plan(&plan, caller.actor(), now).await?;
    standing(&scoped, &id).await
}

/// Has a plan wait: no scan begins until somebody lets it go on. A scan that runs goes on.
#[utoipa::path(post, path = "/scan-plans/{id}/pause", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the plan")),
    responses((status = 200, body = Plan), (status = "default", body = ProblemBody)))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(ListId(id)): Id<ListId>,
) -> Result<Json<Plan>, Problem> {
    paused(&api, &caller, &id, true).await
}

/// Lets a plan go on, from now: times that passed while it waited are not made up for.
#[utoipa::path(post, path = "/scan-plans/{id}/resume", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the plan")),
    responses((status = 200, body = Plan), (status = "default", body = ProblemBody)))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(ListId(id)): Id<ListId>,
) -> Result<Json<Plan>, Problem> {
    paused(&api, &caller, &id, false).await
}

async fn paused(api: &Api, caller: &Caller, id: &[u8; 16], paused: bool) -> Result<Json<Plan>, Problem> {
    let (scoped, now) = (caller.scoped(api), clock::now());
    let plan = scoped.scan_plan(id).await?.ok_or(Code::Unknown)?.plan;
    let next_at = match paused {
        true => plan.next_at,
        false => Cron::parse(&plan.cron, now)?.next(now, chance).ok_or(NotACron::Never)?,
    };
    scoped.pause_scan_plan(id, (paused, next_at), caller.actor(), now).await?;
    standing(&scoped, id).await
}

/// Takes a plan away. Scans that it began stay.
#[utoipa::path(delete, path = "/scan-plans/{id}", tag = "scans", security(("login" = [])),
    params(("id" = String, Path, description = "the plan")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(ListId(id)): Id<ListId>,
) -> Result<StatusCode, Problem> {
    caller.scoped(&api).remove_scan_plan(&id, caller.actor(), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<NotACron> for Problem {
    fn from(refused: NotACron) -> Self {
        match refused {
            NotACron::Form => bad(
                "cron: five fields in UTC, minute hour day month weekday; for example 30 2 * * 1-5",
                "cron：五个字段（UTC），分 时 日 月 星期；例如 30 2 * * 1-5",
            ),
            NotACron::Never => bad("cron: this time never comes", "cron：此时间永远不会到来"),
            NotACron::TooOften => bad(
                "cron: two scans of a plan are at least five minutes apart",
                "cron：同一计划的两次巡检至少间隔五分钟",
            ),
        }
    }
}

impl From<ScanPlanRefused> for Problem {
    fn from(refused: ScanPlanRefused) -> Self {
        match refused {
            ScanPlanRefused::Unknown => Code::Unknown.into(),
            ScanPlanRefused::NameTaken => bad("There is a plan of this name already.", "已有同名的计划。"),
            ScanPlanRefused::TooMany => bad("A customer has at most 50 plans.", "每个客户最多 50 个计划。"),
            ScanPlanRefused::Store(error) => error.into(),
        }
    }
}
