//! What client and guard say before a channel is sealed. Signed parts travel as the exact bytes that were signed.
//!
//! The relay sees all of this; it can change none of it without being refused.

use crate::channel::ChannelKind;
use crate::ids::{ChannelId, KeyId, VisitId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A client asks for a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// Oldest wire version that the client speaks.
    pub proto_min: u16,
    /// Newest wire version that the client speaks.
    pub proto_max: u16,
    /// Newest trust-log entry that the client has verified; guard sends what comes after it.
    pub trust_seq: u64,
}

/// Guard's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// A [`crate::grant::Challenge`] in its signed bytes.
    pub challenge: ByteBuf,
    /// Ed25519 by the agent's identity.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
    /// Log entries after the client's newest, at most one page.
    pub entries: Vec<ByteBuf>,
}

/// A signature together with the key that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Whose.
    pub key: KeyId,
    /// Binary SSHSIG.
    pub sshsig: ByteBuf,
}

/// The client's grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenVisit {
    /// A [`crate::grant::Grant`] in its signed bytes.
    pub grant: ByteBuf,
    /// The engineer's signature over the grant.
    pub engineer: Signed,
    /// The customer's signature, where the client has it already.
    pub second: Option<Signed>,
    /// Log entries that guard lacks, at most one page.
    pub entries: Vec<ByteBuf>,
}

/// The visit is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitOpened {
    /// Its id.
    pub visit: VisitId,
    /// Seconds until it ends.
    pub ends_in_secs: u64,
    /// This engineer's living channels on this server, from this and earlier visits.
    pub channels: Vec<ChannelInfo>,
}

/// A living channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Its id.
    pub channel: ChannelId,
    /// What runs in it.
    pub kind: ChannelKind,
    /// As whom.
    pub user: String,
    /// Seconds since it began.
    pub age_secs: u64,
    /// A view is attached.
    pub attached: bool,
}

/// Another person must sign too. The client may wait on the stream: [`VisitOpened`] or a refusal follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedSecond {
    /// The visit that waits.
    pub visit: VisitId,
    /// Seconds that it waits.
    pub within_secs: u64,
    /// A key named in the trust log may sign remotely.
    pub remote: bool,
    /// Root on the server may approve there.
    pub local: bool,
}

/// The second signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// The customer's signature over the same grant bytes.
    pub second: Signed,
}

/// First message of a channel's handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenChannel {
    /// Under which visit.
    pub visit: VisitId,
    /// Which channel: new, or living when the request inside says "attach".
    pub channel: ChannelId,
    /// What it is.
    pub kind: ChannelKind,
    /// Number of the resume secret used; 0 = none.
    pub resume: u64,
    /// Noise message 1; its payload is an [`crate::session::OpenRequest`].
    pub first: ByteBuf,
}

/// Second message of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelReply {
    /// Noise message 2; its payload is a [`crate::channel::Handed`].
    pub second: ByteBuf,
}
