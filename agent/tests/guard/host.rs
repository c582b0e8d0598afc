//! A server: a state directory and the guard that runs on it. Ends everything that it started.

use crate::client::Client;
use crate::customer::Customer;
use crate::not_tested::not_tested;
use cloud_doctor_proto::audit::{Payload, Verifier};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::pin::Pin;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cloud-doctor-agent");
pub(crate) const OWN: &str = "version = 1\npreset = \"own\"\n\
    [[rule]]\nscope = \"shell\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"exec\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n[end]\n";

pub(crate) struct Host {
    pub(crate) customer: Customer,
    pub(crate) dir: PathBuf,
    guard: Option<Child>,
    _temp: tempfile::TempDir,
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Host {
    /// An enrolled server whose guard runs.
    pub(crate) fn start() -> Self {
        let mut host = Self::enrolled(OWN);
        host.run();
        host
    }

    pub(crate) fn with_ceiling(ceiling: &str) -> Self {
        let mut host = Self::enrolled(ceiling);
        host.run();
        host
    }

    /// An enrolled server that is switched off.
    pub(crate) fn enrolled(ceiling: &str) -> Self {
        Self::of(Customer::new(), ceiling)
    }

    pub(crate) fn of(customer: Customer, ceiling: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("s");
        for (name, mode) in [("", 0o700), ("etc", 0o755), ("guard", 0o700), ("tunnel", 0o700)] {
            fs::create_dir(dir.join(name)).unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let identity = &customer.identity;
        let key = [identity.to_bytes(), identity.verifying_key().to_bytes()].concat();
        private(&dir.join("guard/identity.key"), &key);
        let mut log = Vec::new();
        for entry in customer.log.entries_from(0, 1000) {
            log.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
            log.extend(entry.iter());
        }
        private(&dir.join("guard/trust.log"), &log);
        let head = customer.log.head();
        private(&dir.join("guard/trust.head"), format!("{} {}\n", head.seq, head.hash).as_bytes());
        fs::write(dir.join("etc/ceiling.toml"), ceiling).unwrap();
        let config = format!(
            "version = 1\ntenant = \"{}\"\nname = \"web\"\n[[relay]]\nurl = \"127.0.0.1:1\"\npins = [\"{}\"]\n",
            customer.log.tenant(),
            Pin([0; 32])
        );
        fs::write(dir.join("etc/agent.toml"), config).unwrap();
        for name in ["etc/ceiling.toml", "etc/agent.toml"] {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        Self { customer, dir, guard: None, _temp: temp }
    }

    /// Starts guard and waits until it answers.
    pub(crate) fn run(&mut self) {
        assert!(self.try_run(), "guard begins");
    }

    /// Starts guard; `false` when it does not begin.
    pub(crate) fn try_run(&mut self) -> bool {
        let mut guard = self.command(&["guard", "--supervised"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line == "ready\n" {
            self.guard = Some(guard);
            return true;
        }
        guard.wait().unwrap();
        false
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--state-dir").arg(&self.dir).stdin(Stdio::null()).env("LC_ALL", "C");
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "error".into()));
        command
    }

    /// Runs a command of root to its end.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn guard_pid(&self) -> u32 {
        self.guard.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut guard = self.guard.take().unwrap();
        guard.kill().unwrap();
        guard.wait().unwrap();
    }

    /// A connection to `guard.sock` that has said nothing yet.
    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.join("run/guard.sock")).unwrap()
    }

    /// A client's stream.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.connect())
    }

    /// What the relay tells the tunnel, and guard's answer.
    pub(crate) fn trust_update(&self, entries: Vec<serde_bytes::ByteBuf>) -> cloud_doctor_proto::frame::Frame {
        let mut tunnel = Client::silent(self.connect());
        tunnel.say(Kind::TrustUpdate, &cloud_doctor_proto::control::TrustUpdate { entries });
        tunnel.hear()
    }

    pub(crate) fn audit_lines(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.dir.join("guard/audit"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
            .collect();
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        text.lines().map(str::to_owned).collect()
    }

    /// The audit, verified.
    #[track_caller]
    pub(crate) fn audit(&self) -> Vec<Payload> {
        let mut verifier = Verifier::new(self.customer.verify_key());
        self.audit_lines().iter().map(|line| verifier.line(line).unwrap_or_else(|f| panic!("{f}: {line}"))).collect()
    }

    /// Waits for an audit line with these texts in it.
    #[track_caller]
    pub(crate) fn audited(&self, texts: &[&str]) {
        eventually(&format!("an audit line with {texts:?}"), || {
            let lines = self.audit_lines();
            lines.iter().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
        });
    }

    pub(crate) fn holders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.join("run/h")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "sock")).collect()
    }

    pub(crate) fn holder_pids(&self) -> Vec<Pid> {
        self.holders().iter().filter_map(|path| listener(path)).collect()
    }
}

pub(crate) fn listener(path: &Path) -> Option<Pid> {
    let stream = UnixStream::connect(path).ok()?;
    rustix::net::sockopt::socket_peercred(&stream).ok().map(|cred| cred.pid)
}

pub(crate) fn lives(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Drop for Host {
    fn drop(&mut self) {
        let holders = self.holder_pids();
        if let Some(mut guard) = self.guard.take() {
            guard.kill().ok();
            guard.wait().ok();
        }
        // A holder that is told to end takes its shell along.
        for pid in &holders {
            kill_process(*pid, Signal::TERM).ok();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while holders.iter().any(|pid| lives(*pid)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in holders.into_iter().filter(|pid| lives(*pid)) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Nothing was started.
#[track_caller]
pub(crate) fn nothing_started(host: &Host) {
    assert!(host.holders().is_empty());
    assert!(host.audit_lines().iter().all(|line| !line.contains("\"channel-opening\"")));
}

/// A server whose tunnel runs as the user nobody, as an installed agent's does as a user of its own.
pub(crate) fn with_a_tunnel_user(ceiling: &str) -> Option<Host> {
    if !rustix::process::geteuid().is_root() {
        not_tested("a user of its own for the tunnel takes root");
        return None;
    }
    let mut host = Host::enrolled(ceiling);
    std::os::unix::fs::chown(host.dir.join("tunnel"), Some(65534), Some(65534)).unwrap();
    host.run();
    // The temporary folder above is the test's, not the agent's.
    for dir in host.dir.ancestors().take(2) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(host)
}
