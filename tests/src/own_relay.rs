//! A relay of one's own with a customer, from the programs as they are shipped, set up as the README says: what figures are
//! taken of, and what a simulated fleet calls when it is given no other.
//!
//! Everything listens on loopback, on ports that the kernel chooses. It ends with its value, with all that it kept.

use anyhow::{Context as _, Result};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::api::Api;
use crate::children::{KeyAgent, Started, run};

const LISTEN: &str = "[agents]\nlisten = \"127.0.0.1:0\"\n[clients]\nlisten = \"127.0.0.1:0\"\n\
                      [admin]\nlisten = \"127.0.0.1:0\"\n";
/// Of the customer's first person.
pub const ACCOUNT: &str = "bench";
/// See there.
pub const PASSWORD: &str = "only for a moment and on loopback";

/// A relay, its customer, and the customer's client with a key in an ssh-agent.
#[derive(Debug)]
pub struct OwnRelay {
    process: Started,
    /// Where agents reach it: `quic://…`.
    pub agents: String,
    /// The key that they pin.
    pub agents_pin: String,
    /// Where clients reach it: `https://…`.
    pub clients: String,
    clients_pin: String,
    engineer: KeyAgent,
    /// The customer's id.
    pub customer: String,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl OwnRelay {
    /// Starts it. `programs` holds the relay and the client; `settings` are further sections of `relay.toml`.
    ///
    /// # Errors
    /// When a program is missing or does not do what it should.
    pub fn start(programs: &Path, settings: &str) -> Result<Self> {
        // A short path: a socket's has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("cd-own-").tempdir_in("/tmp")?;
        let data = folder.path().join("relay");
        fs::DirBuilder::new().mode(0o700).create(&data)?;
        fs::write(data.join("relay.toml"), format!("{LISTEN}{settings}"))?;
        let log = data.with_extension("log");
        let mut command = Command::new(programs.join("cloud-doctor-relay"));
        command.arg("serve").arg("--data-dir").arg(&data).env("NO_COLOR", "1");
        let mut process = Started::logged(&mut command, &log)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        process.wait_until("the relay is ready", || said().contains("ready;")).with_context(said)?;
        let said = said();
        // "agents quic://… pin sha256:…", "clients https://… pin sha256:…", "set-up code …"
        let word = |line: &str, number: usize| {
            let line = said.lines().find(|text| text.starts_with(line));
            let word = line.and_then(|line| line.split_whitespace().nth(number));
            Ok::<_, anyhow::Error>(word.with_context(|| format!("the relay said: {said}"))?.to_owned())
        };
        let engineer = KeyAgent::start(folder.path())?;
        let mut relay = Self {
            process,
            agents: word("agents", 1)?,
            agents_pin: word("agents", 3)?,
            clients: word("clients", 1)?,
            clients_pin: word("clients", 3)?,
            engineer,
            customer: String::new(),
            programs: programs.to_owned(),
            folder,
        };
        relay.make_customer(&word("set-up", 2)?)?;
        Ok(relay)
    }

    fn make_customer(&mut self, code: &str) -> Result<()> {
        let file = |name: &str| self.folder.path().join(name);
        fs::write(file("code"), code)?;
        fs::write(file("password"), PASSWORD)?;
        let mut setup = self.client();
        setup.args(["setup", &self.clients, "--pin", &self.clients_pin, "--account", ACCOUNT, "--tenant", "Bench"]);
        run(setup.arg("--code-file").arg(file("code")).arg("--password-file").arg(file("password")))?;
        let mut init = self.client();
        init.args(["tenant", "init", "Bench", "--json", "--root"]).arg(self.engineer.key());
        let tenant: serde_json::Value = serde_json::from_str(&run(init.arg("--recovery-out").arg(file("recovery")))?)?;
        self.customer = tenant["tenant"]["id"].as_str().context("tenant init says the customer's hash")?.to_owned();
        Ok(())
    }

    /// The client, with the customer's key.
    #[must_use]
    pub fn client(&self) -> Command {
        let mut client = Command::new(self.programs.join("cloud-doctor"));
        client.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TERM", "xterm-256color");
        client.env("HOME", self.folder()).env("LANG", "C.UTF-8").env("CLOUD_DOCTOR_HOME", self.home());
        client.env("SSH_AUTH_SOCK", self.engineer.socket()).arg("--key").arg(self.engineer.public_key());
        client
    }

    /// Makes an install token for so many servers; returns the file that holds it.
    ///
    /// # Errors
    /// When the client cannot.
    pub fn token(&self, servers: u32) -> Result<PathBuf> {
        let file = self.folder().join("token");
        let mut token = self.client();
        token.args(["tenant", "token", "--max", &servers.to_string(), "--relay-address", &self.agents]);
        run(token.args(["--relay-pin", &self.agents_pin, "--out"]).arg(&file))?;
        Ok(file)
    }

    /// The API, as the customer's person.
    ///
    /// # Errors
    /// When nobody is signed in.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.clients, Some(&self.certificate()[0]), &self.home().join("tokens"))
    }

    /// The certificate that browsers are shown, and its key.
    #[must_use]
    pub fn certificate(&self) -> [PathBuf; 2] {
        ["self-signed.pem", "self-signed.key"].map(|name| self.folder().join("relay/tls").join(name))
    }

    /// A folder that goes away with this value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// Where agents reach the relay.
    ///
    /// # Errors
    /// When it said something else than an address.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.agents.strip_prefix("quic://").context("agents use QUIC")?.parse()?)
    }

    /// The relay's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The relay's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder().join("relay/relay.db")
    }
}
