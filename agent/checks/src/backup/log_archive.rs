//! Whether databases keep the log that brings them to any moment between two backups.

use super::data::data;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "backup.log-archive",
    title: Text { en: "Logs for recovery to a moment", zh: "时间点恢复日志" },
    reads: &["/var/lib/mysql", "/etc/mysql", "/etc/my.cnf", "/etc/postgresql", "/var/lib/pgsql/data"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[Param::plain(
        "rpo",
        26.0,
        "h",
        "below 24 h a daily backup alone is not enough; MySQL and PostgreSQL manuals",
    )],
    impact: Text {
        en: "After a mistake, such as a table dropped at noon, only last night's data comes back.",
        zh: "发生误操作（例如中午误删表）后，只能恢复到前一晚的数据。",
    },
    remedy: Text {
        en: "MySQL: `log_bin = mysql-bin`, `server_id = 1`, `binlog_expire_logs_seconds = 604800`, and copy the files away. \
             PostgreSQL: `archive_mode = on` with pgBackRest or WAL-G as archive_command. Both need a restart.",
        zh: "MySQL：配置 `log_bin = mysql-bin`、`server_id = 1`、`binlog_expire_logs_seconds = 604800`，并将文件复制到别处。\
             PostgreSQL：配置 `archive_mode = on`，使用 pgBackRest 或 WAL-G 作为 archive_command。两者都需要重启。",
    },
    run,
};

/// Below this a daily backup is not enough.
const DAY_HOURS: f64 = 24.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mut found: Vec<Found> = Vec::new();
    for one in data(host) {
        match one.name {
            "MySQL" => found.push(mysql(host, settings, one.folder)),
            "PostgreSQL" => found.extend(postgres(host, settings)),
            _ => {}
        }
    }
    found.dedup_by(|one, other| one.subject == other.subject);
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "neither MySQL nor PostgreSQL keeps data here",
            "此主机没有 MySQL 或 PostgreSQL 数据"
        )));
    }
    Ok(found)
}

/// What is not kept is advice, unless the objective asks for more than a daily backup.
fn off(settings: &Settings<'_>, subject: &str, summary: cloud_doctor_proto::finding::Words) -> Found {
    if settings.number("rpo") < DAY_HOURS {
        Found::new(subject, Status::Warning, summary)
    } else {
        Found::advice(subject, summary)
    }
}

