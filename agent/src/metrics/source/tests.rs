//! Sources against files that were recorded on other kernels, against files that nobody would write, and against hosts on
//! which devices come, go and begin again.
#![allow(clippy::unwrap_used)]

use super::{cpu, disks, memory, network, protocols, services};
use crate::metrics::kept::Buffer;
use crate::metrics::table::{Summary, Table};
use cloud_doctor_proto::metrics::{SERIES_MAX, SUMMARY_SERIES_MAX, SeriesKind, TEXT_CHARS_MAX};
use std::path::{Path, PathBuf};

struct Host {
    root: tempfile::TempDir,
    table: Table,
    buffer: Buffer,
    cpu: cpu::Cpu,
    pressure: cpu::Pressure,
    memory: memory::Memory,
    disks: disks::Disks,
    network: network::Network,
    protocols: protocols::Protocols,
    services: services::Services,
    boot: u64,
}

impl Host {
    fn of(kernel: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src/metrics/source/recorded").join(kernel);
        copy(&recorded, &root.path().join("proc"));
        for hardware in ["sys/class/net/eth0/device", "sys/block/sda", "sys/block/vda", "sys/block/dm-0/slaves/sda2"] {
            std::fs::create_dir_all(root.path().join(hardware)).unwrap();
        }
        let (mut table, path) = (Table::default(), root.path().to_owned());
        Self {
            cpu: cpu::Cpu::new(&path, &mut table),
            pressure: cpu::Pressure::new(&path, &mut table),
            memory: memory::Memory::new(&path, &mut table),
            disks: disks::Disks::new(&path, &mut table),
            network: network::Network::new(&path, &mut table),
            protocols: protocols::Protocols::new(&path, &mut table),
            services: services::Services::new(&path),
            root,
            table,
            buffer: Buffer::default(),
            boot: 1_000_000,
        }
    }

    fn sample(&mut self) {
        let (table, buffer) = (&mut self.table, &mut self.buffer);
        table.begin(true);
        self.cpu.sample(table, buffer, self.boot, 1);
        self.pressure.sample(table, buffer, 1_000_000);
        self.memory.sample(table, buffer, 1);
        self.disks.sample(table, buffer, 1_000_000);
        self.network.sample(table, buffer);
        self.protocols.sample(table, buffer, 1);
        self.services.sample(table, buffer, self.boot);
        self.boot += 1_000_000;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes into the same file, as the kernel does.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        self.write(name, text.replacen(from, to, 1));
    }

    fn find(&self, name: &str, attributes: &[(&str, &str)]) -> Option<usize> {
        self.table.named().iter().position(|named| {
            let is = |(key, value): &(&str, &str)| named.series.attributes.iter().any(|(k, v)| k == key && v == value);
            named.series.name == name && named.series.attributes.len() == attributes.len() && attributes.iter().all(is)
        })
    }

    fn value(&self, name: &str, attributes: &[(&str, &str)]) -> f32 {
        self.table.values[self.find(name, attributes).unwrap_or_else(|| panic!("{name} {attributes:?}"))]
    }

    #[track_caller]
    fn check(&self, name: &str, attributes: &[(&str, &str)], expected: f32) {
        let value = self.value(name, attributes);
        assert!((value - expected).abs() <= expected.abs() * 1e-4, "{name} {attributes:?}: {value}, not {expected}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).map(drop).unwrap();
        }
    }
}

