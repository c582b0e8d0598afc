//! A server's history, its processes and what happened there, asked of the server itself and passed on.

use super::Api;
use super::caller::{Asked, Caller, Id};
use super::problem::{Code, Problem, ProblemBody};
use crate::broker::BrokerError;
use crate::watch::{AnswerError, RangeAnswer, Who};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use cloud_doctor_proto::events::{self, EventSource, EventsRequest};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use cloud_doctor_proto::metrics::{self, NAMES_MAX, POINTS_MAX, PROCESSES_MAX, RangeRequest};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Points of a series when nobody says otherwise: a chart as wide as a screen.
const POINTS: u32 = 600;
/// Of a question that does not say about when.
const TIME_MISSING: &str = "from and to: milliseconds of Unix time are needed";
/// Processes when nobody says otherwise.
const PROCESSES: u32 = 50;

/// Which part of a history.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// First millisecond of Unix time.
    from: Option<u64>,
    /// The first one after it.
    to: Option<u64>,
    /// Points wanted of each series: 1 to 4096, 600 by default.
    points: Option<u32>,
    /// A metric's name; again for each, none: all.
    name: Vec<String>,
}

/// The query, in which `name` may stand many times.
fn part(pairs: Vec<(String, String)>) -> Result<RangeRequest, Problem> {
    let bad = |why: String| Problem::with(Code::BadRequest, &why);
    let number = |key: &str, value: &str| value.parse::<u64>().map_err(|_| bad(format!("{key}: no whole number")));
    let mut part = Part::default();
    for (key, value) in pairs {
        match key.as_str() {
            "from" => part.from = Some(number("from", &value)?),
            "to" => part.to = Some(number("to", &value)?),
            "points" => part.points = Some(u32::try_from(number("points", &value)?).unwrap_or(u32::MAX)),
            "name" if part.name.len() == NAMES_MAX => return Err(bad(format!("name: at most {NAMES_MAX} of them"))),
            "name" if (1..=NAME_CHARS_MAX).contains(&value.chars().count()) => part.name.push(value),
            "name" => return Err(bad(format!("name: 1 to {NAME_CHARS_MAX} characters"))),
            _ => return Err(bad("only from, to, points and name are known".to_owned())),
        }
    }
    let (Some(from), Some(to)) = (part.from, part.to) else {
        return Err(bad(TIME_MISSING.to_owned()));
    };
    let points = part.points.unwrap_or(POINTS);
    if from >= to || !(1..=POINTS_MAX).contains(&points) {
        return Err(bad(format!("from must be before to, and points 1 to {POINTS_MAX}")));
    }
    Ok(RangeRequest { from, to, points, names: part.name })
}

