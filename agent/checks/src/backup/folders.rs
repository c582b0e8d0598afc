//! Backup files in folders: dumps and archives, put together into series of which each is one backup over time.

use super::sources::{Artefact, Series};
use crate::found::Gap;
use crate::host::{Entry, Host};
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeMap;

/// Where backups usually lie, besides what cron says.
const FOLDERS: [&str; 18] = [
    "/backup",
    "/backups",
    "/data/backup",
    "/data/backups",
    "/home/backup",
    "/home/backups",
    "/mnt/backup",
    "/mnt/backups",
    "/opt/backup",
    "/opt/backups",
    "/root/backup",
    "/root/backups",
    "/srv/backup",
    "/srv/backups",
    "/var/backup",
    "/var/backups",
    "/var/lib/automysqlbackup",
    "/www/backup",
];

/// What a backup file's name ends with.
const ENDINGS: [&str; 20] = [
    ".sql",
    ".dump",
    ".tar",
    ".tgz",
    ".gz",
    ".bz2",
    ".xz",
    ".zst",
    ".lz4",
    ".zip",
    ".7z",
    ".rdb",
    ".bak",
    ".xbstream",
    ".qp",
    ".gpg",
    ".age",
    ".enc",
    ".vma",
    ".img",
];

/// What Debian keeps of its own in /var/backups: no data of anybody.
const NOT_DATA: [&str; 8] = ["dpkg.", "apt.", "alternatives.", "aptitude.", "passwd", "group", "shadow", "gshadow"];

/// Folders and files that are looked at.
const FOLDERS_MAX: usize = 300;
const FILES_MAX: usize = 5000;
/// Below the first folder.
const DEPTH_MAX: usize = 3;
/// As many files of one kind of name make a series of their own; fewer may be somebody's own copies.
const SERIES_LEAST: usize = 3;
/// Of all series.
const SERIES_MAX: usize = 100;

/// All series in the usual folders and in `more`, and what could not be looked into.
pub(super) fn series(host: &Host, more: Vec<String>) -> (Vec<Series>, Vec<(String, Words)>) {
    let mut walk = Walk::default();
    let mut first: Vec<String> = FOLDERS.iter().map(|folder| (*folder).to_owned()).chain(more).collect();
    first.sort();
    first.dedup();
    for folder in first {
        walk.look(host, &folder, &folder, 0);
    }
    let mut all: Vec<Series> = Vec::new();
    for (folder, files) in walk.found {
        all.extend(split(&folder, files));
    }
    all.truncate(SERIES_MAX);
    (all, walk.gaps)
}

/// What was found so far, by the folder that it counts for.
#[derive(Default)]
struct Walk {
    found: BTreeMap<String, Vec<Artefact>>,
    gaps: Vec<(String, Words)>,
    seen: std::collections::BTreeSet<String>,
    files: usize,
}

impl Walk {
    /// Looks into `folder`; what lies there counts for `owner`, which is another one for a folder named by its date.
    fn look(&mut self, host: &Host, folder: &str, owner: &str, depth: usize) {
        if self.seen.len() >= FOLDERS_MAX || !self.seen.insert(folder.to_owned()) {
            return;
        }
        let entries = match host.list(folder) {
            Ok(entries) => entries,
            Err(Gap::NotHere(_)) => return,
            Err(Gap::Unknown(why)) => return self.gaps.push((folder.to_owned(), why)),
        };
        let before = self.files;
        for entry in &entries {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder && depth < DEPTH_MAX {
                let dated = is_dated(&entry.name);
                self.look(host, &path, if dated { owner } else { &path }, depth + 1);
            } else if is_backup(entry) {
                self.add(host, owner, path);
            }
        }
        // A dated folder of other files is a backup itself: xtrabackup, rsync.
        let itself = folder != owner && self.files == before && entries.iter().any(|entry| !entry.is_folder);
        if itself && is_dated(folder.rsplit('/').next().unwrap_or_default()) {
            self.add(host, owner, folder.to_owned());
        }
    }

