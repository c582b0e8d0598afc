//! Our side: a relay, a customer, an engineer with an ssh-agent, and an agent of this machine, from the programs as
//! they are shipped, set up as the README says.
//!
//! Only one setting differs from the defaults: how many shells an engineer may open per minute.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_tests::children::{Started, run};
use cloud_doctor_tests::own_relay::{ACCOUNT, OwnRelay, PASSWORD};
use cloud_doctor_tests::process::descendants;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::place::Place;

/// Engineers open more shells here than people do.
const SETTINGS: &str = "[limits]\nopens_per_minute = 600\n";
const SERVER: &str = "bench";
/// Longest wait for an agent to be online.
const PATIENCE: Duration = Duration::from_secs(20);

/// Relay, customer and agent. They end with this value.
#[derive(Debug)]
pub(crate) struct Ours {
    agent: Started,
    relay: OwnRelay,
    user: String,
    bench: PathBuf,
    programs: PathBuf,
    agent_is_static: bool,
}

/// What a person needs who comes with a browser.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// Where the console is.
    pub(crate) url: String,
    /// Who signs in there.
    pub(crate) account: &'static str,
    pub(crate) password: &'static str,
    /// The customer's six words.
    pub(crate) words: String,
    /// User on the server.
    pub(crate) user: String,
}

/// Tunnel and guard of another agent, as services are started: without a supervisor and from a file of their own, so
/// that they share no page with anything else.
#[derive(Debug)]
pub(crate) struct IdleAgent {
    roles: [Started; 2],
}

