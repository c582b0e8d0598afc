//! Options of a MySQL or MariaDB server, from its files and its command line. It must never judge, and never keep what may
//! be a password.

use crate::found::Gap;
use crate::host::Host;
use crate::words;
use std::collections::BTreeMap;

/// Where both look without being told (mysqld --help --verbose).
const PATHS: [&str; 3] = ["/etc/my.cnf", "/etc/mysql/my.cnf", "/usr/etc/my.cnf"];
/// Where packages put the server.
const PROGRAMS: [&str; 4] = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mysqld"];
/// Files together; both servers give up at ten levels.
const FILES_MAX: usize = 200;
const DEPTH_MAX: usize = 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brand {
    /// Oracle's, Percona's.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// An option, where it was set last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Without quotes; empty when there was none.
    pub(crate) value: String,
    /// `file:line`, or the process.
    pub(crate) source: String,
}

/// A server's options.
#[derive(Debug)]
pub(crate) struct Options {
    /// Which server.
    pub(crate) brand: Brand,
    set: BTreeMap<String, Setting>,
    files: usize,
}

impl Options {
    /// The options of the server of this host.
    ///
    /// # Errors
    /// [`Gap::NotHere`] without a server; [`Gap::Unknown`] when a file cannot be read.
    pub(crate) fn read(host: &Host) -> Result<Self, Gap> {
        // One in a container has files of its own, and its program is not here.
        let running = host.processes().iter().find(|process| {
            matches!(process.program(), "mysqld" | "mariadbd")
                && process.argv.first().is_some_and(|path| path.starts_with('/') && host.exists(path))
        });
        let installed = PROGRAMS.into_iter().find(|path| host.exists(path));
        let name = running.map(|process| process.program().to_owned()).or_else(|| installed.map(str::to_owned));
        let Some(name) = name else {
            return Err(Gap::NotHere(words!(
                "no MySQL or MariaDB server is installed here",
                "此主机未安装 MySQL 或 MariaDB"
            )));
        };
        // MariaDB's packages keep mysqld as a second name.
        let is_maria = name.ends_with("mariadbd") || PROGRAMS.iter().take(2).any(|path| host.exists(path));
        let brand = if is_maria { Brand::MariaDb } else { Brand::MySql };
        let mut options = Self { brand, set: BTreeMap::new(), files: 0 };
        let arguments = running.map(|process| process.argv.as_slice()).unwrap_or_default();
        let own = arguments.iter().find_map(|argument| argument.strip_prefix("--defaults-file="));
        for path in own.map_or(&PATHS[..], |_| &[]).iter().copied().chain(own) {
            options.read_file(host, path, 0)?;
        }
        for argument in arguments.iter().skip(1) {
            if let (Some(text), Some(process)) = (argument.strip_prefix("--"), running) {
                options.take(text, format!("/proc/{}/cmdline", process.pid));
            }
        }
        Ok(options)
    }

