//! Grants that wait for a second signature. Both signatures are verified on the server; here they are bytes.

use super::Api;
use super::caller::{Asked, Body, Caller, Id};
use super::encoding::{Bytes, Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use super::wait::{Look, Wait, held};
use crate::clock;
use crate::store::{self, AnswerRefused, ApprovalState, Closing, NewApproval, Role};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::{CHALLENGE_BYTES_MAX, CHALLENGE_TTL_SECS, GRANT_BYTES_MAX, SIGNATURE_BYTES_MAX};
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Grants of one customer that may wait at once.
const PENDING_MAX: u32 = 256;
/// Requests of the past in one answer.
const PAST_PAGE: u32 = 50;
/// Longest sentence of somebody who says no.
const WHY_CHARS_MAX: usize = 200;

/// A grant that needs a second signature.
#[derive(Deserialize, ToSchema)]
pub(super) struct Ask {
    /// For which server.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// The grant's exact bytes.
    #[schema(value_type = String)]
    grant: Bytes,
    /// The engineer's signature.
    #[schema(value_type = String)]
    signature: Bytes,
    /// The server's signed challenge.
    #[schema(value_type = String)]
    challenge: Bytes,
    /// For how long somebody waits for it; at most as long as a challenge counts.
    valid_secs: u64,
}

/// Its name.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiting {
    /// For `/approvals/{id}`.
    id: String,
}

/// Asks the customer's other people for a second signature.
#[utoipa::path(post, path = "/approvals", tag = "approvals", security(("login" = [])), request_body = Ask,
    responses((status = 201, body = Waiting), (status = "default", body = ProblemBody)))]
pub(super) async fn ask(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(asked): Body<Ask>,
) -> Result<(StatusCode, Json<Waiting>), Problem> {
    let sizes = [
        (asked.grant.0.len(), GRANT_BYTES_MAX, "grant"),
        (asked.signature.0.len(), SIGNATURE_BYTES_MAX, "signature"),
        (asked.challenge.0.len(), CHALLENGE_BYTES_MAX, "challenge"),
    ];
    if let Some((_, max, what)) = sizes.into_iter().find(|(len, max, _)| *len == 0 || len > max) {
        return Err(Problem::with(Code::BadRequest, &format!("{what}: 1 to {max} bytes")));
    }
    let now = clock::now();
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&asked.server.0).await?.ok_or(Code::Unknown)?.agent;
    let id = ListId::random()?;
    let new = NewApproval {
        id: id.0,
        agent,
        account: caller.account.name.clone(),
        grant: asked.grant.0,
        signature: asked.signature.0,
        challenge: asked.challenge.0,
        expires_at: now.plus_secs(asked.valid_secs.min(CHALLENGE_TTL_SECS)),
    };
    if !scoped.add_approval(&new, PENDING_MAX, &caller.client, now).await? {
        return Err(Problem::with(Code::TooMany, "256 grants wait for a second signature already"));
    }
    api.approvals.send_modify(|changes| *changes += 1);
    Ok((StatusCode::CREATED, Json(Waiting { id: id.to_string() })))
}

/// Grants that wait.
#[derive(Serialize, ToSchema)]
pub(super) struct Approvals {
    /// Oldest first.
    approvals: Vec<Approval>,
    /// What this list is known by, for the next call.
    seen: String,
}

/// A grant that waits or waited.
#[derive(Serialize, ToSchema)]
pub(super) struct Approval {
    /// Its name.
    id: String,
    /// For which server.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// Who asks.
    account: String,
    /// The grant's exact bytes: what the second signer reads and signs.
    #[schema(value_type = String)]
    grant: Bytes,
    /// The engineer's signature.
    #[schema(value_type = String)]
    signature: Bytes,
    /// The server's signed challenge.
    #[schema(value_type = String)]
    challenge: Bytes,
    /// When it was asked.
    created_at: u64,
    /// When nobody waits any more.
    expires_at: u64,
    /// `waiting`, `signed`, `denied`, `withdrawn` or `expired`.
    state: &'static str,
    /// The second signature, once given.
    #[schema(value_type = Option<String>)]
    second: Option<Bytes>,
    /// The account that signed, denied or withdrew it.
    by: Option<String>,
    /// When.
    ended_at: Option<u64>,
    /// Why it was denied, if that was said.
    why: Option<String>,
}

