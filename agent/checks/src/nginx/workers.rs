//! Whether nginx has enough worker processes for the processors, and whether those that it should have run.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Instance, readable};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.workers",
    title: Text { en: "nginx worker processes", zh: "nginx 工作进程" },
    reads: &["the running nginx's configuration", "/proc/PID/stat", "/sys/devices/system/cpu/online", "/proc/cpuinfo"],
    needs: Needs::LIVE,
    params: &[Param::below(
        "warning",
        50.0,
        50.0,
        "%",
        "our recommendation: workers for at least half of the processors",
    )],
    impact: Text {
        en: "One worker uses one processor: the others stay idle while requests wait.",
        zh: "一个工作进程只能使用一个处理器：请求排队时其余处理器却处于空闲。",
    },
    remedy: Text {
        en: "Set worker_processes auto; in the main configuration, run nginx -t, then nginx -s reload.",
        zh: "在主配置中设置 worker_processes auto;，执行 nginx -t，然后 nginx -s reload。",
    },
    run,
};

/// Largest number of processors that is believed.
const PROCESSORS_MAX: u32 = 65_536;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let instances = readable(host)?;
    let processors = processors(host)?;
    Ok(instances.into_iter().map(|instance| judge(host, settings, instance, processors)).collect())
}

/// What the configuration says.
enum Wanted {
    Auto,
    Count(u32),
    Unclear(String),
}

fn judge(host: &Host, settings: &Settings<'_>, instance: &Instance, (processors, source): (u32, &str)) -> Found {
    let subject = instance.subject();
    let directive = instance.top("worker_processes");
    let (place, text) = directive.map_or_else(
        || ("default".to_owned(), "nginx: worker_processes 1 (ngx_core_module)".to_owned()),
        |directive| (directive.place().source(), directive.place().text),
    );
    let wanted = match directive.and_then(|directive| directive.arg(0)) {
        None => Wanted::Count(1),
        Some("auto") => Wanted::Auto,
        Some(text) => text.parse().map_or_else(|_| Wanted::Unclear(text.chars().take(50).collect()), Wanted::Count),
    };
    let count = match wanted {
        Wanted::Auto => processors,
        Wanted::Count(count) => count,
        Wanted::Unclear(text) => {
            let summary = words!("worker_processes \"{text}\" is no number", "worker_processes \"{text}\" 不是数字");
            return Found::new(subject, Status::Unknown, summary).evidence(place, text);
        }
    };
    let running = u32::try_from(instance.workers(host).len()).unwrap_or(u32::MAX);
    let is_auto = matches!(wanted, Wanted::Auto);
    let found = match instance.master {
        Some(_) if running == 0 => no_workers(&subject),
        Some(_) if running < count && !is_auto => too_few(&subject, running, count),
        Some(_) | None => {
            let share = 100.0 * f64::from(count) / f64::from(processors);
            let status = if is_auto { Status::Ok } else { settings.level(&subject, share) };
            let summary = words!(
                "nginx has {count} worker processes for {processors} processors",
                "nginx 有 {count} 个工作进程，处理器为 {processors} 个"
            );
            Found::new(&subject, status, summary)
        }
    };
    found
        .value(f64::from(if instance.master.is_some() { running } else { count }), "")
        .evidence(place, text)
        .evidence(source, format!("{processors} processors"))
        .detail("processors", f64::from(processors))
        .detail("configured", f64::from(count))
        .detail("edition", instance.told_by)
}

fn no_workers(subject: &str) -> Found {
    let summary = words!("nginx runs without any worker process", "nginx 主进程在运行，但没有任何工作进程");
    Found::new(subject, Status::Critical, summary)
        .impact(words!(
            "Nobody takes connections: every request hangs or is refused.",
            "没有进程接受连接：所有请求都会挂起或被拒绝。"
        ))
        .remedy(words!(
            "Look at the end of nginx's error_log for why workers exit, then restart nginx.",
            "查看 nginx 的 error_log 末尾，确认工作进程退出的原因，然后重启 nginx。"
        ))
}

