//! Which backup programs cron and systemd start, and where to. Lines are looked at for program names and folders only:
//! they hold passwords, and no part of one but the folder ever leaves this file.

use crate::host::Host;

/// A program that makes backups, and where its start is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// `file:line`.
    pub(super) at: String,
    /// Whether it takes data away from this host.
    pub(super) remote: bool,
}

/// Where starts are written.
const TABLES: [&str; 10] = [
    "/etc/crontab",
    "/etc/cron.d/*",
    "/etc/cron.hourly/*",
    "/etc/cron.daily/*",
    "/etc/cron.weekly/*",
    "/etc/cron.monthly/*",
    "/var/spool/cron/*",
    "/var/spool/cron/crontabs/*",
    "/etc/systemd/system/*backup*.service",
    "/www/server/cron/*",
];

/// Programs, and whether they usually write to another host.
const PROGRAMS: [(&str, bool); 22] = [
    ("mysqldump", false),
    ("mariadb-dump", false),
    ("mysqlpump", false),
    ("mydumper", false),
    ("xtrabackup", false),
    ("mariabackup", false),
    ("mariadb-backup", false),
    ("pg_dump", false),
    ("pg_dumpall", false),
    ("pg_basebackup", false),
    ("pgbackrest", true),
    ("barman", true),
    ("wal-g", true),
    ("mongodump", false),
    ("automysqlbackup", false),
    ("rsnapshot", false),
    ("restic", true),
    ("borg", true),
    ("borgmatic", true),
    ("duplicity", true),
    ("rclone", true),
    ("ossutil", true),
];

/// Files and starts that are looked at.
const FILES_MAX: usize = 300;
const TOOLS_MAX: usize = 100;

/// Starts of backup programs, and the folders that they write to.
pub(super) fn starts(host: &Host) -> (Vec<Tool>, Vec<String>) {
    let (mut tools, mut folders) = (Vec::new(), Vec::new());
    let files = TABLES.iter().flat_map(|pattern| host.glob(pattern).unwrap_or_default());
    for file in files.take(FILES_MAX) {
        let text = host.read(&file).unwrap_or_default();
        for (line, text) in (1..).zip(text.lines()) {
            let Some((name, remote)) = program(text).filter(|_| tools.len() < TOOLS_MAX) else { continue };
            tools.push(Tool { name, at: format!("{file}:{line}"), remote });
            folders.extend(target(text));
        }
    }
    (tools, folders)
}

/// The first word of a line that is a backup program.
fn program(line: &str) -> Option<(&'static str, bool)> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    line.split(|one: char| one.is_whitespace() || matches!(one, '|' | ';' | '&' | '(' | ')' | '`' | '=')).find_map(
        |word| {
            let name = word.rsplit('/').next()?;
            PROGRAMS.iter().find(|(program, _)| *program == name).copied()
        },
    )
}

/// The folder that a line writes to, as far as it is plain: `> /backup/db-$(date +%F).sql.gz` is `/backup`.
fn target(line: &str) -> Option<String> {
    const BEFORE: [&str; 7] = [">", ">>", "-f", "-o", "--out", "--file", "--target-dir"];
    let words: Vec<&str> = line.split([' ', '\t', '=', '"', '\'']).filter(|word| !word.is_empty()).collect();
    let path = words.iter().enumerate().find_map(|(at, word)| {
        let attached = word.strip_prefix('>').filter(|path| path.starts_with('/'));
        let behind = || BEFORE.contains(word).then(|| words.get(at + 1)).flatten().filter(|path| path.starts_with('/'));
        attached.or_else(|| behind().copied())
    })?;
    let plain = path.split(['$', '`', '%', '*']).next().unwrap_or_default();
    // What follows the last slash is a file's name, or the beginning of one.
    let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
    (folder.len() > 1 && !folder.starts_with("/dev") && !folder.starts_with("/tmp")).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bak_01_lines_of_cron_name_program_and_folder() {
        for (line, name, folder) in [
            (
                "0 3 * * * root mysqldump -uroot -psecret shop | gzip > /backup/shop-$(date +\\%F).sql.gz",
                Some("mysqldump"),
                Some("/backup"),
            ),
            ("0 3 * * * /usr/bin/pg_dump -Fc shop -f /srv/dumps/shop.dump", Some("pg_dump"), Some("/srv/dumps")),
            ("xtrabackup --backup --target-dir=/data/backup/full", Some("xtrabackup"), Some("/data/backup")),
            ("@daily restic backup /srv 2>/dev/null", Some("restic"), None),
            ("#0 3 * * * mysqldump x >/backup/x", None, None),
            ("0 3 * * * root /usr/local/bin/my-restic-like-thing", None, None),
            ("", None, None),
        ] {
            assert_eq!(program(line).map(|(name, _)| name), name, "{line}");
            if name.is_some() {
                assert_eq!(target(line).as_deref(), folder, "{line}");
            }
        }
    }
}