impl Approval {
    fn of(row: store::Approval, now: UnixTime) -> Self {
        let state = row.state(now).id();
        let (by, ended_at, why) = match row.ended {
            Some(ended) => (Some(ended.by), Some(ended.at.0), ended.why),
            None => (None, None, None),
        };
        Self {
            id: ListId(row.asked.id).to_string(),
            server: Hex(row.asked.agent),
            account: row.asked.account,
            grant: Bytes(row.asked.grant),
            signature: Bytes(row.asked.signature),
            challenge: Bytes(row.asked.challenge),
            created_at: row.created_at.0,
            expires_at: row.asked.expires_at.0,
            state,
            second: row.second.map(Bytes),
            by,
            ended_at,
            why,
        }
    }
}

/// What is known of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Known {
    /// Seconds to wait for news, at most 25; counts with `seen` only.
    #[serde(default)]
    wait: u64,
    /// `seen` of the last answer: the next comes when the list differs from that one.
    seen: Option<String>,
}

/// Lists grants that wait; with `seen` and `wait`, once the list differs from the one that was seen.
#[utoipa::path(get, path = "/approvals", tag = "approvals", security(("login" = [])), params(Known),
    responses((status = 200, body = Approvals), (status = "default", body = ProblemBody)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(Known { wait, seen: known }): Asked<Known>,
) -> Result<Json<Approvals>, Problem> {
    let wait = if known.is_some() { wait } else { 0 };
    let list = held(&api, &api.approvals, wait, || async {
        let now = clock::now();
        let rows = caller.scoped(&api).pending_approvals(now).await?;
        let until = rows.iter().map(|row| row.asked.expires_at).min();
        let seen = mark(&rows);
        let same = known.as_ref() == Some(&seen);
        let approvals = rows.into_iter().map(|row| Approval::of(row, now)).collect();
        let list = Approvals { approvals, seen };
        Ok(if same { Look::Same(list, until) } else { Look::News(list) })
    });
    Ok(Json(list.await?))
}

/// A list of requests in a few letters: another one has others.
fn mark(rows: &[store::Approval]) -> String {
    let ids = rows.iter().fold(Sha256::new(), |sum, row| sum.chain_update(row.asked.id));
    data_encoding::HEXLOWER.encode(&ids.finalize()[..8])
}

/// One grant; with `wait`, answers when it is signed, denied, withdrawn or expired, or the time is over.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", security(("login" = [])),
    params(("id" = String, Path, description = "the approval's id"), Wait),
    responses((status = 200, body = Approval), (status = "default", body = ProblemBody)))]
pub(super) async fn wait(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
    Asked(Wait { wait }): Asked<Wait>,
) -> Result<Json<Approval>, Problem> {
    let answer = held(&api, &api.approvals, wait, || async {
        let row = caller.scoped(&api).approval(&id.0).await?.ok_or(Code::Unknown)?;
        let (now, until) = (clock::now(), row.asked.expires_at);
        let waits = row.state(now) == ApprovalState::Waiting;
        let answer = Approval::of(row, now);
        Ok(if waits { Look::Same(answer, Some(until)) } else { Look::News(answer) })
    });
    Ok(Json(answer.await?))
}

/// A request that nobody waits for any more.
#[derive(Serialize, ToSchema)]
pub(super) struct PastApproval {
    /// Its name.
    id: String,
    /// For which server.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// Who asked.
    account: String,
    /// The grant's exact bytes.
    #[schema(value_type = String)]
    grant: Bytes,
    /// When it was asked.
    created_at: u64,
    /// When nobody would have waited any more.
    expires_at: u64,
    /// `signed`, `denied`, `withdrawn` or `expired`.
    state: &'static str,
    /// The account that signed, denied or withdrew it.
    by: Option<String>,
    /// When.
    ended_at: Option<u64>,
    /// Why it was denied, if that was said.
    why: Option<String>,
}

impl PastApproval {
    fn of(row: store::Approval, now: UnixTime) -> Self {
        let Approval { id, server, account, grant, created_at, expires_at, state, by, ended_at, why, .. } =
            Approval::of(row, now);
        Self { id, server, account, grant, created_at, expires_at, state, by, ended_at, why }
    }
}

