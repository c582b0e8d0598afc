//! What guard and a holder say to each other on the holder's own socket, version 1 (the version stands in the socket's
//! name, so an old holder is understood by a newer guard).
//!
//! `u32 length | MessagePack`, both ways; a client's stream travels beside [`Request::Open`] as a descriptor. A holder
//! answers each request in order and, to a guard that subscribed, sends events for the host's audit until they are
//! acknowledged. Never: terminal bytes on this socket, or an end because it was closed.

use cloud_doctor_proto::channel::{Binding, ChannelKind, Secret};
use cloud_doctor_proto::ids::{ChannelId, ExchangeKey, Hash, VisitId};
use cloud_doctor_proto::pack::{self, PackError};
use cloud_doctor_proto::session::{ExitStatus, FinReason};
use cloud_doctor_proto::time::{BootTime, UnixTime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::path::{Path, PathBuf};

/// Longest message: guard's note of a visit (a grant, its signatures) and a first handshake message fit.
pub(crate) const DOOR_BYTES_MAX: usize = 256 << 10;
/// Events that a holder keeps for a guard that is away.
pub(crate) const EVENTS_MAX: usize = 64;

/// Folder of all holders' sockets below the run directory.
pub(crate) fn folder(run: &Path) -> PathBuf {
    run.join("h")
}

/// Socket of a channel's holder: short, because a socket's path has 108 bytes.
pub(crate) fn socket_path(run: &Path, channel: ChannelId) -> PathBuf {
    let mut name = channel.to_string();
    name.truncate(16);
    folder(run).join(format!("{name}-v1.sock"))
}

/// A visit as a holder needs it, and as a new guard learns it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Visit {
    /// Its id.
    pub(crate) visit: VisitId,
    /// Wire version of its challenge.
    pub(crate) version: u16,
    /// Hash of the challenge's signed bytes.
    pub(crate) challenge: Hash,
    /// Hash of the grant's signed bytes.
    pub(crate) grant: Hash,
    /// The challenge's private key.
    pub(crate) agent_secret: Secret,
    /// The grant's client key.
    pub(crate) client_key: ExchangeKey,
    /// When the grant ends.
    pub(crate) ends_at: BootTime,
    /// Guard's own record of the visit; the holder keeps it and gives it back.
    pub(crate) note: ByteBuf,
}

impl Visit {
    /// What a handshake under this visit is tied to.
    pub(crate) fn binding(&self, kind: ChannelKind, channel: ChannelId, resume: u64) -> Binding {
        Binding { version: self.version, challenge: self.challenge, grant: self.grant, kind, channel, resume }
    }
}

/// How long a channel may live without being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Seconds without input; `None` = no such limit.
    pub(crate) idle_secs: Option<u64>,
    /// Seconds without a view.
    pub(crate) detached_secs: u64,
    /// Seconds that the tail and the exit status wait for a view that was away.
    pub(crate) linger_secs: u64,
}

/// A client wants in: to start the channel, or to attach to it. Its stream travels with this message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Open {
    /// Under which visit; guard has checked that it lives and allows this.
    pub(crate) visit: Visit,
    /// Which channel.
    pub(crate) channel: ChannelId,
    /// What runs in it.
    pub(crate) kind: ChannelKind,
    /// Number of the resume secret that the client used.
    pub(crate) resume: u64,
    /// Noise message 1.
    pub(crate) first: ByteBuf,
    /// Bytes of the client that guard read beyond its frame.
    pub(crate) already_read: ByteBuf,
    /// Limits of the channel; those of the first message hold.
    pub(crate) limits: Limits,
    /// Who it is, when it only watches.
    #[serde(default)]
    pub(crate) watcher: Option<Watcher>,
}

/// A watcher as guard knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watcher {
    /// Its name in the trust log.
    pub(crate) person: String,
    /// It may end the shell, for this reason.
    pub(crate) ends: Option<FinReason>,
}

