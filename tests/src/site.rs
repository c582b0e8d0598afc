//! A customer's whole site: relay, owner with keys in an ssh-agent, one enrolled server, and the owner's client.
//!
//! Everything is done as people do it, by the programs' own commands; nothing is written into databases.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::agent::{Agent, Invitation};
use crate::binaries::Program;
use crate::chaosproxy::ChaosProxy;
use crate::eventually::{SOON, eventually};
use crate::interceptor::Interceptor;
use crate::people::Person;
use crate::process::{self, Process};
use crate::relay::{Relay, Web};
use crate::scale;
use crate::ssh_agent::SshAgent;
use crate::terminal::Terminal;
use crate::world::World;

/// Tests open more at once than a person does.
const GENEROUS: &str = "[limits]\nopens_per_minute = 100000\n";
/// The owner's password. A canary: it must never stand in a log.
const PASSWORD: &str = "canary-password-9d1f7c";

/// How a site differs from the plainest one.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// What the server's ceiling says.
    pub preset: &'a str,
    /// How clients reach the relay.
    pub web: Web,
    /// Between agent and relay lies a bad network.
    pub chaos: bool,
    /// Between clients and relay sits an attacker. Needs [`Web::Plain`].
    pub intercepted: bool,
    /// The relay's folder is a file system of its own with 16 MB. Takes root.
    pub small_relay: bool,
    /// Further sections of `relay.toml`.
    pub settings: &'a str,
    /// When a test is given up.
    pub patience: Duration,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            preset: "own",
            web: Web::SelfSigned,
            chaos: false,
            intercepted: false,
            small_relay: false,
            settings: GENEROUS,
            patience: scale::patience(),
        }
    }
}

/// A running site. Ends with the world.
#[derive(Debug)]
pub struct Site {
    /// The relay.
    pub relay: Relay,
    /// The server `web-1`.
    pub agent: Agent,
    /// The owner: root of the trust log and engineer.
    pub owner: Person,
    /// The owner's client.
    pub client: Client,
    chaos: Option<ChaosProxy>,
    interceptor: Option<Interceptor>,
    /// The world that it all runs in.
    pub world: World,
}

/// A person's `cloud-doctor`: a home of its own and an ssh-agent.
#[derive(Debug)]
pub struct Client {
    world: World,
    /// `CLOUD_DOCTOR_HOME`.
    pub home: PathBuf,
    /// The person's keys.
    pub ssh_agent: SshAgent,
}

impl Client {
    /// A client that nobody signed in with yet.
    #[must_use]
    #[track_caller]
    pub fn new(world: &World, name: &str) -> Self {
        Self { world: world.clone(), home: world.folder(name), ssh_agent: SshAgent::named(world, name) }
    }

