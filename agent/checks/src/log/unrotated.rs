//! Large logs that nobody rotates: they grow until the disk is full.

use super::logrotate::{is_rotated, patterns};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Walked};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::time::DAY_SECS;

pub(crate) const CHECK: Check = Check {
    id: "log.unrotated",
    title: Text { en: "Large logs without rotation", zh: "未轮转的大日志" },
    reads: &["/var/log", "/etc/logrotate.conf", "/etc/logrotate.d/*"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[Param::above(
        "warning",
        1024.0,
        900.0,
        "MiB",
        "our recommendation: 1 GiB; Lynis LOGG-2146 and LOGG-2148",
    )],
    impact: Text {
        en: "It grows until the disk is full, and then everything that writes there fails.",
        zh: "该日志会持续增长直至磁盘写满，届时所有写入该盘的程序都会失败。",
    },
    remedy: Text {
        en: "Add /etc/logrotate.d/NAME: PATH { daily rotate 7 compress missingok notifempty copytruncate maxsize 500M }, and try it with logrotate -d. An application's own rotation (log4j, logback) does as well.",
        zh: "新增 /etc/logrotate.d/NAME：PATH { daily rotate 7 compress missingok notifempty copytruncate maxsize 500M }，并用 logrotate -d 试运行。也可使用应用自带的轮转（log4j、logback）。",
    },
    run,
};

const FOLDER: &str = "/var/log";
/// Keeps its own size.
const JOURNAL: &str = "/var/log/journal/";
/// What was not written to for longer does not grow.
const GROWING_SECS: u64 = 7 * DAY_SECS;
/// Logs that are told one by one.
const SHOWN_MAX: usize = 20;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let walk = host.walk(FOLDER)?;
    let patterns = match patterns(host) {
        Ok(patterns) => Some(patterns),
        // Nothing is rotated where logrotate is not set up.
        Err(Gap::NotHere(_)) => None,
        Err(Gap::Unknown(why)) => return Err(Gap::Unknown(why)),
    };
    let mut found = Vec::new();
    let growing = walk
        .files
        .iter()
        .filter(|file| !file.path.starts_with(JOURNAL) && host.now().0.saturating_sub(file.modified.0) < GROWING_SECS);
    for file in growing {
        if !patterns.as_ref().is_some_and(|patterns| is_rotated(patterns, &file.path)) {
            found.extend(judge(settings, file, patterns.is_some()));
        }
    }
    found.truncate(SHOWN_MAX);
    if found.is_empty() {
        let count = walk.files.len();
        let summary = words!(
            "no large log of {count} files in {FOLDER} is left without rotation",
            "{FOLDER} 的 {count} 个文件中没有未轮转的大日志"
        );
        found.push(Found::new("", Status::Ok, summary));
    }
    found.extend(walk.left_out.map(|why| Found::new(FOLDER, Status::Unknown, why)));
    Ok(found)
}

/// Nothing for a small one.
fn judge(settings: &Settings<'_>, file: &Walked, has_logrotate: bool) -> Option<Found> {
    let path = &file.path;
    #[expect(clippy::cast_precision_loss, reason = "a size, shown rounded")]
    let mib = file.bytes as f64 / f64::from(1 << 20);
    let status = settings.level(path, mib);
    let summary = words!(
        "{path} has {mib:.0} MiB, is written to, and is not rotated",
        "{path} 已达 {mib:.0} MiB，仍在写入且未轮转"
    );
    let why = if has_logrotate { "no entry of logrotate names it" } else { "there is no /etc/logrotate.conf" };
    let found = Found::new(path, status, summary).value(mib, "MiB");
    let found = found.evidence(path, format!("{} bytes on the disk", file.bytes)).evidence("/etc/logrotate.d", why);
    (status != Status::Ok).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::text_logs::tests::log;
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(path: &str, age: u64) -> Fixture {
        let host = Fixture::image().set("log.unrotated.warning=0.5").file("/etc/logrotate.conf", "weekly\n");
        let host = host.file("/etc/logrotate.d/nginx", "/var/log/nginx/*.log {\n\tdaily\n}\n");
        log(host, path, age, &"x".repeat(700_000))
    }

    #[test]
    fn log_02_large_logs_without_rotation_are_told() {
        for (path, age, expected) in [
            ("/var/log/app/app.out", 60, Status::Warning),
            ("/var/log/app/app.out", 8 * DAY_SECS, Status::Ok),
            ("/var/log/nginx/access.log", 60, Status::Ok),
            ("/var/log/journal/1f/system.journal", 60, Status::Ok),
        ] {
            assert_eq!(host(path, age).status(&CHECK), expected, "{path} {age}");
        }
        assert_eq!(host("/var/log/a.log", 60).set("log.unrotated.warning=1024").status(&CHECK), Status::Ok);
        let found =
            log(Fixture::image().set("log.unrotated.warning=0.5"), "/var/log/a", 9, &"x".repeat(700_000)).run(&CHECK);
        assert_eq!(found[0].evidence[1].text, "there is no /etc/logrotate.conf");
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(host("/var/log/a", 1).file("/etc/logrotate.d/bad", "a\0b").status(&CHECK), Status::Unknown);
    }
}
