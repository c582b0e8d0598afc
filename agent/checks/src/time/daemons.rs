//! Who sets the clock: one daemon, not none and not two.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "time.daemons",
    title: Text { en: "Time daemons", zh: "时间同步服务" },
    reads: &["/proc/*/stat", "/proc/*/cmdline"],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 1.0, 1.0, "", "Lynis TIME-3104: one daemon, and only one")],
    impact: Text {
        en: "Nobody corrects the clock of this server: it drifts by seconds a day.",
        zh: "没有程序校正此服务器的时钟，时钟每天会漂移数秒。",
    },
    remedy: Text {
        en: "Install and start one: apt install chrony, dnf install chrony, or systemctl enable --now systemd-timesyncd.",
        zh: "安装并启动其中一个：apt install chrony、dnf install chrony，或 systemctl enable --now systemd-timesyncd。",
    },
    run,
};

/// Programs, and what they are called.
const DAEMONS: [(&str, &str); 7] = [
    ("chronyd", "chrony"),
    ("ntpd", "ntpd"),
    ("openntpd", "ntpd"),
    ("systemd-timesyncd", "systemd-timesyncd"),
    ("ptp4l", "linuxptp"),
    ("phc2sys", "linuxptp"),
    // The hypervisor's tools can set the clock too; whether they do is its setting.
    ("vmtoolsd", "VMware Tools"),
];
const MAYBE: &str = "VMware Tools";
/// Files that container engines leave in each of their containers.
const CONTAINER_MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    if CONTAINER_MARKS.iter().any(|mark| host.exists(mark)) {
        return Err(Gap::NotHere(words!("this is a container; the clock is its host's", "这是容器，时钟由宿主机管理")));
    }
    let mut running: BTreeMap<&str, u32> = BTreeMap::new();
    for process in crate::process::all(host)? {
        // Only a kernel or a dead process has no arguments, and any may call itself ntpd.
        let daemon = DAEMONS.iter().find(|(program, _)| !process.argv.is_empty() && *program == process.program());
        if let Some((_, name)) = daemon {
            running.entry(name).or_insert(process.pid);
        }
    }
    let maybe = running.remove(MAYBE).is_some();
    Ok(vec![judge(settings, &running, maybe)])
}

fn judge(settings: &Settings<'_>, running: &BTreeMap<&str, u32>, maybe: bool) -> Found {
    let names = running.keys().copied().collect::<Vec<_>>().join(", ");
    let list = running.iter().map(|(name, pid)| format!("{name}: process {pid}")).collect::<Vec<_>>().join(", ");
    let count = running.len();
    #[expect(clippy::cast_precision_loss, reason = "kinds of daemons")]
    let number = count as f64;
    match count {
        0 if maybe => Found::new(
            "",
            Status::Unknown,
            words!(
                "no time daemon runs; VMware Tools may set the clock, which its host's settings say",
                "没有时间同步服务在运行；VMware Tools 可能负责校时，取决于宿主机设置"
            ),
        ),
        0 => Found::new("", Status::Warning, words!("no time daemon runs", "没有时间同步服务在运行"))
            .value(number, "")
            .evidence("/proc", "no chronyd, ntpd, systemd-timesyncd or ptp4l"),
        _ => {
            let status = settings.level("", number);
            if status == Status::Ok {
                return Found::new("", status, words!("{names} sets the clock", "由 {names} 校时")).value(number, "");
            }
            Found::new(
                "",
                status,
                words!("{count} time daemons run: {names}", "有 {count} 个时间同步服务同时运行：{names}"),
            )
            .value(number, "")
            .evidence("/proc", list)
            .impact(words!(
                "They correct the clock against each other: it jumps to and fro, and none of them notices.",
                "它们会互相干扰校时，导致时钟来回跳动，且都无法察觉。"
            ))
            .remedy(words!(
                "Keep one, best chrony, and stop the others: systemctl disable --now systemd-timesyncd.",
                "只保留一个（建议 chrony），停用其余：systemctl disable --now systemd-timesyncd。"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn tim_03_one_daemon_sets_the_clock() {
        let chrony = ["/usr/sbin/chronyd", "-F", "1"];
        for (running, expected) in [
            (&[][..], Status::Warning),
            (&[&chrony[..], &chrony[..]][..], Status::Ok),
            (&[&["ntpd: ntp engine"][..], &["ntpd: dns engine"][..]][..], Status::Ok),
            (&[&chrony[..], &["/lib/systemd/systemd-timesyncd"][..]][..], Status::Warning),
            (&[&["/usr/bin/vmtoolsd"][..]][..], Status::Unknown),
        ] {
            let host = Fixture::live().process(1, 'S', &["/sbin/init"]);
            let pids = 10_u32..;
            let host = pids.zip(running).fold(host, |host, (pid, argv)| host.process(pid, 'S', argv));
            assert_eq!(host.status(&CHECK), expected, "{running:?}");
        }
        assert!(Fixture::live().file("/.dockerenv", "").has_none_of(&CHECK));
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
