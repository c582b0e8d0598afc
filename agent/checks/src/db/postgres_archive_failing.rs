//! PostgreSQL clusters whose log is to be archived, and is not: what waits in `archive_status`, and what the archiver says of
//! itself in its title. No login is needed for either.
//!
//! A file that waits is renamed once it was taken, so the age of the oldest one is how far the archive is behind. Only
//! running clusters are judged: one that was stopped, or a copied root, waits for nobody.

use super::postgres_clusters::{Cluster, clusters};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Entry, Host, Process};
use crate::number::{size_of, span};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};

pub(crate) const CHECK: Check = Check {
    id: "db.postgres-archive-failing",
    title: Text { en: "PostgreSQL's log that is not archived", zh: "PostgreSQL WAL 归档失败" },
    reads: &["pg_wal/archive_status in the data folder", "/proc/*/cmdline", "/etc/postgresql/*/*/postgresql.conf"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::above(
            "failed",
            60.0,
            60.0,
            "s",
            "pgarch.c: it tries a file three times, a second apart, and again after 60 s (PGARCH_AUTOWAKE_INTERVAL)",
        ),
        Param::above("warning", 600.0, 300.0, "s", "our recommendation: ten of the archiver's rounds"),
        Param::above("critical", 3600.0, 1800.0, "s", "our recommendation: the archive lacks an hour of changes"),
    ],
    impact: Text {
        en: "No file of the log is removed before it was archived: pg_wal grows until the disk is full and PostgreSQL stops. \
             Whatever happens meanwhile, the archive restores nothing newer than its last file.",
        zh: "WAL 文件在归档成功之前不会被清理：pg_wal 会不断增长，直至磁盘写满、PostgreSQL 停止服务。\
             在此期间如发生故障，归档只能恢复到最后一个已归档的文件。",
    },
    remedy: Text {
        en: "`SELECT * FROM pg_stat_archiver` and the server's log (`archive command failed`) say why. Mostly the target is full, \
             away, or refuses the key. Run archive_command by hand as the user postgres to see it. Never delete files in pg_wal: \
             once the command works, the rest follows by itself.",
        zh: "查看 `SELECT * FROM pg_stat_archiver` 和服务器日志（`archive command failed`）了解原因。常见原因：目标端空间已满、\
             无法连接或密钥被拒绝。可用 postgres 用户手动执行 archive_command 复现。切勿手动删除 pg_wal 中的文件：命令恢复后，\
             其余文件会自动归档。",
    },
    run,
};

/// Before version 10 it had another name.
const FOLDERS: [&str; 2] = ["pg_wal", "pg_xlog"];
const WAITS: &str = ".ready";
/// Files whose age is looked at, from the lowest name on: names count up with time.
const AGES_MAX: usize = 50;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let clusters = clusters(host)?;
    let running = clusters.iter().filter_map(|cluster| Some((cluster, cluster.pid?)));
    let all: Vec<Found> = running.filter_map(|(cluster, server)| judge(host, settings, cluster, server)).collect();
    if all.is_empty() {
        return Err(Gap::NotHere(words!(
            "no PostgreSQL cluster that runs here archives its log",
            "此主机没有启用 WAL 归档的运行中 PostgreSQL 实例"
        )));
    }
    Ok(all)
}

/// What waits in one cluster.
struct Waiting {
    folder: String,
    files: usize,
    /// The name and age in seconds of the oldest one.
    oldest: Option<(String, f64)>,
    /// Bytes of one file of the log.
    each: u64,
}

/// Nothing for a cluster that archives nothing.
fn judge(host: &Host, settings: &Settings<'_>, cluster: &Cluster, server: u32) -> Option<Found> {
    let subject = cluster.path.as_str();
    if let Some(why) = &cluster.trouble {
        return Some(Found::new(subject, Status::Unknown, why.clone()));
    }
    if !cluster.archives() {
        return None;
    }
    let failed = host.processes().iter().filter(|process| process.ppid == server).find_map(failed_on);
    let found = match waiting(host, &cluster.data()) {
        Ok(waiting) => tell(settings, subject, &waiting, failed.is_some()),
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => untold(subject, &why, failed.is_some()),
    };
    let found = found.evidence(cluster.source("archive_mode"), "archive_mode on");
    Some(match failed {
        Some((pid, file)) => found.evidence(format!("/proc/{pid}/cmdline"), format!("archiver failed on {file}")),
        None => found,
    })
}

