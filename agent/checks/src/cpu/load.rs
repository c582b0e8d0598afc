//! The load averages of 1, 5 and 15 minutes, against the number of processors.
//!
//! Load counts tasks that wait for a disk as well (state D), so how many of these there are is told apart.

use super::ticks::Ticks;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "cpu.load",
    title: Text { en: "Load average", zh: "平均负载" },
    reads: &["/proc/loadavg", "/proc/stat", "/proc/PID/stat"],
    needs: Needs::LIVE,
    params: &[
        Param::above("load15", 2.0, 1.75, "per processor", "netdata health.d/load.conf, load_average_15"),
        Param::above("load5", 4.0, 3.5, "per processor", "netdata health.d/load.conf, load_average_5"),
        Param::above("load1", 8.0, 7.0, "per processor", "netdata health.d/load.conf, load_average_1"),
    ],
    impact: Text {
        en: "More tasks want to run than the server can; requests queue up and time out.",
        zh: "等待运行的任务多于服务器的处理能力，请求会排队并超时。",
    },
    remedy: Text {
        en: "Look at the busiest processes (top), then give them less work or the server more processors.",
        zh: "查看最繁忙的进程（top），然后减少其负载或为服务器增加处理器。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let text = host.must_read("/proc/loadavg")?;
    let stat = host.must_read("/proc/stat")?;
    let loads: Vec<f64> = text.split_ascii_whitespace().take(3).map_while(|load| load.parse().ok()).collect();
    let processors = stat.lines().filter_map(Ticks::of_line).filter(|(name, _)| *name != "cpu").count();
    let (&[load1, load5, load15], true) = (loads.as_slice(), processors > 0) else {
        return Err(Gap::Unknown(words!(
            "/proc/loadavg or /proc/stat cannot be understood",
            "无法解析 /proc/loadavg 或 /proc/stat"
        )));
    };
    let each = |load: f64| load / f64::from(u32::try_from(processors).unwrap_or(u32::MAX));
    let status = [("load1", load1), ("load5", load5), ("load15", load15)]
        .into_iter()
        .map(|(name, load)| settings.level_of("", each(load), name, ""))
        .max()
        .unwrap_or(Status::Unknown);
    let blocked = host.processes().iter().filter(|process| process.state == 'D').count();
    let found = Found::new(
        "",
        status,
        words!(
            "load averages of 1, 5 and 15 minutes are {load1:.1}, {load5:.1}, {load15:.1} on {processors} processors; {blocked} processes wait for a disk",
            "1、5、15 分钟平均负载为 {load1:.1}、{load5:.1}、{load15:.1}，处理器 {processors} 个；{blocked} 个进程在等待磁盘"
        ),
    )
    .value(each(load15), "per processor")
    .evidence("/proc/loadavg", &text)
    .detail("blocked_processes", f64::from(u32::try_from(blocked).unwrap_or(u32::MAX)));
    // Half of it and more: it is not the processors that are short.
    if blocked > 0 && f64::from(u32::try_from(blocked).unwrap_or(u32::MAX)) >= load1 / 2.0 && status > Status::Unknown {
        return Ok(vec![found.remedy(words!(
            "Most of this load waits for disks and not for processors: look at the disk checks and at hung network file systems (ps -eo state,pid,wchan:32,comm | grep ^D).",
            "负载大部分在等待磁盘而不是处理器：请查看磁盘类检查结果以及是否有挂起的网络文件系统（ps -eo state,pid,wchan:32,comm | grep ^D）。"
        ))]);
    }
    Ok(vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn cpu_04_load_is_judged_per_processor() {
        let two = "cpu  9 0 0 9 0 0 0 0 0 0\ncpu0 4 0 0 5 0 0 0 0 0 0\ncpu1 5 0 0 4 0 0 0 0 0 0\nintr 1\n";
        for (loadavg, stat, expected) in [
            ("0.10 0.20 0.30 1/594 12345\n", two, Status::Ok),
            ("5.00 5.00 4.20 1/594 12345\n", two, Status::Warning),
            ("5.00 8.20 1.00 1/594 12345\n", two, Status::Warning),
            ("16.10 5.00 1.00 1/594 12345\n", two, Status::Warning),
            ("16.00 8.00 4.00 1/594 12345\n", two, Status::Ok),
            ("0.10 0.20 0.30 1/594 12345\n", "intr 1\n", Status::Unknown),
            ("0.10 much\n", two, Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/proc/loadavg", loadavg).file("/proc/stat", stat);
            assert_eq!(fixture.status(&CHECK), expected, "{loadavg}");
        }
        assert_eq!(Fixture::live().file("/proc/stat", two).status(&CHECK), Status::Unknown);
    }

    #[test]
    fn cpu_04_load_of_disks_is_told_apart() {
        let fixture = Fixture::live()
            .file("/proc/loadavg", "3.00 3.00 3.00 1/9 9\n")
            .file("/proc/stat", "cpu0 4 0 0 5\n")
            .process(10, 'D', &["cp"])
            .process(11, 'D', &["cp"]);
        let findings = fixture.run(&CHECK);
        assert!(findings[0].remedy.en.contains("disks"), "{findings:?}");
    }
}
