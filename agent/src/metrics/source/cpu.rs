//! Processors: time by mode, load, pressure, and what waits for them.

use crate::metrics::catalog::{
    CONTEXT_SWITCHES, CPU_TIME, CPU_UTILIZATION, INTERRUPTS, LOAD_1M, LOAD_5M, LOAD_15M, LOAD_PER_CPU, PRESSURE,
    PROCESSES, PROCESSES_CREATED, THREADS, UPTIME,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::{Words, decimal, lines, number};
use crate::metrics::table::{Bits, Slot, Table, increase, lossy};
use std::path::Path;

/// Columns of `/proc/stat` as modes; `guest` is inside of `user`, `guest_nice` inside of `nice`.
const MODES: &[&str] = &["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"];
const COLUMNS: usize = MODES.len() + 1;
const IDLE: usize = 3;
const IOWAIT: usize = 4;
const STEAL: usize = 7;
/// Processors whose time is shown by mode; of more, the share that is busy has to do.
const CPUS_BY_MODE: usize = 32;
/// Processors shown at all.
const CPUS_MAX: usize = 512;

/// `/proc/stat` and `/proc/loadavg`.
#[derive(Debug)]
pub(in crate::metrics) struct Cpu {
    stat: Kept,
    loads: Kept,
    /// Seconds of one of the kernel's units.
    tick: f64,
    total: Processor,
    shares: [Slot; 3],
    load: [Slot; 3],
    load_per_cpu: Slot,
    status: [Slot; 2],
    created: Slot,
    threads: Slot,
    switches: Slot,
    interrupts: Slot,
    uptime: Slot,
    cpus: Vec<(u64, Processor)>,
    /// Processors seen in this sample.
    online: usize,
}

/// One processor, or all.
#[derive(Debug)]
struct Processor {
    modes: Vec<Slot>,
    busy: Option<Slot>,
    before: Option<[u64; COLUMNS]>,
}

impl Cpu {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        let shares = [
            table.add_summary(&CPU_UTILIZATION, &[]),
            table.add_summary(&CPU_UTILIZATION, &[("mode", "iowait")]),
            table.add_summary(&CPU_UTILIZATION, &[("mode", "steal")]),
        ];
        let load_per_cpu = table.add_seldom_summary(&LOAD_PER_CPU, &[]);
        let status = ["running", "blocked"].map(|status| table.add_summary(&PROCESSES, &[("status", status)]));
        let modes = MODES.iter().map(|mode| table.add(&CPU_TIME, &[("mode", mode)])).collect();
        Self {
            stat: Kept::whole(root, "proc/stat"),
            loads: Kept::whole(root, "proc/loadavg"),
            tick: 1.0 / lossy(rustix::param::clock_ticks_per_second().max(1)),
            total: Processor { modes, busy: None, before: None },
            shares,
            load: [&LOAD_1M, &LOAD_5M, &LOAD_15M].map(|metric| table.add_seldom(metric, &[])),
            load_per_cpu,
            status,
            created: table.add(&PROCESSES_CREATED, &[]),
            threads: table.add_seldom(&THREADS, &[]),
            switches: table.add(&CONTEXT_SWITCHES, &[]),
            interrupts: table.add(&INTERRUPTS, &[]),
            uptime: table.add(&UPTIME, &[]),
            cpus: Vec::new(),
            online: 0,
        }
    }

    /// Takes a sample at this moment, microseconds since boot; load averages when `span` is not 0: the kernel makes new
    /// ones every five seconds.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, boot: u64, span: u32) {
        table.set(self.uptime, lossy(boot) / 1e6);
        self.online = 0;
        if let Some(text) = self.stat.read(buffer) {
            for line in lines(text) {
                self.line(line, table);
            }
        }
        self.forget_those_gone(table);
        if span > 0
            && let Some(text) = self.loads.read(buffer)
        {
            self.load(text, table);
        }
    }

    fn line(&mut self, line: &[u8], table: &mut Table) {
        let mut words = Words(line);
        let Some(first) = words.next() else { return };
        match first {
            b"cpu" => {
                if let Some(shares) = self.total.read(words, table, self.tick) {
                    for (slot, share) in self.shares.iter().zip([shares.busy, shares.iowait, shares.steal]) {
                        table.set(*slot, share);
                    }
                }
            }
            b"intr" => count(words, self.interrupts, table),
            b"ctxt" => count(words, self.switches, table),
            b"processes" => count(words, self.created, table),
            b"procs_running" => set(words, self.status[0], table),
            b"procs_blocked" => set(words, self.status[1], table),
            name => {
                if let Some(cpu) = name.strip_prefix(b"cpu").and_then(number) {
                    self.one(cpu, words, table);
                }
            }
        }
    }

    /// A processor's line; they come in order, so each is where it was in the sample before.
    fn one(&mut self, cpu: u64, words: Words<'_>, table: &mut Table) {
        if self.online >= CPUS_MAX {
            return;
        }
        let place = self.online;
        self.online += 1;
        if self.cpus.get(place).is_none_or(|(known, _)| *known != cpu) {
            for (_, gone) in self.cpus.drain(place..) {
                gone.remove(table);
            }
            self.cpus.push((cpu, Processor::new(cpu, place, table)));
        }
        let processor = &mut self.cpus[place].1;
        let shares = processor.read(words, table, self.tick);
        if let (Some(slot), Some(shares)) = (processor.busy, shares) {
            table.set(slot, shares.busy);
        }
    }

    /// Processors that were switched off.
    fn forget_those_gone(&mut self, table: &mut Table) {
        if self.online > 0 && self.cpus.len() > self.online {
            for (_, gone) in self.cpus.drain(self.online..) {
                gone.remove(table);
            }
        }
    }

    fn load(&self, text: &[u8], table: &mut Table) {
        let mut words = Words(text.strip_suffix(b"\n").unwrap_or(text));
        for (number, slot) in self.load.iter().enumerate() {
            let Some(load) = words.next().and_then(decimal) else { return };
            table.set(*slot, load);
            if number == 0 && self.online > 0 {
                table.set(self.load_per_cpu, load / lossy(u64::try_from(self.online).unwrap_or(u64::MAX)));
            }
        }
        // "3/210": ready to run, and all.
        let all = words.next().and_then(|word| word.rsplit(|byte| *byte == b'/').next()).and_then(number);
        if let Some(all) = all {
            table.set(self.threads, lossy(all));
        }
    }
}