/// The files themselves say most: defaults differ between MySQL and MariaDB, and from version to version.
fn mysql(host: &Host, settings: &Settings<'_>, folder: &str) -> Found {
    let names = match host.list(folder) {
        Ok(entries) => entries,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return Found::new(folder, Status::Unknown, why),
    };
    let is_log = |name: &str| {
        name.rsplit_once('.').is_some_and(|(stem, number)| {
            !stem.contains("relay") && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let count = names.iter().filter(|entry| is_log(&entry.name)).count();
    if count > 0 {
        return Found::new(
            folder,
            Status::Ok,
            words!("MySQL in {folder} keeps {count} binary logs", "{folder} 中的 MySQL 保留了 {count} 个 binlog"),
        );
    }
    let elsewhere = ["/etc/my.cnf", "/etc/mysql/*.cnf", "/etc/mysql/*.conf.d/*.cnf", "/etc/my.cnf.d/*.cnf"]
        .iter()
        .flat_map(|pattern| host.glob(pattern).unwrap_or_default())
        .find_map(|file| {
            assigned(&host.read(&file).ok()?, &["log_bin", "log-bin"])
                .filter(|(_, value)| value.starts_with('/'))
                .map(|(line, value)| (file, line, value.to_owned()))
        });
    match elsewhere {
        Some((file, line, path)) => {
            let kept = words!(
                "MySQL in {folder} keeps its binary logs in {path}",
                "{folder} 中的 MySQL 将 binlog 存放在 {path}"
            );
            Found::new(folder, Status::Ok, kept).evidence(format!("{file}:{line}"), "log_bin")
        }
        None => {
            off(settings, folder, words!("MySQL in {folder} keeps no binary log", "{folder} 中的 MySQL 未启用 binlog"))
                .evidence(folder, "no file like binlog.000001")
        }
    }
}

/// One finding for each cluster. What `ALTER SYSTEM` wrote counts more.
fn postgres(host: &Host, settings: &Settings<'_>) -> Vec<Found> {
    const FILES: [&str; 4] = [
        "/etc/postgresql/*/*/postgresql.conf",
        "/var/lib/pgsql/data/postgresql.conf",
        "/var/lib/pgsql/*/data/postgresql.conf",
        "/www/server/pgsql/data/postgresql.conf",
    ];
    let mut found = Vec::new();
    let globbed = FILES.iter().map(|pattern| host.glob(pattern));
    let gap = globbed.clone().find_map(Result::err);
    for file in globbed.flatten().flatten() {
        let folder = file.strip_suffix("/postgresql.conf").unwrap_or(&file);
        let automatic = match folder.strip_prefix("/etc/postgresql/") {
            Some(cluster) => format!("/var/lib/postgresql/{cluster}/postgresql.auto.conf"),
            None => format!("{folder}/postgresql.auto.conf"),
        };
        let set = |path: &str| {
            let text = host.read(path).ok()?;
            let (line, value) = assigned(&text, &["archive_mode"])?;
            Some((format!("{path}:{line}"), value.to_ascii_lowercase()))
        };
        let mode = set(&automatic).or_else(|| set(&file));
        found.push(match mode {
            Some((_, mode)) if ["on", "always", "true", "yes", "1"].contains(&mode.as_str()) => Found::new(
                folder,
                Status::Ok,
                words!("PostgreSQL of {folder} archives its log", "{folder} 的 PostgreSQL 已归档 WAL"),
            ),
            Some((at, mode)) => no_archive(settings, folder).evidence(at, format!("archive_mode {mode}")),
            None => no_archive(settings, folder).evidence(&file, "archive_mode is not set; off by default"),
        });
    }
    if let (true, Some(Gap::Unknown(why) | Gap::NotHere(why))) = (found.is_empty(), gap) {
        found.push(Found::new("PostgreSQL", Status::Unknown, why));
    }
    found
}

fn no_archive(settings: &Settings<'_>, folder: &str) -> Found {
    off(
        settings,
        folder,
        words!("PostgreSQL of {folder} does not archive its log", "{folder} 的 PostgreSQL 未归档 WAL"),
    )
}

/// The last line that sets one of these: `name = 'value'  # comment`.
fn assigned<'a>(text: &'a str, names: &[&str]) -> Option<(usize, &'a str)> {
    let lines = (1..).zip(text.lines()).filter_map(|(line, text)| {
        let text = text.split('#').next()?.trim();
        let (name, value) = text.split_once(['=', ' ', '\t'])?;
        let value = value.trim_matches(|one: char| one.is_whitespace() || matches!(one, '=' | '\'' | '"'));
        names.contains(&name.trim()).then_some((line, value))
    });
    lines.last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn bak_07_a_database_without_its_log_is_told() {
        let mysql = |name: &str| {
            Fixture::image().file("/var/lib/mysql/ibdata1", "x").file(&format!("/var/lib/mysql/{name}"), "x")
        };
        for (name, note) in [
            ("binlog.000001", false),
            ("mysql-bin.000042", false),
            ("host-relay-bin.000001", true),
            ("ib_logfile0", true),
        ] {
            let found = mysql(name).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (Status::Ok, note), "{name}");
        }
        assert_eq!(mysql("x").set("backup.log-archive.rpo=1").status(&CHECK), Status::Warning);
        let elsewhere = mysql("x").file("/etc/my.cnf", "[mysqld]\nlog-bin = /logs/bin\n");
        assert!(!elsewhere.run(&CHECK)[0].note);
        assert!(Fixture::image().has_none_of(&CHECK));
    }

    #[test]
    fn bak_07_postgres_archives_when_it_says_so() {
        for (conf, automatic, note) in [
            ("#archive_mode = off\n", "", true),
            ("archive_mode = on\t# (change requires restart)\n", "", false),
            ("archive_mode = on\n", "archive_mode = 'off'\n", true),
            ("", "archive_mode = 'always'\n", false),
        ] {
            let host = Fixture::image()
                .file("/etc/postgresql/15/main/postgresql.conf", conf)
                .file("/var/lib/postgresql/15/main/postgresql.auto.conf", automatic);
            let found = host.run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (Status::Ok, note), "{conf}{automatic}");
            assert_eq!(found[0].subject, "/etc/postgresql/15/main");
        }
    }
}
