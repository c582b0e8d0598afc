//! A new person with a link: an account, a key, and word of how it went.
//!
//! The token makes one account, a member's, which opens no server. Unknown, used, old and revoked tokens are told the
//! same. Never: a word about the customer to somebody without a token that counts.

use super::Api;
use super::arrival::{Arrival, Keep, LoggedIn, Welcome};
use super::caller::{Asked, Body, Caller, Client};
use super::encoding::Bytes;
use super::joins::token_hash;
use super::passkeys::{Brought, Challenge, begin_first};
use super::problem::{Code, Problem, ProblemBody};
use super::sign_in::{acceptable, name};
use super::wait::{Look, Wait, held};
use crate::access::Owner;
use crate::clock;
use crate::store::{self, Account, FirstPasskey, FirstWay, JoinKey, JoinRefused};
use crate::tunnels::gate::Prefix;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use cloud_doctor_proto::refusal::one_line;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::info;
use utoipa::ToSchema;

/// Longest line of a key: those of the accepted types stay far below.
const KEY_CHARS_MAX: usize = 1024;
/// Longest kind.
const KIND_CHARS_MAX: usize = 32;
/// What HMAC-SHA256 makes.
const MAC_BYTES: usize = 32;

/// Somebody with a link.
#[derive(Deserialize, ToSchema)]
pub(super) struct Enter {
    /// The link's first part.
    #[schema(value_type = String)]
    token: Bytes,
    /// Name of the account to be made; unique on the relay.
    account: String,
    /// Its password: 12 to 256 characters.
    password: String,
}

/// Who was invited, and as what.
#[derive(Serialize, ToSchema)]
pub(super) struct Invited {
    /// Name of the account.
    account: String,
    /// The person's name, as the inviter said.
    name: String,
    /// `engineer` or `approver`.
    r#as: String,
    /// A browser's key without a touch is welcome.
    device: bool,
    /// `joined`, `key`, `accepted`, `refused` or `revoked`.
    state: &'static str,
}

impl Invited {
    fn of(account: &str, row: store::Join) -> Self {
        let state = row.state(clock::now()).id();
        let store::Invited { person, role, device } = row.invited;
        Self { account: account.to_owned(), name: person, r#as: role, device, state }
    }
}

/// Makes the account of a link, which counts once. Sign in with it next.
#[utoipa::path(post, path = "/join", tag = "joins", security(()), request_body = Enter,
    responses((status = 201, body = Invited), (status = "default", body = ProblemBody)))]
pub(super) async fn enter(
    State(api): State<Arc<Api>>,
    client: Client,
    Body(asked): Body<Enter>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    api.access.may_guess(Prefix::of(client.ip()), clock::instant())?;
    let (token, account) = (token_hash(&asked.token.0), name(&asked.account)?);
    // Before a password is hashed, which costs more than a stranger's guess may.
    api.store.open_join(&token, clock::now()).await?;
    let password = api.access.passwords.hash(acceptable(&asked.password)?).await?;
    let client = client.ip().to_string();
    let way = FirstWay::Password(&password);
    let (made, join) = api.store.join(&token, (account, way), &client, clock::now()).await?;
    came(&api, &made, &join);
    Ok((StatusCode::CREATED, Json(Invited::of(&made.name, join))))
}

fn came(api: &Api, made: &Account, join: &store::Join) {
    api.joins.send_modify(|changes| *changes += 1);
    info!(account = made.name, join = %join.id, "a new person came by a link");
}

/// Somebody with a link who has not decided yet.
#[derive(Deserialize, ToSchema)]
pub(super) struct Open {
    /// The link's first part.
    #[schema(value_type = String)]
    token: Bytes,
}

/// What a link that counts says.
#[derive(Serialize, ToSchema)]
pub(super) struct Offer {
    /// The customer's name at this relay.
    customer: String,
    /// Who made the link.
    by: String,
    /// The person's name, as the inviter said.
    name: String,
    /// `engineer` or `approver`.
    r#as: String,
    /// A browser's key without a touch is welcome.
    device: bool,
    /// Last second in which it counts.
    expires_at: u64,
}

/// Says what a link is for, and uses nothing up.
#[utoipa::path(post, path = "/join/look", tag = "joins", security(()), request_body = Open,
    responses((status = 200, body = Offer), (status = "default", body = ProblemBody)))]
