//! Software RAID: whether every array has all its disks, and whether its copies agree.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "disk.raid",
    title: Text { en: "Software RAID", zh: "软件 RAID" },
    reads: &["/proc/mdstat", "/sys/block/md*/md/mismatch_cnt"],
    needs: Needs::LIVE,
    params: &[Param::above("mismatches", 1024.0, 512.0, "", "netdata health.d/mdstat.conf, mdstat_mismatch_cnt")],
    impact: Text { en: "The next disk that fails takes the data along.", zh: "再坏一块盘就会丢失数据。" },
    remedy: Text {
        en: "See which disk is missing: `mdadm --detail /dev/MD`. Check the backup, replace the disk, then \
             `mdadm --manage /dev/MD --add /dev/NEW` and watch /proc/mdstat.",
        zh: "查看缺失的磁盘：`mdadm --detail /dev/MD`。先确认备份，再更换磁盘，然后执行 \
             `mdadm --manage /dev/MD --add /dev/新盘` 并观察 /proc/mdstat。",
    },
    run,
};

/// Arrays that are judged.
const ARRAYS_MAX: usize = 100;

/// One array of `/proc/mdstat`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Array {
    name: String,
    level: String,
    active: bool,
    failed: usize,
    /// How many disks it should have, and has.
    disks: Option<(u64, u64)>,
    /// What it does: `recovery = 12.6%`.
    progress: String,
    line: usize,
    text: String,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let arrays = parse(&host.read("/proc/mdstat")?);
    if arrays.is_empty() {
        return Err(Gap::NotHere(words!("no software RAID is set up", "未配置软件 RAID")));
    }
    Ok(arrays.iter().map(|array| judge(host, settings, array)).collect())
}

fn judge(host: &Host, settings: &Settings<'_>, array: &Array) -> Found {
    let (name, progress) = (&array.name, &array.progress);
    let with =
        |status, words| Found::new(name, status, words).evidence(format!("/proc/mdstat:{}", array.line), &array.text);
    if !array.active {
        let impact = words!("Its data cannot be reached.", "其中的数据无法访问。");
        return with(Status::Critical, words!("{name} is not active", "{name} 未激活")).impact(impact);
    }
    match array.disks {
        Some((wanted, here)) if here < wanted => {
            let under_way = if progress.is_empty() { String::new() } else { format!(" ({progress})") };
            return with(
                // A rebuild under way is what should be done; it still has no spare.
                if progress.starts_with("recovery") { Status::Warning } else { Status::Critical },
                words!(
                    "{name} has {here} of {wanted} disks{under_way}",
                    "{name} 仅有 {here}/{wanted} 块磁盘在线{under_way}"
                ),
            )
            .detail("disks_missing", exact(wanted - here));
        }
        Some(_) | None => {}
    }
    if array.failed > 0 {
        let failed = array.failed;
        return with(
            Status::Warning,
            words!(
                "{name} is whole, but {failed} disks in it have failed",
                "{name} 完整，但其中 {failed} 块磁盘已失效"
            ),
        );
    }
    mismatches(host, settings, array).unwrap_or_else(|| {
        let level = &array.level;
        with(Status::Ok, words!("{name} ({level}) has all its disks", "{name}（{level}）所有磁盘均在线"))
    })
}

/// Blocks whose copies differed at the last scrub, when there are too many. Mirrors under swap differ without harm.
fn mismatches(host: &Host, settings: &Settings<'_>, array: &Array) -> Option<Found> {
    let (name, path) = (&array.name, format!("/sys/block/{}/md/mismatch_cnt", array.name));
    let count = host.read(&path).ok()?.trim().parse::<u64>().ok()?;
    let found = Found::new(
        name,
        settings.level_of(name, exact(count), "mismatches", ""),
        words!(
            "copies on {name} differ in {count} sectors since the last scrub",
            "{name} 上次校验发现 {count} 个扇区的副本不一致"
        ),
    );
    let found = found.value(exact(count), "").evidence(path, count.to_string());
    let found = found.impact(words!("Some of what is read may be wrong.", "读取到的部分数据可能是错误的。"));
    let found = found.remedy(words!(
        "Check the disks (`smartctl -a`), then `echo repair > /sys/block/{name}/md/sync_action` in a quiet hour.",
        "先检查磁盘（`smartctl -a`），再在空闲时段执行 `echo repair > /sys/block/{name}/md/sync_action`。"
    ));
    (found.status > Status::Unknown).then_some(found)
}

