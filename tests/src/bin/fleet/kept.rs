//! What is kept of a fleet that was enrolled, so that it can come back: the seed of its keys. Whoever has the file can be
//! any of these agents, so it is written for its owner alone.

use anyhow::{Context as _, Result, ensure};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_tests::fleet::Simulated;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::options::Options;

/// An enrolled fleet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// Its keys follow from this.
    pub(crate) seed: [u8; 32],
    /// How many it has.
    pub(crate) agents: usize,
    /// Whose servers they are.
    pub(crate) tenant: TenantId,
    /// How far the customer's log went.
    pub(crate) trust: TrustHead,
}

impl Kept {
    /// Reads a file; nothing where there is none yet.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let read = serde_json::from_str(&text);
        read.map(Some)
            .with_context(|| format!("{} is no fleet that this program kept; name another file", file.display()))
    }

    /// Writes a new file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let out = out.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        Ok(out.write_all(&serde_json::to_vec(self)?)?)
    }

    /// As many of its agents as are wanted.
    pub(crate) fn agents(&self, options: &Options) -> Result<Vec<Simulated>> {
        let (has, wanted) = (self.agents, options.agents);
        ensure!(
            wanted <= has,
            "the kept fleet has {has} agents: take --agents {has} or fewer, or keep a new one elsewhere"
        );
        Ok(Simulated::fleet(&self.seed, wanted, &options.mix, self.tenant))
    }
}
