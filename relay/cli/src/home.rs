//! This person's files: `$CLOUD_DOCTOR_HOME`, else `$XDG_CONFIG_HOME/cloud-doctor`, else `~/.config/cloud-doctor`.
//!
//! ```text
//! config.toml        relays by name, the default one
//! tokens/NAME        sign-ins, 0600
//! tenants/HEX/       verified copy of the trust log, proofs of forks
//! joins/HEX          links for new people that were made here, 0600
//! sessions/HEX       shells that this person has open, to attach to them later; no secret is in them
//! ```
//!
//! Never: a secret in a file that others may read, or a file half written.

mod joins;

pub use joins::JoinNote;

use crate::messages::{Id, Say, Sentence};
use cloud_doctor_proto::ids::TenantId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

/// The config file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the relay that is used when none is given.
    #[serde(default)]
    pub default: String,
    /// Relays by name.
    #[serde(default, rename = "relay", skip_serializing_if = "BTreeMap::is_empty")]
    pub relays: BTreeMap<String, RelayEntry>,
}

/// One relay with what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayEntry {
    /// `https://host:port`.
    pub url: String,
    /// `sha256:…` of a self-signed relay's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Account name.
    #[serde(default)]
    pub account: String,
    /// The customer whose trust log counts here, in hex: pinned once, never changed by a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantText>,
    /// Key file to sign with instead of the ssh-agent's first fitting key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// User on servers when `--user` is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A shell of this person, as far as this computer knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionNote {
    /// Channel id in hex.
    pub channel: String,
    /// Server id in hex.
    pub server: String,
    /// The server's name.
    pub name: String,
    /// As whom it runs.
    pub user: String,
    /// When it began, seconds since 1970.
    pub began: u64,
}

/// A [`TenantId`] in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantText(pub TenantId);

impl Serialize for TenantText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(TenantText).map_err(serde::de::Error::custom)
    }
}

/// A file of this client that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// Neither HOME nor an own folder is set.
    #[error("{}", self.sentence())]
    NoFolder,
    /// What the file system says.
    #[error("{}", self.sentence())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Unknown keys or values in the config file.
    #[error("{}", self.sentence())]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A secret that others may read.
    #[error("{}", self.sentence())]
    Open(PathBuf),
    /// No relay in the config.
    #[error("{}", self.sentence())]
    NotSignedIn,
    /// A name that the config does not have.
    #[error("{}", self.sentence())]
    NoSuchRelay {
        /// The name.
        name: String,
        /// Names that it has.
        known: String,
    },
}

impl Sentence for HomeError {
    fn sentence(&self) -> Say {
        match self {
            HomeError::NoFolder => Id::HomeMissing.into(),
            HomeError::File { path, why } => Id::HomeFile.with(&[&path.display(), why]),
            HomeError::Config { path, why } => Id::HomeConfig.with(&[&path.display(), why]),
            HomeError::Open(path) => Id::OpenFile.with(&[&path.display()]),
            HomeError::NotSignedIn => Id::NotSignedIn.into(),
            HomeError::NoSuchRelay { name, known } => Id::NoSuchRelay.with(&[name, known]),
        }
    }
}

impl Config {
    /// The relay that a person means: by name, or the default one.
    ///
    /// # Errors
    /// [`HomeError`] when there is none of that name, or none at all.
    pub fn relay(&self, name: Option<&str>) -> Result<(String, &RelayEntry), HomeError> {
        if self.relays.is_empty() {
            return Err(HomeError::NotSignedIn);
        }
        let name = name.unwrap_or(&self.default);
        let known = || self.relays.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = || HomeError::NoSuchRelay { name: name.to_owned(), known: known() };
        self.relays.get(name).map(|entry| (name.to_owned(), entry)).ok_or_else(missing)
    }
}

