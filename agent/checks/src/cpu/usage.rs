//! How busy the processors are, over the time of the run.

use super::ticks::{no_time, passed};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "cpu.usage",
    title: Text { en: "Processor usage", zh: "处理器使用率" },
    reads: &["/proc/stat"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 85.0, 75.0, "%", "netdata health.d/cpu.conf, 10min_cpu_usage"),
        Param::above("critical", 95.0, 85.0, "%", "netdata health.d/cpu.conf, 10min_cpu_usage"),
    ],
    impact: Text {
        en: "Requests wait for a processor, and everything on this server gets slower.",
        zh: "请求需要等待处理器，此服务器上的一切都会变慢。",
    },
    remedy: Text {
        en: "Look at the busiest processes (top), then give them less work or the server more processors.",
        zh: "查看最繁忙的进程（top），然后减少其负载或为服务器增加处理器。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (ticks, stat) = passed(host)?;
    let usage = ticks.busy_percent().ok_or_else(no_time)?;
    let secs = stat.secs;
    let found = Found::new(
        "",
        settings.level("", usage),
        words!("processors are {usage:.0} % busy over {secs:.1} s", "处理器在 {secs:.1} 秒内繁忙 {usage:.0}%"),
    );
    Ok(vec![found.value(usage, "%").evidence("/proc/stat", stat.after.lines().next().unwrap_or_default())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    fn status(before: &str, after: &str) -> Status {
        Fixture::live().file("/proc/stat", before).later("/proc/stat", after).status(&CHECK)
    }

    #[test]
    fn cpu_01_usage_is_judged_over_the_run() {
        let before = "cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 1 1 1 1\n";
        for (after, expected) in [
            ("cpu  110 0 110 1080 0 0 0 0 0 0\n", Status::Ok),
            ("cpu  190 0 100 1010 0 0 0 0 0 0\n", Status::Warning),
            ("cpu  190 0 108 1002 0 0 0 0 0 0\n", Status::Critical),
            // Waiting for a disk is not being busy.
            ("cpu  100 0 100 1000 100 0 0 0 0 0\n", Status::Ok),
            // Nothing passed, and a counter that went back.
            (before, Status::Unknown),
            ("cpu  1 0 1 1 0 0 0 0 0 0\n", Status::Unknown),
            ("intr 1 2 3\n", Status::Unknown),
        ] {
            assert_eq!(status(before, after), expected, "{after}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
