//! Whether the last start came after a shutdown, or out of the blue: a crash, a reset, a power cut.
//!
//! `/var/log/wtmp` holds a record of each start and of each shutdown; a start that follows a start was not planned.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

const PATH: &str = "/var/log/wtmp";

pub(crate) const CHECK: Check = Check {
    id: "kernel.unexpected-reboot",
    title: Text { en: "Start without a shutdown before it", zh: "非正常重启" },
    reads: &[PATH],
    needs: Needs::LIVE,
    params: &[Param::plain("past", 86_400.0, "s", "netdata health.d/reboot.conf, for longer: worth a look for a day")],
    impact: Text {
        en: "The server went down without being told to: everything on it was interrupted, and the cause may come back.",
        zh: "服务器在没有收到关机指令的情况下重启：其上所有业务都曾中断，且问题可能再次发生。",
    },
    remedy: Text {
        en: "Find the cause before it returns: the last messages of the boot before (journalctl -b -1 -e), the cloud's events for this instance, /var/crash, and the hardware's log (ipmitool sel list). Then check data and services.",
        zh: "在再次发生之前查明原因：上次启动的末尾日志（journalctl -b -1 -e）、云平台的实例事件、/var/crash 以及硬件日志（ipmitool sel list）；并检查数据和服务是否正常。",
    },
    run,
};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    Shutdown,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let records = read(host)?;
    let Some(at) = records.iter().rposition(|(kind, _)| *kind == Kind::Start) else {
        return Err(Gap::Unknown(words!("{PATH} has no start in it", "{PATH} 中没有启动记录")));
    };
    let started = records.get(at).map_or(0, |(_, at)| *at);
    let before = at.checked_sub(1).and_then(|before| records.get(before));
    #[expect(clippy::cast_precision_loss, reason = "an age for people")]
    let age = host.now().0.saturating_sub(started) as f64;
    let ago = span(age);
    let Some((kind, before_at)) = before else {
        return Err(Gap::Unknown(words!(
            "{PATH} begins with the last start, {ago} ago: what was before it is not in there",
            "{PATH} 以最近一次启动（{ago} 前）开头，其中没有更早的记录"
        )));
    };
    let evidence = format!(
        "start at {started}, before it {} at {before_at} (unix time)",
        if *kind == Kind::Start { "a start" } else { "a shutdown" }
    );
    let found = if *kind == Kind::Shutdown {
        let summary =
            words!("the last start, {ago} ago, came after a shutdown", "最近一次启动（{ago} 前）之前为正常关机");
        Found::new("", Status::Ok, summary)
    } else {
        let summary = words!(
            "the last start, {ago} ago, came without a shutdown before it",
            "最近一次启动（{ago} 前）之前没有关机记录"
        );
        if age <= settings.number("past") {
            Found::new("", Status::Warning, summary)
        } else {
            Found::advice("", summary)
        }
    };
    Ok(vec![found.value(age, "s").evidence(PATH, evidence)])
}

fn read(host: &Host) -> Result<Vec<(Kind, u64)>, Gap> {
    let bytes = host.read_bytes(PATH).map_err(|gap| match gap {
        Gap::NotHere(_) => Gap::Unknown(words!(
            "{PATH} is not there, so nothing tells how the last boot ended",
            "没有 {PATH}，无法判断上次是否正常关机"
        )),
        Gap::Unknown(why) => Gap::Unknown(why),
    })?;
    records(&bytes).ok_or_else(|| Gap::Unknown(words!("{PATH} cannot be understood", "无法解析 {PATH}")))
}

/// Starts and shutdowns, oldest first. utmp(5): 384 bytes each on most architectures; 400 where the time takes 8 bytes.
fn records(bytes: &[u8]) -> Option<Vec<(Kind, u64)>> {
    [(384, 340, 4), (400, 344, 8)].into_iter().find_map(|(size, time_at, time_len)| {
        if bytes.is_empty() || !bytes.len().is_multiple_of(size) {
            return None;
        }
        let records: Option<Vec<Option<(Kind, u64)>>> =
            bytes.chunks_exact(size).map(|record| parse(record, time_at, time_len)).collect();
        Some(records?.into_iter().flatten().collect())
    })
}

/// Nothing when this is no record; `Some(None)` for people who came and went.
fn parse(record: &[u8], time_at: usize, time_len: usize) -> Option<Option<(Kind, u64)>> {
    let kind = u16::from_le_bytes(record.get(..2)?.try_into().ok()?);
    let mut time = [0; 8];
    time.get_mut(..time_len)?.copy_from_slice(record.get(time_at..time_at.checked_add(time_len)?)?);
    let user = record.get(44..76)?;
    let kind = match kind {
        2 => Some(Kind::Start),
        1 if user.starts_with(b"shutdown") => Some(Kind::Shutdown),
        0..=9 => None,
        _ => return None,
    };
    Some(kind.map(|kind| (kind, u64::from_le_bytes(time))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const NOW: u32 = 1_767_225_600;

    fn wtmp(records: &[(u16, &str, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, user, at) in records {
            let mut record = vec![0; 384];
            record[..2].copy_from_slice(&kind.to_le_bytes());
            record[44..44 + user.len()].copy_from_slice(user.as_bytes());
            record[340..344].copy_from_slice(&at.to_le_bytes());
            bytes.extend(record);
        }
        bytes
    }

    #[test]
    fn krn_06_a_start_after_a_start_was_not_planned() {
        let first = (2, "reboot", NOW - 900_000);
        for (records, expected, note) in [
            (
                &[first, (7, "root", NOW - 9999), (1, "shutdown", NOW - 700), (2, "reboot", NOW - 600)][..],
                Status::Ok,
                false,
            ),
            (
                &[first, (7, "root", NOW - 9999), (2, "reboot", NOW - 600), (1, "runlevel", NOW - 590)],
                Status::Warning,
                false,
            ),
            (&[first, (2, "reboot", NOW - 100_000)], Status::Ok, true),
            (&[(2, "reboot", NOW - 600)], Status::Unknown, false),
            (&[(7, "root", NOW - 600)], Status::Unknown, false),
            (&[(77, "root", NOW - 600)], Status::Unknown, false),
            (&[], Status::Unknown, false),
        ] {
            let findings = Fixture::live().file(PATH, wtmp(records)).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{records:?}");
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::live().file(PATH, "short").status(&CHECK), Status::Unknown);
    }

    #[test]
    fn krn_06_records_with_long_times() {
        let mut record = vec![0_u8; 400];
        record[0] = 2;
        record[344..352].copy_from_slice(&5_u64.to_le_bytes());
        assert_eq!(records(&record).unwrap(), [(Kind::Start, 5)]);
    }
}