/// Where nobody can look at what waits, the archiver's word counts all the same.
fn untold(subject: &str, why: &Words, failed: bool) -> Found {
    if !failed {
        return Found::new(subject, Status::Unknown, why.clone());
    }
    let Words { en, zh } = why;
    let summary = words!(
        "PostgreSQL cannot archive its log: the archiver has failed; how much waits cannot be told: {en}",
        "PostgreSQL 无法归档 WAL：归档进程失败；无法得知等待归档的文件数量：{zh}"
    );
    Found::new(subject, Status::Warning, summary)
}

fn tell(settings: &Settings<'_>, subject: &str, waiting: &Waiting, failed: bool) -> Found {
    let (files, folder) = (waiting.files, &waiting.folder);
    let Some((name, age)) = &waiting.oldest else {
        let summary = words!("all that PostgreSQL wrote is archived", "PostgreSQL 的 WAL 已全部归档");
        return Found::new(subject, Status::Ok, summary).value(0.0, "s");
    };
    let (age, ago) = (*age, span(*age));
    let count = u32::try_from(files).map_or(f64::MAX, f64::from);
    #[expect(clippy::cast_precision_loss, reason = "bytes for people")]
    let bytes = waiting.each as f64 * count;
    let level = settings.level(subject, age);
    let status = if failed { level.max(settings.level_of(subject, age, "failed", "")) } else { level };
    let summary = if failed {
        words!(
            "PostgreSQL cannot archive its log: the archiver has failed, and the oldest of {files} files has waited for {ago}",
            "PostgreSQL 无法归档 WAL：归档进程失败，{files} 个文件等待归档，最早的已等待 {ago}"
        )
    } else {
        words!(
            "the oldest of {files} files of PostgreSQL's log has waited for {ago} to be archived",
            "PostgreSQL 有 {files} 个 WAL 文件等待归档，最早的已等待 {ago}"
        )
    };
    let shown = size_of(bytes);
    Found::new(subject, status, summary)
        .value(age, "s")
        .evidence(format!("{folder}/archive_status/{name}"), format!("{files} files wait, {shown}"))
        .detail("files", count)
        .detail("bytes", bytes)
}

fn waiting(host: &Host, data: &str) -> Result<Waiting, Gap> {
    let [today, before] = FOLDERS.map(|name| format!("{data}/{name}"));
    let list = |folder: String| Ok((host.list(&format!("{folder}/archive_status"))?, folder));
    let (entries, folder) = list(today).or_else(|gap| list(before).map_err(|_| gap))?;
    let ready: Vec<&Entry> = entries.iter().filter(|entry| entry.name.ends_with(WAITS)).collect();
    let age = |entry: &&Entry| {
        let stat = host.stat(&format!("{folder}/archive_status/{}", entry.name)).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an age in seconds")]
        let age = host.now().0.saturating_sub(stat.modified.0) as f64;
        Some((entry.name.clone(), age))
    };
    // One that is archived meanwhile has no age any more.
    let oldest = ready.iter().take(AGES_MAX).filter_map(age).max_by(|one, other| one.1.total_cmp(&other.1));
    let segment = ready.iter().find_map(|entry| host.stat(&format!("{folder}/{}", stem(&entry.name))).ok());
    Ok(Waiting { files: ready.len(), each: segment.map_or(0, |stat| stat.size), oldest, folder })
}

fn stem(name: &str) -> &str {
    name.strip_suffix(WAITS).unwrap_or(name)
}

