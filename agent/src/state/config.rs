//! `agent.toml`: which customer this server belongs to and which relays it dials.
//!
//! Nothing in it can widen what anybody may do here; that is the ceiling's alone. Unknown keys are errors.

use super::files::{self, FileError};
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::pin::Pin;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const BYTES_MAX: usize = 64 << 10;
const HEAD: &str =
    "# Written by `cloud-doctor-agent enrol`. What anybody may do on this server stands in ceiling.toml.\n";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Schema: 1.
    version: u32,
    /// Hash of the trust log's first entry, in hex.
    tenant: String,
    /// What this server calls itself in the trust log.
    pub(crate) name: String,
    /// For one visit only: the log is one that the visit made for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) guest: bool,
    /// Relays, the preferred one first.
    #[serde(rename = "relay")]
    relays: Vec<RelayEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelayEntry {
    url: String,
    pins: Vec<String>,
}

/// A relay to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    /// `host:port` or `quic://host:port`.
    pub(crate) url: String,
    /// Keys that it may have; two, so that it can rotate.
    pub(crate) pins: Vec<Pin>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// TOML, schema or a value.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        problem: String,
    },
}

impl Config {
    /// For a server that has just been enrolled.
    pub(crate) fn new(tenant: TenantId, name: &str, relays: &[Relay]) -> Self {
        let entry = |relay: &Relay| RelayEntry {
            url: relay.url.clone(),
            pins: relay.pins.iter().map(ToString::to_string).collect(),
        };
        Self {
            version: 1,
            tenant: tenant.to_string(),
            name: name.to_owned(),
            guest: false,
            relays: relays.iter().map(entry).collect(),
        }
    }

    /// The same for a server that is a guest at its relay.
    pub(crate) fn for_one_visit(self) -> Self {
        Self { guest: true, ..self }
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read(path, BYTES_MAX)?;
        let invalid = |problem: String| ConfigError::Invalid { path: path.to_owned(), problem };
        let text = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8".to_owned()))?;
        let config: Self = toml::from_str(&text).map_err(|e| invalid(e.to_string().trim().to_owned()))?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(invalid(problems.join("; "))) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.version != 1 {
            problems.push(format!("version is {}, this build reads 1", self.version));
        }
        if self.tenant.parse::<TenantId>().is_err() {
            problems.push("tenant must be 64 hexadecimal digits".to_owned());
        }
        for relay in &self.relays {
            let wrong = relay.pins.iter().find_map(|pin| pin.parse::<Pin>().err());
            problems.extend(wrong.map(|error| format!("relay {}: {error}", relay.url)));
            if relay.pins.is_empty() {
                problems.push(format!("relay {} has no pin", relay.url));
            }
        }
        if self.relays.is_empty() {
            problems.push("no [[relay]]".to_owned());
        }
        problems
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn save(&self, path: &Path) -> Result<(), FileError> {
        let text = toml::to_string(self).expect("a configuration of texts serialises");
        files::replace(path, files::PUBLIC, format!("{HEAD}{text}").as_bytes())
    }

    /// The customer.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant.parse().expect("checked when it was read or made from an id")
    }

    /// The relays.
    pub(crate) fn relays(&self) -> Vec<Relay> {
        let pin = |text: &String| text.parse().expect("checked when it was read or made from a pin");
        let relay = |entry: &RelayEntry| Relay { url: entry.url.clone(), pins: entry.pins.iter().map(pin).collect() };
        self.relays.iter().map(relay).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn configurations_round_trip_and_name_all_problems() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        let relays = [Relay { url: "relay:4433".into(), pins: vec![Pin([1; 32]), Pin([2; 32])] }];
        let config = Config::new(TenantId([5; 32]), "web-1", &relays);
        config.save(&path).unwrap();
        let read = Config::load(&path).unwrap();
        assert_eq!((read.tenant(), read.relays()), (TenantId([5; 32]), relays.to_vec()));

        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("shell = \"allow\"\n{text}")).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("unknown field `shell`"));
        std::fs::write(&path, text.replace("0505", "05").replace("sha256:", "md5:")).unwrap();
        let problem = Config::load(&path).unwrap_err().to_string();
        assert!(problem.contains("64 hexadecimal") && problem.contains("a pin is written"), "{problem}");
    }
}
