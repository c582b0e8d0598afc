//! Whether backups lie on the disk that they are meant to replace.

use super::data::{Data, data};
use super::sources::Series;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "backup.same-disk",
    title: Text { en: "Backups on the disk of the data", zh: "备份与数据同盘" },
    reads: &["/backup and the like", "/var/lib/mysql and the like", "/sys/dev/block/*", "/etc/cron*"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "One broken disk, one deleted server or one intruder takes the data and its backups together.",
        zh: "磁盘损坏、服务器被删除或被入侵时，数据和备份会一起丢失。",
    },
    remedy: Text {
        en: "Copy them to another place each day: object storage with versions (`rclone`, `restic`, ossutil), or a backup \
             host that fetches them.",
        zh: "每天将备份复制到其他位置：开启版本控制的对象存储（`rclone`、`restic`、ossutil），或由备份主机来拉取。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let (backups, data) = (host.backups(), data(host));
    let away = backups.tools.iter().find(|tool| tool.remote);
    let local = backups.series.iter().filter(|series| series.artefacts.iter().any(|one| one.device.is_some()));
    let found: Vec<Found> = local
        .filter_map(|series| {
            let found = judge(host, series, &data)?;
            Some(match away {
                Some(tool) if found.status == Status::Warning => {
                    let (subject, name, at) = (&series.subject, tool.name, &tool.at);
                    Found::new(
                        subject,
                        Status::Ok,
                        words!(
                            "{subject} lies beside the data, but {at} starts {name}",
                            "{subject} 与数据同盘，但 {at} 会启动 {name}"
                        ),
                    )
                }
                Some(_) | None => found,
            })
        })
        .collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "there are no backup files and databases here to compare",
            "此主机没有可比较的备份文件和数据库"
        )));
    }
    Ok(found)
}

/// Nothing where there is no database.
fn judge(host: &Host, series: &Series, data: &[Data]) -> Option<Found> {
    let (subject, newest) = (&series.subject, series.artefacts.first()?);
    let place = newest.device?;
    let first = data.first()?;
    let Some(same) = data.iter().find(|one| one.device == place || same_disk(host, one.device, place)) else {
        let folder = first.folder;
        let other = words!("{subject} lies on another disk than {folder}", "{subject} 与 {folder} 位于不同磁盘");
        return Some(Found::new(subject, Status::Ok, other));
    };
    let (name, folder) = (same.name, same.folder);
    let found = Found::new(
        subject,
        Status::Warning,
        words!(
            "{subject} lies on the same disk as {folder} of {name}, and nothing here copies it away",
            "{subject} 与 {name} 的数据目录 {folder} 位于同一磁盘，且未发现将其复制到别处的任务"
        ),
    );
    let device = |number| format!("device {}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    Some(found.evidence(&newest.path, device(place)).evidence(folder, device(same.device)))
}

/// Whether two partitions are of one disk.
fn same_disk(host: &Host, one: u64, other: u64) -> bool {
    let disk = |number| {
        let folder = format!("/sys/dev/block/{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
        let is_part = host.exists(&format!("{folder}/partition"));
        let link = host.link(&folder).ok()?;
        let mut names = link.rsplit('/');
        let own = names.next()?.to_owned();
        Some(if is_part { names.next()?.to_owned() } else { own })
    };
    disk(one).is_some_and(|one| disk(other) == Some(one))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::os::unix::fs::symlink;

    #[test]
    fn bak_05_backups_beside_the_data_are_told() {
        let host = || Fixture::image().file("/backup/a.sql", "x").file("/var/lib/mysql/ibdata1", "x");
        assert_eq!(host().status(&CHECK), Status::Warning);
        let copied = host().file("/etc/cron.d/away", "1 1 * * * root rclone sync /backup far:b\n");
        assert_eq!(copied.status(&CHECK), Status::Ok);
        assert!(Fixture::image().file("/backup/a.sql", "x").has_none_of(&CHECK));
        assert!(Fixture::image().file("/var/lib/mysql/ibdata1", "x").has_none_of(&CHECK));
    }

    #[test]
    fn bak_05_two_partitions_can_be_one_disk() {
        let fixture = Fixture::image().file("/sys/dev/block/README", "");
        for (number, name) in [(1, "vda/vda1"), (2, "vda/vda2"), (17, "vdb/vdb1")] {
            let folder = format!("/sys/devices/block/{name}");
            std::fs::create_dir_all(fixture.path(&folder)).unwrap();
            std::fs::write(fixture.path(&format!("{folder}/partition")), "1\n").unwrap();
            symlink(format!("../../devices/block/{name}"), fixture.path(&format!("/sys/dev/block/254:{number}")))
                .unwrap();
        }
        let host = fixture.host();
        let number = |minor| rustix::fs::makedev(254, minor);
        assert!(same_disk(&host, number(1), number(2)));
        assert!(!same_disk(&host, number(1), number(17)));
        assert!(!same_disk(&host, number(1), number(99)));
        let series = Series::of(
            "/backup".into(),
            vec![super::super::sources::Artefact {
                path: "/backup/a.sql".into(),
                time: cloud_doctor_proto::time::UnixTime(1),
                bytes: Some(1),
                device: Some(number(17)),
            }],
            false,
        );
        let data = [Data { name: "MySQL", folder: "/var/lib/mysql", device: number(1) }];
        assert_eq!(judge(&host, &series, &data).unwrap().status, Status::Ok);
    }
}
