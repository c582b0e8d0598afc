//! Settings of MySQL and MariaDB that lose data or let everybody in.

use super::mysql_options::{Brand, Options};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.mysql-safety",
    title: Text { en: "Safety of MySQL", zh: "MySQL 安全性与持久性" },
    reads: &["/etc/my.cnf", "/etc/mysql/", "/proc/*/cmdline"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Data that a program was told are saved can be gone after a crash of the server.",
        zh: "程序以为已保存的数据，可能在服务器崩溃后丢失。",
    },
    remedy: Text {
        en: "Set innodb_flush_log_at_trx_commit = 1, sync_binlog = 1 and innodb_doublewrite = ON, unless the loss is accepted.",
        zh: "除非可接受丢失，请设置 innodb_flush_log_at_trx_commit = 1、sync_binlog = 1、innodb_doublewrite = ON。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let options = Options::read(host)?;
    let all: Vec<Found> =
        [open(&options), recovery(&options), torn_pages(&options), late_flush(&options), late_binlog(&options)]
            .into_iter()
            .flatten()
            .collect();
    if all.is_empty() {
        let summary = words!("the server keeps what it was told to keep", "服务器的持久化与权限设置正常");
        return Ok(vec![Found::new("mysql", Status::Ok, summary)]);
    }
    Ok(all)
}

/// Names of one option as they are told: the value as it stands there.
fn told(options: &Options, name: &str, found: Found) -> Found {
    let value = options.get(&[name]).map(|setting| setting.value.as_str()).unwrap_or_default();
    found.evidence(options.source(&[name]), format!("{name} {value}"))
}

fn open(options: &Options) -> Option<Found> {
    let name = "skip_grant_tables";
    options.switch(&[name]).filter(|is_on| *is_on)?;
    let summary =
        words!("everybody may log in as anybody (skip-grant-tables)", "任何人可以任意身份登录（skip-grant-tables）");
    let found = Found::new("mysql skip-grant-tables", Status::Critical, summary)
        .impact(words!(
            "Every user of this host, and of the network if the port is open, reads and changes all data.",
            "本机所有用户（若端口开放则包括网络上的任何人）可读取和修改全部数据。"
        ))
        .remedy(words!(
            "Remove skip-grant-tables and restart the server. It is meant for minutes, to reset a password.",
            "移除 skip-grant-tables 并重启服务。该选项只应在重置密码时短暂使用。"
        ));
    Some(told(options, name, found))
}

fn recovery(options: &Options) -> Option<Found> {
    let name = "innodb_force_recovery";
    let level = options.get(&[name])?.value.parse::<u32>().ok().filter(|level| *level > 0)?;
    let summary = words!("InnoDB runs in recovery mode {level}", "InnoDB 以恢复模式 {level} 运行");
    let found = Found::new("mysql innodb_force_recovery", Status::Warning, summary)
        .impact(words!(
            "The mode is for saving data from a damaged server: writes are refused or can damage more.",
            "该模式用于从损坏的实例中抢救数据：写入会被拒绝，或造成进一步损坏。"
        ))
        .remedy(words!(
            "Dump the data, build the server anew, load the dump, and remove the option.",
            "导出数据，重建实例并导入，然后移除该选项。"
        ));
    Some(told(options, name, found))
}

fn torn_pages(options: &Options) -> Option<Found> {
    let name = "innodb_doublewrite";
    options.switch(&[name]).filter(|is_on| !is_on)?;
    let summary = words!(
        "pages that are half written cannot be repaired (innodb_doublewrite off)",
        "写坏的页无法修复（innodb_doublewrite 已关闭）"
    );
    Some(told(options, name, Found::new("mysql innodb_doublewrite", Status::Warning, summary)))
}

fn late_flush(options: &Options) -> Option<Found> {
    let name = "innodb_flush_log_at_trx_commit";
    let value =
        options.get(&[name]).map(|setting| setting.value.clone()).filter(|value| value != "1" && !value.is_empty())?;
    let summary = words!(
        "commits are not on the disk when they are confirmed ({name} {value})",
        "提交确认时数据尚未落盘（{name} {value}）"
    );
    Some(told(options, name, Found::advice("mysql innodb_flush_log_at_trx_commit", summary)))
}

/// The default is 1 in MySQL since 5.7.7 and 0 in MariaDB; only what was set is judged there.
fn late_binlog(options: &Options) -> Option<Found> {
    let name = "sync_binlog";
    let has_binlog = options.switch(&["log_bin"]).unwrap_or(options.brand == Brand::MySql);
    options.get(&[name]).filter(|setting| has_binlog && setting.value != "1")?;
    let summary = words!(
        "the binary log can lag behind the data after a crash (sync_binlog is not 1)",
        "崩溃后 binlog 可能落后于数据（sync_binlog 不为 1）"
    );
    Some(told(options, name, Found::advice("mysql sync_binlog", summary)))
}

#[cfg(test)]
mod tests {
    use super::super::mysql_options::tests::{maria, mysql};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn db_mysql_settings_that_lose_data_are_told() {
        for (fixture, expected, notes) in [
            (maria("bind-address = 127.0.0.1\n"), Status::Ok, 0),
            (maria("skip-grant-tables\n"), Status::Critical, 0),
            (maria("skip-grant-tables=0\n"), Status::Ok, 0),
            (maria("innodb_force_recovery = 3\n"), Status::Warning, 0),
            (maria("skip-innodb-doublewrite\n"), Status::Warning, 0),
            (maria("innodb-flush-log-at-trx-commit=2\nsync_binlog=0\n"), Status::Ok, 1),
            (mysql("innodb-flush-log-at-trx-commit=2\nsync_binlog=0\n"), Status::Ok, 2),
            (mysql("a\0b"), Status::Unknown, 0),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{found:?}");
            assert_eq!(found.iter().filter(|one| one.note).count(), notes, "{found:?}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
