//! What tunnel and relay say outside sealed streams. Tolerant: unknown fields are ignored, new ones have defaults.
//!
//! Nothing here can start anything on a server: the most a relay can do with these messages is to deny service.

use crate::ids::{AgentId, Hash, StreamId, TenantId, VerifyKey};
use crate::pack;
use crate::time::UnixTime;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Prefix of what guard signs to vouch for a tunnel's key.
const TRANSPORT_CONTEXT: &[u8] = b"cloud-doctor transport v1\0";
/// Prefix of what guard signs when the customer leaves.
const UNENROL_CONTEXT: &[u8] = b"cloud-doctor unenrol v1\0";

/// First frame on the control stream, from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest wire version spoken.
    pub proto_min: u16,
    /// Newest wire version spoken.
    pub proto_max: u16,
    /// The build, for people.
    pub build: String,
    /// Guard's word that this tunnel speaks for that agent.
    pub binding: TransportBinding,
    /// What the server calls itself and runs.
    #[serde(default)]
    pub host: HostFacts,
    /// How far guard's copy of the trust log goes.
    pub trust: TrustHead,
}

/// Facts that a list of servers shows. Text from a stranger: escape it wherever it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Host name.
    #[serde(default)]
    pub hostname: String,
    /// `PRETTY_NAME` of os-release.
    #[serde(default)]
    pub os: String,
    /// Kernel release.
    #[serde(default)]
    pub kernel: String,
    /// Machine architecture.
    #[serde(default)]
    pub arch: String,
    /// Processors that are online; `None`: an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Main memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// When the system was started, by its own clock: a second more or less from one telling to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_at: Option<UnixTime>,
}

/// The relay's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloAck {
    /// The wire version of this connection: the newest that both speak.
    pub proto: u16,
    /// The relay's build, for people.
    pub build: String,
    /// The relay's wall clock, to tell an operator about a wrong one. Decides nothing.
    pub now: UnixTime,
}

/// The newest wire version that both ranges hold.
#[must_use]
pub fn negotiate(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let version = ours.1.min(theirs.1);
    (version >= ours.0 && version >= theirs.0).then_some(version)
}

/// A place in a trust log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustHead {
    /// Number of the newest entry; the first is 0.
    pub seq: u64,
    /// Hash of the newest entry.
    pub hash: Hash,
}

/// Entries that follow one another, each a [`crate::trust::SignedEntry`] in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustUpdate {
    /// At most [`crate::limits::ENTRIES_PAGE`].
    pub entries: Vec<ByteBuf>,
}

/// What a stream that the relay opens is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamPurpose {
    /// A client talks to guard and holders; the tunnel moves bytes.
    Sealed,
    /// The relay asks for checks that the ceiling allows without a grant ([`crate::checks`]).
    Checks,
    /// The relay asks the tunnel for metrics that the ceiling allows without a grant ([`crate::metrics`]).
    Metrics,
    /// Something this build does not know; refuse the stream.
    #[serde(other)]
    Unknown,
}

/// First frame on a stream that the relay opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// Where it leads.
    pub purpose: StreamPurpose,
    /// The relay's name for it.
    pub stream: StreamId,
    /// Who asks, as the relay claims: for the audit, never for a decision.
    pub account: String,
    /// From where, as the relay claims.
    pub client: String,
}

/// First frame of an enrolment, from the host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolBegin {
    /// The relay's part of the token.
    #[serde(with = "serde_bytes")]
    pub secret: [u8; 32],
    /// The host's name for the audit of a refusal.
    pub host: HostFacts,
}

impl std::fmt::Debug for EnrolBegin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolBegin").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The trust log, in pages. Sent again from a later entry when another host was faster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolLog {
    /// The customer.
    pub tenant: TenantId,
    /// Number of the first entry in this page.
    pub from: u64,
    /// Entries in order.
    pub entries: Vec<ByteBuf>,
    /// Another page follows at once.
    pub more: bool,
}

/// The host's own entry for the log, and the key it will connect with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolCommit {
    /// A [`crate::trust::SignedEntry`] of kind agent, signed by the batch key.
    pub entry: ByteBuf,
    /// Guard's word for the tunnel's key.
    pub binding: TransportBinding,
}

/// How an enrolment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolDone {
    /// `None`: enrolled.
    pub refused: Option<EnrolRefusal>,
}

/// Why a token does not work. The same words and time for all of them on the wire's other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolRefusal {
    /// Unknown, expired, used up or revoked: the relay does not say which to a stranger.
    Token,
    /// The entry does not verify against the tenant's log.
    Entry,
    /// Too many attempts from this address.
    Limited,
    /// The relay cannot write right now.
    Unavailable,
    /// A reason of a newer relay.
    #[serde(other)]
    Unknown,
}

/// Tunnel asks guard to vouch for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindTransport {
    /// The tunnel's Ed25519 key.
    pub transport: VerifyKey,
}