    /// Reads an option file: groups, `key = value`, `!include` and `!includedir`.
    fn read_file(&mut self, host: &Host, path: &str, depth: usize) -> Result<(), Gap> {
        self.files += 1;
        if depth >= DEPTH_MAX || self.files > FILES_MAX {
            return Err(Gap::Unknown(words!("{path} includes too many files", "{path} 的 include 过多")));
        }
        let text = match host.read(path) {
            Err(Gap::NotHere(_)) => return Ok(()),
            other => other?,
        };
        let mut is_ours = false;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with(['#', ';']) || line.is_empty() {
                continue;
            }
            if let Some(folder) = line.strip_prefix("!includedir") {
                for file in host.glob(&format!("{}/*.cnf", folder.trim()))? {
                    self.read_file(host, &file, depth + 1)?;
                }
            } else if let Some(file) = line.strip_prefix("!include") {
                self.read_file(host, file.trim(), depth + 1)?;
            } else if let Some(group) = line.strip_prefix('[') {
                is_ours = self.is_ours(group.split(']').next().unwrap_or_default());
            } else if is_ours {
                self.take(line, format!("{path}:{}", at + 1));
            }
        }
        Ok(())
    }

    fn is_ours(&self, group: &str) -> bool {
        let is = |name: &str| group == name || group.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        match self.brand {
            Brand::MySql => group == "server" || is("mysqld"),
            Brand::MariaDb => group == "server" || is("mysqld") || is("mariadb") || is("mariadbd"),
        }
    }

    /// `key`, `key=value`, `skip-key`, `loose-key`; `-` and `_` are the same.
    fn take(&mut self, text: &str, source: String) {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, value),
            None => (text, ""),
        };
        let key = key.trim().replace('-', "_");
        let key = key.strip_prefix("loose_").unwrap_or(&key).to_owned();
        // A comment may follow a value.
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
        let (key, value) = match key.strip_prefix("skip_").or_else(|| key.strip_prefix("disable_")) {
            Some("grant_tables" | "networking" | "name_resolve") | None => (key, value),
            Some(name) => (name.to_owned(), "0".to_owned()),
        };
        if !key.contains("password") {
            self.set.insert(key, Setting { value, source });
        }
    }

    /// An option as it was set, by any of its names.
    pub(crate) fn get(&self, names: &[&str]) -> Option<&Setting> {
        names.iter().find_map(|name| self.set.get(*name))
    }

    /// A switch; nothing when it was not set. An option without a value is on.
    pub(crate) fn switch(&self, names: &[&str]) -> Option<bool> {
        let value = &self.get(names)?.value;
        Some(!matches!(value.to_ascii_lowercase().as_str(), "0" | "off" | "false" | "no"))
    }

    /// Where an option stands, or that it is the default.
    pub(crate) fn source(&self, names: &[&str]) -> String {
        let files = || format!("{} (not set: default)", PATHS.join(", "));
        self.get(names).map_or_else(files, |setting| setting.source.clone())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A Debian host with MariaDB and these lines in its group.
    pub(crate) fn maria(lines: &str) -> Fixture {
        Fixture::live()
            .file("/usr/sbin/mariadbd", "")
            .file("/etc/mysql/my.cnf", "[client-server]\nsocket = /x\n!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mariadb.conf.d/\n")
            .file("/etc/mysql/mariadb.conf.d/50-server.cnf", format!("[server]\n[mysqld]\n{lines}[embedded]\nport=1\n"))
    }

    /// A host with MySQL.
    pub(crate) fn mysql(lines: &str) -> Fixture {
        Fixture::live().file("/usr/sbin/mysqld", "").file("/etc/my.cnf", format!("[mysqld]\n{lines}"))
    }

    #[test]
    fn db_01_options_are_read_as_the_server_does() {
        let fixture = maria("max-connections = 200 # many\nmax_connections=300\nskip-log-bin\nport='3307'\nx\n")
            .file("/etc/mysql/mariadb.conf.d/60-more.cnf", "[mariadb-10.11]\nloose-slow_query_log\n[mysql]\nport=9\n");
        let host = fixture.host();
        let options = Options::read(&host).unwrap();
        assert_eq!(options.brand, Brand::MariaDb);
        assert_eq!(options.get(&["max_connections"]).unwrap().value, "300");
        assert_eq!(options.source(&["max_connections"]), "/etc/mysql/mariadb.conf.d/50-server.cnf:4");
        assert_eq!((options.switch(&["log_bin"]), options.switch(&["slow_query_log"])), (Some(false), Some(true)));
        assert_eq!(options.get(&["port"]).unwrap().value, "3307");
        assert!(matches!(Options::read(&Fixture::image().host()), Err(Gap::NotHere(_))));
        let circle = mysql("!include /etc/my.cnf\n");
        assert!(matches!(Options::read(&circle.host()), Err(Gap::Unknown(_))));
    }

    #[test]
    fn db_01_the_command_line_goes_last() {
        let fixture = Fixture::live()
            .file("/usr/local/mysql/bin/mysqld", "")
            .file("/etc/my.cnf", "[mysqld]\nport=1\n")
            .file("/data/my.cnf", "[mysqld]\nport=2\nreport-password=hunter2\n")
            .process(4, 'S', &["/usr/local/mysql/bin/mysqld", "--defaults-file=/data/my.cnf", "--max_connections=9"]);
        let host = fixture.host();
        let options = Options::read(&host).unwrap();
        assert_eq!((options.brand, options.get(&["port"]).unwrap().value.as_str()), (Brand::MySql, "2"));
        assert_eq!(options.source(&["max_connections"]), "/proc/4/cmdline");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
