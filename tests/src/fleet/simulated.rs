//! Identity and tunnel key of a server that does not exist.

use cloud_doctor_proto::control::{Hello, HostFacts, TransportBinding, TrustHead};
use cloud_doctor_proto::ids::{AgentId, TenantId, VerifyKey};
use cloud_doctor_proto::limits::{PROTO_VERSION, PROTO_VERSION_MIN};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

/// Keys and names of one agent.
#[derive(Debug)]
pub struct Simulated {
    /// Its id.
    pub agent: AgentId,
    /// What it calls itself.
    pub name: String,
    pub(super) identity: SigningKey,
    pub(super) transport: SigningKey,
    pub(super) binding: TransportBinding,
}

impl Simulated {
    /// Number `number` of the fleet that `seed` makes, of a customer.
    #[must_use]
    pub fn new(seed: &[u8; 32], number: usize, word: &str, tenant: TenantId) -> Self {
        let key = |purpose: u8| {
            let hash = Sha256::new().chain_update(seed).chain_update(number.to_be_bytes()).chain_update([purpose]);
            SigningKey::from_bytes(&hash.finalize().into())
        };
        let (identity, transport) = (key(1), key(2));
        let agent = AgentId::of(&VerifyKey(identity.verifying_key().to_bytes()));
        let binding = TransportBinding::sign(&identity, VerifyKey(transport.verifying_key().to_bytes()), tenant);
        Self { agent, name: format!("{word}-{number:05}"), identity, transport, binding }
    }

    /// A fleet of that many, named after what they are.
    #[must_use]
    pub fn fleet(seed: &[u8; 32], count: usize, mix: &super::Mix, tenant: TenantId) -> Vec<Self> {
        (0..count).map(|number| Self::new(seed, number, mix.nature(number, count).word(), tenant)).collect()
    }

    /// The key that its tunnel connects with.
    #[must_use]
    pub fn transport_key(&self) -> VerifyKey {
        VerifyKey(self.transport.verifying_key().to_bytes())
    }

    /// What it says of itself.
    pub(super) fn host(&self) -> HostFacts {
        let text = str::to_owned;
        let (hostname, arch) = (self.name.clone(), text("x86_64"));
        HostFacts { hostname, os: text("Simulated"), kernel: text("6.1.0"), arch, ..HostFacts::default() }
    }

    pub(super) fn hello(&self, trust: TrustHead) -> Hello {
        Hello {
            proto_min: PROTO_VERSION_MIN,
            proto_max: PROTO_VERSION,
            build: "simulated".to_owned(),
            binding: self.binding.clone(),
            host: self.host(),
            trust,
        }
    }
}
