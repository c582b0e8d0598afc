//! Root's own commands: one line of JSON with the question, one line with the answer, over `admin.sock`.
//!
//! Both sides are this binary, maybe of two builds around an upgrade: unknown questions are answered as such. The
//! peer's user id was checked before a byte is read.

use super::server::Guard;
use super::sockets;
use cloud_doctor_proto::control::RelayState;
use cloud_doctor_proto::ids::VisitId;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::told::Told;
use cloud_doctor_proto::words;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A question is a line like `{"do":"approve","visit":"…"}`.
const ASK_BYTES_MAX: u64 = 4 << 10;
/// Root's own process talks at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// How things are.
    Status,
    /// Root signs second.
    Approve {
        /// Which grant.
        visit: String,
    },
    /// The customer says no.
    Deny {
        /// Which grant.
        visit: String,
    },
    /// The supervisor says that the other side has ended a guest's visit.
    EndedThere,
    /// Everybody out.
    Lockdown,
    /// The server is open again.
    Unlock,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// See [`Status`].
    Status(Box<Status>),
    /// Done; how many channels it concerned, where that has a meaning.
    Done(usize),
    /// Not done.
    Refused(Refused),
    /// Not done, for a reason of the host.
    Failed(String),
}

/// How things are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The server's id.
    pub(crate) agent: String,
    /// The build of the guard that runs.
    pub(crate) build: String,
    /// The customer.
    pub(crate) tenant: String,
    /// Newest entry of the trust log.
    pub(crate) log_entry: u64,
    /// Its hash.
    pub(crate) log_head: String,
    /// The ceiling's preset, when it is in force.
    pub(crate) ceiling: Option<String>,
    /// Why nothing is allowed, when it is not.
    pub(crate) ceiling_problem: Option<String>,
    /// The same, for readers of another language.
    #[serde(default)]
    pub(crate) ceiling_told: Option<Told>,
    /// Locked down by root.
    pub(crate) locked_down: bool,
    /// Root on this host can give the second signature.
    pub(crate) local_signer: bool,
    /// Files that prove that the trust log was forked.
    pub(crate) fork_proofs: Vec<String>,
    /// Newest line of the audit.
    pub(crate) audit_line: Option<u64>,
    /// Relays as the tunnel sees them; `None`: the tunnel has said nothing yet.
    pub(crate) relays: Option<Vec<RelayState>>,
    /// Open visits.
    pub(crate) visits: Vec<VisitLine>,
    /// Living shells and commands.
    pub(crate) channels: Vec<ChannelLine>,
    /// Grants that wait for a second signature.
    pub(crate) pending: Vec<PendingLine>,
}

/// An open visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VisitLine {
    pub(crate) visit: String,
    pub(crate) engineer: String,
    pub(crate) key: String,
    pub(crate) second: String,
    pub(crate) scopes: String,
    pub(crate) reason: String,
    pub(crate) ticket: String,
    pub(crate) ends_in_secs: u64,
}

/// A living channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelLine {
    pub(crate) channel: String,
    pub(crate) visit: String,
    pub(crate) kind: String,
    pub(crate) user: String,
    pub(crate) age_secs: u64,
    pub(crate) attached: bool,
    pub(crate) over: bool,
    /// Who watches it now.
    #[serde(default)]
    pub(crate) watchers: Vec<String>,
}

/// A grant that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingLine {
    pub(crate) visit: String,
    pub(crate) engineer: String,
    pub(crate) key: String,
    pub(crate) scopes: String,
    pub(crate) minutes: u64,
    pub(crate) reason: String,
    pub(crate) ticket: String,
    pub(crate) waits_secs: u64,
    /// Six words that the engineer sees too.
    pub(crate) words: String,
    /// Root on this host may sign.
    pub(crate) local: bool,
}

impl PendingLine {
    /// Whether somebody typed the six words as the engineer reads them out.
    pub(crate) fn heard(&self, said: &str) -> bool {
        words::same(said, &self.words)
    }
}

/// Serves one question.
pub(super) async fn serve(guard: &Guard, stream: UnixStream) {
    if let Ok(Err(error)) = timeout(PATIENCE, answer_on(guard, stream)).await {
        tracing::debug!(%error, "a command of root went away");
    }
}

async fn answer_on(guard: &Guard, mut stream: UnixStream) -> io::Result<()> {
    let mut line = Vec::new();
    let (mut reader, mut writer) = stream.split();
    let mut limited = (&mut reader).take(ASK_BYTES_MAX);
    while !line.ends_with(b"\n") && limited.read_buf(&mut line).await? > 0 {}
    let answer = match serde_json::from_slice::<Ask>(&line) {
        Ok(ask) => answer(guard, &ask),
        Err(error) => Answer::Refused(Refusal::Malformed.with(error.to_string())),
    };
    let mut text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.shutdown().await
}

fn answer(guard: &Guard, ask: &Ask) -> Answer {
    let visit = |text: &str| text.parse::<VisitId>().map_err(|_| Refused::from(Refusal::NoVisit));
    match ask {
        Ask::Status => Answer::Status(Box::new(guard.with(|core, moment| core.status(moment)))),
        Ask::Approve { visit: id } => {
            let done = visit(id).and_then(|id| guard.with(|core, moment| core.approve_local(moment, id)));
            done.map_or_else(Answer::Refused, |()| Answer::Done(1))
        }
        Ask::Deny { visit: id } => {
            let deny = |id| guard.with(|core, m| core.answer_pending(m, id, Err(Refusal::Denied.into())));
            match visit(id).map(deny) {
                Ok(true) => Answer::Done(1),
                Ok(false) | Err(_) => Answer::Refused(Refusal::NoVisit.into()),
            }
        }
        Ask::EndedThere => {
            guard.with(|core, moment| core.leave(moment, FinReason::Closed));
            Answer::Done(0)
        }
        Ask::Lockdown => match guard.with(|core, moment| core.lock_down(moment)) {
            Ok(channels) => Answer::Done(channels),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Ask::Unlock => match guard.with(|core, moment| core.undo_lockdown(moment)) {
            Ok(()) => Answer::Done(0),
            Err(error) => Answer::Failed(error.to_string()),
        },
    }
}

/// Asks the guard that runs, from a command.
///
/// # Errors
/// The socket's: `NotFound` or `ConnectionRefused` when no guard runs, `PermissionDenied` for anybody but root.
pub(crate) fn ask(socket: &Path, ask: &Ask) -> io::Result<Answer> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    if sockets::listener_pid(socket).is_none() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user's process listens there"));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(ask).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
