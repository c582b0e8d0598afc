//! The WebSocket on which somebody looks at a server's metrics: what is checked before, and how a slow reader is borne.
//!
//! Binary messages are whole frames, as they came or as a catalogue is told to a late comer. Texts are JSON: `state` says how
//! it stands with the server, `skipped` how many samples this reader was too slow for. Never: a byte from a watcher that
//! reaches the server, or a watcher for whom others wait.

use super::caller::Id;
use super::encoding::ListId;
use super::problem::{Code, Problem, ProblemBody};
use super::stream::{Opener, Place};
use super::{Api, page};
use crate::broker::ws;
use crate::clock;
use crate::store::Action;
use crate::watch::{Event, Phase, Watching, Who};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::ids::{AgentId, StreamId};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A sign of life is asked for after this time, and from then on (H-04).
const PING_EVERY: Duration = Duration::from_secs(15);
/// A watcher that says nothing for so many of those is gone.
const PINGS_IN_VAIN: u32 = 2;
/// Pings and pongs of a watcher between two of ours; it owes one, and each ping costs an answer (DOS-04).
const SIGNS_MAX: u32 = 100;
/// A message that cannot be written for so long has no reader.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// Looks at a server's metrics: a WebSocket with the subprotocol `cloud-doctor.v1`, opened as `/servers/{id}/stream` is.
/// Binary messages are whole frames of the kinds `MetricsSeries`, `MetricsSample` and `Refused`; texts are JSON about the
/// stream itself: `{"state": "opening" | "live" | "away" | "busy" | "refused" | "cut"}` and `{"skipped": 3}`. While the server
/// is away the stream stays open: values come again when it is back.
#[utoipa::path(get, path = "/servers/{id}/metrics/live", tag = "metrics", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 101), (status = "default", body = ProblemBody)))]
pub(super) async fn watch(
    State(api): State<Arc<Api>>,
    Opener(caller): Opener,
    Id(id): Id<AgentId>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let upgrade = upgrade.map_err(|_| Code::NotWebSocket)?;
    let origins: Vec<String> = page::origin(&api, &headers).into_iter().chain(api.console_origins.clone()).collect();
    let upgrade = match ws::bounded(upgrade, &headers, &origins) {
        Ok(upgrade) => upgrade,
        Err(refused) => return Ok(*refused),
    };
    if !api.broker.take(&caller.account.name, clock::instant()) {
        return Err(Code::Limited.into());
    }
    scoped.note(caller.actor(), Action::MetricsWatched, &agent.to_string(), clock::now()).await?;
    let place = api.in_use.look_on(&caller, StreamId(ListId::random()?.0));
    let who = Who { account: caller.account.name.clone(), client: caller.client.clone() };
    let open = api.tasks.token();
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _open = open;
        let cut = place.cut.clone();
        tokio::select! {
            biased;
            // Without a word: the client comes back, is told that it is signed out, and says so.
            () = cut.cancelled() => {}
            () = serve(socket, &api, api.watch.watch(agent, &who), &place) => {}
        }
    }))
}

async fn serve(socket: WebSocket, api: &Api, mut watching: Watching, place: &Place) {
    let (mut to_client, mut from_client) = socket.split();
    let why = tokio::select! {
        biased;
        () = api.stopping() => Some(StreamClose::Restarting),
        () = place.ended() => Some(StreamClose::Cut),
        why = talk(&mut to_client, &mut from_client, &mut watching) => why,
    };
    drop(watching);
    if let Some(why) = why {
        ws::close(to_client, from_client, why).await;
    }
}

type ToClient = SplitSink<WebSocket, Message>;

/// Tells what there is until the watcher leaves; returns why it must, if it did not.
async fn talk(
    to_client: &mut ToClient,
    from_client: &mut SplitStream<WebSocket>,
    watching: &mut Watching,
) -> Option<StreamClose> {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let (mut in_vain, mut signs) = (0, 0);
    loop {
        let messages = tokio::select! {
            biased;
            said = from_client.next() => match said {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                    (in_vain, signs) = (0, signs + 1);
                    if signs > SIGNS_MAX {
                        return Some(StreamClose::Protocol);
                    }
                    continue;
                }
                Some(Ok(Message::Text(_) | Message::Binary(_))) => return Some(StreamClose::Protocol),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            },
            _ = pings.tick() => {
                (in_vain, signs) = (in_vain + 1, 0);
                if in_vain > PINGS_IN_VAIN {
                    return Some(StreamClose::Silent);
                }
                vec![Message::Ping(Bytes::new())]
            }
            event = watching.next() => messages(event?),
        };
        for message in messages {
            if !matches!(timeout(WRITE_WAIT, to_client.send(message)).await, Ok(Ok(()))) {
                return None;
            }
        }
    }
}

fn messages(event: Event) -> Vec<Message> {
    let text = |value: serde_json::Value| Message::Text(value.to_string().into());
    match event {
        Event::Frames(frames) => frames.into_iter().map(Message::Binary).collect(),
        Event::Skipped(count) => vec![text(json!({"skipped": count}))],
        Event::Phase(Phase::Opening) => vec![text(json!({"state": "opening"}))],
        Event::Phase(Phase::Live) => vec![text(json!({"state": "live"}))],
        Event::Phase(Phase::Away) => vec![text(json!({"state": "away"}))],
        Event::Phase(Phase::Busy) => vec![text(json!({"state": "busy"}))],
        Event::Phase(Phase::Refused(frame)) => vec![text(json!({"state": "refused"})), Message::Binary(frame)],
        Event::Phase(Phase::Cut(why)) => vec![text(json!({"state": "cut", "why": why.id()}))],
    }
}
