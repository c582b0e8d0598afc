//! A relay in this process.

use crate::client::{self, Answer, request};
use crate::customer::Customer;
use cloud_doctor_proto::control::HostFacts;
use cloud_doctor_proto::ids::{AgentId, VerifyKey};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::access::Passwords;
use cloud_doctor_relay::config::{RelayConfig, database};
use cloud_doctor_relay::store::{Enrolment, FirstAccount, NewAgent, Store};
use cloud_doctor_relay::{Running, clock, serve};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) running: Running,
    config: String,
}

/// Plain HTTP and free ports.
pub(crate) const PLAIN: &str = "[agents]\nlisten = '127.0.0.1:0'\n[clients]\nlisten = '127.0.0.1:0'\n\
                                certificate = 'none'\n[admin]\nlisten = '127.0.0.1:0'\n";

impl World {
    pub(crate) async fn fresh(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let running = start(config, data(&dir)).await;
        Self { dir, running, config: config.to_owned() }
    }

    /// With an account `ann`, an admin, who is signed in.
    pub(crate) async fn with_ann() -> (Self, String) {
        let world = Self::fresh(PLAIN).await;
        world.set_up().await.ok();
        let token = world.sign_in("ann", PASSWORD).await;
        (world, token)
    }

    pub(crate) async fn set_up(&self) -> Answer {
        let code = self.running.setup_code().unwrap().reveal();
        let body = json!({"code": code, "account": "ann", "password": PASSWORD, "tenant_name": "ACME"});
        self.call("POST", "/api/v1/setup", None, Some(body)).await
    }

    pub(crate) async fn sign_in(&self, account: &str, password: &str) -> String {
        let answer = self.login(account, password).await.ok();
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn login(&self, account: &str, password: &str) -> Answer {
        let body = json!({"account": account, "password": password});
        self.call("POST", "/api/v1/login", None, Some(body)).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.raw(request(method, path, &headers, &body).as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Value {
        self.call("GET", path, Some(token), None).await.ok()
    }

    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        client::raw(self.running.bound().clients, bytes).await
    }

    /// The database beside the running relay, as `tenant add` uses it.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&database(&data(&self.dir))).await.unwrap()
    }

    /// Another customer with an admin `bob`, who is signed in.
    pub(crate) async fn add_bob(&self) -> String {
        let store = self.store().await;
        let password = Passwords::new().hash(PASSWORD).await.unwrap();
        let first = FirstAccount { tenant_name: "Other".into(), account: "bob".into(), password };
        store.add_tenant(&first, clock::now()).await.unwrap();
        store.close().await;
        self.sign_in("bob", PASSWORD).await
    }

    /// Posts the customer's log and puts a server on the list, as an enrolment would.
    pub(crate) async fn add_server(&self, token: &str, customer: &mut Customer) -> AgentId {
        for entry in customer.new_entries() {
            let answer = self.call("POST", "/api/v1/trust-log", Some(token), Some(json!({"entry": entry}))).await;
            answer.ok();
        }
        let body = json!({"label": "rack", "valid_secs": 60, "uses": 1});
        let made = self.call("POST", "/api/v1/enrolment-tokens", Some(token), Some(body)).await.ok();
        let secret = unbase64(&made["secret"]);
        let identity = VerifyKey(Sha256::digest(&secret).into());
        let expected = customer.log.head();
        let (entry, hash) = customer.add_agent(identity, "web-1");
        let agent = AgentId::of(&identity);
        let enrolment = Enrolment {
            secret_hash: Sha256::digest(&secret).into(),
            expected,
            hash,
            entry,
            agent: NewAgent {
                agent,
                transport_key: VerifyKey([7; 32]),
                name: "web-1".into(),
                host: HostFacts { hostname: "web-1.example".into(), ..HostFacts::default() },
            },
            client: "192.0.2.1".into(),
        };
        let store = self.store().await;
        let (tenant, _) = store.enrol(&enrolment, clock::now()).await.unwrap();
        let facts = HostFacts {
            cpus: Some(4),
            memory_bytes: Some(1 << 30),
            booted_at: Some(UnixTime(1_800_000_000)),
            ..enrolment.agent.host
        };
        store.of(tenant).set_host_facts(&agent, &facts, "test 1").await.unwrap();
        store.close().await;
        agent
    }

    /// Stops the relay and starts it again in the same directory.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, running, config } = self;
        running.stop().await;
        let running = start(&config, data(&dir)).await;
        Self { dir, running, config }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

pub(crate) fn data(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("data")
}

async fn start(config: &str, data: PathBuf) -> Running {
    serve(RelayConfig::parse(config, data).unwrap()).await.unwrap()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn unbase64(text: &Value) -> Vec<u8> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
}
