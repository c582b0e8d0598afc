//! Whether a Redis replica hears from its master.

use super::redis::{Info, each};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "db.redis-replication",
    title: Text { en: "Replication of Redis", zh: "Redis 复制" },
    reads: &["INFO of Redis on loopback"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "Readers get old data, and if the master fails now, what it wrote since is lost.",
        zh: "读到的是旧数据；若此时主库故障，其后写入的数据将丢失。",
    },
    remedy: Text {
        en: "Look whether the master lives and its port is reachable, whether masterauth is right, and whether the master's \
             client-output-buffer-limit for replicas cuts a long synchronisation.",
        zh: "检查主库是否存活、端口是否可达、masterauth 是否正确，以及主库的 client-output-buffer-limit replica 是否打断了长时间同步。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    each(host, judge)
}

fn judge(name: &str, info: &Info) -> Found {
    let keys =
        ["role", "master_link_status", "master_link_down_since_seconds", "master_sync_in_progress", "connected_slaves"];
    let evidence = info.lines(&keys);
    let found = match (info.text("role"), info.text("master_link_status")) {
        (Some("slave"), Some("up")) => {
            Found::new(name, Status::Ok, words!("{name} follows its master", "{name} 与主库同步正常"))
        }
        (Some("slave"), _) if info.text("master_sync_in_progress") == Some("1") => {
            let summary = words!("{name} is copying everything from its master", "{name} 正在从主库全量同步");
            Found::new(name, Status::Warning, summary)
        }
        (Some("slave"), _) => {
            // -1 is never.
            let secs = info.number("master_link_down_since_seconds").filter(|secs| *secs >= 0.0);
            let summary = match secs {
                Some(secs) => words!("{name} has lost its master for {secs} s", "{name} 与主库断开已 {secs} 秒"),
                None => words!("{name} has no link to its master", "{name} 与主库没有连接"),
            };
            let found = Found::new(name, Status::Critical, summary);
            secs.into_iter().fold(found, |found, secs| found.value(secs, "s"))
        }
        (Some("master"), _) => Found::new(name, Status::Ok, words!("{name} is a master", "{name} 是主库")),
        (Some(_) | None, _) => {
            Found::new(name, Status::Unknown, words!("{name} does not say its role", "{name} 未给出复制角色"))
        }
    };
    found.evidence(name, evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::redis::tests::host;

    #[test]
    fn db_13_a_replica_without_its_master_is_critical() {
        for (info, expected) in [
            ("role:master\nconnected_slaves:0\n", Status::Ok),
            ("role:slave\nmaster_link_status:up\n", Status::Ok),
            ("role:slave\nmaster_link_status:down\nmaster_link_down_since_seconds:77\n", Status::Critical),
            ("role:slave\nmaster_link_status:down\nmaster_link_down_since_seconds:-1\n", Status::Critical),
            ("role:slave\nmaster_link_status:down\nmaster_sync_in_progress:1\n", Status::Warning),
            ("used_memory:1\n", Status::Unknown),
        ] {
            assert_eq!(host(info).status(&CHECK), expected, "{info}");
        }
    }
}
