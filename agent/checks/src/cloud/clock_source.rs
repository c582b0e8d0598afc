//! Where the kernel takes the time from: a slow source makes every question for the time slow.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "cloud.clock-source",
    title: Text { en: "Clock source of the kernel", zh: "内核时钟源" },
    reads: &["/sys/devices/system/clocksource/clocksource0/"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "Programs ask for the time many thousand times a second; here each question is a call into the kernel, which costs \
             processor time and latency.",
        zh: "程序每秒会读取成千上万次时间；该时钟源每次都需陷入内核，增加 CPU 开销与延迟。",
    },
    remedy: Text {
        en: "Look in dmesg why the kernel left the fast source (\"clocksource: ... unstable\"). Try echo SOURCE > \
             .../current_clocksource; if it is marked unstable again, move the instance to another host or open a ticket.",
        zh: "在 dmesg 中查看内核弃用快速时钟源的原因（\"clocksource: ... unstable\"）。可尝试 echo 时钟源 > .../current_clocksource；若再次被标记为不稳定，请迁移实例或提交工单。",
    },
    run,
};

const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
/// Each reading leaves the processor, and often the virtual machine (kernel Documentation/timers/timekeeping.rst).
const SLOW: [&str; 5] = ["hpet", "acpi_pm", "jiffies", "pit", "refined-jiffies"];
/// Those that programs read without the kernel's help.
const FAST: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let source = format!("{FOLDER}/current_clocksource");
    let current = host.must_read(&source)?.trim().to_owned();
    if current.is_empty() {
        return Err(Gap::Unknown(words!("{source} is empty", "{source} 为空")));
    }
    let others = host.read(&format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    let faster = others.split_ascii_whitespace().find(|name| FAST.contains(name)).unwrap_or("none");
    let found = if SLOW.contains(&current.as_str()) {
        let summary = words!(
            "the kernel takes the time from {current}, which is slow (faster and available: {faster})",
            "内核时钟源为 {current}，速度较慢（可用的更快时钟源：{faster}）"
        );
        Found::new("", Status::Warning, summary)
    } else {
        Found::new("", Status::Ok, words!("the kernel takes the time from {current}", "内核时钟源为 {current}"))
    };
    Ok(vec![found.evidence(source, current).evidence(format!("{FOLDER}/available_clocksource"), others)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn cld_06_a_slow_clock_source_is_a_warning() {
        for (current, expected) in [
            ("kvm-clock\n", Status::Ok),
            ("tsc\n", Status::Ok),
            ("xen\n", Status::Ok),
            ("acpi_pm\n", Status::Warning),
            ("hpet\n", Status::Warning),
            ("\n", Status::Unknown),
        ] {
            let fixture = Fixture::live()
                .file(&format!("{FOLDER}/current_clocksource"), current)
                .file(&format!("{FOLDER}/available_clocksource"), "kvm-clock tsc acpi_pm \n");
            assert_eq!(fixture.status(&CHECK), expected, "{current}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
