//! Messages that were thrown away because a service wrote too many, and a journal that is larger than it may be.

use super::journal_conf::{bytes, setting};
use super::text_logs::text_logs;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "log.lost-messages",
    title: Text { en: "Messages thrown away, and the size of the journal", zh: "被丢弃的日志与 journal 大小" },
    reads: &[
        "/var/log/syslog or /var/log/messages, or the journal's newest entries",
        "/var/log/journal",
        "/etc/systemd/journald.conf",
    ],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 0.0, 0.0, "", "our recommendation: a lost message is lost evidence"),
        Param::above("journal", 110.0, 100.0, "%", "journald.conf(5): files in use may exceed SystemMaxUse a little"),
    ],
    impact: Text {
        en: "What this service said in its worst minutes is gone: the cause of an incident may never be known.",
        zh: "该服务在最关键时刻的日志已丢失，事故原因可能无法查明。",
    },
    remedy: Text {
        en: "Make the service log less, or raise RateLimitBurst= in /etc/systemd/journald.conf (or LogRateLimitBurst= in its unit), then systemctl restart systemd-journald.",
        zh: "降低该服务的日志量，或在 /etc/systemd/journald.conf 中调大 RateLimitBurst=（或在其单元中设置 LogRateLimitBurst=），然后执行 systemctl restart systemd-journald。",
    },
    run,
};

/// journald and rsyslog say so once for each burst.
const WINDOW_SECS: u64 = 3600;
const JOURNAL: &str = "/var/log/journal";
/// Without a setting: the smaller of a tenth of the file system and this (journald.conf(5)).
const DEFAULT_BYTES_MAX: u64 = 4 << 30;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let mut found = suppressed(host, settings);
    match journal_size(host, settings) {
        Ok(size) => found.push(size),
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => found.push(Found::new("journal size", Status::Unknown, why)),
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "there is no text log in use and no journal on the disk",
            "此主机没有在用的文本日志，也没有持久化的 journal"
        )));
    }
    Ok(found)
}

/// Nothing without a log that would say it.
fn suppressed(host: &Host, settings: &Settings<'_>) -> Vec<Found> {
    let logs = text_logs(host);
    let Some(log) = &logs.system else {
        let why = logs.no_system_log();
        return if host.exists(JOURNAL) { vec![Found::new("", Status::Unknown, why)] } else { Vec::new() };
    };
    let mut lost: BTreeMap<String, (u64, String, String)> = BTreeMap::new();
    for line in log.since(WINDOW_SECS) {
        if let Some((count, unit)) = lost_messages(line.text) {
            let entry = lost.entry(unit.to_owned()).or_default();
            *entry = (entry.0.saturating_add(count), log.source(line), line.text.to_owned());
        }
    }
    if lost.is_empty() {
        let path = &log.path;
        return vec![Found::new(
            "",
            Status::Ok,
            words!("no message was thrown away within an hour ({path})", "一小时内没有日志被丢弃（{path}）"),
        )];
    }
    let all = lost.into_iter().take(20).map(|(unit, (count, source, text))| {
        #[expect(clippy::cast_precision_loss, reason = "messages of an hour")]
        let number = count as f64;
        let summary = words!(
            "{count} messages of {unit} were thrown away within an hour",
            "一小时内 {unit} 有 {count} 条日志被丢弃"
        );
        Found::new(&unit, settings.level(&unit, number), summary).value(number, "").evidence(source, text)
    });
    all.collect()
}

/// `systemd-journald[1]: Suppressed 12 messages from a.service`, `rsyslogd: imjournal: 12 messages lost due to
/// rate-limiting`, `rsyslogd: imuxsock lost 12 messages from pid 7 due to rate-limiting`.
fn lost_messages(line: &str) -> Option<(u64, &str)> {
    let (head, rest) = line.split_once(": ")?;
    if head.contains("systemd-journald[") {
        let (count, unit) = rest.strip_prefix("Suppressed ")?.split_once(" messages from ")?;
        return Some((count.parse().ok()?, unit.trim().rsplit('/').next()?));
    }
    if !head.contains("rsyslogd") || !rest.contains("rate-limiting") {
        return None;
    }
    rest.split(' ').find_map(|word| word.parse().ok()).map(|count| (count, "rsyslogd"))
}

