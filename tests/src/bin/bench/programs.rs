//! Builds what is measured, as it is shipped: the relay and the client for this machine, the agent as one static file.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const MUSL: &str = "x86_64-unknown-linux-musl";

/// What was built.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Holds `cloud-doctor-relay`, `cloud-doctor` and `cloud-doctor-agent`.
    pub(crate) folder: PathBuf,
    /// The agent is the static file that `make agent` makes.
    pub(crate) agent_is_static: bool,
}

/// Builds everything below `target`, showing cargo's progress.
pub(crate) fn build(target: &Path) -> Result<Programs> {
    cargo(&["--release", "-p", "cloud-doctor-relay", "-p", "cloud-doctor"], &[])?;
    let agent_is_static = musl_is_there();
    let agent = if agent_is_static {
        let compiler = [("CC_x86_64_unknown_linux_musl", "musl-gcc")];
        cargo(&["--profile", "agent", "--target", MUSL, "-p", "cloud-doctor-agent"], &compiler)?;
        target.join(MUSL).join("agent")
    } else {
        cargo(&["--profile", "agent", "-p", "cloud-doctor-agent"], &[])?;
        target.join("agent")
    };
    let folder = target.join("bench").join("programs");
    fs::create_dir_all(&folder)?;
    let release = target.join("release");
    for (from, name) in [(&release, "cloud-doctor-relay"), (&release, "cloud-doctor"), (&agent, "cloud-doctor-agent")] {
        let link = folder.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        let program = from.join(name);
        ensure!(program.exists(), "cargo built no {}", program.display());
        symlink(&program, &link)?;
    }
    Ok(Programs { folder, agent_is_static })
}

/// A C compiler for musl, and Rust's own library for it.
fn musl_is_there() -> bool {
    let libdir = Command::new("rustc").args(["--print", "target-libdir", "--target", MUSL]).output();
    let libdir = libdir.ok().filter(|out| out.status.success()).map(|out| out.stdout).unwrap_or_default();
    let libdir = String::from_utf8_lossy(&libdir);
    let compiler = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("musl-gcc").exists()));
    compiler && Path::new(libdir.trim()).is_dir()
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked"]).args(arguments).envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
