//! What client and holder say inside a sealed channel: one message per record.
//!
//! `u8 type | body`. Bulk and keystrokes are raw with fixed fields (big endian); the rare ones are MessagePack. Offsets
//! are absolute: output bytes since the shell began, input bytes since the shell began. Acknowledged input was
//! applied exactly once; output is shown exactly once, or the gap is named by [`ToClient::Skipped`].
//!
//! A watcher's channel has the same messages, but says only [`ToHolder::Look`], `Ack`, `Ping`, `Bye` and `End`: whatever
//! else comes from it cuts its view.

use crate::ids::ExchangeKey;
use crate::limits::RECORD_DATA_BYTES_MAX;
use crate::pack::{self, PackError};
use crate::told::Told;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Sealed inside the first handshake message: what the channel is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// Who it runs as. Must be one of the grant's users for this kind.
    pub user: String,
    /// Attach to a living channel instead of starting one.
    pub attach: bool,
    /// Ephemeral keys of this client's own handshakes that were never answered, newest last, at most
    /// [`crate::limits::ABANDONED_MAX`]: one that was held back on the way is told from one that somebody made with a
    /// copy of the client's secret.
    pub abandoned: Vec<ExchangeKey>,
    /// `TERM` of a shell.
    pub term: String,
    /// `LANG` of a shell or command; empty = the host's default.
    pub lang: String,
    /// The command and its arguments; empty for a shell.
    pub argv: Vec<ByteBuf>,
}

/// One of a channel's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// The PTY, or standard output.
    Out,
    /// Standard error of a command.
    Err,
}

/// The first record of a client: nothing starts, and nobody is replaced, before it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// First output byte that the client has not got.
    pub out_from: u64,
    /// The same for standard error.
    pub err_from: u64,
    /// Terminal columns; 0 for a command.
    pub cols: u16,
    /// Terminal rows; 0 for a command.
    pub rows: u16,
}

/// The holder's first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Process id of the shell or command.
    pub pid: u32,
    /// Input bytes applied so far: the client sends on from here.
    pub input_applied: u64,
    /// Output bytes written so far.
    pub out_end: u64,
    /// The same for standard error.
    pub err_end: u64,
    /// Seconds until the grant ends.
    pub ends_in_secs: u64,
    /// Something to tell the engineer, for example that the home directory is missing.
    pub notice: Option<Told>,
}

/// How the shell or command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It returned this status.
    Code(u8),
    /// A signal ended it.
    Signal(u8),
    /// It never ran. As shells do, clients exit with 127 on [`crate::told::Tell::NoCommand`], with 126 on
    /// [`crate::told::Tell::NotExecutable`].
    NotStarted(Told),
}

/// Why a channel is over, for the person who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinReason {
    /// The shell or command ended by itself.
    Exited,
    /// The engineer ended it.
    Closed,
    /// The grant's time is over.
    Expired,
    /// No view was attached for too long.
    Detached,
    /// Nothing was typed for too long.
    Idle,
    /// The customer ended the visit or locked the server down.
    Ended,
    /// The engineer's key was removed.
    Revoked,
    /// Another view took this one's place; the shell lives.
    TakenOver,
    /// A resume secret that was replaced came back: somebody has a copy.
    Compromised,
    /// A reason of a newer holder.
    #[serde(other)]
    Unknown,
}

/// A warning that does not end anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Seconds until the grant ends.
    pub ends_in_secs: u64,
}

/// To whoever works in the shell: who watches it now, by their names in the trust log. Sent whenever that changes, and
/// after [`Welcome`] when somebody does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchers {
    /// One name for each view; at most [`crate::limits::WATCHERS_MAX`].
    pub people: Vec<String>,
}

/// Signals that a client may send to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Hang up.
    Hup,
    /// Interrupt.
    Int,
    /// Quit.
    Quit,
    /// Kill.
    Kill,
    /// Terminate.
    Term,
    /// User 1.
    Usr1,
    /// User 2.
    Usr2,
}

/// Client to holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHolder<'a> {
    /// See [`Begin`].
    Begin(Begin),
    /// Bytes typed, the first of them being input byte `offset`.
    Input {
        /// Absolute input offset.
        offset: u64,
        /// At most [`RECORD_DATA_BYTES_MAX`].
        data: &'a [u8],
    },
    /// Output up to here was shown; frees the window.
    Ack {
        /// Bytes of [`Stream::Out`].
        out: u64,
        /// Bytes of [`Stream::Err`].
        err: u64,
    },
    /// The terminal has another size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Send a signal to the command's process group.
    Signal(Signal),
    /// Input ends at this offset.
    Eof {
        /// Absolute input offset.
        offset: u64,
    },
    /// Answered at once with the same number.
    Ping(u64),
    /// End the shell or command (hang up), not only this view.
    Close,
    /// The exit status arrived; the holder need not keep it.
    Bye,
    /// A watcher's first record, instead of [`Begin`]: it has no terminal of its own.
    Look {
        /// First output byte that it has not got; 0 at first.
        from: u64,
        /// At most so many of the newest bytes from before this record; what is left out is [`ToClient::Skipped`].
        last: u64,
    },
    /// A watcher ends the shell. Only where [`crate::look::LivingShell::may_end`] says so; else its view is cut.
    End,
}