fn journal_size(host: &Host, settings: &Settings<'_>) -> Result<Found, Gap> {
    let walk = host.walk(JOURNAL)?;
    let used = walk.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
    let set = setting(host, "SystemMaxUse");
    let limit = match &set {
        Some(set) => bytes(&set.value).ok_or_else(|| {
            let (source, value) = (&set.source, &set.value);
            Gap::Unknown(words!("{source}: {value:?} is no size", "{source}：{value:?} 不是有效的大小"))
        })?,
        None => {
            let space = host.statvfs(JOURNAL)?;
            (space.f_blocks.saturating_mul(space.f_frsize) / 10).min(DEFAULT_BYTES_MAX)
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "a share of sizes, shown rounded")]
    let percent = if limit == 0 { 0.0 } else { 100.0 * used as f64 / limit as f64 };
    let (mib, limit_mib) = (used >> 20, limit >> 20);
    let summary = words!(
        "the journal takes {mib} MiB of the {limit_mib} MiB that it may",
        "journal 占用 {mib} MiB，上限 {limit_mib} MiB"
    );
    let (source, limited) = match set {
        Some(set) => (set.source, format!("SystemMaxUse={}", set.value)),
        None => (JOURNAL.to_owned(), format!("no SystemMaxUse: {limit} bytes by default")),
    };
    let status = settings.level_of("journal size", percent, "journal", "");
    let found = Found::new("journal size", status, summary).value(percent, "%");
    Ok(found
        .evidence(source, limited)
        .evidence(JOURNAL, format!("{used} bytes"))
        .impact(words!("Logs fill the disk that services need.", "日志会占满业务所需的磁盘。"))
        .remedy(words!(
            "journalctl --vacuum-size=500M, then set SystemMaxUse= in /etc/systemd/journald.conf.",
            "执行 journalctl --vacuum-size=500M，然后在 /etc/systemd/journald.conf 中设置 SystemMaxUse=。"
        )))
}

#[cfg(test)]
mod tests {
    use super::super::text_logs::tests::log;
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;

    #[test]
    fn log_01_messages_that_were_thrown_away_are_told() {
        for (line, expected) in [
            (
                "Jan  1 07:59:00 web1 systemd-journald[299]: Suppressed 1204 messages from /system.slice/app.service",
                Status::Warning,
            ),
            ("Jan  1 07:59:00 web1 systemd-journald[299]: Suppressed 12 messages from app.service", Status::Warning),
            ("Jan  1 07:59:00 web1 rsyslogd: imjournal: 2214 messages lost due to rate-limiting", Status::Warning),
            ("Jan  1 06:00:00 web1 systemd-journald[299]: Suppressed 1204 messages from app.service", Status::Ok),
            ("Jan  1 07:59:00 web1 app: Suppressed 1204 messages from app.service", Status::Ok),
        ] {
            let text = format!("{line}\nJan  1 08:00:00 web1 cron[1]: x\n");
            let found = log(Fixture::image(), "/var/log/messages", 5, &text).run(&CHECK);
            assert_eq!(found[0].status, expected, "{line}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }

    #[test]
    fn log_01_the_journal_tells_what_it_threw_away() {
        let found = recorded(Fixture::image(), "compact").run(&CHECK);
        assert_eq!((found[0].subject.as_str(), found[0].status), ("app.service", Status::Warning), "{found:?}");
        assert_eq!(found[0].value, Some(12.0));
    }

    #[test]
    fn log_01_a_journal_is_judged_against_its_limit() {
        let journal = |limit: &str| {
            let host = Fixture::image().file("/var/log/journal/1f/system.journal", vec![1; 600_000]);
            host.file("/etc/systemd/journald.conf", format!("[Journal]\nSystemMaxUse={limit}\n")).status(&CHECK)
        };
        // Without a system log it is unknown whether messages were lost.
        for (limit, expected) in [("500K", Status::Warning), ("1M", Status::Unknown), ("lots", Status::Unknown)] {
            assert_eq!(journal(limit), expected, "{limit}");
        }
    }
}
