//! Newtypes for everything that is known by its bytes. Shown as lower-case hex; compared as bytes.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The text is not the hex form of an id of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits")]
pub struct NotAnId {
    /// How many digits the id has.
    pub expected: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The first twelve hex digits: enough to tell two apart on a screen, never to decide by.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(12);
                text
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let wrong = NotAnId { expected: $len * 2 };
                let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| wrong)?;
                Ok(Self(bytes.try_into().map_err(|_| wrong)?))
            }
        }
    };
}

byte_id!(
    /// SHA-256 of whatever the field's name says.
    Hash,
    32
);
byte_id!(
    /// SHA-256 of the agent's Ed25519 identity key (32 raw bytes).
    AgentId,
    32
);
byte_id!(
    /// SHA-256 of the first entry of a customer's trust log.
    TenantId,
    32
);
byte_id!(
    /// SHA-256 of a public key in SSH wire format (the blob that `ssh-keygen -lf` hashes).
    KeyId,
    32
);
byte_id!(
    /// First sixteen bytes of the grant's hash: one grant is one visit.
    VisitId,
    16
);
byte_id!(
    /// Sixteen random bytes chosen by the client for a shell or command.
    ChannelId,
    16
);
byte_id!(
    /// Sixteen random bytes chosen by the relay for one piped stream.
    StreamId,
    16
);
byte_id!(
    /// Sixteen random bytes that make a challenge unique.
    Nonce,
    16
);
byte_id!(
    /// Sixteen random bytes from which the nonces of a scan follow, drawn by whoever starts it.
    ScanSeed,
    16
);
byte_id!(
    /// A scan of many servers: a hash of its seed, so that a seed that is shown later is the one it was started with.
    ScanId,
    16
);
byte_id!(
    /// The kernel's boot id: changes with every boot of the server.
    BootId,
    16
);
byte_id!(
    /// A raw X25519 public key.
    ExchangeKey,
    32
);
byte_id!(
    /// A raw Ed25519 public key.
    VerifyKey,
    32
);

impl ScanSeed {
    /// The scan that it makes.
    #[must_use]
    pub fn scan(&self) -> ScanId {
        ScanId(first_half(&Hash::of(&[b"cloud-doctor scan v1\0", &self.0])))
    }

    /// What a server is asked with: nobody can have had an answer to it before the seed was drawn.
    #[must_use]
    pub fn nonce(&self, agent: &AgentId) -> Nonce {
        Nonce(first_half(&Hash::of(&[b"cloud-doctor scan nonce v1\0", &self.0, &agent.0])))
    }
}

fn first_half(hash: &Hash) -> [u8; 16] {
    std::array::from_fn(|at| hash.0[at])
}

impl Hash {
    /// SHA-256 of the concatenation of `parts`.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl AgentId {
    /// The id that belongs to an identity key.
    #[must_use]
    pub fn of(identity: &VerifyKey) -> Self {
        Self(Hash::of(&[&identity.0]).0)
    }
}

impl VisitId {
    /// The visit that a grant opens.
    #[must_use]
    pub fn of(grant: &Hash) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&grant.0[..16]);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hex_round_trip_and_refusals() {
        let id = Hash::of(&[b"a", b"b"]);
        assert_eq!(id, Hash::of(&[b"ab"]));
        assert_eq!(id.to_string().parse::<Hash>().unwrap(), id);
        assert_eq!(id.short().len(), 12);
        for bad in ["", "zz", "00", &"0".repeat(63), &"0".repeat(65)] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
        }
    }
}