/// Holder to client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// See [`Welcome`].
    Welcome(Welcome),
    /// Output bytes, the first of them being byte `offset` of its stream.
    Output {
        /// Which stream.
        stream: Stream,
        /// Absolute output offset.
        offset: u64,
        /// At most [`RECORD_DATA_BYTES_MAX`].
        data: &'a [u8],
    },
    /// Input up to this offset was applied.
    InputAck {
        /// Absolute input offset.
        offset: u64,
    },
    /// Output bytes that are gone: the view was away too long.
    Skipped {
        /// Which stream.
        stream: Stream,
        /// First byte that is missing.
        from: u64,
        /// First byte that is there again.
        to: u64,
    },
    /// The process ended; all its output came before this.
    Exit(ExitStatus),
    /// See [`Notice`].
    Notice(Notice),
    /// Answer to a ping.
    Pong(u64),
    /// Last record. A stream that ends without it was cut.
    Fin(FinReason),
    /// To a watcher: the size of the terminal that it looks at, at first and whenever it changes.
    Size {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// See [`Watchers`].
    Watchers(Watchers),
    /// Something that a newer holder tells and that may be left unread: its type is [`INFORMATION`] or above.
    Unknown {
        /// Its type.
        tag: u8,
        /// Its body.
        body: &'a [u8],
    },
}

/// Types of a holder's messages from this one on only inform: who does not know one reads on. All below must be
/// understood.
pub const INFORMATION: u8 = 0xc0;

/// A record whose plain form is not a message of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Too short for its type.
    #[error("a session message ends too early")]
    Short,
    /// Type unknown.
    #[error("session message type {0:#04x} is unknown")]
    Type(u8),
    /// A field has an impossible value.
    #[error("a session message is malformed: {0}")]
    Malformed(String),
}

impl From<PackError> for SessionError {
    fn from(error: PackError) -> Self {
        SessionError::Malformed(error.to_string())
    }
}