/// Requests of the last 90 days.
#[derive(Serialize, ToSchema)]
pub(super) struct PastApprovals {
    /// Newest first, at most 50.
    approvals: Vec<PastApproval>,
    /// Ask again from before the last of these.
    more: bool,
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Before {
    /// Id of the last one that is known; absent for the newest.
    #[param(value_type = Option<String>)]
    before: Option<Hex<ListId>>,
}

/// Lists requests that were answered, withdrawn or left alone.
#[utoipa::path(get, path = "/approvals/past", tag = "approvals", security(("login" = [])), params(Before),
    responses((status = 200, body = PastApprovals), (status = "default", body = ProblemBody)))]
pub(super) async fn past(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(Before { before }): Asked<Before>,
) -> Result<Json<PastApprovals>, Problem> {
    let now = clock::now();
    let before = before.map(|Hex(id)| id.0);
    let mut rows = caller.scoped(&api).past_approvals(before.as_ref(), PAST_PAGE + 1, now).await?;
    let page = usize::try_from(PAST_PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > page;
    rows.truncate(page);
    let approvals = rows.into_iter().map(|row| PastApproval::of(row, now)).collect();
    Ok(Json(PastApprovals { approvals, more }))
}

/// A second signature.
#[derive(Deserialize, ToSchema)]
pub(super) struct Sign {
    /// Over the grant's exact bytes. Whether it counts is decided on the server.
    #[schema(value_type = String)]
    signature: Bytes,
}

/// Delivers a second signature. The first that arrives in time stays.
#[utoipa::path(post, path = "/approvals/{id}/signature", tag = "approvals", security(("login" = [])),
    params(("id" = String, Path, description = "the approval's id")), request_body = Sign,
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn sign(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
    Body(Sign { signature }): Body<Sign>,
) -> Result<StatusCode, Problem> {
    if signature.0.is_empty() || signature.0.len() > SIGNATURE_BYTES_MAX {
        return Err(Problem::with(Code::BadRequest, &format!("signature: 1 to {SIGNATURE_BYTES_MAX} bytes")));
    }
    let asked = caller.scoped(&api).approval(&id.0).await?.ok_or(Code::Unknown)?.asked;
    if !api.logs.is_second(caller.account.tenant, &asked.grant, &signature.0).await? {
        return Err(Code::NotSecond.into());
    }
    caller.scoped(&api).sign_approval(&id.0, &signature.0, caller.actor(), clock::now()).await?;
    api.approvals.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}

/// A no.
#[derive(Deserialize, ToSchema)]
pub(super) struct Deny {
    /// Why, in a sentence for whoever asked: at most 200 characters on one line.
    why: Option<String>,
}

/// Denies a second signature: whoever waits for it is told at once. The first answer that arrives in time stays.
#[utoipa::path(post, path = "/approvals/{id}/denial", tag = "approvals", security(("login" = [])),
    params(("id" = String, Path, description = "the approval's id")), request_body = Deny,
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn deny(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
    Body(Deny { why }): Body<Deny>,
) -> Result<StatusCode, Problem> {
    let why = why.as_deref().map(str::trim).filter(|why| !why.is_empty());
    if why.is_some_and(|why| one_line(why, WHY_CHARS_MAX) != why) {
        return Err(Problem::with(Code::BadRequest, "why: at most 200 printable characters on one line"));
    }
    caller.scoped(&api).close_approval(&id.0, Closing::Denied(why), caller.actor(), clock::now()).await?;
    api.approvals.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}

/// Withdraws a request: by the account that asked, or an admin.
#[utoipa::path(delete, path = "/approvals/{id}", tag = "approvals", security(("login" = [])),
    params(("id" = String, Path, description = "the approval's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn withdraw(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
) -> Result<StatusCode, Problem> {
    let asked = caller.scoped(&api).approval(&id.0).await?.ok_or(Code::Unknown)?.asked;
    if asked.account != caller.account.name && caller.account.role != Role::Admin {
        return Err(Code::NotAdmin.into());
    }
    caller.scoped(&api).close_approval(&id.0, Closing::Withdrawn, caller.actor(), clock::now()).await?;
    api.approvals.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}

impl From<AnswerRefused> for Problem {
    fn from(refused: AnswerRefused) -> Self {
        match refused {
            AnswerRefused::Unknown => Code::Unknown.into(),
            AnswerRefused::Over => Code::ApprovalOver.into(),
            AnswerRefused::Store(error) => error.into(),
        }
    }
}