#[test]
fn an_old_kernel_tells_what_it_has() {
    let mut host = Host::of("centos-7");
    host.sample();
    host.replace(
        "proc/stat",
        "cpu  2255847 1822 1081312 1449834922 154331 0 27721 8812 0 0",
        "cpu  2255947 1822 1081312 1449834972 154351 0 27721 8842 50 0",
    );
    host.replace("proc/stat", "ctxt 3990191", "ctxt 3990691");
    host.replace(
        "proc/diskstats",
        "120521 533 6893231 412322 644211 91220 25576688 2811323 0 901231 3223001",
        "120531 533 6893251 412422 644211 91220 25576688 2811323 2 901481 3224001",
    );
    host.replace("proc/net/dev", "eth0:4100200300  3120334    2   17", "eth0:4100201300  3120335    2   20");
    host.replace("proc/net/snmp", "17 2881021 2711022 871", "18 2881021 2711122 875");
    host.replace("proc/net/netstat", "0 0 12 15 331 41", "0 0 13 17 331 41");
    host.replace("proc/net/softnet_stat", "0030aa11 00000001", "0030aa11 0000000b");
    host.replace("proc/vmstat", "pgmajfault 6711", "pgmajfault 6721");
    host.sample();
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f32;
    host.check("system.cpu.time", &[("mode", "user")], 50.0 * tick);
    host.check("system.cpu.time", &[("mode", "guest")], 50.0 * tick);
    host.check("system.cpu.utilization", &[], 1.0 - 70.0 / 200.0);
    host.check("system.cpu.utilization", &[("mode", "iowait")], 0.1);
    host.check("system.cpu.utilization", &[("mode", "steal")], 0.15);
    host.check("system.linux.context_switches", &[], 500.0);
    host.check("system.process.count", &[("status", "blocked")], 1.0);
    host.check("system.cpu.load_average.15m", &[], 0.37);
    host.check("system.linux.cpu.load_per_cpu", &[], 0.135);
    host.check("system.linux.threads", &[], 83.0);
    assert!(host.value("system.linux.pressure", &[("kind", "some"), ("resource", "memory")]).is_nan());
    // The kernel does not estimate what is available: free, buffers and cache.
    host.check("system.memory.linux.available", &[], (125_848 + 2_076 + 1_246_740) as f32 * 1024.0);
    host.check("system.paging.utilization", &[], (2_097_148 - 2_090_996) as f32 / 2_097_148.0);
    host.check("system.paging.faults", &[("type", "major")], 10.0);
    assert!(host.value("system.linux.oom_kills", &[]).is_nan(), "it does not count them");
    host.check("system.disk.io", &[("device", "sda"), ("direction", "read")], 20.0 * 512.0);
    host.check("system.linux.disk.io", &[("direction", "read")], 20.0 * 512.0);
    host.check("system.disk.operation_time", &[("device", "sda"), ("direction", "read")], 0.1);
    host.check("system.linux.disk.busiest", &[], 0.25);
    host.check("system.linux.disk.longest_queue", &[], 1.0);
    assert!(host.find("system.disk.io", &[("device", "sda1"), ("direction", "read")]).is_none(), "no partitions");
    assert!(host.find("system.disk.io", &[("device", "sr0"), ("direction", "read")]).is_none());
    host.check("system.network.io", &[("device", "eth0"), ("direction", "receive")], 1_000.0);
    host.check("system.linux.network.dropped", &[], 3.0);
    host.check(
        "system.network.connection.count",
        &[("network.connection.state", "established"), ("network.transport", "tcp")],
        18.0,
    );
    host.check("system.linux.tcp.retransmits", &[], 4.0);
    host.check("system.linux.tcp.listen_overflows", &[], 1.0);
    host.check("system.linux.tcp.listen_drops", &[], 2.0);
    host.check("system.linux.softnet", &[("kind", "dropped")], 10.0);
    host.check("system.linux.sockets", &[("kind", "tcp_timewait")], 33.0);
    host.check("system.linux.file_handles.utilization", &[], 1_376.0 / 184_022.0);
    assert!(host.value("system.linux.conntrack.utilization", &[]).is_nan(), "the module is not loaded");
}

