//! How near a Redis is to the memory that it may have.

use super::redis::{Info, each};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.redis-memory",
    title: Text { en: "Memory of Redis", zh: "Redis 内存" },
    reads: &["INFO of Redis on loopback"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[Param::above(
        "warning",
        90.0,
        80.0,
        "%",
        "samber/awesome-prometheus-alerts redis, RedisOutOfConfiguredMaxmemory",
    )],
    impact: Text {
        en: "When the limit is reached, writes fail or keys disappear, by its policy.",
        zh: "达到上限后，将按淘汰策略拒绝写入或删除键。",
    },
    remedy: Text {
        en: "Find large keys (redis-cli --bigkeys), give keys a time to live, or raise maxmemory where the host has memory.",
        zh: "查找大键（redis-cli --bigkeys），为键设置过期时间，或在主机内存充足时调大 maxmemory。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |name, info| judge(settings, name, info))
}

fn judge(settings: &Settings<'_>, name: &str, info: &Info) -> Found {
    let (Some(used), Some(most)) = (info.number("used_memory"), info.number("maxmemory")) else {
        let why = words!("{name} does not say how much memory it may use", "{name} 未给出内存上限信息");
        return Found::new(name, Status::Unknown, why);
    };
    let policy = info.text("maxmemory_policy").unwrap_or("noeviction");
    let mib = used / 1_048_576.0;
    let evidence = info.lines(&["used_memory", "maxmemory", "maxmemory_policy", "evicted_keys"]);
    if most <= 0.0 {
        let summary = words!(
            "{name} uses {mib:.0} MiB and has no limit (maxmemory 0)",
            "{name} 已用 {mib:.0} MiB 且未设上限（maxmemory 0）"
        );
        return Found::advice(name, summary)
            .impact(words!(
                "Redis may grow until the kernel kills it or another program.",
                "Redis 可能持续增长，直到内核杀死它或其他进程。"
            ))
            .remedy(words!(
                "Set maxmemory to what this host can spare, and maxmemory-policy to what the data allow.",
                "将 maxmemory 设为本机可承受的值，并按数据性质设置 maxmemory-policy。"
            ))
            .evidence(name, evidence);
    }
    let percent = 100.0 * used / most;
    full(settings, name, info, percent, policy).value(percent, "%").evidence(name, evidence)
}

/// A cache that may throw away everything is full by design.
fn full(settings: &Settings<'_>, name: &str, info: &Info, percent: f64, policy: &str) -> Found {
    let evicted = info.number("evicted_keys").unwrap_or(0.0);
    let is_cache = policy.starts_with("allkeys-");
    let status = if is_cache { Status::Ok } else { settings.level(name, percent) };
    let summary = words!(
        "{name} uses {percent:.0} % of its memory, policy {policy}, {evicted} keys evicted so far",
        "{name} 已用内存上限的 {percent:.0}%，策略 {policy}，累计淘汰 {evicted} 个键"
    );
    Found::new(name, status, summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::redis::tests::{answering, host};

    #[test]
    fn db_10_memory_is_judged_by_its_limit() {
        for (info, expected, note) in [
            ("used_memory:50\nmaxmemory:100\nmaxmemory_policy:noeviction\n", Status::Ok, false),
            ("used_memory:95\nmaxmemory:100\nmaxmemory_policy:noeviction\n", Status::Warning, false),
            ("used_memory:95\nmaxmemory:100\nmaxmemory_policy:volatile-lru\n", Status::Warning, false),
            ("used_memory:100\nmaxmemory:100\nmaxmemory_policy:allkeys-lru\n", Status::Ok, false),
            ("used_memory:100\nmaxmemory:0\n", Status::Ok, true),
            ("used_memory:much\nmaxmemory:0\n", Status::Unknown, false),
        ] {
            let found = host(info).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{info}");
        }
        assert_eq!(answering("-NOAUTH x".to_owned()).status(&CHECK), Status::Unknown);
    }
}
