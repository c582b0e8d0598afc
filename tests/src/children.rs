//! Processes that figures and simulated fleets need. Each ends with its value, by its process id.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a program to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with this value.
#[derive(Debug)]
pub struct Started(Child);

impl Started {
    /// Starts a command without input; nobody reads what it says.
    pub fn new(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("{command:?}"))?))
    }

    /// Starts a command without input; what it says goes to a file.
    pub fn logged(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self(command.spawn().with_context(|| format!("{command:?}"))?))
    }

    /// Ends it as Ctrl-C does, so that it can end what it started.
    pub fn interrupt(&mut self) -> Result<()> {
        let pid = Pid::from_child(&self.0);
        rustix::process::kill_process(pid, Signal::INT)?;
        let begun = Instant::now();
        while self.0.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "process {} did not end within {PATIENCE:?}", self.0.id());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for a condition, for a while and while the process lives.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !ready() {
            if let Some(status) = self.0.try_wait()? {
                bail!("{what}: it ended with {status}");
            }
            ensure!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a command to its end, which must be a good one.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An ssh-agent with one new Ed25519 key.
#[derive(Debug)]
pub struct KeyAgent {
    key: PathBuf,
    socket: PathBuf,
    _process: Started,
}

impl KeyAgent {
    /// Makes `id` and `id.pub` in `folder` and an agent that holds it.
    pub fn start(folder: &Path) -> Result<Self> {
        let (key, socket) = (folder.join("id"), folder.join("ssh-agent"));
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        let mut process = Started::new(Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket))?;
        process
            .wait_until("ssh-agent opens its socket", || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket))?;
        Ok(Self { key, socket, _process: process })
    }

    /// For `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The private key's file.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The public key's file.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.key.with_extension("pub")
    }
}
