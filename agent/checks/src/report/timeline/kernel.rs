//! What the kernel has complained about: memory that ran out, tasks that hung, disks that failed.

use super::{Confidence, Row, RowKind, Seen, WINDOW_SECS};
use crate::check::Text;
use crate::found::Gap;
use crate::host::{Host, KernelLog, KernelMessage};
use crate::words;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;

const TEXT_CHARS_MAX: usize = 200;
/// The same complaint within this time is one row.
const TOGETHER_SECS: u64 = 600;

/// The kernel's clock and the journal's differ a little.
const SAME_SECS: f64 = 5.0;

/// Words of a message, and what it means. The first that fits counts.
const SIGNS: [(&[&str], Text); 9] = [
    (
        &["Out of memory: Kill", "Memory cgroup out of memory: Kill"],
        Text { en: "memory ran out, a process was killed", zh: "内存耗尽，有进程被终止" },
    ),
    (&["blocked for more than"], Text { en: "a task hung", zh: "任务挂起" }),
    (
        &["soft lockup", "hard LOCKUP", "rcu: INFO: rcu_sched detected stall", "self-detected stall"],
        Text { en: "a processor hung", zh: "处理器卡死" },
    ),
    (
        &[
            "Remounting filesystem read-only",
            "EXT4-fs error",
            "BTRFS error",
            "BTRFS critical",
            "XFS: metadata",
            "Corruption of in-memory data",
            "Metadata corruption detected",
        ],
        Text { en: "file system error", zh: "文件系统错误" },
    ),
    (
        &["I/O error", "Medium Error", "critical medium error", "nvme nvme", "failed command:"],
        Text { en: "disk error", zh: "磁盘错误" },
    ),
    (&["Hardware Error", "Machine check", "mce: "], Text { en: "hardware error", zh: "硬件错误" }),
    (
        &[
            "nf_conntrack: table full",
            "neighbour: arp_cache: neighbor table overflow",
            "TCP: out of memory",
            "Possible SYN flooding",
        ],
        Text { en: "a table of the network is full", zh: "网络表已满" },
    ),
    (&["link is not ready", "Link is Down", "link down"], Text { en: "a network link went down", zh: "网络链路断开" }),
    (&["kernel BUG at", "BUG: ", "Oops: ", "Kernel panic"], Text { en: "fault of the kernel", zh: "内核故障" }),
];

pub(super) fn look(host: &Host) -> Seen {
    let mut seen = Seen::default();
    let log = match host.kernel_log() {
        Ok(log) => log,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
            seen.gaps.push(why);
            return seen;
        }
    };
    let earlier = earlier(host, log);
    let (mut undated, path) = (0_u64, &log.path);
    let mut groups: Vec<(Text, u64, &KernelMessage, UnixTime)> = Vec::new();
    for message in earlier.iter().chain(&log.messages) {
        let Some(sign) = sign(&message.text) else { continue };
        let Some(at) = message.age_secs.and_then(|age| moment(host.now(), age)) else {
            undated += 1;
            continue;
        };
        match groups.iter_mut().rev().find(|group| group.0 == sign) {
            Some((_, count, last, until)) if at.0 <= until.0.saturating_add(TOGETHER_SECS) => {
                *count += 1;
                (*last, *until) = (message, at.max(*until));
            }
            Some(_) | None => groups.push((sign, 1, message, at)),
        }
    }
    seen.rows = groups.into_iter().map(|(sign, count, message, at)| row(sign, count, message, at)).collect();
    if undated > 0 {
        seen.gaps.push(words!(
            "{path}: {undated} complaints of the kernel have no time that can be read; they are not in the timeline",
            "{path}：{undated} 条内核报错没有可识别的时间，未列入时间线"
        ));
    }
    seen
}

/// What the journal keeps from before: the kernel forgets at a restart, and when its buffer is full.
pub(super) fn earlier(host: &Host, log: &KernelLog) -> Vec<KernelMessage> {
    let oldest = log.messages.first().and_then(|message| message.age_secs);
    match (oldest, host.kernel_journal()) {
        (Some(oldest), Ok(journal)) if journal.path != log.path => {
            let is_earlier = |message: &KernelMessage| message.age_secs.is_some_and(|age| age > oldest + SAME_SECS);
            journal.messages.into_iter().filter(is_earlier).collect()
        }
        (Some(_) | None, Ok(_) | Err(_)) => Vec::new(),
    }
}

