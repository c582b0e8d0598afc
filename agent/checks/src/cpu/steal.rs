//! How much processor time other guests of the same machine took, over the time of the run.

use super::ticks::{Use, no_time, passed};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "cpu.steal",
    title: Text { en: "Processor time taken by other guests", zh: "被其他虚拟机占用的处理器时间" },
    reads: &["/proc/stat"],
    needs: Needs::RATES,
    params: &[Param::above("warning", 10.0, 5.0, "%", "netdata health.d/cpu.conf, 20min_steal_cpu")],
    impact: Text {
        en: "This server is ready to work but the machine below it serves others first; everything gets slower and nothing inside explains it.",
        zh: "本机有任务要运行，但宿主机优先服务了其他虚拟机；所有请求都会变慢，而且在系统内部找不到原因。",
    },
    remedy: Text {
        en: "Check whether this is a burstable instance that has used up its credits. Otherwise stop and start it, so that it moves to another machine, or take a type with dedicated processors.",
        zh: "先确认是否为已耗尽积分的突发性能实例；否则停止并重新启动实例，使其迁移到其他宿主机，或改用独享处理器的规格。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let (ticks, stat) = passed(host)?;
    let stolen = ticks.percent(Use::Steal).ok_or_else(no_time)?;
    let secs = stat.secs;
    let found = Found::new(
        "",
        settings.level("", stolen),
        words!(
            "other guests of this machine took {stolen:.0} % of the processor time over {secs:.1} s",
            "{secs:.1} 秒内有 {stolen:.0}% 的处理器时间被同一宿主机上的其他虚拟机占用"
        ),
    );
    Ok(vec![found.value(stolen, "%").evidence("/proc/stat", stat.after.lines().next().unwrap_or_default())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn cpu_02_time_that_others_took() {
        let before = "cpu  100 0 100 1000 0 0 0 50 0 0\n";
        for (after, expected) in [
            ("cpu  150 0 100 1050 0 0 0 50 0 0\n", Status::Ok),
            ("cpu  150 0 100 1030 0 0 0 70 0 0\n", Status::Warning),
            ("cpu  110 0 110 1070 0 0 0 60 0 0\n", Status::Ok),
            (before, Status::Unknown),
            ("cpu  x 0 100 1030 0 0 0 70 0 0\n", Status::Unknown),
            ("", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/proc/stat", before).later("/proc/stat", after);
            assert_eq!(fixture.status(&CHECK), expected, "{after}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
    }
}