#[test]
fn a_kernel_of_today_tells_pressure_and_what_is_available() {
    let mut host = Host::of("debian-12");
    host.sample();
    host.write(
        "proc/pressure/io",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=700000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
    );
    host.sample();
    host.write(
        "proc/pressure/io",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=700400000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=100005\n",
    );
    host.sample();
    host.check("system.linux.pressure", &[("kind", "some"), ("resource", "io")], 0.4);
    host.check("system.linux.pressure", &[("kind", "full"), ("resource", "io")], 0.1);
    assert!(host.find("system.linux.pressure", &[("kind", "full"), ("resource", "cpu")]).is_none());
    let used = host.value("system.memory.utilization", &[]);
    assert!(used > 0.0 && used < 1.0, "{used}");
    host.check("system.paging.utilization", &[], 0.0);
    host.check("system.linux.oom_kills", &[], 0.0);
    assert!(host.value("system.linux.conntrack.utilization", &[]).is_finite());
    host.write("proc/sys/net/netfilter/nf_conntrack_count", "64\n");
    host.sample();
    host.check("system.linux.conntrack.usage", &[], 64.0);
    assert!(host.find("system.disk.io", &[("device", "loop0"), ("direction", "read")]).is_none());
    assert!(host.find("system.disk.io", &[("device", "vda"), ("direction", "read")]).is_some());
}

#[test]
fn cod_09_flt_20_a_counter_that_goes_back_is_no_rate_once() {
    let mut host = Host::of("centos-7");
    host.sample();
    host.replace("proc/stat", "ctxt 3990191", "ctxt 12");
    host.replace("proc/net/dev", "eth0:4100200300", "eth0:5000");
    host.sample();
    assert!(host.value("system.linux.context_switches", &[]).is_nan());
    assert!(host.value("system.network.io", &[("device", "eth0"), ("direction", "receive")]).is_nan());
    host.check("system.linux.network.io", &[("direction", "receive")], 0.0);
    host.replace("proc/stat", "ctxt 12", "ctxt 20");
    host.replace("proc/net/dev", "eth0:5000", "eth0:5300");
    host.sample();
    host.check("system.linux.context_switches", &[], 8.0);
    host.check("system.network.io", &[("device", "eth0"), ("direction", "receive")], 300.0);
    // Milliseconds of disks have 32 bits on every machine, and come round.
    host.replace("proc/diskstats", "0 901231 3223001", "0 4294967290 3223001");
    host.sample();
    host.replace("proc/diskstats", "0 4294967290 3223001", "0 94 3223001");
    host.sample();
    host.check("system.disk.io_time", &[("device", "sda")], 0.1);
    assert!(host.table.values.iter().all(|value| !value.is_infinite()));
    let counters = host.table.named().iter().zip(&host.table.values);
    let negative = counters.filter(|(named, value)| named.series.kind == SeriesKind::Counter && **value < 0.0).count();
    assert_eq!(negative, 0);
}

#[test]
fn what_is_read_more_seldom_is_spread_over_the_samples_in_between() {
    let mut host = Host::of("centos-7");
    host.sample();
    host.replace("proc/net/snmp", "17 2881021 2711022 871", "18 2881021 2711122 891");
    host.replace("proc/vmstat", "pgmajfault 6711", "pgmajfault 6731");
    let mut sum = 0.0;
    for span in [5, 0, 0, 0, 0] {
        host.table.begin(span > 0);
        host.cpu.sample(&mut host.table, &mut host.buffer, host.boot, span);
        host.memory.sample(&mut host.table, &mut host.buffer, span);
        host.protocols.sample(&mut host.table, &mut host.buffer, span);
        host.check("system.linux.tcp.retransmits", &[], 4.0);
        host.check("system.cpu.load_average.1m", &[], 0.27);
        sum += host.value("system.paging.faults", &[("type", "major")]);
    }
    assert!((sum - 20.0).abs() < 1e-3, "{sum}");
    std::fs::remove_file(host.path("proc/net/snmp")).unwrap();
    host.protocols = protocols::Protocols::new(host.root.path(), &mut host.table);
    host.sample();
    assert!(host.value("system.linux.tcp.retransmits", &[]).is_nan(), "what is not told any more does not stay");
}

