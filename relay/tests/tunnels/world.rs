//! A relay's listener with a customer, in this process.

use cloud_doctor_proto::control::{HostFacts, TrustHead};
use cloud_doctor_proto::ids::{AgentId, Hash, KeyId, Nonce, TenantId, VerifyKey};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::signer::{self, NAMESPACE_LOG, SshKey};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{Entry, NamedKey, SignedEntry, TrustLog, What, batch_id};
use cloud_doctor_relay::broker::{Broker, OPENS_PER_ENGINEER};
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{
    Actor, EnrolTokenId, Enrolment, FirstAccount, NewAgent, NewEnrolToken, Store, TenantRef,
};
use cloud_doctor_relay::tunnels::gate::{GateLimits, Rate};
use cloud_doctor_relay::tunnels::registry::Registry;
use cloud_doctor_relay::tunnels::{Heads, ListenerKeys, Tunnels};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Patience of tests: a condition that takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// The secret of the token that every world begins with; it enrols this many servers.
pub(crate) const SECRET: [u8; 32] = [0x55; 32];
pub(crate) const USES: u32 = 100;

const ROOT: u8 = 1;
const WHO: Actor<'static> = Actor { account: "root", client: "test" };

/// A relay with one customer, one enrolment batch and one token.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) tenant: TenantRef,
    pub(crate) tenant_id: TenantId,
    pub(crate) registry: Arc<Registry>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) addr: SocketAddr,
    pub(crate) pins: [Pin; 2],
    pub(crate) batch: SigningKey,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// Limits that no test meets by accident: all peers come from one address.
pub(crate) fn roomy() -> GateLimits {
    GateLimits { per_prefix: Rate::per_second(100_000), all: Rate::per_second(100_000), unvalidated_max: 100 }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_limits(roomy()).await
    }

    pub(crate) async fn with_limits(limits: GateLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("relay.db")).await.unwrap();
        let first = FirstAccount { tenant_name: "ACME".into(), account: "root".into(), password: "$argon2id$".into() };
        let tenant = store.set_up(&first, "test", clock::now()).await.unwrap();
        let batch = SigningKey::from_bytes(&[0x77; 32]);
        let log = first_log(&batch);
        let world = Self::listen(dir, store, tenant, log.tenant(), batch, limits);
        for entry in log.entries_from(0, 10) {
            world.append(&entry).await;
        }
        world.token(SECRET, USES, clock::now().plus_secs(3600)).await;
        world
    }

    fn listen(
        dir: tempfile::TempDir,
        store: Store,
        tenant: TenantRef,
        tenant_id: TenantId,
        batch: SigningKey,
        limits: GateLimits,
    ) -> Self {
        let (registry, heads) = (Arc::<Registry>::default(), Arc::<Heads>::default());
        let keys = ListenerKeys::load_or_create(dir.path()).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let tunnels = Tunnels::listen(any, limits, &keys, store.clone(), registry.clone(), heads.clone()).unwrap();
        let addr = tunnels.local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(tunnels.run(stop.clone()));
        let broker = Arc::new(Broker::new(registry.clone(), OPENS_PER_ENGINEER, clock::instant()));
        let pins = keys.pins();
        Self { dir, store, tenant, tenant_id, registry, heads, broker, addr, pins, batch, stop, running }
    }

    /// Stops the listener and joins its tasks.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }

    pub(crate) async fn token(&self, secret: [u8; 32], uses_max: u32, expires_at: UnixTime) -> EnrolTokenId {
        let id = EnrolTokenId(Sha256::digest(secret)[..16].try_into().unwrap());
        let token = NewEnrolToken {
            id,
            secret_hash: Sha256::digest(secret).into(),
            label: "test".into(),
            expires_at,
            uses_max,
        };
        self.store.of(self.tenant).add_enrol_token(&token, WHO, clock::now()).await.unwrap();
        id
    }

    /// The stored log, verified.
    pub(crate) async fn log(&self) -> TrustLog {
        let entries = self.store.of(self.tenant).log_entries(0, 10_000).await.unwrap();
        TrustLog::replay(&entries, Some(self.tenant_id)).unwrap()
    }

    /// Stores an entry and tells the tunnels.
    pub(crate) async fn append(&self, entry: &[u8]) -> TrustHead {
        let (signed, decoded) = cloud_doctor_proto::trust::decode(entry, 0).unwrap();
        let before = decoded.seq.checked_sub(1).map(|seq| TrustHead { seq, hash: decoded.prev });
        let scoped = self.store.of(self.tenant);
        let head = scoped.append_entry(before, signed.hash(), entry, None, WHO, clock::now()).await.unwrap();
        self.heads.bump(self.tenant_id, head.seq);
        head
    }

    /// Adds an engineer, as the customer's root would.
    pub(crate) async fn add_engineer(&self, seed: u8) -> TrustHead {
        let log = self.log().await;
        let until = clock::now().plus_secs(86_400);
        let what = What::AddPerson { key: named(seed, "eve"), role: cloud_doctor_proto::trust::Role::Engineer, until };
        self.append(&sign(&log.next_entry(root_id(), clock::now(), what))).await
    }

    /// Puts a server on the list without going through the listener.
    pub(crate) async fn enrolled(&self, seed: u8) -> Server {
        let server = Server::new(seed, self.tenant_id);
        let log = self.log().await;
        let entry = server.entry(&log, &self.batch, "web");
        let enrolment = Enrolment {
            secret_hash: Sha256::digest(SECRET).into(),
            expected: log.head(),
            hash: entry.hash(),
            entry: entry.to_bytes(),
            agent: NewAgent {
                agent: server.agent(),
                transport_key: server.transport_key(),
                name: format!("web-{seed}"),
                host: HostFacts::default(),
            },
            client: "test".into(),
        };
        let (_, head) = self.store.enrol(&enrolment, clock::now()).await.unwrap();
        self.heads.bump(self.tenant_id, head.seq);
        server
    }

    /// Waits until the agent has a tunnel here, or has none.
    pub(crate) async fn until_live(&self, agent: &AgentId, live: bool) {
        until(|| self.registry.live(agent).is_some() == live).await;
    }
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the condition never came true");
}

