//! How many connections a PostgreSQL cluster has, of those that it allows: counted by the titles of its processes.

use super::postgres_clusters::{Cluster, clusters};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.postgres-connections",
    title: Text { en: "Connections of PostgreSQL", zh: "PostgreSQL 连接数" },
    reads: &["/proc/*/cmdline", "/etc/postgresql/*/*/postgresql.conf", "/var/lib/pgsql/data/"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[
        Param::above(
            "warning",
            80.0,
            70.0,
            "%",
            "netdata health.d/postgres.conf, postgres_total_connection_utilization",
        ),
        Param::above(
            "critical",
            90.0,
            80.0,
            "%",
            "netdata health.d/postgres.conf, postgres_total_connection_utilization",
        ),
    ],
    impact: Text {
        en: "At the limit new connections get \"too many clients already\", and the programs behind them fail.",
        zh: "达到上限后新连接会报 \"too many clients already\"，依赖它的程序将失败。",
    },
    remedy: Text {
        en: "Look in pg_stat_activity who holds them, idle in transaction first. Put pgbouncer in between rather than raise \
             max_connections.",
        zh: "在 pg_stat_activity 中查看连接来源，优先处理 idle in transaction。建议引入 pgbouncer，而非一味调大 max_connections。",
    },
    run,
};

/// postgresql.conf.sample, max_connections.
const CONNECTIONS_DEFAULT: f64 = 100.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let clusters = clusters(host)?;
    let running = clusters.iter().filter_map(|cluster| Some((cluster, cluster.pid?)));
    let all: Vec<Found> = running.map(|(cluster, server)| judge(host, settings, cluster, server)).collect();
    if all.is_empty() {
        return Err(Gap::NotHere(words!(
            "no PostgreSQL cluster of this host runs",
            "此主机没有运行中的 PostgreSQL 实例"
        )));
    }
    Ok(all)
}

fn judge(host: &Host, settings: &Settings<'_>, cluster: &Cluster, server: u32) -> Found {
    let subject = cluster.path.as_str();
    if let Some(why) = &cluster.trouble {
        return Found::new(subject, Status::Unknown, why.clone());
    }
    let most = match cluster.get("max_connections").map(|setting| setting.value.parse::<f64>()) {
        None => CONNECTIONS_DEFAULT,
        Some(Ok(most)) if most >= 1.0 => most,
        Some(Ok(_) | Err(_)) => {
            return Found::new(
                subject,
                Status::Unknown,
                words!("max_connections is no number", "max_connections 不是数值"),
            );
        }
    };
    let clients = host.processes().iter().filter(|process| process.ppid == server && is_client(process)).count();
    #[expect(clippy::cast_precision_loss, reason = "a count of processes")]
    let count = clients as f64;
    let percent = 100.0 * count / most;
    let summary = words!(
        "PostgreSQL has {count} of {most} connections ({percent:.0} %)",
        "PostgreSQL 已有 {count} 个连接，上限 {most}（{percent:.0}%）"
    );
    Found::new(subject, settings.level(subject, percent), summary)
        .value(percent, "%")
        .evidence(format!("/proc, children of {server}"), format!("{count} processes serve clients"))
        .evidence(cluster.source("max_connections"), format!("max_connections {most}"))
}

/// `postgres: USER DATABASE 10.0.0.1(5000) idle`, `postgres: 15/main: USER DATABASE [local] idle`. Those that send the log
/// to replicas have a limit of their own.
fn is_client(process: &Process) -> bool {
    let title = process.argv.first().map(String::as_str).unwrap_or_default();
    let Some(words) = title.strip_prefix("postgres: ") else { return false };
    let mut words = words.split(' ').filter(|word| !word.is_empty());
    let is_place = |word: &str| word == "[local]" || (word.ends_with(')') && word.contains('('));
    !words.clone().take(2).any(|word| word == "walsender") && words.any(is_place)
}

#[cfg(test)]
mod tests {
    use super::super::postgres_clusters::tests::{CONFIG, host};
    use super::*;
    use crate::host::fixture::Fixture;

    /// A process whose parent is the server.
    fn child(fixture: Fixture, pid: u32, title: &str) -> Fixture {
        let stat = format!("{pid} (postgres) S 70 70 70 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 1000 1000000 250 0 0\n");
        fixture.process(pid, 'S', &[title]).file(&format!("/proc/{pid}/stat"), stat)
    }

    fn clients(lines: &str, count: u32) -> Fixture {
        let others = ["postgres: 15/main: checkpointer ", "postgres: walsender rep 10.0.0.2(5000) streaming"];
        let fixture = (0..).zip(others).fold(host(lines), |fixture, (at, title)| child(fixture, 100 + at, title));
        let title = |at| {
            if at % 2 == 0 { "postgres: 15/main: web shop [local] idle" } else { "postgres: a b 10.0.0.1(99) idle" }
        };
        (0..count).fold(fixture, |fixture, at| child(fixture, 200 + at, title(at)))
    }

    #[test]
    fn db_05_connections_are_counted_by_titles() {
        for (lines, count, expected) in [
            ("max_connections = 10\n", 8, Status::Ok),
            ("max_connections = 10\n", 9, Status::Warning),
            ("max_connections = 10\n", 10, Status::Critical),
            ("", 10, Status::Ok),
            ("max_connections = many\n", 1, Status::Unknown),
        ] {
            let found = clients(lines, count).run(&CHECK);
            assert_eq!((found[0].status, found[0].subject.as_str()), (expected, CONFIG), "{lines} {count}");
        }
        assert!(Fixture::live().file(CONFIG, "").has_none_of(&CHECK));
        assert_eq!(host("include '/nowhere'\n").status(&CHECK), Status::Unknown);
        assert!(Fixture::live().file("/proc/x", "").has_none_of(&CHECK));
    }
}
