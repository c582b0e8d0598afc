//! History on disk: what was put in comes out, whatever happens to files, clock and disk.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::metrics::catalog::{CPU_UTILIZATION, DISK_IO};
use crate::metrics::table::{Bits, Slot};
use cloud_doctor_proto::metrics::{Range, RangeRequest};

/// A time at a full hour.
const BEGAN: u64 = 1_800_000_000_000;

struct Host {
    folder: tempfile::TempDir,
    history: History,
    table: Table,
    gauge: Slot,
    counter: Slot,
    now: Moment,
    counted: u64,
}

impl Host {
    fn new() -> Self {
        Self::bounded(BYTES_MAX, |_| Some(0.5))
    }

    fn bounded(bytes_max: u64, free: fn(&Path) -> Option<f64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::default();
        let gauge = table.add_summary(&CPU_UTILIZATION, &[]);
        let counter = table.add_one_of_many(&DISK_IO, &[("device", "sda")]);
        let history = History::bounded(folder.path(), bytes_max, free);
        history.find();
        let now = Moment { wall: BEGAN + 20, boot: 5_000_000 };
        Self { folder, history, table, gauge, counter, now, counted: 0 }
    }

    /// A sample, and a second passes.
    fn second(&mut self, value: f64) {
        self.table.begin(true);
        self.table.set(self.gauge, value);
        self.counted += 100;
        self.table.count(self.counter, self.counted, Bits::Machine, 1.0);
        self.history.push(&mut self.table, self.now, 1_000_000);
        self.now.wall += 1_000;
        self.now.boot += 1_000_000;
    }

    fn seconds(&mut self, count: u64, value: impl Fn(u64) -> f64) {
        for second in 0..count {
            self.second(value(second));
        }
    }

    fn restart(&mut self) {
        self.history = History::bounded(self.folder.path(), BYTES_MAX, |_| Some(0.5));
        self.history.find();
    }

    fn ask(&self, from: u64, to: u64, points: u32) -> Vec<(Arc<Series>, Range)> {
        ask(&self.history, from, to, points, &[])
    }

    fn gauge(&self, from: u64, to: u64, points: u32) -> Range {
        let all = ask(&self.history, from, to, points, &[CPU_UTILIZATION.name]);
        all.into_iter().next().expect("the gauge has a history").1
    }

    /// Values of the gauge that are known in a range.
    fn known(&self, from: u64, to: u64) -> usize {
        let ranges = ask(&self.history, from, to, 4_096, &[CPU_UTILIZATION.name]);
        ranges.iter().map(|(_, range)| range.mean.iter().filter(|mean| !mean.is_nan()).count()).sum()
    }

    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
        let mut files: Vec<_> = entries.filter(named).collect();
        files.sort();
        files
    }
}

fn ask(history: &History, from: u64, to: u64, points: u32, names: &[&str]) -> Vec<(Arc<Series>, Range)> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let (mut series, mut ranges) = (Vec::new(), Vec::new());
    history.range(&RangeRequest { from, to, points, names }, &mut |answer| {
        match answer {
            Answer::Series(all) => series = all,
            Answer::Range(range) => {
                // It travels.
                ranges.push(Range::from_bytes(&range.to_bytes()).unwrap());
            }
        }
        true
    });
    assert_eq!(series.len(), ranges.len());
    series.into_iter().zip(ranges).collect()
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= b.abs() / 500.0
}

#[test]
fn seconds_come_back_from_memory_and_from_disk() {
    let mut host = Host::new();
    host.seconds(150, |second| second as f64);
    for _ in 0..2 {
        let range = host.gauge(BEGAN, BEGAN + 150_000, 150);
        assert_eq!((range.from, range.step, range.mean.len()), (BEGAN, 1_000, 150));
        assert!(range.mean.iter().zip(0u16..).all(|(mean, second)| near(*mean, f32::from(second))), "{range:?}");
        // The counter's first second has nothing to count from.
        let counter = &host.ask(BEGAN, BEGAN + 150_000, 150)[1].1;
        assert!(counter.mean[0].is_nan() && counter.mean[1..].iter().all(|mean| near(*mean, 100.0)));
        host.history.flush();
        host.restart();
    }
    assert_eq!(host.files("1s-").len(), 1);
    let coarser = host.gauge(BEGAN, BEGAN + 150_000, 3);
    assert_eq!(coarser.step % 10_000, 0, "{}", coarser.step);
    assert!(coarser.mean.len() <= 3 && near(coarser.max.iter().copied().fold(0.0, f32::max), 149.0));
}

