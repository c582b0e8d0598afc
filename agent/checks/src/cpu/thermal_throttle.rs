//! Processors that slow themselves down because they are too hot.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "cpu.thermal-throttle",
    title: Text { en: "Processors slowed down by heat", zh: "处理器因过热降频" },
    reads: &[
        "/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count",
        "/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count",
    ],
    needs: Needs::RATES,
    params: &[Param::above("warning", 0.0, 0.0, "times", "any: a processor that is cooled well never does it")],
    impact: Text {
        en: "The processors run slower than they could, and hardware that stays hot fails earlier.",
        zh: "处理器的运行速度低于正常水平，长期高温还会缩短硬件寿命。",
    },
    remedy: Text {
        en: "Check fans, air flow, dust and the temperature of the room; look at the temperature check.",
        zh: "检查风扇、风道、积灰和机房温度，并查看温度检查结果。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let paths = ["core", "package"]
        .into_iter()
        .map(|kind| host.glob(&format!("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/{kind}_throttle_count")));
    let paths: Vec<String> = paths.collect::<Result<Vec<_>, _>>()?.concat();
    if paths.is_empty() {
        return Err(Gap::NotHere(words!(
            "these processors do not say when heat slows them down (virtual machines never do)",
            "这些处理器不提供过热降频计数（虚拟机均不提供）"
        )));
    }
    let (mut rise, mut most, mut secs): (u64, (u64, String), f64) = (0, (0, String::new()), 0.0);
    for path in paths {
        let twice = host.twice(&path)?;
        let (Ok(before), Ok(after)) = (twice.before.trim().parse::<u64>(), twice.after.trim().parse::<u64>()) else {
            return Err(Gap::Unknown(words!("{path} holds no number", "{path} 中没有数值")));
        };
        rise = rise.saturating_add(after.saturating_sub(before));
        secs = twice.secs;
        most = most.max((after, path));
    }
    let (most, path) = most;
    let count = u32::try_from(rise).unwrap_or(u32::MAX);
    let summary = words!(
        "heat slowed processors down {rise} times over {secs:.1} s, one of them {most} times since boot",
        "{secs:.1} 秒内处理器因过热降频 {rise} 次；自启动以来单个处理器最多 {most} 次"
    );
    let status = settings.level("", f64::from(count));
    let found =
        if status == Status::Ok && most > 0 { Found::advice("", summary) } else { Found::new("", status, summary) };
    Ok(vec![found.value(f64::from(count), "times").evidence(path, most.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn cpu_08_heat_that_slows_processors_down() {
        let core = "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
        for (before, after, expected, note) in [
            ("0\n", "0\n", Status::Ok, false),
            // It was too hot at some time since boot.
            ("7\n", "7\n", Status::Ok, true),
            ("7\n", "9\n", Status::Warning, false),
            ("7\n", "many\n", Status::Unknown, false),
        ] {
            let findings = Fixture::live().file(core, before).later(core, after).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{before}{after}");
        }
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
