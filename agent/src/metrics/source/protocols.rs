//! What TCP, UDP and the kernel's tables for them suffer from.

use crate::metrics::catalog::{
    CONNECTIONS, CONNTRACK_LIMIT, CONNTRACK_USAGE, CONNTRACK_UTILIZATION, FILES_USAGE, FILES_UTILIZATION, LISTEN_DROPS,
    LISTEN_OVERFLOWS, SOCKETS, SOFTNET, TCP_RESETS, TCP_RETRANSMITS, TCP_SEGMENTS, TCP_SYN_RETRANSMITS, TCP_TIMEOUTS,
    UDP_ERRORS,
};
use crate::metrics::kept::{Buffer, Kept};
use crate::metrics::parse::{Words, alone, hexadecimal, lines};
use crate::metrics::table::{Bits, Slot, Table, lossy};
use std::path::Path;

/// Readings between two looks at a limit that seldom changes.
const LIMIT_EVERY: u64 = 12;

#[derive(Debug)]
pub(in crate::metrics) struct Protocols {
    snmp: Columns,
    netstat: Columns,
    sockstat: Kept,
    sockets: [Slot; 5],
    softnet: Kept,
    softnets: [Slot; 2],
    tracked: Kept,
    tracked_max: Kept,
    conntrack: [Slot; 3],
    limit: Option<f64>,
    files: Kept,
    handles: [Slot; 2],
    round: u64,
}

impl Protocols {
    pub(in crate::metrics) fn new(root: &Path, table: &mut Table) -> Self {
        let snmp = [
            ("Tcp", "RetransSegs", Value::Count(table.add_seldom_summary(&TCP_RETRANSMITS, &[]))),
            ("Tcp", "OutSegs", Value::Count(table.add_seldom(&TCP_SEGMENTS, &[("direction", "transmit")]))),
            ("Tcp", "InSegs", Value::Count(table.add_seldom(&TCP_SEGMENTS, &[("direction", "receive")]))),
            ("Tcp", "OutRsts", Value::Count(table.add_seldom(&TCP_RESETS, &[]))),
            (
                "Tcp",
                "CurrEstab",
                Value::Gauge(table.add_seldom(
                    &CONNECTIONS,
                    &[("network.connection.state", "established"), ("network.transport", "tcp")],
                )),
            ),
            ("Udp", "InErrors", Value::Count(table.add_seldom(&UDP_ERRORS, &[("kind", "receive")]))),
            ("Udp", "RcvbufErrors", Value::Count(table.add_seldom(&UDP_ERRORS, &[("kind", "buffer")]))),
            ("Udp", "NoPorts", Value::Count(table.add_seldom(&UDP_ERRORS, &[("kind", "no_port")]))),
        ];
        let netstat = [
            ("TcpExt", "ListenOverflows", Value::Count(table.add_seldom_summary(&LISTEN_OVERFLOWS, &[]))),
            ("TcpExt", "ListenDrops", Value::Count(table.add_seldom(&LISTEN_DROPS, &[]))),
            ("TcpExt", "TCPSynRetrans", Value::Count(table.add_seldom(&TCP_SYN_RETRANSMITS, &[]))),
            ("TcpExt", "TCPTimeouts", Value::Count(table.add_seldom(&TCP_TIMEOUTS, &[]))),
        ];
        let kinds = ["used", "tcp", "tcp_orphan", "tcp_timewait", "udp"];
        let utilization = table.add_seldom_summary(&CONNTRACK_UTILIZATION, &[]);
        let handles = [table.add_seldom_summary(&FILES_UTILIZATION, &[]), table.add_seldom(&FILES_USAGE, &[])];
        Self {
            snmp: Columns::new(Kept::by_lines(root, "proc/net/snmp"), snmp.into()),
            netstat: Columns::new(Kept::by_lines(root, "proc/net/netstat"), netstat.into()),
            sockstat: Kept::whole(root, "proc/net/sockstat"),
            sockets: kinds.map(|kind| table.add_seldom(&SOCKETS, &[("kind", kind)])),
            softnet: Kept::by_lines(root, "proc/net/softnet_stat"),
            softnets: [
                table.add_seldom_summary(&SOFTNET, &[("kind", "dropped")]),
                table.add_seldom(&SOFTNET, &[("kind", "squeezed")]),
            ],
            tracked: Kept::whole(root, "proc/sys/net/netfilter/nf_conntrack_count"),
            tracked_max: Kept::whole(root, "proc/sys/net/netfilter/nf_conntrack_max"),
            conntrack: [utilization, table.add_seldom(&CONNTRACK_USAGE, &[]), table.add_seldom(&CONNTRACK_LIMIT, &[])],
            limit: None,
            files: Kept::whole(root, "proc/sys/fs/file-nr"),
            handles,
            round: 0,
        }
    }

