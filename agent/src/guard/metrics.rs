//! A relay's stream that asks for metrics: guard says whether they may be shown, for as long as its connection stays open.
//!
//! The tunnel samples and sends; guard reads none of it. It must never give a lease that the ceiling does not give, or
//! leave one open that the ceiling has taken back.

use super::server::Guard;
use super::start;
use super::stream::{FrameStream, StreamError};
use super::visits::Claims;
use cloud_doctor_proto::events::EventsRequest;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::metrics::{MetricsLease, MetricsRequest, PROCESSES_MAX};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// For the request to come.
const REQUEST: Duration = Duration::from_secs(10);
/// The tunnel says nothing while it has a lease; how long one wait for that lasts.
const SILENCE: Duration = Duration::from_secs(86_400);

/// Serves such a stream.
pub(super) async fn serve(guard: Rc<Guard>, mut stream: FrameStream, claims: Claims) {
    let answer = match request(&mut stream).await {
        Ok(request) => {
            guard.with(|core, moment| core.lease_metrics(moment, &claims, &request)).map(|ended| (request, ended))
        }
        Err(refused) => Err(refused),
    };
    // A peer that does not take what is said here has gone.
    match answer {
        Ok((MetricsRequest::Processes { count }, _lease)) => processes(&guard, &mut stream, count).await,
        Ok((MetricsRequest::Events(asked), _lease)) => events(&guard, &mut stream, asked).await,
        Ok((MetricsRequest::Live {} | MetricsRequest::Summary {} | MetricsRequest::Range(_), ended)) => {
            guard.sooner.notify_one();
            if stream.send(Kind::MetricsLease, &MetricsLease {}).await.is_ok() {
                wait(&mut stream, ended).await;
            }
        }
        Err(refused) => drop(stream.refuse(&refused).await),
    }
    stream.close().await;
}

async fn request(stream: &mut FrameStream) -> Result<MetricsRequest, Refused> {
    match stream.next(REQUEST).await {
        Ok(frame) if frame.kind == Kind::MetricsRequest => {
            let request = pack::from_bytes(&frame.body, frame.kind.bytes_max());
            request.map_err(|error| Refusal::Malformed.with(error.to_string()))
        }
        Ok(frame) => Err(Refusal::Malformed.with(format!("{:?} is out of place here", frame.kind))),
        Err(error) => Err(Refusal::Malformed.with(error.to_string())),
    }
}

/// Until the tunnel goes or the ceiling says no.
async fn wait(stream: &mut FrameStream, ended: oneshot::Receiver<()>) {
    let gone = async {
        // It has nothing to say; a word out of place ends it as well.
        while matches!(stream.next(SILENCE).await, Err(StreamError::Silent)) {}
    };
    tokio::select! {
        _ = ended => {}
        () = gone => {}
    }
}

async fn processes(guard: &Guard, stream: &mut FrameStream, count: u32) {
    let count = count.min(u32::try_from(PROCESSES_MAX).unwrap_or(u32::MAX));
    match start::processes(guard, count).await {
        Ok(mut found) => {
            found.processes.truncate(PROCESSES_MAX);
            drop(stream.send(Kind::Processes, &found).await);
        }
        Err(why) => {
            tracing::warn!(%why, "processes could not be looked at");
            drop(stream.refuse(&Refusal::ProcessesFailed.with(why)).await);
        }
    }
}

async fn events(guard: &Guard, stream: &mut FrameStream, asked: EventsRequest) {
    match start::events(guard, asked).await {
        Ok(found) => drop(stream.send(Kind::Events, &found.bounded(&asked)).await),
        Err(why) => {
            tracing::warn!(%why, "what happened could not be looked up");
            drop(stream.refuse(&Refusal::EventsFailed.with(why)).await);
        }
    }
}