#[test]
fn a_device_is_shown_when_it_comes_and_its_number_is_free_when_it_goes() {
    let mut host = Host::of("centos-7");
    host.sample();
    let before = std::fs::read_to_string(host.path("proc/diskstats")).unwrap();
    std::fs::create_dir_all(host.path("sys/block/sdb")).unwrap();
    host.write("proc/diskstats", before.replace("  11 ", "   8      16 sdb 10 0 100 5 0 0 0 0 0 5 5\n  11 "));
    host.sample();
    let number = host.find("system.disk.io", &[("device", "sdb"), ("direction", "read")]).unwrap();
    assert!(host.table.values[number].is_nan(), "nothing to count from yet");
    host.write("proc/diskstats", before.replace("  11 ", "   8      16 sdb 12 0 108 5 0 0 0 0 0 5 5\n  11 "));
    host.sample();
    host.check("system.disk.io", &[("device", "sdb"), ("direction", "read")], 8.0 * 512.0);
    let width = host.table.named().len();
    host.write("proc/diskstats", &before);
    host.sample();
    assert!(host.table.values[number].is_nan());
    // Its twin takes the same numbers.
    std::fs::create_dir_all(host.path("sys/block/sdc")).unwrap();
    host.write("proc/diskstats", before.replace("  11 ", "   8      32 sdc 10 0 100 5 0 0 0 0 0 5 5\n  11 "));
    host.sample();
    assert!(host.find("system.disk.io", &[("device", "sdc"), ("direction", "read")]).is_some());
    assert_eq!(host.table.named().len(), width);
    // Of processors that are switched off as well.
    host.replace("proc/stat", "cpu1 1121637 911 540310 724923689 74219 0 13822 4402 0 0\n", "");
    host.sample();
    assert!(host.value("system.cpu.utilization", &[("cpu", "1")]).is_nan());
    host.check("system.linux.cpu.load_per_cpu", &[], 0.27);
}

#[test]
fn web_09_ten_thousand_devices_leave_two_thousand_series_and_a_count() {
    let mut host = Host::of("centos-7");
    host.sample();
    let line = |number: usize| format!("veth{number}: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n");
    host.write("proc/net/dev", (0..10_000).map(line).collect::<String>());
    host.sample();
    assert_eq!(host.table.named().len(), SERIES_MAX);
    assert!(host.table.dropped() > 0);
    host.check("system.process.count", &[("status", "blocked")], 1.0);
    let dropped = host.table.dropped();
    host.sample();
    host.sample();
    assert_eq!(host.table.dropped(), dropped, "the same devices are not dropped again and again");
    assert_eq!(host.table.values.len(), SERIES_MAX);
}

#[test]
fn web_09_ten_thousand_services_are_bounded_and_counted() {
    let mut host = Host::of("centos-7");
    let top = "sys/fs/cgroup/system.slice";
    for number in 0..10_000 {
        std::fs::create_dir_all(host.path(&format!("{top}/app{number}.service"))).unwrap();
    }
    host.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    (0..31).for_each(|_| host.sample());
    let shown =
        host.table.named().iter().filter(|named| named.series.name.starts_with("system.linux.service.")).count();
    assert_eq!(shown, 150 * 5);
    assert_eq!(host.table.dropped(), 9_850 * 5);
}

