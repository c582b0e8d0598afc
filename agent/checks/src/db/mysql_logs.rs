//! Logs of MySQL and MariaDB that are missed when something went wrong: the slow log and the binary log. Advice only.

use super::mysql_options::{Brand, Options};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.mysql-logs",
    title: Text { en: "Slow log and binary log of MySQL", zh: "MySQL 慢日志与 binlog" },
    reads: &["/etc/my.cnf", "/etc/mysql/", "/proc/*/cmdline"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "After a slow hour nobody can say which statements it was.",
        zh: "变慢之后无法得知是哪些语句造成的。",
    },
    remedy: Text {
        en: "Set slow_query_log = ON and long_query_time = 1 in the server's group; both can be set while it runs.",
        zh: "在服务器配置组中设置 slow_query_log = ON、long_query_time = 1；两者均可在线修改。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let options = Options::read(host)?;
    Ok(vec![slow(&options), binary(&options)])
}

fn slow(options: &Options) -> Found {
    let names = ["slow_query_log", "log_slow_query", "log_slow_queries"];
    let found = if options.switch(&names).unwrap_or(false) {
        Found::new("mysql slow log", Status::Ok, words!("slow statements are logged", "已记录慢查询"))
    } else {
        Found::advice("mysql slow log", words!("slow statements are not logged", "未记录慢查询"))
    };
    found.evidence(options.source(&names), "slow_query_log")
}

/// MySQL has it on since 8.0 and off before, MariaDB off.
fn binary(options: &Options) -> Found {
    let (subject, names) = ("mysql binary log", ["log_bin", "log_bin_basename"]);
    let source = options.source(&names);
    match (options.switch(&names), options.brand) {
        (Some(true), _) => Found::new(subject, Status::Ok, words!("the binary log is on", "binlog 已开启")),
        (None, Brand::MySql) => Found::new(
            subject,
            Status::Unknown,
            words!(
                "log_bin is not set: on in MySQL 8.0 and later, off before; the files do not tell the version",
                "未设置 log_bin:MySQL 8.0 及以后默认开启，之前默认关闭；配置文件无法判断版本"
            ),
        ),
        (Some(false), _) | (None, Brand::MariaDb) => {
            Found::advice(subject, words!("the binary log is off", "binlog 已关闭"))
                .impact(words!(
                    "After a loss only the last backup can be restored: everything since is gone. No replica can be added \
                     either.",
                    "数据丢失后只能恢复到最近一次备份，之后的数据全部丢失；也无法添加从库。"
                ))
                .remedy(words!(
                    "Where less than a backup's interval may be lost, set log_bin and an expiry of binary logs, copy them to \
                     another host, and restart the server in a window.",
                    "若可容忍丢失的时间小于备份间隔，请设置 log_bin 及 binlog 过期时间，将其同步到其他主机，并在维护窗口内重启服务。"
                ))
        }
    }
    .evidence(source, "log_bin")
}

#[cfg(test)]
mod tests {
    use super::super::mysql_options::tests::{maria, mysql};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn db_03_logs_that_are_off_are_advice() {
        for (fixture, expected, notes) in [
            (maria("expire_logs_days = 10\n"), Status::Ok, 2),
            (maria("slow_query_log=1\nlog_bin = /var/log/mysql/mysql-bin.log\n"), Status::Ok, 0),
            (maria("log-bin\nlog_slow_query=ON\nskip-log-bin\n"), Status::Ok, 1),
            (mysql("slow_query_log=OFF\n"), Status::Unknown, 1),
            (mysql("\0"), Status::Unknown, 0),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{found:?}");
            assert_eq!(found.iter().filter(|one| one.note).count(), notes, "{found:?}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
