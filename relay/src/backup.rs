//! Backup while the relay works, restore while it does not.
//!
//! A backup is a folder, complete or absent: it is written under another name and renamed. Restoring never revives a
//! credential (FLT-26): logins end and enrolment tokens are revoked. Never: a file that others can read, or data of
//! before that is deleted.

use crate::access::step_after;
use crate::config::database;
use crate::data_dir::{DataDir, DataDirError, LOCK_FILE};
use crate::store::{OpenError, Store, StoreError};
use cloud_doctor_proto::time::UnixTime;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Beside the database: keys, certificates and configuration. Those that exist are copied.
const FILES: [&str; 10] = [
    "agent-listener.key",
    "agent-listener-next.key",
    "reset.key",
    "factors.key",
    "relay.toml",
    "tls/self-signed.pem",
    "tls/self-signed.key",
    "tls/acme.pem",
    "tls/acme.key",
    "tls/acme-account.json",
];

/// No backup was written, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The target is there already.
    #[error("{0} exists already: choose another folder")]
    Exists(PathBuf),
    /// The source has no database.
    #[error("{0} is no backup: there is no relay.db in it")]
    NoBackup(PathBuf),
    /// There is a relay in the target.
    #[error("{0} is not empty: --force moves what is there aside")]
    NotEmpty(PathBuf),
    /// See there.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// See there.
    #[error("the backup's database: {0}")]
    Open(#[from] OpenError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a backup of a data directory, also of one in use, into a new folder.
///
/// # Errors
/// [`BackupError`]; the folder does not exist then.
pub async fn backup(data_dir: &Path, target: &Path) -> Result<(), BackupError> {
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let source = database(data_dir);
    if !source.exists() {
        return Err(BackupError::NoBackup(data_dir.to_owned()));
    }
    let draft = sibling(target, "partial");
    private_dir(&draft)?;
    let copied = copy_all(data_dir, &source, &draft).await;
    if let Err(error) = copied {
        fs::remove_dir_all(&draft).map_err(at(&draft))?;
        return Err(error);
    }
    fs::rename(&draft, target).map_err(at(target))?;
    sync_dir(target.parent().unwrap_or(Path::new(".")))
}

async fn copy_all(data_dir: &Path, source: &Path, draft: &Path) -> Result<(), BackupError> {
    let copy = database(draft);
    // Made first, so that it has its mode before it has content; the database accepts an empty file as its target.
    new_file(&copy)?;
    let store = Store::open_to_copy(source).await?;
    let written = store.copy_to(&copy).await;
    store.close().await;
    written?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(at(&copy))?;
    for name in FILES {
        copy_file(&data_dir.join(name), &draft.join(name))?;
    }
    sync_dir(draft)
}

/// Puts a backup into a data directory that no relay uses. Returns where what was there before has gone.
///
/// # Errors
/// [`BackupError`].
pub async fn restore(
    source: &Path,
    data_dir: &Path,
    force: bool,
    now: UnixTime,
) -> Result<Option<PathBuf>, BackupError> {
    let stored = database(source);
    if !stored.exists() {
        return Err(BackupError::NoBackup(source.to_owned()));
    }
    let lock = DataDir::lock(data_dir)?;
    let aside = empty(data_dir, force, now)?;
    for name in FILES {
        copy_file(&source.join(name), &data_dir.join(name))?;
    }
    let target = database(data_dir);
    copy_file(&stored, &target)?;
    let store = Store::open(&target).await?;
    let done = store.forget_credentials(now, step_after(now)).await;
    store.close().await;
    done?;
    sync_dir(data_dir)?;
    drop(lock);
    Ok(aside)
}

/// Moves everything but the lock aside.
fn empty(data_dir: &Path, force: bool, now: UnixTime) -> Result<Option<PathBuf>, BackupError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data_dir).map_err(at(data_dir))? {
        let name = entry.map_err(at(data_dir))?.file_name();
        let old = name.to_string_lossy().starts_with("before-restore-");
        if name != LOCK_FILE && !old {
            found.push(name);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    if !force {
        return Err(BackupError::NotEmpty(data_dir.to_owned()));
    }
    let aside = data_dir.join(format!("before-restore-{}", now.0));
    private_dir(&aside)?;
    for name in found {
        fs::rename(data_dir.join(&name), aside.join(&name)).map_err(at(&aside))?;
    }
    Ok(Some(aside))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = match File::open(from) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(from)(error)),
    };
    if let Some(dir) = to.parent().filter(|dir| !dir.exists()) {
        private_dir(dir)?;
    }
    let mut target = new_file(to)?;
    io::copy(&mut source, &mut target).map_err(at(to))?;
    target.sync_all().map_err(at(to))
}

fn new_file(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))
}

fn private_dir(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(at(path))
}

fn sync_dir(path: &Path) -> Result<(), BackupError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::FirstAccount;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    async fn living(dir: &Path) -> (DataDir, Store) {
        let lock = DataDir::lock(dir).unwrap();
        let store = Store::open(&database(dir)).await.unwrap();
        let first = FirstAccount { tenant_name: "t".to_owned(), account: "a".to_owned(), password: "$hash".to_owned() };
        store.set_up(&first, "", NOW).await.unwrap();
        fs::write(dir.join("reset.key"), "key").unwrap();
        (lock, store)
    }

    #[tokio::test]
    async fn a_backup_of_a_working_relay_restores_into_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (data, saved, other) = (dir.path().join("data"), dir.path().join("saved"), dir.path().join("other"));
        let (lock, store) = living(&data).await;
        backup(&data, &saved).await.unwrap();
        for file in ["relay.db", "reset.key"] {
            let mode = fs::metadata(saved.join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{file}");
        }
        assert!(matches!(backup(&data, &saved).await, Err(BackupError::Exists(_))));
        assert!(matches!(restore(&saved, &data, true, NOW).await, Err(BackupError::DataDir(DataDirError::InUse(_)))));
        assert_eq!(restore(&saved, &other, false, NOW).await.unwrap(), None);
        let restored = Store::open(&database(&other)).await.unwrap();
        assert!(restored.has_accounts().await.unwrap());
        assert_eq!(fs::read_to_string(other.join("reset.key")).unwrap(), "key");
        restored.close().await;
        store.close().await;
        drop(lock);
    }

    #[tokio::test]
    async fn what_was_there_is_moved_aside_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let (data, saved) = (dir.path().join("data"), dir.path().join("saved"));
        let (lock, store) = living(&data).await;
        backup(&data, &saved).await.unwrap();
        store.close().await;
        drop(lock);
        assert!(matches!(restore(&saved, &data, false, NOW).await, Err(BackupError::NotEmpty(_))));
        let aside = restore(&saved, &data, true, NOW).await.unwrap().unwrap();
        assert!(aside.join("relay.db").exists() && data.join("relay.db").exists());
        assert!(matches!(restore(dir.path(), &data, true, NOW).await, Err(BackupError::NoBackup(_))));
    }
}
