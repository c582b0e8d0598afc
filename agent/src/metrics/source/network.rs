//! Network devices: bytes, packets, errors and drops (`/proc/net/dev`).

use super::devices::{Devices, numbers};
use crate::metrics::catalog::{
    NETWORK_DROPPED, NETWORK_DROPPED_TOTAL, NETWORK_ERRORS, NETWORK_ERRORS_TOTAL, NETWORK_IO, NETWORK_IO_TOTAL,
    NETWORK_PACKETS,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::{Words, lines};
use crate::metrics::table::{Bits, Slot, Table};
use std::path::{Path, PathBuf};

const COLUMNS: usize = 16;
const DIRECTIONS: [&str; 2] = ["receive", "transmit"];

#[derive(Debug)]
pub(in crate::metrics) struct Network {
    root: PathBuf,
    file: Kept,
    io: [Slot; 2],
    errors: Slot,
    dropped: Slot,
    /// Bytes received and sent, errors, drops: of the devices that count for the host.
    totals: [u64; 4],
    devices: Devices<Device>,
}

#[derive(Debug)]
struct Device {
    has_hardware: bool,
    /// Bytes, packets, errors, drops; each of both directions.
    slots: [[Slot; 2]; 4],
}

impl Network {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        Self {
            root: root.to_owned(),
            file: Kept::by_lines(root, "proc/net/dev"),
            io: DIRECTIONS.map(|direction| table.add_summary(&NETWORK_IO_TOTAL, &[("direction", direction)])),
            errors: table.add_summary(&NETWORK_ERRORS_TOTAL, &[]),
            dropped: table.add_summary(&NETWORK_DROPPED_TOTAL, &[]),
            totals: [0; 4],
            devices: Devices::new(),
        }
    }

    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer) {
        let Some(text) = self.file.read(buffer) else { return };
        self.devices.begin();
        let none_has_hardware = !self.devices.iter().any(|device| device.has_hardware);
        for line in lines(text) {
            // A name may touch the first number, and may hold a colon itself.
            let Some(colon) = line.iter().rposition(|byte| *byte == b':') else { continue };
            let Some(name) = Words(&line[..colon]).next() else { continue };
            let Some(numbers) = numbers::<COLUMNS>(Words(&line[colon + 1..])) else { continue };
            let root = &self.root;
            let device = self.devices.of(name, || Device::new(name, has_hardware(root, name), table));
            let counts = device.has_hardware || (none_has_hardware && name != b"lo");
            device.take(&numbers, table, counts.then_some(&mut self.totals));
        }
        self.devices.end(|device| device.slots.iter().flatten().for_each(|slot| table.remove(*slot)));
        let slots = [self.io[0], self.io[1], self.errors, self.dropped];
        for (slot, total) in slots.into_iter().zip(self.totals) {
            table.count(slot, total, Bits::Machine, 1.0);
        }
    }
}

/// Whether there is hardware behind a device.
fn has_hardware(root: &Path, name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).ok().filter(|text| !text.contains('/') && !text.starts_with('.'));
    text.is_some_and(|text| root.join("sys/class/net").join(text).join("device").exists())
}

impl Device {
    fn new(name: &[u8], has_hardware: bool, table: &mut Table) -> Self {
        let text = String::from_utf8_lossy(name);
        let metrics = [&NETWORK_IO, &NETWORK_PACKETS, &NETWORK_ERRORS, &NETWORK_DROPPED];
        let slots = metrics.map(|metric| {
            DIRECTIONS.map(|direction| table.add_one_of_many(metric, &[("device", &text), ("direction", direction)]))
        });
        Self { has_hardware, slots }
    }

    fn take(&self, numbers: &[u64; COLUMNS], table: &mut Table, mut totals: Option<&mut [u64; 4]>) {
        for (kind, slots) in self.slots.iter().enumerate() {
            for (direction, slot) in slots.iter().enumerate() {
                let step = table.count(*slot, numbers[direction * 8 + kind], Bits::Machine, 1.0);
                let total = match kind {
                    0 => Some(direction),
                    2 => Some(2),
                    3 => Some(3),
                    _ => None,
                };
                if let (Some(step), Some(total), Some(totals)) = (step, total, totals.as_deref_mut()) {
                    totals[total] = totals[total].wrapping_add(step);
                }
            }
        }
    }
}
