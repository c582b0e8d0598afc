//! How far a scan is, until it ends or the person leaves: a bar on a terminal, lines elsewhere. Leaving ends nothing.

use super::super::signals::Signals;
use super::super::{App, SignedIn};
use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{RelayError, ScanLine};
use cloud_doctor_proto::ids::ScanId;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// How often the relay is asked; a large fleet's numbers cost it more.
const EVERY: Duration = Duration::from_millis(700);
/// See there.
const EVERY_LARGE: Duration = Duration::from_secs(3);
/// What is a large fleet.
const LARGE: u64 = 2_000;
/// Questions in a row that may go unanswered: a relay that is started anew goes on with the scan.
const MISSED_MAX: u32 = 40;
/// Cells of the bar.
const CELLS: u64 = 30;
/// Elsewhere than on a terminal, a line is printed each time that another tenth is done.
const TENTHS: u64 = 10;

/// How watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Every server has its result.
    Over,
    /// The person left; the scan goes on.
    Left,
}

/// Watches to the end.
pub(super) async fn watch(app: &App, signed_in: &SignedIn, id: &ScanId, mut signals: Signals) -> Result<End, Fail> {
    let (id, bar) = (id.to_string(), std::io::stderr().is_terminal());
    let (mut tenths, mut missed) = (None, 0);
    loop {
        let line = tokio::select! {
            _ = signals.next() => return Ok(left(bar)),
            answer = signed_in.relay.scan(&id) => match answer {
                Ok(glance) => glance.line,
                Err(error) if missed < MISSED_MAX && passes(&error) => {
                    missed += 1;
                    if sleep(EVERY_LARGE.min(EVERY * missed), &mut signals).await == End::Left {
                        return Ok(left(bar));
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
        };
        missed = 0;
        let now = line.done() * TENTHS / line.servers.max(1);
        if bar {
            drop(write!(std::io::stderr().lock(), "\r\x1b[K{}", drawn(app, &line)));
        } else if tenths.replace(now) != Some(now) {
            output::say(&words(app, &line));
        }
        if line.ended_at.is_some() {
            if bar {
                drop(write!(std::io::stderr().lock(), "\r\x1b[K"));
            }
            return Ok(End::Over);
        }
        let every = if line.servers > LARGE { EVERY_LARGE } else { EVERY };
        if sleep(every, &mut signals).await == End::Left {
            return Ok(left(bar));
        }
    }
}

async fn sleep(time: Duration, signals: &mut Signals) -> End {
    tokio::select! {
        _ = signals.next() => End::Left,
        () = tokio::time::sleep(time) => End::Over,
    }
}

fn left(bar: bool) -> End {
    if bar {
        drop(writeln!(std::io::stderr().lock()));
    }
    End::Left
}

/// A relay that is away for a moment: the scan goes on with it.
fn passes(error: &RelayError) -> bool {
    match error {
        RelayError::Unreachable { .. } | RelayError::Broke { .. } => true,
        RelayError::Problem { status, .. } => *status == 429 || *status >= 500,
        RelayError::Tls { .. }
        | RelayError::Pin { .. }
        | RelayError::Certificate { .. }
        | RelayError::NoRoots
        | RelayError::SignIn { .. }
        | RelayError::Odd { .. } => false,
    }
}

fn words(app: &App, line: &ScanLine) -> String {
    let of = |state: &str| line.states.get(state).copied().unwrap_or(0);
    let values: [&dyn std::fmt::Display; 5] = [&line.done(), &line.servers, &of("asked"), &of("absent"), &of("silent")];
    Id::ScanProgress.with(&values).text(app.language)
}

fn drawn(app: &App, line: &ScanLine) -> String {
    let full = line.done() * CELLS / line.servers.max(1);
    let cells: String = (0..CELLS).map(|cell| if cell < full { '#' } else { '-' }).collect();
    format!("[{cells}] {}", words(app, line))
}
