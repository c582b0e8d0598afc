//! One world per test: a short temporary folder, everything started in it, its logs, and its end.
//!
//! A world that ends well looks back: an ERROR that no test expected, or a planted secret in a log, fails the test. A
//! world that ends badly prints what its programs said. One that does not end is ended before the test runner would
//! kill the test and leave its processes behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::eventually::SOON;
use crate::process::{self, Process};
use crate::scale;

/// Worlds of one test process take turns: "every descendant of this process" must mean one world's.
static TAKEN: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// Lines that are shown of each log when a test fails.
const TAIL_LINES: usize = 60;

/// A temporary folder and the processes that run in it. Copies share one world; it ends with the last.
#[derive(Debug, Clone)]
pub struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: tempfile::TempDir,
    started: AtomicU32,
    expected_errors: Mutex<Vec<String>>,
    canaries: Mutex<Vec<(String, Vec<u8>)>>,
    mounts: Mutex<Vec<PathBuf>>,
    over: Arc<(Mutex<bool>, Condvar)>,
}

impl World {
    /// An empty world.
    ///
    /// # Panics
    /// When the machine does not allow one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a world is begun, not assumed")]
    pub fn new() -> Self {
        Self::lasting(scale::patience())
    }

    /// An empty world that is ended by force only after this time.
    ///
    /// # Panics
    /// When the machine does not allow one.
    #[must_use]
    pub fn lasting(patience: Duration) -> Self {
        take_turn();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("Linux has subreapers");
        // Not TMPDIR: a socket's path has at most 108 bytes.
        let folder = tempfile::Builder::new().prefix("cd-").tempdir_in("/tmp").expect("/tmp can be written");
        fs::create_dir(folder.path().join("logs")).expect("a fresh folder is empty");
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        watch(folder.path().to_owned(), Arc::clone(&over), patience);
        Self(Arc::new(Inner {
            folder,
            started: AtomicU32::new(0),
            expected_errors: Mutex::default(),
            canaries: Mutex::default(),
            mounts: Mutex::default(),
            over,
        }))
    }

    /// A path in the world's folder.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.folder.path().join(name)
    }

    /// Creates a folder with mode 0700.
    ///
    /// # Panics
    /// When it exists.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = self.path(name);
        fs::DirBuilder::new().mode(0o700).create(&path).expect("a new folder can be made");
        path
    }

    /// Creates a folder that holds no more than so many kilobytes: a file system of its own. Takes root.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn small_folder(&self, name: &str, kilobytes: u32) -> PathBuf {
        let path = self.folder(name);
        let mut mount = self.command("/bin/mount");
        mount.args(["-t", "tmpfs", "-o", &format!("mode=0700,size={kilobytes}k"), "cd-test"]).arg(&path);
        assert!(self.output("mount", mount).status.success(), "a small file system can be mounted");
        lock(&self.0.mounts).push(path.clone());
        path
    }

    /// A command with an environment that is the same on every machine.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().stdin(Stdio::null()).current_dir(self.0.folder.path());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.0.folder.path()).env("LANG", "C.UTF-8").env("NO_COLOR", "1").env("USER", "root");
        command.env("RUST_BACKTRACE", "1");
        command
    }

    /// Starts a command; its output goes to the world's logs. Standard input stays as the caller set it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(&self, name: &str, mut command: Command) -> Process {
        let (out, err) = self.log_files(name);
        command.stdout(File::create(&out).expect("a log can be written"));
        command.stderr(File::create(&err).expect("a log can be written"));
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} ({command:?}): {e}"));
        Process { child, name: name.to_owned(), out, err }
    }

    /// Starts a command whose standard output goes to a pipe instead.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start_piped(&self, name: &str, mut command: Command) -> Process {
        let (out, err) = self.log_files(name);
        command.stdout(Stdio::piped()).stderr(File::create(&err).expect("a log can be written"));
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} ({command:?}): {e}"));
        Process { child, name: name.to_owned(), out, err }
    }

    /// Runs a command to its end; what it wrote is kept as a log too.
    ///
    /// # Panics
    /// When it cannot be started or does not end.
    #[must_use]
    #[track_caller]
    pub fn output(&self, name: &str, command: Command) -> Output {
        let mut process = self.start(name, command);
        let status = process.wait(SOON);
        let read = |file: &Path| fs::read(file).expect("a log can be read");
        Output { status, stdout: read(&process.out), stderr: read(&process.err) }
    }

    /// Names for a program's output.
    pub(crate) fn log_files(&self, name: &str) -> (PathBuf, PathBuf) {
        let number = self.0.started.fetch_add(1, Ordering::Relaxed);
        let file = |kind| self.path("logs").join(format!("{number:03}-{name}.{kind}"));
        (file("out"), file("err"))
    }

    /// Lines with ERROR that hold this text are part of the test.
    pub fn expect_error(&self, text: &str) {
        lock(&self.0.expected_errors).push(text.to_owned());
    }

    /// Plants a secret: it must never stand in a log.
    pub fn canary(&self, name: &str, secret: impl AsRef<[u8]>) {
        lock(&self.0.canaries).push((name.to_owned(), secret.as_ref().to_vec()));
    }

    /// Every log so far, with its name.
    #[must_use]
    pub fn logs(&self) -> Vec<(String, Vec<u8>)> {
        logs(self.0.folder.path())
    }

    /// How often `marker` stands in files below `folder`.
    #[must_use]
    pub fn found_below(folder: &Path, marker: &[u8]) -> Vec<PathBuf> {
        let mut hits = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        if contains(&fs::read(entry.path()).unwrap_or_default(), marker) {
                            hits.push(entry.path());
                        }
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
        hits
    }
}

