//! The customer's servers.

use super::Api;
use super::caller::{Admin, Asked, Body, Caller, Id};
use super::encoding::Hex;
use super::problem::{Code, Problem, ProblemBody};
use super::sessions::Session;
use crate::clock;
use crate::store::{AgentRow, LABELS_MAX, Label, LabelsRefused, NotALabel};
use crate::tunnels::registry::Live;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloud_doctor_proto::ids::AgentId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

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
    /// Its processors, if its agent says.
    cpus: Option<u32>,
    /// Its main memory, if its agent says.
    memory_bytes: Option<u64>,
    /// When its system was started, by its own clock, if its agent says.
    booted_at: Option<u64>,
    /// The agent's build.
    build: String,
    /// When it was enrolled here.
    enrolled_at: u64,
    /// When a tunnel last stood, about.
    last_seen_at: Option<u64>,
    /// Its tunnel, if one stands now.
    online: Option<Online>,
    /// What the customer's people call it by, in order: words and `key=value`.
    labels: Vec<String>,
    /// Accounts that have a stream to it open.
    here: u64,
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
    fn of(row: AgentRow, live: Option<Live>, labels: &BTreeSet<Label>, here: u64) -> Self {
        Self {
            id: Hex(row.agent),
            name: row.name,
            hostname: row.host.hostname,
            os: row.host.os,
            kernel: row.host.kernel,
            arch: row.host.arch,
            cpus: row.host.cpus,
            memory_bytes: row.host.memory_bytes,
            booted_at: row.host.booted_at.map(|at| at.0),
            build: row.build,
            enrolled_at: row.enrolled_at.0,
            last_seen_at: row.last_seen_at.map(|at| at.0),
            online: live.map(|live| Online {
                since: live.since.0,
                rtt_ms: live.rtt_ms,
                remote: live.address.to_string(),
                streams: live.streams,
            }),
            labels: texts(labels),
            here,
        }
    }
}

fn texts(labels: &BTreeSet<Label>) -> Vec<String> {
    labels.iter().map(Label::to_string).collect()
}

/// Which servers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Labels that a server must have, all of them, with commas between them. A key without a value means any value.
    #[serde(default)]
    label: String,
}

/// Lists servers.
#[utoipa::path(get, path = "/servers", tag = "servers", security(("login" = [])), params(Which),
    responses((status = 200, body = Servers), (status = "default", body = ProblemBody)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(Which { label }): Asked<Which>,
) -> Result<Json<Servers>, Problem> {
    let wanted = parsed(label.split(',').filter(|text| !text.is_empty()))?;
    let scoped = caller.scoped(&api);
    let (rows, mut labels, here) = (scoped.agents().await?, scoped.labels().await?, scoped.people_here().await?);
    let servers = rows.into_iter().filter_map(|row| {
        let labels = labels.remove(&row.agent).unwrap_or_default();
        let live = api.registry.live(&row.agent);
        let here = here.get(&row.agent).copied().unwrap_or(0);
        wanted.iter().all(|label| label.is_among(&labels)).then(|| Server::of(row, live, &labels, here))
    });
    Ok(Json(Servers { servers: servers.collect() }))
}

/// At most as many as a server may have.
fn parsed<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Label>, Problem> {
    let labels: Vec<Label> = texts.take(LABELS_MAX + 1).map(str::parse).collect::<Result<_, _>>()?;
    if labels.len() > LABELS_MAX { Err(LabelsRefused::TooMany.into()) } else { Ok(labels) }
}

/// A server with those who are on it.
#[derive(Serialize, ToSchema)]
pub(super) struct Facts {
    /// The server, as in the list.
    #[serde(flatten)]
    server: Server,
    /// Open streams to it, oldest first. What each is for is what its client said.
    streams: Vec<Session>,
}

/// One server.
#[utoipa::path(get, path = "/servers/{id}", tag = "servers", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 200, body = Facts), (status = "default", body = ProblemBody)))]
pub(super) async fn facts(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Json<Facts>, Problem> {
    let scoped = caller.scoped(&api);
    let row = scoped.agent(&id).await?.ok_or(Code::Unknown)?;
    let (labels, open) = (scoped.labels_of(&id).await?, scoped.streams_to(&id).await?);
    let people: BTreeSet<&str> = open.iter().map(|stream| stream.opened.account.as_str()).collect();
    let here = u64::try_from(people.len()).unwrap_or(u64::MAX);
    let server = Server::of(row, api.registry.live(&id), &labels, here);
    Ok(Json(Facts { server, streams: open.into_iter().map(Session::of).collect() }))
}

/// A change of labels.
#[derive(Deserialize, ToSchema)]
pub(super) struct Change {
    /// Labels to put on: words and `key=value`. A key has one value, so another one goes.
    #[serde(default)]
    add: Vec<String>,
    /// Labels to take off, before that. A key without a value means any value.
    #[serde(default)]
    remove: Vec<String>,
}

/// Labels of a server.
#[derive(Serialize, ToSchema)]
pub(super) struct Labels {
    /// In order.
    labels: Vec<String>,
}

/// Puts labels on a server and takes others off; answers with what it has then.
#[utoipa::path(post, path = "/servers/{id}/labels", tag = "servers", security(("login" = [])), request_body = Change,
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 200, body = Labels), (status = "default", body = ProblemBody)))]
pub(super) async fn label(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Body(Change { add, remove }): Body<Change>,
) -> Result<Json<Labels>, Problem> {
    let [add, remove] = [add, remove].map(|texts| parsed(texts.iter().map(String::as_str)));
    let labels = caller.scoped(&api).label(&id, (&add?, &remove?), caller.actor(), clock::now()).await?;
    Ok(Json(Labels { labels: texts(&labels) }))
}

impl From<NotALabel> for Problem {
    fn from(_: NotALabel) -> Self {
        Code::BadLabel.into()
    }
}

impl From<LabelsRefused> for Problem {
    fn from(refused: LabelsRefused) -> Self {
        match refused {
            LabelsRefused::Unknown => Code::Unknown.into(),
            LabelsRefused::TooMany => Code::BadLabel.into(),
            LabelsRefused::Store(error) => error.into(),
        }
    }
}

/// Takes a server's transport key off the list and closes its tunnel, without a word of a root: for a server that nobody
/// may sign away any more. An entry of the trust log that removes a server does the same by itself.
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