const SMALL_BYTES_MAX: usize = 4 << 10;
/// Eight names of 128 characters, four bytes each, fit.
const WATCHERS_BYTES_MAX: usize = 8 << 10;

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, SessionError> {
    let slice = bytes.get(at..at + 8).ok_or(SessionError::Short)?;
    Ok(u64::from_be_bytes(slice.try_into().map_err(|_| SessionError::Short)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, SessionError> {
    let slice = bytes.get(at..at + 2).ok_or(SessionError::Short)?;
    Ok(u16::from_be_bytes(slice.try_into().map_err(|_| SessionError::Short)?))
}

fn data_at(bytes: &[u8], at: usize) -> Result<&[u8], SessionError> {
    let data = bytes.get(at..).ok_or(SessionError::Short)?;
    if data.len() > RECORD_DATA_BYTES_MAX {
        return Err(SessionError::Malformed("too much data in one record".to_owned()));
    }
    Ok(data)
}

fn exactly(bytes: &[u8], len: usize) -> Result<(), SessionError> {
    match bytes.len().cmp(&len) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(SessionError::Short),
        std::cmp::Ordering::Greater => Err(SessionError::Malformed("trailing bytes".to_owned())),
    }
}

fn packed<T: Serialize>(out: &mut Vec<u8>, tag: u8, value: &T) {
    out.push(tag);
    out.extend(pack::to_bytes(value));
}

fn stream_tag(stream: Stream) -> u8 {
    match stream {
        Stream::Out => 1,
        Stream::Err => 2,
    }
}

fn stream_at(bytes: &[u8], at: usize) -> Result<Stream, SessionError> {
    match bytes.get(at).copied().ok_or(SessionError::Short)? {
        1 => Ok(Stream::Out),
        2 => Ok(Stream::Err),
        other => Err(SessionError::Malformed(format!("stream {other}"))),
    }
}

impl<'a> ToHolder<'a> {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ToHolder::Begin(begin) => packed(out, 0x01, begin),
            ToHolder::Input { offset, data } => {
                out.push(0x02);
                out.extend(offset.to_be_bytes());
                out.extend(*data);
            }
            ToHolder::Ack { out: shown, err } => {
                out.push(0x03);
                out.extend(shown.to_be_bytes());
                out.extend(err.to_be_bytes());
            }
            ToHolder::Resize { cols, rows } => {
                out.push(0x04);
                out.extend(cols.to_be_bytes());
                out.extend(rows.to_be_bytes());
            }
            ToHolder::Signal(signal) => packed(out, 0x05, signal),
            ToHolder::Eof { offset } => {
                out.push(0x06);
                out.extend(offset.to_be_bytes());
            }
            ToHolder::Ping(number) => {
                out.push(0x07);
                out.extend(number.to_be_bytes());
            }
            ToHolder::Close => out.push(0x08),
            ToHolder::Bye => out.push(0x09),
            ToHolder::Look { from, last } => {
                out.push(0x0a);
                out.extend(from.to_be_bytes());
                out.extend(last.to_be_bytes());
            }
            ToHolder::End => out.push(0x0b),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`SessionError`]: cut this view.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, SessionError> {
        let (tag, body) = bytes.split_first().ok_or(SessionError::Short)?;
        match tag {
            0x01 => Ok(ToHolder::Begin(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x02 => Ok(ToHolder::Input { offset: u64_at(body, 0)?, data: data_at(body, 8)? }),
            0x03 => {
                exactly(body, 16)?;
                Ok(ToHolder::Ack { out: u64_at(body, 0)?, err: u64_at(body, 8)? })
            }
            0x04 => {
                exactly(body, 4)?;
                Ok(ToHolder::Resize { cols: u16_at(body, 0)?, rows: u16_at(body, 2)? })
            }
            0x05 => Ok(ToHolder::Signal(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x06 => {
                exactly(body, 8)?;
                Ok(ToHolder::Eof { offset: u64_at(body, 0)? })
            }
            0x07 => {
                exactly(body, 8)?;
                Ok(ToHolder::Ping(u64_at(body, 0)?))
            }
            0x08 => exactly(body, 0).map(|()| ToHolder::Close),
            0x09 => exactly(body, 0).map(|()| ToHolder::Bye),
            0x0a => {
                exactly(body, 16)?;
                Ok(ToHolder::Look { from: u64_at(body, 0)?, last: u64_at(body, 8)? })
            }
            0x0b => exactly(body, 0).map(|()| ToHolder::End),
            other => Err(SessionError::Type(*other)),
        }
    }
}

impl<'a> ToClient<'a> {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ToClient::Welcome(welcome) => packed(out, 0x81, welcome),
            ToClient::Output { stream, offset, data } => {
                out.extend([0x82, stream_tag(*stream)]);
                out.extend(offset.to_be_bytes());
                out.extend(*data);
            }
            ToClient::InputAck { offset } => {
                out.push(0x83);
                out.extend(offset.to_be_bytes());
            }
            ToClient::Skipped { stream, from, to } => {
                out.extend([0x84, stream_tag(*stream)]);
                out.extend(from.to_be_bytes());
                out.extend(to.to_be_bytes());
            }
            ToClient::Exit(status) => packed(out, 0x85, status),
            ToClient::Notice(notice) => packed(out, 0x86, notice),
            ToClient::Pong(number) => {
                out.push(0x87);
                out.extend(number.to_be_bytes());
            }
            ToClient::Fin(reason) => packed(out, 0x88, reason),
            ToClient::Size { cols, rows } => {
                out.push(0x89);
                out.extend(cols.to_be_bytes());
                out.extend(rows.to_be_bytes());
            }
            ToClient::Watchers(watchers) => packed(out, 0xc0, watchers),
            ToClient::Unknown { tag, body } => {
                out.push(*tag);
                out.extend(*body);
            }
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`SessionError`]: reconnect.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, SessionError> {
        let (tag, body) = bytes.split_first().ok_or(SessionError::Short)?;
        match tag {
            0x81 => Ok(ToClient::Welcome(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x82 => {
                Ok(ToClient::Output { stream: stream_at(body, 0)?, offset: u64_at(body, 1)?, data: data_at(body, 9)? })
            }
            0x83 => {
                exactly(body, 8)?;
                Ok(ToClient::InputAck { offset: u64_at(body, 0)? })
            }
            0x84 => {
                exactly(body, 17)?;
                Ok(ToClient::Skipped { stream: stream_at(body, 0)?, from: u64_at(body, 1)?, to: u64_at(body, 9)? })
            }
            0x85 => Ok(ToClient::Exit(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x86 => Ok(ToClient::Notice(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x87 => {
                exactly(body, 8)?;
                Ok(ToClient::Pong(u64_at(body, 0)?))
            }
            0x88 => Ok(ToClient::Fin(pack::from_bytes(body, SMALL_BYTES_MAX)?)),
            0x89 => {
                exactly(body, 4)?;
                Ok(ToClient::Size { cols: u16_at(body, 0)?, rows: u16_at(body, 2)? })
            }
            0xc0 => Ok(ToClient::Watchers(pack::from_bytes(body, WATCHERS_BYTES_MAX)?)),
            tag if *tag >= INFORMATION => Ok(ToClient::Unknown { tag: *tag, body }),
            other => Err(SessionError::Type(*other)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn to_holder() -> Vec<(ToHolder<'static>, &'static str)> {
        vec![
            (
                ToHolder::Begin(Begin { out_from: 1, err_from: 0, cols: 80, rows: 24 }),
                "0184a86f75745f66726f6d01a86572725f66726f6d00a4636f6c7350a4726f777318",
            ),
            (ToHolder::Input { offset: 5, data: b"ls\n" }, "0200000000000000056c730a"),
            (ToHolder::Ack { out: 1, err: 2 }, "0300000000000000010000000000000002"),
            (ToHolder::Resize { cols: 80, rows: 24 }, "0400500018"),
            (ToHolder::Signal(Signal::Int), "05a3494e54"),
            (ToHolder::Eof { offset: 9 }, "060000000000000009"),
            (ToHolder::Ping(7), "070000000000000007"),
            (ToHolder::Close, "08"),
            (ToHolder::Bye, "09"),
            (ToHolder::Look { from: 1, last: 2 }, "0a00000000000000010000000000000002"),
            (ToHolder::End, "0b"),
        ]
    }

    fn to_client() -> Vec<(ToClient<'static>, &'static str)> {
        let welcome = Welcome { pid: 1, input_applied: 2, out_end: 3, err_end: 4, ends_in_secs: 5, notice: None };
        vec![
            (
                ToClient::Welcome(welcome),
                "8186a370696401ad696e7075745f6170706c69656402a76f75745f656e6403a76572725f656e6404ac656e64735f696e5f7365637305a66e6f74696365c0",
            ),
            (ToClient::Output { stream: Stream::Out, offset: 3, data: b"hi" }, "820100000000000000036869"),
            (ToClient::InputAck { offset: 8 }, "830000000000000008"),
            (ToClient::Skipped { stream: Stream::Err, from: 1, to: 2 }, "840200000000000000010000000000000002"),
            (ToClient::Exit(ExitStatus::Code(3)), "8581a4636f646503"),
            (ToClient::Notice(Notice { ends_in_secs: 60 }), "8681ac656e64735f696e5f736563733c"),
            (ToClient::Pong(7), "870000000000000007"),
            (ToClient::Fin(FinReason::TakenOver), "88aa74616b656e2d6f766572"),
            (ToClient::Size { cols: 80, rows: 24 }, "8900500018"),
            (ToClient::Watchers(Watchers { people: vec!["carl".to_owned()] }), "c081a670656f706c6591a46361726c"),
            (ToClient::Unknown { tag: 0xff, body: b"hi" }, "ff6869"),
        ]
    }

    #[test]
    fn golden_bytes_and_round_trip() {
        for (message, golden) in to_holder() {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(data_encoding::HEXLOWER.encode(&bytes), golden, "{message:?}");
            assert_eq!(ToHolder::decode(&bytes).unwrap(), message);
        }
        for (message, golden) in to_client() {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(data_encoding::HEXLOWER.encode(&bytes), golden, "{message:?}");
            assert_eq!(ToClient::decode(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn truncated_and_damaged_messages_never_panic() {
        for golden in to_holder().iter().map(|m| m.1).chain(to_client().iter().map(|m| m.1)) {
            let bytes = data_encoding::HEXLOWER.decode(golden.as_bytes()).unwrap();
            for cut in 0..bytes.len() {
                let _seen = (ToHolder::decode(&bytes[..cut]).is_ok(), ToClient::decode(&bytes[..cut]).is_ok());
                for bit in 0..8 {
                    let mut bad = bytes.clone();
                    bad[cut] ^= 1 << bit;
                    let _seen = (ToHolder::decode(&bad).is_ok(), ToClient::decode(&bad).is_ok());
                }
            }
        }
        let mut long = vec![0x02];
        long.extend([0; 8 + RECORD_DATA_BYTES_MAX + 1]);
        assert!(ToHolder::decode(&long).is_err());
    }

    #[test]
    fn reasons_of_newer_holders_are_tolerated() {
        let mut bytes = vec![0x88];
        bytes.extend(pack::to_bytes(&"moonlight"));
        assert_eq!(ToClient::decode(&bytes).unwrap(), ToClient::Fin(FinReason::Unknown));
        assert_eq!(ToClient::decode(&[INFORMATION - 1, 1]), Err(SessionError::Type(INFORMATION - 1)));
        assert!(matches!(ToClient::decode(&[INFORMATION + 1, 1]), Ok(ToClient::Unknown { body: [1], .. })));
    }
}
