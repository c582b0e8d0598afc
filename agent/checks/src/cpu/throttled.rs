//! Services and containers that the kernel stops because their processor limit is used up, over the time of the run.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "cpu.throttled",
    title: Text { en: "Services stopped by their processor limit", zh: "因处理器限额被限流的服务" },
    reads: &["/sys/fs/cgroup/**/cpu.max", "/sys/fs/cgroup/**/cpu.cfs_quota_us", "/sys/fs/cgroup/**/cpu.stat"],
    needs: Needs::RATES,
    params: &[Param::above("warning", 25.0, 15.0, "%", "awesome-prometheus-alerts, Container high throttle rate")],
    impact: Text {
        en: "This service is stopped again and again for up to a tenth of a second, so its answers are late although the server has room.",
        zh: "该服务会反复被暂停（每次最长约 0.1 秒），即使服务器仍有空闲，其响应也会变慢。",
    },
    remedy: Text {
        en: "Raise or remove the limit: systemctl set-property UNIT CPUQuota=, docker update --cpus, or resources.limits.cpu in Kubernetes; or give the service less work.",
        zh: "提高或取消限额：systemctl set-property 单元 CPUQuota=、docker update --cpus，或 Kubernetes 的 resources.limits.cpu；也可减少该服务的负载。",
    },
    run,
};

/// Findings for services that are fine are summed up beyond so many.
const FINE_MAX: usize = 50;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let limited = host.limited_groups();
    if limited.is_empty() {
        return Err(Gap::NotHere(words!("no service here has a processor limit", "没有设置处理器限额的服务")));
    }
    let all: Vec<Found> = limited.iter().filter_map(|(folder, name)| judge(host, settings, folder, name)).collect();
    let count = all.len();
    let (fine, others): (Vec<Found>, Vec<Found>) = all.into_iter().partition(|found| found.status == Status::Ok);
    if fine.len() <= FINE_MAX {
        return Ok(others.into_iter().chain(fine).collect());
    }
    let summary = words!(
        "{} of {count} services are within their processor limit",
        "{count} 个服务中有 {} 个未触及处理器限额",
        fine.len()
    );
    Ok(others.into_iter().chain([Found::new("", Status::Ok, summary)]).collect())
}

/// Nothing for a service that began during the run or had no chance to be stopped: it was idle.
fn judge(host: &Host, settings: &Settings<'_>, folder: &str, name: &str) -> Option<Found> {
    let path = format!("{folder}/cpu.stat");
    let twice = host.twice(&path).ok()?;
    let rise = |key: &str| value(&twice.after, key)?.checked_sub(value(&twice.before, key)?);
    let (Some(periods), Some(throttled)) = (rise("nr_periods"), rise("nr_throttled")) else {
        let why = words!("{path} cannot be understood, or began anew", "无法解析 {path}，或计数已重新开始");
        return Some(Found::new(name, Status::Unknown, why).evidence(path, &twice.after));
    };
    let share = percent(throttled, periods).unwrap_or(0.0);
    let secs = twice.secs;
    let found = Found::new(
        name,
        settings.level(name, share),
        words!(
            "{name} was stopped by its processor limit in {share:.0} % of its periods over {secs:.1} s",
            "{secs:.1} 秒内，{name} 在 {share:.0}% 的调度周期中因处理器限额被暂停"
        ),
    );
    let found = found.value(share, "%").evidence(&path, counters(&twice.after));
    let limit = host.read(&format!("{folder}/cpu.max")).or_else(|_| host.read(&format!("{folder}/cpu.cfs_quota_us")));
    Some(match limit {
        Ok(limit) => found.evidence(folder, format!("limit: {} us of each period", limit.trim())),
        Err(_) => found,
    })
}

fn value(stat: &str, key: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

fn counters(stat: &str) -> String {
    stat.lines().filter(|line| line.starts_with("nr_") || line.starts_with("throttled_")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const V2: &str = "/sys/fs/cgroup/system.slice/app.service";

    fn v2(before: &str, after: &str) -> Fixture {
        Fixture::live()
            .file("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
            .file(&format!("{V2}/cpu.max"), "50000 100000\n")
            .file(&format!("{V2}/cpu.stat"), before)
            .later(&format!("{V2}/cpu.stat"), after)
    }

    #[test]
    fn cpu_07_services_that_their_limit_stops() {
        let before = "usage_usec 5\nnr_periods 100\nnr_throttled 10\nthrottled_usec 9\n";
        for (after, expected) in [
            ("usage_usec 5\nnr_periods 110\nnr_throttled 12\nthrottled_usec 9\n", Status::Ok),
            ("usage_usec 5\nnr_periods 110\nnr_throttled 13\nthrottled_usec 9\n", Status::Warning),
            (before, Status::Ok),
            ("usage_usec 5\nnr_periods 1\nnr_throttled 0\n", Status::Unknown),
            ("usage_usec 5\n", Status::Unknown),
        ] {
            let findings = v2(before, after).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].subject.as_str()), (expected, "app.service"), "{after}");
        }
    }

    #[test]
    fn cpu_07_version_1_and_hosts_without_limits() {
        let folder = "/sys/fs/cgroup/cpu/docker/0123456789abcdef0123456789abcdef";
        let v1 = Fixture::live()
            .file(&format!("{folder}/cpu.cfs_quota_us"), "20000\n")
            .file(&format!("{folder}/cpu.stat"), "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
            .later(&format!("{folder}/cpu.stat"), "nr_periods 10\nnr_throttled 9\nthrottled_time 7\n");
        let findings = v1.run(&CHECK);
        assert_eq!((findings[0].status, findings[0].subject.as_str()), (Status::Warning, "docker/0123456789ab"));
        assert!(v2("", "").file(&format!("{V2}/cpu.max"), "max 100000\n").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
