//! Grants that wait for a second signature. Both signatures are verified on the server; here they are bytes.

use super::Api;
use super::caller::{Asked, Body, Caller, Id};
use super::encoding::{Bytes, Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::store::{self, NewApproval, SecondRefused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::{CHALLENGE_BYTES_MAX, CHALLENGE_TTL_SECS, GRANT_BYTES_MAX, SIGNATURE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Grants of one customer that may wait at once.
const PENDING_MAX: u32 = 256;
/// Longest wait for a signature in one request: below what proxies cut.
const WAIT_SECS_MAX: u64 = 25;

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
    /// The second signature, once given.
    #[schema(value_type = Option<String>)]
    second: Option<Bytes>,
    /// The account that delivered it.
    second_by: Option<String>,
}

impl Approval {
    fn of(row: store::Approval) -> Self {
        Self {
            id: ListId(row.asked.id).to_string(),
            server: Hex(row.asked.agent),
            account: row.asked.account,
            grant: Bytes(row.asked.grant),
            signature: Bytes(row.asked.signature),
            challenge: Bytes(row.asked.challenge),
            created_at: row.created_at.0,
            expires_at: row.asked.expires_at.0,
            second: row.second.map(Bytes),
            second_by: row.second_by,
        }
    }
}

/// Lists grants that wait.
#[utoipa::path(get, path = "/approvals", tag = "approvals", security(("login" = [])),
    responses((status = 200, body = Approvals), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Approvals>, Problem> {
    let rows = caller.scoped(&api).pending_approvals(clock::now()).await?;
    Ok(Json(Approvals { approvals: rows.into_iter().map(Approval::of).collect() }))
}

/// How long to wait.
#[derive(Deserialize, IntoParams)]
pub(super) struct Wait {
    /// Seconds to wait for the second signature, at most 25.
    #[serde(default)]
    wait: u64,
}

/// One grant; with `wait`, answers when it is signed or the time is over.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", security(("login" = [])),
    params(("id" = String, Path, description = "the approval's id"), Wait),
    responses((status = 200, body = Approval), (status = "default", body = ProblemBody)))]
pub(super) async fn wait(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
    Asked(Wait { wait }): Asked<Wait>,
) -> Result<Json<Approval>, Problem> {
    // When too many wait already, the next is answered at once and asks again.
    let place = api.waiting.try_acquire();
    let secs = if place.is_ok() { wait.min(WAIT_SECS_MAX) } else { 0 };
    let deadline = tokio::time::sleep(Duration::from_secs(secs));
    tokio::pin!(deadline);
    let mut changes = api.approvals.subscribe();
    loop {
        let row = caller.scoped(&api).approval(&id.0).await?.ok_or(Code::Unknown)?;
        if row.second.is_some() {
            return Ok(Json(Approval::of(row)));
        }
        tokio::select! {
            biased;
            () = &mut deadline => return Ok(Json(Approval::of(row))),
            () = api.stopping() => return Ok(Json(Approval::of(row))),
            _ = changes.changed() => {}
        }
    }
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
    match caller.scoped(&api).sign_approval(&id.0, &signature.0, caller.actor(), clock::now()).await {
        Ok(()) => {}
        Err(SecondRefused::Unknown) => return Err(Code::Unknown.into()),
        Err(SecondRefused::Over) => return Err(Code::ApprovalOver.into()),
        Err(SecondRefused::Store(error)) => return Err(error.into()),
    }
    api.approvals.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}
