//! One's own logins: where one is signed in, and ending that from elsewhere.

use super::Api;
use super::arrival::end;
use super::caller::{Caller, Id};
use super::encoding::{Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::store::{LoginId, LoginRow};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The account's logins.
#[derive(Serialize, ToSchema)]
pub(super) struct Logins {
    /// Newest use first.
    logins: Vec<Login>,
}

/// A login.
#[derive(Serialize, ToSchema)]
pub(super) struct Login {
    /// Its id in this list; it opens nothing.
    #[schema(value_type = String)]
    id: Hex<ListId>,
    /// `browser` or `program`.
    kind: &'static str,
    /// How it came about: `password`, `passkey` or `oidc`.
    way: &'static str,
    /// When.
    created_at: u64,
    /// When it was used last; written down once a minute.
    used_at: u64,
    /// When it ends whatever happens.
    ends_at: u64,
    /// From which address it was used then.
    client: String,
    /// What the client called itself. A stranger's text: escape it where it is shown.
    user_agent: String,
    /// It is the one that asks.
    this: bool,
}

impl Login {
    fn of(row: LoginRow, asking: LoginId) -> Self {
        Self {
            id: Hex(ListId(row.id.0)),
            kind: row.kind.id(),
            way: row.way.id(),
            created_at: row.created_at.0,
            used_at: row.used_at.0,
            ends_at: row.ends_at.0,
            client: row.client,
            user_agent: row.user_agent,
            this: row.id == asking,
        }
    }
}

/// Lists one's own logins.
#[utoipa::path(get, path = "/me/logins", tag = "sign-in", security(("login" = [])),
    responses((status = 200, body = Logins), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Logins>, Problem> {
    let rows = caller.scoped(&api).logins(caller.account.account, clock::now()).await?;
    let asking = LoginId::of(&caller.login);
    Ok(Json(Logins { logins: rows.into_iter().map(|row| Login::of(row, asking)).collect() }))
}

/// Ends every other login of one's own, and their streams.
#[utoipa::path(delete, path = "/me/logins", tag = "sign-in", security(("login" = [])),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn end_others(State(api): State<Arc<Api>>, caller: Caller) -> Result<StatusCode, Problem> {
    let account = caller.account.account;
    caller.scoped(&api).end_other_logins(account, &caller.login, caller.actor(), clock::now()).await?;
    api.in_use.cut(account, Some(&caller.login));
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a login of one's own, and its streams.
#[utoipa::path(delete, path = "/me/logins/{id}", tag = "sign-in", security(("login" = [])),
    params(("id" = String, Path, description = "the login's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn end_one(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(ListId(id)): Id<ListId>,
) -> Result<StatusCode, Problem> {
    let (account, id) = (caller.account.account, LoginId(id));
    let ended = caller.scoped(&api).end_login(account, id, caller.actor(), clock::now()).await?;
    end(&api, &ended.ok_or(Code::Unknown)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
