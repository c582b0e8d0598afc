//! Runs the monitoring plugins that the ceiling declares (CHK-08): each in a process group of its own, as
//! another user, with nothing of ours, and for ten seconds at most.
//!
//! ```text
//!  supervisor ──starts──▶ role plugin: limits, user, no new privileges, no way out of the group ──exec──▶ the plugin
//!             ◀─ 64 KiB of output, exit status ──────────────────────────────────────────────────────────┘
//!             ── kills the whole group, however it went
//! ```
//!
//! What a plugin says is read by a checker. It must never run a program that the ceiling does not declare, or one that
//! others than root could have replaced.

use super::seccomp;
use crate::policy::broken_rule;
use crate::session::account::Account;
use crate::session::user::{self, Ids};
use cloud_doctor_checks::host::boot_time;
use cloud_doctor_checks::pack::Heard;
use cloud_doctor_checks::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::plugin::Plugin;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::time::BootTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Mutex;

/// What a plugin may write.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
const MEMORY_BYTES_MAX: u64 = 256 << 20;
const CPU_SECS_MAX: u64 = 10;
/// Some keep a file between two runs.
const FILE_BYTES_MAX: u64 = 16 << 20;
const DESCRIPTORS_MAX: u64 = 256;
/// Processes of the user that runs it.
const PROCESSES_MAX: u64 = 128;
/// At a time: on a small server plugins must not be the load that they measure.
const AT_ONCE: usize = 4;
/// For all of them: packs that judge what they said come after, and a relay waits for the whole run.
const ALL_MS: u64 = 20_000;
/// How often it is looked whether a plugin has ended whose children keep its output open.
const LOOK_MS: u64 = 50;

/// Runs plugins and says what each said.
pub(super) fn hear(program: &Path, plugins: &[&Plugin]) -> BTreeMap<String, Heard> {
    let (left, heard) = (Mutex::new(plugins.iter()), Mutex::new(BTreeMap::new()));
    let all = BootTime(boot_time().0 + ALL_MS);
    let work = || {
        // Held for the one line: the next plugin.
        while let Some(plugin) = left.lock().ok().and_then(|mut left| left.next()) {
            let one = one(program, plugin, all);
            if let Ok(mut heard) = heard.lock() {
                heard.insert(plugin.id.clone(), one);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(plugins.len()) {
            scope.spawn(work);
        }
    });
    heard.into_inner().unwrap_or_default()
}

fn one(program: &Path, plugin: &Plugin, all: BootTime) -> Heard {
    if boot_time() >= all {
        return trouble(words!("it was not started: the other plugins took too long", "未启动：其他插件耗时过长"));
    }
    let ids = match trusted(plugin).and_then(|()| ids(plugin)) {
        Ok(ids) => ids,
        Err(why) => return trouble(why),
    };
    let deadline = BootTime(boot_time().0 + plugin.timeout.0 * 1000).min(all);
    match Running::start(program, plugin, ids) {
        Ok(mut running) => {
            let heard = running.listen(plugin, deadline);
            running.end();
            heard
        }
        Err(error) => trouble(words!("it could not be started: {error}", "无法启动：{error}")),
    }
}

fn trouble(why: Words) -> Heard {
    Heard { trouble: Some(why), ..Heard::default() }
}

/// Whether nobody but root, or we, could have put another program there.
fn trusted(plugin: &Plugin) -> Result<(), Words> {
    let exec = &plugin.exec;
    let failed = |error: io::Error| words!("{exec} cannot be run: {error}", "无法运行 {exec}：{error}");
    // A link is followed: packages put them there. What counts is the program.
    let real = std::fs::canonicalize(exec).map_err(failed)?;
    // And all folders above it and above the link: who may write into one of them may put another one in its place.
    let above = Path::new(exec).ancestors().skip(1);
    for (path, is_file) in real.ancestors().chain(above).map(|path| (path, path == real)) {
        let meta = std::fs::metadata(path).map_err(failed)?;
        // Where only owners may rename, such as /tmp, what belongs to root or us stays.
        let is_sticky = meta.is_dir() && meta.permissions().mode() & 0o1000 != 0;
        if is_sticky && Some(path) != real.parent() {
            continue;
        }
        if let Some(rule) = broken_rule(&meta, if is_file { meta.is_file() } else { meta.is_dir() }) {
            let told = rule.with(&[&path.display()]);
            return Err(Words { en: told.text(Language::En), zh: told.text(Language::Zh) });
        }
    }
    Ok(())
}

/// The ids to take; nothing when they are ours.
fn ids(plugin: &Plugin) -> Result<Option<(u32, u32)>, Words> {
    let user = &plugin.user;
    let account = Account::find(user).map_err(|error| {
        let told = error.told();
        Words { en: told.text(Language::En), zh: told.text(Language::Zh) }
    })?;
    let own = rustix::process::geteuid();
    if account.uid == own.as_raw() {
        return Ok(None);
    }
    if own.is_root() {
        return Ok(Some((account.uid, account.gid)));
    }
    Err(words!("only root can run it as {user}", "只有 root 才能以 {user} 身份运行它"))
}

/// A plugin that runs.
struct Running {
    child: Child,
    output: ChildStdout,
    group: Option<Pid>,
}

impl Running {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own binary, which becomes a configured plugin, without an environment"
    )]
    fn start(program: &Path, plugin: &Plugin, ids: Option<(u32, u32)>) -> io::Result<Self> {
        let (uid, gid) = ids.map_or_else(Default::default, |(uid, gid)| (uid.to_string(), gid.to_string()));
        let mut child = Command::new(program)
            .args(["plugin", &uid, &gid, &plugin.exec])
            .args(&plugin.args)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("a pipe is missing"))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self { child, output, group })
    }

    /// Takes what it says until it ends.
    fn listen(&mut self, plugin: &Plugin, deadline: BootTime) -> Heard {
        let mut output = Vec::new();
        let mut ended = None;
        loop {
            match self.wait(deadline) {
                Ok(true) => {
                    let mut buffer = [0; 16 << 10];
                    let count = match self.output.read(&mut buffer) {
                        Ok(count) => count,
                        Err(error) => {
                            return trouble(words!("its output cannot be read: {error}", "无法读取其输出：{error}"));
                        }
                    };
                    output.extend_from_slice(&buffer[..count]);
                    if output.len() > OUTPUT_BYTES_MAX {
                        return trouble(words!(
                            "it was ended: it writes more than 64 KiB",
                            "已被终止：输出超过 64 KiB"
                        ));
                    }
                    if count == 0 {
                        break;
                    }
                }
                // Nothing more to read now: a child of it may hold its output open for ever.
                Ok(false) if ended.is_some() => break,
                Ok(false) => {}
                Err(errno) => return trouble(words!("its output cannot be read: {errno}", "无法读取其输出：{errno}")),
            }
            ended = ended.or_else(|| self.child.try_wait().ok().flatten());
            if ended.is_none() && boot_time() >= deadline {
                return too_long(plugin);
            }
        }
        while ended.is_none() && boot_time() < deadline {
            // It has closed its output, and may still be working.
            ended = self.child.try_wait().ok().flatten();
            if ended.is_none() {
                poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 })).ok();
            }
        }
        let Some(status) = ended else { return too_long(plugin) };
        let output = String::from_utf8_lossy(&output).into_owned();
        match status.signal() {
            Some(signal) => {
                Heard {
                    exit: None, output, trouble: Some(words!("signal {signal} ended it", "被信号 {signal} 终止"))
                }
            }
            None => Heard { exit: status.code(), output, trouble: None },
        }
    }

    /// Whether there is something to read; not for longer than it takes to look after the plugin again.
    fn wait(&self, deadline: BootTime) -> rustix::io::Result<bool> {
        let left = boot_time().millis_until(deadline).min(LOOK_MS);
        let time = Timespec { tv_sec: 0, tv_nsec: i64::try_from(left * 1_000_000).unwrap_or(0) };
        match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&time)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Ends its whole group: nothing that it started stays.
    fn end(mut self) {
        if let Some(group) = self.group {
            kill_process_group(group, Signal::KILL).ok();
        }
        self.child.try_wait().ok();
    }
}

