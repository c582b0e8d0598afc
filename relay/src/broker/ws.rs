//! The WebSocket end of a client's sealed stream: what is checked before the upgrade, and the library's limits.
//!
//! Who asks and whether they may was decided before this is called.

use super::Broker;
use super::pipe;
pub use super::pipe::Report;
pub(crate) use super::pipe::close;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::ids::{AgentId, StreamId};
use cloud_doctor_proto::limits::WS_PROTOCOL;
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Read buffer, allocated for every WebSocket: one record of bulk output or many key strokes.
const READ_BUFFER_BYTES: usize = 16 << 10;
/// Written at once when flushed, which happens after each message.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
/// What may wait for a slow client; the pipe waits before it gets there.
const WRITE_BUFFER_BYTES_MAX: usize = 1 << 20;
/// One frame of a client.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// One message of a client, of as many frames as it likes.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// A client's request for a stream, after it was found to be allowed.
#[derive(Debug, Clone)]
pub struct Ask {
    /// To which agent.
    pub agent: AgentId,
    /// Who asks: the account's name, also the key of its limit.
    pub account: String,
    /// From which address.
    pub client: String,
    /// A name for this stream, from the operating system's randomness.
    pub stream: StreamId,
    /// Ends the stream when whoever opened it may no longer use the relay.
    pub cut: CancellationToken,
    /// Ends the stream with a word about it.
    pub end: CancellationToken,
}

/// Answers an upgrade and pipes the stream; `done` hears how it went.
///
/// `origins` are the exact origins of our own console; a client that is no browser sends none.
pub fn accept(
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
    origins: &[String],
    broker: Arc<Broker>,
    ask: Ask,
    done: impl FnOnce(Report) + Send + 'static,
) -> Response {
    let upgrade = match bounded(upgrade, headers, origins) {
        Ok(upgrade) => upgrade,
        Err(refused) => return *refused,
    };
    let cut = ask.cut.clone();
    upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            biased;
            // Without a word: the client comes back, is told that it is signed out, and says so.
            () = cut.cancelled() => {}
            report = serve(socket, &broker, ask) => done(report),
        }
    })
}

/// An upgrade from where it may come, with our limits instead of the library's (H-04).
pub(crate) fn bounded(
    upgrade: WebSocketUpgrade,
    headers: &HeaderMap,
    origins: &[String],
) -> Result<WebSocketUpgrade, Box<Response>> {
    if !origin_allowed(headers, origins) {
        let why = "streams open from this relay's own pages only\n";
        return Err(Box::new((StatusCode::FORBIDDEN, why).into_response()));
    }
    let upgrade = upgrade
        .protocols([WS_PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(MESSAGE_BYTES_MAX);
    if upgrade.selected_protocol().is_none() {
        let why = format!("the subprotocol {WS_PROTOCOL} is required\n");
        return Err(Box::new((StatusCode::BAD_REQUEST, why).into_response()));
    }
    Ok(upgrade)
}

async fn serve(socket: WebSocket, broker: &Broker, ask: Ask) -> Report {
    let Ask { agent, account, client, stream, cut: _, end } = ask;
    let head = StreamHead { purpose: StreamPurpose::Sealed, stream, account, client };
    match broker.open(&agent, &head, now()).await {
        Ok(opened) => pipe::run(socket, opened, &broker.counters, &end).await,
        Err(error) => {
            let (to_client, from_client) = socket.split();
            close(to_client, from_client, error.close()).await;
            Report { why: error.close(), bytes_to_agent: 0, bytes_to_client: 0 }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell around the limits, which take `now`")]
fn now() -> Instant {
    Instant::now()
}

/// Browsers always send an origin: it must be one of ours, to the letter.
fn origin_allowed(headers: &HeaderMap, origins: &[String]) -> bool {
    let mut sent = headers.get_all(header::ORIGIN).iter();
    match (sent.next(), sent.next()) {
        (None, _) => true,
        (Some(origin), None) => origins.iter().any(|ours| ours.as_bytes() == origin.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn web_01_only_our_own_origin_or_none() {
        let ours = ["https://relay.example".to_owned()];
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ORIGIN, value.parse().unwrap());
            }
            origin_allowed(&headers, &ours)
        };
        assert!(check(&[]));
        assert!(check(&["https://relay.example"]));
        for bad in ["http://relay.example", "https://relay.example:444", "https://relay.example.evil", "null", ""] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&["https://relay.example", "https://evil.example"]));
    }
}
