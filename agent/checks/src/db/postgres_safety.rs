//! Settings of PostgreSQL that lose data.

use super::postgres_clusters::{Cluster, clusters};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.postgres-safety",
    title: Text { en: "Safety of PostgreSQL", zh: "PostgreSQL 数据安全" },
    reads: &[
        "/etc/postgresql/*/*/postgresql.conf",
        "/var/lib/pgsql/data/",
        "/var/lib/postgresql/*/*/postgresql.auto.conf",
    ],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "After a crash or a power cut the whole cluster can be damaged beyond repair.",
        zh: "崩溃或断电后，整个实例可能损坏且无法修复。",
    },
    remedy: Text {
        en: "Set it on again, reload, and take a fresh backup. It may be off only while a backup is loaded into an empty cluster.",
        zh: "重新开启并重载配置，然后做一次全新备份。只有在向空实例导入备份时才可临时关闭。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(clusters(host)?.iter().flat_map(judge).collect())
}

fn judge(cluster: &Cluster) -> Vec<Found> {
    let path = cluster.path.as_str();
    if let Some(why) = &cluster.trouble {
        return vec![Found::new(path, Status::Unknown, why.clone())];
    }
    let mut all = Vec::new();
    for key in ["fsync", "full_page_writes"] {
        if cluster.switch(key) == Some(false) {
            let summary =
                words!("{key} is off: a crash can damage all data", "{key} 已关闭：一次崩溃即可能损坏全部数据");
            let found = Found::new(format!("{path} {key}"), Status::Critical, summary);
            all.push(found.evidence(cluster.source(key), format!("{key} off")));
        }
    }
    all.extend(late_commit(cluster));
    all.extend(archive(cluster));
    if all.is_empty() {
        let summary = words!("this cluster keeps what it was told to keep", "该实例的持久化设置正常");
        all.push(Found::new(path, Status::Ok, summary));
    }
    all
}

fn late_commit(cluster: &Cluster) -> Option<Found> {
    let key = "synchronous_commit";
    cluster.switch(key).filter(|is_on| !is_on)?;
    let summary = words!("commits are confirmed before they are on the disk", "提交确认时数据尚未落盘");
    Some(
        Found::advice(format!("{} {key}", cluster.path), summary)
            .impact(words!(
                "A crash loses what was confirmed in the last fraction of a second; nothing is damaged.",
                "崩溃会丢失最近不到一秒内已确认的数据，但不会损坏数据。"
            ))
            .remedy(words!("Set it on where each commit counts.", "若每次提交都不可丢失，请设为 on。"))
            .evidence(cluster.source(key), format!("{key} off")),
    )
}

/// Whether a point in time can be restored: the archive is on, and it is told where to.
fn archive(cluster: &Cluster) -> Option<Found> {
    let mode = cluster.get("archive_mode").map_or("off", |setting| setting.value.as_str());
    let is_on = cluster.archives();
    let has = |key: &str| cluster.get(key).is_some_and(|setting| !setting.value.is_empty());
    let has_target = has("archive_command") || has("archive_library");
    let (subject, source) = (format!("{} archive", cluster.path), cluster.source("archive_mode"));
    if is_on && !has_target {
        let summary = words!(
            "archive_mode is on and nothing takes the files: they pile up until the disk is full",
            "archive_mode 已开启但未配置归档命令：WAL 会不断堆积直至磁盘写满"
        );
        return Some(
            Found::new(subject, Status::Warning, summary)
                .impact(words!("When the disk is full, PostgreSQL stops.", "磁盘写满后 PostgreSQL 将停止服务。"))
                .remedy(words!(
                    "Set archive_command or archive_library, or archive_mode off with a restart.",
                    "设置 archive_command 或 archive_library，或将 archive_mode 设为 off 并重启。"
                ))
                .evidence(source, format!("archive_mode {mode}, no archive_command")),
        );
    }
    if is_on {
        return None;
    }
    let summary = words!("the write-ahead log is not archived", "WAL 未归档");
    Some(
        Found::advice(subject, summary)
            .impact(words!(
                "After a loss only the last backup can be restored, unless a tool streams the log (pg_receivewal, Barman).",
                "数据丢失后只能恢复到最近一次备份，除非有工具在流式接收 WAL（pg_receivewal、Barman）。"
            ))
            .remedy(words!(
                "Where less than a backup's interval may be lost, set up pgBackRest or archive_mode with archive_command.",
                "若可容忍丢失的时间小于备份间隔，请配置 pgBackRest，或设置 archive_mode 与 archive_command。"
            ))
            .evidence(source, format!("archive_mode {mode}")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::postgres_clusters::tests::host;
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn db_08_settings_that_lose_data_are_told() {
        let archived = "archive_mode = on\narchive_command = 'cp %p /backup/%f'\n";
        for (lines, expected, notes) in [
            (archived.to_owned(), Status::Ok, 0),
            (String::new(), Status::Ok, 1),
            ("archive_mode = on\n".to_owned(), Status::Warning, 0),
            (format!("{archived}fsync = off\n"), Status::Critical, 0),
            (format!("{archived}fsync = off\nfsync = true\n"), Status::Ok, 0),
            (format!("{archived}full_page_writes = 0\n"), Status::Critical, 0),
            (format!("{archived}synchronous_commit = off\n"), Status::Ok, 1),
            (format!("{archived}synchronous_commit = remote_apply\n"), Status::Ok, 0),
            ("include '/nowhere'\n".to_owned(), Status::Unknown, 0),
        ] {
            let found = host(&lines).run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{lines}");
            assert_eq!(found.iter().filter(|one| one.note).count(), notes, "{lines}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
