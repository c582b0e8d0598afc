//! The thread that samples, and what it shows.
//!
//! A sample is taken a little after each full second of the host's clock. One that is late is taken when it can be; those
//! that were missed, as after a suspend, are not made up for. It must never encode what nobody watches, nor wait for
//! anybody who does: a watcher sees the newest sample and may miss others.

use super::catalog::{HISTORY_LOST, OWN_CPU_TIME, OWN_MEMORY, SAMPLER_COST, SAMPLER_DELAY};
use super::clock::{self, Moment};
use super::history::{Answer, History};
use super::kept::{Buffer, Kept};
use super::parse::{self, Words};
use super::slow::Slow;
use super::source::{cpu, disks, memory, network, protocols, services};
use super::table::{Bits, Layout, Slot, Summary, Table, lossy};
use cloud_doctor_proto::metrics::{LIVE_MILLIS, RangeRequest, SUMMARY_MILLIS, Sample};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// After a full second, so that no small step of the host's clock puts two samples into one.
const AFTER_SECOND_MILLIS: u64 = 20;
/// Samples between two readings of what costs most and changes least, while nobody looks: counters are spread over them.
const SELDOM: u32 = 5;
/// Two samples are never nearer than this.
const APART_MILLIS: u64 = 500;
/// Sampling needs little stack.
const STACK_BYTES: usize = 128 << 10;

/// What the sampler needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `/`, but in tests.
    pub(crate) root: PathBuf,
    /// Where history is kept.
    pub(crate) history: PathBuf,
}

/// A sample as watchers get it.
#[derive(Debug)]
pub(crate) struct Tick {
    /// What the values mean, all or a summary's.
    pub(crate) layout: Arc<Layout>,
    /// [`Sample::to_bytes`].
    pub(crate) sample: Vec<u8>,
}

/// Followers see the newest one only.
type Followed = watch::Sender<Option<Arc<Tick>>>;

#[derive(Debug)]
struct Shared {
    live: Followed,
    summaries: Followed,
    history: Arc<History>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

/// The sampler. Dropped, it stops and what is not yet on disk is written.
#[derive(Debug)]
pub(crate) struct Metrics {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Starts sampling.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(settings: &Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            live: watch::Sender::new(None),
            summaries: watch::Sender::new(None),
            history: Arc::new(History::new(&settings.history)),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let mut sampler = Sampler::new(&settings.root, shared.clone());
        let thread = std::thread::Builder::new().name("metrics".into()).stack_size(STACK_BYTES);
        let thread = Some(thread.spawn(move || sampler.run())?);
        Ok(Self { shared, thread })
    }

    /// Follows all series, each second.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<Arc<Tick>>> {
        self.shared.live.subscribe()
    }

    /// Follows summaries.
    pub(crate) fn follow_summaries(&self) -> watch::Receiver<Option<Arc<Tick>>> {
        self.shared.summaries.subscribe()
    }

