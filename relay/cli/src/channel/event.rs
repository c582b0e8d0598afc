//! What happens in a channel, and what ends it for this client.

use super::Channel;
use super::offsets::Gap;
use crate::messages::{Id, Say, Sentence};
use crate::relay_api::RelayError;
use crate::stream::StreamError;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::refusal::{Language, Refused};
use cloud_doctor_proto::session::{ExitStatus, FinReason, Notice, Stream, Welcome};
use std::time::Duration;

/// What happened in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The shell or command runs; the first record of each link. `again` after a reconnect.
    Welcome {
        /// What the server says.
        welcome: Welcome,
        /// The link was made again.
        again: bool,
    },
    /// Output that continues what came before. Call [`super::Channel::took`] when it is really shown.
    Output {
        /// Which stream.
        stream: Stream,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Bytes that the server no longer has.
    Skipped {
        /// Which stream.
        stream: Stream,
        /// How many.
        bytes: u64,
    },
    /// Input up to here was applied; there is room for more.
    Applied(u64),
    /// The process ended; all its output came before this.
    Exit(ExitStatus),
    /// The visit ends soon.
    Notice(Notice),
    /// A ping came back after this time.
    RoundTrip(Duration),
    /// The link was cut; it is being made again.
    Cut(Say),
    /// To a watcher: the terminal that it looks at has this size.
    Size(u16, u16),
    /// To whoever works in a shell: who watches it now.
    Watchers(Vec<String>),
    /// The channel is over; nothing follows.
    Fin(FinReason),
}

/// Why a channel cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The server refused.
    #[error("{}", self.sentence())]
    Refused(Refused),
    /// The relay refused.
    #[error("{}", self.sentence())]
    Relay(RelayError),
    /// The stream broke in a way that does not pass.
    #[error("{}", self.sentence())]
    Stream(StreamError),
    /// A handshake or record was not genuine.
    #[error("{}", self.sentence())]
    Handshake,
    /// A frame that has no business here.
    #[error("{}", self.sentence())]
    OutOfTurn(Kind),
    /// Genuine records that do not continue what came before.
    #[error("{}", self.sentence())]
    Integrity(String),
    /// It could not be reached any more until its visit ended.
    #[error("{}", self.sentence())]
    LostForGood(Say),
    /// It ended before.
    #[error("{}", self.sentence())]
    Over,
}

impl Sentence for ChannelError {
    fn sentence(&self) -> Say {
        match self {
            ChannelError::Refused(refused) => Id::ServerSaysNo.with(&[refused]),
            ChannelError::Relay(error) => error.sentence(),
            ChannelError::Stream(error) => error.sentence(),
            ChannelError::Handshake => Id::HandshakeBroken.into(),
            ChannelError::OutOfTurn(kind) => Id::ChannelIntegrity.with(&[&format!("{kind:?}")]),
            ChannelError::Integrity(why) => Id::ChannelIntegrity.with(&[why]),
            ChannelError::LostForGood(last) => Id::ChannelLostForGood.with(&[last]),
            ChannelError::Over => Id::ChannelOver.into(),
        }
    }

    fn text(&self, language: Language) -> String {
        match self {
            ChannelError::Refused(refused) => refused.text(language),
            ChannelError::Relay(_)
            | ChannelError::Stream(_)
            | ChannelError::Handshake
            | ChannelError::OutOfTurn(_)
            | ChannelError::Integrity(_)
            | ChannelError::LostForGood(_)
            | ChannelError::Over => self.sentence().text(language),
        }
    }
}

impl From<Gap> for ChannelError {
    fn from(gap: Gap) -> Self {
        ChannelError::Integrity(gap.to_string())
    }
}

impl Channel {
    /// Ends the shell or command and waits until it is over; what it still says is taken and shown to nobody.
    ///
    /// # Errors
    /// [`ChannelError`]: whether it has ended is not known.
    pub async fn end(&mut self) -> Result<(), ChannelError> {
        self.close();
        loop {
            match self.event().await? {
                Event::Output { stream, data } => self.took(stream, data.len()),
                Event::Fin(_) => return Ok(()),
                Event::Welcome { .. }
                | Event::Skipped { .. }
                | Event::Applied(_)
                | Event::Exit(_)
                | Event::Notice(_)
                | Event::RoundTrip(_)
                | Event::Cut(_)
                | Event::Size(..)
                | Event::Watchers(_) => {}
            }
        }
    }
}
