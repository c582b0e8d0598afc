//! What waits for a target: bounded in bytes, the oldest dropped and counted, tried again with growing pauses.
//!
//! A target that is down for an hour costs the queue's bytes and nothing else. Redirects are not followed.

use crate::clock;
use crate::metrics::{Metrics, WatchEvent};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A request that takes longer has failed.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// What a target says about a refusal.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The first pause, doubled for each failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// One body's largest share of the queue: one of so many parts.
const SHARE: usize = 8;
const REMOTE_WRITE_VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// Bodies that wait, oldest first. Pure.
#[derive(Debug)]
pub struct Queue {
    bodies: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

impl Queue {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bodies: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds one; returns how many were dropped for it. One that would push many others out is dropped itself: a server's
    /// values must not cost other customers theirs.
    pub fn push(&mut self, body: Bytes) -> u64 {
        if body.len() > self.bytes_max / SHARE {
            return 1;
        }
        let mut dropped = 0;
        self.bytes += body.len();
        self.bodies.push_back(body);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.bodies.pop_front() else { break };
            self.bytes -= oldest.len();
            dropped += 1;
        }
        dropped
    }

    /// The oldest one.
    pub fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.bodies.pop_front()?;
        self.bytes -= oldest.len();
        Some(oldest)
    }

    /// Puts one that was not taken back to where it was; `false`: it was dropped, there is no room any more.
    pub fn put_back(&mut self, body: Bytes) -> bool {
        let fits = self.bytes + body.len() <= self.bytes_max;
        if fits {
            self.bytes += body.len();
            self.bodies.push_front(body);
        }
        fits
    }
}

/// The next pause after `failures` in a row; `share` is chance, from 0 to 1.
fn pause(failures: u32, share: f64) -> Duration {
    let most = PAUSE.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    most / 2 + (most / 2).mul_f64(share)
}

/// A target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// This machine trusts no certificate authority.
    #[error("no certificate authority is trusted here: {0}")]
    Roots(#[source] std::io::Error),
    /// No address of anything.
    #[error("the address cannot be read")]
    Address,
    /// No header can hold it.
    #[error("the credentials hold characters that no request can carry")]
    Credentials,
}

/// Where bodies are sent.
#[derive(Debug)]
pub struct Target {
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    queue: Mutex<Queue>,
    more: Notify,
}

impl Target {
    /// For remote-write 1.0.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn remote_write(uri: Uri, authorization: Option<String>, bytes_max: usize) -> Result<Self, TargetError> {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (REMOTE_WRITE_VERSION, HeaderValue::from_static("0.1.0")),
        ];
        Self::new(uri, headers, authorization, bytes_max)
    }

    /// For OTLP over HTTP in JSON.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn otlp(uri: Uri, authorization: Option<String>, bytes_max: usize) -> Result<Self, TargetError> {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Self::new(uri, headers, authorization, bytes_max)
    }

    fn new(
        uri: Uri,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        authorization: Option<String>,
        bytes_max: usize,
    ) -> Result<Self, TargetError> {
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::try_from(authorization).map_err(|_| TargetError::Credentials)?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        headers.push((USER_AGENT, HeaderValue::from_static(concat!("cloud-doctor-relay/", env!("CARGO_PKG_VERSION")))));
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(crate::tls::provider());
        let connector = builder.map_err(TargetError::Roots)?.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { uri, headers, client, queue: Mutex::new(Queue::new(bytes_max)), more: Notify::new() })
    }

    /// Adds a body; returns how many were dropped for it.
    pub(super) fn push(&self, body: Vec<u8>) -> u64 {
        // The lock is for one look at the queue.
        let dropped = self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(body.into());
        self.more.notify_one();
        dropped
    }

    fn pop(&self) -> Option<Bytes> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, body: Bytes) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).put_back(body)
    }

    async fn send(&self, body: Bytes) -> Sent {
        let mut request = Request::builder().method(Method::POST).uri(self.uri.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Full::new(body)) else { return Sent::Refused("no request".to_owned()) };
        let answer = match timeout(ANSWER_WAIT, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Sent::Later(error.to_string(), None),
            Err(_) => return Sent::Later(format!("no answer within {} s", ANSWER_WAIT.as_secs()), None),
        };
        let status = answer.status();
        if status.is_success() {
            return Sent::Taken;
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let said = timeout(ANSWER_WAIT, Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect()).await;
        let said = said.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        let said = cloud_doctor_proto::refusal::one_line(&String::from_utf8_lossy(&said), 200);
        let why = format!("{status} {said}");
        // What it finds bad once, it finds bad again.
        let for_ever = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        let wait = wait.map(Duration::from_secs).map(|wait| wait.min(PAUSE_MAX));
        if for_ever { Sent::Refused(why) } else { Sent::Later(why, wait) }
    }
}

