//! What the agent keeps on disk, and where.
//!
//! - [`files`]: the few ways in which files are made and read, each with its final mode from the first moment on.
//! - [`config`]: `agent.toml`. [`identity`]: the key that names this server. [`trust`]: the pinned log.
//!
//! A file that is damaged is an error with the file's name; nothing here ever falls back to a default that trusts more.

pub(crate) mod config;
pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod trust;

use std::path::{Path, PathBuf};

/// Longest path of a socket in Linux, without the zero at its end.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name below the run directory: `/h/<16 digits>-v1.sock` and a sibling with a longer ending.
const SOCKET_NAME_MAX: usize = 36;

/// The directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Configuration and ceiling: written by root, read by all roles.
    pub(crate) etc: PathBuf,
    /// Guard's own: identity, log, audit.
    pub(crate) guard: PathBuf,
    /// The tunnel's own: its transport key.
    pub(crate) tunnel: PathBuf,
    /// Root's own: what runs of checks from the command line found.
    pub(crate) checks: PathBuf,
    /// Sockets.
    pub(crate) run: PathBuf,
    /// Everything in one folder, as one user, without systemd.
    pub(crate) standalone: bool,
}

impl Places {
    /// Those of an installed agent, or all below one folder.
    pub(crate) fn new(state_dir: Option<&Path>) -> Self {
        match state_dir {
            Some(dir) => Self {
                etc: dir.join("etc"),
                guard: dir.join("guard"),
                tunnel: dir.join("tunnel"),
                checks: dir.join("checks"),
                run: dir.join("run"),
                standalone: true,
            },
            None => Self {
                etc: "/etc/cloud-doctor".into(),
                guard: "/var/lib/cloud-doctor".into(),
                tunnel: "/var/lib/cloud-doctor-tunnel".into(),
                checks: "/var/lib/cloud-doctor-checks".into(),
                run: "/run/cloud-doctor".into(),
                standalone: false,
            },
        }
    }

    /// The customer's ceiling.
    pub(crate) fn ceiling(&self) -> PathBuf {
        self.etc.join("ceiling.toml")
    }

    /// Where the tunnel keeps the history of metrics.
    pub(crate) fn history(&self) -> PathBuf {
        self.tunnel.join("history")
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.etc.join("agent.toml")
    }

    /// Where tunnels and clients come in.
    pub(crate) fn guard_socket(&self) -> PathBuf {
        self.run.join("guard.sock")
    }

    /// Where root's own commands come in.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.run.join("admin.sock")
    }

    /// The signed log of everything.
    pub(crate) fn audit(&self) -> PathBuf {
        self.guard.join("audit")
    }

    /// Exists while the server is locked down.
    pub(crate) fn lockdown(&self) -> PathBuf {
        self.guard.join("lockdown")
    }

    /// Root has locked the server down.
    pub(crate) fn is_locked_down(&self) -> bool {
        self.lockdown().symlink_metadata().is_ok()
    }

    /// Whether sockets fit: the kernel allows 107 bytes.
    pub(crate) fn run_is_short_enough(&self) -> bool {
        self.run.as_os_str().len() + SOCKET_NAME_MAX <= SOCKET_PATH_MAX
    }
}

#[cfg(test)]
mod tests;
