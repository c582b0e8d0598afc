//! What happens to every request and answer: host name, size, time, words of problems, headers.

use super::Api;
use super::problem::{Code, Problem, language};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;

/// Largest body (H-11); the largest honest one is a grant with its challenge and signature, in base64.
const BODY_BYTES_MAX: usize = 256 << 10;
/// A request that takes longer is given up (H-11). Two queues of the database fit in it.
const REQUEST: Duration = Duration::from_secs(10);

/// Sent with every answer. There are no pages here yet, so nothing may be loaded, framed or kept.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts the edge around the routes.
pub(super) fn around(routes: Router<Arc<Api>>, state: &Arc<Api>) -> Router<Arc<Api>> {
    routes
        .fallback(|| async { Problem::from(Code::Unknown) })
        .method_not_allowed_fallback(|| async { Problem::from(Code::NoMethod) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), edge))
}

/// Gives up what takes too long. Not for WebSockets and those who wait on purpose.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Problem::from(Code::TooSlow).into_response(),
    }
}

async fn edge(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let language = language(request.headers());
    let mut answer = if !is_ours(&api, &request) {
        Problem::from(Code::OtherHost).into_response()
    } else if announces_too_much(&request) {
        Problem::from(Code::TooLarge).into_response()
    } else {
        next.run(request).await
    };
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        answer = problem.answer(language);
    }
    api.metrics.request(answer.status());
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// With a configured name, a request for any other is refused: no poisoned links, no rebinding.
fn is_ours(api: &Api, request: &Request) -> bool {
    let Some(name) = &api.public_name else { return true };
    let host = one(request.headers(), header::HOST).or_else(|| request.uri().authority().map(|a| a.as_str()));
    let Some(host) = host else { return false };
    let without_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    without_port.map_or(host, |(name, _)| name).eq_ignore_ascii_case(name)
}

/// A body that will be too large is refused before anybody waits for it (DOS-10).
fn announces_too_much(request: &Request) -> bool {
    let length = one(request.headers(), header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length > BODY_BYTES_MAX as u64)
}

fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    // The panic hook has written where and why.
    let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    answer.extensions_mut().insert(Problem::from(Code::Failed));
    answer
}