/// The file that the archiver says it failed on: `postgres: archiver failed on 000000010000000000000001`,
/// `postgres: 15/main: archiver failed on ...`, before version 10 `archiver process`. A client chooses its user's and its
/// database's name, but not that nothing follows them.
fn failed_on(process: &Process) -> Option<(u32, String)> {
    let title = process.argv.first()?.strip_prefix("postgres: ")?;
    let (_, rest) = title.split_once("archiver ").filter(|(before, _)| before.is_empty() || before.ends_with(": "))?;
    let rest = rest.trim_start().strip_prefix("process").unwrap_or(rest).trim();
    let file = rest.strip_prefix("failed on ")?;
    let is_name = |one: char| one.is_ascii_alphanumeric() || one == '.';
    let begins = file.get(..8)?.chars().all(|one| one.is_ascii_hexdigit());
    (begins && file.chars().all(is_name)).then(|| (process.pid, file.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::postgres_clusters::tests::{CONFIG, host};
    use super::*;
    use crate::host::fixture::Fixture;
    use std::time::{Duration, SystemTime};

    const DATA: &str = "/var/lib/postgresql/15/main";
    const ON: &str = "archive_mode = on\narchive_command = 'cp %p /backup/%f'\n";

    /// The archiver of the server, with this title.
    fn titled(fixture: Fixture, title: &str) -> Fixture {
        let stat = "90 (postgres) S 70 70 70 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 1000 1000000 250 0 0\n";
        fixture.process(90, 'S', &[title]).file("/proc/90/stat", stat)
    }

    /// Files that wait since so many seconds.
    fn waits(fixture: Fixture, folder: &str, ages: &[u64]) -> Fixture {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let fixture = fixture.file(&format!("{DATA}/{folder}/archive_status/00000001000000000000000A.done"), "");
        (1..).zip(ages).fold(fixture, |fixture, (number, age)| {
            let name = format!("{DATA}/{folder}/archive_status/{number:024X}.ready");
            let fixture = fixture.file(&format!("{DATA}/{folder}/{number:024X}"), [0; 100]).file(&name, "");
            let file = std::fs::File::options().write(true).open(fixture.path(&name)).unwrap();
            file.set_modified(now - Duration::from_secs(*age)).unwrap();
            fixture
        })
    }

    const FAILED: &str = "postgres: 15/main: archiver failed on 000000000000000000000001";
    const FINE: &str = "postgres: 15/main: archiver last was 000000000000000000000001";

    #[test]
    fn db_08_what_waits_to_be_archived_is_judged_by_its_age_and_what_the_archiver_says() {
        for (title, ages, expected) in [
            (FINE, &[][..], Status::Ok),
            (FINE, &[30], Status::Ok),
            (FINE, &[500, 30], Status::Ok),
            (FINE, &[700, 30], Status::Warning),
            (FINE, &[30, 4000], Status::Critical),
            // One that fails for the first time has bad luck.
            (FAILED, &[30], Status::Ok),
            (FAILED, &[90, 30], Status::Warning),
            (FAILED, &[4000], Status::Critical),
            (FAILED, &[], Status::Ok),
        ] {
            let found = titled(waits(host(ON), "pg_wal", ages), title).run(&CHECK);
            assert_eq!(
                (found.len(), found[0].subject.as_str(), found[0].status),
                (1, CONFIG, expected),
                "{title} {ages:?}"
            );
            let oldest = ages.iter().max().map_or(0, |age| u32::try_from(*age).unwrap());
            assert_eq!(found[0].value, Some(f64::from(oldest)), "{title} {ages:?}");
        }
        let found = titled(waits(host(ON), "pg_xlog", &[90, 30]), FAILED).run(&CHECK);
        assert_eq!((found[0].status, found[0].details.contains_key("bytes")), (Status::Warning, true), "{found:?}");
        let sources: Vec<_> = found[0].evidence.iter().map(|one| one.source.as_str()).collect();
        let oldest = format!("{DATA}/pg_xlog/archive_status/000000000000000000000001.ready");
        assert_eq!(sources, [oldest.as_str(), &format!("{CONFIG}:6"), "/proc/90/cmdline"]);
    }

    #[test]
    fn db_08_a_cluster_that_archives_nothing_or_does_not_run_is_no_matter_of_this_check() {
        assert!(waits(host(""), "pg_wal", &[4000]).has_none_of(&CHECK));
        assert!(waits(host("archive_mode = off\n"), "pg_wal", &[4000]).has_none_of(&CHECK));
        assert_eq!(waits(host("archive_mode = always\n"), "pg_wal", &[4000]).status(&CHECK), Status::Critical);
        assert!(waits(Fixture::live().file(CONFIG, ON), "pg_wal", &[4000]).has_none_of(&CHECK));
        assert!(Fixture::live().file("/proc/x", "").has_none_of(&CHECK));
        // Nobody can tell without the folder, or the settings.
        assert_eq!(host(ON).status(&CHECK), Status::Unknown);
        assert_eq!(titled(host(ON), FAILED).status(&CHECK), Status::Warning);
        assert_eq!(host("include '/nowhere'\n").status(&CHECK), Status::Unknown);
    }

    #[test]
    fn db_08_only_the_archiver_says_that_it_failed() {
        let of = |title: &str| failed_on(&Process { pid: 7, argv: vec![title.to_owned()], ..Process::default() });
        for (title, file) in [
            (FAILED, Some("000000000000000000000001")),
            ("postgres: archiver failed on 00000002.history", Some("00000002.history")),
            (
                "postgres: archiver process   failed on 000000010000000000000002.00000028.backup",
                Some("000000010000000000000002.00000028.backup"),
            ),
            (FINE, None),
            ("postgres: archiver archiving 000000000000000000000001", None),
            ("postgres: archiver failed on [local] idle", None),
            ("postgres: web shop archiver failed on 000000000000000000000001", None),
            ("archiver failed on 000000000000000000000001", None),
        ] {
            assert_eq!(of(title).map(|(_, file)| file).as_deref(), file, "{title}");
        }
    }
}