fn too_long(plugin: &Plugin) -> Heard {
    let secs = plugin.timeout.0;
    trouble(words!("it was ended: no answer within {secs} s", "已被终止：{secs} 秒内没有结果"))
}

/// Runs the role: becomes the plugin. Only our own supervisor starts it.
pub(crate) fn role(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let error = become_plugin(arguments);
    // On its output, where it is read as what the plugin said; the codes are a shell's.
    writeln!(io::stdout(), "{error}").ok();
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

fn become_plugin(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let mut number = || arguments.next().and_then(|text| text.into_string().ok()).map(|text| text.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (number(), number()) else { return io::ErrorKind::InvalidInput.into() };
    let Some(exec) = arguments.next() else { return io::ErrorKind::InvalidInput.into() };
    if let Err(error) = close_in(uid.zip(gid)) {
        return error;
    }
    #[expect(clippy::disallowed_methods, reason = "the plugin that the host's owner has configured")]
    let mut command = Command::new(exec);
    command.args(arguments).env_clear().env("LANG", "C").exec()
}

fn close_in(ids: Option<(u32, u32)>) -> io::Result<()> {
    crate::session::close_inherited();
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let limits = [
        (Resource::As, MEMORY_BYTES_MAX),
        (Resource::Cpu, CPU_SECS_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
        (Resource::Core, 0),
        (Resource::Nofile, DESCRIPTORS_MAX),
    ];
    // Of another user: ours may have more already.
    let processes = ids.map(|_| (Resource::Nproc, PROCESSES_MAX));
    for (resource, most) in limits.into_iter().chain(processes) {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    if let Some((uid, gid)) = ids {
        user::take(&Ids { uid, gid, groups: &[] }).map_err(|(_, errno)| errno)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    // A run that is given up as a whole leaves none behind.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A kernel without filters: then killing the group is all there is.
    seccomp::keep_group().ok();
    Ok(())
}
