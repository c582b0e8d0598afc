//! The WebSocket to a server: who may, a row before the first byte, a row after the last.

use super::caller::{Asked, Caller, Id, Shown};
use super::encoding::{Hex, ListId};
use super::problem::{Code, Problem, ProblemBody};
use super::{Api, page};
use crate::access::NoTicket;
use crate::broker::ws::{self, Report};
use crate::clock;
use crate::store::{AccountRef, Action, StreamClosed, StreamOpened, TenantRef};
use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cloud_doctor_proto::ids::{AgentId, ChannelId, StreamId, VisitId};
use cloud_doctor_proto::refusal::one_line;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{info, warn};
use utoipa::{IntoParams, ToSchema};

/// Longest path in the audit.
const PATH_CHARS: usize = 200;

/// What the client says about the stream: for lists, never for a decision.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
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
    Watch,
    Ask,
    #[default]
    Other,
}

impl SaidPurpose {
    fn id(self) -> &'static str {
        match self {
            SaidPurpose::Shell => "shell",
            SaidPurpose::Exec => "exec",
            SaidPurpose::Attach => "attach",
            SaidPurpose::Watch => "watch",
            SaidPurpose::Ask => "ask",
            SaidPurpose::Other => "other",
        }
    }

    /// Whether somebody works on such a stream as long as it is open. A page asks questions by a timer as well.
    fn is_use(self) -> bool {
        match self {
            SaidPurpose::Ask => false,
            SaidPurpose::Shell | SaidPurpose::Exec | SaidPurpose::Attach | SaidPurpose::Watch | SaidPurpose::Other => {
                true
            }
        }
    }
}

/// Somebody who may open a stream from where they ask: a page of ours with a ticket, or no page at all.
#[derive(Debug)]
pub(super) struct Opener(pub(super) Caller);

impl FromRequestParts<Arc<Api>> for Opener {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let may = match caller.by {
            Shown::Cookie => page::may_stream(api, &parts.headers, &caller.login),
            Shown::Bearer => page::may_bring_a_token(api, &parts.headers),
        };
        if let Err(code) = may {
            let to = one_line(parts.uri.path(), PATH_CHARS);
            caller.scoped(api).note(caller.actor(), Action::StreamRefused, &to, clock::now()).await?;
            return Err(code.into());
        }
        Ok(Self(caller))
    }
}

/// A ticket for one stream.
#[derive(Serialize, ToSchema)]
pub(super) struct Ticket {
    /// For the subprotocol `ticket.…`, once, within 30 seconds.
    ticket: String,
}

/// Asks for a ticket, which a page needs beside its cookie to open a stream.
#[utoipa::path(post, path = "/stream-tickets", tag = "servers", security(("login" = [])),
    responses((status = 201, body = Ticket), (status = "default", body = ProblemBody)))]
pub(super) async fn ticket(State(api): State<Arc<Api>>, caller: Caller) -> Result<(StatusCode, Json<Ticket>), Problem> {
    // A page reads no answer to a handshake: here it can be told to wait.
    if !api.broker.may_open(&caller.account.name, clock::instant()) {
        return Err(Code::Limited.into());
    }
    match api.access.tickets.issue(&caller.login, clock::instant()) {
        Ok(ticket) => Ok((StatusCode::CREATED, Json(Ticket { ticket }))),
        Err(NoTicket::Full) => Err(Problem::with(Code::TooMany, "32 tickets were not used yet")),
        Err(NoTicket::Randomness(error)) => Err(error.into()),
    }
}

/// Opens a sealed stream to a server: a WebSocket with the subprotocol `cloud-doctor.v1`. A page offers `ticket.…`,
/// with a ticket from `/stream-tickets`, as a second subprotocol.
#[utoipa::path(get, path = "/servers/{id}/stream", tag = "servers", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), Purpose),
    responses((status = 101), (status = "default", body = ProblemBody)))]
pub(super) async fn open(
    State(api): State<Arc<Api>>,
    Opener(caller): Opener,
    Id(id): Id<AgentId>,
    Asked(purpose): Asked<Purpose>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let agent = caller.scoped(&api).agent(&id).await?.ok_or(Code::Unknown)?.agent;
    open_to(api, caller, agent, purpose, &headers, upgrade).await
}

