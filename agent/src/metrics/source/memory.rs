//! Memory and swap: how much is used, what had to be fetched from disks, who was killed for it.

use crate::metrics::catalog::{
    MEMORY_AVAILABLE, MEMORY_DETAIL, MEMORY_LIMIT, MEMORY_USAGE, MEMORY_UTILIZATION, OOM_KILLS, PAGING_FAULTS,
    PAGING_OPERATIONS, PAGING_USAGE, PAGING_UTILIZATION,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::Keyed;
use crate::metrics::table::{Bits, Slot, Table, lossy};
use std::path::Path;

const SIZES: &[&str] = &[
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "SReclaimable",
    "SUnreclaim",
    "SwapTotal",
    "SwapFree",
    "Dirty",
    "Writeback",
    "AnonPages",
    "Mapped",
    "Shmem",
    "Committed_AS",
    "CommitLimit",
    "PageTables",
];
/// Those of them that are shown as they are: states of memory, and what else is worth knowing.
const STATES: &[(usize, &str)] =
    &[(1, "free"), (4, "cached"), (3, "buffers"), (5, "slab_reclaimable"), (6, "slab_unreclaimable")];
const DETAILS: &[(usize, &str)] = &[
    (9, "dirty"),
    (10, "writeback"),
    (11, "anonymous"),
    (12, "mapped"),
    (13, "shared"),
    (14, "committed"),
    (15, "commit_limit"),
    (16, "page_tables"),
];
const EVENTS: &[&str] = &["pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill"];
const KIB: f64 = 1024.0;

/// `/proc/meminfo` and `/proc/vmstat`.
#[derive(Debug)]
pub(in crate::metrics) struct Memory {
    info: Kept,
    stat: Kept,
    sizes: Keyed,
    events: Keyed,
    utilization: [Slot; 2],
    limit: Slot,
    available: Slot,
    used: Slot,
    paging: [Slot; 2],
    shown: Vec<(usize, Slot)>,
    counted: Vec<(usize, Slot)>,
}

impl Memory {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        let utilization = [table.add_summary(&MEMORY_UTILIZATION, &[]), table.add_summary(&PAGING_UTILIZATION, &[])];
        let counted = vec![
            (1, table.add_seldom_summary(&PAGING_OPERATIONS, &[("direction", "out")])),
            (3, table.add_seldom_summary(&PAGING_FAULTS, &[("type", "major")])),
            (4, table.add_seldom_summary(&OOM_KILLS, &[])),
            (0, table.add_seldom(&PAGING_OPERATIONS, &[("direction", "in")])),
            (2, table.add_seldom(&PAGING_FAULTS, &[("type", "minor")])),
        ];
        let states = STATES.iter().map(|(key, state)| (*key, table.add(&MEMORY_USAGE, &[("state", state)])));
        let mut shown: Vec<_> = states.collect();
        shown.extend(DETAILS.iter().map(|(key, kind)| (*key, table.add(&MEMORY_DETAIL, &[("kind", kind)]))));
        Self {
            info: Kept::whole(root, "proc/meminfo"),
            stat: Kept::by_lines(root, "proc/vmstat"),
            sizes: Keyed::new(SIZES),
            events: Keyed::new(EVENTS),
            utilization,
            limit: table.add(&MEMORY_LIMIT, &[]),
            available: table.add(&MEMORY_AVAILABLE, &[]),
            used: table.add(&MEMORY_USAGE, &[("state", "used")]),
            paging: ["used", "free"].map(|state| table.add(&PAGING_USAGE, &[("state", state)])),
            shown,
            counted,
        }
    }

    /// Takes a sample; of events when `span` is not 0: so many samples after the last time.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, span: u32) {
        if let Some(text) = self.info.read(buffer) {
            self.sizes.read(text);
            self.show(table);
        }
        if span > 0
            && let Some(text) = self.stat.read(buffer)
        {
            let events = self.events.read(text);
            for (key, slot) in &self.counted {
                if let Some(value) = events[*key] {
                    table.count(*slot, value, Bits::Machine, 1.0 / f64::from(span));
                }
            }
        }
    }

    fn show(&self, table: &mut Table) {
        let size = |key: usize| self.sizes.values()[key].map(|kib| lossy(kib) * KIB);
        for (key, slot) in &self.shown {
            if let Some(bytes) = size(*key) {
                table.set(*slot, bytes);
            }
        }
        let Some(total) = size(0).filter(|total| *total > 0.0) else { return };
        table.set(self.limit, total);
        // Kernels before 3.14 do not estimate what is available.
        let guess = || Some(size(1)? + size(3)? + size(4)?);
        if let Some(available) = size(2).or_else(guess) {
            let used = (total - available).max(0.0);
            table.set(self.available, available);
            table.set(self.used, used);
            table.set(self.utilization[0], used / total);
        }
        if let (Some(total), Some(free)) = (size(7), size(8)) {
            let used = (total - free).max(0.0);
            table.set(self.paging[0], used);
            table.set(self.paging[1], free);
            // Without swap none of it is used.
            table.set(self.utilization[1], if total > 0.0 { used / total } else { 0.0 });
        }
    }
}
