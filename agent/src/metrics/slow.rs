//! What may hang: a thread of its own asks file systems and sensors, and the sampler shows what it said: every ten seconds
//! while somebody looks or an answer is due, every thirty otherwise.
//!
//! A thread whose question hangs is left behind, with what it asked: the next one leaves that out, until the answer comes
//! after all. When a few hang, nothing more is asked. It must never make the sampler wait.

use super::catalog::{
    FILESYSTEM_FULLEST, FILESYSTEM_INODES, FILESYSTEM_READONLY, FILESYSTEM_USAGE, FILESYSTEM_UTILIZATION,
    FILESYSTEMS_HUNG, INODES_FULLEST, TEMPERATURE, TEMPERATURE_HIGHEST,
};
use super::source::filesystems::{self, Mount, Space};
use super::source::hardware;
use super::table::{Slot, Table, lossy};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Samples between two questions, and between two of them while nobody looks and all is answered.
const EVERY: u32 = 10;
const EVERY_UNWATCHED: u32 = 30;
/// Questions between two looks at which sensors there are.
const SENSORS_EVERY: u32 = 10;
/// Questions missed until one that hangs is left behind: half a minute may be the load of a busy host.
const PATIENCE: u32 = 3;
/// Threads that may be left behind.
const LEFT_MAX: usize = 3;
const STACK_BYTES: usize = 128 << 10;

/// How a file system is asked.
type Ask = fn(&Path, &Mount) -> Option<Space>;

/// What a thread has found out.
#[derive(Debug, Default)]
struct Progress {
    /// What is being asked right now.
    asking: Option<String>,
    told: Option<Told>,
}

#[derive(Debug, Default)]
struct Told {
    filesystems: Vec<(Mount, Space)>,
    temperatures: Vec<(String, i64)>,
}

/// A thread that asks when it is told to.
#[derive(Debug)]
struct Asker {
    /// Names to leave out.
    questions: SyncSender<Vec<String>>,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug)]
pub(super) struct Slow {
    root: PathBuf,
    ask: Ask,
    asker: Option<Asker>,
    /// Questions that the asker was not ready for.
    missed: u32,
    /// What hangs, and who asked.
    left: Vec<(String, Asker)>,
    /// Samples since the last question, and whether it has no answer yet.
    since: u32,
    is_due: bool,
    /// Series by what they are of.
    filesystems: BTreeMap<String, (Mount, Vec<Slot>)>,
    temperatures: BTreeMap<String, Slot>,
    fullest: [Slot; 2],
    hung: Slot,
    highest: Slot,
}

impl Slow {
    pub(super) fn new(root: &Path, table: &mut Table) -> Self {
        Self::asking(root, table, filesystems::ask)
    }

    fn asking(root: &Path, table: &mut Table, ask: Ask) -> Self {
        Self {
            root: root.to_owned(),
            ask,
            asker: None,
            missed: 0,
            left: Vec::new(),
            since: EVERY_UNWATCHED,
            is_due: false,
            filesystems: BTreeMap::new(),
            temperatures: BTreeMap::new(),
            fullest: [&FILESYSTEM_FULLEST, &INODES_FULLEST].map(|metric| table.add_held_summary(metric, &[])),
            highest: table.add_held_summary(&TEMPERATURE_HIGHEST, &[]),
            hung: table.add(&FILESYSTEMS_HUNG, &[]),
        }
    }

    pub(super) fn sample(&mut self, table: &mut Table, is_watched: bool) {
        table.set(self.hung, lossy(u64::try_from(self.left.len()).unwrap_or(u64::MAX)));
        self.since += 1;
        if self.since < EVERY && !self.is_due {
            return;
        }
        let told = self.asker.as_ref().and_then(|asker| progress(&asker.progress).told.take());
        if let Some(told) = told {
            self.is_due = false;
            self.show(&told, table);
        }
        let every = if is_watched || self.is_due { EVERY } else { EVERY_UNWATCHED };
        if self.since >= every {
            self.since = 0;
            self.ask_again();
        }
    }

