//! How much of the last minute tasks stood still for lack of memory, as the kernel averages it.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "memory.pressure",
    title: Text { en: "Time that tasks stood still for lack of memory", zh: "任务因内存不足而停顿的时间" },
    reads: &["/proc/pressure/memory"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 10.0, 5.0, "%", "our recommendation, for some tasks; systemd-oomd acts at 60 %"),
        Param::above("critical", 5.0, 2.0, "%", "our recommendation, for all tasks at once"),
    ],
    impact: Text {
        en: "Programs wait while the kernel looks for memory; this comes before swapping storms and killed processes.",
        zh: "程序需要等待内核回收内存，这通常是换页风暴和进程被杀的前兆。",
    },
    remedy: Text {
        en: "Find the largest processes (ps -eo pid,rss,comm --sort=-rss | head) and services (systemd-cgtop -m); give them limits, move one away, or add memory.",
        zh: "找出占用最大的进程（ps -eo pid,rss,comm --sort=-rss | head）和服务（systemd-cgtop -m）；为其设置限额、迁走部分服务，或增加内存。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let pressure = host.pressure("memory")?;
    let path = &pressure.path;
    let full = pressure
        .full
        .ok_or_else(|| Gap::Unknown(words!("{path} has no line \"full\"", "{path} 中没有 \"full\" 行")))?;
    let (some, all) = (pressure.some.avg60, full.avg60);
    let status = settings.level_of("", some, "warning", "").max(settings.level_of("", all, "", "critical"));
    let found = Found::new(
        "",
        status,
        words!(
            "some tasks stood still for lack of memory {some:.0} % of the last minute, all of them {all:.0} %",
            "最近 1 分钟内有 {some:.0}% 的时间存在任务因内存不足而停顿，全部任务停顿的时间占 {all:.0}%"
        ),
    );
    Ok(vec![
        found
            .value(some, "%")
            .evidence(path, &pressure.text)
            .detail("all_tasks_percent", all)
            .detail("last_10_s", pressure.some.avg10)
            .detail("last_5_min", pressure.some.avg300),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn mem_06_pressure_of_the_last_minute() {
        for (some, full, expected) in [
            ("0.18", "0.14", Status::Ok),
            ("10.50", "4.00", Status::Warning),
            ("10.50", "5.50", Status::Critical),
            ("", "0.00", Status::Unknown),
        ] {
            let text = format!(
                "some avg10=0.36 avg60={some} avg300=0.87 total=1\nfull avg10=0.36 avg60={full} avg300=0.34 total=2\n"
            );
            assert_eq!(Fixture::live().file("/proc/pressure/memory", text).status(&CHECK), expected, "{some} {full}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        let half = Fixture::live().file("/proc/pressure/memory", "some avg10=0 avg60=0 avg300=0 total=1\n");
        assert_eq!(half.status(&CHECK), Status::Unknown);
    }
}