    /// A command of the client's program.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(Program::Client.path());
        command.args(arguments).env("CLOUD_DOCTOR_HOME", &self.home).env("SSH_AUTH_SOCK", self.ssh_agent.socket());
        command.env("TERM", "xterm-256color");
        command
    }

    /// Runs a command to its end.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.world.output(arguments.first().unwrap_or(&"client"), self.command(arguments))
    }

    /// Runs a command that must succeed; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}: {stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Site {
    /// The plainest site.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self::planned(Plan::default(), |_| {})
    }

    /// With changes to the enrolled agent's files before it runs.
    #[must_use]
    #[track_caller]
    pub fn with(change: impl FnOnce(&Agent)) -> Self {
        Self::planned(Plan::default(), change)
    }

    /// With a bad network between agent and relay.
    #[must_use]
    #[track_caller]
    pub fn through_chaos() -> Self {
        Self::planned(Plan { chaos: true, ..Plan::default() }, |_| {})
    }

    /// As planned.
    ///
    /// # Panics
    /// When a step fails.
    #[must_use]
    #[track_caller]
    pub fn planned(plan: Plan<'_>, change: impl FnOnce(&Agent)) -> Self {
        let mut site = Self::enrolled(plan);
        change(&site.agent);
        site.agent.run();
        site.wait_until_online();
        site
    }

    /// Everything but a running agent.
    ///
    /// # Panics
    /// When a step fails.
    #[must_use]
    #[track_caller]
    pub fn enrolled(plan: Plan<'_>) -> Self {
        let site = Self::founded(plan);
        let invitation = site.invite("web-1", 1);
        let agent = Agent::enrolled(&site.world, "web-1", &invitation, plan.preset);
        Self { agent, ..site }
    }

    /// Relay, customer and client, and no server.
    ///
    /// # Panics
    /// When a step fails.
    #[must_use]
    #[track_caller]
    pub fn founded(plan: Plan<'_>) -> Self {
        let world = World::lasting(plan.patience);
        let data = if plan.small_relay { world.small_folder("relay", 16_384) } else { world.folder("relay") };
        let relay = Relay::start(&world, data, plan.web, plan.settings);
        let chaos = plan.chaos.then(|| ChaosProxy::start(relay.listening().agents));
        let interceptor = plan.intercepted.then(|| Interceptor::start(relay.listening().clients));
        let client = Client::new(&world, "home");
        let owner = Person::new("owner");
        client.ssh_agent.add(&owner.write(&world.path("home")));
        let agent = Agent::new(&world, "web-1");
        let site = Self { relay, agent, owner, client, chaos, interceptor, world };
        site.set_up();
        site
    }

    fn set_up(&self) {
        let url = &self.url();
        let (code, password) = (self.world.path("code"), self.world.path("password"));
        let secret = self.relay.setup_code();
        fs::write(&code, format!("{secret}\n")).expect("the world's folder can be written");
        fs::write(&password, format!("{PASSWORD}\n")).expect("the world's folder can be written");
        self.world.canary("password", PASSWORD);
        let (code, password) = (text(&code), text(&password));
        let mut arguments = vec!["setup", url, "--account", "owner", "--tenant", "Example Ltd"];
        arguments.extend(["--code-file", &code, "--password-file", &password]);
        let pin = self.relay.listening().clients_pin.clone().unwrap_or_default();
        if !pin.is_empty() {
            arguments.extend(["--pin", &pin]);
        }
        self.client.must(&arguments);
        let recovery = text(&self.world.path("recovery"));
        self.client.must(&["tenant", "init", "Example Ltd", "--recovery-out", &recovery]);
        self.plant_canaries();
    }

    /// What must never stand in a log: private keys and the sign-in.
    fn plant_canaries(&self) {
        let key = fs::read_to_string(self.world.path("home/owner")).expect("the owner's key file");
        self.world.canary("private key", key.lines().nth(2).expect("a key file has several lines"));
        for entry in fs::read_dir(self.client.home.join("tokens")).into_iter().flatten().flatten() {
            let token = fs::read_to_string(entry.path()).unwrap_or_default();
            self.world.canary("sign-in", token.trim());
        }
    }

    /// What the owner signs in with.
    #[must_use]
    pub fn password() -> &'static str {
        PASSWORD
    }

    /// Makes an install token for so many servers.
    ///
    /// # Panics
    /// When the customer cannot.
    #[must_use]
    #[track_caller]
    pub fn invite(&self, name: &str, servers: u32) -> Invitation {
        let out = text(&self.world.path(format!("{name}.install")));
        let servers = servers.to_string();
        let mut arguments = vec!["tenant", "token", "--max", &servers, "--out", &out];
        let (address, pin) = (self.relay.agents_url(), self.relay.listening().agents_pin.clone());
        arguments.extend(["--relay-address", &address, "--relay-pin", &pin]);
        self.client.must(&arguments);
        Invitation {
            relay: self.chaos.as_ref().map_or(address, |chaos| format!("quic://{}", chaos.addr())),
            relay_pin: pin,
            trust: self.words(),
            token: fs::read_to_string(&out).expect("a token file").trim().to_owned(),
        }
    }

    /// The customer's six words.
    ///
    /// # Panics
    /// When the client does not show them.
    #[must_use]
    #[track_caller]
    pub fn words(&self) -> String {
        let shown = self.client.must(&["tenant", "show", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["tenant"]["words"].as_str().expect("six words").to_owned()
    }

    /// Waits until the server can be reached.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn wait_until_online(&self) {
        eventually(SOON, "the server is online", || {
            let servers = self.client.ask(&["servers", "--json"]);
            let servers: serde_json::Value = serde_json::from_slice(&servers.stdout).ok()?;
            (servers["servers"][0]["connected"].as_bool() == Some(true)).then_some(())
        });
    }

    /// The bad network.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn chaos(&self) -> &ChaosProxy {
        self.chaos.as_ref().expect("the site was planned with one")
    }

    /// The attacker between clients and relay.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn interceptor(&self) -> &Interceptor {
        self.interceptor.as_ref().expect("the site was planned with one")
    }

    /// What clients take for the relay.
    #[must_use]
    pub fn url(&self) -> String {
        self.interceptor.as_ref().map_or_else(|| self.relay.url(), |attacker| format!("http://{}", attacker.addr()))
    }

    /// Runs a command as root on the server.
    #[must_use]
    #[track_caller]
    pub fn exec(&self, argv: &[&str]) -> Output {
        self.client.ask(&[&["exec", "web-1", "--user", "root", "--"], argv].concat())
    }

    /// Runs a command as root on the server, with this on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn exec_with(&self, argv: &[&str], input: &[u8]) -> Output {
        let mut process =
            self.start("exec", &[&["exec", "web-1", "-i", "--user", "root", "--"], argv].concat(), Stdio::piped());
        let stdin = process.stdin().expect("it is a pipe");
        let written = { stdin }.write_all(input);
        process.close_stdin();
        let status = process.wait(Duration::from_secs(20));
        written.expect("the client takes its input");
        Output { status, stdout: process.stdout().into_bytes(), stderr: process.stderr().into_bytes() }
    }

    /// Starts the client's program with its output in the logs.
    #[must_use]
    #[track_caller]
    pub fn start(&self, name: &str, arguments: &[&str], stdin: Stdio) -> Process {
        let mut command = self.client.command(arguments);
        command.stdin(stdin);
        self.world.start(name, command)
    }

    /// Starts the client's program with its standard output in a pipe that nobody reads yet.
    #[must_use]
    #[track_caller]
    pub fn start_unread(&self, name: &str, arguments: &[&str]) -> Process {
        self.world.start_piped(name, self.client.command(arguments))
    }

    /// Runs the client's program to its end.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.client.ask(arguments)
    }

    /// The client's program at a terminal.
    #[must_use]
    #[track_caller]
    pub fn terminal(&self, arguments: &[&str], cols: u16, rows: u16) -> Terminal {
        Terminal::start(&self.world, arguments[0], &self.client.command(arguments), cols, rows)
    }

    /// Nothing that was started for a visitor is left on the server: no holder, and nothing below it.
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn nothing_left(&self) {
        eventually(SOON, "no holder is left", || self.agent.role("holder").is_empty().then_some(()));
        let roles = ["guard", "tunnel", "run"];
        let ours = |seen: &process::Seen| roles.iter().any(|role| seen.is("cloud-doctor-agent", role));
        // One that was killed is there until the kernel has taken it apart.
        eventually(SOON, "nothing is left below the supervisor", || {
            let supervisor = self.agent.role("run");
            let mut below = supervisor.iter().flat_map(|seen| process::descendants(seen.pid));
            below.all(|seen| ours(&seen)).then_some(())
        });
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

fn text(path: &std::path::Path) -> String {
    path.to_str().expect("the world's paths are ASCII").to_owned()
}