    /// Asks, or leaves behind the thread that hangs.
    fn ask_again(&mut self) {
        self.left.retain(|(name, asker)| progress(&asker.progress).asking.as_ref() == Some(name));
        let asking = self.asker.as_ref().and_then(|asker| progress(&asker.progress).asking.clone());
        self.missed = if asking.is_some() { self.missed + 1 } else { 0 };
        if let Some(name) = asking.filter(|_| self.missed >= PATIENCE) {
            tracing::warn!(name, "does not answer: it is left out until it does");
            self.left.extend(self.asker.take().map(|asker| (name, asker)));
            self.missed = 0;
        }
        if self.left.len() > LEFT_MAX {
            return;
        }
        if self.asker.is_none() {
            self.asker = Asker::start(self.root.clone(), self.ask);
        }
        if let Some(asker) = &self.asker {
            let left_out = self.left.iter().map(|(name, _)| name.clone()).collect();
            // One that has not even begun will do with the question that it has.
            asker.questions.try_send(left_out).ok();
            self.is_due = true;
        }
    }

    fn show(&mut self, told: &Told, table: &mut Table) {
        let gone = |mount: &Mount| !told.filesystems.iter().any(|(known, _)| known == mount);
        self.filesystems.retain(|_, (mount, slots)| {
            let is_gone = gone(mount);
            if is_gone {
                slots.iter().for_each(|slot| table.remove(*slot));
            }
            !is_gone
        });
        let (mut fullest, mut inodes) = (None::<f64>, None::<f64>);
        let larger = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.max(b)));
        for (mount, space) in &told.filesystems {
            let new = || (mount.clone(), series(mount, table));
            let (_, slots) = self.filesystems.entry(mount.mountpoint.clone()).or_insert_with(new);
            let (share, inode_share) = shares(space);
            let inode = |count| if inode_share.is_some() { lossy(count) } else { f64::NAN };
            let values = [
                lossy(space.used),
                lossy(space.free),
                lossy(space.reserved),
                inode(space.inodes_used),
                inode(space.inodes_free),
                share.unwrap_or(f64::NAN),
                f64::from(u8::from(mount.is_readonly)),
            ];
            for (slot, value) in slots.iter().zip(values) {
                table.set(*slot, value);
            }
            if !mount.is_readonly {
                fullest = share.map_or(fullest, |share| larger(fullest, share));
                inodes = inode_share.map_or(inodes, |share| larger(inodes, share));
            }
        }
        table.set(self.fullest[0], fullest.unwrap_or(f64::NAN));
        table.set(self.fullest[1], inodes.unwrap_or(f64::NAN));
        self.show_temperatures(&told.temperatures, table);
    }

    fn show_temperatures(&mut self, told: &[(String, i64)], table: &mut Table) {
        self.temperatures.retain(|id, slot| {
            let is_there = told.iter().any(|(known, _)| known == id);
            if !is_there {
                table.remove(*slot);
            }
            is_there
        });
        let mut highest = f64::NAN;
        for (id, millis) in told {
            let new = || table.add_held(&TEMPERATURE, &[("hw.id", id)]);
            let slot = *self.temperatures.entry(id.clone()).or_insert_with(new);
            let degrees = i32::try_from(*millis).map_or(f64::NAN, f64::from) / 1e3;
            table.set(slot, degrees);
            highest = highest.max(degrees);
        }
        table.set(self.highest, highest);
    }
}

fn series(mount: &Mount, table: &mut Table) -> Vec<Slot> {
    let of = [("device", mount.device.as_str()), ("mountpoint", &mount.mountpoint), ("type", &mount.kind)];
    let mut slots = Vec::new();
    for (metric, states) in
        [(&FILESYSTEM_USAGE, &["used", "free", "reserved"][..]), (&FILESYSTEM_INODES, &["used", "free"][..])]
    {
        for state in states {
            let attributes = [&of[..], &[("state", state)]].concat();
            slots.push(table.add_held(metric, &attributes));
        }
    }
    slots.push(table.add_held(&FILESYSTEM_UTILIZATION, &of));
    slots.push(table.add_held(&FILESYSTEM_READONLY, &of));
    slots
}

/// Shares in use of space and of inodes, where there is a number of them.
fn shares(space: &Space) -> (Option<f64>, Option<f64>) {
    let share = |used: u64, free: u64| {
        let all = used.saturating_add(free);
        (all > 0).then(|| lossy(used) / lossy(all))
    };
    (share(space.used, space.free), share(space.inodes_used, space.inodes_free))
}

/// The lock is for one look.
fn progress(progress: &Mutex<Progress>) -> std::sync::MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asker {
    /// The thread ends by itself when nobody asks any more. It is not waited for: it may hang.
    fn start(root: PathBuf, ask: Ask) -> Option<Self> {
        let (questions, asked) = sync_channel(1);
        let shared: Arc<Mutex<Progress>> = Arc::default();
        let told = shared.clone();
        let thread = std::thread::Builder::new().name("metrics-slow".into()).stack_size(STACK_BYTES);
        let started = thread.spawn(move || answer(&root, ask, &asked, &told));
        started.ok().map(|_| Self { questions, progress: shared })
    }
}

