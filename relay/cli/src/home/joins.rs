//! Links for new people that were made on this computer: each with the secret that vouches for the person's key, which
//! is nowhere else. Kept until the key is in the trust log, or the link is over.

use super::{Home, HomeError, failed};
use cloud_doctor_proto::join::{JoinId, JoinLink, NotALink};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zeroize::Zeroize as _;

/// A link and what its person becomes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinNote {
    /// The relay's name in the config file.
    pub relay: String,
    /// `token.secret.tenant`. Secret.
    link: String,
    /// The person's name in the trust log.
    pub person: String,
    /// A second signer, not an engineer.
    pub approver: bool,
    /// Days that the key will count.
    pub days: u64,
    /// A browser's key without a touch will do.
    pub device: bool,
}

impl std::fmt::Debug for JoinNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinNote").field("person", &self.person).finish_non_exhaustive()
    }
}

impl Drop for JoinNote {
    fn drop(&mut self) {
        self.link.zeroize();
    }
}

impl JoinNote {
    /// A note about a link at a relay, for an engineer who signs with a touch, for a day.
    #[must_use]
    pub fn new(relay: &str, link: &JoinLink, person: &str) -> Self {
        let (relay, person) = (relay.to_owned(), person.to_owned());
        Self { relay, link: link.text().to_string(), person, approver: false, days: 1, device: false }
    }

    /// The same, for another role, time or kind of key.
    #[must_use]
    pub fn becoming(mut self, approver: bool, days: u64, device: bool) -> Self {
        (self.approver, self.days, self.device) = (approver, days, device);
        self
    }

    /// The link.
    ///
    /// # Errors
    /// [`NotALink`] when the file was changed.
    pub fn link(&self) -> Result<JoinLink, NotALink> {
        JoinLink::parse(&self.link)
    }
}

impl Home {
    /// Links that were made here, by their names.
    ///
    /// # Errors
    /// [`HomeError`], also when others may read one.
    pub fn joins(&self) -> Result<Vec<(JoinId, JoinNote)>, HomeError> {
        let Ok(files) = std::fs::read_dir(self.folder.join("joins")) else { return Ok(Vec::new()) };
        let mut joins = Vec::new();
        for file in files.flatten() {
            let Some(id) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let path = file.path();
            let Some(text) = self.secret(&path)? else { continue };
            let note = toml::from_str(&text);
            joins.push((id, note.map_err(|error| HomeError::Config { path, why: error.message().to_owned() })?));
        }
        joins.sort_by(|(_, a): &(JoinId, JoinNote), (_, b)| a.person.cmp(&b.person));
        Ok(joins)
    }

    /// Keeps one.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn write_join(&self, id: &JoinId, note: &JoinNote) -> Result<(), HomeError> {
        let path = self.join_path(id);
        let text = toml::to_string(note).map(zeroize::Zeroizing::new);
        let text = text.map_err(|error| HomeError::Config { path: path.clone(), why: error.to_string() })?;
        self.write(&path, text.as_bytes())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn remove_join(&self, id: &JoinId) -> Result<(), HomeError> {
        let path = self.join_path(id);
        std::fs::remove_file(&path).map_err(|error| failed(&path, &error))
    }

    fn join_path(&self, id: &JoinId) -> PathBuf {
        self.folder.join("joins").join(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::ids::TenantId;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn links_are_kept_privately_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path().join("cfg")), None, None).unwrap();
        assert!(home.joins().unwrap().is_empty());
        let link = JoinLink { token: [1; 16], secret: [0xb2; 32], tenant: TenantId([3; 32]) };
        let (id, note) = (JoinId::of(&link.token), JoinNote::new("r", &link, "Nina"));
        home.write_join(&id, &note).unwrap();
        let path = home.join_path(&id);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(home.joins().unwrap(), [(id, note.clone())]);
        assert_eq!(note.link(), Ok(link.clone()));
        assert!(!format!("{note:?}").contains(link.text().as_str()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(home.joins(), Err(HomeError::Open(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "surprise").unwrap();
        assert!(matches!(home.joins(), Err(HomeError::Config { .. })));
        home.remove_join(&id).unwrap();
        assert!(home.joins().unwrap().is_empty());
    }
}
