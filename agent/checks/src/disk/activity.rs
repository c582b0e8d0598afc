//! What the disks did during the run: `/proc/diskstats`, read twice, and whether the whole host has waited for longer.

use crate::found::Gap;
use crate::host::Host;
use crate::run::Settings;
use crate::words;

/// Disks that are judged; each more is one of many alike.
const DISKS_MAX: usize = 200;

/// One disk over the time of the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Activity {
    pub(super) name: String,
    /// Reads and writes that ended, per second.
    pub(super) per_sec: f64,
    /// How many ended.
    pub(super) ended: f64,
    /// How long one of them took; nothing when none ended.
    pub(super) mean_ms: Option<f64>,
    /// Share of the time with at least one under way.
    pub(super) busy_percent: f64,
    /// How many were under way or waiting, on average.
    pub(super) queue: f64,
    /// The line of the second reading.
    pub(super) line: String,
    /// Whether it works on many requests at once, so that being busy says little.
    pub(super) parallel: bool,
}

/// All whole disks, and over how many seconds.
pub(super) fn activity(host: &Host) -> Result<(Vec<Activity>, f64), Gap> {
    let stats = host.twice("/proc/diskstats")?;
    let before: Vec<Counters<'_>> = stats.before.lines().filter_map(Counters::parse).collect();
    let after = stats.after.lines().filter_map(Counters::parse);
    let disks = after.filter(|one| is_disk(host, one.name)).filter_map(|after| {
        let before = before.iter().find(|before| before.name == after.name)?;
        after.since(before, stats.secs)
    });
    let disks: Vec<Activity> = disks.take(DISKS_MAX).collect();
    if disks.is_empty() {
        return Err(Gap::NotHere(words!("no disk is listed in /proc/diskstats", "/proc/diskstats 中没有磁盘")));
    }
    Ok((disks, stats.secs))
}

/// Whether less waited for disks during the last minute than the parameter `waited` says. False where the kernel does not
/// tell.
///
/// A run takes seconds; this keeps a moment from being called trouble.
pub(super) fn is_moment(host: &Host, settings: &Settings<'_>) -> bool {
    host.pressure("io").is_ok_and(|pressure| pressure.some.avg60 < settings.number("waited"))
}

fn is_disk(host: &Host, name: &str) -> bool {
    const NONE: [&str; 6] = ["loop", "ram", "zram", "sr", "fd", "nbd"];
    !NONE
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|one: char| one.is_ascii_digit())))
        && host.exists(&format!("/sys/block/{}", name.replace('/', "!")))
}

/// One line, iostats.rst of the kernel.
struct Counters<'a> {
    name: &'a str,
    line: &'a str,
    ended: u64,
    ended_ms: u64,
    busy_ms: u64,
    weighted_ms: u64,
}

impl<'a> Counters<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let name = fields.next()?;
        let numbers: Vec<u64> = fields.take(11).map_while(|field| field.parse().ok()).collect();
        let [reads, _, _, read_ms, writes, _, _, write_ms, _, busy_ms, weighted_ms] = numbers[..] else { return None };
        let (ended, ended_ms) = (reads.saturating_add(writes), read_ms.saturating_add(write_ms));
        Some(Self { name, line, ended, ended_ms, busy_ms, weighted_ms })
    }

    /// Nothing when a counter went back: the disk is another one.
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds of one run")]
    fn since(&self, before: &Self, secs: f64) -> Option<Activity> {
        let ended = self.ended.checked_sub(before.ended)? as f64;
        let ended_ms = self.ended_ms.checked_sub(before.ended_ms)? as f64;
        let busy_ms = self.busy_ms.checked_sub(before.busy_ms)? as f64;
        let weighted_ms = self.weighted_ms.checked_sub(before.weighted_ms)? as f64;
        Some(Activity {
            name: self.name.to_owned(),
            per_sec: ended / secs,
            ended,
            mean_ms: (ended > 0.0).then_some(ended_ms / ended),
            busy_percent: (busy_ms / secs / 10.0).min(100.0),
            queue: weighted_ms / secs / 1000.0,
            line: self.line.trim().to_owned(),
            parallel: ["nvme", "md", "dm-"].iter().any(|prefix| self.name.starts_with(prefix)),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    /// A host with one disk that ended `ended` requests in `ended_ms`, was busy for `busy_ms` of ten seconds and had
    /// `weighted_ms` of waiting.
    pub(in crate::disk) fn disk(name: &str, ended: u64, ended_ms: u64, busy_ms: u64, weighted_ms: u64) -> Fixture {
        let line = |ended: u64, ms: u64, busy: u64, weighted: u64| {
            format!(
                "   7       0 loop0 9 0 9 9 0 0 0 0 0 9 9\n 254       0 {name} 100 5 800 50 {} 7 900 {} 0 {busy} {weighted} 0 0 0 0 3 4\n",
                200 + ended,
                60 + ms
            )
        };
        Fixture::live()
            .file(&format!("/sys/block/{name}/size"), "100\n")
            .file("/sys/block/loop0/size", "100\n")
            .file("/proc/diskstats", line(0, 0, 1000, 2000))
            .later("/proc/diskstats", &line(ended, ended_ms, 1000 + busy_ms, 2000 + weighted_ms))
            .secs(10.0)
    }

    #[test]
    fn counters_become_rates() {
        let (disks, _) = activity(&disk("vda", 50, 1000, 9900, 20000).host()).unwrap();
        let [one] = &disks[..] else { panic!("{disks:?}") };
        assert_eq!((one.per_sec, one.mean_ms, one.busy_percent, one.queue), (5.0, Some(20.0), 99.0, 2.0));
        assert!(!one.parallel);
        // A partition is no disk, an old kernel's short line is none, and what went back is a new one.
        for later in ["254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n", "254 0 vda 1 2 3 4\n", "254 0 vda 1 1 1 1 1 1 1 1 1 1 1\n"]
        {
            assert!(activity(&disk("vda", 1, 1, 1, 1).later("/proc/diskstats", later).host()).is_err(), "{later}");
        }
    }
}
