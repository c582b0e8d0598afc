//! Processor time from `/proc/stat`, and what it went to between two readings.

use crate::found::Gap;
use crate::host::{Host, Twice};
use crate::number::percent;
use crate::words;

/// What processor time goes to, in the order of proc_stat(5). Guests are in user already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Idle = 3,
    IoWait = 4,
    SoftIrq = 6,
    Steal = 7,
}

/// Clock ticks since boot: user nice system idle iowait irq softirq steal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks([u64; 8]);

impl Ticks {
    /// Those of one line: `cpu` for all processors, `cpu0` for the first.
    pub(super) fn of_line(line: &str) -> Option<(&str, Self)> {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next().filter(|name| name.starts_with("cpu"))?;
        let mut ticks = [0; 8];
        let mut count = 0;
        for (tick, field) in ticks.iter_mut().zip(fields) {
            *tick = field.parse().ok()?;
            count += 1;
        }
        // Kernels of old days end after idle.
        (count >= 4).then_some((name, Self(ticks)))
    }

    /// Those of all processors together.
    pub(super) fn of_all(stat: &str) -> Option<Self> {
        stat.lines().filter_map(Self::of_line).find(|(name, _)| *name == "cpu").map(|(_, ticks)| ticks)
    }

    /// What passed since `before`. A kind that went back a little, as idle and iowait may (proc_stat(5)), did not pass.
    pub(super) fn since(self, before: Self) -> Self {
        let mut passed = self.0;
        for (now, before) in passed.iter_mut().zip(before.0) {
            *now = now.saturating_sub(before);
        }
        Self(passed)
    }

    /// The share of one use in percent; nothing when no time passed.
    pub(super) fn percent(self, of: Use) -> Option<f64> {
        percent(self.0[of as usize], self.all())
    }

    /// The share of everything that is not waiting for work or for a disk.
    pub(super) fn busy_percent(self) -> Option<f64> {
        let rest = self.0[Use::Idle as usize].saturating_add(self.0[Use::IoWait as usize]);
        percent(self.all().saturating_sub(rest), self.all())
    }

    fn all(self) -> u64 {
        self.0.iter().fold(0, |all, ticks| all.saturating_add(*ticks))
    }
}

/// What the processors did during the run, and the file that says so.
pub(super) fn passed(host: &Host) -> Result<(Ticks, Twice), Gap> {
    let stat = host.twice("/proc/stat")?;
    let (Some(before), Some(after)) = (Ticks::of_all(&stat.before), Ticks::of_all(&stat.after)) else {
        return Err(Gap::Unknown(words!("/proc/stat has no line \"cpu\"", "/proc/stat 中没有 \"cpu\" 行")));
    };
    Ok((after.since(before), stat))
}

/// Two readings between which nothing passed.
pub(super) fn no_time() -> Gap {
    Gap::Unknown(words!(
        "no processor time passed between two readings of /proc/stat",
        "两次读取 /proc/stat 之间没有经过处理器时间"
    ))
}
