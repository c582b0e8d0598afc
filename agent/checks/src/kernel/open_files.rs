//! How many files are open on the whole host, against the kernel's limit.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::run::Settings;
use crate::words;

const PATH: &str = "/proc/sys/fs/file-nr";

pub(crate) const CHECK: Check = Check {
    id: "kernel.open-files",
    title: Text { en: "Open files against the kernel's limit", zh: "打开文件数与系统上限" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 70.0, 60.0, "%", "node-mixin, NodeFileDescriptorLimit"),
        Param::above("critical", 90.0, 80.0, "%", "node-mixin, NodeFileDescriptorLimit"),
    ],
    impact: Text {
        en: "At the limit no program on this server can open a file or accept a connection.",
        zh: "达到上限后，服务器上所有程序都无法再打开文件或接受连接。",
    },
    remedy: Text {
        en: "Find who holds them (ls /proc/PID/fd | wc -l, lsof); raise fs.file-max (sysctl -w fs.file-max=N and /etc/sysctl.d) if it was set low.",
        zh: "找出占用者（ls /proc/PID/fd | wc -l，或 lsof）；若 fs.file-max 设置过低则调高（sysctl -w fs.file-max=N 并写入 /etc/sysctl.d）。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let text = host.must_read(PATH)?;
    // Allocated, allocated but unused (0 since Linux 2.6), and the limit.
    let numbers: Option<Vec<u64>> = text.split_ascii_whitespace().map(|number| number.parse().ok()).collect();
    let Some([open, unused, limit]) = numbers.as_deref() else {
        return Err(Gap::Unknown(words!("{PATH} cannot be understood", "无法解析 {PATH}")));
    };
    let open = open.saturating_sub(*unused);
    let share = percent(open, *limit)
        .ok_or_else(|| Gap::Unknown(words!("{PATH} says that the limit is 0", "{PATH} 显示上限为 0")))?;
    let found = Found::new(
        "",
        settings.level("", share),
        words!(
            "{open} files are open, {share:.0} % of the limit of {limit}",
            "已打开文件 {open} 个，为上限 {limit} 的 {share:.0}%"
        ),
    );
    Ok(vec![found.value(share, "%").evidence(PATH, &text)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    #[test]
    fn krn_07_open_files() {
        for (text, expected) in [
            ("594\t0\t9223372036854775807\n", Status::Ok),
            ("75\t0\t100\n", Status::Warning),
            ("95\t0\t100\n", Status::Critical),
            ("95\t50\t100\n", Status::Ok),
            ("95\t0\n", Status::Unknown),
            ("95\t0\t0\n", Status::Unknown),
            ("a b c\n", Status::Unknown),
        ] {
            assert_eq!(Fixture::live().file(PATH, text).status(&CHECK), expected, "{text}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
