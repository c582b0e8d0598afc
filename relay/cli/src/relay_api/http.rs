//! One HTTP/1.1 request on a connection of its own. The connection is driven beside the request, in the same task.

use super::socket::dial;
use super::{Relay, RelayError};
use cloud_doctor_proto::refusal::one_line;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

/// Largest answer read: a page of the trust log in JSON stays far below.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How long a usual call may take.
pub(super) const CALL_WAIT: Duration = Duration::from_secs(20);
/// What this client calls itself.
pub(crate) const AGENT: &str = concat!("cloud-doctor/", env!("CARGO_PKG_VERSION"));

/// An error as RFC 9457 has it, with our `code`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    remedy: String,
    code: String,
}

/// What a call sends.
pub(super) struct Call<'a, B: Serialize> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a B>,
    pub(super) wait: Duration,
}

/// Makes a call and reads its JSON answer; an empty one reads as `null`.
pub(super) async fn call<B: Serialize, T: DeserializeOwned>(relay: &Relay, call: Call<'_, B>) -> Result<T, RelayError> {
    let late = || RelayError::Broke { why: format!("no answer within {} s", call.wait.as_secs()) };
    let request = request(relay, &call)?;
    let answer = timeout(call.wait, exchange(relay, request, ANSWER_BYTES_MAX)).await.map_err(|_| late())??;
    if !answer.status.is_success() {
        return Err(problem(relay, answer.status, &answer.body));
    }
    let body = if answer.body.is_empty() { b"null".as_slice() } else { &answer.body };
    serde_json::from_slice(body).map_err(|error| RelayError::Odd { why: error.to_string() })
}

/// An answer as it came.
pub(super) struct Answer {
    status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Fetches bytes.
pub(super) async fn fetch(relay: &Relay, path: &str, wait: Duration, bytes_max: usize) -> Result<Answer, RelayError> {
    let late = || RelayError::Broke { why: format!("no answer within {} s", wait.as_secs()) };
    let nothing: Option<&()> = None;
    let request = request(relay, &Call { method: Method::GET, path, body: nothing, wait })?;
    let answer = timeout(wait, exchange(relay, request, bytes_max)).await.map_err(|_| late())??;
    if answer.status.is_success() { Ok(answer) } else { Err(problem(relay, answer.status, &answer.body)) }
}

fn request<B: Serialize>(relay: &Relay, call: &Call<'_, B>) -> Result<Request<Full<Bytes>>, RelayError> {
    let odd = |why: String| RelayError::Odd { why };
    let mut builder = Request::builder()
        .method(&call.method)
        .uri(call.path)
        .header(HOST, relay.address.authority())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json")
        .header(ACCEPT_LANGUAGE, relay.language());
    if let Some(bearer) = relay.bearer() {
        builder = builder.header(AUTHORIZATION, bearer);
    }
    let body = match call.body {
        Some(body) => {
            builder = builder.header(CONTENT_TYPE, "application/json");
            serde_json::to_vec(body).map_err(|error| odd(error.to_string()))?
        }
        None => Vec::new(),
    };
    builder.body(Full::new(Bytes::from(body))).map_err(|error| odd(error.to_string()))
}

async fn exchange(relay: &Relay, request: Request<Full<Bytes>>, bytes_max: usize) -> Result<Answer, RelayError> {
    let broke = |error: hyper::Error| RelayError::Broke { why: error.to_string() };
    let io = TokioIo::new(dial(relay).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broke)?;
    let answer = async {
        let response: Response<_> = sender.send_request(request).await.map_err(broke)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|error| RelayError::Broke { why: error.to_string() })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    // Polled together: the connection moves the bytes, the answer ends it.
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(broke(error)),
        },
    }
}

/// An error answer as an error.
pub(crate) fn problem(relay: &Relay, status: StatusCode, body: &[u8]) -> RelayError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if status == StatusCode::UNAUTHORIZED && relay.token.is_some() {
        return RelayError::SignIn { relay: relay.address.to_string() };
    }
    let said: Vec<String> =
        [problem.title, problem.detail, problem.remedy].into_iter().filter(|text| !text.is_empty()).collect();
    let detail = if said.is_empty() { status.to_string() } else { one_line(&said.join(" "), 800) };
    RelayError::Problem { status: status.as_u16(), code: problem.code, detail }
}