/// Guard's signed word for a tunnel's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportBinding {
    /// A [`TransportClaim`] in its signed bytes.
    pub claim: ByteBuf,
    /// Ed25519 by the identity over a context prefix and the claim.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// What a [`TransportBinding`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportClaim {
    /// Whose tunnel.
    pub identity: VerifyKey,
    /// The key that the tunnel connects with.
    pub transport: VerifyKey,
    /// The customer whose log names the agent.
    pub tenant: TenantId,
}

/// What the tunnel knows about its relays, for `status` on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelState {
    /// One line per configured relay.
    pub relays: Vec<RelayState>,
}

/// One relay as the tunnel sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayState {
    /// As configured.
    pub url: String,
    /// A tunnel stands.
    pub connected: bool,
    /// Smoothed round trip in milliseconds, when connected.
    pub rtt_ms: Option<u32>,
    /// Last error in words, when not.
    pub error: Option<String>,
}

/// The customer leaves: the relay forgets the agent's transport key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unenrol {
    /// Who leaves.
    pub identity: VerifyKey,
    /// Signed by that identity, so that a stolen transport key cannot remove an agent.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// Answer to a frame that had to be understood and was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// The frame's number.
    pub number: u16,
}

/// A signed word that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Not the claim's one form.
    #[error("the transport binding is {0}")]
    Malformed(#[from] pack::PackError),
    /// The identity did not sign it.
    #[error("the transport binding's signature does not verify")]
    Signature,
}

impl TransportBinding {
    /// Signs a claim with the agent's identity.
    #[must_use]
    pub fn sign(identity: &SigningKey, transport: VerifyKey, tenant: TenantId) -> Self {
        let claim = TransportClaim { identity: VerifyKey(identity.verifying_key().to_bytes()), transport, tenant };
        let claim = pack::to_bytes(&claim);
        let signature = identity.sign(&[TRANSPORT_CONTEXT, &claim].concat()).to_bytes();
        Self { claim: ByteBuf::from(claim), signature }
    }

    /// Reads the claim after checking that its identity signed it.
    ///
    /// # Errors
    /// [`BindingError`] when the claim may not be believed.
    pub fn verify(&self) -> Result<TransportClaim, BindingError> {
        let claim: TransportClaim = pack::from_signed_bytes(&self.claim, 1 << 10)?;
        if verify(&claim.identity, TRANSPORT_CONTEXT, &self.claim, &self.signature) {
            Ok(claim)
        } else {
            Err(BindingError::Signature)
        }
    }
}

impl Unenrol {
    /// Signs the leave.
    #[must_use]
    pub fn sign(identity: &SigningKey) -> Self {
        let key = VerifyKey(identity.verifying_key().to_bytes());
        Self { identity: key, signature: identity.sign(&[UNENROL_CONTEXT, &key.0].concat()).to_bytes() }
    }

    /// The agent that really said so.
    #[must_use]
    pub fn verify(&self) -> Option<AgentId> {
        verify(&self.identity, UNENROL_CONTEXT, &self.identity.0, &self.signature).then(|| AgentId::of(&self.identity))
    }
}

/// Checks a raw Ed25519 signature over `context | message`, strictly (no small-order keys).
#[must_use]
pub fn verify(key: &VerifyKey, context: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(&key.0)
        .is_ok_and(|key| key.verify_strict(&[context, message].concat(), &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn binding_holds_only_as_signed() {
        let identity = SigningKey::from_bytes(&[1; 32]);
        let binding = TransportBinding::sign(&identity, VerifyKey([2; 32]), TenantId([3; 32]));
        assert_eq!(binding.verify().unwrap().transport, VerifyKey([2; 32]));
        for bit in 0..binding.claim.len() * 8 {
            let mut bad = binding.clone();
            bad.claim[bit / 8] ^= 1 << (bit % 8);
            assert!(bad.verify().is_err(), "bit {bit}");
        }
        let mut bad = binding.clone();
        bad.signature[5] ^= 1;
        assert_eq!(bad.verify(), Err(BindingError::Signature));
        let mut leave = Unenrol::sign(&identity);
        assert_eq!(leave.verify(), Some(AgentId::of(&leave.identity)));
        leave.identity.0[0] ^= 1;
        assert_eq!(leave.verify(), None);
    }

    #[test]
    fn r_11_versions_meet_at_the_newest_common_one() {
        assert_eq!(negotiate((1, 3), (2, 5)), Some(3));
        assert_eq!(negotiate((1, 1), (1, 1)), Some(1));
        assert_eq!(negotiate((2, 3), (4, 5)), None);
        assert_eq!(negotiate((4, 5), (2, 3)), None);
    }

    #[test]
    fn cod_02_newer_peers_are_understood() {
        #[derive(Serialize)]
        struct NewerHead {
            purpose: &'static str,
            stream: StreamId,
            account: String,
            client: String,
            shard: u32,
        }
        let newer = NewerHead {
            purpose: "teleport",
            stream: StreamId([1; 16]),
            account: "a".into(),
            client: "c".into(),
            shard: 9,
        };
        let head: StreamHead = pack::from_bytes(&pack::to_bytes(&newer), 1000).unwrap();
        assert_eq!(head.purpose, StreamPurpose::Unknown);
    }
}
