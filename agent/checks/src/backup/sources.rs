//! Every sign of a backup on this host, once for all checks: files in backup folders, and what programs leave behind.

use super::cron::{Tool, starts};
use super::folders;
use crate::found::Gap;
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;

/// One file or sign of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artefact {
    pub(super) path: String,
    pub(super) time: UnixTime,
    /// Nothing where it is no file, or only a sign of one elsewhere.
    pub(super) bytes: Option<u64>,
    /// Nothing where the backup itself is elsewhere.
    pub(super) device: Option<u64>,
}

/// One backup over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) subject: String,
    /// The newest first; never empty.
    pub(super) artefacts: Vec<Artefact>,
    /// Whether each is like the others, so that sizes can be compared.
    pub(super) alike: bool,
}

impl Series {
    pub(super) fn of(subject: String, mut artefacts: Vec<Artefact>, alike: bool) -> Self {
        artefacts.sort_by(|one, other| other.time.cmp(&one.time).then_with(|| one.path.cmp(&other.path)));
        Self { subject, artefacts, alike }
    }

    /// How far apart they usually are, in seconds.
    pub(super) fn usual_secs(&self) -> Option<u64> {
        let pairs = self.artefacts.windows(2).take(10);
        let mut gaps: Vec<u64> =
            pairs.filter_map(|pair| Some(pair.first()?.time.distance_secs(pair.get(1)?.time))).collect();
        gaps.sort_unstable();
        (gaps.len() >= 2).then(|| gaps.get(gaps.len() / 2).copied()).flatten()
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    pub(super) series: Vec<Series>,
    pub(super) tools: Vec<Tool>,
    pub(super) gaps: Vec<(String, Words)>,
}

/// What programs leave behind on each run, and what it is called.
const SIGNS: [(&str, &str); 7] = [
    ("restic", "/root/.cache/restic/*/snapshots/*/*"),
    ("borg", "/root/.config/borg/security/*/manifest-timestamp"),
    ("duplicity", "/root/.cache/duplicity/*/*.manifest*"),
    ("pgBackRest", "/var/lib/pgbackrest/backup/*/backup.info"),
    ("Barman", "/var/lib/barman/*/base/*/backup.info"),
    ("rsnapshot", "/var/cache/rsnapshot/*.0"),
    ("timer", "/var/lib/systemd/timers/stamp-*"),
];

/// What a timer's name holds when it starts a backup. Debian's own dpkg-db-backup saves no data of anybody.
const TIMER_WORDS: [&str; 8] = ["backup", "restic", "borg", "duplicity", "snapshot", "dump", "rsnapshot", "barman"];
const TIMER_OWN: [&str; 2] = ["dpkg-db-backup", "snapper"];

impl Host {
    /// The backups of this host.
    pub(super) fn backups(&self) -> &Backups {
        self.memo.backups.get_or_init(|| gather(self))
    }
}

fn gather(host: &Host) -> Backups {
    let (tools, targets) = starts(host);
    let (mut series, mut gaps) = folders::series(host, targets);
    for (name, pattern) in SIGNS {
        match host.glob(pattern) {
            Ok(paths) => series.extend(signs(host, name, paths)),
            Err(Gap::NotHere(_)) => {}
            // Without root this is so on every host; it matters when nothing else is found.
            Err(Gap::Unknown(why)) => gaps.push((pattern.to_owned(), why)),
        }
    }
    Backups { series, tools, gaps }
}

/// Timers are one series each; of the others each program is one.
fn signs(host: &Host, name: &str, paths: Vec<String>) -> Vec<Series> {
    let artefact = |path: String| {
        let time = host.stat(&path).ok()?.modified;
        Some(Artefact { path, time, bytes: None, device: None })
    };
    if name == "timer" {
        let timers = paths.into_iter().filter_map(|path| {
            let unit = path.rsplit_once("/stamp-")?.1.to_owned();
            let ours = TIMER_WORDS.iter().any(|word| unit.contains(word))
                && !TIMER_OWN.iter().any(|own| unit.starts_with(own));
            ours.then(|| artefact(path)).flatten().map(|one| Series::of(unit, vec![one], false))
        });
        return timers.collect();
    }
    let artefacts: Vec<Artefact> = paths.into_iter().filter_map(artefact).collect();
    if artefacts.is_empty() { Vec::new() } else { vec![Series::of(name.to_owned(), artefacts, false)] }
}

/// Where was looked, for who finds nothing.
pub(super) fn looked() -> Words {
    words!(
        "/backup, /var/backups, /data/backup and the like, crontabs, systemd timers, restic, borg, duplicity, pgBackRest, Barman",
        "/backup、/var/backups、/data/backup 等目录、crontab、systemd 定时器，以及 restic、borg、duplicity、pgBackRest、Barman"
    )
}
