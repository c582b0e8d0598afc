//! The customer's accounts, for its admins.

use super::Api;
use super::caller::{Admin, Body, Caller, Id};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::{acceptable, name};
use crate::clock;
use crate::store::{self, Change, ChangeRefused, NameTaken, Role};
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
    /// How it stands; for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
}

/// An account's ways to sign in.
#[derive(Serialize, ToSchema)]
pub(super) struct Standing {
    /// Since when it may not sign in.
    disabled_at: Option<u64>,
    /// When it signed in last.
    signed_in_at: Option<u64>,
    /// It has a password.
    password: bool,
    /// The password needs a code besides.
    totp: bool,
    /// So many passkeys.
    passkeys: u64,
    /// So many identities at a provider.
    identities: u64,
    /// Until when a one-time code lets it in.
    reset_until: Option<u64>,
}

impl Account {
    fn of(row: store::Account) -> Self {
        Self { name: row.name, role: row.role.id(), created_at: row.created_at.0, standing: None }
    }

    fn in_full(row: store::Standing) -> Self {
        let store::Standing { account, disabled_at, signed_in_at, password, passkeys, totp, identities, reset_until } =
            row;
        let [disabled_at, signed_in_at, reset_until] =
            [disabled_at, signed_in_at, reset_until].map(|at| at.map(|at| at.0));
        let standing = Standing { disabled_at, signed_in_at, password, totp, passkeys, identities, reset_until };
        Self { standing: Some(standing), ..Self::of(account) }
    }
}

/// Lists accounts.
#[utoipa::path(get, path = "/accounts", tag = "accounts", security(("login" = [])),
    responses((status = 200, body = Accounts), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Accounts>, Problem> {
    let scoped = caller.scoped(&api);
    let accounts = match caller.account.role {
        Role::Admin => scoped.standings(clock::now()).await?.into_iter().map(Account::in_full).collect(),
        Role::Member => scoped.accounts().await?.into_iter().map(Account::of).collect(),
    };
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
    let role = role(&asked.role)?;
    let account = name(&asked.name)?;
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    match caller.scoped(&api).add_account(account, role, &password, caller.actor(), clock::now()).await {
        Ok(()) => Ok(StatusCode::CREATED),
        Err(NameTaken::Taken) => Err(Code::NameTaken.into()),
        Err(NameTaken::NotAdmin) => Err(Code::NotAdmin.into()),
        Err(NameTaken::Store(error)) => Err(error.into()),
    }
}

fn role(text: &str) -> Result<Role, Problem> {
    text.parse().map_err(|e: store::NotARole| Problem::with(Code::BadRequest, &e.to_string()))
}

/// A change of an account; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct Edit {
    /// `admin` or `member`.
    role: Option<String>,
    /// Whether it is kept from signing in.
    disabled: Option<bool>,
}

/// Changes an account, ends its logins and cuts its streams.
#[utoipa::path(patch, path = "/accounts/{name}", tag = "accounts", security(("login" = [])), request_body = Edit,
    params(("name" = String, Path, description = "the account's name")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(account): Id<String>,
    Body(asked): Body<Edit>,
) -> Result<StatusCode, Problem> {
    if account == caller.account.name {
        return Err(Code::Yourself.into());
    }
    let change = Change { role: asked.role.as_deref().map(role).transpose()?, disabled: asked.disabled };
    let changed = caller.scoped(&api).change_account(&account, change, caller.actor(), clock::now()).await?;
    api.in_use.cut(changed, None);
    Ok(StatusCode::NO_CONTENT)
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
    api.in_use.cut(removed, None);
    Ok(StatusCode::NO_CONTENT)
}

impl From<ChangeRefused> for Problem {
    fn from(refused: ChangeRefused) -> Self {
        match refused {
            ChangeRefused::Unknown => Code::Unknown.into(),
            ChangeRefused::NotAdmin => Code::NotAdmin.into(),
            ChangeRefused::Store(error) => error.into(),
        }
    }
}