/// Guard to holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Answered by [`Reply::Opened`] when message 2 is on its way to the client, or by [`Reply::Refused`]; then the
    /// client has been told nothing and its stream is still guard's.
    Open(Box<Open>),
    /// Answered by [`Reply::Status`].
    Status,
    /// End the channel: hang up, wait, kill. Answered by [`Reply::Ending`] at once; [`What::Ended`] follows.
    End {
        /// For the person who looks at it, and the audit.
        reason: FinReason,
        /// Seconds between hang-up and kill.
        grace_secs: u64,
    },
    /// From now on send events on this connection, those that nobody acknowledged first.
    Subscribe,
    /// Events up to this number are in the audit; not answered.
    EventsWritten(u64),
    /// A watcher's visit is over: its view goes, the shell lives on. Not answered.
    Unwatch {
        /// Whose.
        visit: VisitId,
        /// For the watcher.
        reason: FinReason,
    },
}

/// Holder to guard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The handshake is answered; the holder has the stream.
    Opened,
    /// See [`Refusal`].
    Refused(Refusal),
    /// See [`Status`].
    Status(Box<Status>),
    /// The end has begun.
    Ending,
    /// Something for the audit.
    Event(Event),
}

/// Why a client was not let in. Guard tells the client and writes the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    /// The handshake was made for something else, or by somebody else.
    #[error("the handshake does not authenticate")]
    Broken,
    /// The same handshake came before.
    #[error("the handshake is a replay")]
    Replay,
    /// A secret that was replaced came with a new handshake: somebody has a copy. The visit must end.
    #[error("a dead resume secret was used again")]
    DeadSecret,
    /// A secret that was never handed out, or one of a visit that another one replaced.
    #[error("the resume secret is unknown")]
    UnknownSecret,
    /// The request inside names another user or command, or none that could be started.
    #[error("the request does not fit the channel")]
    Misfit,
    /// The channel has ended.
    #[error("the channel has ended")]
    Ended,
    /// Too many handshakes wait for their first record.
    #[error("too many clients are attaching")]
    Busy,
    /// Guard's message came without a stream.
    #[error("no stream came with the request")]
    NoStream,
    /// As many watch as may.
    #[error("too many watch already")]
    Watched,
}

/// A holder's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Its channel.
    pub(crate) channel: ChannelId,
    /// What runs in it; `None` before the first [`Request::Open`].
    pub(crate) kind: Option<ChannelKind>,
    /// As whom.
    pub(crate) user: String,
    /// The command; empty for a shell. Lossy, for people.
    pub(crate) argv: Vec<String>,
    /// How far it is.
    pub(crate) phase: Phase,
    /// A view is attached.
    pub(crate) attached: bool,
    /// When it began.
    pub(crate) began_at: UnixTime,
    /// Process id of the shell or command; 0 before it began.
    pub(crate) pid: u32,
    /// Process id of the holder.
    pub(crate) holder_pid: u32,
    /// The visit that it runs under.
    pub(crate) visit: Option<Visit>,
    /// Visits of its watchers: a new guard learns them too.
    #[serde(default)]
    pub(crate) watchers: Vec<WatcherStatus>,
}

/// A watcher's visit in a holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WatcherStatus {
    /// The visit.
    pub(crate) visit: Visit,
    /// Its view is attached.
    pub(crate) attached: bool,
}

/// How far a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// No valid record of a client yet: nothing was started.
    Waiting,
    /// Being started, or running.
    Running,
    /// Being ended.
    Ending,
    /// The program is gone; tail, status or events may still wait.
    Over,
}

/// Something for the host's audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Counts from 1.
    pub(crate) seq: u64,
    /// Wall time.
    pub(crate) at: UnixTime,
    /// Under which visit: a watcher's own, where a watcher did it.
    pub(crate) visit: Option<VisitId>,
    /// Older events that were dropped because no guard fetched them.
    pub(crate) lost: u64,
    /// What happened.
    pub(crate) what: What,
}

