//! The relay's counters, for `/metrics` on the admin listener. No label names a customer, a person or a server.

use crate::broker::Broker;
use crate::tunnels::registry::Registry;
use crate::watch::Cut;
use axum::http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry as Metrical;
use std::sync::Arc;

/// How an attempt to sign in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Signed in.
    Ok,
    /// Wrong account or password.
    Wrong,
    /// The password was right; a code is asked for.
    CodeNeeded,
    /// Over a limit.
    Limited,
    /// The relay could not tell.
    Failed,
}

impl LoginOutcome {
    fn id(self) -> &'static str {
        match self {
            LoginOutcome::Ok => "ok",
            LoginOutcome::Wrong => "wrong",
            LoginOutcome::CodeNeeded => "code_needed",
            LoginOutcome::Limited => "limited",
            LoginOutcome::Failed => "failed",
        }
    }
}

/// What became of a server's answer about its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Its report was kept.
    Kept,
    /// It said no.
    Refused,
    /// It may not be believed; the id says why.
    Dropped(&'static str),
    /// None came in time.
    Silent,
    /// The server went away before.
    Broke,
}

impl CheckOutcome {
    fn id(self) -> &'static str {
        match self {
            CheckOutcome::Kept => "kept",
            CheckOutcome::Refused => "refused",
            CheckOutcome::Dropped(why) => why,
            CheckOutcome::Silent => "silent",
            CheckOutcome::Broke => "broke",
        }
    }
}

/// Something on the way of servers' metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEvent {
    /// A sample came from somebody's server that is looked at.
    Sample,
    /// A slow watcher did not get one.
    Skipped,
    /// A server's stream was cut.
    Cut(Cut),
    /// A sample of a host whose clock is more than ten minutes off.
    Clock,
    /// A recording was dropped because all of them are too large.
    Forgotten,
    /// A request with exported values was taken by its target.
    Sent,
    /// One was dropped: refused, or for want of room.
    Unsent,
}

impl WatchEvent {
    fn id(self) -> &'static str {
        match self {
            WatchEvent::Sample => "sample",
            WatchEvent::Skipped => "skipped",
            WatchEvent::Cut(why) => why.id(),
            WatchEvent::Clock => "clock",
            WatchEvent::Forgotten => "forgotten",
            WatchEvent::Sent => "sent",
            WatchEvent::Unsent => "unsent",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

/// Counters that are incremented where things happen.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Family<Class, Counter>,
    logins: Family<Outcome, Counter>,
    certificates: Counter,
    check_answers: Family<Outcome, Counter>,
    watched: Family<Outcome, Counter>,
}

impl Metrics {
    /// Counts an answered request of the API.
    pub fn request(&self, status: StatusCode) {
        let class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Class { class }).inc();
    }

    /// Counts an attempt to sign in.
    pub fn login(&self, outcome: LoginOutcome) {
        self.logins.get_or_create(&Outcome { outcome: outcome.id() }).inc();
    }

    /// Counts a server's answer about its checks.
    pub fn check_answer(&self, outcome: CheckOutcome) {
        self.check_answers.get_or_create(&Outcome { outcome: outcome.id() }).inc();
    }

    /// Counts something on the way of servers' metrics.
    pub fn watch_event(&self, event: WatchEvent, count: u64) {
        self.watched.get_or_create(&Outcome { outcome: event.id() }).inc_by(count);
    }

    /// Counts a certificate that was put in use.
    pub fn certificate(&self) {
        self.certificates.inc();
    }
}

/// What is read from the living parts when somebody asks.
#[derive(Debug)]
struct Live {
    registry: Arc<Registry>,
    broker: Arc<Broker>,
}

impl Collector for Live {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tunnels = ConstGauge::new(i64::try_from(self.registry.count()).unwrap_or(i64::MAX));
        let kind = tunnels.metric_type();
        tunnels.encode(to.encode_descriptor("tunnels", "Agents connected now.", None, kind)?)?;
        let counts = self.broker.counts();
        let counters = [
            ("streams_opened", "Sealed streams opened.", counts.opened),
            ("streams_refused", "Opens refused: agent away, no room, over a limit.", counts.refused),
            ("bytes_to_agents", "Sealed bytes from clients to agents.", counts.bytes_to_agents),
            ("bytes_to_clients", "Sealed bytes from agents to clients.", counts.bytes_to_clients),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(to.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// The registry behind `/metrics`.
#[must_use]
pub fn registry(metrics: &Metrics, tunnels: Arc<Registry>, broker: Arc<Broker>) -> Metrical {
    let mut all = Metrical::with_prefix("cloud_doctor_relay");
    all.register(
        "http_requests",
        "Requests of the API that were answered, by class of status.",
        metrics.requests.clone(),
    );
    all.register("logins", "Attempts to sign in, by outcome.", metrics.logins.clone());
    all.register("certificates", "Certificates put in use since the start.", metrics.certificates.clone());
    all.register(
        "check_answers",
        "Answers of servers about their checks: kept, refused (by the server), silent, broke, or why it was dropped",
        metrics.check_answers.clone(),
    );
    all.register(
        "server_metrics",
        "Metrics of servers: sample (taken for watchers), skipped (not sent to a slow one), clock (the host's is wrong), \
         forgotten (a recording, for want of room), sent and unsent (requests to other systems), or why a stream was cut",
        metrics.watched.clone(),
    );
    all.register_collector(Box::new(Live { registry: tunnels, broker }));
    all
}
