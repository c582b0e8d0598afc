//! Links that let new people in, for those who make them: list, wait, take back, say how it went.
//!
//! The relay makes the token and forgets it; the link's other half never comes here. Never: a key believed because it
//! stands here.

use super::Api;
use super::caller::{Admin, Asked, Body, Caller, Id};
use super::encoding::{Bytes, Hex};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::name;
use super::wait::{Look, Wait, held};
use crate::clock;
use crate::store::{self, Invited, JoinState, NewJoin, StepRefused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::join::{JoinId, TOKEN_BYTES};
use cloud_doctor_proto::limits::BATCH_SECS_MAX;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// Links of one customer that may be open at once.
const OPEN_MAX: u32 = 100;

/// What a person becomes.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum As {
    /// May open visits.
    Engineer,
    /// May give second signatures.
    Approver,
}

/// A link to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Make {
    /// The person's name in the trust log.
    name: String,
    /// What the person becomes. What counts is what a root signs.
    r#as: As,
    /// A browser's key without a touch is welcome.
    #[serde(default)]
    device: bool,
    /// For how many seconds the link counts; at most seven days.
    valid_secs: u64,
}

/// A link's half, for the only time.
#[derive(Serialize, ToSchema)]
pub(super) struct Made {
    /// Names it.
    #[schema(value_type = String)]
    id: Hex<JoinId>,
    /// What makes the account.
    #[schema(value_type = String)]
    token: Bytes,
    /// Last second in which it counts.
    expires_at: u64,
}

/// Makes a link.
#[utoipa::path(post, path = "/joins", tag = "joins", security(("login" = [])), request_body = Make,
    responses((status = 201, body = Made), (status = "default", body = ProblemBody)))]
pub(super) async fn make(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Body(asked): Body<Make>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    if asked.valid_secs == 0 || asked.valid_secs > BATCH_SECS_MAX {
        return Err(Problem::with(Code::BadRequest, "valid_secs: 1 second to 7 days"));
    }
    let role = match asked.r#as {
        As::Engineer => "engineer",
        As::Approver => "approver",
    };
    let mut token = [0; TOKEN_BYTES];
    getrandom::fill(&mut token)?;
    let now = clock::now();
    let new = NewJoin {
        id: JoinId::of(&token),
        token_hash: token_hash(&token),
        expires_at: now.plus_secs(asked.valid_secs),
        invited: Invited { person: name(&asked.name)?.to_owned(), role: role.to_owned(), device: asked.device },
    };
    if !caller.scoped(&api).add_join(&new, OPEN_MAX, caller.actor(), now).await? {
        return Err(Problem::with(Code::TooMany, "100 links are open"));
    }
    let made = Made { id: Hex(new.id), token: Bytes(token.to_vec()), expires_at: new.expires_at.0 };
    Ok((StatusCode::CREATED, Json(made)))
}

/// What a token is stored as.
pub(super) fn token_hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// All links.
#[derive(Serialize, ToSchema)]
pub(super) struct Joins {
    /// Newest first.
    joins: Vec<Join>,
}

/// A link without its token.
#[derive(Serialize, ToSchema)]
pub(super) struct Join {
    /// Names it.
    #[schema(value_type = String)]
    id: Hex<JoinId>,
    /// Who is invited.
    name: String,
    /// `engineer` or `approver`.
    r#as: String,
    /// A browser's key without a touch is welcome.
    device: bool,
    /// Who made it.
    created_by: String,
    /// When.
    created_at: u64,
    /// Last second in which it counts.
    expires_at: u64,
    /// `open`, `joined`, `key`, `accepted`, `refused`, `revoked` or `expired`.
    state: &'static str,
    /// The account that was made with it.
    account: Option<String>,
    /// The new person's key, once it is here.
    key: Option<Key>,
}

/// A new person's key, as it was sent. Only the link's other half can tell whose it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// As a line of `authorized_keys`.
    key: String,
    /// What kind of key it is.
    kind: String,
    /// What the link's secret says about both.
    #[schema(value_type = String)]
    mac: Bytes,
}

impl Join {
    fn of(row: store::Join, state: JoinState) -> Self {
        Self {
            id: Hex(row.id),
            name: row.invited.person,
            r#as: row.invited.role,
            device: row.invited.device,
            created_by: row.created_by,
            created_at: row.created_at.0,
            expires_at: row.expires_at.0,
            state: state.id(),
            account: row.account,
            key: row.key.map(|key| Key { key: key.line, kind: key.kind, mac: Bytes(key.mac) }),
        }
    }
}

/// Lists links.
#[utoipa::path(get, path = "/joins", tag = "joins", security(("login" = [])),
    responses((status = 200, body = Joins), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Joins>, Problem> {
    let now = clock::now();
    let of = |row: store::Join| {
        let state = row.state(now);
        Join::of(row, state)
    };
    Ok(Json(Joins { joins: caller.scoped(&api).joins().await?.into_iter().map(of).collect() }))
}

/// One link; with `wait`, answers when its key is here or it is over, or the time is over.
#[utoipa::path(get, path = "/joins/{id}", tag = "joins", security(("login" = [])),
    params(("id" = String, Path, description = "the link's id"), Wait),
    responses((status = 200, body = Join), (status = "default", body = ProblemBody)))]
pub(super) async fn wait(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<JoinId>,
    Asked(Wait { wait }): Asked<Wait>,
) -> Result<Json<Join>, Problem> {
    let join = held(&api, &api.joins, wait, || async {
        let row = caller.scoped(&api).join(&id).await?.ok_or(Code::Unknown)?;
        let (state, until) = (row.state(clock::now()), row.expires_at);
        let join = Join::of(row, state);
        Ok(match state {
            JoinState::Open => Look::Same(join, Some(until)),
            JoinState::Joined => Look::Same(join, None),
            JoinState::Key | JoinState::Accepted | JoinState::Refused | JoinState::Revoked | JoinState::Expired => {
                Look::News(join)
            }
        })
    });
    Ok(Json(join.await?))
}

/// Takes a link back. An account that it made stays: it opens no server.
#[utoipa::path(delete, path = "/joins/{id}", tag = "joins", security(("login" = [])),
    params(("id" = String, Path, description = "the link's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<JoinId>,
) -> Result<StatusCode, Problem> {
    end_as(&api, &caller, &id, JoinState::Revoked).await
}

/// How it went.
#[derive(Deserialize, ToSchema)]
pub(super) struct End {
    /// Whether the key was the new person's and is in the trust log now.
    accepted: bool,
}

/// Says how it went, for the new person's page.
#[utoipa::path(post, path = "/joins/{id}/end", tag = "joins", security(("login" = [])), request_body = End,
    params(("id" = String, Path, description = "the link's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn end(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<JoinId>,
    Body(End { accepted }): Body<End>,
) -> Result<StatusCode, Problem> {
    end_as(&api, &caller, &id, if accepted { JoinState::Accepted } else { JoinState::Refused }).await
}

async fn end_as(api: &Api, caller: &Caller, id: &JoinId, state: JoinState) -> Result<StatusCode, Problem> {
    caller.scoped(api).end_join(id, state, caller.actor(), clock::now()).await?;
    api.joins.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}

impl From<StepRefused> for Problem {
    fn from(refused: StepRefused) -> Self {
        match refused {
            StepRefused::Unknown => Code::Unknown.into(),
            StepRefused::Over => Code::JoinOver.into(),
            StepRefused::Store(error) => error.into(),
        }
    }
}
