//! The WebSocket upgrade of a server's stream.

use super::StreamNote;
use super::calls::{Way, stream_path};
use super::http::{AGENT, problem};
use super::socket::{Socket, dial};
use super::{Relay, RelayError};
use crate::stream::limits;
use cloud_doctor_proto::limits::WS_PROTOCOL;
use hyper::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
    USER_AGENT,
};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::{Request, StatusCode};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The relay answers an upgrade after one look at its own tables.
const UPGRADE_WAIT: Duration = Duration::from_secs(10);

impl Relay {
    pub(crate) async fn upgrade(&self, way: &Way, note: &StreamNote) -> Result<WebSocketStream<Socket>, RelayError> {
        self.upgrade_to(&stream_path(way, note)).await
    }

    pub(super) async fn upgrade_to(&self, path: &str) -> Result<WebSocketStream<Socket>, RelayError> {
        let request = self.upgrade_request(path)?;
        let socket = dial(self).await?;
        let upgrade = client_async_with_config(request, socket, Some(limits()));
        let late = || RelayError::Broke { why: format!("no answer within {} s", UPGRADE_WAIT.as_secs()) };
        match timeout(UPGRADE_WAIT, upgrade).await.map_err(|_| late())? {
            // RFC 6455, 4.1: what was not offered must not be taken. Nothing is compressed on this road.
            Ok((_, response)) if response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) => {
                let why = "it answers with an extension of WebSocket that was not asked for";
                Err(RelayError::Odd { why: why.to_owned() })
            }
            Ok((socket, _response)) => Ok(socket),
            Err(WsError::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
                Err(problem(self, status, &body))
            }
            Err(error) => Err(RelayError::Broke { why: error.to_string() }),
        }
    }

    fn upgrade_request(&self, path: &str) -> Result<Request<()>, RelayError> {
        let authority = self.address.authority();
        let scheme = if self.address.secure { "wss" } else { "ws" };
        let mut builder = Request::builder()
            .uri(format!("{scheme}://{authority}{path}"))
            .header(HOST, &authority)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT_LANGUAGE, self.language())
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header(SEC_WEBSOCKET_PROTOCOL, WS_PROTOCOL);
        if let Some(bearer) = self.bearer() {
            builder = builder.header(AUTHORIZATION, bearer);
        }
        builder.body(()).map_err(|error| RelayError::Odd { why: error.to_string() })
    }
}
