//! Runs one scan: asks whom the waves say, keeps what came. The one place of a scan that reads a clock or waits.

use super::result::{early, of_error, of_report, without_asking};
use super::waves::{Limits, Step, Waves};
use super::{COMING_BACK, Scans, chance};
use crate::checks::{Ask, AskError};
use crate::clock;
use crate::store::{CheckRun, RunWhy, Scan, Scoped, ServerResult, ServerState, StoreError};
use cloud_doctor_proto::checks::{REPORT_BYTES_MAX, Report};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::pack;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

/// Results that are written in one transaction.
const AT_ONCE_WRITTEN: usize = 64;

/// How an ask went, and how long that took.
type Answer = (AgentId, Result<CheckRun, AskError>, u64);

/// Runs to the end. `false`: it was cancelled, or the relay stops.
pub(super) async fn run(scans: &Arc<Scans>, scan: &Arc<Scan>, stop: &CancellationToken) -> Result<bool, StoreError> {
    let scoped = scans.store.of(scan.tenant);
    let servers = left(&scoped, scan).await?;
    let began = clock::instant();
    let mut waves = Waves::new(servers, limits(scans, scan, began), random);
    let mut asks = FuturesUnordered::new();
    while !waves.is_over() {
        let now = millis(began);
        let mut results = Vec::new();
        let mut asked = Vec::new();
        for step in waves.steps(now, |agent| scans.registry.live(agent).is_some()) {
            match step {
                Step::Ask(agent, wait_ms) => asked.push((agent, wait_ms)),
                Step::Absent(agent) => results.push(without_asking(agent, ServerState::Absent)),
                Step::Silent(agent) => results.push(without_asking(agent, ServerState::Silent)),
            }
        }
        let agents: Vec<AgentId> = asked.iter().map(|(agent, _)| *agent).collect();
        write(&scoped, scan, &agents, &results).await?;
        // Tasks of their own: one that holds the database's one writer must go on while a result here waits for it.
        asks.extend(asked.into_iter().map(|(agent, wait_ms)| {
            let asking = ask(scans.clone(), scan.clone(), agent, Duration::from_millis(wait_ms));
            AbortOnDropHandle::new(scans.tasks.spawn(asking))
        }));
        if waves.is_over() {
            // Those that were left are absent: there is nothing to wait for.
            break;
        }
        let wake = tokio::time::Instant::from_std(began + Duration::from_millis(waves.wake(now)));
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            Some(answer) = asks.next() => answer,
            () = tokio::time::sleep_until(wake) => continue,
        };
        let mut answers = vec![joined(first)];
        while answers.len() < AT_ONCE_WRITTEN {
            // What has come meanwhile is written with it.
            let Some(Some(answer)) = asks.next().now_or_never() else { break };
            answers.push(joined(answer));
        }
        let answers = answers.into_iter().flatten().collect();
        let results = take(&scoped, scan, &mut waves, answers, millis(began)).await?;
        write(&scoped, scan, &[], &results).await?;
    }
    scoped.end_scan(scan.number, clock::now()).await?;
    Ok(true)
}

fn limits(scans: &Scans, scan: &Scan, began: Instant) -> Limits {
    // A relay that has just started waits for its servers to come back, unless a person waits too.
    let back = (scans.began + COMING_BACK).saturating_duration_since(began);
    let resumed = scan.started_at.plus_secs(1) < clock::now();
    let absent_from = if resumed || !scan.plan.is_empty() { back } else { Duration::ZERO };
    Limits {
        at_once: usize::try_from(scan.terms.at_once).unwrap_or(usize::MAX),
        wait_ms: scan.terms.wait_secs.saturating_mul(1_000),
        absent_from_ms: in_millis(absent_from),
    }
}

fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn millis(began: Instant) -> u64 {
    in_millis(clock::instant().saturating_duration_since(began))
}