/// What became of a body.
enum Sent {
    Taken,
    Refused(String),
    Later(String, Option<Duration>),
}

/// Sends what waits until `stop`.
pub(super) async fn keep_sending(target: Arc<Target>, metrics: Arc<Metrics>, stop: CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = send_all(&target, &metrics) => {}
    }
}

async fn send_all(target: &Target, metrics: &Metrics) {
    let mut failures = 0;
    let mut since = clock::instant();
    loop {
        let Some(body) = target.pop() else {
            target.more.notified().await;
            continue;
        };
        match target.send(body.clone()).await {
            Sent::Taken => {
                metrics.watch_event(WatchEvent::Sent, 1);
                if failures > 0 {
                    let secs = clock::instant().saturating_duration_since(since).as_secs();
                    info!(target = %target.uri.host().unwrap_or_default(), secs, "metrics are taken again");
                }
                failures = 0;
            }
            Sent::Refused(why) => {
                metrics.watch_event(WatchEvent::Unsent, 1);
                warn!(target = %target.uri.host().unwrap_or_default(), why, "metrics were refused and are dropped");
            }
            Sent::Later(why, wait) => {
                if failures == 0 {
                    since = clock::instant();
                    warn!(target = %target.uri.host().unwrap_or_default(), why, "metrics cannot be sent; they wait");
                }
                failures += 1;
                if !target.put_back(body) {
                    metrics.watch_event(WatchEvent::Unsent, 1);
                }
                let mut chance = [0; 2];
                let share =
                    getrandom::fill(&mut chance).map_or(0.5, |()| f64::from(u16::from_be_bytes(chance)) / 65_535.0);
                sleep(wait.unwrap_or_default().max(pause(failures, share))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_06_a_target_that_is_down_for_an_hour_costs_its_queue_and_no_more() {
        let mut queue = Queue::new(10_000);
        let mut dropped = 0;
        let mut waiting = Duration::ZERO;
        let mut failures = 0;
        // A body of 1,000 bytes each 15 s, and a try whenever a pause is over.
        for second in 0..3_600_u64 {
            if second % 15 == 0 {
                dropped += queue.push(vec![u8::try_from(second / 15).unwrap_or(0); 1_000].into());
            }
            if Duration::from_secs(second) >= waiting
                && let Some(body) = queue.pop()
            {
                failures += 1;
                waiting = Duration::from_secs(second) + pause(failures, 0.5);
                dropped += u64::from(!queue.put_back(body));
            }
            assert!(queue.bytes <= 10_000 && queue.bytes == queue.bodies.iter().map(Bytes::len).sum::<usize>());
        }
        assert_eq!((dropped, queue.bodies.len()), (230, 10));
        assert!((70..100).contains(&failures), "{failures} tries in an hour");
        assert_eq!(queue.pop().map(|body| body[0]), Some(230), "the oldest went first");
        let mut tiny = Queue::new(10);
        assert_eq!(tiny.push(vec![0; 11].into()), 1, "what never fits is dropped at once");
        assert!(tiny.pop().is_none() && tiny.bytes == 0);
    }
}