#[test]
fn days_are_kept_coarser_and_peaks_are_not_hidden() {
    let mut host = Host::new();
    let peak = 5 * 3_600 + 1_234;
    host.seconds(30 * 3_600, |second| if second == peak { 900.0 } else { 1.0 });
    let range = host.gauge(BEGAN, host.now.wall, 200);
    let highest = range.max.iter().copied().fold(0.0, f32::max);
    assert!(near(highest, 900.0), "{highest}");
    let place = range.max.iter().position(|max| near(*max, 900.0)).unwrap();
    let at = range.from + place as u64 * u64::from(range.step);
    assert!((at..at + u64::from(range.step)).contains(&(BEGAN + peak * 1_000)));
    assert!(range.min.iter().filter(|min| !min.is_nan()).all(|min| near(*min, 1.0)));
    assert_eq!(host.files("1s-").len(), 2, "an hour of seconds");
    assert_eq!(host.files("10s-").len(), 2, "a day in each file");
    // The last hour is there by the second.
    let last = host.gauge(host.now.wall - 3_600_000, host.now.wall, 3_700);
    assert_eq!((last.step, last.mean.iter().filter(|mean| !mean.is_nan()).count()), (1_000, 3_600));
    let before = host.known(BEGAN, host.now.wall);
    host.history.flush();
    host.restart();
    assert_eq!(host.known(BEGAN, host.now.wall), before);
}

#[test]
fn flt_20_a_clock_that_is_set_makes_no_moment_count_twice() {
    let mut host = Host::new();
    host.seconds(600, |_| 1.0);
    host.now.wall -= 300_000;
    host.seconds(600, |_| 2.0);
    let range = host.gauge(BEGAN, BEGAN + 900_000, 900);
    assert!(range.mean[..300].iter().all(|mean| near(*mean, 1.0)));
    assert!(range.mean[300..900].iter().all(|mean| near(*mean, 2.0)), "the newer word counts");
    for jump in [i64::from(i32::MAX) * 100, -i64::from(i32::MAX) * 150, 3_600_000] {
        host.now.wall = host.now.wall.saturating_add_signed(jump);
        host.seconds(90, |_| 3.0);
        assert_eq!(host.known(host.now.wall - 89_000, host.now.wall), 89);
    }
    host.seconds(2 * 3_600, |_| 4.0);
    assert_eq!(host.history.lost(), 0);
    let known = host.known(host.now.wall - 3_600_000, host.now.wall);
    assert!(known >= 3_599, "a clock that jumped costs no history: {known}");
}

#[test]
fn a_file_cut_off_anywhere_gives_all_that_is_whole() {
    let mut host = Host::new();
    host.seconds(600, |second| second as f64);
    host.history.flush();
    let file = host.files("1s-").pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut last = 0;
    for cut in (0..whole.len()).step_by(13).chain([whole.len()]) {
        std::fs::write(&file, &whole[..cut]).unwrap();
        host.restart();
        let known = host.known(BEGAN, BEGAN + 600_000);
        assert!(known >= last && known.is_multiple_of(60), "{cut}: {known}");
        last = known;
    }
    assert_eq!(last, 600);
    // What comes next follows what was whole.
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    host.restart();
    host.seconds(60, |_| 5.0);
    host.history.flush();
    host.restart();
    assert_eq!(host.known(BEGAN, BEGAN + 700_000), 600);
}

#[test]
fn damage_in_the_middle_costs_what_it_hits() {
    let mut host = Host::new();
    host.seconds(600, |second| second as f64);
    host.history.flush();
    let file = host.files("1s-").pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&file, &damaged).unwrap();
        host.restart();
        let ranges = host.ask(BEGAN, BEGAN + 600_000, 600);
        let gauge = ranges.iter().find(|(series, _)| series.name == CPU_UTILIZATION.name);
        let Some((_, range)) = gauge else { continue };
        let wrong = |(mean, second): (&f32, u16)| !mean.is_nan() && !near(*mean, f32::from(second));
        assert!(!range.mean.iter().zip(0..).any(wrong), "{place}");
    }
}

