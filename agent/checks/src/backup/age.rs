//! How old the newest backup is.

use super::data::data;
use super::sources::{Series, looked};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "backup.age",
    title: Text { en: "Age of backups", zh: "备份时效" },
    reads: &["/backup and the like", "/etc/cron*", "/var/spool/cron", "/var/lib/systemd/timers", "/root/.cache"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("critical", 26.0, 25.0, "h", "recovery point objective of a daily backup; Google CRE"),
        Param::plain("retired", 60.0, "days", "ours: beside a fresh backup, one that is older has been given up"),
    ],
    impact: Text {
        en: "If this server is lost now, everything since then is lost with it.",
        zh: "如果现在丢失这台服务器，此后的所有数据都将丢失。",
    },
    remedy: Text {
        en: "Start the backup by hand and read what it says (mail of cron, `journalctl -u UNIT`). Usual reasons: a full disk, \
             a changed password, an expired key, a job that was disabled.",
        zh: "手动执行一次备份并查看输出（cron 邮件、`journalctl -u 单元`）。常见原因：磁盘已满、密码已更改、密钥过期、任务被停用。",
    },
    run,
};

const HOUR_SECS: f64 = 3600.0;
/// A backup that is late by no more than a quarter of its own rhythm is not late.
const RHYTHM_SLACK: f64 = 1.25;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let backups = host.backups();
    if backups.series.is_empty() {
        return none(host);
    }
    let limit = settings.number("critical");
    let fresh = backups.series.iter().any(|one| age_hours(host, one) <= limit);
    Ok(backups.series.iter().map(|one| judge(host, settings, one, fresh)).collect())
}

fn age_hours(host: &Host, series: &Series) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "hours")]
    let secs = series.artefacts.first().map_or(0, |newest| host.now().0.saturating_sub(newest.time.0)) as f64;
    secs / HOUR_SECS
}

fn judge(host: &Host, settings: &Settings<'_>, series: &Series, fresh: bool) -> Found {
    let (subject, hours) = (&series.subject, age_hours(host, series));
    #[expect(clippy::cast_precision_loss, reason = "hours")]
    let usual = series.usual_secs().map(|secs| secs as f64 / HOUR_SECS);
    let in_rhythm = usual.is_some_and(|usual| hours <= usual * RHYTHM_SLACK);
    let retired = fresh && hours / 24.0 > settings.number("retired");
    let age = span(hours * HOUR_SECS);
    let summary = if subject.ends_with(".timer") {
        // Its stamp tells no more.
        words!(
            "{subject} was last started {age} ago; whether it worked, its unit tells",
            "{subject} 上次启动于 {age} 前；是否成功请查看对应单元"
        )
    } else {
        words!("the newest backup of {subject} is {age} old", "{subject} 的最新备份距今 {age}")
    };
    let found = match settings.level(subject, hours) {
        Status::Critical if retired => Found::advice(subject, summary).impact(words!(
            "Other backups here are fresh, so this one seems to have been given up.",
            "此主机的其他备份是最新的，该备份似乎已停用。"
        )),
        Status::Critical if in_rhythm => {
            let rhythm = span(usual.unwrap_or(0.0) * HOUR_SECS);
            let rare = words!(
                "{subject} is backed up only every {rhythm}, the newest is {age} old",
                "{subject} 每 {rhythm} 才备份一次，最新备份距今 {age}"
            );
            Found::new(subject, Status::Warning, rare).remedy(words!(
                "Make it daily, or say that this is enough: `--set backup.age.critical=HOURS`.",
                "改为每天备份；若此频率可以接受，请设置 `--set backup.age.critical=小时数`。"
            ))
        }
        status @ (Status::Critical | Status::Warning | Status::Ok | Status::Unknown) => {
            Found::new(subject, status, summary)
        }
    };
    let found = found.value(hours, "h");
    match series.artefacts.first() {
        Some(newest) => found.evidence(&newest.path, format!("modified {age} ago")),
        None => found,
    }
}

