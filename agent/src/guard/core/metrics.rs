//! Metrics that a relay asks for: whether the ceiling lets them be seen, and who is told when it no longer does.

use super::Core;
use crate::audit::Event;
use crate::guard::visits::Claims;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ceiling::{Mode, ScopeName};
use cloud_doctor_proto::metrics::MetricsRequest;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::time::BootTime;
use tokio::sync::oneshot;

/// Leases at once: a relay needs one for its recorder, one for all who watch, and a few for history.
const LEASES_MAX: usize = 16;
/// Between two looks at the processes.
const PROCESSES_PAUSE_SECS: u64 = 4;
/// Between two looks at what happened: some megabytes of logs are read each time.
const EVENTS_PAUSE_SECS: u64 = 4;

/// Who is shown metrics, and when processes and events were looked at.
#[derive(Debug, Default)]
pub(super) struct Shown {
    leases: Vec<Lease>,
    processes: Option<BootTime>,
    events: Option<BootTime>,
}

/// Over when it is dropped.
#[derive(Debug)]
struct Lease {
    open: oneshot::Sender<()>,
    /// Somebody looks now: the customer's word counts within a second, not within a minute.
    live: bool,
}

impl Core {
    /// Lets metrics be shown until the receiver ends.
    ///
    /// # Errors
    /// [`Refused`]: nothing is shown.
    pub(in crate::guard) fn lease_metrics(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &MetricsRequest,
    ) -> Result<oneshot::Receiver<()>, Refused> {
        let what = name(request);
        if let Err(refused) = self.shows_metrics(moment).and_then(|()| self.has_room_for(moment, request)) {
            self.refused(moment, "metrics", claims, &refused, "");
            return Err(refused);
        }
        let event = Event::new("metrics-shown")
            .with("what", what)
            .with("claimed-account", claims.account.as_str())
            .with("claimed-client", claims.client.as_str());
        self.audit.note_often(moment, "metrics-shown", event);
        let (open, ended) = oneshot::channel();
        self.shown.leases.push(Lease { open, live: matches!(request, MetricsRequest::Live {}) });
        match request {
            MetricsRequest::Processes { .. } => self.shown.processes = Some(moment.boot),
            MetricsRequest::Events(_) => self.shown.events = Some(moment.boot),
            MetricsRequest::Live {} | MetricsRequest::Summary {} | MetricsRequest::Range(_) => {}
        }
        Ok(ended)
    }

    /// Whether the customer lets metrics be shown now.
    fn shows_metrics(&self, moment: Moment) -> Result<(), Refused> {
        if self.is_locked() {
            return Err(Refusal::Lockdown.into());
        }
        let ceiling = self.ceiling().map_err(|problem| Refusal::Ceiling.telling(problem.told()))?;
        let rule = ceiling.rule(ScopeName::Metrics, "").filter(|rule| rule.mode == Mode::Allow);
        let is_open = rule.is_some_and(|rule| rule.open_at(moment.at, (self.host.zone_secs)()));
        if is_open { Ok(()) } else { Err(Refusal::MetricsNotAllowed.into()) }
    }

    /// Whether one more may be served.
    fn has_room_for(&mut self, moment: Moment, request: &MetricsRequest) -> Result<(), Refused> {
        self.shown.leases.retain(|lease| !lease.open.is_closed());
        if self.shown.leases.len() >= LEASES_MAX {
            return Err(Refusal::Busy.into());
        }
        let recent = |looked: Option<BootTime>, pause| looked.is_some_and(|at| at.plus_secs(pause) > moment.boot);
        match request {
            MetricsRequest::Processes { .. } if recent(self.shown.processes, PROCESSES_PAUSE_SECS) => {
                Err(Refusal::ProcessesTooOften.with(PROCESSES_PAUSE_SECS.to_string()))
            }
            MetricsRequest::Events(_) if recent(self.shown.events, EVENTS_PAUSE_SECS) => {
                Err(Refusal::EventsTooOften.with(EVENTS_PAUSE_SECS.to_string()))
            }
            MetricsRequest::Events(asked) if !asked.is_bounded() => Err(Refusal::Malformed.into()),
            MetricsRequest::Processes { .. }
            | MetricsRequest::Events(_)
            | MetricsRequest::Live {}
            | MetricsRequest::Summary {}
            | MetricsRequest::Range(_) => Ok(()),
        }
    }

    /// Ends all leases when nothing may be shown any more.
    pub(super) fn sweep_metrics(&mut self, moment: Moment) {
        self.shown.leases.retain(|lease| !lease.open.is_closed());
        if !self.shown.leases.is_empty() && self.shows_metrics(moment).is_err() {
            self.end_metrics(moment);
        }
    }

    /// Ends all leases.
    pub(super) fn end_metrics(&mut self, moment: Moment) {
        if !self.shown.leases.is_empty() {
            let event = Event::new("metrics-ended").with("streams", self.shown.leases.len());
            self.audit.note_often(moment, "metrics-ended", event);
        }
        self.shown.leases.clear();
    }

    /// Whether somebody looks at this moment.
    pub(super) fn shows_live(&self) -> bool {
        self.shown.leases.iter().any(|lease| lease.live && !lease.open.is_closed())
    }
}

fn name(request: &MetricsRequest) -> &'static str {
    match request {
        MetricsRequest::Live {} => "live",
        MetricsRequest::Summary {} => "summary",
        MetricsRequest::Range(_) => "history",
        MetricsRequest::Processes { .. } => "processes",
        MetricsRequest::Events(_) => "events",
    }
}
