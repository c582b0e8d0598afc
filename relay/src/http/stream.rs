//! The WebSocket to a server: who may, a row before the first byte, a row after the last.

use super::Api;
use super::caller::{Asked, Caller, Id};
use super::encoding::{Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use crate::broker::ws::{self, Report};
use crate::clock;
use crate::store::{StreamClosed, StreamOpened, TenantRef};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;
use cloud_doctor_proto::ids::{AgentId, ChannelId, StreamId, VisitId};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{info, warn};
use utoipa::IntoParams;

/// What the client says about the stream: for lists, never for a decision.
#[derive(Deserialize, IntoParams)]
pub(super) struct Purpose {
    /// `shell`, `exec` or `attach`.
    #[serde(default)]
    purpose: SaidPurpose,
    /// The visit it belongs to, in hex.
    #[param(value_type = Option<String>)]
    visit: Option<Hex<VisitId>>,
    /// The channel it will open, in hex.
    #[param(value_type = Option<String>)]
    channel: Option<Hex<ChannelId>>,
}

/// Purposes that lists know.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SaidPurpose {
    Shell,
    Exec,
    Attach,
    #[default]
    Other,
}

impl SaidPurpose {
    fn id(self) -> &'static str {
        match self {
            SaidPurpose::Shell => "shell",
            SaidPurpose::Exec => "exec",
            SaidPurpose::Attach => "attach",
            SaidPurpose::Other => "other",
        }
    }
}

/// Opens a sealed stream to a server: a WebSocket with the subprotocol `cloud-doctor.v1`.
#[utoipa::path(get, path = "/servers/{id}/stream", tag = "servers", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), Purpose),
    responses((status = 101), (status = "default", body = ProblemBody)))]
pub(super) async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Asked(purpose): Asked<Purpose>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let upgrade = upgrade.map_err(|_| Code::NotWebSocket)?;
    let opened = StreamOpened {
        stream: StreamId(ListId::random()?.0),
        account: caller.account.name.clone(),
        agent,
        client: caller.client.clone(),
        purpose: purpose.purpose.id().to_owned(),
        visit: purpose.visit.map(|Hex(id)| id),
        channel: purpose.channel.map(|Hex(id)| id),
    };
    scoped.stream_opened(&opened, clock::now()).await?;
    let ask = ws::Ask { agent, account: opened.account.clone(), client: opened.client.clone(), stream: opened.stream };
    let mut end = End {
        api: api.clone(),
        tenant: caller.account.tenant,
        stream: opened.stream,
        place: Some(api.in_use.enter(caller.login)),
        closed: None,
        _open: api.tasks.token(),
    };
    let origins: Vec<String> = api.public_name.iter().map(|name| format!("https://{name}")).collect();
    Ok(ws::accept(upgrade, &headers, &origins, api.broker.clone(), ask, move |report| end.set(&report)))
}

/// Writes the stream's end when it is dropped, whether it was piped or refused.
struct End {
    api: Arc<Api>,
    tenant: TenantRef,
    stream: StreamId,
    place: Option<Place>,
    closed: Option<StreamClosed>,
    /// A stopping relay waits for this.
    _open: TaskTrackerToken,
}

impl End {
    fn set(&mut self, report: &Report) {
        self.closed = Some(StreamClosed {
            bytes_up: report.bytes_to_agent,
            bytes_down: report.bytes_to_client,
            reason: report.why.text().to_owned(),
        });
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let refused = || StreamClosed { bytes_up: 0, bytes_down: 0, reason: "not opened".to_owned() };
        let closed = self.closed.take().unwrap_or_else(refused);
        let (api, tenant, stream, place) = (self.api.clone(), self.tenant, self.stream, self.place.take());
        let tasks = api.tasks.clone();
        tasks.spawn(async move {
            info!(%stream, up = closed.bytes_up, down = closed.bytes_down, why = closed.reason, "stream ended");
            if let Err(error) = api.store.of(tenant).stream_closed(&stream, &closed, clock::now()).await {
                warn!(%error, %stream, "could not note the end of a stream");
            }
            drop(place);
        });
    }
}

/// Logins with open streams. They are in use, although no request comes.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<Mutex<HashMap<[u8; 32], usize>>>);

impl InUse {
    fn enter(&self, login: [u8; 32]) -> Place {
        // The lock is for one look at a table.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(login).or_default() += 1;
        Place { of: self.clone(), login }
    }

    /// Which.
    #[must_use]
    pub fn logins(&self) -> Vec<[u8; 32]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }
}

/// One open stream of a login.
struct Place {
    of: InUse,
    login: [u8; 32],
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.login) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.login);
            }
        }
    }
}
