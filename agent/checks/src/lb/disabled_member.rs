//! Members that the configuration itself keeps out of service, for so long that they may be forgotten.

use super::each::told;
use super::{Member, Pool, fleet};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.disabled-member",
    title: Text { en: "Backends disabled in the configuration", zh: "配置中停用的后端" },
    reads: &["the load balancers' configuration as it is in effect, and when its files changed last"],
    needs: Needs::FILES,
    params: &[Param::above("warning", 86_400.0, 86_400.0, "s", "our recommendation: maintenance is over within a day")],
    impact: Text {
        en: "The service runs with less capacity than it seems to have, and an outage of another backend hits harder.",
        zh: "服务的实际容量低于表面容量，其他后端故障时影响更大。",
    },
    remedy: Text {
        en: "Put the backend back (remove the word disabled or down), or remove its line if it is gone for good.",
        zh: "恢复该后端（删除 disabled 或 down），若不再使用则删除其配置行。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mut found = Vec::new();
    let fleet = fleet(host)?;
    let pools = &fleet.pools;
    for pool in pools {
        found.extend(
            pool.members.iter().filter(|member| member.disabled).map(|member| judge(host, settings, pool, member)),
        );
    }
    if found.is_empty() && fleet.troubles.is_empty() {
        let count = pools.len();
        found.push(Found::new(
            "",
            Status::Ok,
            words!("no backend of {count} pools is disabled", "{count} 个后端池中没有停用的后端"),
        ));
    }
    told(fleet, found)
}

/// It has been out at least since the file changed last.
fn judge(host: &Host, settings: &Settings<'_>, pool: &Pool, member: &Member) -> Found {
    let (subject, name) = (pool.subject_of(member), &member.name);
    let modified = match host.stat(&member.place.file) {
        Ok(stat) => stat.modified,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return Found::new(subject, Status::Unknown, why),
    };
    let secs = u32::try_from(host.now().0.saturating_sub(modified.0)).map_or(f64::MAX, f64::from);
    let (status, time) = (settings.level(&subject, secs), span(secs));
    let summary = words!(
        "{name} is disabled in the configuration, at least since that was changed {time} ago",
        "{name} 在配置中被停用，且该配置最近一次修改在 {time} 前"
    );
    Found::new(subject, status, summary).value(secs, "s").evidence(member.place.source(), &member.place.text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_11_what_is_disabled_for_a_day_is_named() {
        for (options, days, expected) in
            [("check", 10, Status::Ok), ("check disabled", 0, Status::Ok), ("check disabled", 2, Status::Warning)]
        {
            let config = format!("backend b\n server s 10.0.0.1:80 {options}\n");
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", config);
            let modified = std::fs::metadata(fixture.path("/etc/haproxy/haproxy.cfg")).unwrap().modified().unwrap();
            let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(fixture.now(modified + days * 86_400 + 60).status(&CHECK), expected, "{options} {days}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
