//! The customer's trust log: signed elsewhere, verified elsewhere, kept here.

use super::Api;
use super::caller::{Asked, Body, Caller};
use super::encoding::{Bytes, Hex};
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::logs::AppendRefused;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::{Hash, TenantId};
use cloud_doctor_proto::limits::ENTRIES_PAGE;
use cloud_doctor_proto::refusal::Language;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::error;
use utoipa::{IntoParams, ToSchema};

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Number of the first entry to send; 0 is the first of all.
    #[serde(default)]
    from: u64,
}

/// A page of the log.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    /// The customer: hash of the first entry. Absent while there is none.
    #[schema(value_type = Option<String>)]
    tenant: Option<Hex<TenantId>>,
    /// The newest entry.
    head: Option<Head>,
    /// Signed entries in order.
    #[schema(value_type = Vec<String>)]
    entries: Vec<Bytes>,
    /// Ask again from after the last of these.
    more: bool,
}

/// A place in the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrustHead)]
pub(super) struct Head {
    /// Number of the entry.
    seq: u64,
    /// Its hash.
    #[schema(value_type = String)]
    hash: Hex<Hash>,
}

impl Head {
    fn of(head: TrustHead) -> Self {
        Self { seq: head.seq, hash: Hex(head.hash) }
    }
}

/// Reads the log, at most 100 entries at once.
#[utoipa::path(get, path = "/trust-log", tag = "trust", security(("login" = [])), params(From),
    responses((status = 200, body = Page), (status = "default", body = ProblemBody)))]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(From { from }): Asked<From>,
) -> Result<Json<Page>, Problem> {
    let scoped = caller.scoped(&api);
    let tenant = scoped.tenant().await?.genesis.map(Hex);
    let entries: Vec<Bytes> = scoped.log_entries(from, ENTRIES_PAGE).await?.into_iter().map(Bytes).collect();
    let head = scoped.log_head().await?;
    let sent = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
    let more = !entries.is_empty() && head.is_some_and(|head| head.seq >= sent);
    Ok(Json(Page { tenant, head: head.map(Head::of), entries, more }))
}

/// A signed entry. It names the head that it continues.
#[derive(Deserialize, ToSchema)]
pub(super) struct Append {
    /// The signed entry.
    #[schema(value_type = String)]
    entry: Bytes,
}

/// Where the log stands now.
#[derive(Serialize, ToSchema)]
pub(super) struct Appended {
    /// The entry that was appended.
    head: Head,
}

/// Appends a signed entry; the first one makes the log. `head-moved` (409) carries the present `head`.
#[utoipa::path(post, path = "/trust-log", tag = "trust", security(("login" = [])), request_body = Append,
    responses((status = 201, body = Appended), (status = "default", body = ProblemBody)))]
pub(super) async fn append(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(Append { entry }): Body<Append>,
) -> Result<(StatusCode, Json<Appended>), Problem> {
    let head = api.logs.append(caller.account.tenant, &entry.0, caller.actor(), clock::now()).await?;
    Ok((StatusCode::CREATED, Json(Appended { head: Head::of(head) })))
}

impl std::convert::From<AppendRefused> for Problem {
    fn from(refused: AppendRefused) -> Self {
        match refused {
            AppendRefused::HeadMoved { head } => {
                let head = head.map(Head::of).and_then(|head| serde_json::to_value(head).ok());
                Problem::from(Code::HeadMoved).and("head", head.unwrap_or_default())
            }
            AppendRefused::Entry(why) => Problem::telling(Code::EntryRefused, |language| why.text(language)),
            AppendRefused::Enrol => Problem::telling(Code::EntryRefused, |language| match language {
                Language::En => AppendRefused::Enrol.to_string(),
                Language::Zh => "服务器须通过接入命令加入".to_owned(),
            }),
            AppendRefused::OtherTenant => Code::OtherTenant.into(),
            AppendRefused::Unreadable(why) => {
                error!(%why, "a stored trust log does not verify");
                Code::Failed.into()
            }
            AppendRefused::Store(error) => error.into(),
        }
    }
}
