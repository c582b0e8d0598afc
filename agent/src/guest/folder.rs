//! The folder of one visit: made new, and emptied at its end down to the audit.
//!
//! Its parents may be entered by all and listed by root alone, because the tunnel, which is nobody, has to get to its
//! key and to guard's socket. What a killed visit left behind goes when the next one begins.

use crate::audit;
use crate::guard::random;
use crate::session::account::{Account, AccountError};
use crate::session::clock;
use crate::state::Places;
use crate::state::files::{self, FileError, Lock};
use crate::state::identity;
use crate::state::trust::TrustStore;
use cloud_doctor_proto::audit::rfc3339;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Users that systemd hands out to services without an account of their own (systemd.exec, `DynamicUser=`): no
/// distribution gives them to people.
const NOBODIES: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// Visits whose records are kept, the newest: at one call a week that is four years, of a few kB each.
const RECORDS_MAX: usize = 200;
/// Tries to find one that nobody has.
const TRIES: usize = 20;

/// Where one visit keeps what it needs.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Below [`Folder::path`].
    pub(crate) places: Places,
    /// `YYYYMMDD-HHMMSS` below the visits' folder.
    pub(crate) path: PathBuf,
    /// User and group of the tunnel.
    pub(crate) nobody: u32,
    /// Says that this visit is not one that was killed.
    _lock: Lock,
}

impl Folder {
    /// Makes one below `visits`.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn make(visits: &Path) -> Result<Self, FileError> {
        enterable(visits)?;
        sweep(visits);
        prune(visits);
        let name: String = rfc3339(clock::unix_time()).chars().filter(char::is_ascii_digit).take(14).collect();
        let (day, time) = name.split_at(8);
        let path = new_dir(&visits.join(format!("{day}-{time}")))?;
        enterable(&path)?;
        let lock = Lock::take(&path)?;
        let nobody = nobody().ok_or_else(|| {
            FileError::at(&path)(io::Error::other("no user id between 61184 and 65519 is free for the network's part"))
        })?;
        let folder = Self { places: Places::new(Some(&path)), nobody, path, _lock: lock };
        let places = &folder.places;
        enterable(&places.etc)?;
        files::make_dir(&places.guard, 0o700)?;
        files::make_dir(&places.tunnel, 0o700)?;
        let owner = Some(folder.nobody);
        std::os::unix::fs::chown(&places.tunnel, owner, owner).map_err(FileError::at(&places.tunnel))?;
        Ok(folder)
    }

    /// Removes everything but the audit; without an audit, everything.
    ///
    /// # Errors
    /// [`FileError`] for the first thing that stays.
    pub(crate) fn clear(&self) -> Result<(), FileError> {
        clear(&self.places, &self.path)
    }
}

fn clear(places: &Places, path: &Path) -> Result<(), FileError> {
    let gone = |dir: &PathBuf| match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(dir)(error)),
        Ok(()) | Err(_) => Ok(()),
    };
    // Keys first, and each is tried whatever became of the others.
    let removed = [
        files::remove(&identity::path(&places.guard)),
        gone(&places.tunnel),
        TrustStore::remove(&places.guard),
        gone(&places.run),
        gone(&places.etc),
        files::remove(&audit::reserve(&places.audit())),
        files::remove(&places.lockdown()),
        files::remove(&places.guard.join(Lock::NAME)),
        files::remove(&path.join(Lock::NAME)),
    ];
    for empty in [&places.guard, path] {
        // One with the audit in it stays.
        std::fs::remove_dir(empty).ok();
    }
    removed.into_iter().collect()
}

/// A visit that was killed left its keys: they are worth nothing any more, and go. One that runs is locked.
fn sweep(visits: &Path) {
    for entry in std::fs::read_dir(visits).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.join(Lock::NAME).exists() {
            continue;
        }
        if let Ok(_lock) = Lock::take(&path)
            && let Err(error) = clear(&Places::new(Some(&path)), &path)
        {
            tracing::warn!(%error, "what an earlier visit left behind stays");
        }
    }
}

/// Makes room for one more record. What does not look like one, or belongs to a visit that runs, stays.
fn prune(visits: &Path) {
    let entries = std::fs::read_dir(visits).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut records: Vec<PathBuf> = entries.filter(|path| is_record(path)).collect();
    records.sort();
    for old in records.iter().rev().skip(RECORDS_MAX - 1).filter(|path| !path.join(Lock::NAME).exists()) {
        if let Err(error) = std::fs::remove_dir_all(old) {
            tracing::warn!(%error, record = %old.display(), "the record of an old visit stays");
        }
    }
}

/// Named as [`Folder::make`] names them.
fn is_record(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('-').is_some_and(|(day, time)| digits(day, 8) && digits(time.trim_end_matches('x'), 6))
}

/// A directory that was not there before: two visits may begin in one second.
fn new_dir(path: &Path) -> Result<PathBuf, FileError> {
    let mut path = path.to_owned();
    loop {
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => path.as_mut_os_string().push("x"),
            Err(error) => return Err(FileError::at(&path)(error)),
            Ok(()) => return Ok(path),
        }
    }
}

/// A directory of ours that others may pass through.
fn enterable(path: &Path) -> Result<(), FileError> {
    files::make_dir(path, 0o711)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).map_err(FileError::at(path))
}

/// A user id that no account has and no process runs as.
fn nobody() -> Option<u32> {
    let span = NOBODIES.end() - NOBODIES.start() + 1;
    let draw = || NOBODIES.start() + u32::from_ne_bytes(random()) % span;
    let free = |uid: &u32| matches!(Account::of_uid(*uid), Err(AccountError::Unknown(_))) && !runs(*uid);
    std::iter::repeat_with(draw).take(TRIES).find(free)
}

fn runs(uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.metadata().ok()).any(|meta| meta.uid() == uid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_oldest_records_make_room_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| std::fs::create_dir_all(dir.path().join(name).join("guard/audit")).unwrap();
        for number in 0..RECORDS_MAX + 5 {
            make(&format!("20260101-{number:06}{}", if number % 7 == 0 { "x" } else { "" }));
        }
        for other in ["00000000", "2025-0101-000000", "notes"] {
            make(other);
        }
        std::fs::write(dir.path().join("20260101-000001").join(Lock::NAME), "").unwrap();
        prune(dir.path());
        let mut left: Vec<String> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left[..3], ["00000000", "2025-0101-000000", "20260101-000001"], "one that runs stays");
        assert_eq!(left[3], "20260101-000006", "the oldest six of 205 are gone, but the one that runs");
        assert_eq!(left.len(), 3 + RECORDS_MAX - 1 + 1);
    }
}