/// Shares of the time since the sample before.
struct Shares {
    busy: f64,
    iowait: f64,
    steal: f64,
}

impl Processor {
    fn new(cpu: u64, place: usize, table: &mut Table) -> Self {
        let name = cpu.to_string();
        let modes = if place < CPUS_BY_MODE { MODES } else { &[] };
        Self {
            modes: modes
                .iter()
                .map(|mode| table.add_one_of_many(&CPU_TIME, &[("cpu", &name), ("mode", mode)]))
                .collect(),
            busy: Some(table.add_one_of_many(&CPU_UTILIZATION, &[("cpu", &name)])),
            before: None,
        }
    }

    fn remove(&self, table: &mut Table) {
        for slot in self.modes.iter().chain(&self.busy) {
            table.remove(*slot);
        }
    }

    fn read(&mut self, mut words: Words<'_>, table: &mut Table, tick: f64) -> Option<Shares> {
        // Old kernels have fewer columns: what they do not tell is nothing.
        let mut now = [0; COLUMNS];
        for value in &mut now {
            *value = words.number().unwrap_or(0);
        }
        now[0] = now[0].saturating_sub(now[MODES.len() - 1]);
        now[1] = now[1].saturating_sub(now[COLUMNS - 1]);
        for (slot, value) in self.modes.iter().zip(now) {
            table.count(*slot, value, Bits::Machine, tick);
        }
        let before = self.before.replace(now)?;
        let mut steps = [0; COLUMNS];
        for (step, (before, now)) in steps.iter_mut().zip(before.iter().zip(now)) {
            // iowait and idle may go back a little, by the kernel's own word.
            *step = increase(*before, now, Bits::Machine).unwrap_or(0);
        }
        let all: f64 = steps.iter().copied().map(lossy).sum();
        let share = |step: u64| lossy(step) / all;
        let idle = share(steps[IDLE].saturating_add(steps[IOWAIT]));
        Some(Shares { busy: 1.0 - idle, iowait: share(steps[IOWAIT]), steal: share(steps[STEAL]) })
            .filter(|_| all > 0.0)
    }
}

fn count(mut words: Words<'_>, slot: Slot, table: &mut Table) {
    if let Some(value) = words.number() {
        table.count(slot, value, Bits::Machine, 1.0);
    }
}

fn set(mut words: Words<'_>, slot: Slot, table: &mut Table) {
    if let Some(value) = words.number() {
        table.set(slot, lossy(value));
    }
}

/// `/proc/pressure`: shares of time in which tasks waited. Kernels before 4.20, and some later ones, have none.
#[derive(Debug)]
pub(in crate::metrics) struct Pressure {
    /// Each file with the slots of `some` and `full`, and what they were.
    resources: Vec<(Kept, [Option<Stall>; 2])>,
}

#[derive(Debug)]
struct Stall {
    slot: Slot,
    before: Option<u64>,
}

impl Pressure {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        let mut stall = |resource, kind| {
            let slot = table.add_summary(&PRESSURE, &[("kind", kind), ("resource", resource)]);
            Some(Stall { slot, before: None })
        };
        let mut resource = |name: &'static str, file, has_full: bool| {
            let full = if has_full { stall(name, "full") } else { None };
            (Kept::whole(root, file), [stall(name, "some"), full])
        };
        // That all tasks wait for a processor has no meaning for a whole host.
        let resources = vec![
            resource("cpu", "proc/pressure/cpu", false),
            resource("memory", "proc/pressure/memory", true),
            resource("io", "proc/pressure/io", true),
        ];
        Self { resources }
    }

    /// Takes a sample, this many microseconds after the one before.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, elapsed: u64) {
        for (file, stalls) in &mut self.resources {
            let Some(text) = file.read(buffer) else { continue };
            for (line, stall) in lines(text).zip(stalls) {
                let Some(stall) = stall else { continue };
                let total = line.rsplit(|byte| *byte == b'=').next().and_then(number);
                let step = total.and_then(|now| increase(stall.before.replace(now)?, now, Bits::Machine));
                if let Some(step) = step.filter(|_| elapsed > 0) {
                    table.set(stall.slot, (lossy(step) / lossy(elapsed)).min(1.0));
                }
            }
        }
    }
}
