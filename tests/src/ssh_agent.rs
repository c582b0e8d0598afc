//! A real `ssh-agent` of the test's own, on a socket in its world.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::eventually::{SOON, eventually};
use crate::process::Process;
use crate::world::World;

/// A running agent. Ends when dropped.
#[derive(Debug)]
pub struct SshAgent {
    world: World,
    socket: PathBuf,
    _process: Process,
}

impl SshAgent {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn start(world: &World) -> Self {
        Self::named(world, "ssh")
    }

    /// Starts a further one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn named(world: &World, name: &str) -> Self {
        let socket = world.path(format!("{name}-agent.sock"));
        let mut command = world.command("/usr/bin/ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let process = world.start("ssh-agent", command);
        // The socket exists a moment before it listens.
        eventually(SOON, "ssh-agent listens", || UnixStream::connect(&socket).ok().map(drop));
        Self { world: world.clone(), socket, _process: process }
    }

    /// For `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Adds a key file without passphrase.
    ///
    /// # Panics
    /// When the agent does not take it.
    #[track_caller]
    pub fn add(&self, key: &Path) {
        let mut command = self.world.command("/usr/bin/ssh-add");
        command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket);
        let output = self.world.output("ssh-add", command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