fn random(below: usize) -> usize {
    let number = chance(u64::try_from(below).unwrap_or(u64::MAX));
    usize::try_from(number).unwrap_or(0)
}

/// Servers without a result. One whose report was kept just before the relay stopped has its result now.
async fn left(scoped: &Scoped<'_>, scan: &Scan) -> Result<Vec<AgentId>, StoreError> {
    let mut left = Vec::new();
    for (agent, asked) in scoped.open_servers(scan.number).await? {
        let kept = if asked { scoped.check_run(&agent, &scan.seed.nonce(&agent)).await? } else { None };
        match kept {
            Some(run) => {
                let result = kept_result(scoped, scan, &run, 0).await?;
                scoped.add_results(scan.number, &[result], clock::now()).await?;
            }
            None => left.push(agent),
        }
    }
    scoped.unmark_asked(scan.number).await?;
    Ok(left)
}

async fn write(
    scoped: &Scoped<'_>,
    scan: &Scan,
    asked: &[AgentId],
    results: &[ServerResult],
) -> Result<(), StoreError> {
    if !asked.is_empty() {
        scoped.mark_asked(scan.number, asked).await?;
    }
    for some in results.chunks(AT_ONCE_WRITTEN) {
        scoped.add_results(scan.number, some, clock::now()).await?;
    }
    Ok(())
}

/// What a task came to; its panic is ours.
fn joined(answer: Result<Answer, JoinError>) -> Option<Answer> {
    match answer {
        Ok(answer) => Some(answer),
        Err(gone) => match gone.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody else ends them: the runtime is going down.
            Err(_) => None,
        },
    }
}

async fn ask(scans: Arc<Scans>, scan: Arc<Scan>, agent: AgentId, wait: Duration) -> Answer {
    let began = clock::instant();
    let ask = Ask {
        tenant: scan.tenant,
        agent,
        checks: scan.terms.checks.clone(),
        nonce: scan.seed.nonce(&agent),
        why: if scan.plan.is_empty() { RunWhy::Asked } else { RunWhy::Schedule },
        account: scan.account.clone(),
        client: scan.client.clone(),
    };
    let run = scans.checks.run_in_scan(&ask, wait).await;
    (agent, run, millis(began))
}

/// Answers as results; those that are asked again have none yet.
async fn take(
    scoped: &Scoped<'_>,
    scan: &Scan,
    waves: &mut Waves,
    answers: Vec<Answer>,
    now: u64,
) -> Result<Vec<ServerResult>, StoreError> {
    let mut results = Vec::new();
    for (agent, run, took_ms) in answers {
        match run {
            Ok(run) => results.push(kept_result(scoped, scan, &run, took_ms).await?),
            // A full disk under the relay is no fault of a server: the scan goes on from here later.
            Err(AskError::Store(error)) => return Err(error),
            Err(error) => {
                if early(&error).is_some_and(|secs| waves.early(&agent, secs, now)) {
                    continue;
                }
                results.push(of_error(agent, took_ms, &error));
            }
        }
        waves.answered(&agent);
    }
    Ok(results)
}

/// A kept report as a result, compared with the server's last one in a scan of the same selection.
async fn kept_result(
    scoped: &Scoped<'_>,
    scan: &Scan,
    run: &CheckRun,
    took_ms: u64,
) -> Result<ServerResult, StoreError> {
    let agent = run.line.agent;
    let Some(now) = read(run) else { return Ok(without_asking(agent, ServerState::Failed)) };
    let before = scoped.report_before(scan, &agent).await?.as_ref().and_then(read);
    Ok(of_report(agent, run.line.run, took_ms, before.as_ref(), &now))
}

/// It was verified when it came, and is verified again by who shows it to a person.
fn read(run: &CheckRun) -> Option<Report> {
    let report = pack::from_signed_bytes(&run.report, REPORT_BYTES_MAX);
    report.inspect_err(|why| warn!(%why, run = %run.line.run, "a stored report cannot be read")).ok()
}
