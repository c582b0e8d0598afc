//! Whether somebody writes logs, and whether they survive a restart.

use super::journal_conf::setting;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "log.kept",
    title: Text { en: "Log daemons, and logs that survive a restart", zh: "日志服务与日志持久化" },
    reads: &["/proc/*/stat", "/var/log/journal", "/etc/systemd/journald.conf"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "After a crash and restart nothing tells what went before it.",
        zh: "崩溃并重启之后，将没有任何日志可以说明此前发生了什么。",
    },
    remedy: Text {
        en: "Keep the journal on the disk: mkdir -p /var/log/journal, systemd-tmpfiles --create --prefix /var/log/journal, systemctl restart systemd-journald; or install rsyslog.",
        zh: "将 journal 持久化到磁盘：mkdir -p /var/log/journal，systemd-tmpfiles --create --prefix /var/log/journal，systemctl restart systemd-journald；或安装 rsyslog。",
    },
    run,
};

const SYSLOG_DAEMONS: [&str; 4] = ["rsyslogd", "syslog-ng", "syslogd", "metalog"];
const SYSLOG_PROGRAMS: [&str; 3] = ["/usr/sbin/rsyslogd", "/usr/sbin/syslog-ng", "/usr/sbin/syslogd"];
const JOURNAL: &str = "/var/log/journal";

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let processes = crate::process::all(host)?;
    let runs = |program: &str| processes.iter().any(|process| process.program() == program);
    let has_systemd = host.exists("/run/systemd/system");
    let syslog = SYSLOG_DAEMONS.into_iter().find(|daemon| runs(daemon));
    let installed = SYSLOG_PROGRAMS.into_iter().find(|program| host.exists(program));
    if !has_systemd && syslog.is_none() && installed.is_none() {
        return Err(Gap::NotHere(words!(
            "neither systemd nor a syslog daemon is installed here",
            "此主机未安装 systemd 或 syslog 服务"
        )));
    }
    let mut found = Vec::new();
    if has_systemd && !runs("systemd-journald") {
        let summary = words!("systemd-journald does not run", "systemd-journald 未运行");
        found.push(dead("systemd-journald", summary));
    }
    if let Some(program) = installed.filter(|_| syslog.is_none()) {
        let summary = words!("{program} is installed but does not run", "已安装 {program}，但它未运行");
        found.push(dead("syslog", summary));
    }
    found.push(survives(host, syslog));
    Ok(found)
}

fn dead(subject: &str, summary: cloud_doctor_proto::finding::Words) -> Found {
    Found::new(subject, Status::Warning, summary)
        .evidence("/proc", "no process of this name")
        .impact(words!("What services say is not written down.", "服务输出的日志无人记录。"))
        .remedy(words!(
            "Start it: systemctl restart systemd-journald, systemctl enable --now rsyslog.",
            "启动该服务：systemctl restart systemd-journald，systemctl enable --now rsyslog。"
        ))
}

fn survives(host: &Host, syslog: Option<&str>) -> Found {
    let subject = "after a restart";
    if let Some(daemon) = syslog {
        return Found::new(
            subject,
            Status::Ok,
            words!("{daemon} writes logs to the disk", "{daemon} 会将日志写入磁盘"),
        );
    }
    let storage = setting(host, "Storage");
    let value = storage.as_ref().map_or("auto", |storage| storage.value.as_str());
    // journald.conf(5): `persistent` makes the folder, `auto` uses it when it is there.
    let kept = value == "persistent" || (value == "auto" && host.exists(JOURNAL));
    if kept {
        return Found::new(subject, Status::Ok, words!("the journal is kept on the disk", "journal 已持久化到磁盘"));
    }
    let source = storage.as_ref().map_or_else(|| JOURNAL.to_owned(), |storage| storage.source.clone());
    let seen = storage.as_ref().map_or_else(|| "not there".to_owned(), |storage| format!("Storage={}", storage.value));
    Found::new(
        subject,
        Status::Warning,
        words!(
            "logs are lost at the next restart: the journal is kept in memory only",
            "日志将在下次重启时丢失：journal 仅保存在内存中"
        ),
    )
    .evidence(source, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn log_05_logs_are_written_and_kept() {
        let systemd = || Fixture::live().process(1, 'S', &["/sbin/init"]).file("/run/systemd/system/x", "");
        let journald = || systemd().process(9, 'S', &["/lib/systemd/systemd-journald"]);
        let rsyslog = ["/usr/sbin/rsyslogd", "-n"];
        for (name, host, expected) in [
            ("a journal on the disk", journald().file("/var/log/journal/1f/x", ""), Status::Ok),
            ("only in memory", journald(), Status::Warning),
            ("rsyslog", journald().process(10, 'S', &rsyslog), Status::Ok),
            ("rsyslog is dead", journald().file(rsyslog[0], "").file("/var/log/journal/x", ""), Status::Warning),
            ("journald is dead", systemd().file("/var/log/journal/1f/x", ""), Status::Warning),
            (
                "set to memory",
                journald().file("/var/log/journal/x", "").file("/etc/systemd/journald.conf", "Storage=volatile\n"),
                Status::Warning,
            ),
            ("nothing is seen", Fixture::live(), Status::Unknown),
            ("an image", Fixture::image(), Status::Unknown),
        ] {
            assert_eq!(host.status(&CHECK), expected, "{name}");
        }
        assert!(Fixture::live().process(1, 'S', &["/bin/app"]).has_none_of(&CHECK));
    }
}