/// No sign of a backup: this may be a host without data, or one that is saved from outside.
fn none(host: &Host) -> Outcome {
    let backups = host.backups();
    let looked = looked();
    let (en, zh) = (&looked.en, &looked.zh);
    if let Some(tool) = backups.tools.first() {
        let (name, at) = (tool.name, &tool.at);
        return Err(Gap::Unknown(words!(
            "{at} starts {name}, but no backup or sign of a run was found; looked in {en}",
            "{at} 会启动 {name}，但未找到备份文件或运行痕迹；已查找：{zh}"
        )));
    }
    let data = data(host);
    let Some(first) = data.first() else {
        return Err(Gap::NotHere(words!(
            "no backup and no database was found; looked in {en}",
            "未发现备份，也未发现数据库；已查找：{zh}"
        )));
    };
    let (name, folder) = (first.name, first.folder);
    let unseen = backups.gaps.len();
    Err(Gap::Unknown(if unseen > 0 {
        words!(
            "{name} keeps data in {folder}, and no backup was found; {unseen} places may not be seen by this user, run it as root",
            "{name} 的数据位于 {folder}，未发现备份；有 {unseen} 处当前用户无权查看，请以 root 运行"
        )
    } else {
        words!(
            "{name} keeps data in {folder}, and no backup was found; it may be made from outside (snapshots); looked in {en}",
            "{name} 的数据位于 {folder}，未发现备份；也可能由外部完成（如快照）；已查找：{zh}"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::size::tests::aged;
    use crate::host::fixture::Fixture;

    #[test]
    fn bak_01_the_newest_artefact_is_judged() {
        for (hours, expected) in [
            (&[3][..], Status::Ok),
            (&[3, 27, 51, 75], Status::Ok),
            (&[30], Status::Critical),
            (&[50, 74, 98, 122], Status::Critical),
            // Weekly, as it has always been.
            (&[100, 268, 436, 604], Status::Warning),
        ] {
            let files: Vec<_> = hours.iter().map(|hours| (*hours, 10)).collect();
            assert_eq!(aged("/backup/shop", &files).status(&CHECK), expected, "{hours:?}");
        }
        let host = aged("/backup/shop", &[(3, 1), (27, 1), (51, 1)]);
        let both = crate::backup::size::tests::more(host, "/backup/old", &[(2000, 1), (2024, 1), (2048, 1)]);
        assert_eq!(both.status(&CHECK), Status::Ok);
        assert!(both.run(&CHECK).iter().any(|one| one.note), "given up beside a fresh one");
    }

    #[test]
    fn bak_01_signs_of_programs_count() {
        for path in [
            "/root/.config/borg/security/ab12/manifest-timestamp",
            "/root/.cache/restic/ab12/snapshots/ab/abcd",
            "/var/lib/systemd/timers/stamp-restic-backup.timer",
            "/var/lib/pgbackrest/backup/main/backup.info",
        ] {
            // The file is from today; its host lives in the past, or in the future.
            let host = Fixture::image().file(path, "");
            assert_eq!(host.status(&CHECK), Status::Ok, "{path}");
            assert_eq!(host.now(32_000_000_000).status(&CHECK), Status::Critical, "{path}");
        }
    }

    #[test]
    fn bak_01_without_a_sign_it_is_unknown_where_there_is_data() {
        assert!(Fixture::image().has_none_of(&CHECK));
        let own = Fixture::image()
            .file("/var/backups/dpkg.status.0", "")
            .file("/var/lib/systemd/timers/stamp-dpkg-db-backup.timer", "");
        assert!(own.has_none_of(&CHECK), "Debian's own");
        let data = Fixture::image().file("/var/lib/mysql/ibdata1", "x");
        assert_eq!(data.status(&CHECK), Status::Unknown);
        let remote =
            Fixture::image().file("/etc/cron.d/b", "1 1 * * * root restic backup /srv --password-command secret\n");
        let found = remote.run(&CHECK);
        assert_eq!(found[0].status, Status::Unknown);
        assert!(found[0].summary.en.contains("/etc/cron.d/b:1") && !format!("{found:?}").contains("secret"));
    }
}