impl Ours {
    /// Starts everything and waits until the agent is online.
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let programs = place.programs.clone();
        let relay = OwnRelay::start(&programs, SETTINGS)?;
        relay.token(2)?;
        let mut ours = Self {
            // Nothing yet: an agent is enrolled by a customer, who needs a relay.
            agent: Started::new(&mut Command::new("true"))?,
            relay,
            user: run(Command::new("id").arg("-un"))?.trim().to_owned(),
            bench: std::env::current_exe()?,
            programs,
            agent_is_static: place.agent_is_static,
        };
        let program = ours.agent_program();
        ours.enrol(&program, SERVER)?;
        ours.allow_browsers()?;
        let mut agent = ours.agent_command(&program, SERVER);
        ours.agent = Started::logged(agent.args(["run", "--standalone"]), &ours.folder().join("agent.log"))?;
        ours.wait_until_online(SERVER)?;
        Ok(ours)
    }

    /// A folder that goes away with this value.
    pub(crate) fn folder(&self) -> &Path {
        self.relay.folder()
    }

    /// The relay, the client and the agent.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// This program, for its mode `rawecho`.
    pub(crate) fn bench_program(&self) -> &Path {
        &self.bench
    }

    /// The client, opening a shell.
    pub(crate) fn shell(&self) -> Command {
        let mut shell = self.relay.client();
        shell.args(["shell", SERVER, "--user", &self.user]);
        shell
    }

    /// For somebody who comes with a browser.
    pub(crate) fn visitor(&self) -> Result<Visitor> {
        let port = self.relay.clients.rsplit(':').next().context("clients reach a port")?;
        let shown: serde_json::Value =
            serde_json::from_str(&run(self.relay.client().args(["tenant", "show", "--json"]))?)?;
        let words = shown["tenant"]["words"].as_str().context("tenant show says six words")?.to_owned();
        let url = format!("https://localhost:{port}");
        Ok(Visitor { url, account: ACCOUNT, password: PASSWORD, words, user: self.user.clone() })
    }

    /// The customer lets a browser's key in.
    pub(crate) fn let_in(&self, key: &str) -> Result<()> {
        let file = self.folder().join("device.pub");
        fs::write(&file, format!("{key}\n"))?;
        let mut add = self.relay.client();
        run(add.args(["tenant", "engineer", "add"]).arg(file).args(["--name", ACCOUNT, "--device"])).map(drop)
    }

    /// The certificate that browsers are shown, and its key.
    pub(crate) fn certificate(&self) -> [PathBuf; 2] {
        self.relay.certificate()
    }

    /// Relay, tunnel, guard and holder, with the names of their figures. There must be one shell.
    pub(crate) fn processes(&self) -> Result<Vec<(&'static str, u32)>> {
        let below = descendants(self.agent.pid());
        let mut processes = vec![("relay", self.relay.pid())];
        for role in ["tunnel", "guard", "holder"] {
            let seen = below.iter().find(|seen| seen.argv.get(1).is_some_and(|argument| argument == role));
            processes.push((role, seen.with_context(|| format!("the agent has no {role}"))?.pid));
        }
        Ok(processes)
    }

    /// The agent's file.
    pub(crate) fn agent_program(&self) -> PathBuf {
        self.programs.join("cloud-doctor-agent")
    }

    /// What kind of file it is.
    pub(crate) fn agent_kind(&self) -> &'static str {
        if self.agent_is_static { "static, stripped" } else { "not static: no musl here" }
    }

    /// Where agents reach the relay.
    pub(crate) fn relay_for_agents(&self) -> Result<SocketAddr> {
        self.relay.address()
    }

    /// The relay's process.
    pub(crate) fn relay_process(&self) -> u32 {
        self.relay.pid()
    }

    /// The relay's database.
    pub(crate) fn relay_database(&self) -> PathBuf {
        self.relay.database()
    }

    /// Enrols one more agent and starts its roles, which then have nothing to do.
    pub(crate) fn start_idle_agent(&self) -> Result<IdleAgent> {
        let program = self.folder().join("cloud-doctor-agent");
        fs::copy(self.agent_program(), &program)?;
        self.enrol(&program, "idle")?;
        let start = |role: &str| {
            let mut command = self.agent_command(&program, "idle");
            Started::logged(command.arg(role), &self.folder().join(format!("idle-{role}.log")))
        };
        let roles = [start("guard")?, start("tunnel")?];
        self.wait_until_online("idle")?;
        Ok(IdleAgent { roles })
    }

    fn enrol(&self, program: &Path, name: &str) -> Result<()> {
        let OwnRelay { agents, agents_pin, customer, .. } = &self.relay;
        let mut enrol = self.agent_command(program, name);
        enrol.args(["enrol", "--yes", "--name", name, "--preset", "own", "--relay", agents, "--relay-pin", agents_pin]);
        enrol.args(["--trust", customer, "--token-file"]).arg(self.folder().join("token"));
        run(&mut enrol).map(drop)
    }

    /// The customer's ceiling, as one writes it who lets browsers' keys in.
    fn allow_browsers(&self) -> Result<()> {
        let file = self.folder().join(SERVER).join("etc/ceiling.toml");
        let ceiling = fs::read_to_string(&file)?.replace("signers = [", "signers = [\"device\", ");
        Ok(fs::write(file, ceiling)?)
    }

    fn agent_command(&self, program: &Path, name: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8").env("NO_COLOR", "1");
        command.arg("--state-dir").arg(self.folder().join(name));
        command
    }

    fn wait_until_online(&self, name: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let servers: serde_json::Value =
                serde_json::from_str(&run(self.relay.client().args(["servers", "--json"]))?)?;
            if is_online(&servers, name) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{name} is not online after {PATIENCE:?}: {servers}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // The supervisor ends the holders; whatever fails here is killed by the fields' own ends.
        drop(self.agent.interrupt());
    }
}

impl IdleAgent {
    /// Guard and tunnel.
    pub(crate) fn pids(&self) -> [u32; 2] {
        self.roles.each_ref().map(Started::pid)
    }
}

/// `servers --json` says that this server has a tunnel.
fn is_online(servers: &serde_json::Value, name: &str) -> bool {
    let list = servers["servers"].as_array();
    let connected = |server: &serde_json::Value| server["name"] == name && server["connected"] == true;
    list.is_some_and(|list| list.iter().any(connected))
}