/// What happened in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The user's program runs.
    Began {
        /// Its process id.
        pid: u32,
        /// As whom.
        user: String,
        /// The command, lossy; empty for a login shell.
        argv: Vec<String>,
    },
    /// The user's program could not be started.
    NotStarted {
        /// Why, for people.
        reason: String,
    },
    /// A view attached.
    Attached,
    /// A view took another one's place.
    TakenOver,
    /// The view went away; the program lives on.
    Detached,
    /// A watcher's view attached.
    WatcherCame {
        /// Whose.
        person: String,
    },
    /// A watcher's view went away.
    WatcherWent {
        /// Whose.
        person: String,
    },
    /// A watcher ends the channel.
    EndedBy {
        /// Who.
        person: String,
        /// What the engineer is told.
        reason: FinReason,
    },
    /// A record failed its integrity check; its view was cut.
    Integrity,
    /// A view broke the rules inside the channel and was cut.
    Misbehaved {
        /// Which rule.
        rule: String,
    },
    /// See [`Refusal::DeadSecret`].
    DeadSecret,
    /// See [`Refusal::Replay`].
    Replayed,
    /// The channel is over.
    Ended {
        /// Why.
        reason: FinReason,
        /// How the program ended, when it ran.
        status: Option<ExitStatus>,
        /// Bytes typed.
        bytes_in: u64,
        /// Bytes shown, both streams.
        bytes_out: u64,
        /// Processes that could not be killed.
        survivors: u64,
    },
}

/// The other side broke this protocol: close the connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The socket failed or was closed.
    #[error("the holder's socket: {0}")]
    Io(#[from] std::io::Error),
    /// No process can be started for the holder.
    #[error("{0}")]
    Spawn(std::io::Error),
    /// The holder was started and has ended at once.
    #[error("the process that keeps it ended at once; the server's log says why")]
    NotBegun,
    /// A message that is none.
    #[error("a malformed message on a holder's socket: {0}")]
    Malformed(#[from] PackError),
    /// The announced message is too long.
    #[error("a message of {0} bytes on a holder's socket")]
    TooLong(usize),
    /// An answer to something else.
    #[error("a holder answered out of turn")]
    OutOfTurn,
}

/// A message as bytes on the socket.
pub(crate) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let body = pack::to_bytes(message);
    let len = u32::try_from(body.len()).expect("door messages are far below 4 GiB");
    [&len.to_be_bytes()[..], &body].concat()
}

/// Takes the first whole message out of `buffer`.
///
/// # Errors
/// [`DoorError`]: close the connection.
pub(crate) fn decode<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>, DoorError> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let len = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
    if len > DOOR_BYTES_MAX {
        return Err(DoorError::TooLong(len));
    }
    let Some(body) = buffer.get(4..4 + len) else { return Ok(None) };
    let message = pack::from_bytes(body, DOOR_BYTES_MAX)?;
    buffer.drain(..4 + len);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn messages_survive_any_cut_and_refuse_damage() {
        let mut bytes = encode(&Request::Status);
        bytes.extend(encode(&Request::End { reason: FinReason::Ended, grace_secs: 5 }));
        let mut buffer = Vec::new();
        let mut seen = 0;
        for byte in bytes {
            buffer.push(byte);
            while let Some(request) = decode::<Request>(&mut buffer).unwrap() {
                seen += 1;
                assert_eq!(matches!(request, Request::Status), seen == 1);
            }
        }
        assert_eq!((seen, buffer.len()), (2, 0));
        let mut long = vec![0xff; 10];
        assert!(matches!(decode::<Request>(&mut long), Err(DoorError::TooLong(_))));
        let mut wrong = vec![0, 0, 0, 1, 0xc1];
        assert!(matches!(decode::<Request>(&mut wrong), Err(DoorError::Malformed(_))));
    }

    #[test]
    fn socket_paths_are_short() {
        let path = socket_path(Path::new("/run/cloud-doctor"), ChannelId([0xab; 16]));
        assert_eq!(path, Path::new("/run/cloud-doctor/h/abababababababab-v1.sock"));
    }
}
