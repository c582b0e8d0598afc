//! Streams and the audit log: who, when, how much. Never what.

use super::Api;
use super::caller::{Asked, Caller};
use super::encoding::Hex;
use super::problem::{Problem, ProblemBody};
use crate::store::{AuditRow, StreamRow};
use axum::Json;
use axum::extract::State;
use cloud_doctor_proto::ids::{AgentId, ChannelId, StreamId, VisitId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Streams in one answer.
const STREAMS_PAGE: u32 = 200;
/// Audit rows in one answer.
const AUDIT_PAGE: u32 = 500;

/// Streams, open ones first.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// At most 200.
    sessions: Vec<Session>,
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

/// Lists streams.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("login" = [])),
    responses((status = 200, body = Sessions), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Sessions>, Problem> {
    let rows = caller.scoped(&api).streams(STREAMS_PAGE).await?;
    Ok(Json(Sessions { sessions: rows.into_iter().map(Session::of).collect() }))
}

/// From where on.
#[derive(Deserialize, IntoParams)]
pub(super) struct After {
    /// Number of the last event that is known; 0 for all.
    #[serde(default)]
    after: u64,
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
    Asked(After { after }): Asked<After>,
) -> Result<Json<Audit>, Problem> {
    let rows = caller.scoped(&api).audit_rows(after, AUDIT_PAGE).await?;
    Ok(Json(Audit { events: rows.into_iter().map(Event::of).collect() }))
}
