//! Whether the newest backup is as large as those before: a dump that failed half way is small, or empty.

use super::sources::{Artefact, Series};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::percent;
use crate::number::size as bytes_text;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "backup.size",
    title: Text { en: "Size of backups", zh: "备份大小" },
    reads: &["/backup and the like"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::below("critical", 50.0, 60.0, "%", "ours: of the median of the seven before"),
        Param::plain("settled", 10.0, "min", "ours: a younger file may still be written"),
    ],
    impact: Text {
        en: "The backup is there, but most likely cannot be restored.",
        zh: "备份虽然存在，但很可能无法恢复。",
    },
    remedy: Text {
        en: "Look into it (`zcat FILE | tail`: a whole mysqldump ends with \"Dump completed\"), run the backup by hand, and \
             use `set -o pipefail` in its script so that a failed dump is not hidden by gzip.",
        zh: "检查备份内容（`zcat 文件 | tail`：完整的 mysqldump 以 \"Dump completed\" 结尾），手动执行一次备份，\
             并在脚本中使用 `set -o pipefail`，避免 gzip 掩盖导出失败。",
    },
    run,
};

/// Backups before the newest that make its usual size.
const COMPARED_MAX: usize = 7;
const COMPARED_LEAST: usize = 2;
/// Names of backups that hold only what changed: their size says nothing.
const PARTIAL: [&str; 8] = ["inc", "incr", "incremental", "diff", "differential", "binlog", "wal", "partial"];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let found: Vec<Found> = host.backups().series.iter().filter_map(|series| judge(host, settings, series)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no series of backup files lies here that sizes can be compared of",
            "没有可比较大小的系列备份文件"
        )));
    }
    Ok(found)
}

/// Nothing for a series that is too short, or of which each is another size by nature.
fn judge(host: &Host, settings: &Settings<'_>, series: &Series) -> Option<Found> {
    let name = series.subject.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    if !series.alike || name.split(|one: char| !one.is_ascii_alphabetic()).any(|part| PARTIAL.contains(&part)) {
        return None;
    }
    let settled = |file: &&Artefact| {
        #[expect(clippy::cast_precision_loss, reason = "minutes")]
        let minutes = host.now().0.saturating_sub(file.time.0) as f64 / 60.0;
        minutes >= settings.number("settled")
    };
    let mut files = series.artefacts.iter().filter(settled);
    let newest = files.next()?;
    let bytes = newest.bytes?;
    let mut before: Vec<u64> = files.take(COMPARED_MAX).filter_map(|file| file.bytes).collect();
    before.sort_unstable();
    let median = before.get(before.len() / 2).copied().filter(|_| before.len() >= COMPARED_LEAST)?;
    let (subject, text, usual) = (&series.subject, bytes_text(bytes), bytes_text(median));
    // Empty as ever is no backup either.
    let share = if bytes == 0 { 0.0 } else { percent(bytes, median).unwrap_or(100.0) };
    let found = Found::new(
        subject,
        if bytes == 0 { Status::Critical } else { settings.level(subject, share) },
        words!(
            "the newest backup of {subject} has {text}, usual are {usual}",
            "{subject} 的最新备份大小为 {text}，通常为 {usual}"
        ),
    );
    Some(found.value(share, "%").evidence(&newest.path, format!("{bytes} B, median of those before {median} B")))
}

#[cfg(test)]
pub(in crate::backup) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::time::{Duration, SystemTime};

    const NOW: u64 = 1_767_225_600;

    /// Files of a folder, by their age in hours and their size; the oldest has the smallest number.
    pub(in crate::backup) fn aged(folder: &str, files: &[(u64, usize)]) -> Fixture {
        more(Fixture::image(), folder, files)
    }

    pub(in crate::backup) fn more(mut host: Fixture, folder: &str, files: &[(u64, usize)]) -> Fixture {
        for (number, (hours, bytes)) in files.iter().rev().enumerate() {
            let path = format!("{folder}/db-{number}.sql.gz");
            host = host.file(&path, vec![7; *bytes]);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - hours * 3600);
            std::fs::File::options().write(true).open(host.path(&path)).unwrap().set_modified(time).unwrap();
        }
        host
    }

    #[test]
    fn bak_02_a_small_backup_is_a_failed_one() {
        for (files, expected) in [
            (&[(3, 1000), (27, 990), (51, 980), (75, 970)][..], Status::Ok),
            (&[(3, 100), (27, 990), (51, 980), (75, 970)], Status::Critical),
            (&[(3, 0), (27, 990), (51, 980)], Status::Critical),
            (&[(3, 0), (27, 0), (51, 0)], Status::Critical),
            // It is being written now.
            (&[(0, 10), (27, 990), (51, 980), (75, 970)], Status::Ok),
            (&[(3, 3000), (27, 990), (51, 980), (75, 970)], Status::Ok),
        ] {
            assert_eq!(aged("/backup/shop", files).status(&CHECK), expected, "{files:?}");
        }
        assert!(aged("/backup/shop", &[(3, 1), (27, 990)]).has_none_of(&CHECK));
        let mut partial = Fixture::image();
        for number in 1..5 {
            partial = partial.file(&format!("/backup/shop-inc-{number}.gz"), "x".repeat(1000 / number));
        }
        assert!(partial.now(32_000_000_000).has_none_of(&CHECK), "what changed is of any size");
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