#[test]
fn web_09_a_service_that_appears_takes_the_place_of_the_one_idle_longest_and_that_is_counted() {
    let mut host = Host::of("centos-7");
    let folder = |host: &Host, name: &str| host.path(&format!("sys/fs/cgroup/system.slice/{name}.service"));
    let appear = |host: &Host, name: &str| std::fs::create_dir_all(folder(host, name)).unwrap();
    let work = |host: &Host, name: &str, usage: u64| {
        let text = format!("usage_usec {usage}\nnr_periods 0\nnr_throttled 0\n");
        std::fs::write(folder(host, name).join("cpu.stat"), text).unwrap();
    };
    let is_shown = |host: &Host, name: &str| {
        let name = format!("{name}.service");
        let slots = host.table.named().iter().zip(&host.table.values).filter(|(named, value)| {
            named.series.attributes.iter().any(|(_, value)| *value == name) && value.is_finite()
        });
        slots.count() > 0
    };
    let all: Vec<String> = (0..150).map(|number| format!("app{number}")).collect();
    all.iter().for_each(|name| appear(&host, name));
    host.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    // Each is read every ten samples, and looked for every thirty. All work, but for one.
    for round in 0..3u64 {
        for name in all.iter().filter(|name| round == 0 || *name != "app7") {
            work(&host, name, 1_000 * (round + 1));
        }
        (0..10).for_each(|_| host.sample());
    }
    assert!(all.iter().all(|name| is_shown(&host, name)));
    assert_eq!(host.table.dropped(), 0);
    for (new, gone, stays) in [("new1", "app7", "app9"), ("new2", "app9", "app8")] {
        appear(&host, new);
        for round in 0..3u64 {
            for name in all.iter().map(String::as_str).filter(|name| !["app7", "app9"].contains(name)).chain([new]) {
                work(&host, name, 100_000 + u64::from(host.table.dropped()) * 10_000 + 1_000 * round);
            }
            (0..10).for_each(|_| host.sample());
        }
        assert!(is_shown(&host, new) && is_shown(&host, stays) && !is_shown(&host, gone), "{new} for {gone}");
    }
    assert_eq!(host.table.dropped(), 2 * 5);
    // Those that were left out come back when there is room again, and are not counted again meanwhile.
    (0..60).for_each(|_| host.sample());
    assert_eq!(host.table.dropped(), 2 * 5);
    assert!(!is_shown(&host, "app7") && !is_shown(&host, "app9"));
    std::fs::remove_dir_all(folder(&host, "app20")).unwrap();
    std::fs::remove_dir_all(folder(&host, "app21")).unwrap();
    for usage in 0..3 {
        work(&host, "app7", 900_000 + usage);
        work(&host, "app9", 900_000 + usage);
        (0..10).for_each(|_| host.sample());
    }
    assert!(is_shown(&host, "app7") && is_shown(&host, "app9") && !is_shown(&host, "app20"));
    assert_eq!(host.table.dropped(), 2 * 5);
}

#[test]
fn a_service_shows_memory_processors_and_what_its_limit_took() {
    let mut host = Host::of("centos-7");
    let long = format!("{}.service", "x".repeat(200));
    for name in
        ["system.slice/web.service", "kubepods.slice/kubepods-pod1.slice/cri-1.scope", &format!("system.slice/{long}")]
    {
        std::fs::create_dir_all(host.path(&format!("sys/fs/cgroup/{name}"))).unwrap();
    }
    host.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    let web = |file: &str| format!("sys/fs/cgroup/system.slice/web.service/{file}");
    host.write(&web("memory.current"), "1048576\n");
    host.write(&web("memory.max"), "max\n");
    host.write(&web("pids.current"), "7\n");
    host.write(&web("cpu.stat"), "usage_usec 1000000\nuser_usec 1\nsystem_usec 1\nnr_periods 10\nnr_throttled 1\n");
    (0..10).for_each(|_| host.sample());
    host.write(&web("cpu.stat"), "usage_usec 6000000\nuser_usec 1\nsystem_usec 1\nnr_periods 20\nnr_throttled 5\n");
    (0..10).for_each(|_| host.sample());
    let of = [("service", "web.service")];
    host.check("system.linux.service.memory.usage", &of, 1_048_576.0);
    assert!(host.value("system.linux.service.memory.limit", &of).is_nan());
    host.check("system.linux.service.cpu.usage", &of, 0.5);
    host.check("system.linux.service.cpu.throttled", &of, 0.4);
    host.check("system.linux.service.processes", &of, 7.0);
    assert!(host.find("system.linux.service.cpu.usage", &[("service", "cri-1.scope")]).is_some());
    assert!(host.table.named().iter().all(|named| named.series.is_bounded()));
    assert!(host.find("system.linux.service.cpu.usage", &[("service", &long[..TEXT_CHARS_MAX])]).is_some());
    std::fs::remove_dir_all(host.path("sys/fs/cgroup/system.slice/web.service")).unwrap();
    (0..31).for_each(|_| host.sample());
    assert!(host.value("system.linux.service.memory.usage", &of).is_nan());
}