#[expect(clippy::cast_precision_loss, reason = "a count for people")]
fn exact(count: u64) -> f64 {
    count as f64
}

/// `md0 : active raid1 sdb1[1](F) sda1[0]`, then `1953381376 blocks super 1.2 [2/1] [U_]`, then what is under way.
fn parse(text: &str) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if let Some((name, rest)) = text.split_once(" : ").filter(|(name, _)| name.starts_with("md")) {
            if arrays.len() == ARRAYS_MAX {
                break;
            }
            arrays.push(Array {
                name: name.trim().to_owned(),
                active: rest.starts_with("active"),
                level: rest
                    .split(' ')
                    .find(|part| part.starts_with("raid") || *part == "linear")
                    .unwrap_or("?")
                    .to_owned(),
                failed: rest.matches("(F)").count(),
                line,
                text: text.to_owned(),
                ..Array::default()
            });
        } else if let Some(array) = arrays.last_mut().filter(|_| text.starts_with(' ')) {
            if text.contains(" blocks") {
                array.disks = disks(text);
            } else if let Some(doing) =
                ["recovery", "resync", "reshape", "check"].iter().find_map(|word| text.get(text.find(word)?..))
            {
                array.progress = doing.split(" (").next().unwrap_or(doing).trim().chars().take(60).collect();
            }
        }
    }
    arrays
}

/// `[2/1]`: wanted and there.
fn disks(text: &str) -> Option<(u64, u64)> {
    text.split('[')
        .filter_map(|part| part.split_once(']')?.0.split_once('/'))
        .find_map(|(wanted, here)| Some((wanted.parse().ok()?, here.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn mdstat(array: &str) -> Fixture {
        Fixture::live()
            .file("/proc/mdstat", format!("Personalities : [raid1] [raid6] \n{array}\nunused devices: <none>\n"))
    }

    #[test]
    fn dsk_10_an_array_without_all_disks_is_critical() {
        for (array, expected) in [
            (
                "md0 : active raid1 sdb1[1] sda1[0]\n      1953381376 blocks super 1.2 [2/2] [UU]\n      bitmap: 1/15 pages [4KB], 65536KB chunk\n",
                Status::Ok,
            ),
            ("md0 : active raid1 sda1[0]\n      1953381376 blocks super 1.2 [2/1] [U_]\n", Status::Critical),
            (
                "md0 : active raid1 sdb1[2] sda1[0]\n      1953381376 blocks super 1.2 [2/1] [U_]\n      [==>....]  recovery = 12.6% (1/2) finish=127.5min speed=33440K/sec\n",
                Status::Warning,
            ),
            (
                "md0 : active raid1 sdc1[2] sdb1[1](F) sda1[0]\n      1953381376 blocks super 1.2 [2/2] [UU]\n",
                Status::Warning,
            ),
            ("md127 : inactive sda1[0](S)\n      1048576 blocks super 1.2\n", Status::Critical),
            ("md0 : active raid0 sdb1[1] sda1[0]\n      4096 blocks super 1.2 512k chunks\n", Status::Ok),
        ] {
            assert_eq!(mdstat(array).status(&CHECK), expected, "{array}");
        }
        assert!(mdstat("").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }

    #[test]
    fn dsk_10_copies_that_differ_are_told() {
        let array = "md0 : active raid6 sda1[0]\n      19 blocks level 6, 512k chunk, algorithm 2 [4/4] [UUUU]\n";
        for (count, expected) in [("128\n", Status::Ok), ("2048\n", Status::Warning), ("x\n", Status::Ok)] {
            assert_eq!(mdstat(array).file("/sys/block/md0/md/mismatch_cnt", count).status(&CHECK), expected, "{count}");
        }
    }
}
