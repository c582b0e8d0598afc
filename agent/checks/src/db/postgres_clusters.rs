//! PostgreSQL clusters of this host and their settings, from files: `postgresql.conf` with what it includes, and
//! `postgresql.auto.conf`, which wins. It must never judge.

use crate::found::Gap;
use crate::host::{Host, Process};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::{BTreeMap, BTreeSet};

/// Where Debian and Red Hat put it; a running server says it itself.
const PATHS: [&str; 4] = [
    "/etc/postgresql/*/*/postgresql.conf",
    "/var/lib/pgsql/data/postgresql.conf",
    "/var/lib/pgsql/*/data/postgresql.conf",
    "/var/lib/postgresql/data/postgresql.conf",
];
const CLUSTERS_MAX: usize = 20;
/// Files of one cluster; the server gives up at ten levels.
const FILES_MAX: usize = 100;
const DEPTH_MAX: usize = 10;

/// A value where it was set last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Without quotes.
    pub(crate) value: String,
    /// `file:line`.
    pub(crate) source: String,
}

/// One cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Its `postgresql.conf`; the subject of findings.
    pub(crate) path: String,
    /// The server's process id, when it runs.
    pub(crate) pid: Option<u32>,
    /// Why its settings are not known.
    pub(crate) trouble: Option<Words>,
    set: BTreeMap<String, Setting>,
    files: usize,
}

/// The clusters of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there are none; [`Gap::Unknown`] when a folder cannot be listed.
pub(crate) fn clusters(host: &Host) -> Result<Vec<Cluster>, Gap> {
    let servers: Vec<(u32, String)> =
        host.processes().iter().filter_map(|process| Some((process.pid, config_of(process)?))).collect();
    let mut paths = BTreeSet::new();
    for pattern in PATHS {
        paths.extend(host.glob(pattern)?);
    }
    // One in a container has its files elsewhere.
    paths.extend(servers.iter().map(|(_, path)| path.clone()).filter(|path| host.exists(path)));
    let all: Vec<Cluster> = paths.into_iter().take(CLUSTERS_MAX).map(|path| cluster(host, path, &servers)).collect();
    if all.is_empty() {
        return Err(Gap::NotHere(words!("no PostgreSQL cluster is here", "此主机没有 PostgreSQL 实例")));
    }
    Ok(all)
}

fn cluster(host: &Host, path: String, servers: &[(u32, String)]) -> Cluster {
    let pid = servers.iter().find(|(_, config)| *config == path).map(|(pid, _)| *pid);
    let mut cluster = Cluster { path: path.clone(), pid, trouble: None, set: BTreeMap::new(), files: 0 };
    let read = cluster.read_file(host, &path, 0).and_then(|()| {
        match cluster.read_file(host, &format!("{}/postgresql.auto.conf", cluster.data()), 0) {
            Err(Gap::NotHere(_)) => Ok(()),
            other => other,
        }
    });
    if let Err(Gap::NotHere(why) | Gap::Unknown(why)) = read {
        cluster.trouble = Some(why);
    }
    cluster
}

/// The file that a server was started with: `-c config_file=FILE`, `--config-file=FILE`, or the folder of `-D`.
fn config_of(process: &Process) -> Option<String> {
    let program = process.argv.first()?;
    if !program.ends_with("/postgres") && !program.ends_with("/postmaster") {
        return None;
    }
    let file = process
        .argv
        .iter()
        .find_map(|argument| argument.strip_prefix("config_file=").or_else(|| argument.strip_prefix("--config-file=")));
    let after = |flag: &str| {
        let at = process.argv.iter().position(|argument| argument == flag)?;
        process.argv.get(at + 1)
    };
    let folder = || Some(format!("{}/postgresql.conf", after("-D")?.trim_end_matches('/')));
    file.map(str::to_owned).or_else(folder)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Cluster {
    fn read_file(&mut self, host: &Host, path: &str, depth: usize) -> Result<(), Gap> {
        self.files += 1;
        if depth >= DEPTH_MAX || self.files > FILES_MAX {
            return Err(Gap::Unknown(words!("{path} includes too many files", "{path} 的 include 过多")));
        }
        let text = host.read(path)?;
        for (at, line) in text.lines().enumerate() {
            let Some((key, value)) = split(line) else { continue };
            let place = if value.starts_with('/') { value.clone() } else { format!("{}/{value}", folder(path)) };
            match key.as_str() {
                "include" => self.read_file(host, &place, depth + 1)?,
                "include_if_exists" if host.exists(&place) => self.read_file(host, &place, depth + 1)?,
                "include_if_exists" => {}
                "include_dir" => {
                    for file in host.glob(&format!("{place}/*.conf"))? {
                        self.read_file(host, &file, depth + 1)?;
                    }
                }
                _ => {
                    self.set.insert(key, Setting { value, source: format!("{path}:{}", at + 1) });
                }
            }
        }
        Ok(())
    }

    /// A setting, when it was set.
    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        self.set.get(key)
    }

    /// A switch that was set and can be read (bool.c: any beginning of true, false, yes, no, on, off, and 1, 0).
    pub(crate) fn switch(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?.value.to_ascii_lowercase();
        let begins = |word: &str| word.starts_with(&value) && !value.is_empty();
        if value == "1" || value == "on" || begins("true") || begins("yes") {
            Some(true)
        } else if value == "0" || begins("false") || begins("no") || (begins("off") && value != "o") {
            Some(false)
        } else {
            None
        }
    }

    /// Where a setting stands, or that it is the default.
    pub(crate) fn source(&self, key: &str) -> String {
        let default = || format!("{} (not set: default)", self.path);
        self.get(key).map_or_else(default, |setting| setting.source.clone())
    }

    /// The folder with the data.
    pub(crate) fn data(&self) -> String {
        let beside = || folder(&self.path).to_owned();
        self.get("data_directory").map_or_else(beside, |setting| setting.value.trim_end_matches('/').to_owned())
    }

    /// Whether it is told to archive its log.
    pub(crate) fn archives(&self) -> bool {
        let always = self.get("archive_mode").is_some_and(|setting| setting.value.eq_ignore_ascii_case("always"));
        always || self.switch("archive_mode") == Some(true)
    }

    /// The file that says who may come in.
    pub(crate) fn hba_path(&self) -> String {
        let beside = || format!("{}/pg_hba.conf", folder(&self.path));
        self.get("hba_file")
            .map(|setting| setting.value.clone())
            .filter(|path| path.starts_with('/'))
            .unwrap_or_else(beside)
    }
}

