//! Streams and the audit log: who, when, how much. Never what.

use super::Api;
use super::caller::{Asked, Caller, Id};
use super::encoding::Hex;
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::store::{Action, AuditRow, Role, StreamRow, WhichStreams};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::{AgentId, ChannelId, StreamId, VisitId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Streams in one answer.
const STREAMS_PAGE: u32 = 200;
/// Audit rows in one answer.
const AUDIT_PAGE: u32 = 500;

/// Streams, open ones first, then the newest.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// At most 200.
    sessions: Vec<Session>,
    /// There are more: ask again, from before the last of these.
    more: bool,
}

/// A stream between a client and a server.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// Its id.
    #[schema(value_type = String)]
    stream: Hex<StreamId>,
    /// Who opened it.
    account: String,
    /// Where it leads.
    #[schema(value_type = String)]
    server: Hex<AgentId>,
    /// The address that the client came from.
    client: String,
    /// What the client said it is for.
    purpose: String,
    /// The visit, as the client said.
    #[schema(value_type = Option<String>)]
    visit: Option<Hex<VisitId>>,
    /// The channel, as the client said.
    #[schema(value_type = Option<String>)]
    channel: Option<Hex<ChannelId>>,
    /// When it began.
    opened_at: u64,
    /// When it ended.
    closed_at: Option<u64>,
    /// Sealed bytes towards the server, once ended.
    bytes_up: u64,
    /// Sealed bytes from the server, once ended.
    bytes_down: u64,
    /// Why it ended.
    reason: Option<String>,
}

impl Session {
    pub(super) fn of(row: StreamRow) -> Self {
        Self {
            stream: Hex(row.opened.stream),
            account: row.opened.account,
            server: Hex(row.opened.agent),
            client: row.opened.client,
            purpose: row.opened.purpose,
            visit: row.opened.visit.map(Hex),
            channel: row.opened.channel.map(Hex),
            opened_at: row.opened_at.0,
            closed_at: row.closed_at.map(|at| at.0),
            bytes_up: row.bytes_up,
            bytes_down: row.bytes_down,
            reason: row.reason,
        }
    }
}

/// Which streams.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// To this server.
    #[param(value_type = Option<String>)]
    server: Option<Hex<AgentId>>,
    /// Of this account.
    account: Option<String>,
    /// `open` or `past`; absent for both, open ones first.
    state: Option<IsOpen>,
    /// Ended ones that began before this stream: the last one of an answer.
    #[param(value_type = Option<String>)]
    before: Option<Hex<StreamId>>,
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum IsOpen {
    /// It does.
    Open,
    /// It has ended.
    Past,
}

/// Lists streams.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("login" = [])), params(Which),
    responses((status = 200, body = Sessions), (status = "default", body = ProblemBody)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(Which { server, account, state, before }): Asked<Which>,
) -> Result<Json<Sessions>, Problem> {
    // What is listed before others by being open has no place among those before a moment.
    let state = state.or(before.map(|_| IsOpen::Past));
    let which = WhichStreams {
        agent: server.map(|Hex(id)| id),
        account,
        open: state.map(|state| state == IsOpen::Open),
        before: before.map(|Hex(id)| id),
    };
    let mut rows = caller.scoped(&api).streams(&which, STREAMS_PAGE + 1).await?;
    let page = usize::try_from(STREAMS_PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > page;
    rows.truncate(page);
    Ok(Json(Sessions { sessions: rows.into_iter().map(Session::of).collect(), more }))
}

/// Ends an open stream: by its own account, or an admin. Its client is told and does not come back by itself. What it
/// showed goes on on the server until its visit is over or somebody ends it there.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", security(("login" = [])),
    params(("id" = String, Path, description = "the stream's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn cut(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<StreamId>,
) -> Result<StatusCode, Problem> {
    let scoped = caller.scoped(&api);
    let row = scoped.stream(&id).await?.filter(|row| row.closed_at.is_none()).ok_or(Code::Unknown)?;
    if row.opened.account != caller.account.name && caller.account.role != Role::Admin {
        return Err(Code::NotAdmin.into());
    }
    scoped.note(caller.actor(), Action::StreamCut, &id.to_string(), clock::now()).await?;
    api.in_use.end(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// Number of the last event that is known; 0 for all.
    #[serde(default)]
    after: u64,
    /// In place of that: the last events before this number; the largest that there is, 9007199254740991, for the newest.
    before: Option<u64>,
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct Audit {
    /// In order, at most 500.
    events: Vec<Event>,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub(super) struct Event {
    /// Its number; there are no gaps.
    seq: u64,
    /// When, by the relay's clock.
    at: u64,
    /// Who; empty for hosts.
    account: String,
    /// From which address.
    client: String,
    /// What.
    action: String,
    /// To what.
    subject: String,
}

impl Event {
    fn of(row: AuditRow) -> Self {
        let AuditRow { seq, at, account, client, action, subject } = row;
        Self { seq, at: at.0, account, client, action, subject }
    }
}

/// Reads the customer's audit log on this relay.
#[utoipa::path(get, path = "/audit", tag = "sessions", security(("login" = [])), params(After),
    responses((status = 200, body = Audit), (status = "default", body = ProblemBody)))]
pub(super) async fn audit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(After { after, before }): Asked<After>,
) -> Result<Json<Audit>, Problem> {
    let scoped = caller.scoped(&api);
    let rows = match before {
        Some(before) => scoped.audit_rows_before(before, AUDIT_PAGE).await?,
        None => scoped.audit_rows(after, AUDIT_PAGE).await?,
    };
    Ok(Json(Audit { events: rows.into_iter().map(Event::of).collect() }))
}
