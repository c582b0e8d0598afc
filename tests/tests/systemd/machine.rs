//! A machine that boots: this one's systemd as process 1 in namespaces of its own (`tests/systemd-boot/boot.sh`).
//!
//! Dropping it kills process 1, and with it everything that it ever started. It must never be asked to do anything in
//! the namespaces of the machine below, and never leave a control group behind.

use cloud_doctor_tests::eventually::eventually;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A boot takes two seconds on an idle machine.
const BOOT: Duration = Duration::from_secs(40);

/// A running machine.
#[derive(Debug)]
pub(crate) struct Machine {
    unshare: Child,
    init: u32,
    cgroup: PathBuf,
    folder: tempfile::TempDir,
}

/// What a script inside said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// Boots one, or nothing where that is not allowed.
    pub(crate) fn boot() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            cloud_doctor_tests::not_tested::not_tested("booting a machine takes root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (root, log) = (folder.path().join("root"), folder.path().join("console"));
        fs::create_dir(&root).unwrap();
        let unique = folder.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let cgroup = cgroup2().join(format!("cloud-doctor-test-{unique}"));
        fs::create_dir(&cgroup).unwrap();
        let console = fs::File::create(&log).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd-boot/boot.sh");
        let mut command = Command::new(script);
        command.arg(&root).arg(&cgroup).stdin(Stdio::null());
        command.stdout(console.try_clone().unwrap()).stderr(console).process_group(0);
        let unshare = command.spawn().unwrap();
        let mut machine = Self { unshare, init: 0, cgroup, folder };
        machine.init = eventually(BOOT, "systemd is process 1 of the machine", || machine.find_init());
        let state = eventually(BOOT, "the machine has booted", || machine.state());
        assert_eq!(state, "running", "{}\n{}", machine.run("systemctl --failed").out, machine.console());
        Some(machine)
    }

    fn find_init(&mut self) -> Option<u32> {
        if let Some(status) = self.unshare.try_wait().unwrap() {
            panic!("the machine did not boot: {status}\n{}", self.console());
        }
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let init: u32 = children.split_whitespace().next()?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{init}/comm")).ok()?;
        (name.trim() == "systemd").then_some(init)
    }

    fn state(&self) -> Option<String> {
        let state = self.run("systemctl is-system-running").out.trim().to_owned();
        ["running", "degraded", "maintenance"].contains(&state.as_str()).then_some(state)
    }

    fn console(&self) -> String {
        fs::read_to_string(self.folder.path().join("console")).unwrap_or_default()
    }

    /// A path inside, as seen from here.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// A command that runs inside, as root, with an environment of its own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--all", "--wd", "--", program]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8").env("HOME", "/root");
        command
    }

    /// Runs a bash script inside.
    pub(crate) fn run(&self, script: &str) -> Said {
        let mut bash = self.command("bash");
        bash.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = bash.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).unwrap();
        drop(stdin);
        Said::from(child.wait_with_output().unwrap())
    }

    /// Runs a bash script inside that must succeed; returns what it printed.
    #[track_caller]
    pub(crate) fn must(&self, script: &str) -> String {
        let said = self.run(&format!("set -euo pipefail\n{script}"));
        assert_eq!(said.code, Some(0), "{script}\n{}{}", said.out, said.err);
        said.out
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Everything in the group, unshare included; its child dies with it, and a PID namespace with its first process.
        fs::write(self.cgroup.join("cgroup.kill"), "1").ok();
        self.unshare.kill().ok();
        self.unshare.wait().ok();
        let cgroup = self.cgroup.clone();
        eventually(Duration::from_secs(10), "the machine's control group is empty", || {
            remove_groups(&cgroup).then_some(())
        });
    }
}

/// Removes a control group and those below it; false while one of them still has a process.
fn remove_groups(group: &Path) -> bool {
    let Ok(entries) = fs::read_dir(group) else { return true };
    let below = entries.flatten().filter(|entry| entry.path().is_dir());
    let kept = below.filter(|entry| !remove_groups(&entry.path())).count();
    kept == 0 && fs::remove_dir(group).is_ok()
}

/// Where cgroup2 is mounted here: alone, or beside the first version.
fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut found =
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|mount| mount[2] == "cgroup2");
    PathBuf::from(found.next().expect("this machine has cgroup2 mounted")[1])
}
