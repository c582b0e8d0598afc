//! A real relay with a data folder in the world, on ports that it chose itself.

use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::binaries::Program;
use crate::eventually::{SOON, eventually};
use crate::process::Process;
use crate::world::World;

/// How clients reach a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Web {
    /// HTTPS with a self-signed certificate that clients pin.
    SelfSigned,
    /// Plain HTTP on the loopback.
    Plain,
}

/// Where a relay listens, and by which keys it is known.
#[derive(Debug, Clone)]
pub struct Listening {
    /// UDP, for agents.
    pub agents: SocketAddr,
    /// Its key's pin.
    pub agents_pin: String,
    /// TCP, for clients.
    pub clients: SocketAddr,
    /// Its certificate's pin, with [`Web::SelfSigned`].
    pub clients_pin: Option<String>,
    /// TCP, for the operator.
    pub admin: SocketAddr,
}

/// A relay. Ends with the world.
#[derive(Debug)]
pub struct Relay {
    world: World,
    web: Web,
    /// Further lines of its configuration.
    settings: String,
    /// Origins of consoles that other hosts serve.
    consoles: Vec<String>,
    /// Everything that it keeps.
    pub data: PathBuf,
    process: Option<Process>,
    listening: Option<Listening>,
}

impl Relay {
    /// Starts one with an empty folder. `settings` are further sections of `relay.toml`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn start(world: &World, data: PathBuf, web: Web, settings: &str) -> Self {
        let settings = settings.to_owned();
        let (world, consoles) = (world.clone(), Vec::new());
        let mut relay = Self { world, web, settings, consoles, data, process: None, listening: None };
        relay.run();
        relay
    }

    /// Starts it again, on the ports that it had.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn run(&mut self) {
        let mut process = self.spawn();
        let listening = eventually(SOON, "the relay listens", || {
            assert!(process.ended().is_none(), "the relay ended: {}{}", process.stdout(), process.stderr());
            read_listening(&process.stdout())
        });
        self.process = Some(process);
        self.listening = Some(listening);
    }

    /// Names a console at another origin, as an operator does: in the configuration, and by a start.
    #[track_caller]
    pub fn name_console(&mut self, origin: &str) {
        self.stop();
        self.consoles.push(origin.to_owned());
        self.run();
    }

    /// Starts it again with other sections of `relay.toml`.
    #[track_caller]
    pub fn configure(&mut self, settings: &str) {
        self.stop();
        settings.clone_into(&mut self.settings);
        self.run();
    }

    /// Starts the program without waiting for anything.
    #[must_use]
    #[track_caller]
    pub fn spawn(&self) -> Process {
        fs::write(self.data.join("relay.toml"), self.config()).expect("the relay's folder can be written");
        let mut command = self.world.command(Program::Relay.path());
        command.args(["serve", "--data-dir"]).arg(&self.data);
        self.world.start("relay", command)
    }

    fn config(&self) -> String {
        let listening = self.listening.as_ref();
        let port = |pick: fn(&Listening) -> SocketAddr| listening.map_or(0, |listening| pick(listening).port());
        let certificate = match self.web {
            Web::SelfSigned => "self-signed",
            Web::Plain => "none",
        };
        let (agents, clients, admin) = (port(|l| l.agents), port(|l| l.clients), port(|l| l.admin));
        format!(
            "[agents]\nlisten = \"127.0.0.1:{agents}\"\n\n\
             [clients]\nlisten = \"127.0.0.1:{clients}\"\ncertificate = \"{certificate}\"\n\
             console_origins = {:?}\n\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n\n{}",
            self.consoles, self.settings
        )
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: it was started.
    #[must_use]
    pub fn listening(&self) -> &Listening {
        self.listening.as_ref().expect("it was started")
    }

    /// For agents: `quic://address:port`.
    #[must_use]
    pub fn agents_url(&self) -> String {
        format!("quic://{}", self.listening().agents)
    }

    /// For clients.
    #[must_use]
    pub fn url(&self) -> String {
        match self.web {
            Web::SelfSigned => format!("https://{}", self.listening().clients),
            Web::Plain => format!("http://{}", self.listening().clients),
        }
    }

    /// The one-time code of the first set-up, from the relay's own terminal.
    ///
    /// # Panics
    /// When it shows none.
    #[must_use]
    #[track_caller]
    pub fn setup_code(&self) -> String {
        eventually(SOON, "a set-up code", || {
            let shown = self.process.as_ref()?.stdout();
            let line = shown.lines().find(|line| line.starts_with("set-up"))?;
            line.split_whitespace().find(|word| word.matches('-').count() == 3).map(str::to_owned)
        })
    }

    /// The link of the first set-up for a browser, from the relay's own terminal.
    ///
    /// # Panics
    /// When it shows none.
    #[must_use]
    #[track_caller]
    pub fn setup_link(&self) -> String {
        eventually(SOON, "a set-up link", || {
            let shown = self.process.as_ref()?.stdout();
            shown.split_whitespace().find(|word| word.contains("/#/setup/")).map(str::to_owned)
        })
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// The program.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// `kill -9`.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it as an operator does.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(Duration::from_secs(12));
        }
    }
}

/// Reads what a relay prints once it listens.
fn read_listening(stdout: &str) -> Option<Listening> {
    let line = |scheme: &str, word: &str| {
        stdout.lines().find(|line| line.contains(scheme) && line.to_lowercase().contains(word)).map(str::to_owned)
    };
    let address = |line: &str| {
        let (_, rest) = line.split_once("://")?;
        let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:[]".contains(c))).unwrap_or(rest.len());
        rest[..end].parse::<SocketAddr>().ok()
    };
    let pin = |line: &str| {
        let word = line.split_whitespace().find(|word| word.starts_with("sha256:"))?;
        Some(word.trim_end_matches([',', '.', ';', ')']).to_owned())
    };
    let agents = line("quic://", "")?;
    let clients = line("https://", "").or_else(|| line("http://", "client"))?;
    let admin = line("http://", "operator").or_else(|| line("http://", "admin"))?;
    Some(Listening {
        agents: address(&agents)?,
        agents_pin: pin(&agents)?,
        clients: address(&clients)?,
        clients_pin: pin(&clients),
        admin: address(&admin)?,
    })
}