impl Inner {
    fn complaints(&self) -> Vec<String> {
        let expected = lock(&self.expected_errors);
        let canaries = lock(&self.canaries);
        let mut complaints = Vec::new();
        for (name, log) in logs(self.folder.path()) {
            for (secret, bytes) in canaries.iter() {
                if contains(&log, bytes) {
                    complaints.push(format!("{name} holds the secret \"{secret}\""));
                }
            }
            for line in String::from_utf8_lossy(&log).lines().filter(|line| is_error(line)) {
                if !expected.iter().any(|text| line.contains(text)) {
                    complaints.push(format!("{name}: {line}"));
                }
            }
        }
        complaints
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        process::end_all();
        unmount(&lock(&self.mounts));
        let (over, bell) = &*self.over;
        *lock(over) = true;
        bell.notify_all();
        *lock(&TAKEN) = false;
        FREE.notify_one();
        if std::thread::panicking() {
            print_logs(self.folder.path());
            return;
        }
        let complaints = self.complaints();
        if !complaints.is_empty() {
            print_logs(self.folder.path());
            panic!("the test passed, but:\n{}", complaints.join("\n"));
        }
    }
}

fn unmount(mounts: &[PathBuf]) {
    for path in mounts {
        drop(Command::new("/bin/umount").arg("-l").arg(path).status());
    }
}

fn take_turn() {
    let mut taken = lock(&TAKEN);
    while *taken {
        taken = FREE.wait(taken).unwrap_or_else(PoisonError::into_inner);
    }
    *taken = true;
}

/// An error, or a panic of a program.
fn is_error(line: &str) -> bool {
    line.split_whitespace().take(4).any(|word| word == "ERROR") || line.contains("panicked at")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

fn logs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.join("logs")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap_or_default())).collect()
}

#[expect(clippy::print_stderr, reason = "what the programs said, for whoever reads a failed test")]
fn print_logs(folder: &Path) {
    for (name, log) in logs(folder) {
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        if !tail.is_empty() {
            eprintln!("--- {name} (last {} of {} lines)\n{}", tail.len(), lines.len(), tail.join("\n"));
        }
    }
}

/// Ends the test in time when it hangs.
#[expect(clippy::print_stderr, reason = "nothing else is left that could say it")]
fn watch(folder: PathBuf, over: Arc<(Mutex<bool>, Condvar)>, patience: Duration) {
    let begun = Instant::now();
    let watcher = move || {
        let (over, bell) = &*over;
        let mut ended = lock(over);
        while !*ended {
            let left = patience.saturating_sub(begun.elapsed());
            if left == Duration::ZERO {
                eprintln!("the test did not end within {patience:?}");
                print_logs(&folder);
                process::end_all();
                drop(fs::remove_dir_all(&folder));
                std::process::abort();
            }
            ended = bell.wait_timeout(ended, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    };
    std::thread::Builder::new().name("patience".to_owned()).spawn(watcher).expect("a thread can be started");
}