    /// Reads history, which may take a while: each piece of the answer goes to `each`, until it has enough.
    pub(crate) fn range(&self) -> impl FnOnce(&RangeRequest, &mut dyn FnMut(Answer) -> bool) + Send + use<> {
        let history = self.shared.history.clone();
        move |request, each| history.range(request, each)
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stop.notify_all();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// All that is sampled.
#[derive(Debug)]
struct Sampler {
    shared: Arc<Shared>,
    table: Table,
    buffer: Buffer,
    cpu: cpu::Cpu,
    pressure: cpu::Pressure,
    memory: memory::Memory,
    disks: disks::Disks,
    network: network::Network,
    protocols: protocols::Protocols,
    services: services::Services,
    slow: Slow,
    lost: Slot,
    own: Own,
    before: Option<Moment>,
    /// Samples since what is read more seldom was read.
    unread: u32,
    summary: Summary,
    /// Milliseconds that the summary is for.
    summed: u64,
}

impl Sampler {
    fn new(root: &Path, shared: Arc<Shared>) -> Self {
        let mut table = Table::default();
        Self {
            shared,
            cpu: cpu::Cpu::new(root, &mut table),
            pressure: cpu::Pressure::new(root, &mut table),
            memory: memory::Memory::new(root, &mut table),
            disks: disks::Disks::new(root, &mut table),
            network: network::Network::new(root, &mut table),
            protocols: protocols::Protocols::new(root, &mut table),
            services: services::Services::new(root),
            slow: Slow::new(root, &mut table),
            lost: table.add(&HISTORY_LOST, &[]),
            own: Own::new(root, &mut table),
            buffer: Buffer::default(),
            table,
            before: None,
            unread: SELDOM - 1,
            summary: Summary::default(),
            summed: 0,
        }
    }

    /// Samples until it is told to stop.
    fn run(&mut self) {
        // Here, because a tunnel that comes back has shells that wait for it.
        self.shared.history.find();
        // The first one gives the counters something to count from.
        self.sample(clock::now(), 0);
        loop {
            let now = clock::now();
            let wait = wait_millis(now.wall);
            if self.stopped_within(Duration::from_millis(wait)) {
                return self.shared.history.flush();
            }
            let woke = clock::now();
            self.sample(woke, woke.boot.saturating_sub(now.boot + wait * 1_000));
        }
    }

    /// Waits; whether there is nothing more to wait for.
    fn stopped_within(&self, wait: Duration) -> bool {
        let stopped = self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.stop.wait_timeout_while(stopped, wait, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn sample(&mut self, now: Moment, late: u64) {
        let elapsed = self.before.replace(now).map_or(0, |before| now.boot.saturating_sub(before.boot));
        self.unread += 1;
        let is_watched = self.shared.live.receiver_count() > 0;
        let is_all = self.unread >= SELDOM || is_watched;
        let span = if is_all { std::mem::take(&mut self.unread) } else { 0 };
        let (table, buffer) = (&mut self.table, &mut self.buffer);
        table.begin(is_all);
        self.cpu.sample(table, buffer, now.boot, span);
        self.pressure.sample(table, buffer, elapsed);
        self.memory.sample(table, buffer, span);
        self.disks.sample(table, buffer, elapsed);
        self.network.sample(table, buffer);
        self.protocols.sample(table, buffer, span);
        self.services.sample(table, buffer, now.boot);
        self.slow.sample(table, is_watched);
        self.own.sample(table, buffer, late, span);
        table.count(self.lost, self.shared.history.lost(), Bits::Machine, 1.0);
        self.shared.history.push(table, now, elapsed);
        self.show(now, elapsed / 1_000);
    }

    /// Hands the sample to those who watch.
    fn show(&mut self, now: Moment, elapsed: u64) {
        if self.shared.live.receiver_count() > 0 {
            let tick = self.tick(now, elapsed, self.table.values.to_vec(), false);
            self.shared.live.send_replace(Some(tick));
        }
        if self.shared.summaries.receiver_count() == 0 {
            self.summary = Summary::default();
            self.summed = 0;
            return;
        }
        self.summary.take(&self.table);
        self.summed += elapsed.max(1);
        if self.summed + u64::from(LIVE_MILLIS) / 2 >= u64::from(SUMMARY_MILLIS) {
            let values = self.summary.finish();
            let summed = std::mem::take(&mut self.summed);
            let tick = self.tick(now, summed, values, true);
            self.shared.summaries.send_replace(Some(tick));
        }
    }

    fn tick(&mut self, now: Moment, elapsed: u64, values: Vec<f32>, is_summary: bool) -> Arc<Tick> {
        let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX);
        let sample = Sample { at: now.wall, elapsed, dropped: self.table.dropped(), values };
        let mut layout = self.table.layout();
        if is_summary {
            layout = Arc::new(layout.iter().filter(|named| named.series.summary).cloned().collect());
        }
        Arc::new(Tick { layout, sample: sample.to_bytes() })
    }
}

/// Until the next sample: a little after a full second of the host's clock, and never too soon.
fn wait_millis(wall: u64) -> u64 {
    let into = (wall % 1_000 + 1_000 - AFTER_SECOND_MILLIS) % 1_000;
    let wait = 1_000 - into;
    if wait < APART_MILLIS { wait + 1_000 } else { wait }
}

/// What watching costs. It is read as seldom as can be, so that it does not become what it tells.
#[derive(Debug)]
struct Own {
    memory_file: Kept,
    page: f64,
    cpu_time: Slot,
    memory: Slot,
    delay: Slot,
    cost: Slot,
    before: u64,
    /// The latest since the costs were read.
    late: u64,
}

impl Own {
    fn new(root: &Path, table: &mut Table) -> Self {
        Self {
            memory_file: Kept::whole(root, "proc/self/statm"),
            page: lossy(u64::try_from(rustix::param::page_size()).unwrap_or(0)),
            memory: table.add_seldom(&OWN_MEMORY, &[]),
            cpu_time: table.add_seldom(&OWN_CPU_TIME, &[]),
            delay: table.add_seldom(&SAMPLER_DELAY, &[]),
            cost: table.add_seldom(&SAMPLER_COST, &[]),
            before: 0,
            late: 0,
        }
    }

    /// Takes a sample when `span` is not 0: so many samples after the last one.
    fn sample(&mut self, table: &mut Table, buffer: &mut Buffer, late: u64, span: u32) {
        self.late = self.late.max(late);
        if span == 0 {
            return;
        }
        let share = 1.0 / f64::from(span);
        let resident = self.memory_file.read(buffer).and_then(|text| Words(text).nth(1).and_then(parse::number));
        table.set(self.memory, resident.map_or(f64::NAN, |pages| lossy(pages) * self.page));
        let used = clock::thread_micros();
        table.count(self.cpu_time, clock::process_micros(), Bits::Machine, share * 1e-6);
        table.set(self.delay, lossy(std::mem::take(&mut self.late)) / 1e6);
        table.set(self.cost, lossy(used.saturating_sub(self.before)) / 1e6 * share);
        self.before = used;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics::history::full_disk::Disk;
    use crate::metrics::past::shares;
    use cloud_doctor_checks::forecast::STEP_SECS;

    #[test]
    fn samples_are_taken_after_full_seconds_and_never_twice() {
        assert_eq!(wait_millis(1_000_020), 1_000);
        assert_eq!(wait_millis(1_000_021), 999);
        assert_eq!(wait_millis(1_000_000), 1_020);
        assert_eq!(wait_millis(1_000_520), 500);
        assert_eq!(wait_millis(1_000_521), 1_499);
    }

    /// A time at a full hour.
    const BEGAN: u64 = 1_800_000_000_000;

    /// A sampler of this host whose time is ours.
    struct Sampling {
        sampler: Sampler,
        now: Moment,
    }

    impl Sampling {
        fn of(history: &Path) -> Self {
            let shared = Arc::new(Shared {
                live: watch::Sender::new(None),
                summaries: watch::Sender::new(None),
                history: Arc::new(History::new(history)),
                stopped: Mutex::new(false),
                stop: Condvar::new(),
            });
            shared.history.find();
            let sampler = Sampler::new(Path::new("/"), shared);
            Self { sampler, now: Moment { wall: BEGAN + 20, boot: 5_000_000 } }
        }

        /// Samples for so many minutes, and returns how many losses were shown.
        fn minutes(&mut self, count: u64) -> f32 {
            let mut lost = 0.0;
            for _ in 0..count * 60 {
                self.sampler.sample(self.now, 0);
                assert!(self.value("system.memory.utilization").is_finite(), "sampling goes on");
                lost += Some(self.value(HISTORY_LOST.name)).filter(|lost| lost.is_finite()).unwrap_or(0.0);
                self.now.wall += 1_000;
                self.now.boot += 1_000_000;
            }
            lost
        }

        fn value(&self, name: &str) -> f32 {
            let place = self.sampler.table.named().iter().position(|named| named.series.name == name).unwrap();
            self.sampler.table.values[place]
        }

        /// Seconds of the last hour that history knows.
        fn known(&self, history: &History) -> usize {
            let names = vec!["system.memory.utilization".to_owned()];
            let mut known = 0;
            let (from, to) = (self.now.wall - 3_600_000, self.now.wall);
            history.range(&RangeRequest { from, to, points: 3_700, names }, &mut |answer| {
                if let Answer::Range(range) = answer {
                    known += range.mean.iter().filter(|mean| mean.is_finite()).count();
                }
                true
            });
            known
        }
    }

    /// What is logged meanwhile.
    fn logged<T>(run: impl FnOnce() -> T) -> (T, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let file = log.reopen().unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(file)).finish();
        let result = tracing::subscriber::with_default(subscriber, run);
        (result, std::fs::read_to_string(log.path()).unwrap())
    }

    #[test]
    fn flt_22_a_full_disk_stops_no_sampling_its_loss_is_told_and_history_works_again_with_room() {
        let Some(disk) = Disk::of("size=8m,nr_inodes=16") else { return };
        let folder = disk.path().join("history");
        let mut sampling = Sampling::of(&folder);
        let history = sampling.sampler.shared.history.clone();
        // Bytes are left, but not one file more can be made.
        let fillers: Vec<PathBuf> = (0..).map(|number| disk.path().join(format!("filler-{number}"))).take(16).collect();
        let made = fillers.iter().take_while(|path| std::fs::File::create(path).is_ok()).count();
        assert!(made > 0 && made < fillers.len());
        let (lost, said) = logged(|| sampling.minutes(75));
        assert!((13.0..=15.0).contains(&lost), "an hour is kept: {lost}");
        assert_eq!(f64::from(lost), lossy(history.lost()), "what is shown is what is lost");
        assert_eq!(said.matches("history of metrics cannot be written").count(), 1, "told once: {said}");
        assert!(said.contains("os error 28"), "the kernel's own word: {said}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(sampling.known(&history), 3_600, "in memory");
        fillers.iter().take(made).for_each(|path| std::fs::remove_file(path).unwrap());
        let (lost, said) = logged(|| sampling.minutes(2));
        assert_eq!((lost, said.as_str()), (0.0, ""));
        history.flush();
        let found = History::look(&folder).unwrap();
        assert_eq!(sampling.known(&found), 3_600, "on the disk, whatever is in memory");
    }

    #[test]
    fn mem_09_what_is_sampled_is_what_forecasts_of_memory_and_file_systems_are_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut sampling = Sampling::of(folder.path());
        sampling.minutes(16);
        sampling.sampler.shared.history.flush();
        let shares = shares(folder.path(), sampling.now.wall / 1_000);
        let memory = &shares["memory"];
        assert!(memory.len() >= 3 && memory.iter().all(|(_, used)| (0.0..=1.0).contains(used)), "{memory:?}");
        let step = memory[1].0 - memory[0].0;
        assert!((STEP_SECS..STEP_SECS + 20).contains(&step), "whole steps of ten seconds: {step}");
        assert!(shares.keys().all(|thing| ["memory", "space", "inodes"].contains(&thing.split(' ').next().unwrap())));
    }
}
