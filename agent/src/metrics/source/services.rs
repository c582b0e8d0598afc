//! Services and containers: control groups of version 2. All are read together every ten seconds: a kernel that has just
//! told one of them tells the next for a tenth of the cost.
//!
//! Which ones there are is looked for twice a minute. A host has as many as it likes; when all places are taken, one that
//! appears takes the place of the one that did nothing for longest, or else is the oldest, and that is counted. It must
//! never write there, or follow a link.

use crate::metrics::catalog::{
    SERVICE_CPU, SERVICE_MEMORY, SERVICE_MEMORY_LIMIT, SERVICE_PROCESSES, SERVICE_THROTTLED,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::{Keyed, alone};
use crate::metrics::table::{Bits, Slot, Table, increase, lossy};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};

/// Groups shown: each has three files open, of the thousand that a process may usually have.
const GROUPS_MAX: usize = 150;
/// Series of each.
const SERIES: usize = 5;
/// Entries looked at in one search.
const ENTRIES_MAX: usize = 16 << 10;
/// Below the top: `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-1.scope`.
const DEPTH_MAX: usize = 4;
/// Samples between two searches, and between two readings of one group.
const SEARCH_EVERY: u64 = 30;
const READ_EVERY: u64 = 10;
/// Readings between two looks at a limit.
const LIMIT_EVERY: u64 = 6;
/// Folders that hold containers but are no slices.
const HOLDERS: &[&str] = &["docker", "kubepods", "lxc", "lxc.payload", "machine", "podman", "burstable", "besteffort"];

#[derive(Debug)]
pub(in crate::metrics) struct Services {
    top: PathBuf,
    /// Those that are shown, the oldest first.
    groups: Vec<Group>,
    /// All that the last search found, shown or not, by [`mark`]: there may be thousands.
    found: HashSet<u64>,
    round: u64,
}

#[derive(Debug)]
struct Group {
    path: PathBuf,
    memory: Kept,
    cpu: Kept,
    processes: Kept,
    used: Keyed,
    slots: [Slot; SERIES],
    /// Microseconds since boot, and what it had used by then: microseconds, periods, periods that its limit cut.
    before: Option<(u64, [Option<u64>; 3])>,
    /// Readings since it last used a processor.
    idle: u64,
    readings: u64,
}

impl Services {
    pub(in crate::metrics) fn new(root: &Path) -> Self {
        Self { top: root.join("sys/fs/cgroup"), groups: Vec::new(), found: HashSet::new(), round: 0 }
    }

    /// Takes a sample at this moment, microseconds since boot.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, boot: u64) {
        if self.round.is_multiple_of(SEARCH_EVERY) {
            self.search(table);
        }
        if self.round.is_multiple_of(READ_EVERY) {
            self.groups.iter_mut().for_each(|group| group.read(table, buffer, boot));
        }
        self.round += 1;
    }

    /// Finds what is new and what is gone.
    fn search(&mut self, table: &mut Table) {
        if !self.top.join("cgroup.controllers").exists() {
            return;
        }
        let mut found = Vec::new();
        let mut left = ENTRIES_MAX;
        walk(&self.top, DEPTH_MAX, &mut left, &mut found);
        let there: HashSet<&PathBuf> = found.iter().collect();
        self.groups.retain(|group| {
            let is_there = there.contains(&group.path);
            if !is_there {
                group.remove(table);
            }
            is_there
        });
        let before = std::mem::replace(&mut self.found, found.iter().map(|path| mark(path)).collect());
        let shown: HashSet<PathBuf> = self.groups.iter().map(|group| group.path.clone()).collect();
        let others = found.into_iter().filter(|path| !shown.contains(path));
        let (left_out, mut new): (Vec<PathBuf>, Vec<PathBuf>) = others.partition(|path| before.contains(&mark(path)));
        // Whoever goes for them was shown, or is one of them; none is counted again while it stays away.
        let beyond = (self.groups.len() + new.len()).saturating_sub(GROUPS_MAX);
        table.leave_out(beyond * SERIES);
        new.truncate(GROUPS_MAX);
        for _ in GROUPS_MAX..self.groups.len() + new.len() {
            self.drop_idlest(table);
        }
        new.extend(left_out);
        new.truncate(GROUPS_MAX - self.groups.len());
        self.groups.extend(new.into_iter().map(|path| Group::new(path, table)));
    }

    /// Takes its place from the one that did nothing for longest; of several, from the oldest.
    fn drop_idlest(&mut self, table: &mut Table) {
        let idlest = self.groups.iter().map(|group| group.idle).max();
        let place = self.groups.iter().position(|group| Some(group.idle) == idlest);
        if let Some(place) = place {
            self.groups.remove(place).remove(table);
        }
    }
}

/// Stands for a path: the same in each search.
fn mark(path: &Path) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(path)
}

fn walk(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        if *left == 0 {
            return;
        }
        *left -= 1;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = entry.path();
        if is_service(name) {
            found.push(path);
        } else if depth > 1 && (name.ends_with(".slice") || HOLDERS.contains(&name) || name.starts_with("pod")) {
            walk(&path, depth - 1, left, found);
        }
    }
}

/// Whether a group is a service or a container, not a folder of such.
fn is_service(name: &str) -> bool {
    let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id || name.ends_with(".service") || name.ends_with(".scope") || name.starts_with("lxc.payload.")
}

impl Group {
    fn new(path: PathBuf, table: &mut Table) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let metrics = [&SERVICE_MEMORY, &SERVICE_MEMORY_LIMIT, &SERVICE_CPU, &SERVICE_THROTTLED, &SERVICE_PROCESSES];
        Self {
            memory: Kept::whole(&path, "memory.current"),
            cpu: Kept::whole(&path, "cpu.stat"),
            processes: Kept::whole(&path, "pids.current"),
            used: Keyed::new(&["usage_usec", "nr_periods", "nr_throttled"]),
            slots: metrics.map(|metric| table.add_held(metric, &[("service", &name)])),
            path,
            before: None,
            idle: 0,
            readings: 0,
        }
    }

    fn remove(&self, table: &mut Table) {
        self.slots.iter().for_each(|slot| table.remove(*slot));
    }

    fn read(&mut self, table: &mut Table, buffer: &mut Buffer, boot: u64) {
        let [memory, limit, cpu, throttled, processes] = self.slots;
        let value = |text: Option<&[u8]>| text.and_then(alone).map_or(f64::NAN, lossy);
        table.set(memory, value(self.memory.read(buffer)));
        table.set(processes, value(self.processes.read(buffer)));
        if self.readings.is_multiple_of(LIMIT_EVERY) {
            // `max` is no number, and no limit.
            table.set(limit, value(Kept::whole(&self.path, "memory.max").read(buffer)));
        }
        self.readings += 1;
        let Some(text) = self.cpu.read(buffer) else { return };
        let told = self.used.read(text);
        let now = [told[0], told[1], told[2]];
        let Some((at, before)) = self.before.replace((boot, now)) else { return };
        self.idle = if before[0] == now[0] { self.idle + 1 } else { 0 };
        let step = |place: usize| Some(lossy(increase(before[place]?, now[place]?, Bits::Machine)?));
        let elapsed = lossy(boot.saturating_sub(at));
        table.set(cpu, step(0).map_or(f64::NAN, |used| used / elapsed));
        let share = |cut: f64, periods: f64| if periods > 0.0 { cut / periods } else { 0.0 };
        table.set(throttled, step(2).zip(step(1)).map_or(f64::NAN, |(cut, periods)| share(cut, periods)));
    }
}
