//! The customer's servers.

use super::Api;
use super::caller::{Admin, Caller, Id};
use super::encoding::Hex;
use super::problem::{Code, Problem, ProblemBody};
use crate::clock;
use crate::store::AgentRow;
use crate::tunnels::registry::Live;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::AgentId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// All servers.
#[derive(Serialize, ToSchema)]
pub(super) struct Servers {
    /// By name.
    servers: Vec<Server>,
}

/// A server. What it says about itself is a stranger's text: escape it where it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Server {
    /// Hash of its identity. Compare it with the trust log, not with this list.
    #[schema(value_type = String)]
    id: Hex<AgentId>,
    /// Its name in the trust log.
    name: String,
    /// What it calls itself.
    hostname: String,
    /// Its system.
    os: String,
    /// Its kernel.
    kernel: String,
    /// Its machine architecture.
    arch: String,
    /// The agent's build.
    build: String,
    /// When it was enrolled here.
    enrolled_at: u64,
    /// When a tunnel last stood, about.
    last_seen_at: Option<u64>,
    /// Its tunnel, if one stands now.
    online: Option<Online>,
}

/// A living tunnel.
#[derive(Serialize, ToSchema)]
pub(super) struct Online {
    /// Since when.
    since: u64,
    /// Round trip between relay and server in milliseconds.
    rtt_ms: u32,
    /// The address it comes from.
    remote: String,
    /// Client streams that are open.
    streams: usize,
}

impl Server {
    fn of(row: AgentRow, live: Option<Live>) -> Self {
        Self {
            id: Hex(row.agent),
            name: row.name,
            hostname: row.host.hostname,
            os: row.host.os,
            kernel: row.host.kernel,
            arch: row.host.arch,
            build: row.build,
            enrolled_at: row.enrolled_at.0,
            last_seen_at: row.last_seen_at.map(|at| at.0),
            online: live.map(|live| Online {
                since: live.since.0,
                rtt_ms: live.rtt_ms,
                remote: live.address.to_string(),
                streams: live.streams,
            }),
        }
    }
}

/// Lists servers.
#[utoipa::path(get, path = "/servers", tag = "servers", security(("login" = [])),
    responses((status = 200, body = Servers), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Servers>, Problem> {
    let rows = caller.scoped(&api).agents().await?;
    let servers = rows.into_iter().map(|row| {
        let live = api.registry.live(&row.agent);
        Server::of(row, live)
    });
    Ok(Json(Servers { servers: servers.collect() }))
}

/// Takes a server's transport key off the list and closes its tunnel. The trust log is another matter.
#[utoipa::path(delete, path = "/servers/{id}", tag = "servers", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Admin(caller): Admin,
    Id(id): Id<AgentId>,
) -> Result<StatusCode, Problem> {
    if !caller.scoped(&api).remove_agent(&id, caller.actor(), clock::now()).await? {
        return Err(Code::Unknown.into());
    }
    api.registry.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}
