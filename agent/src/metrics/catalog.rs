//! The one table of all metrics: name, unit, kind, and what each is.
//!
//! Names and units are those of OpenTelemetry's semantic conventions for hosts (`system.*`, `process.*`, `hw.*`) where
//! those have one. Where they have none, the name begins with `system.linux.`. Summary gauges are made so that the
//! largest value is the bad one, because a summary keeps each gauge's largest. While nobody looks, load averages, paging,
//! protocols and the agent's own costs are read every fifth second, and their counters spread over those five. It must
//! never grow logic.

use cloud_doctor_proto::metrics::SeriesKind;

/// A metric; its series differ in attributes.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    /// As UCUM writes it.
    pub(super) unit: &'static str,
    pub(super) kind: SeriesKind,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $id:ident = $kind:ident $name:literal, $unit:literal;)*) => {
        $($(#[$doc])* pub(super) const $id: Metric = Metric { name: $name, unit: $unit, kind: SeriesKind::$kind };)*

        /// All of them, for tests.
        #[cfg(test)]
        pub(super) const ALL: &[&Metric] = &[$(&$id,)*];
    };
}

metrics! {
    // Processors.
    /// Time by `mode` (of all processors, and by `cpu` on hosts with few). `user` is without `guest`.
    CPU_TIME = Counter "system.cpu.time", "s";
    /// Share of time: busy without an attribute or by `cpu`; of all processors by `mode` = `iowait`, `steal`.
    CPU_UTILIZATION = Gauge "system.cpu.utilization", "1";
    /// The kernel's load averages.
    LOAD_1M = Gauge "system.cpu.load_average.1m", "{thread}";
    LOAD_5M = Gauge "system.cpu.load_average.5m", "{thread}";
    LOAD_15M = Gauge "system.cpu.load_average.15m", "{thread}";
    /// The first of them for each processor.
    LOAD_PER_CPU = Gauge "system.linux.cpu.load_per_cpu", "{thread}";
    /// Share of time in which `some` or all (`full`) tasks waited for `resource` (`/proc/pressure`).
    PRESSURE = Gauge "system.linux.pressure", "1";
    CONTEXT_SWITCHES = Counter "system.linux.context_switches", "{switch}";
    INTERRUPTS = Counter "system.linux.interrupts", "{interrupt}";
    /// By `status`: `running` (or ready to), `blocked` (waiting for a disk).
    PROCESSES = Gauge "system.process.count", "{process}";
    PROCESSES_CREATED = Counter "system.process.created", "{process}";
    /// Threads that exist.
    THREADS = Gauge "system.linux.threads", "{thread}";
    UPTIME = Gauge "system.uptime", "s";

    // Memory.
    /// By `state`: `used` (what is not available to programs), `free`, `cached`, `buffers`, `slab_reclaimable`,
    /// `slab_unreclaimable`. They overlap, as `/proc/meminfo` does.
    MEMORY_USAGE = Gauge "system.memory.usage", "By";
    MEMORY_LIMIT = Gauge "system.memory.limit", "By";
    /// The kernel's estimate of what programs can still get; where it has none, free and page cache.
    MEMORY_AVAILABLE = Gauge "system.memory.linux.available", "By";
    /// Share that is not available.
    MEMORY_UTILIZATION = Gauge "system.memory.utilization", "1";
    /// By `kind`: `dirty`, `writeback`, `anonymous`, `mapped`, `shared`, `committed`, `commit_limit`, `page_tables`.
    MEMORY_DETAIL = Gauge "system.linux.memory.detail", "By";
    /// By `state`: `used`, `free`.
    PAGING_USAGE = Gauge "system.paging.usage", "By";
    PAGING_UTILIZATION = Gauge "system.paging.utilization", "1";
    /// By `type`: `major` had to read a disk, `minor` not.
    PAGING_FAULTS = Counter "system.paging.faults", "{fault}";
    /// Pages swapped, by `direction`: `in`, `out`.
    PAGING_OPERATIONS = Counter "system.paging.operations", "{operation}";
    OOM_KILLS = Counter "system.linux.oom_kills", "{process}";

    // Disks: by `device`, and by `direction` (`read`, `write`).
    DISK_IO = Counter "system.disk.io", "By";
    DISK_OPERATIONS = Counter "system.disk.operations", "{operation}";
    /// Sum of the time of all operations.
    DISK_OPERATION_TIME = Counter "system.disk.operation_time", "s";
    /// Time in which the device had something to do.
    DISK_IO_TIME = Counter "system.disk.io_time", "s";
    /// The same times the operations that waited: per second it is the mean length of the queue.
    DISK_WEIGHTED_TIME = Counter "system.disk.weighted_io_time", "s";
    /// Share of time in which the busiest device had something to do.
    DISK_BUSIEST = Gauge "system.linux.disk.busiest", "1";
    /// The longest queue, as a mean since the last sample.
    DISK_QUEUE = Gauge "system.linux.disk.longest_queue", "{operation}";
    /// Sum over devices, by `direction`.
    DISK_IO_TOTAL = Counter "system.linux.disk.io", "By";

    // File systems: by `device`, `mountpoint`, `type`.
    /// By `state` besides: `used`, `free` (for everybody), `reserved` (for root).
    FILESYSTEM_USAGE = Gauge "system.filesystem.usage", "By";
    /// Share in use of what is not reserved for root.
    FILESYSTEM_UTILIZATION = Gauge "system.filesystem.utilization", "1";
    /// By `state` besides: `used`, `free`.
    FILESYSTEM_INODES = Gauge "system.linux.filesystem.inodes", "{inode}";
    /// 1 where the file system takes no writes.
    FILESYSTEM_READONLY = Gauge "system.linux.filesystem.readonly", "1";
    /// Share in use in the fullest one that can be written.
    FILESYSTEM_FULLEST = Gauge "system.linux.filesystem.fullest", "1";
    /// The same for inodes.
    INODES_FULLEST = Gauge "system.linux.filesystem.fullest_inodes", "1";
    /// File systems that did not answer in time.
    FILESYSTEMS_HUNG = Gauge "system.linux.filesystem.hung", "{filesystem}";

    // Network devices: by `device`, and by `direction` (`receive`, `transmit`).
    NETWORK_IO = Counter "system.network.io", "By";
    NETWORK_PACKETS = Counter "system.network.packet.count", "{packet}";
    NETWORK_ERRORS = Counter "system.network.errors", "{error}";
    NETWORK_DROPPED = Counter "system.network.packet.dropped", "{packet}";
    /// Sum over the devices that have hardware (all but `lo` where none has), by `direction`.
    NETWORK_IO_TOTAL = Counter "system.linux.network.io", "By";
    /// Sum over the same devices.
    NETWORK_ERRORS_TOTAL = Counter "system.linux.network.errors", "{error}";
    NETWORK_DROPPED_TOTAL = Counter "system.linux.network.dropped", "{packet}";

    // Protocols.
    /// By `network.connection.state` = `established`.
    CONNECTIONS = Gauge "system.network.connection.count", "{connection}";
    /// TCP segments, by `direction`.
    TCP_SEGMENTS = Counter "system.linux.tcp.segments", "{segment}";
    TCP_RETRANSMITS = Counter "system.linux.tcp.retransmits", "{segment}";
    /// First segments of connections that were sent again: the other side did not answer.
    TCP_SYN_RETRANSMITS = Counter "system.linux.tcp.syn_retransmits", "{segment}";
    TCP_TIMEOUTS = Counter "system.linux.tcp.timeouts", "{timeout}";
    /// Connections that a full queue of a listening socket turned away.
    LISTEN_OVERFLOWS = Counter "system.linux.tcp.listen_overflows", "{connection}";
    LISTEN_DROPS = Counter "system.linux.tcp.listen_drops", "{connection}";
    /// Resets sent.
    TCP_RESETS = Counter "system.linux.tcp.resets", "{segment}";
    /// By `kind`: `receive` (bad), `buffer` (the program was too slow), `no_port` (nobody listens).
    UDP_ERRORS = Counter "system.linux.udp.errors", "{datagram}";
    /// By `kind`: `used`, `tcp`, `tcp_orphan`, `tcp_timewait`, `udp`.
    SOCKETS = Gauge "system.linux.sockets", "{socket}";
    /// Packets that no processor had time for, by `kind`: `dropped`, `squeezed`.
    SOFTNET = Counter "system.linux.softnet", "{packet}";
    CONNTRACK_USAGE = Gauge "system.linux.conntrack.usage", "{connection}";
    CONNTRACK_LIMIT = Gauge "system.linux.conntrack.limit", "{connection}";
    CONNTRACK_UTILIZATION = Gauge "system.linux.conntrack.utilization", "1";

    // Limits.
    FILES_USAGE = Gauge "system.linux.file_handles.usage", "{file}";
    FILES_UTILIZATION = Gauge "system.linux.file_handles.utilization", "1";

    // Services and containers, by `service`: control groups of version 2. Each value is over ten seconds.
    SERVICE_MEMORY = Gauge "system.linux.service.memory.usage", "By";
    SERVICE_MEMORY_LIMIT = Gauge "system.linux.service.memory.limit", "By";
    /// Processors used: 1 is one of them for the whole time.
    SERVICE_CPU = Gauge "system.linux.service.cpu.usage", "{cpu}";
    /// Share of time in which its limit kept it from running.
    SERVICE_THROTTLED = Gauge "system.linux.service.cpu.throttled", "1";
    SERVICE_PROCESSES = Gauge "system.linux.service.processes", "{process}";

    // Hardware.
    /// By `hw.id`.
    TEMPERATURE = Gauge "hw.temperature", "Cel";
    TEMPERATURE_HIGHEST = Gauge "system.linux.temperature.highest", "Cel";

    // What watching costs: the tunnel's process.
    OWN_CPU_TIME = Counter "process.cpu.time", "s";
    OWN_MEMORY = Gauge "process.memory.usage", "By";
    /// How much later than planned a sample began; the latest where they are read more seldom.
    SAMPLER_DELAY = Gauge "system.linux.sampler.delay", "s";
    /// Processor time of a sample.
    SAMPLER_COST = Gauge "system.linux.sampler.cost", "s";
    /// Minutes of history that were lost because nothing could be written.
    HISTORY_LOST = Counter "system.linux.history.lost", "{block}";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_lie_where_they_should() {
        let names: HashSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(["system.", "process.", "hw."].iter().any(|start| metric.name.starts_with(start)), "{metric:?}");
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c)));
            assert!(!metric.unit.is_empty());
        }
    }
}