/// The keys of one server: guard's identity and the tunnel's.
pub(crate) struct Server {
    pub(crate) identity: SigningKey,
    pub(crate) transport: SigningKey,
    pub(crate) tenant: TenantId,
}

impl Server {
    pub(crate) fn new(seed: u8, tenant: TenantId) -> Self {
        let key = |purpose: u8| SigningKey::from_bytes(&Sha256::digest([purpose, seed]).into());
        Self { identity: key(1), transport: key(2), tenant }
    }

    pub(crate) fn agent(&self) -> AgentId {
        AgentId::of(&VerifyKey(self.identity.verifying_key().to_bytes()))
    }

    pub(crate) fn transport_key(&self) -> VerifyKey {
        VerifyKey(self.transport.verifying_key().to_bytes())
    }

    /// The server's own entry, continuing `log`.
    pub(crate) fn entry(&self, log: &TrustLog, batch: &SigningKey, name: &str) -> SignedEntry {
        let by = batch_id(&VerifyKey(batch.verifying_key().to_bytes()));
        let identity = VerifyKey(self.identity.verifying_key().to_bytes());
        let what = What::AddAgent { identity, name: name.into() };
        log.next_entry(by, clock::now(), what).sign_with_batch(batch)
    }
}

fn first_log(batch: &SigningKey) -> TrustLog {
    let what = What::Genesis {
        name: "ACME".into(),
        roots: vec![named(ROOT, "root@acme")],
        recovery: named(2, "safe"),
        salt: Nonce([9; 16]),
        first: vec![],
    };
    let at = clock::now();
    let genesis = sign(&Entry { version: 1, seq: 0, prev: Hash([0; 32]), at, by: root_id(), what });
    let mut log = TrustLog::genesis(&genesis, None).unwrap();
    let key = VerifyKey(batch.verifying_key().to_bytes());
    let what = What::EnrolBatch { key, until: at.plus_secs(86_400), uses: 1000, note: "test".into() };
    log.append(&sign(&log.next_entry(root_id(), at, what))).unwrap();
    log
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn named(seed: u8, person: &str) -> NamedKey {
    let key = SshKey::from_blob(&private(seed).public_key().to_bytes().unwrap()).unwrap();
    NamedKey::ssh(key, person)
}

fn root_id() -> KeyId {
    named(ROOT, "x").key.id()
}

fn sign(entry: &Entry) -> Vec<u8> {
    let bytes = entry.to_bytes();
    let pem = private(ROOT).sign(NAMESPACE_LOG, HashAlg::Sha512, &bytes).unwrap().to_pem(LineEnding::LF).unwrap();
    let signature = ByteBuf::from(signer::unarmour(&pem).unwrap());
    SignedEntry { entry: ByteBuf::from(bytes), signature }.to_bytes()
}