#[test]
fn files_of_anything_are_no_history_and_no_end() {
    let host = Host::new();
    let random: Vec<u8> = (0..200_000u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let mut ours = b"cdhist\x02\x01".to_vec();
    let mut markers = ours.clone();
    ours.extend(&random);
    markers.extend(b"cdr\x01\xff\xff\x0f\x00\xff\xff\xff\x00".repeat(5_000));
    let files: [&[u8]; 6] = [b"", b"cdhist", b"cdhist\x63\x01", &random, &ours, &markers];
    for (number, bytes) in files.iter().enumerate() {
        std::fs::write(host.folder.path().join(format!("1s-{number:010}")), bytes).unwrap();
        std::fs::write(host.folder.path().join(format!("10s-{number:010}")), bytes).unwrap();
    }
    std::fs::write(host.folder.path().join("note"), "of somebody else").unwrap();
    std::fs::create_dir(host.folder.path().join("1s-0000000099")).unwrap();
    let mut host = host;
    host.restart();
    host.seconds(120, |_| 1.0);
    host.history.flush();
    assert_eq!(host.known(BEGAN, BEGAN + 120_000), 120);
    assert!(host.folder.path().join("note").exists());
}

#[test]
fn flt_22_a_full_disk_keeps_an_hour_in_memory_and_counts_what_falls_out() {
    let mut host = Host::bounded(BYTES_MAX, |_| Some(0.01));
    host.seconds(30 * 60, |_| 1.0);
    assert_eq!((host.history.lost(), host.known(BEGAN, host.now.wall)), (0, 1_800));
    assert!(host.files("1s-").is_empty());
    host.seconds(60 * 60, |_| 1.0);
    assert!((28..=30).contains(&host.history.lost()), "{}", host.history.lost());
    // There is room again: what is in memory is written.
    host.history.inner().free_share = |_| Some(0.5);
    host.seconds(61, |_| 1.0);
    assert!(host.history.inner().waiting.is_empty());
    let known = host.known(host.now.wall - 3_700_000, host.now.wall);
    host.history.flush();
    host.restart();
    assert!((3_600..=3_700).contains(&known), "{known}");
    assert_eq!(host.known(host.now.wall - 3_700_000, host.now.wall), known);
}

#[test]
fn flt_22_writes_that_fail_are_kept_and_tried_again() {
    let mut host = Host::new();
    host.seconds(180, |_| 1.0);
    let file = host.files("1s-").pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    // Nothing can be written into a folder.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    host.seconds(180, |_| 1.0);
    assert!(!host.history.inner().waiting.is_empty());
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, &whole).unwrap();
    host.seconds(61, |_| 1.0);
    assert!(host.history.inner().waiting.is_empty());
    assert_eq!(host.known(BEGAN, BEGAN + 400_000), 400);
}

