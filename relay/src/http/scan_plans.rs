//! Scans by the clock: what an admin plans, and what is planned.

use super::Api;
use super::caller::{Admin, Body, Caller, Id};
use super::encoding::ListId;
use super::problem::{Code, Problem, ProblemBody};
use super::scan_shapes::{Plan, Terms, bad};
use crate::clock;
use crate::scan::{Cron, NotACron, chance};
use crate::store::{ScanPlan, ScanPlanRefused, ScanPlanRow, TenantRef};
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
    /// What its scans are about.
    #[serde(flatten)]
    terms: Terms,
}

impl NewPlan {
    fn parsed(self, id: [u8; 16], now: UnixTime) -> Result<ScanPlan, Problem> {
        let Self { name, cron, terms } = self;
        if name.trim().is_empty() || one_line(&name, NAME_CHARS_MAX) != name {
            return Err(bad("name: 1 to 64 printable characters", "name：1 至 64 个可打印字符"));
        }
        let next_at = Cron::parse(&cron, now)?.next(now, chance).ok_or(NotACron::Never)?;
        Ok(ScanPlan { id, name, cron, terms: terms.parsed()?, next_at })
    }
}

fn made(plan: ScanPlan, tenant: TenantRef, account: &str, now: UnixTime) -> Json<Plan> {
    Json(Plan::of(ScanPlanRow { tenant, plan, account: account.to_owned(), created_at: now }))
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
    caller.scoped(&api).add_scan_plan(&plan, caller.actor(), now).await?;
    Ok((StatusCode::CREATED, made(plan, caller.account.tenant, &caller.account.name, now)))
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
    caller.scoped(&api).change_scan_plan(&plan, caller.actor(), now).await?;
    Ok(made(plan, caller.account.tenant, &caller.account.name, now))
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
                "cron：同一计划的两次扫描至少间隔五分钟",
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