#[test]
fn whatever_the_files_say_nothing_breaks() {
    let names = [
        "stat",
        "loadavg",
        "meminfo",
        "vmstat",
        "diskstats",
        "net/dev",
        "net/snmp",
        "net/netstat",
        "net/sockstat",
        "net/softnet_stat",
        "sys/fs/file-nr",
    ];
    let odd: [&[u8]; 9] = [
        b"",
        b"\n\n\n",
        b"\xff\xfe\x00\x01",
        b"cpu\ncpu0\nintr\n: : :\n",
        b"cpu  -1 99999999999999999999999 18446744073709551615 18446744073709551615 1 1 1 1 1 1\ncpu99999999999999999999 1\n",
        b"MemTotal: 0 kB\nMemAvailable: 5 kB\nSwapTotal: 0\nSwapFree: 18446744073709551615 kB\n",
        b"   8       0 sda 1 2\n   8 0 ../../etc 1 1 1 1 1 1 1 1 1 1 1\n   8 0 .. 1 1 1 1 1 1 1 1 1 1 1\n",
        b"..: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n:::: 18446744073709551615 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        b"Tcp:\nTcp: 1\nTcp: OutSegs\nTcp: x y z\nTcp: A OutSegs\nUdp: 1\nTcp: OutSegs RetransSegs\nTcp: 1\n",
    ];
    let mut host = Host::of("debian-12");
    host.sample();
    for text in odd.iter().chain(odd.iter().rev()) {
        for name in names {
            host.write(&format!("proc/{name}"), text);
        }
        host.sample();
        assert!(host.table.values.iter().all(|value| !value.is_infinite()));
        assert!(host.table.named().iter().all(|named| named.series.is_bounded()));
    }
}

#[test]
fn host_wide_series_fit_and_a_summary_holds_what_it_may() {
    let mut host = Host::of("debian-12");
    let slow = crate::metrics::slow::Slow::new(host.root.path(), &mut host.table);
    drop(slow);
    let summary = host.table.named().iter().filter(|named| named.series.summary).count();
    assert_eq!(summary, SUMMARY_SERIES_MAX);
    assert!(host.table.named().len() < SERIES_MAX / 4, "far from all there can be: none of them is ever dropped");
    host.sample();
    let mut sums = Summary::default();
    for blocked in ["5", "9", "2"] {
        let text = format!("ctxt 1\nprocs_running 1\nprocs_blocked {blocked}\n");
        host.write("proc/stat", text);
        host.replace("proc/vmstat", "pgmajfault ", "pgmajfault 1");
        host.sample();
        sums.take(&host.table);
    }
    let place = |wanted: usize| host.table.named()[..wanted].iter().filter(|named| named.series.summary).count();
    let blocked = place(host.find("system.process.count", &[("status", "blocked")]).unwrap());
    let faults = place(host.find("system.paging.faults", &[("type", "major")]).unwrap());
    let values = sums.finish();
    assert_eq!(values[blocked], 9.0, "a gauge's largest value");
    assert!(values[faults] > 1e6, "a counter's sum");
}
