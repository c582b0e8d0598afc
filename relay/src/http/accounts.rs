//! The customer's accounts, for its admins.

use super::Api;
use super::caller::{Admin, Body, Caller, Id};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::{acceptable, name};
use crate::clock;
use crate::store::{self, NameTaken, Role};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// All accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct Accounts {
    /// By name.
    accounts: Vec<Account>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(super) struct Account {
    /// Its name.
    name: String,
    /// `admin` or `member`.
    role: &'static str,
    /// Since when.
    created_at: u64,
}

impl Account {
    fn of(row: store::Account) -> Self {
        Self { name: row.name, role: row.role.id(), created_at: row.created_at.0 }
    }
}

/// Lists accounts.
#[utoipa::path(get, path = "/accounts", tag = "accounts", security(("login" = [])),
    responses((status = 200, body = Accounts), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Accounts>, Problem> {
    let accounts = caller.scoped(&api).accounts().await?.into_iter().map(Account::of).collect();
    Ok(Json(Accounts { accounts }))
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Add {
    /// Its name; unique on the relay.
    name: String,
    /// Its first password: 12 to 256 characters.
    password: String,
    /// `admin` or `member`.
    role: String,
}

/// Adds an account.
#[utoipa::path(post, path = "/accounts", tag = "accounts", security(("login" = [])), request_body = Add,
    responses((status = 201), (status = "default", body = ProblemBody)))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Body(asked): Body<Add>,
) -> Result<StatusCode, Problem> {
    let role: Role =
        asked.role.parse().map_err(|e: store::NotARole| Problem::with(Code::BadRequest, &e.to_string()))?;
    let account = name(&asked.name)?;
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    match caller.scoped(&api).add_account(account, role, &password, caller.actor(), clock::now()).await {
        Ok(()) => Ok(StatusCode::CREATED),
        Err(NameTaken::Taken) => Err(Code::NameTaken.into()),
        Err(NameTaken::Store(error)) => Err(error.into()),
    }
}

/// Removes an account, ends its logins and cuts its streams.
#[utoipa::path(delete, path = "/accounts/{name}", tag = "accounts", security(("login" = [])),
    params(("name" = String, Path, description = "the account's name")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(account): Id<String>,
) -> Result<StatusCode, Problem> {
    if account == caller.account.name {
        return Err(Code::Yourself.into());
    }
    let removed = caller.scoped(&api).remove_account(&account, caller.actor(), clock::now()).await?;
    api.in_use.cut(removed.ok_or(Code::Unknown)?, None);
    Ok(StatusCode::NO_CONTENT)
}
