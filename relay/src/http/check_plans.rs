//! What an admin says about a server's checks: how often the relay asks by itself, and what somebody answers for.

use super::Api;
use super::caller::{Admin, Body, Id, TwoIds};
use super::encoding::ListId;
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::store::{self, NewWaiver, PlanRefused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::refusal::{Language, one_line};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use utoipa::ToSchema;

/// How often the relay may ask: not so often that it is monitoring, and once a week at least.
const EVERY_SECS: RangeInclusive<u64> = 300..=604_800;
/// Longest id of a check, subject and reason.
const CHECK_CHARS_MAX: usize = 100;
/// See there.
const SUBJECT_CHARS_MAX: usize = 1000;
/// See there.
const REASON_CHARS_MAX: usize = 300;
/// Longest time that somebody may answer for something without looking again.
const WAIVED_DAYS_MAX: u64 = 366;

/// How often the relay asks a server by itself.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Schedule {
    /// 0: never; else 300 to 604800.
    pub(super) every_secs: u64,
}

/// Sets how often the relay asks a server by itself.
#[utoipa::path(put, path = "/servers/{id}/checks/schedule", tag = "checks", security(("login" = [])),
    request_body = Schedule, params(("id" = String, Path, description = "the server's id")),
    responses((status = 200, body = Schedule), (status = "default", body = ProblemBody)))]
pub(super) async fn schedule(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<AgentId>,
    Body(Schedule { every_secs }): Body<Schedule>,
) -> Result<Json<Schedule>, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    if every_secs != 0 && !EVERY_SECS.contains(&every_secs) {
        return Err(bad("every_secs: 0, or 300 to 604800", "every_secs:0，或 300 至 604800"));
    }
    scoped.set_check_schedule(&agent, every_secs, caller.actor(), clock::now()).await?;
    Ok(Json(Schedule { every_secs }))
}

/// A finding that somebody is to answer for.
#[derive(Deserialize, ToSchema)]
pub(super) struct Waive {
    /// The check's id.
    check: String,
    /// What it is about, exactly as the finding says.
    subject: String,
    /// Why it may stay as it is.
    reason: String,
    /// The last second in which this counts; at most 366 days from now.
    until: u64,
}

/// A finding that somebody answers for.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiver {
    /// Its name.
    waiver: String,
    /// The check's id.
    check: String,
    /// What it is about.
    subject: String,
    /// Why it may stay as it is.
    reason: String,
    /// Who answers for it.
    owner: String,
    /// Since when.
    created_at: u64,
    /// The last second in which this counts.
    until: u64,
}

impl Waiver {
    pub(super) fn of(row: store::Waiver) -> Self {
        let store::Waiver { new: NewWaiver { id, agent: _, check, subject, reason, until }, account, created_at } = row;
        Self {
            waiver: ListId(id).to_string(),
            check,
            subject,
            reason,
            owner: account,
            created_at: created_at.0,
            until: until.0,
        }
    }
}

/// Answers for a finding until a day; in place of an earlier waiver of the same check and subject.
#[utoipa::path(post, path = "/servers/{id}/checks/waivers", tag = "checks", security(("login" = [])),
    request_body = Waive, params(("id" = String, Path, description = "the server's id")),
    responses((status = 201, body = Waiver), (status = "default", body = ProblemBody)))]
pub(super) async fn waive(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<AgentId>,
    Body(asked): Body<Waive>,
) -> Result<(StatusCode, Json<Waiver>), Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let now = clock::now();
    let new = parsed(asked, agent, now)?;
    scoped.waive(&new, caller.actor(), now).await?;
    let made = store::Waiver { new, account: caller.account.name.clone(), created_at: now };
    Ok((StatusCode::CREATED, Json(Waiver::of(made))))
}

fn parsed(asked: Waive, agent: AgentId, now: UnixTime) -> Result<NewWaiver, Problem> {
    let Waive { check, subject, reason, until } = asked;
    let plain = |text: &str, max| !text.trim().is_empty() && one_line(text, max) == text;
    if !plain(&check, CHECK_CHARS_MAX) {
        return Err(bad("check: the id of a check", "check：检查项的 ID"));
    }
    // It must match to the letter, so it may be whatever a host has said.
    if subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err(bad("subject: at most 1000 characters", "subject：最多 1000 个字符"));
    }
    if !plain(&reason, REASON_CHARS_MAX) {
        return Err(bad("reason: 1 to 300 printable characters", "reason:1 至 300 个可打印字符"));
    }
    let until = UnixTime(until);
    if until <= now || until > now.plus_secs(WAIVED_DAYS_MAX * DAY_SECS) {
        return Err(bad("until: in the future, at most 366 days from now", "until：将来的时间，最多 366 天之后"));
    }
    Ok(NewWaiver { id: ListId::random()?.0, agent, check, subject, reason, until })
}

/// Takes a waiver back.
#[utoipa::path(delete, path = "/servers/{id}/checks/waivers/{waiver}", tag = "checks", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), ("waiver" = String, Path, description = "the waiver")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn unwaive(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    TwoIds(id, ListId(waiver)): TwoIds<AgentId, ListId>,
) -> Result<StatusCode, Problem> {
    caller.scoped(&api).unwaive(&id, &waiver, caller.actor(), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn bad(en: &str, zh: &str) -> Problem {
    Problem::telling(Code::BadPlan, |language| match language {
        Language::En => en.to_owned(),
        Language::Zh => zh.to_owned(),
    })
}

impl From<PlanRefused> for Problem {
    fn from(refused: PlanRefused) -> Self {
        match refused {
            PlanRefused::Unknown => Code::Unknown.into(),
            PlanRefused::TooMany => bad("A server has at most 500 waivers.", "每台服务器最多 500 条豁免。"),
            PlanRefused::Store(error) => error.into(),
        }
    }
}
