//! Having holders and checks started: by systemd as a unit of their own, or, standalone, as a child.
//!
//! A holder started here outlives guard. It must never inherit guard's sandbox, descriptors or environment.

use super::server::Guard;
use crate::checker::{Answer, EventsWanted, Wants};
use crate::session::door;
use crate::session::wire::Guardian;
use cloud_doctor_proto::events::{Events, EventsRequest};
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::metrics::Processes;
use serde::de::DeserializeOwned;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// A holder is ready within milliseconds; a host that cannot do it in this time is in no state to be helped by a shell.
const START: Duration = Duration::from_secs(10);
/// All runs of checkers end before this, that of own checks with their plugins last: 50 s ([`crate::checker`]).
const CHECKS: Duration = Duration::from_secs(60);
/// Two looks a second apart, on a host that may be busy.
const PROCESSES: Duration = Duration::from_secs(10);
/// Logs, the journal and the processes are read once, within the checkers' own limits.
const EVENTS: Duration = Duration::from_secs(12);
/// Far above what a report may hold: it is cut to size, worst first, when it is signed.
const CHECKS_ANSWER_BYTES_MAX: u64 = 16 << 20;
/// The run's unit: nothing but looking, as far as systemd can say it; the checker itself closes the rest.
const CHECKS_UNIT: &[&str] = &[
    "--quiet",
    "--collect",
    "--pipe",
    "--wait",
    "--description=Cloud Doctor checks",
    "--slice=cloud-doctor-visits.slice",
    "--property=PartOf=cloud-doctor.target",
    "--property=RuntimeMaxSec=70s",
    "--property=MemoryMax=512M",
    "--property=TasksMax=64",
    "--property=CPUWeight=20",
    "--property=OOMScoreAdjust=900",
    "--property=NoNewPrivileges=yes",
    "--property=ProtectSystem=strict",
    "--property=PrivateTmp=no",
];
/// Absolute, so that no PATH decides what root runs.
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// Starts the holder of a channel.
///
/// # Errors
/// Why not, for people.
pub(super) async fn holder(guard: &Guard, channel: ChannelId) -> Result<Guardian, String> {
    let started = async {
        if guard.places.standalone {
            return Guardian::launch(&guard.program, &guard.places.run, channel).await.map_err(|e| e.to_string());
        }
        unit(guard, channel).await?;
        Guardian::connect(&door::socket_path(&guard.places.run, channel)).await.map_err(|e| e.to_string())
    };
    timeout(START, started).await.unwrap_or_else(|_| Err(format!("not ready after {} s", START.as_secs())))
}

/// Asks systemd for a transient unit; returns when the holder says that it is ready.
#[expect(clippy::disallowed_methods, reason = "systemd's own tool by its absolute path, with an empty environment")]
async fn unit(guard: &Guard, channel: ChannelId) -> Result<(), String> {
    let output = Command::new(SYSTEMD_RUN)
        .args(unit_options(channel))
        .arg("--")
        .arg(&guard.program)
        .arg("holder")
        .arg(&guard.places.run)
        .arg(channel.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("{SYSTEMD_RUN}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{SYSTEMD_RUN}: {}", text.trim()))
}

/// Has checks run, and returns what they found.
///
/// # Errors
/// Why not, for people.
pub(super) async fn checks(guard: &Guard, wants: &Wants) -> Result<Answer, String> {
    let order = serde_json::to_vec(wants).map_err(|error| error.to_string())?;
    look(guard, "check-report", &order, CHECKS).await
}

/// Has the busiest processes found.
///
/// # Errors
/// Why not, for people.
pub(super) async fn processes(guard: &Guard, count: u32) -> Result<Processes, String> {
    look(guard, "processes", count.to_string().as_bytes(), PROCESSES).await
}

/// Has it looked up what happened.
///
/// # Errors
/// Why not, for people.
pub(super) async fn events(guard: &Guard, asked: EventsRequest) -> Result<Events, String> {
    let wants = EventsWanted { asked, redaction: guard.with(|core, _| core.redaction_key()) };
    let order = serde_json::to_vec(&wants).map_err(|error| error.to_string())?;
    look(guard, "events", &order, EVENTS).await
}

/// Starts a role that only looks, gives it its order and reads its answer.
#[expect(clippy::disallowed_methods, reason = "systemd's own tool by its absolute path, or our own binary")]
async fn look<A: DeserializeOwned>(guard: &Guard, role: &str, order: &[u8], within: Duration) -> Result<A, String> {
    let mut command = if guard.places.standalone {
        Command::new(&guard.program)
    } else {
        let mut command = Command::new(SYSTEMD_RUN);
        command.args(CHECKS_UNIT).arg("--").arg(&guard.program);
        command
    };
    let mut child = command
        .arg(role)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let (to, from) = child.stdin.take().zip(child.stdout.take()).ok_or("a pipe is missing")?;
    let run = async {
        // One that has ended already says why by its answer.
        { to }.write_all(order).await.ok();
        let mut answer = Vec::new();
        from.take(CHECKS_ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    };
    timeout(within, run).await.unwrap_or_else(|_| Err(format!("no result after {} s", within.as_secs())))
}

fn unit_options(channel: ChannelId) -> Vec<String> {
    let mut name = channel.to_string();
    name.truncate(16);
    [
        "--quiet",
        // A unit that failed leaves nothing behind.
        "--collect",
        &format!("--unit=cloud-doctor-holder-{name}"),
        "--description=Cloud Doctor shell",
        "--slice=cloud-doctor-visits.slice",
        // Ready when its socket listens.
        "--service-type=notify",
        // Stopping the target ends all shells; restarting the services does not.
        "--property=PartOf=cloud-doctor.target",
        // The holder ends its own; what escapes it dies with the unit.
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=10s",
        // A shell that eats all memory dies before guard and tunnel do.
        "--property=OOMScoreAdjust=500",
    ]
    .map(str::to_owned)
    .to_vec()
}
