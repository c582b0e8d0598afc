//! Which files of `/etc` have changed: names and times, never contents. A bounded walk that follows no link.

use super::{Confidence, Row, RowKind, Seen, WINDOW_SECS};
use crate::found::Gap;
use crate::host::{Host, Kind};
use crate::words;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeMap;

const ROOT: &str = "/etc";
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 20_000;
/// Files of one folder that changed within a minute are one row when there are more.
const SINGLE_MAX: usize = 4;
const NAMED_MAX: usize = 6;
/// What programs rewrite on their own; so are the copies whose names end with a dash (`passwd-`).
const NOISE: [&str; 5] = ["/etc/ld.so.cache", "/etc/mtab", "/etc/.pwd.lock", "/etc/adjtime", "/etc/.updated"];

pub(super) fn look(host: &Host) -> Seen {
    let mut walk = Walk { host, found: Vec::new(), looked: 0, gaps: Vec::new() };
    walk.folder(ROOT, 0);
    let Walk { found, gaps, looked, .. } = walk;
    let mut seen = Seen { rows: Vec::new(), gaps };
    if looked >= FILES_MAX {
        seen.gaps.push(words!(
            "{ROOT} has more than {FILES_MAX} files; the rest was not looked at",
            "{ROOT} 的文件超过 {FILES_MAX} 个，其余未检查"
        ));
    }
    let mut together: BTreeMap<(String, u64), Vec<(UnixTime, String)>> = BTreeMap::new();
    for (at, path) in found {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        together.entry((folder, at.0 / 60)).or_default().push((at, path));
    }
    for ((folder, _), files) in together {
        if files.len() <= SINGLE_MAX {
            seen.rows.extend(files.into_iter().map(|(at, path)| single(at, &path)));
        } else {
            seen.rows.extend(several(&folder, &files));
        }
    }
    seen
}

fn single(at: UnixTime, path: &str) -> Row {
    let path = one_line(path, 300);
    Row {
        at,
        kind: RowKind::Configuration,
        what: words!("{path} was changed", "{path} 已修改"),
        evidence: path,
        confidence: Confidence::High,
    }
}

fn several(folder: &str, files: &[(UnixTime, String)]) -> Option<Row> {
    let (count, at) = (files.len(), files.iter().map(|(at, _)| *at).max()?);
    let folder = one_line(folder, 200);
    let names = files.iter().take(NAMED_MAX).map(|(_, path)| one_line(path.rsplit('/').next().unwrap_or_default(), 60));
    let names = names.collect::<Vec<_>>().join(", ");
    let more = if count > NAMED_MAX { ", ..." } else { "" };
    Some(Row {
        at,
        kind: RowKind::Configuration,
        what: words!(
            "{count} files in {folder} were changed: {names}{more}",
            "{folder} 中有 {count} 个文件已修改：{names}{more}"
        ),
        evidence: folder,
        confidence: Confidence::High,
    })
}

struct Walk<'h> {
    host: &'h Host,
    found: Vec<(UnixTime, String)>,
    looked: usize,
    gaps: Vec<cloud_doctor_proto::finding::Words>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &str, depth: usize) {
        let entries = match self.host.list(folder) {
            Ok(entries) => entries,
            Err(Gap::NotHere(_)) => return,
            Err(Gap::Unknown(why)) => {
                if self.gaps.len() < 10 {
                    self.gaps.push(why);
                }
                return;
            }
        };
        for entry in entries {
            if self.looked >= FILES_MAX {
                return;
            }
            self.looked += 1;
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder {
                if depth < DEPTH_MAX {
                    self.folder(&path, depth + 1);
                }
            } else if !NOISE.contains(&path.as_str()) && !path.ends_with('-') {
                self.file(path);
            }
        }
    }

    fn file(&mut self, path: String) {
        let Ok(stat) = self.host.stat(&path) else { return };
        let now = self.host.now();
        let is_recent = stat.modified.0.saturating_add(WINDOW_SECS) >= now.0 && stat.modified.0 <= now.0 + 3600;
        // A link's time is its target's, which is elsewhere.
        if stat.kind == Kind::File && is_recent && self.host.link(&path).is_err() {
            self.found.push((stat.modified, path));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::report::Step;
    use std::time::{Duration, SystemTime};

    fn set(fixture: &Fixture, path: &str, at: u64) {
        let file = std::fs::File::options().append(true).open(fixture.path(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
    }

    #[test]
    fn chk_changed_files_are_named_and_never_read() {
        let now = 1_767_225_600;
        let mut fixture = Fixture::image();
        let mut times = vec![
            ("/etc/haproxy/haproxy.cfg".to_owned(), now - 600),
            ("/etc/old".to_owned(), now - 8 * 86_400),
            ("/etc/ld.so.cache".to_owned(), now - 5),
            ("/etc/future".to_owned(), now + 90_000),
        ];
        times.extend((0..12).map(|at| (format!("/etc/app/{at:02}.conf"), now - 7200)));
        for (path, _) in &times {
            fixture = fixture.file(path, "x");
        }
        std::os::unix::fs::symlink("haproxy/haproxy.cfg", fixture.path("/etc/link")).unwrap();
        times.iter().for_each(|(path, at)| set(&fixture, path, *at));
        let seen = super::super::look(&Step::Configuration, &fixture.host());
        let told: Vec<_> = seen.rows.iter().map(|row| row.what.en.as_str()).collect();
        assert_eq!(
            told,
            [
                "/etc/haproxy/haproxy.cfg was changed",
                "12 files in /etc/app were changed: 00.conf, 01.conf, 02.conf, 03.conf, 04.conf, 05.conf, ..."
            ]
        );
        assert!(seen.gaps.is_empty());
        assert!(super::super::look(&Step::Configuration, &Fixture::image().host()).rows.is_empty());
    }

    #[test]
    fn chk_the_walk_ends_in_depth() {
        let deep = Fixture::image().file(&format!("/etc/{}x", "d/".repeat(30)), "x");
        set(&deep, &format!("/etc/{}x", "d/".repeat(30)), 1_767_225_600);
        assert!(look(&deep.host()).rows.is_empty());
    }
}