/// Opens a stream to an agent that the caller was found to reach.
pub(super) async fn open_to(
    api: Arc<Api>,
    caller: Caller,
    agent: AgentId,
    purpose: Purpose,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Code::NotWebSocket)?;
    if !api.broker.may_open(&caller.account.name, clock::instant()) {
        return Err(Code::Limited.into());
    }
    let opened = StreamOpened {
        stream: StreamId(ListId::random()?.0),
        account: caller.account.name.clone(),
        agent,
        client: caller.client.clone(),
        purpose: purpose.purpose.id().to_owned(),
        visit: purpose.visit.map(|Hex(id)| id),
        channel: purpose.channel.map(|Hex(id)| id),
    };
    caller.scoped(&api).stream_opened(&opened, clock::now()).await?;
    let place = match purpose.purpose.is_use() {
        true => api.in_use.enter(&caller, opened.stream),
        false => api.in_use.look_on(&caller, opened.stream),
    };
    let ask = ws::Ask {
        agent,
        account: opened.account.clone(),
        client: opened.client.clone(),
        stream: opened.stream,
        cut: place.cut.clone(),
        end: place.end.clone(),
    };
    let mut end = End {
        api: api.clone(),
        tenant: caller.account.tenant,
        stream: opened.stream,
        place: Some(place),
        closed: None,
        _open: api.tasks.token(),
    };
    let origins: Vec<String> = page::origin(&api, headers).into_iter().chain(api.console_origins.clone()).collect();
    Ok(ws::accept(upgrade, headers, &origins, api.broker.clone(), ask, move |report| end.set(&report)))
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
        let cut = self.place.as_ref().is_some_and(|place| place.cut.is_cancelled());
        let reason = if cut { "the login ended" } else { "not opened" };
        let without = || StreamClosed { bytes_up: 0, bytes_down: 0, reason: reason.to_owned() };
        let closed = self.closed.take().unwrap_or_else(without);
        let (api, tenant, stream, place) = (self.api.clone(), self.tenant, self.stream, self.place.take());
        let tasks = api.tasks.clone();
        tasks.spawn(async move {
            info!(%stream, up = closed.bytes_up, down = closed.bytes_down, why = closed.reason, "stream ended");
            match api.store.of(tenant).stream_closed(&stream, &closed, clock::now()).await {
                Ok(false) => {}
                Ok(true) => api.approvals.send_modify(|changes| *changes += 1),
                Err(error) => warn!(%error, %stream, "could not note the end of a stream"),
            }
            drop(place);
        });
    }
}

/// Open streams by the login that opened them: those logins are in use, although no request comes.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<Mutex<HashMap<[u8; 32], Streams>>>);

/// The open streams of a login.
#[derive(Debug)]
struct Streams {
    account: AccountRef,
    /// Ends all of them at once, without a word.
    cut: CancellationToken,
    open: HashMap<StreamId, Open>,
}

#[derive(Debug)]
struct Open {
    /// Ends it alone.
    end: CancellationToken,
    /// Whether it is use of its login: a page that shows metrics to nobody keeps nobody signed in.
    is_use: bool,
}

impl InUse {
    /// A stream on which somebody works.
    pub(super) fn enter(&self, caller: &Caller, stream: StreamId) -> Place {
        self.open(caller, stream, true)
    }

    /// A stream on which somebody only looks on: it ends with its login, and does not keep it.
    pub(super) fn look_on(&self, caller: &Caller, stream: StreamId) -> Place {
        self.open(caller, stream, false)
    }

