//! Settings of the host that make Redis slow or its saving fail.

use super::redis::{instances, is_server};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.redis-host",
    title: Text { en: "Host settings for Redis", zh: "Redis 的主机参数" },
    reads: &[
        "/proc/sys/vm/overcommit_memory",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "INFO of Redis on loopback",
    ],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "Saving needs a copy of the process; without overcommit the kernel may refuse it, and then Redis refuses writes.",
        zh: "保存时需要复制进程；若内核不允许超额分配，fork 可能失败，Redis 随后会拒绝写入。",
    },
    remedy: Text {
        en: "Put vm.overcommit_memory = 1 into /etc/sysctl.d/60-redis.conf and run sysctl --system.",
        zh: "在 /etc/sysctl.d/60-redis.conf 中写入 vm.overcommit_memory = 1 并执行 sysctl --system。",
    },
    run,
};

const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let asked = instances(host);
    if !host.processes().iter().any(is_server) && matches!(asked, Err(Gap::NotHere(_))) {
        return Err(Gap::NotHere(words!("no Redis runs on this host", "此主机没有运行 Redis")));
    }
    let versions = asked.unwrap_or_default().iter().map(|instance| {
        let version = instance.info.as_ref().ok()?.text("redis_version")?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    });
    // What did not answer may be of any age.
    let oldest = versions.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min());
    Ok(vec![overcommit(host), huge_pages(host, oldest)])
}

fn overcommit(host: &Host) -> Found {
    let subject = "vm.overcommit_memory";
    let value = match host.must_read(OVERCOMMIT) {
        Ok(value) => value.trim().to_owned(),
        Err(gap) => return unknown(subject, gap),
    };
    let summary = words!("vm.overcommit_memory is {value}", "vm.overcommit_memory 为 {value}");
    let status = if value == "1" { Status::Ok } else { Status::Warning };
    Found::new(subject, status, summary).evidence(OVERCOMMIT, value)
}

/// Since 6.2 Redis turns huge pages off for itself (redis.conf, `disable-thp yes`).
fn huge_pages(host: &Host, oldest: Option<(u32, u32)>) -> Found {
    let subject = "transparent huge pages";
    let value = match host.read(HUGE_PAGES) {
        Ok(value) => value.trim().to_owned(),
        // A kernel without them.
        Err(Gap::NotHere(_)) => {
            return Found::new(subject, Status::Ok, words!("the kernel has no huge pages", "内核不支持透明大页"));
        }
        Err(gap) => return unknown(subject, gap),
    };
    let always = || words!("transparent huge pages are always on", "透明大页设为 always");
    let found = match (value.contains("[always]"), oldest) {
        (false, _) => {
            Found::new(subject, Status::Ok, words!("huge pages are not forced on programs", "透明大页未强制启用"))
        }
        (true, Some(version)) if version >= (6, 2) => {
            Found::new(subject, Status::Ok, words!("Redis turns huge pages off for itself", "Redis 会自行关闭透明大页"))
        }
        (true, Some(_)) => Found::new(subject, Status::Warning, always()),
        (true, None) => Found::advice(subject, always()),
    };
    found
        .impact(words!(
            "While Redis saves, each write copies 2 MiB instead of 4 KiB: pauses and much more memory.",
            "Redis 保存期间，每次写入会复制 2 MiB 而非 4 KiB：造成停顿并大幅增加内存占用。"
        ))
        .remedy(words!(
            "Run echo madvise > {HUGE_PAGES} and set transparent_hugepage=madvise on the kernel's command line.",
            "执行 echo madvise > {HUGE_PAGES}，并在内核启动参数中设置 transparent_hugepage=madvise。"
        ))
        .evidence(HUGE_PAGES, value)
}

fn unknown(subject: &str, gap: Gap) -> Found {
    match gap {
        Gap::NotHere(why) | Gap::Unknown(why) => Found::new(subject, Status::Unknown, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::redis::tests::{answering, host};
    use crate::host::fixture::Fixture;

    #[test]
    fn db_12_the_host_lets_redis_save() {
        let with = |fixture: Fixture, overcommit: &str, pages: &str| {
            fixture.file(OVERCOMMIT, overcommit).file(HUGE_PAGES, pages)
        };
        let silent = || answering("-NOAUTH x".to_owned());
        let always = "[always] madvise never\n";
        for (name, fixture, expected) in [
            ("good", with(host(""), "1\n", "always [madvise] never\n"), (Status::Ok, false)),
            ("overcommit", with(host(""), "0\n", "always [madvise] never\n"), (Status::Warning, false)),
            ("new Redis", with(host(""), "1\n", always), (Status::Ok, false)),
            ("old Redis", with(host("redis_version:5.0.3\n"), "1\n", always), (Status::Warning, false)),
            ("silent Redis", with(silent(), "1\n", always), (Status::Ok, true)),
            ("unreadable", host(""), (Status::Unknown, false)),
        ] {
            let found = fixture.run(&CHECK);
            let worst = found.iter().map(|one| one.status).max().unwrap_or(Status::Ok);
            assert_eq!((worst, found.iter().any(|one| one.note)), expected, "{name}");
        }
        assert!(Fixture::live().file("/proc/net/tcp", "sl\n").has_none_of(&CHECK));
    }
}
