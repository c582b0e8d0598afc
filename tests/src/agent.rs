//! An agent of this machine, standalone, in a folder of the world: enrolled and run as a customer would do it.

use cloud_doctor_proto::audit::{Payload, Verifier};
use cloud_doctor_proto::ids::VerifyKey;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::binaries::Program;
use crate::eventually::{SOON, eventually};
use crate::process::{self, Process, Seen};
use crate::trace::Trace;
use crate::world::World;

/// What a host needs to know of its relay and customer before it enrols.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// `quic://address:port`.
    pub relay: String,
    /// `sha256:…` of the relay's key.
    pub relay_pin: String,
    /// Six words or the hash of the customer's log.
    pub trust: String,
    /// The line of the token file.
    pub token: String,
}

/// A standalone agent. Ends with the world.
#[derive(Debug)]
pub struct Agent {
    world: World,
    /// Its name in the logs, and of its folder.
    pub name: String,
    /// Everything it keeps.
    pub state: PathBuf,
    supervisor: Option<Process>,
    trace: Option<Trace>,
}

impl Agent {
    /// An agent that is not enrolled yet.
    #[must_use]
    pub fn new(world: &World, name: &str) -> Self {
        let state = world.path(name);
        Self { world: world.clone(), name: name.to_owned(), state, supervisor: None, trace: None }
    }

    /// An enrolled agent that is not running yet.
    ///
    /// # Panics
    /// When enrolment is refused.
    #[must_use]
    #[track_caller]
    pub fn enrolled(world: &World, name: &str, invitation: &Invitation, preset: &str) -> Self {
        let agent = Self::new(world, name);
        let mut enrolling = agent.start_enrol(invitation, preset);
        let status = enrolling.wait(SOON);
        assert!(status.success(), "enrol: {status}: {}{}", enrolling.stdout(), enrolling.stderr());
        agent
    }

    /// Starts enrolment, without waiting for its end.
    #[must_use]
    #[track_caller]
    pub fn start_enrol(&self, invitation: &Invitation, preset: &str) -> Process {
        let token = self.world.path(format!("{}.token", self.log_name()));
        fs::write(&token, format!("{}\n", invitation.token)).expect("a token file can be written");
        self.world.canary("install token", &invitation.token);
        let mut command = self.command(["enrol", "--yes", "--name", &self.name]);
        command.args(["--relay", &invitation.relay, "--relay-pin", &invitation.relay_pin]);
        command.args(["--trust", &invitation.trust, "--preset", preset, "--token-file"]).arg(token);
        self.world.start(&format!("{}-enrol", self.log_name()), command)
    }

    /// A command of the agent's program on this agent's folder.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.world.command(Program::Agent.path());
        command.args(arguments).arg("--state-dir").arg(&self.state);
        command
    }

    /// Runs a command on this agent's folder to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.world.output(&format!("{}-{}", self.log_name(), arguments.join("-")), self.command(arguments))
    }

    /// Starts it.
    #[track_caller]
    pub fn run(&mut self) {
        let command = self.command(["run", "--standalone"]);
        self.supervisor = Some(self.world.start(&self.log_name(), command));
    }

    /// Starts it with a change to its command: another program around it, or another environment.
    #[track_caller]
    pub fn run_as(&mut self, change: impl FnOnce(&World, Command) -> Command) {
        let command = change(&self.world, self.command(["run", "--standalone"]));
        self.supervisor = Some(self.world.start(&self.log_name(), command));
    }

    /// Starts it with everything that it does to the host written down by the kernel.
    #[track_caller]
    pub fn run_traced(&mut self) {
        let (trace, command) = Trace::of(&self.world, &self.log_name(), &self.command(["run", "--standalone"]));
        self.supervisor = Some(self.world.start(&self.log_name(), command));
        self.trace = Some(trace);
    }

    /// Its folder may lie in another folder of the world.
    fn log_name(&self) -> String {
        self.name.replace('/', "-")
    }

    /// What the kernel wrote down.
    ///
    /// # Panics
    /// When it does not run traced.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        self.trace.as_ref().expect("it runs traced")
    }

    /// The supervisor.
    ///
    /// # Panics
    /// When it was not started.
    pub fn supervisor(&mut self) -> &mut Process {
        self.supervisor.as_mut().expect("it was started")
    }

    /// Living processes of this agent in a role, by their arguments and folder.
    #[must_use]
    pub fn role(&self, role: &str) -> Vec<Seen> {
        let mine = |seen: &Seen| {
            let folder = self.state.to_string_lossy();
            seen.is("cloud-doctor-agent", role) && seen.argv.iter().any(|part| part.contains(&*folder))
        };
        process::descendants(std::process::id()).into_iter().filter(mine).collect()
    }

    /// The one process in a role.
    ///
    /// # Panics
    /// When there is none within a while.
    #[must_use]
    #[track_caller]
    pub fn one(&self, role: &str) -> u32 {
        eventually(SOON, &format!("{} has a {role}", self.name), || self.role(role).first().map(|seen| seen.pid))
    }

    /// `kill -9` of the process in a role; returns its id once it is gone.
    #[track_caller]
    pub fn kill(&self, role: &str) -> u32 {
        let pid = self.one(role);
        process::send(pid, Signal::KILL);
        eventually(SOON, &format!("{role} is dead"), || (!process::lives(pid)).then_some(pid))
    }

    /// Ends the supervisor as Ctrl-C does and waits for it.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            // Under a tracer the supervisor is its child.
            let below = process::descendants(supervisor.pid());
            let traced = below.iter().find(|seen| seen.is("cloud-doctor-agent", "run"));
            let pid = traced.map_or(supervisor.pid(), |seen| seen.pid);
            process::send(pid, Signal::INT);
            supervisor.wait(SOON);
        }
    }

    /// The ceiling file.
    #[must_use]
    pub fn ceiling(&self) -> PathBuf {
        self.state.join("etc/ceiling.toml")
    }

    /// Every line of the host's audit, without verifying it.
    #[must_use]
    pub fn audit_lines(&self) -> Vec<String> {
        let mut files = segments(&self.state.join("guard/audit"));
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
        text.lines().map(str::to_owned).collect()
    }

    /// The host's audit, verified line by line.
    ///
    /// # Panics
    /// When a line is bad.
    #[must_use]
    #[track_caller]
    pub fn audit(&self, identity: VerifyKey) -> Vec<Payload> {
        let mut verifier = Verifier::new(identity);
        let lines = self.audit_lines();
        let read = |(number, line): (usize, &String)| {
            verifier.line(line).unwrap_or_else(|fault| panic!("audit line {number}: {fault}: {line}"))
        };
        lines.iter().enumerate().map(read).collect()
    }

    /// Waits for an audit line that holds all these texts.
    #[track_caller]
    pub fn wait_for_audit(&self, texts: &[&str]) {
        eventually(SOON, &format!("an audit line with {texts:?}"), || {
            self.audit_lines().iter().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
        });
    }

    /// Audit lines that hold this text.
    #[must_use]
    pub fn audited(&self, text: &str) -> usize {
        self.audit_lines().iter().filter(|line| line.contains(text)).count()
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect()
}
