//! Connections that a Redis has, and those that it turned away.

use super::redis::{Info, each};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.redis-connections",
    title: Text { en: "Connections of Redis", zh: "Redis 连接数" },
    reads: &["INFO of Redis on loopback"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[Param::above(
        "warning",
        90.0,
        80.0,
        "%",
        "samber/awesome-prometheus-alerts redis, RedisTooManyConnections",
    )],
    impact: Text {
        en: "New connections are refused when the limit is reached, and the programs behind them fail.",
        zh: "达到上限后新连接会被拒绝，依赖它的程序将报错。",
    },
    remedy: Text {
        en: "Look with redis-cli CLIENT LIST who holds them; use pools, set timeout, or raise maxclients and the limit of open \
             files.",
        zh: "用 redis-cli CLIENT LIST 查看连接来源；使用连接池、设置 timeout，或调大 maxclients 及文件句柄上限。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    each(host, |name, info| judge(settings, name, info))
}

fn judge(settings: &Settings<'_>, name: &str, info: &Info) -> Found {
    let evidence = info.lines(&["connected_clients", "maxclients", "rejected_connections", "uptime_in_days"]);
    let refused = info.number("rejected_connections").unwrap_or(0.0);
    // Servers before 6.0 do not say their limit.
    let percent = info.number("connected_clients").zip(info.number("maxclients").filter(|most| *most > 0.0));
    let percent = percent.map(|(now, most)| 100.0 * now / most);
    let level = percent.map_or(Status::Ok, |percent| settings.level(name, percent));
    let found = if let (true, Some(percent)) = (level > Status::Ok, percent) {
        Found::new(
            name,
            level,
            words!("{name} has {percent:.0} % of its connections", "{name} 连接数已达上限的 {percent:.0}%"),
        )
    } else if refused > 0.0 {
        let days = info.number("uptime_in_days").unwrap_or(0.0);
        let summary = words!(
            "{name} has refused {refused} connections since it started {days} days ago",
            "{name} 自 {days} 天前启动以来已拒绝 {refused} 个连接"
        );
        Found::advice(name, summary)
    } else if info.text("rejected_connections").is_none() {
        Found::new(name, Status::Unknown, words!("{name} does not speak of connections", "{name} 未给出连接信息"))
    } else {
        Found::new(name, Status::Ok, words!("{name} has refused no connection", "{name} 未拒绝过连接"))
    };
    percent.into_iter().fold(found, |found, percent| found.value(percent, "%")).evidence(name, evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::redis::tests::host;

    #[test]
    fn db_11_connections_near_the_limit_are_a_warning_and_refused_ones_advice() {
        for (info, expected, note) in [
            ("connected_clients:10\nmaxclients:10000\nrejected_connections:0\n", Status::Ok, false),
            ("connected_clients:95\nmaxclients:100\nrejected_connections:7\n", Status::Warning, false),
            ("connected_clients:10\nrejected_connections:7\nuptime_in_days:3\n", Status::Ok, true),
            ("used_memory:1\n", Status::Unknown, false),
        ] {
            let found = host(info).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{info}");
        }
    }
}
