//! Reading the customer's ceiling: only from a file that root alone can change.
//!
//! Owner, modes, links and the directory are checked before a byte is believed; any doubt means that nothing is
//! allowed, with the reason for whoever asks on the host. It must never keep an older ceiling when the file went bad.

use crate::state::files;
use cloud_doctor_proto::ceiling::{Ceiling, CeilingError};
use cloud_doctor_proto::limits::CEILING_BYTES_MAX;
use cloud_doctor_proto::told::{Tell, Told};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why nothing is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCeiling {
    /// Not there, or not readable.
    #[error("{}", self.told())]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else could have written it.
    #[error("{}", self.told())]
    Unsafe {
        /// The file or its directory.
        path: PathBuf,
        /// What must be changed.
        rule: Tell,
    },
    /// Not a ceiling.
    #[error("{}", self.told())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: CeilingError,
    },
}

impl NoCeiling {
    /// The same for people, in their language.
    pub(crate) fn told(&self) -> Told {
        match self {
            NoCeiling::File { path, source } => Tell::NoCeilingFile.with(&[&path.display(), source]),
            NoCeiling::Unsafe { path, rule } => rule.with(&[&path.display()]),
            NoCeiling::Invalid { path, error } => match error {
                CeilingError::TooLong(bytes) => Tell::CeilingTooLong.with(&[&path.display(), bytes]),
                CeilingError::Parse(why) => Tell::CeilingParse.with(&[&path.display(), &lines(why)]),
                CeilingError::Plugin(fault) => fault.told(&path.display()),
                CeilingError::Version(version) => Tell::CeilingVersion.with(&[&path.display(), version]),
                CeilingError::NoEnd => Tell::CeilingCut.with(&[&path.display()]),
            },
        }
    }
}

/// What a parser says in several lines, as one.
fn lines(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" / ")
}

/// Reads the ceiling. The owner must be our own user: root, or in a standalone trial whoever runs it.
///
/// # Errors
/// [`NoCeiling`]: nothing is allowed.
pub(crate) fn load(path: &Path) -> Result<Ceiling, NoCeiling> {
    let failed = |source| NoCeiling::File { path: path.to_owned(), source };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let dir = std::fs::symlink_metadata(parent);
    let dir = dir.map_err(|source| NoCeiling::File { path: parent.to_owned(), source })?;
    trusted(parent, &dir, dir.is_dir())?;
    let file = files::open_no_follow(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    trusted(path, &meta, meta.is_file())?;
    let mut text = String::new();
    file.take(CEILING_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    text.parse().map_err(|error| NoCeiling::Invalid { path: path.to_owned(), error })
}

/// Tells whoever asks often whether reading the ceiling again could bring anything new.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    /// File and directory as they were the last time.
    seen: Option<[Stamp; 2]>,
}

/// Device, inode and time of the last change, which nobody can set: of the content, the owner or the mode.
type Stamp = (u64, u64, i64, i64);

impl Watch {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Whether it was changed since the last call; the first time, and while it cannot be found, always.
    pub(crate) fn is_changed(&mut self) -> bool {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let now = stamp(&self.path).and_then(|file| Some([file, stamp(parent)?]));
        let same = now.is_some() && now == self.seen;
        self.seen = now;
        !same
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

fn trusted(path: &Path, meta: &std::fs::Metadata, right_type: bool) -> Result<(), NoCeiling> {
    match broken_rule(meta, right_type) {
        Some(rule) => Err(NoCeiling::Unsafe { path: path.to_owned(), rule }),
        None => Ok(()),
    }
}

/// Why a file or directory that decides something may not be believed: somebody else could have written it.
pub(crate) fn broken_rule(meta: &std::fs::Metadata, right_type: bool) -> Option<Tell> {
    let us = rustix::process::geteuid().as_raw();
    let rules = [
        (right_type, Tell::CeilingLinked),
        (meta.uid() == us || meta.uid() == 0, Tell::CeilingOwner),
        (meta.mode() & 0o022 == 0, Tell::CeilingWritable),
    ];
    rules.iter().find(|(holds, _)| !holds).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::preset::Preset;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn r_17_every_change_of_a_watched_ceiling_is_noticed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ceiling.toml");
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::write(&path, Preset::Own.text()).unwrap();
        let mut watch = Watch::new(path.clone());
        assert!(watch.is_changed() && !watch.is_changed() && !watch.is_changed());
        // A time that is set back hides nothing.
        let (before, modified) = (stamp(&path), path.metadata().unwrap().modified().unwrap());
        // The kernel's clock of files ticks every few milliseconds.
        while stamp(&path) == before {
            std::fs::write(&path, Preset::Vendor.text()).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
        assert!(watch.is_changed() && !watch.is_changed());
        mode(dir.path(), 0o777);
        assert!(watch.is_changed() && !watch.is_changed(), "its directory is open to others");
        std::fs::remove_file(&path).unwrap();
        assert!(watch.is_changed() && watch.is_changed(), "it stays gone");
    }

    #[test]
    fn r_17_a_ceiling_that_others_could_have_written_allows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let path = etc.join("ceiling.toml");
        assert!(matches!(load(&path), Err(NoCeiling::File { .. })), "missing");
        std::fs::write(&path, Preset::Own.text()).unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(&path, 0o644);
        mode(&etc, 0o755);
        assert!(load(&path).is_ok());
        for bad in [0o664, 0o646] {
            mode(&path, bad);
            assert!(matches!(load(&path), Err(NoCeiling::Unsafe { .. })), "{bad:o}");
        }
        mode(&path, 0o644);
        mode(&etc, 0o775);
        assert!(matches!(load(&path), Err(NoCeiling::Unsafe { .. })), "directory");
        mode(&etc, 0o755);
        if rustix::process::geteuid().is_root() {
            chown(&path, Some(12345), None).unwrap();
            assert!(matches!(load(&path), Err(NoCeiling::Unsafe { .. })), "owner");
            chown(&path, Some(0), None).unwrap();
        }
        std::fs::rename(&path, etc.join("real")).unwrap();
        symlink("real", &path).unwrap();
        assert!(load(&path).is_err(), "link");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(load(&path).is_err(), "directory instead of file");
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, "version = 1\nextra = 2\n[end]\n").unwrap();
        assert!(matches!(load(&path), Err(NoCeiling::Invalid { .. })), "unknown key");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(load(&path).is_err(), "not text");
    }
}