    fn add(&mut self, host: &Host, owner: &str, path: String) {
        let Some(stat) = host.stat(&path).ok().filter(|_| self.files < FILES_MAX) else { return };
        self.files += 1;
        let bytes = (stat.kind == crate::host::Kind::File).then_some(stat.size);
        let artefact = Artefact { path, time: stat.modified, bytes, device: Some(stat.device) };
        self.found.entry(owner.to_owned()).or_default().push(artefact);
    }
}

fn is_backup(entry: &Entry) -> bool {
    let name = entry.name.to_ascii_lowercase();
    !entry.is_folder
        && ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !NOT_DATA.iter().any(|start| name.starts_with(start))
}

/// `2026-01-01`, `20260101_0300`.
fn is_dated(name: &str) -> bool {
    name.bytes().filter(u8::is_ascii_digit).count() >= 6
}

/// The files of one folder as series: by the letters of their names where there are enough of a kind.
fn split(folder: &str, files: Vec<Artefact>) -> Vec<Series> {
    let mut kinds: BTreeMap<String, Vec<Artefact>> = BTreeMap::new();
    for file in files {
        kinds.entry(letters(file.path.rsplit('/').next().unwrap_or_default())).or_default().push(file);
    }
    let (long, short): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|(_, files)| files.len() >= SERIES_LEAST);
    let rest: Vec<Artefact> = short.into_iter().flat_map(|(_, files)| files).collect();
    if long.is_empty() && !rest.is_empty() {
        return vec![Series::of(folder.to_owned(), rest, false)];
    }
    // Single files beside a series are copies that somebody made once.
    let named = |(kind, files)| Series::of(format!("{folder}/{kind}"), files, true);
    long.into_iter().map(named).collect()
}

/// `shop-2026-01-01.sql.gz` is `shop-#.sql.gz`.
fn letters(name: &str) -> String {
    let mut kind = String::with_capacity(name.len());
    for one in name.chars() {
        let digit = one.is_ascii_digit() || (matches!(one, '-' | '_' | ':' | 'T') && kind.ends_with('#'));
        if !digit {
            kind.push(one);
        } else if !kind.ends_with('#') {
            kind.push('#');
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn bak_01_files_of_one_kind_are_one_series() {
        let mut fixture = Fixture::image()
            .file("/var/backups/dpkg.status.1.gz", "x")
            .file("/var/backups/apt.extended_states.0.gz", "x")
            .file("/backup/mysql/before-upgrade.sql", "x")
            .file("/backup/notes.txt", "x")
            .file("/srv/dumps/a.sql", "x")
            .file("/data/backup/2026-01-01/ibdata1", "x")
            .file("/data/backup/2026-01-02/ibdata1", "x")
            .file("/data/backup/2026-01-03/ibdata1", "x");
        for day in 1..5 {
            fixture = fixture
                .file(&format!("/backup/mysql/shop-2026-01-0{day}_0300.sql.gz"), "x")
                .file(&format!("/www/backup/site/2026010{day}/web.tar.gz"), "x");
        }
        let (series, gaps) = series(&fixture.host(), vec!["/srv/dumps".into()]);
        let seen: Vec<_> = series.iter().map(|one| (one.subject.as_str(), one.artefacts.len(), one.alike)).collect();
        assert_eq!(
            seen,
            [
                ("/backup/mysql/shop-#.sql.gz", 4, true),
                ("/data/backup/#", 3, true),
                ("/srv/dumps", 1, false),
                ("/www/backup/site/web.tar.gz", 4, true),
            ]
        );
        assert!(gaps.is_empty());
    }

    #[test]
    fn names_lose_their_numbers() {
        for (name, kind) in [
            ("shop-2026-01-01.sql.gz", "shop-#.sql.gz"),
            ("a", "a"),
            ("", ""),
            ("2026", "#"),
            ("db_20260101T030000.gz", "db_#.gz"),
        ] {
            assert_eq!(letters(name), kind);
        }
    }
}