/// guc-file.l: `key value`, `key = value`, quotes in a value doubled or behind a backslash, comments.
fn split(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let end = line.find(|one: char| !one.is_ascii_alphanumeric() && !matches!(one, '_' | '.' | '-'))?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    if key.is_empty() {
        return None;
    }
    let value = match rest.strip_prefix('\'') {
        None => rest.split([' ', '\t', '#']).next().unwrap_or_default().to_owned(),
        Some(quoted) => {
            let (mut value, mut rest) = (String::new(), quoted.chars().peekable());
            while let Some(one) = rest.next() {
                match one {
                    '\'' if rest.peek() != Some(&'\'') => break,
                    '\'' | '\\' => value.extend(rest.next()),
                    one => value.push(one),
                }
            }
            value
        }
    };
    Some((key.to_ascii_lowercase(), value))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    pub(crate) const CONFIG: &str = "/etc/postgresql/15/main/postgresql.conf";
    const AUTO: &str = "/var/lib/postgresql/15/main/postgresql.auto.conf";

    /// A Debian host with these lines in the configuration.
    pub(crate) fn host(lines: &str) -> Fixture {
        let shipped = "data_directory = '/var/lib/postgresql/15/main'\t\t# use data in another directory\n\
            hba_file = '/etc/postgresql/15/main/pg_hba.conf'\n#fsync = off\nmax_connections = 100\t\t\t# (change)\n\
            include_dir = 'conf.d'\n";
        Fixture::live()
            .file(CONFIG, format!("{shipped}{lines}"))
            .file("/etc/postgresql/15/main/conf.d/x.conf", "work_mem = 4MB\n")
            .process(
                70,
                'S',
                &["/usr/lib/postgresql/15/bin/postgres", "-D", "/x", "-c", &format!("config_file={CONFIG}")],
            )
    }

    #[test]
    fn db_05_settings_are_read_as_the_server_does() {
        let fixture = host("Fsync off\nlog_line_prefix = 'it''s \\'x\\' #'\n")
            .file(AUTO, "# Do not edit\nwork_mem = '8MB'\narchive_mode = 'on'\n");
        let host = fixture.host();
        let all = clusters(&host).unwrap();
        let cluster = &all[0];
        assert_eq!((all.len(), cluster.pid, cluster.trouble.as_ref()), (1, Some(70), None));
        assert_eq!(cluster.get("work_mem").unwrap(), &Setting { value: "8MB".into(), source: format!("{AUTO}:2") });
        assert_eq!(cluster.get("log_line_prefix").unwrap().value, "it's 'x' #");
        assert_eq!((cluster.switch("fsync"), cluster.switch("archive_mode")), (Some(false), Some(true)));
        assert_eq!(cluster.hba_path(), "/etc/postgresql/15/main/pg_hba.conf");
        assert!(matches!(clusters(&Fixture::image().host()), Err(Gap::NotHere(_))));
    }

    #[test]
    fn db_05_a_circle_ends_and_is_told() {
        let fixture = host("include 'postgresql.conf'\n");
        assert!(clusters(&fixture.host()).unwrap()[0].trouble.is_some());
    }
}