fn answer(root: &Path, ask: Ask, asked: &Receiver<Vec<String>>, shared: &Mutex<Progress>) {
    let mut sensors = Vec::new();
    let mut round = 0u32;
    while let Ok(left_out) = asked.recv() {
        let begin = |name: &str| {
            let is_wanted = !left_out.iter().any(|left| left == name);
            if is_wanted {
                progress(shared).asking = Some(name.to_owned());
            }
            is_wanted
        };
        let mut told = Told::default();
        for mount in filesystems::mounts(root) {
            if begin(&mount.mountpoint)
                && let Some(space) = ask(root, &mount)
            {
                told.filesystems.push((mount, space));
            }
        }
        if round.is_multiple_of(SENSORS_EVERY) {
            sensors = hardware::sensors(root);
        }
        round = round.wrapping_add(1);
        for sensor in &sensors {
            if begin(&sensor.id)
                && let Some(millis) = hardware::ask(sensor)
            {
                told.temperatures.push((sensor.id.clone(), millis));
            }
        }
        *progress(shared) = Progress { asking: None, told: Some(told) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    const MOUNTS: &str = "27 1 254:0 / / rw - ext4 /dev/vda1 rw\n31 27 254:1 / /hangs rw - xfs /dev/vdb rw\n\
        32 27 254:2 / /ro rw - ext4 /dev/vdc ro\n";

    fn hangs(_: &Path, mount: &Mount) -> Option<Space> {
        if mount.mountpoint == "/hangs" {
            std::thread::park();
        }
        let free = if mount.is_readonly { 0 } else { 30 };
        Some(Space { used: 70, free, reserved: 5, inodes_used: 9, inodes_free: 1 })
    }

    fn value(table: &Table, name: &str, attribute: Option<(&str, &str)>) -> Option<f32> {
        let found = table.named().iter().position(|named| {
            let mut attributes = named.series.attributes.iter();
            named.series.name == name
                && attribute.is_none_or(|(key, value)| attributes.any(|(k, v)| k == key && v == value))
        });
        found.map(|place| table.values[place])
    }

    /// Samples from one question to the next.
    #[allow(clippy::disallowed_methods, reason = "gives a thread of its own the time to answer")]
    fn pace(is_watched: bool) -> u32 {
        let (root, mut table) = (tempfile::tempdir().unwrap(), Table::default());
        let mut slow = Slow::asking(root.path(), &mut table, |_, _| None);
        slow.sample(&mut table, is_watched);
        let mut samples = 1;
        while slow.is_due {
            std::thread::sleep(Duration::from_millis(5));
            slow.since = slow.since.min(EVERY / 2);
            slow.sample(&mut table, is_watched);
        }
        slow.since = 0;
        loop {
            slow.sample(&mut table, is_watched);
            if slow.is_due {
                return samples;
            }
            samples += 1;
        }
    }

    #[test]
    fn what_is_answered_is_asked_less_often_while_nobody_looks() {
        assert_eq!(pace(true), EVERY);
        assert_eq!(pace(false), EVERY_UNWATCHED);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "gives a thread of its own the time to answer")]
    fn a_file_system_that_hangs_is_left_out_and_the_others_are_shown() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
        std::fs::write(root.path().join("proc/self/mountinfo"), MOUNTS).unwrap();
        let mut table = Table::default();
        let mut slow = Slow::asking(root.path(), &mut table, hangs);
        for _ in 0..400 {
            table.begin(true);
            slow.sample(&mut table, true);
            if value(&table, "system.linux.filesystem.fullest", None).is_some_and(f32::is_finite) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(slow.left.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["/hangs"]);
        assert_eq!(value(&table, "system.linux.filesystem.hung", None), Some(1.0));
        assert_eq!(value(&table, "system.linux.filesystem.fullest", None), Some(0.7), "the read-only one may be full");
        assert_eq!(value(&table, "system.linux.filesystem.fullest_inodes", None), Some(0.9));
        assert_eq!(value(&table, "system.linux.filesystem.readonly", Some(("mountpoint", "/ro"))), Some(1.0));
        assert_eq!(value(&table, "system.filesystem.usage", Some(("mountpoint", "/hangs"))), None);
        table.begin(true);
        slow.sample(&mut table, true);
        assert_eq!(value(&table, "system.linux.filesystem.fullest", None), Some(0.7), "it stays until the next answer");
    }
}
