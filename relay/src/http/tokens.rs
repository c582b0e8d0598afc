//! Enrolment tokens: the relay's half. The other half, a signing key, never comes here.

use super::caller::{Admin, Body, Caller, Id};
use super::encoding::{Bytes, ListId};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::name;
use super::{AgentsListener, Api};
use crate::clock;
use crate::store::{EnrolToken, EnrolTokenId, NewEnrolToken};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use cloud_doctor_proto::limits::{BATCH_SECS_MAX, BATCH_USES_MAX};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// A token to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Create {
    /// For people.
    label: String,
    /// For how many seconds it counts; at most seven days.
    valid_secs: u64,
    /// Servers that it may enrol: 1 to 10,000.
    uses: u32,
}

/// A token, with its secret for the only time.
#[derive(Serialize, ToSchema)]
pub(super) struct Created {
    /// Names it in lists.
    id: String,
    /// 32 bytes.
    #[schema(value_type = String)]
    secret: Bytes,
    /// Last second in which it counts.
    expires_at: u64,
    /// For `--relay` of the enrolment command.
    agents: String,
    /// For `--relay-pin`.
    agents_pin: String,
    /// Pin of the key that will follow.
    agents_next_pin: String,
}

/// Makes a token.
#[utoipa::path(post, path = "/enrolment-tokens", tag = "enrolment", security(("login" = [])), request_body = Create,
    responses((status = 201, body = Created), (status = "default", body = ProblemBody)))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    headers: HeaderMap,
    Body(asked): Body<Create>,
) -> Result<(StatusCode, Json<Created>), Problem> {
    if asked.valid_secs == 0 || asked.valid_secs > BATCH_SECS_MAX {
        return Err(Problem::with(Code::BadRequest, "valid_secs: 1 second to 7 days"));
    }
    if asked.uses == 0 || asked.uses > BATCH_USES_MAX {
        return Err(Problem::with(Code::BadRequest, "uses: 1 to 10000"));
    }
    let now = clock::now();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let token = NewEnrolToken {
        id: EnrolTokenId(ListId::random()?.0),
        secret_hash: Sha256::digest(secret).into(),
        label: name(&asked.label)?.to_owned(),
        expires_at: now.plus_secs(asked.valid_secs),
        uses_max: asked.uses,
    };
    caller.scoped(&api).add_enrol_token(&token, caller.actor(), now).await?;
    let [pin, next] = api.agents.pins;
    let created = Created {
        id: token.id.to_string(),
        secret: Bytes(secret.to_vec()),
        expires_at: token.expires_at.0,
        agents: format!("quic://{}", agents(&api, &headers)),
        agents_pin: pin.to_string(),
        agents_next_pin: next.to_string(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Where servers find this relay: by its public name, by the address it is bound to, or as the one who asks found it.
pub(super) fn agents(api: &Api, headers: &HeaderMap) -> String {
    let AgentsListener { addr, .. } = api.agents;
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = asked.and_then(|host| host.parse::<axum::http::uri::Authority>().ok());
    match (&api.public_name, asked) {
        (Some(name), _) => format!("{name}:{}", addr.port()),
        (None, Some(asked)) if addr.ip().is_unspecified() => format!("{}:{}", asked.host(), addr.port()),
        (None, Some(_) | None) => addr.to_string(),
    }
}

/// All tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// Newest first.
    tokens: Vec<Token>,
}

/// A token without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// Names it.
    id: String,
    /// For people.
    label: String,
    /// Who made it.
    created_by: String,
    /// When.
    created_at: u64,
    /// Last second in which it counts.
    expires_at: u64,
    /// Servers that it may enrol.
    uses_max: u64,
    /// Servers that it has enrolled.
    uses: u64,
    /// Taken back.
    revoked: bool,
}

impl Token {
    fn of(token: EnrolToken) -> Self {
        Self {
            id: token.id.to_string(),
            label: token.label,
            created_by: token.created_by,
            created_at: token.created_at.0,
            expires_at: token.expires_at.0,
            uses_max: token.uses_max,
            uses: token.uses,
            revoked: token.revoked,
        }
    }
}

/// Lists tokens.
#[utoipa::path(get, path = "/enrolment-tokens", tag = "enrolment", security(("login" = [])),
    responses((status = 200, body = Tokens), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Tokens>, Problem> {
    let tokens = caller.scoped(&api).enrol_tokens().await?.into_iter().map(Token::of).collect();
    Ok(Json(Tokens { tokens }))
}

/// Takes a token back. Servers that it enrolled stay.
#[utoipa::path(delete, path = "/enrolment-tokens/{id}", tag = "enrolment", security(("login" = [])),
    params(("id" = String, Path, description = "the token's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<ListId>,
) -> Result<StatusCode, Problem> {
    let revoked = caller.scoped(&api).revoke_enrol_token(EnrolTokenId(id.0), caller.actor(), clock::now()).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Code::Unknown.into()) }
}