impl Home {
    /// Finds the folder from the three variables, in this order: own, XDG, HOME.
    ///
    /// # Errors
    /// [`HomeError::NoFolder`].
    pub fn find(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<Self, HomeError> {
        let set = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let folder = set(own)
            .or_else(|| set(xdg).map(|xdg| xdg.join("cloud-doctor")))
            .or_else(|| set(home).map(|home| home.join(".config/cloud-doctor")));
        folder.map(|folder| Self { folder }).ok_or(HomeError::NoFolder)
    }

    /// The config file; an absent one is empty.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn config(&self) -> Result<Config, HomeError> {
        let path = self.config_path();
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| HomeError::Config { path, why: error.to_string().trim().to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// The config file's path.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Writes the config file.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn write_config(&self, config: &Config) -> Result<(), HomeError> {
        let path = self.config_path();
        let text = toml::to_string(config)
            .map_err(|error| HomeError::Config { path: path.clone(), why: error.to_string() })?;
        self.write(&path, text.as_bytes())
    }

    /// The sign-in kept for a relay.
    ///
    /// # Errors
    /// [`HomeError`], also when others may read it.
    pub fn token(&self, relay: &str) -> Result<Option<Zeroizing<String>>, HomeError> {
        let text = self.secret(&self.token_path(relay))?;
        Ok(text.map(|text| Zeroizing::new(text.trim().to_owned())))
    }

    /// A file that nobody else may read; `None`: there is none.
    fn secret(&self, path: &Path) -> Result<Option<Zeroizing<String>>, HomeError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, &error)),
            Ok(meta) if meta.mode() & 0o077 != 0 => return Err(HomeError::Open(path.to_owned())),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, &error))?;
        Ok(Some(Zeroizing::new(text)))
    }

    /// Keeps a sign-in.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn write_token(&self, relay: &str, token: &str) -> Result<(), HomeError> {
        self.write(&self.token_path(relay), token.as_bytes())
    }

    /// Forgets a sign-in.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn remove_token(&self, relay: &str) -> Result<(), HomeError> {
        let path = self.token_path(relay);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Shells that this person has open, as far as this computer knows.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionNote> {
        let Ok(files) = std::fs::read_dir(self.folder.join("sessions")) else { return Vec::new() };
        let read = |file: std::fs::DirEntry| toml::from_str(&std::fs::read_to_string(file.path()).ok()?).ok();
        files.filter_map(|file| read(file.ok()?)).collect()
    }

    /// One of them.
    #[must_use]
    pub fn session(&self, channel: Option<&str>) -> Option<SessionNote> {
        self.sessions().into_iter().find(|note| Some(note.channel.as_str()) == channel)
    }

    /// Notes one.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn write_session(&self, note: &SessionNote) -> Result<(), HomeError> {
        let path = self.session_path(&note.channel);
        let text =
            toml::to_string(note).map_err(|error| HomeError::Config { path: path.clone(), why: error.to_string() })?;
        self.write(&path, text.as_bytes())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_session(&self, channel: &str) -> std::io::Result<()> {
        std::fs::remove_file(self.session_path(channel))
    }

    fn session_path(&self, channel: &str) -> PathBuf {
        self.folder.join("sessions").join(plain(channel))
    }

    /// The folder of a customer's trust log.
    #[must_use]
    pub fn tenant_folder(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join("tenants").join(tenant.to_string())
    }

    fn token_path(&self, relay: &str) -> PathBuf {
        self.folder.join("tokens").join(format!("{}.token", plain(relay)))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
        write_private(path, bytes).map_err(|error| failed(path, &error))
    }
}

/// A name as part of a file name.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect()
}

fn failed(path: &Path, error: &std::io::Error) -> HomeError {
    HomeError::File { path: path.to_owned(), why: error.to_string() }
}

/// Makes a folder that only its owner may enter, with its parents.
pub(crate) fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file that only its owner may read: beside its place first, then moved there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_private_folder(folder)?;
    let suffix: u32 = u32::from_be_bytes(crate::clock::random());
    let aside = path.with_extension(format!("new-{suffix:08x}"));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    let written = write();
    if written.is_err() {
        // The half-written one is of no use to anybody; the first error is the one that matters.
        drop(std::fs::remove_file(&aside));
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_folder_is_found_in_order() {
        let path = |text: &str| Some(PathBuf::from(text));
        let found = |own, xdg, home| Home::find(own, xdg, home).map(|home| home.folder);
        assert_eq!(found(path("/a"), path("/b"), path("/c")).unwrap(), PathBuf::from("/a"));
        assert_eq!(found(path(""), path("/b"), path("/c")).unwrap(), PathBuf::from("/b/cloud-doctor"));
        assert_eq!(found(None, None, path("/c")).unwrap(), PathBuf::from("/c/.config/cloud-doctor"));
        assert_eq!(found(None, None, None), Err(HomeError::NoFolder));
    }

    #[test]
    fn config_and_token_round_trip_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path().join("cfg")), None, None).unwrap();
        assert_eq!(home.config().unwrap(), Config::default());
        assert_eq!(home.config().unwrap().relay(None), Err(HomeError::NotSignedIn));
        let entry = RelayEntry {
            url: "https://r:1".into(),
            tenant: Some(TenantText(TenantId([7; 32]))),
            ..RelayEntry::default()
        };
        let config = Config { default: "r".into(), relays: [("r".to_owned(), entry)].into() };
        home.write_config(&config).unwrap();
        assert_eq!(home.config().unwrap(), config);
        assert!(matches!(config.relay(Some("x")), Err(HomeError::NoSuchRelay { .. })));
        home.write_token("r/../x", "secret").unwrap();
        assert_eq!(home.token("r/../x").unwrap().unwrap().as_str(), "secret");
        let path = home.token_path("r/../x");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(home.token("r/../x"), Err(HomeError::Open(_))));
        std::fs::write(home.config_path(), "surprise = 1").unwrap();
        assert!(matches!(home.config(), Err(HomeError::Config { .. })));
    }
}
