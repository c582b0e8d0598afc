//! One piped stream with its far end at guard, spoken frame by frame: what an attacker in the middle has in hand.
//!
//! Blocking calls over a runtime that the caller owns, so that a test reads like the attack.

use cloud_doctor_proto::frame::{self, Decoder, Frame, Kind};
use cloud_doctor_proto::pack;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    Frame(Frame),
    /// The far end is done, or reset the stream.
    Ended,
    /// Nothing within the time.
    Silence,
}

impl Next {
    /// The message of this kind, or nothing when something else came.
    #[must_use]
    pub fn message<T: DeserializeOwned>(&self, kind: Kind) -> Option<T> {
        match self {
            Next::Frame(frame) if frame.kind == kind => pack::from_bytes(&frame.body, kind.bytes_max()).ok(),
            Next::Frame(_) | Next::Ended | Next::Silence => None,
        }
    }
}

/// A byte stream to guard or holder, seen as frames.
pub struct Road {
    runtime: Handle,
    read: Box<dyn AsyncRead + Send + Unpin>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    decoder: Decoder,
    over: bool,
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Road {
    /// A road over any pair of byte streams.
    pub fn new(
        runtime: Handle,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { runtime, read: Box::new(read), write: Box::new(write), decoder: Decoder::new(), over: false }
    }

    /// A connection to a unix socket, as a compromised tunnel would make it.
    ///
    /// # Errors
    /// When nobody listens there, or does not want us.
    pub fn unix(runtime: &Handle, path: &Path) -> std::io::Result<Self> {
        let stream = runtime.block_on(tokio::net::UnixStream::connect(path))?;
        let (read, write) = stream.into_split();
        Ok(Self::new(runtime.clone(), read, write))
    }

    /// Sends raw bytes; a far end that has gone takes none.
    pub fn send(&mut self, bytes: &[u8]) {
        let (runtime, write) = (self.runtime.clone(), &mut self.write);
        let sent = runtime.block_on(async {
            write.write_all(bytes).await?;
            write.flush().await
        });
        self.over |= sent.is_err();
    }

    /// Sends one message.
    pub fn say<T: serde::Serialize>(&mut self, kind: Kind, value: &T) {
        self.send(&frame::message(kind, value));
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        let (runtime, write) = (self.runtime.clone(), &mut self.write);
        self.over |= runtime.block_on(write.shutdown()).is_err();
    }

    /// What comes next.
    pub fn next(&mut self, within: Duration) -> Next {
        let runtime = self.runtime.clone();
        runtime.block_on(async { tokio::time::timeout(within, self.read_frame()).await.unwrap_or(Next::Silence) })
    }

    async fn read_frame(&mut self) -> Next {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Next::Frame(frame),
                Ok(None) => {}
                Err(error) => panic!("the far end broke the framing: {error}"),
            }
            match self.read.read(&mut buffer).await {
                Ok(0) | Err(_) => return Next::Ended,
                Ok(len) => self.decoder.push(&buffer[..len]),
            }
        }
    }
}