fn sign(text: &str) -> Option<Text> {
    SIGNS.iter().find(|(words, _)| words.iter().any(|word| text.contains(word))).map(|(_, meaning)| *meaning)
}

pub(super) fn moment(now: UnixTime, age_secs: f64) -> Option<UnixTime> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bounded by the window"
    )]
    let age = (0.0..=WINDOW_SECS as f64).contains(&age_secs).then_some(age_secs.round() as u64);
    age.map(|age| UnixTime(now.0.saturating_sub(age)))
}

fn row(sign: Text, count: u64, message: &KernelMessage, at: UnixTime) -> Row {
    let (en, zh, text) = (sign.en, sign.zh, one_line(&message.text, TEXT_CHARS_MAX));
    let times = if count > 1 {
        words!(" ({count} times, the last)", "（{count} 次，最近一次）")
    } else {
        words!("", "")
    };
    let (times_en, times_zh) = (times.en, times.zh);
    Row {
        at,
        kind: RowKind::Kernel,
        what: words!("{en}{times_en}: {text}", "{zh}{times_zh}：{text}"),
        evidence: message.source.clone(),
        // Its clock stands still while a host sleeps.
        confidence: Confidence::Medium,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;
    use crate::report::Step;

    #[test]
    fn chk_complaints_of_the_kernel_are_rows() {
        let log = "6,1,1000000,-;Linux version 6.1\n3,2,5000000000,-;Out of memory: Killed process 42 (java) total-vm:1kB\n\
                   3,3,5000000001,-;INFO: task jbd2/vda1-8:310 blocked for more than 120 seconds.\n\
                   3,4,5000000002,-;INFO: task jbd2/vda1-8:311 blocked for more than 120 seconds.\n\
                   2,5,5000000003,-;EXT4-fs error (device vda1): ext4_find_entry:1455\n3,6,x,-;I/O error\n";
        let fixture = Fixture::live().file("/dev/kmsg", log).file("/proc/uptime", "6000.00 1.0\n");
        let seen = super::super::look(&Step::Kernel, &fixture.host());
        let told: Vec<_> = seen.rows.iter().map(|row| row.what.en.as_str()).collect();
        assert_eq!(seen.rows.len(), 3, "{told:?}");
        assert!(
            told.contains(
                &"memory ran out, a process was killed: Out of memory: Killed process 42 (java) total-vm:1kB"
            ),
            "{told:?}"
        );
        assert!(
            told.iter().any(|text| text.starts_with("a task hung (2 times, the last): INFO: task jbd2/vda1-8:311")),
            "{told:?}"
        );
        assert_eq!(seen.rows[0].at, UnixTime(1_767_225_600 - 1000));
    }

    #[test]
    fn chk_complaints_before_the_last_restart_come_from_the_journal() {
        let log = "6,1,1000000,-;Linux version 6.1\n3,2,900000000,-;I/O error, dev sda\n";
        let fixture = recorded(Fixture::live(), "regular").file("/dev/kmsg", log).file("/proc/uptime", "1000.00 1.0\n");
        let seen = super::super::look(&Step::Kernel, &fixture.host());
        let told: Vec<_> = seen.rows.iter().map(|row| (row.what.en.as_str(), 1_767_225_600 - row.at.0)).collect();
        let killed = "memory ran out, a process was killed: Out of memory: Killed process 812 (java) total-vm:8123kB";
        assert_eq!(told, [("disk error: I/O error, dev sda", 100), (killed, 4199)]);
    }

    #[test]
    fn chk_complaints_without_a_time_are_said_and_not_guessed() {
        let fixture = Fixture::image().file("/var/log/kern.log", "Dec 31 23:59:50 web1 kernel: I/O error, dev sda\n");
        let seen = look(&fixture.host());
        assert!(seen.rows.is_empty() && seen.gaps[0].en.starts_with("/var/log/kern.log: 1 complaints"), "{seen:?}");
        assert_eq!(moment(UnixTime(5), f64::NAN), None);
        assert_eq!(moment(UnixTime(5), 10.0), Some(UnixTime(0)));
        assert_eq!(look(&Fixture::image().host()).gaps.len(), 1);
    }
}