    /// Takes a sample when `span` is not 0: so many samples after the last one.
    pub(in crate::metrics) fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, span: u32) {
        if span == 0 {
            return;
        }
        let share = 1.0 / f64::from(span);
        self.snmp.sample(table, buffer, share);
        self.netstat.sample(table, buffer, share);
        self.sockets(table, buffer);
        self.softnet(table, buffer, share);
        self.conntrack(table, buffer);
        self.files(table, buffer);
        self.round += 1;
    }

    fn sockets(&mut self, table: &mut Table, buffer: &mut Buffer) {
        let Some(text) = self.sockstat.read(buffer) else { return };
        for line in lines(text) {
            let mut words = Words(line);
            let wanted: &[(&[u8], usize)] = match words.next() {
                Some(b"sockets:") => &[(b"used", 0)],
                Some(b"TCP:") => &[(b"inuse", 1), (b"orphan", 2), (b"tw", 3)],
                Some(b"UDP:") => &[(b"inuse", 4)],
                Some(_) | None => continue,
            };
            while let Some(key) = words.next() {
                let Some(value) = words.number() else { break };
                if let Some((_, place)) = wanted.iter().find(|(name, _)| *name == key) {
                    table.set(self.sockets[*place], lossy(value));
                }
            }
        }
    }

    /// One line for each processor: packets, dropped, squeezed, in hexadecimal.
    fn softnet(&mut self, table: &mut Table, buffer: &mut Buffer, share: f64) {
        let Some(text) = self.softnet.read(buffer) else { return };
        let mut sums = [0u64; 2];
        for line in lines(text) {
            let mut words = Words(line).skip(1).map(hexadecimal);
            for sum in &mut sums {
                *sum = sum.wrapping_add(words.next().flatten().unwrap_or(0));
            }
        }
        for (slot, sum) in self.softnets.iter().zip(sums) {
            table.count(*slot, sum, Bits::Machine, share);
        }
    }

    fn conntrack(&mut self, table: &mut Table, buffer: &mut Buffer) {
        let Some(count) = self.tracked.read(buffer).and_then(alone) else { return };
        if self.limit.is_none() || self.round.is_multiple_of(LIMIT_EVERY) {
            self.limit = self.tracked_max.read(buffer).and_then(alone).map(lossy);
        }
        table.set(self.conntrack[1], lossy(count));
        if let Some(limit) = self.limit.filter(|limit| *limit > 0.0) {
            table.set(self.conntrack[0], lossy(count) / limit);
            table.set(self.conntrack[2], limit);
        }
    }

    /// Allocated, free, and the most that there may be: practically without a limit on today's kernels.
    fn files(&mut self, table: &mut Table, buffer: &mut Buffer) {
        let Some(text) = self.files.read(buffer) else { return };
        let mut words = Words(text.strip_suffix(b"\n").unwrap_or(text));
        let (Some(used), Some(_), Some(limit)) = (words.number(), words.number(), words.number()) else { return };
        table.set(self.handles[1], lossy(used));
        if limit > 0 {
            table.set(self.handles[0], lossy(used) / lossy(limit));
        }
    }
}

/// What a column is.
#[derive(Debug, Clone, Copy)]
enum Value {
    Gauge(Slot),
    Count(Slot),
}

/// A line's name, and which of its numbers are wanted.
type Line = (Vec<u8>, Vec<(usize, Value)>);

/// A file of pairs of lines: `Tcp: Name Name …`, `Tcp: 1 2 …`. Names never change while a kernel runs, so that each is
/// looked for once and compared as a whole after that.
#[derive(Debug)]
struct Columns {
    file: Kept,
    wanted: Vec<(&'static str, &'static str, Value)>,
    /// The line of names of each protocol that holds a wanted one, and which columns those are.
    known: Vec<Line>,
}

impl Columns {
    fn new(file: Kept, wanted: Vec<(&'static str, &'static str, Value)>) -> Self {
        Self { file, wanted, known: Vec::new() }
    }

    fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, share: f64) {
        let Some(text) = self.file.read(buffer) else { return };
        let mut all = lines(text);
        let mut place = 0;
        while let (Some(names), Some(values)) = (all.next(), all.next()) {
            if !self.is_wanted(names) {
                continue;
            }
            if self.known.get(place).is_none_or(|(known, _)| known != names) {
                self.known.truncate(place);
                self.known.push((names.to_vec(), columns(names, &self.wanted)));
            }
            take(values, &self.known[place].1, table, share);
            place += 1;
        }
    }

    fn is_wanted(&self, names: &[u8]) -> bool {
        let protocol = protocol(names);
        self.wanted.iter().any(|(wanted, _, _)| wanted.as_bytes() == protocol)
    }
}

fn protocol(line: &[u8]) -> &[u8] {
    &line[..line.iter().position(|byte| *byte == b':').unwrap_or(0)]
}

fn columns(names: &[u8], wanted: &[(&'static str, &'static str, Value)]) -> Vec<(usize, Value)> {
    let protocol = protocol(names);
    let column = |(place, name): (usize, &[u8])| {
        let found = wanted.iter().find(|(of, wanted, _)| of.as_bytes() == protocol && wanted.as_bytes() == name);
        found.map(|(_, _, value)| (place, *value))
    };
    Words(names).enumerate().filter_map(column).collect()
}

fn take(values: &[u8], columns: &[(usize, Value)], table: &mut Table, share: f64) {
    let mut words = Words(values);
    let mut passed = 0;
    for (column, value) in columns {
        let Some(word) = words.by_ref().nth(column - passed) else { return };
        passed = column + 1;
        let Some(number) = crate::metrics::parse::number(word) else { continue };
        match value {
            Value::Gauge(slot) => table.set(*slot, lossy(number)),
            Value::Count(slot) => {
                table.count(*slot, number, Bits::Machine, share);
            }
        }
    }
}
