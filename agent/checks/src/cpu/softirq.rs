//! Whether one processor alone handles the interrupts of the network while others have nothing to do.

use super::ticks::Ticks;
use super::ticks::{Use, no_time};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Twice};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "cpu.softirq",
    title: Text { en: "Interrupts that one processor handles alone", zh: "中断集中在单个处理器" },
    reads: &["/proc/stat", "/proc/interrupts"],
    needs: Needs::RATES,
    params: &[
        Param::above("warning", 80.0, 70.0, "%", "our recommendation: the busiest processor is nearly full"),
        Param::plain("others", 30.0, "%", "our recommendation: another processor still has room"),
    ],
    impact: Text {
        en: "The network is limited by one processor: packets are dropped and answers are late although the server looks idle.",
        zh: "网络处理能力受限于单个处理器：即使服务器整体空闲，也会丢包、响应变慢。",
    },
    remedy: Text {
        en: "Let more processors take packets: ethtool -l IFACE and ethtool -L IFACE combined N, irqbalance, or receive packet steering (/sys/class/net/IFACE/queues/rx-*/rps_cpus).",
        zh: "让更多处理器参与收包：使用 ethtool -l 网卡 查看并用 ethtool -L 网卡 combined N 增加队列，启用 irqbalance，或配置 RPS（/sys/class/net/网卡/queues/rx-*/rps_cpus）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let stat = host.twice("/proc/stat")?;
    let before: BTreeMap<&str, Ticks> = stat.before.lines().filter_map(Ticks::of_line).collect();
    let each = stat.after.lines().filter_map(|line| {
        let (name, ticks) = Ticks::of_line(line).filter(|(name, _)| *name != "cpu")?;
        Some((ticks.since(*before.get(name)?).percent(Use::SoftIrq)?, name, line))
    });
    let mut each: Vec<_> = each.collect();
    each.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((most, name, line)), Some((least, _, _))) = (each.last(), each.first()) else { return Err(no_time()) };
    if each.len() < 2 {
        return Err(Gap::NotHere(words!("there is only one processor", "只有一个处理器")));
    }
    let uneven = *least < settings.number("others");
    let status = if uneven { settings.level("", *most) } else { Status::Ok };
    let found = Found::new(
        "",
        status,
        words!(
            "the processor busiest with interrupts ({name}) spent {most:.0} % of its time on them, the least busy {least:.0} %, over {:.1} s",
            "{:.1} 秒内，处理中断最多的处理器（{name}）有 {most:.0}% 的时间用于软中断，最少的为 {least:.0}%",
            stat.secs
        ),
    );
    let found = found.value(*most, "%").evidence("/proc/stat", line);
    let busiest = host.twice("/proc/interrupts").ok().and_then(|twice| busiest_interrupt(&twice, name));
    Ok(vec![match busiest.filter(|_| status > Status::Unknown) {
        Some(interrupt) => found.evidence("/proc/interrupts", interrupt),
        None => found,
    }])
}

/// The line of the interrupt that came most often to a processor.
fn busiest_interrupt(twice: &Twice, processor: &str) -> Option<String> {
    let column =
        twice.after.lines().next()?.split_ascii_whitespace().position(|name| name.eq_ignore_ascii_case(processor))?;
    let counts = |text: &str| -> BTreeMap<String, (u64, String)> {
        let lines = text.lines().skip(1).filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let count = rest.split_ascii_whitespace().nth(column)?.parse().ok()?;
            let what = rest.split_ascii_whitespace().skip_while(|field| field.parse::<u64>().is_ok());
            Some((name.trim().to_owned(), (count, what.collect::<Vec<_>>().join(" "))))
        });
        lines.collect()
    };
    let before = counts(&twice.before);
    let rises = counts(&twice.after).into_iter().map(|(name, (count, what))| {
        let rise = count.saturating_sub(before.get(&name).map_or(0, |(count, _)| *count));
        (rise, format!("{name}: {rise} times on {processor}: {what}"))
    });
    rises.max().filter(|(rise, _)| *rise > 0).map(|(_, line)| line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn cpu_06_one_processor_takes_all_interrupts() {
        let before = "cpu  0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0\n";
        for (after, expected) in [
            ("cpu  0 0 0 0\ncpu0 10 0 0 0 0 0 90 0\ncpu1 0 0 0 95 0 0 5 0\n", Status::Warning),
            // All are as busy: that is not for the network card to mend.
            ("cpu  0 0 0 0\ncpu0 10 0 0 0 0 0 90 0\ncpu1 0 0 0 10 0 0 90 0\n", Status::Ok),
            ("cpu  0 0 0 0\ncpu0 10 0 0 85 0 0 5 0\ncpu1 0 0 0 95 0 0 5 0\n", Status::Ok),
            (before, Status::Unknown),
            ("", Status::Unknown),
        ] {
            let fixture = Fixture::live().file("/proc/stat", before).later("/proc/stat", after);
            assert_eq!(fixture.status(&CHECK), expected, "{after}");
        }
        let one = Fixture::live().file("/proc/stat", "cpu0 0 0 0 0\n").later("/proc/stat", "cpu0 0 0 0 9\n");
        assert!(one.has_none_of(&CHECK));
    }

    #[test]
    fn cpu_06_the_interrupt_is_named() {
        let fixture = Fixture::live()
            .file("/proc/stat", "cpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0\n")
            .later("/proc/stat", "cpu0 1 0 0 0 0 0 9 0\ncpu1 0 0 0 10 0 0 0 0\n")
            .file("/proc/interrupts", "            CPU0       CPU1\n 24:     100    5   PCI-MSI 1-edge      virtio0-input.0\nLOC:  900 7   Local timer interrupts\n")
            .later("/proc/interrupts", "            CPU0       CPU1\n 24:     900    5   PCI-MSI 1-edge      virtio0-input.0\nLOC:  990 7   Local timer interrupts\n");
        let findings = fixture.run(&CHECK);
        assert!(findings[0].evidence[1].text.ends_with("virtio0-input.0"), "{findings:?}");
    }
}