/// A part of a server's history: frames of the kinds `MetricsSeries` and `MetricsRange`, as the server sent them, 16 MiB and
/// 30 seconds at most. What breaks off was not all.
#[utoipa::path(get, path = "/servers/{id}/metrics/range", tag = "metrics", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), Part),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ProblemBody)))]
pub(super) async fn range(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let agent = caller.scoped(&api).agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let wanted = part(pairs)?;
    let answer = api.watch.range((caller.account.tenant, &agent), &who(&caller), wanted).await?;
    let frames = futures_util::stream::unfold(Some(answer), |answer| async {
        let mut answer: RangeAnswer = answer?;
        match answer.next().await {
            Ok(None) => None,
            Ok(Some(frame)) => Some((Ok::<Bytes, AnswerError>(frame), Some(answer))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(frames)).into_response())
}

/// Whether its tunnel stands: `yes` or `no`.
const CONNECTED: HeaderName = HeaderName::from_static("x-cloud-doctor-connected");
/// When it went, in milliseconds by the relay's clock.
const VANISHED_AT: HeaderName = HeaderName::from_static("x-cloud-doctor-vanished-at");
/// What the host's clock is ahead of the relay's, in milliseconds.
const CLOCK_AHEAD: HeaderName = HeaderName::from_static("x-cloud-doctor-clock-ahead");

/// The last minutes of a server as the relay kept them, also of one that is gone: frames of the kinds `MetricsSeries` and
/// `MetricsSample`, at times by the relay's clock, values within 0.4 %. The headers `x-cloud-doctor-connected` (`yes`, `no`),
/// `x-cloud-doctor-vanished-at` and `x-cloud-doctor-clock-ahead` (milliseconds) say the rest.
#[utoipa::path(get, path = "/servers/{id}/metrics/recorder", tag = "metrics", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ProblemBody)))]
pub(super) async fn recorder(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Response, Problem> {
    let scoped = caller.scoped(&api);
    let agent = scoped.agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let last = api.recorder.last_minutes(&agent, scoped.recording(&agent).await?);
    let connected = api.registry.live(&agent).is_some();
    let mut answer = last.frames.concat().into_response();
    let headers = answer.headers_mut();
    headers.insert(CONNECTED, HeaderValue::from_static(if connected { "yes" } else { "no" }));
    if let Some(at) = last.vanished_at.filter(|_| !connected) {
        headers.insert(VANISHED_AT, HeaderValue::from(at));
    }
    if let Some(ahead) = last.ahead {
        headers.insert(CLOCK_AHEAD, HeaderValue::from(ahead));
    }
    let exposed = "x-cloud-doctor-connected, x-cloud-doctor-vanished-at, x-cloud-doctor-clock-ahead";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    Ok(answer)
}

fn who(caller: &Caller) -> Who {
    Who { account: caller.account.name.clone(), client: caller.client.clone() }
}

/// How many.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Most {
    /// 1 to 200; 50 by default.
    count: Option<u32>,
}

/// The processes that use most, measured over a second. Names are a stranger's texts: escape them where they are shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Processes {
    /// When, in milliseconds of Unix time by the host's clock.
    at: u64,
    /// Milliseconds over which use was measured.
    elapsed: u32,
    /// Processes that there are.
    total: u32,
    /// Those that use most processor time, memory or disk.
    processes: Vec<Process>,
}

/// One process.
#[derive(Serialize, ToSchema)]
pub(super) struct Process {
    /// Its number.
    pid: u32,
    /// The kernel's name for it.
    name: String,
    /// Its user's name, or number.
    user: String,
    /// The systemd unit or container that it belongs to; empty when none can be told.
    unit: String,
    /// As `ps` writes it.
    state: String,
    /// Processors used: 1 is one of them for the whole time.
    processors: f32,
    /// Resident bytes.
    memory: u64,
    /// Bytes read from disks per second; null: the kernel does not tell.
    read: Option<f32>,
    /// Bytes written to disks per second.
    written: Option<f32>,
    /// Open descriptors.
    descriptors: Option<u32>,
    /// Threads.
    threads: u32,
}

impl Process {
    fn of(process: metrics::Process) -> Self {
        let metrics::Process { pid, name, user, unit, state, processors, memory, read, written, descriptors, threads } =
            process;
        Self { pid, name, user, unit, state, processors, memory, read, written, descriptors, threads }
    }
}

/// The processes of a server that use most; never a command line.
#[utoipa::path(get, path = "/servers/{id}/metrics/processes", tag = "metrics", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), Most),
    responses((status = 200, body = Processes), (status = "default", body = ProblemBody)))]
pub(super) async fn processes(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Asked(Most { count }): Asked<Most>,
) -> Result<Json<Processes>, Problem> {
    let agent = caller.scoped(&api).agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let most = u32::try_from(PROCESSES_MAX).unwrap_or(u32::MAX);
    let count = count.unwrap_or(PROCESSES);
    if !(1..=most).contains(&count) {
        return Err(Problem::with(Code::BadRequest, &format!("count: 1 to {most}")));
    }
    let all = api.watch.processes((caller.account.tenant, &agent), &who(&caller), count).await?;
    let metrics::Processes { at, elapsed, total, processes } = all;
    Ok(Json(Processes { at, elapsed, total, processes: processes.into_iter().map(Process::of).collect() }))
}

/// Which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Time {
    /// First millisecond of Unix time, by the server's clock.
    from: Option<u64>,
    /// The first one after it.
    to: Option<u64>,
}

/// What happened on a server. Names are a stranger's texts: escape them where they are shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Events {
    /// Since when the server has looked, in milliseconds: a week at most.
    since: u64,
    /// The oldest first; 500 at most, the newest.
    events: Vec<Event>,
    /// Older ones of that time that are not in here.
    left_out: u32,
    /// What could not be read, or not all of it: `packages`, `starts`, `services`, `kernel`. Silence says nothing there.
    blind: Vec<&'static str>,
}

