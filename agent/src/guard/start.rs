//! Having a holder started: by systemd as a unit of its own, or, standalone, as a detached child.
//!
//! A holder started here outlives guard. It must never inherit guard's sandbox, descriptors or environment.

use super::server::Guard;
use crate::session::door;
use crate::session::wire::Guardian;
use cloud_doctor_proto::ids::ChannelId;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// A holder is ready within milliseconds; a host that cannot do it in this time is in no state to be helped by a shell.
const START: Duration = Duration::from_secs(10);
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