pub(super) async fn look(
    State(api): State<Arc<Api>>,
    client: Client,
    Body(asked): Body<Open>,
) -> Result<Json<Offer>, Problem> {
    api.access.may_guess(Prefix::of(client.ip()), clock::instant())?;
    let (join, tenant) = api.store.open_join(&token_hash(&asked.token.0), clock::now()).await?;
    let customer = api.store.of(tenant).tenant().await?.name;
    let store::Invited { person: name, role, device } = join.invited;
    let expires_at = join.expires_at.0;
    Ok(Json(Offer { customer, by: join.created_by, name, r#as: role, device, expires_at }))
}

/// Somebody with a link who wants a passkey instead of a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct Begin {
    /// The link's first part.
    #[schema(value_type = String)]
    token: Bytes,
    /// Name of the account to be made; unique on the relay.
    account: String,
}

/// Begins to make a link's account with a passkey.
#[utoipa::path(post, path = "/join/passkey/start", tag = "joins", security(()), request_body = Begin,
    responses((status = 200, body = Challenge), (status = "default", body = ProblemBody)))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Begin>,
) -> Result<Json<Challenge>, Problem> {
    api.access.may_guess(Prefix::of(client.ip()), clock::instant())?;
    let (token, account) = (token_hash(&asked.token.0), name(&asked.account)?);
    api.store.open_join(&token, clock::now()).await?;
    let owner = Owner::Join { token, account: account.to_owned() };
    Ok(Json(begin_first(&api, &headers, account, owner)?))
}

/// A new person's first passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct Finish {
    /// The link's first part.
    #[schema(value_type = String)]
    token: Bytes,
    /// What the browser made.
    #[serde(flatten)]
    brought: Brought,
    /// What the login is for.
    #[serde(flatten)]
    keep: Keep,
}

/// Makes the account of a link with a passkey, and signs in with it. The link counts once.
#[utoipa::path(post, path = "/join/passkey", tag = "joins", security(()), request_body = Finish,
    responses((status = 201, body = LoggedIn), (status = "default", body = ProblemBody)))]
pub(super) async fn finish(
    State(api): State<Arc<Api>>,
    client: Client,
    headers: HeaderMap,
    Body(asked): Body<Finish>,
) -> Result<(StatusCode, Welcome), Problem> {
    let arrival = Arrival::new(&api, client, &headers, asked.keep)?;
    api.access.may_guess(Prefix::of(client.ip()), clock::instant())?;
    let token = token_hash(&asked.token.0);
    let made = asked.brought.made(&api)?;
    let Owner::Join { token: begun, account } = made.owner else { return Err(Code::PasskeyRefused.into()) };
    if begun != token {
        return Err(Code::PasskeyRefused.into());
    }
    let first = FirstPasskey { handle: made.handle, passkey: made.passkey };
    let (now, place) = (clock::now(), client.ip().to_string());
    let (account, join) = api.store.join(&token, (&account, FirstWay::Passkey(&first)), &place, now).await?;
    came(&api, &account, &join);
    arrival.by_passkey(account, now).await
}

/// A new person's key.
#[derive(Deserialize, ToSchema)]
pub(super) struct Key {
    /// As a line of `authorized_keys`.
    key: String,
    /// What kind of key it is, as the trust log spells it.
    kind: String,
    /// What the link's secret says about both.
    #[schema(value_type = String)]
    mac: Bytes,
}

/// Sends the new person's key to whoever made the link. The first one stays.
#[utoipa::path(post, path = "/join/key", tag = "joins", security(("login" = [])), request_body = Key,
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn key(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(Key { key: line, kind, mac }): Body<Key>,
) -> Result<StatusCode, Problem> {
    let is_line = !line.is_empty() && one_line(&line, KEY_CHARS_MAX) == line;
    let in_kind = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_kind = (1..=KIND_CHARS_MAX).contains(&kind.len()) && kind.chars().all(in_kind);
    if !is_line || !is_kind || mac.0.len() != MAC_BYTES {
        return Err(Problem::with(Code::BadRequest, "key, kind and mac of a link"));
    }
    let key = JoinKey { line, kind, mac: mac.0 };
    caller.scoped(&api).put_join_key(&key, caller.actor(), clock::now()).await?;
    api.joins.send_modify(|changes| *changes += 1);
    Ok(StatusCode::NO_CONTENT)
}

/// How it stands with the link that made one's own account; with `wait`, answers when it is over, or the time is.
#[utoipa::path(get, path = "/join", tag = "joins", security(("login" = [])), params(Wait),
    responses((status = 200, body = Invited), (status = "default", body = ProblemBody)))]
pub(super) async fn mine(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(Wait { wait }): Asked<Wait>,
) -> Result<Json<Invited>, Problem> {
    let mine = held(&api, &api.joins, wait, || async {
        let row = caller.scoped(&api).join_of(&caller.account.name).await?.ok_or(Code::Unknown)?;
        let over = row.state(clock::now()).is_over();
        let mine = Invited::of(&caller.account.name, row);
        Ok(if over { Look::News(mine) } else { Look::Same(mine, None) })
    });
    Ok(Json(mine.await?))
}

impl From<JoinRefused> for Problem {
    fn from(refused: JoinRefused) -> Self {
        match refused {
            JoinRefused::Token => Code::Join.into(),
            JoinRefused::Taken => Code::NameTaken.into(),
            JoinRefused::Known => Code::PasskeyKnown.into(),
            JoinRefused::Store(error) => error.into(),
        }
    }
}