fn too_few(subject: &str, running: u32, count: u32) -> Found {
    let summary =
        words!("{running} of {count} nginx worker processes run", "nginx 工作进程仅有 {running}/{count} 个在运行");
    Found::new(subject, Status::Warning, summary).remedy(words!(
        "Look at nginx's error_log for workers that exited (alert, signal); reload once the configuration is as it should be.",
        "在 nginx 的 error_log 中查找退出的工作进程（alert、signal）；确认配置无误后重新加载。"
    ))
}

/// How many processors there are, and what says so.
fn processors(host: &Host) -> Result<(u32, &'static str), Gap> {
    let online = "/sys/devices/system/cpu/online";
    if let Some(count) = host.read(online).ok().as_deref().and_then(ranges) {
        return Ok((count, online));
    }
    let info = host.must_read("/proc/cpuinfo")?;
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    match u32::try_from(count) {
        Ok(count @ 1..=PROCESSORS_MAX) => Ok((count, "/proc/cpuinfo")),
        Ok(_) | Err(_) => Err(Gap::Unknown(words!("/proc/cpuinfo lists no processors", "/proc/cpuinfo 未列出处理器"))),
    }
}

/// Counts `0-3,5`.
fn ranges(text: &str) -> Option<u32> {
    let mut count = 0_u32;
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    (1..=PROCESSORS_MAX).contains(&count).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn fixture(config: &str, online: &str, workers: u32) -> Fixture {
        let mut fixture = Fixture::live()
            .file("/etc/nginx/nginx.conf", config)
            .file("/sys/devices/system/cpu/online", online)
            .process(1, 'S', &["nginx: master process /usr/sbin/nginx"]);
        // The fixture's processes are children of 1.
        for pid in 0..workers {
            fixture = fixture.process(100 + pid, 'S', &["nginx: worker process"]);
        }
        fixture.process(900, 'S', &["nginx: worker process is shutting down"]).process(
            901,
            'S',
            &["nginx: cache manager process"],
        )
    }

    #[test]
    fn lb_24_workers_against_processors_and_against_what_runs() {
        for (config, online, workers, expected) in [
            ("worker_processes auto;", "0-7\n", 8, Status::Ok),
            ("worker_processes auto;", "0-7\n", 7, Status::Ok),
            ("worker_processes auto;", "0-7\n", 0, Status::Critical),
            ("worker_processes 4;", "0-7\n", 4, Status::Ok),
            ("worker_processes 4;", "0-7\n", 3, Status::Warning),
            ("worker_processes 3;", "0-7\n", 3, Status::Warning),
            ("", "0-7\n", 1, Status::Warning),
            ("", "0-1\n", 1, Status::Ok),
            ("worker_processes 2;", "0,2-3\n", 2, Status::Ok),
            ("worker_processes many;", "0-1\n", 1, Status::Unknown),
        ] {
            assert_eq!(fixture(config, online, workers).status(&CHECK), expected, "{config} {online} {workers}");
        }
    }

    #[test]
    fn lb_24_without_processors_or_without_nginx() {
        let cpuinfo = "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n";
        let plain = || Fixture::live().file("/etc/nginx/nginx.conf", "worker_processes 1;");
        assert_eq!(plain().file("/proc/cpuinfo", cpuinfo).status(&CHECK), Status::Ok);
        assert_eq!(plain().status(&CHECK), Status::Unknown);
        assert_eq!(
            plain().file("/proc/cpuinfo", "x").file("/sys/devices/system/cpu/online", "3-1").status(&CHECK),
            Status::Unknown
        );
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/etc/nginx/nginx.conf", "a\0").status(&CHECK), Status::Unknown);
        assert_eq!(ranges("0-4294967295"), None);
    }
}