#[test]
fn flt_22_a_block_that_a_full_disk_takes_half_of_is_no_damage_and_is_written_later() {
    let Some(disk) = full_disk::Disk::of("size=128k") else { return };
    let mut host = Host::new();
    host.history = History::new(disk.path());
    host.history.find();
    let name = |number: u32| number.to_string();
    let noise: Vec<Slot> =
        (0..120).map(|cpu| host.table.add_one_of_many(&CPU_UTILIZATION, &[("cpu", &name(cpu))])).collect();
    let mut random = 1u32;
    let mut noisy = |host: &mut Host, seconds: u64| {
        for _ in 0..seconds {
            for slot in &noise {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Of all sizes, so that a minute of it takes more than three pages.
                host.table.set(*slot, f64::from(random >> 8) / f64::from(1u32 << (random >> 4 & 31)));
            }
            host.history.push(&mut host.table, host.now, 1_000_000);
            host.now.wall += 1_000;
            host.now.boot += 1_000_000;
        }
    };
    let known = |host: &Host| {
        let all = host.ask(BEGAN, host.now.wall, 4_096);
        let seconds = all.iter().map(|(_, range)| range.mean.iter().filter(|mean| !mean.is_nan()).count());
        (all.len(), seconds.sum::<usize>())
    };
    noisy(&mut host, 180);
    let file = disk.path().join("1s-0000000001");
    let before = std::fs::read(&file).unwrap();
    // Two pages of thirty-two: enough to try, and too little.
    let filler = disk.fill_but(2);
    let more = disk.path().join("more");
    let refused = std::fs::write(&more, vec![b'x'; 12 << 10]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    std::fs::remove_file(&more).unwrap();
    noisy(&mut host, 120);
    assert!(!host.history.inner().waiting.is_empty(), "it could not be written");
    assert!(std::fs::read(&file).unwrap() == before, "what was half written is cut off");
    assert_eq!((known(&host), host.history.lost()), ((120, 120 * 300), 0), "memory has what the disk has not");
    // There is room again.
    std::fs::remove_file(filler).unwrap();
    noisy(&mut host, 61);
    assert!(host.history.inner().waiting.is_empty());
    host.history.flush();
    host.history = History::new(disk.path());
    host.history.find();
    assert_eq!(known(&host), (120, 120 * 361));
    assert!(host.history.inner().fine.iter().all(|segment| segment.damaged == 0));
}

#[test]
fn the_oldest_files_go_when_there_are_too_many_bytes() {
    let mut host = Host::bounded(20_000, |_| Some(0.5));
    host.seconds(80 * 3_600, |second| f64::from(u32::try_from(second * 7_919 % 10_007).unwrap()));
    let bytes: u64 =
        std::fs::read_dir(host.folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    // Two hours of seconds and the file that is written stay, whatever they have.
    assert!(host.files("10s-").len() == 1 && bytes < 100_000, "{bytes}");
    assert!(host.known(host.now.wall - 7_200_000, host.now.wall) > 600);
}

#[test]
fn a_device_that_comes_and_goes_has_its_own_history() {
    let mut host = Host::new();
    for round in 0u64..6 {
        let name = format!("sd{}", char::from(b'b' + u8::try_from(round % 3).unwrap()));
        let slot = host.table.add_one_of_many(&CPU_UTILIZATION, &[("device", &name)]);
        for _ in 0..10 {
            host.table.begin(true);
            host.table.set(slot, (round % 3) as f64 + 1.0);
            host.history.push(&mut host.table, host.now, 1_000_000);
            host.now.wall += 1_000;
            host.now.boot += 1_000_000;
        }
        host.table.remove(slot);
    }
    for flushed in [false, true] {
        if flushed {
            host.history.flush();
        }
        for (number, name) in ["sdb", "sdc", "sdd"].iter().enumerate() {
            let ranges = host.ask(BEGAN, BEGAN + 60_000, 60);
            let mut found =
                ranges.iter().filter(|(series, _)| series.attributes.iter().any(|(_, value)| value == name));
            let (_, range) = found.next().unwrap();
            assert!(found.next().is_none(), "{name} once");
            let values: Vec<_> = range.mean.iter().filter(|mean| !mean.is_nan()).collect();
            assert!(
                values.len() == 20 && values.iter().all(|mean| near(**mean, (number + 1) as f32)),
                "{name}: {values:?}"
            );
        }
    }
}

#[test]
fn cod_09_requests_that_make_no_sense_have_answers_within_bounds() {
    let mut host = Host::new();
    host.seconds(90, |_| 1.0);
    for (from, to, points) in [(5, 5, 1), (9, 3, 100), (0, u64::MAX, 4_096), (u64::MAX - 1, u64::MAX, 0)] {
        assert!(host.ask(from, to, points).is_empty());
    }
    for (from, to, points) in
        [(0, 1 << 47, 0), (BEGAN, BEGAN + 1, u32::MAX), (BEGAN + 7, BEGAN + 61_003, 61), (0, BEGAN + 90_000, 1)]
    {
        for (_, range) in host.ask(from, to, points) {
            assert!(range.mean.len() <= 4_096 && range.step > 0);
        }
    }
    let exact = host.gauge(BEGAN + 500, BEGAN + 60_500, 60);
    assert!(exact.mean.len() <= 60 && exact.step >= 1_000 && exact.from <= BEGAN + 500, "{exact:?}");
}
