//! DEV ONLY
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub(crate) struct Ours {
    bench: PathBuf,
    folder: tempfile::TempDir,
}
impl Ours {
    pub(crate) fn start(_: &crate::place::Place) -> Result<Self> {
        Ok(Self { bench: std::env::current_exe()?, folder: tempfile::tempdir()? })
    }
    pub(crate) fn bench_program(&self) -> &Path {
        &self.bench
    }
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
    pub(crate) fn shell(&self) -> Command {
        let mut c = Command::new("/bin/bash");
        c.arg("-l").env("HOME", "/root").env("PATH", "/usr/bin:/bin");
        c
    }
    pub(crate) fn processes(&self) -> Result<Vec<(&'static str, u32)>> {
        Ok(vec![("relay", std::process::id())])
    }
    pub(crate) fn agent_processes(&self) -> Result<Vec<u32>> {
        Ok(vec![std::process::id()])
    }
    pub(crate) fn agent_program(&self) -> &Path {
        &self.bench
    }
    pub(crate) fn agent_kind(&self) -> &'static str {
        "x"
    }
}
impl Ours {
    pub(crate) fn relay_database(&self) -> PathBuf {
        self.folder.path().join("relay.db")
    }
    pub(crate) fn relay_for_agents(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }
    pub(crate) fn relay_process(&self) -> u32 {
        1
    }
}
