//! A relay's stream that asks for checks: one request, one run, one signed report or a refusal.
//!
//! The run is a process of its own that guard starts and listens to, as it starts holders: by systemd, or standalone as a
//! child. Guard reads no file of the host for it; what the last runs found it keeps for the next one, without looking into
//! it. It must never let two runs go at once, wait for one without an end, or
//! pass on what it has not bounded.

use super::core::Chosen;
use super::server::Guard;
use super::start;
use super::stream::FrameStream;
use super::visits::Claims;
use crate::checker::{Answer, Wants, kept};
use cloud_doctor_proto::checks::{CheckRequest, Report};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use std::rc::Rc;
use std::time::Duration;

/// For the request to come.
const REQUEST: Duration = Duration::from_secs(10);

/// Serves such a stream.
pub(super) async fn serve(guard: Rc<Guard>, mut stream: FrameStream, claims: Claims) {
    let answer = match stream.next(REQUEST).await {
        Ok(frame) if frame.kind == Kind::CheckRequest => {
            let request = pack::from_bytes::<CheckRequest>(&frame.body, frame.kind.bytes_max());
            match request.map_err(|error| Refusal::Malformed.with(error.to_string())) {
                Ok(request) => answer(&guard, &claims, &request).await,
                Err(refused) => Err(refused),
            }
        }
        Ok(frame) => Err(Refusal::Malformed.with(format!("{:?} is out of place here", frame.kind))),
        Err(error) => Err(Refusal::Malformed.with(error.to_string())),
    };
    // A relay that does not take the answer has none.
    match answer {
        Ok(report) => {
            let signed = guard.with(|core, moment| core.report_checks(moment, &claims, report));
            stream.send(Kind::CheckReport, &signed).await.ok();
        }
        Err(refused) => {
            stream.refuse(&refused).await.ok();
        }
    }
    stream.close().await;
}

async fn answer(guard: &Guard, claims: &Claims, request: &CheckRequest) -> Result<Report, Refused> {
    let chosen = guard.with(|core, moment| core.begin_checks(moment, claims, request))?;
    let Chosen { checks, own, plugins, asked, mut refused, set } = chosen;
    let run = Running(guard);
    let record = kept::read(&guard.places.guard).unwrap_or_else(|error| {
        tracing::warn!(%error, "what checks found before cannot be read: it begins anew");
        String::new()
    });
    let wants = Wants {
        checks: checks.iter().map(|check| check.id.to_owned()).collect(),
        etc: guard.places.etc.clone(),
        set,
        own,
        plugins,
        redaction: guard.with(|core, _| core.redaction_key()),
        history: guard.places.history(),
        record,
    };
    let answer = start::checks(guard, &wants).await;
    drop(run);
    let Answer { report, record, anew } = answer.map_err(|why| {
        tracing::warn!(%why, "checks could not be run");
        Refusal::ChecksFailed.with(why)
    })?;
    if let Some(why) = anew {
        tracing::warn!(%why, "what checks found before is damaged: it began anew");
    }
    if let Err(error) = kept::write(&guard.places.guard, &record) {
        tracing::warn!(%error, "what checks found cannot be kept for the next run");
    }
    refused.extend(report.refused);
    Ok(Report { nonce: request.nonce, asked, refused, ..report })
}

/// Whatever becomes of a run, the next one may begin.
struct Running<'a>(&'a Guard);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.with(|core, _| core.end_checks());
    }
}