/// One event.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerEvent)]
pub(super) struct Event {
    /// Milliseconds of Unix time, by the server's clock.
    at: u64,
    /// `installed`, `upgraded`, `downgraded`, `removed`, `booted`, `shut-down`, `started`, `restarted`, `failed`, `killed`;
    /// a newer server may say more.
    kind: &'static str,
    /// How many packages, or how often within ten minutes, of which `at` is the last.
    count: u32,
    /// The packages, at most 8, or the kernel's name of the process.
    names: Vec<Named>,
    /// The service that it happened to, or that a killed process belonged to; empty where there is none.
    unit: String,
    /// The moment was guessed: a log without a year or a zone.
    guessed: bool,
}

/// A name, and a package's versions.
#[derive(Serialize, ToSchema)]
pub(super) struct Named {
    /// Of a package or process.
    name: String,
    /// The version before; empty when there was none or it is not known.
    before: String,
    /// And after.
    after: String,
}

impl Event {
    fn of(event: events::Event) -> Self {
        let events::Event { at, kind, count, names, unit, guessed } = event;
        let named = |events::Named { name, before, after }| Named { name, before, after };
        Self { at, kind: kind.id(), count, names: names.into_iter().map(named).collect(), unit, guessed }
    }
}

/// What happened on a server: packages, starts, services, kills for want of memory. The server looks it up in its own logs.
#[utoipa::path(get, path = "/servers/{id}/metrics/events", tag = "metrics", security(("login" = [])),
    params(("id" = String, Path, description = "the server's id"), Time),
    responses((status = 200, body = Events), (status = "default", body = ProblemBody)))]
pub(super) async fn happened(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Asked(Time { from, to }): Asked<Time>,
) -> Result<Json<Events>, Problem> {
    let agent = caller.scoped(&api).agent(&id).await?.ok_or(Code::Unknown)?.agent;
    let bad = |why: &str| Problem::with(Code::BadRequest, why);
    let (Some(from), Some(to)) = (from, to) else {
        return Err(bad(TIME_MISSING));
    };
    let asked = EventsRequest { from, to };
    if !asked.is_bounded() {
        return Err(bad("from must be before to"));
    }
    let all = api.watch.events((caller.account.tenant, &agent), &who(&caller), asked).await?;
    let events::Events { since, events, left_out, blind } = all;
    let (events, blind) =
        (events.into_iter().map(Event::of).collect(), blind.into_iter().map(EventSource::id).collect());
    Ok(Json(Events { since, events, left_out, blind }))
}

impl std::convert::From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Broker(BrokerError::Unreachable) | AnswerError::Broke => Code::ServerAway.into(),
            AnswerError::Broker(BrokerError::Busy) => Code::ServerBusy.into(),
            AnswerError::Broker(BrokerError::TooMany) => Code::Limited.into(),
            AnswerError::Busy => Code::Busy.into(),
            AnswerError::Refused(refused) => super::checks::refused_by_server(&refused),
            AnswerError::Older => Code::ServerOlder.into(),
            AnswerError::Dropped(_) => Code::AnswerDropped.into(),
            AnswerError::Silent => Code::ServerSilent.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_part_of_a_history_is_bounded_in_everything() {
        let ask = |query: &[(&str, &str)]| {
            part(query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        let good = ask(&[("from", "1"), ("to", "2"), ("name", "a"), ("name", "b")]).ok().unwrap();
        assert_eq!((good.points, good.names), (POINTS, vec!["a".to_owned(), "b".to_owned()]));
        let long = "x".repeat(129);
        for bad in [
            &[][..],
            &[("from", "1")],
            &[("from", "2"), ("to", "2")],
            &[("from", "-1"), ("to", "2")],
            &[("from", "1"), ("to", "2"), ("points", "0")],
            &[("from", "1"), ("to", "2"), ("points", "4097")],
            &[("from", "1"), ("to", "2"), ("name", "")],
            &[("from", "1"), ("to", "2"), ("name", &long)],
            &[("from", "1"), ("to", "2"), ("step", "3")],
            &[("name", "a"); NAMES_MAX + 1],
        ] {
            assert!(ask(bad).is_err(), "{bad:?}");
        }
    }
}
