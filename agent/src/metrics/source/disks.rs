//! Disks: bytes, operations, and how long they took (`/proc/diskstats`).
//!
//! Whole devices alone: a partition's numbers are in its device's. Devices that never did anything are left out, as are
//! those that only pass on to others.

use super::devices::{Devices, numbers};
use crate::metrics::catalog::{
    DISK_BUSIEST, DISK_IO, DISK_IO_TIME, DISK_IO_TOTAL, DISK_OPERATION_TIME, DISK_OPERATIONS, DISK_QUEUE,
    DISK_WEIGHTED_TIME,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::{Words, lines};
use crate::metrics::table::{Bits, Slot, Table, lossy};
use std::path::{Path, PathBuf};

const SECTOR_BYTES: f64 = 512.0;
const MILLI: f64 = 1e-3;
/// Columns after the name.
const COLUMNS: usize = 11;

#[derive(Debug)]
pub(in crate::metrics) struct Disks {
    root: PathBuf,
    file: Kept,
    busiest: Slot,
    queue: Slot,
    total: [Slot; 2],
    totals: [u64; 2],
    /// None of what is not to be shown.
    devices: Devices<Option<Device>>,
}

#[derive(Debug)]
struct Device {
    /// Whether it is hardware, or the nearest to it: its bytes count for the host's.
    is_whole: bool,
    io: [Slot; 2],
    operations: [Slot; 2],
    operation_time: [Slot; 2],
    io_time: Slot,
    weighted: Slot,
}

impl Disks {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        Self {
            root: root.to_owned(),
            file: Kept::by_lines(root, "proc/diskstats"),
            busiest: table.add_summary(&DISK_BUSIEST, &[]),
            queue: table.add_summary(&DISK_QUEUE, &[]),
            total: ["read", "write"].map(|direction| table.add_summary(&DISK_IO_TOTAL, &[("direction", direction)])),
            totals: [0; 2],
            devices: Devices::new(),
        }
    }

    /// Takes a sample, this many microseconds after the one before.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, elapsed: u64) {
        let Some(text) = self.file.read(buffer) else { return };
        self.devices.begin();
        let (mut busiest, mut queue) = (None::<u64>, None::<u64>);
        for line in lines(text) {
            let mut words = Words(line);
            let Some(name) = words.nth(2) else { continue };
            let Some(numbers) = numbers::<COLUMNS>(words) else { continue };
            // Devices that were never used are of no interest, and there are many.
            if numbers[0] == 0 && numbers[4] == 0 {
                continue;
            }
            let root = &self.root;
            let new = || kind(root, name).map(|is_whole| Device::new(name, is_whole, table));
            if let Some(device) = self.devices.of(name, new) {
                let (busy, waited) = device.take(&numbers, table, &mut self.totals);
                busiest = busiest.max(busy);
                queue = queue.max(waited);
            }
        }
        self.devices.end(|device| device.iter().flat_map(Device::slots).for_each(|slot| table.remove(slot)));
        for (slot, total) in self.total.iter().zip(self.totals) {
            table.count(*slot, total, Bits::Machine, SECTOR_BYTES);
        }
        let millis = lossy(elapsed) * MILLI;
        if let (Some(busy), Some(waited), true) = (busiest, queue, elapsed > 0) {
            table.set(self.busiest, (lossy(busy) / millis).min(1.0));
            table.set(self.queue, lossy(waited) / millis);
        }
    }
}

/// Whether it is a whole device that passes on to no other; nothing for a partition and what has no bottom.
fn kind(root: &Path, name: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(name).ok().filter(|text| !text.contains(['/', '.']))?;
    if ["loop", "ram", "sr", "fd"]
        .iter()
        .any(|start| text.strip_prefix(start).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())))
    {
        return None;
    }
    let block = root.join("sys/block").join(text);
    if !block.is_dir() {
        return None;
    }
    let mut below = std::fs::read_dir(block.join("slaves")).into_iter().flatten();
    Some(below.next().is_none() && !text.starts_with("zram"))
}

impl Device {
    fn new(name: &[u8], is_whole: bool, table: &mut Table) -> Self {
        let text = String::from_utf8_lossy(name);
        let mut each = |metric| {
            ["read", "write"]
                .map(|direction| table.add_one_of_many(metric, &[("device", &text), ("direction", direction)]))
        };
        let (io, operations, operation_time) = (each(&DISK_IO), each(&DISK_OPERATIONS), each(&DISK_OPERATION_TIME));
        let mut one = |metric| table.add_one_of_many(metric, &[("device", &text)]);
        let (io_time, weighted) = (one(&DISK_IO_TIME), one(&DISK_WEIGHTED_TIME));
        Self { is_whole, io, operations, operation_time, io_time, weighted }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let pairs = [self.io, self.operations, self.operation_time];
        pairs.into_iter().flatten().chain([self.io_time, self.weighted])
    }

    /// Milliseconds busy, and the same weighted, since the sample before.
    fn take(&self, numbers: &[u64; COLUMNS], table: &mut Table, totals: &mut [u64; 2]) -> (Option<u64>, Option<u64>) {
        for (direction, first) in [0, 4].into_iter().enumerate() {
            table.count(self.operations[direction], numbers[first], Bits::Machine, 1.0);
            let sectors = table.count(self.io[direction], numbers[first + 2], Bits::Machine, SECTOR_BYTES);
            table.count(self.operation_time[direction], numbers[first + 3], Bits::Always32, MILLI);
            if self.is_whole {
                totals[direction] = totals[direction].wrapping_add(sectors.unwrap_or(0));
            }
        }
        let busy = table.count(self.io_time, numbers[9], Bits::Always32, MILLI);
        let weighted = table.count(self.weighted, numbers[10], Bits::Always32, MILLI);
        (busy, weighted)
    }
}
