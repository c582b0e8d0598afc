//! What happens to every request and answer: host name, size, time, words of problems, headers.

use super::problem::{Code, Problem, language};
use super::{Api, page};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;

/// Largest body (H-11); the largest honest one is a grant with its challenge and signature, in base64.
const BODY_BYTES_MAX: usize = 256 << 10;
/// A request that takes longer is given up (H-11). Two queues of the database fit in it.
pub(super) const REQUEST: Duration = Duration::from_secs(10);

/// Sent with every answer (H-02).
const HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS),
];

/// What the page may use of the browser: passkeys, and the clipboard where somebody copies.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
                           clipboard-write=(self), display-capture=(), encrypted-media=(), geolocation=(), \
                           gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), \
                           midi=(), payment=(), publickey-credentials-get=(self), screen-wake-lock=(), serial=(), \
                           usb=(), xr-spatial-tracking=()";

/// Sent with every answer that does not say otherwise: an answer of the API is no page, and nobody keeps it.
const UNLESS_SAID: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Puts the edge around the routes.
pub(super) fn around(routes: Router<Arc<Api>>, state: &Arc<Api>) -> Router<Arc<Api>> {
    routes
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
    let console = page::named_origin(&api, request.headers()).map(str::to_owned);
    let mut answer = match refused_unread(&api, &request) {
        None if console.is_some() && asks_first(&request) => {
            let mut answer = StatusCode::NO_CONTENT.into_response();
            page::may_send(answer.headers_mut());
            answer
        }
        None => next.run(request).await,
        Some(code) => Problem::from(code).into_response(),
    };
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        answer = problem.answer(language);
    }
    api.metrics.request(answer.status());
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page::let_read(&api, console.as_deref(), answer.headers_mut());
    for (name, value) in UNLESS_SAID {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// A browser asks whether a page of another origin may send what it wants to.
fn asks_first(request: &Request) -> bool {
    let asked = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asked && request.method() == Method::OPTIONS && request.uri().path().starts_with("/api/v1/")
}

/// Why nothing of a request is even read.
fn refused_unread(api: &Api, request: &Request) -> Option<Code> {
    if !is_ours(api, request) {
        return Some(Code::OtherHost);
    }
    announces_too_much(request).then_some(Code::TooLarge)
}

/// A request is for one host, and with a configured name for no other: no poisoned links, no rebinding (WEB-05).
fn is_ours(api: &Api, request: &Request) -> bool {
    let sent = request.headers().get_all(header::HOST).iter().count();
    let host = page::only(request.headers(), &header::HOST);
    let in_line = request.uri().authority().map(|authority| authority.as_str());
    let same = in_line.is_none() || host.is_none() || host == in_line;
    if sent > 1 || (sent == 1 && host.is_none()) || !same {
        return false;
    }
    let Some(name) = &api.public_name else { return true };
    let Some(host) = host.or(in_line) else { return false };
    let without_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    without_port.map_or(host, |(name, _)| name).eq_ignore_ascii_case(name)
}

/// A body that will be too large is refused before anybody waits for it (DOS-10).
fn announces_too_much(request: &Request) -> bool {
    let length = page::only(request.headers(), &header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length > BODY_BYTES_MAX as u64)
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    // The panic hook has written where and why.
    let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    answer.extensions_mut().insert(Problem::from(Code::Failed));
    answer
}