    fn open(&self, caller: &Caller, stream: StreamId, is_use: bool) -> Place {
        // The lock is for one look at a table.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = table.entry(caller.login).or_insert_with(|| Streams {
            account: caller.account.account,
            cut: CancellationToken::new(),
            open: HashMap::new(),
        });
        let end = CancellationToken::new();
        streams.open.insert(stream, Open { end: end.clone(), is_use });
        Place { of: self.clone(), login: caller.login, stream, cut: streams.cut.clone(), end }
    }

    /// Ends one stream.
    pub(super) fn end(&self, stream: &StreamId) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = table.values().find_map(|streams| streams.open.get(stream)) {
            open.end.cancel();
        }
    }

    /// Which logins have streams, and whether those are use of it.
    #[must_use]
    pub fn logins(&self) -> Vec<([u8; 32], bool)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|(login, streams)| (*login, streams.open.values().any(|open| open.is_use))).collect()
    }

    /// Cuts the streams of a login.
    pub(crate) fn cut_login(&self, login: &[u8; 32]) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = table.get(login) {
            streams.cut.cancel();
        }
    }

    /// Cuts the streams of an account, but those of the login `keep`.
    pub(super) fn cut(&self, account: AccountRef, keep: Option<&[u8; 32]>) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, streams) in table.iter().filter(|(login, s)| s.account == account && Some(*login) != keep) {
            streams.cut.cancel();
        }
    }
}

/// One open stream of a login.
pub(super) struct Place {
    of: InUse,
    login: [u8; 32],
    stream: StreamId,
    pub(super) cut: CancellationToken,
    end: CancellationToken,
}

impl Place {
    /// Ends when somebody who may has ended this stream.
    pub(super) async fn ended(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = table.get_mut(&self.login) {
            streams.open.remove(&self.stream);
            if streams.open.is_empty() {
                table.remove(&self.login);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{FirstAccount, Store};

    #[test]
    fn aut_08_questions_that_a_page_asks_again_and_again_are_no_work() {
        let all = ["shell", "exec", "attach", "watch", "ask", "other"];
        let read = |text: &str| serde_json::from_value::<SaidPurpose>(text.into()).unwrap();
        assert_eq!(all.map(|text| read(text).is_use()), [true, true, true, true, false, true]);
    }

    #[tokio::test]
    async fn rly_08_streams_of_a_removed_account_are_cut_and_of_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("relay.db")).await.unwrap();
        let mut callers = Vec::new();
        for (at, account) in ["ann", "bob"].into_iter().enumerate() {
            let first = FirstAccount { tenant_name: "t".into(), account: account.into(), password: "$hash".into() };
            let tenant = store.add_tenant(&first, clock::now()).await.unwrap();
            let account = store.of(tenant).accounts().await.unwrap().remove(0);
            callers.push(Caller {
                account,
                login: [u8::try_from(at).unwrap(); 32],
                client: String::new(),
                by: Shown::Bearer,
            });
        }
        let elsewhere = Caller { login: [9; 32], ..callers[0].clone() };
        let in_use = InUse::default();
        let enter = |(caller, stream)| in_use.enter(caller, StreamId([stream; 16]));
        let [ann, bob, ann_elsewhere] = [(&callers[0], 1), (&callers[1], 2), (&elsewhere, 3)].map(enter);
        let again = enter((&callers[0], 4));
        in_use.end(&StreamId([1; 16]));
        let ended = [&ann, &bob, &ann_elsewhere, &again].map(|place| place.end.is_cancelled());
        assert_eq!(ended, [true, false, false, false], "one stream is ended and no other");
        in_use.cut(callers[0].account.account, Some(&callers[0].login));
        let cut = || [&ann, &bob, &ann_elsewhere].map(|place| place.cut.is_cancelled());
        assert_eq!(cut(), [false, false, true], "a new password keeps the login that set it");
        in_use.cut(callers[0].account.account, None);
        assert_eq!(cut(), [true, false, true]);
        in_use.cut_login(&callers[1].login);
        assert_eq!(cut(), [true, true, true], "a page signs out");
        drop((ann, bob, ann_elsewhere));
        assert_eq!(in_use.logins(), [(callers[0].login, true)], "another stream of this login is open");
        drop(again);
        assert!(in_use.logins().is_empty());
        let looking = in_use.look_on(&callers[0], StreamId([7; 16]));
        assert_eq!(in_use.logins(), [(callers[0].login, false)], "who looks on is not at work");
        in_use.cut_login(&callers[0].login);
        assert!(looking.cut.is_cancelled());
    }
}
