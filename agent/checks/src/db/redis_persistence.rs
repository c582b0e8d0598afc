//! Whether Redis can save what it holds.

use super::redis::{Info, each};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.redis-persistence",
    title: Text { en: "Saving of Redis", zh: "Redis 持久化" },
    reads: &["INFO of Redis on loopback"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 600.0, 600.0, "s", "netdata health.d/redis.conf, redis_bgsave_slow"),
        Param::above("critical", 1200.0, 1200.0, "s", "netdata health.d/redis.conf, redis_bgsave_slow"),
    ],
    impact: Text {
        en: "What was written since the last good save is lost with the next restart, and by default Redis refuses writes until \
             it can save again.",
        zh: "自上次成功保存后的数据会在下次重启时丢失，且默认情况下 Redis 在恢复保存前拒绝写入。",
    },
    remedy: Text {
        en: "Read its log. Usual causes: the disk is full, fork fails for lack of memory (set vm.overcommit_memory = 1), or the \
             folder is not writable. Then run redis-cli BGSAVE.",
        zh: "查看其日志。常见原因：磁盘已满、内存不足导致 fork 失败（设置 vm.overcommit_memory = 1）、目录不可写。修复后执行 redis-cli BGSAVE。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |name, info| judge(settings, name, info))
}

fn judge(settings: &Settings<'_>, name: &str, info: &Info) -> Found {
    let keys = [
        "rdb_last_bgsave_status",
        "rdb_bgsave_in_progress",
        "rdb_current_bgsave_time_sec",
        "aof_enabled",
        "aof_last_write_status",
    ];
    verdict(settings, name, info).evidence(name, info.lines(&keys))
}

fn verdict(settings: &Settings<'_>, name: &str, info: &Info) -> Found {
    let failed = |key: &str| info.text(key).is_some_and(|status| status != "ok");
    let is_logging = info.text("aof_enabled") == Some("1");
    if failed("rdb_last_bgsave_status") {
        return Found::new(name, Status::Critical, words!("the last save of {name} failed", "{name} 最近一次保存失败"));
    }
    if is_logging && failed("aof_last_write_status") {
        let summary = words!("{name} cannot write its append-only file", "{name} 无法写入 AOF 文件");
        return Found::new(name, Status::Critical, summary);
    }
    let running = info.text("rdb_bgsave_in_progress") == Some("1");
    if let Some(secs) = info.number("rdb_current_bgsave_time_sec").filter(|secs| running && *secs >= 0.0) {
        let summary = words!("{name} has been saving for {secs} s", "{name} 已持续保存 {secs} 秒");
        return Found::new(name, settings.level(name, secs), summary).value(secs, "s");
    }
    match info.text("rdb_last_bgsave_status") {
        Some(_) => Found::new(name, Status::Ok, words!("the last save of {name} succeeded", "{name} 最近一次保存成功")),
        None => Found::new(name, Status::Unknown, words!("{name} does not speak of saving", "{name} 未给出持久化信息")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::redis::tests::host;

    #[test]
    fn db_11_a_failed_save_is_critical_and_a_long_one_a_warning() {
        let ok = "rdb_last_bgsave_status:ok\naof_enabled:0\naof_last_write_status:ok\n";
        let running = |secs: u32| format!("rdb_bgsave_in_progress:1\nrdb_current_bgsave_time_sec:{secs}\n{ok}");
        for (info, expected) in [
            (ok.to_owned(), Status::Ok),
            (ok.replace("bgsave_status:ok", "bgsave_status:err"), Status::Critical),
            (ok.replace("write_status:ok", "write_status:err"), Status::Ok),
            (ok.replace("write_status:ok", "write_status:err").replace('0', "1"), Status::Critical),
            (running(60), Status::Ok),
            (running(700), Status::Warning),
            (running(1300), Status::Critical),
            ("used_memory:1\n".to_owned(), Status::Unknown),
        ] {
            assert_eq!(host(&info).status(&CHECK), expected, "{info}");
        }
    }
}
