//! How much of the last minute some task waited for a processor, as the kernel averages it.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "cpu.pressure",
    title: Text { en: "Time that tasks waited for a processor", zh: "任务等待处理器的时间" },
    reads: &["/proc/pressure/cpu"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 20.0, 15.0, "%", "our recommendation: a fifth of the time somebody waits"),
        Param::above("critical", 50.0, 40.0, "%", "our recommendation: half of the time somebody waits"),
    ],
    impact: Text {
        en: "Ready work stands in line for a processor; this time is added to the answers of every service here.",
        zh: "就绪的任务在排队等待处理器，这段时间会直接计入本机各项服务的响应时间。",
    },
    remedy: Text {
        en: "Look at the busiest processes (top) and at limits of services (systemd-cgtop), then give them less work or the server more processors.",
        zh: "查看最繁忙的进程（top）以及各服务的资源占用（systemd-cgtop），然后减少负载或为服务器增加处理器。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let pressure = host.pressure("cpu")?;
    let share = pressure.some.avg60;
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "tasks waited for a processor {share:.0} % of the last minute",
            "最近 1 分钟内有 {share:.0}% 的时间存在任务等待处理器"
        ),
    );
    Ok(vec![
        found
            .value(share, "%")
            .evidence(&pressure.path, &pressure.text)
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
    fn cpu_05_pressure_of_the_last_minute() {
        for (share, expected) in
            [("3.88", Status::Ok), ("20.01", Status::Warning), ("50.01", Status::Critical), ("nan", Status::Unknown)]
        {
            let text = format!(
                "some avg10=99.00 avg60={share} avg300=0.00 total=8940172927\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
            );
            assert_eq!(Fixture::live().file("/proc/pressure/cpu", text).status(&CHECK), expected, "{share}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/proc/pressure/cpu", "").status(&CHECK), Status::Unknown);
    }
}
