//! Has checks run: starts checkers, listens to them, gives up on what hangs, and accounts for every check.
//!
//! The network's checks and the others run side by side, in a process each. It must never wait for a checker that does
//! not end: one that is stuck in the kernel stays behind.

mod gather;

pub(crate) use gather::gather;

use super::plugin::hear;
use super::{Line, Order, given_up};
use crate::own::Own;
use cloud_doctor_checks::host::boot_time;
use cloud_doctor_checks::pack::{self, Sources, Tried};
use cloud_doctor_checks::{Check, Group, Ran, Wanted, unknown, words};
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::BootTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// For one check.
#[cfg(not(test))]
const CHECK_MS: u64 = 10_000;
#[cfg(test)]
const CHECK_MS: u64 = 1_000;
/// For all checks of one process, and of those that take its place (CHK-08).
const ALL_MS: u64 = 30_000;
/// What one check may say (CHK-08).
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Every check that was asked for, in the order of the registry.
    pub(crate) ran: Vec<(&'static Check, Ran)>,
    /// What could not be closed around the checkers.
    pub(crate) open: Vec<String>,
}

/// Runs `checks`, on this host or on another root. The own checks among them must be installed in this process.
pub(crate) fn run(root: Option<&Path>, checks: &[&'static Check], wanted: &Wanted, own: &Own) -> Ended {
    run_with(&program(), root, checks, wanted, own)
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

fn run_with(program: &Path, root: Option<&Path>, checks: &[&'static Check], wanted: &Wanted, own: &Own) -> Ended {
    let (theirs, ours): (Vec<_>, Vec<_>) = checks.iter().copied().partition(|check| check.group() == Group::Own);
    // Who watches for minutes, because somebody asked for it, keeps nobody else waiting.
    let (watching, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(|check| check.watches_ms(wanted) > 0);
    // History is written by the tunnel, which is not trusted: what it writes may cost these checks alone.
    let (past, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(|check| check.needs.history);
    let (net, plain): (Vec<_>, Vec<_>) = ours.into_iter().partition(|check| check.needs.net);
    let none = Sources::default();
    let all = |checks: &[&'static Check], net| Run::all(program, root, checks, wanted, &none, net);
    // Side by side, so that what users write takes neither time nor memory from the rest.
    let runs = std::thread::scope(|scope| {
        let plain = scope.spawn(|| all(&plain, false));
        let past = scope.spawn(|| all(&past, false));
        let theirs = scope.spawn(|| own_checks(program, root, &theirs, wanted, own));
        let watching = scope.spawn(|| all(&watching, true));
        let net = all(&net, true);
        [plain, past, theirs, watching]
            .map(|run| run.join().unwrap_or_default())
            .into_iter()
            .chain([net])
            .collect::<Vec<_>>()
    });
    let mut results = BTreeMap::new();
    let mut open = BTreeSet::new();
    for run in runs {
        results.extend(run.results);
        open.extend(run.open);
    }
    let ran = checks.iter().filter_map(|check| Some((*check, results.remove(check.id)?))).collect();
    Ended { ran, open: open.into_iter().collect() }
}

/// The host's own checks: first the plugins that they ask for, which say nothing of another root.
fn own_checks(program: &Path, root: Option<&Path>, checks: &[&'static Check], wanted: &Wanted, own: &Own) -> Run {
    let is_asked = |id: &String| checks.iter().any(|check| check.id == id || pack::plugins_of(check.id).contains(id));
    let asked: Vec<_> = own.plugins.iter().filter(|plugin| root.is_none() && is_asked(&plugin.id)).collect();
    let wanted = Wanted { plugins: hear(program, &asked), ..wanted.clone() };
    Run::all(program, root, checks, &wanted, &own.sources, false)
}

/// Runs the tests of packs, in a checker.
///
/// # Errors
/// The checker broke, or took too long.
pub(crate) fn test(own: &Sources) -> Result<Vec<Tried>, Words> {
    let failed = |error: &io::Error| given_up(&error.to_string());
    let mut checker = Checker::start(&program(), &Order::test(own)).map_err(|error| failed(&error))?;
    let deadline = BootTime(boot_time().0 + ALL_MS);
    let tried = loop {
        match checker.line(deadline).map(|line| serde_json::from_slice::<Line>(&line)) {
            Ok(Ok(Line::Tried(tried))) => break Ok(tried),
            Ok(Ok(
                Line::Fence(_)
                | Line::Begins(_)
                | Line::Found(_)
                | Line::NotHere(_)
                | Line::Step(_)
                | Line::Piece(_)
                | Line::Done,
            )) => {}
            Ok(Err(error)) => break Err(given_up(&error.to_string())),
            Err(error) => break Err(failed(&error)),
        }
    };
    checker.end();
    tried
}

/// The checks of one kind, on their way.
#[derive(Debug, Default)]
struct Run {
    results: BTreeMap<&'static str, Ran>,
    open: Vec<String>,
}

impl Run {
    fn all(
        program: &Path,
        root: Option<&Path>,
        checks: &[&'static Check],
        wanted: &Wanted,
        own: &Sources,
        net: bool,
    ) -> Self {
        let mut run = Self::default();
        let watches: u64 = checks.iter().map(|check| check.watches_ms(wanted)).sum();
        let deadline = BootTime(boot_time().0 + ALL_MS + watches);
        let mut left = checks.to_vec();
        while !left.is_empty() {
            let order = Order::new(root.map(Path::to_owned), &left, wanted, own, net);
            let (at, why) = match Checker::start(program, &order) {
                Ok(mut checker) => {
                    let ended = checker.listen(&mut run, deadline, wanted);
                    checker.end();
                    ended
                }
                Err(error) => (None, words!("no checker could be started: {error}", "无法启动检查进程：{error}")),
            };
            left.retain(|check| !run.results.contains_key(check.id));
            // Without a check to blame, another process would fare no better.
            let blamed: Vec<_> = left.iter().copied().filter(|check| at.is_none_or(|at| check.id == at)).collect();
            if blamed.is_empty() {
                break;
            }
            for check in blamed {
                run.results.insert(check.id, Ran::Findings(vec![unknown(check, why.clone())]));
            }
            left.retain(|check| !run.results.contains_key(check.id));
        }
        run
    }
}

/// A checker that runs.
struct Checker {
    child: Child,
    lines: ChildStdout,
    heard: Vec<u8>,
    /// It has closed its output, and so is at its end.
    closed: bool,
}

impl Checker {
    #[expect(clippy::disallowed_methods, reason = "our own binary, without an environment")]
    fn start(program: &Path, order: &Order) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("checker")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let odd = || io::Error::other("a pipe is missing");
        let (to, lines) = child.stdin.take().zip(child.stdout.take()).ok_or_else(odd)?;
        let checker = Self { child, lines, heard: Vec::new(), closed: false };
        // One that has ended already says why by ending.
        { to }.write_all(&serde_json::to_vec(order)?).ok();
        Ok(checker)
    }

    /// Takes results until it ends or is given up. Returns the check that it was at, and why it went no further.
    fn listen(&mut self, run: &mut Run, all: BootTime, wanted: &Wanted) -> (Option<&'static str>, Words) {
        let mut at: Option<&'static Check> = None;
        let mut allowed = CHECK_MS;
        let mut deadline = BootTime(boot_time().0 + allowed);
        loop {
            let line = match self.line(deadline.min(all)) {
                Ok(line) => line,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let why = words!(
                        "the check was given up: no result within {secs} s",
                        "检查已被放弃：{secs} 秒内没有结果",
                        secs = allowed / 1000
                    );
                    return (at.map(|check| check.id), why);
                }
                Err(error) => return (at.map(|check| check.id), given_up(&error.to_string())),
            };
            match (serde_json::from_slice::<Line>(&line), at) {
                (Ok(Line::Fence(open)), _) => run.open.extend(open),
                (Ok(Line::Begins(id)), _) => {
                    at = cloud_doctor_checks::by_id(&id);
                    allowed = CHECK_MS + at.map_or(0, |check| check.watches_ms(wanted));
                    deadline = BootTime(boot_time().0 + allowed);
                }
                (Ok(Line::Found(findings)), Some(check)) => {
                    run.results.insert(check.id, Ran::Findings(findings));
                    at = None;
                }
                (Ok(Line::NotHere(why)), Some(check)) => {
                    run.results.insert(check.id, Ran::NotHere(why));
                    at = None;
                }
                (Ok(Line::Found(_) | Line::NotHere(_)), None) => {}
                // Nobody asked for it.
                (Ok(Line::Step(_) | Line::Piece(_) | Line::Done | Line::Tried(_)), _) => {}
                (Err(error), _) => return (at.map(|check| check.id), given_up(&error.to_string())),
            }
        }
    }

    /// The next line.
    fn line(&mut self, deadline: BootTime) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.heard[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.heard.split_off(searched + end + 1);
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            searched = self.heard.len();
            if searched > ANSWER_BYTES_MAX {
                return Err(io::Error::other("it answers more than 1 MiB"));
            }
            self.wait(deadline)?;
            let mut buffer = [0; 64 << 10];
            match self.lines.read(&mut buffer)? {
                0 => {
                    self.closed = true;
                    return Err(io::Error::other("its process ended"));
                }
                count => self.heard.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn wait(&self, deadline: BootTime) -> io::Result<()> {
        let left = boot_time().millis_until(deadline);
        let time = Timespec {
            tv_sec: i64::try_from(left / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(left % 1000 * 1_000_000).unwrap_or(0),
        };
        match poll(&mut [PollFd::new(&self.lines, PollFlags::IN)], Some(&time)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Ends it, without waiting for what cannot be ended.
    fn end(mut self) {
        if self.closed {
            self.child.wait().ok();
        } else {
            self.child.kill().ok();
            self.child.try_wait().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::finding::Status;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    /// What becomes of two checks when their checker is a script.
    #[expect(clippy::disallowed_methods, reason = "a test measures that it does not wait")]
    fn outcome(script: &str) -> [(Status, String); 2] {
        let (_folder, program) = checker(script);
        let checks: Vec<_> =
            ["cpu.usage", "lb.detection-time"].iter().filter_map(|id| cloud_doctor_checks::by_id(id)).collect();
        let since = Instant::now();
        let ended = run_with(&program, None, &checks, &Wanted::default(), &Own::default());
        assert!(since.elapsed().as_secs() < 8, "{:?}", since.elapsed());
        assert_eq!(ended.ran.len(), 2, "every check is accounted for");
        [told(&ended.ran[0]), told(&ended.ran[1])]
    }

    fn told((_, ran): &(&'static Check, Ran)) -> (Status, String) {
        match ran {
            Ran::Findings(findings) => (findings[0].status, findings[0].summary.en.clone()),
            Ran::NotHere(why) => (Status::Ok, why.en.clone()),
        }
    }

    /// A checker that is a script.
    fn checker(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("checker");
        std::fs::write(&program, format!("#!/bin/sh\nread -r order || :\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, program)
    }

    #[test]
    fn chk_08_a_check_that_was_asked_to_watch_has_the_time_for_it() {
        let id = "lb.measured-interval";
        let (_folder, program) = checker(&format!(
            r#"echo '{{"begins":"{id}"}}'; sleep 2; echo '{{"not-here":{{"en":"none","zh":"none"}}}}'"#
        ));
        let checks = [cloud_doctor_checks::by_id(id).unwrap()];
        for (secs, expected) in [(30, (Status::Ok, "none")), (0, (Status::Unknown, "no result within 1 s"))] {
            let mut wanted = Wanted::default();
            wanted.set(&format!("{id}.observe={secs}")).unwrap();
            let ended = run_with(&program, None, &checks, &wanted, &Own::default());
            let (status, text) = told(&ended.ran[0]);
            assert!(status == expected.0 && text.contains(expected.1), "{secs}: {text}");
        }
    }

    /// A checker that is asked for both hangs or breaks at the first; one that is asked for the second alone answers.
    fn second_answers(first: &str) -> [(Status, String); 2] {
        outcome(&format!(
            r#"case "$order" in *cpu.usage*) echo '{{"begins":"cpu.usage"}}'; {first};; esac
echo '{{"begins":"lb.detection-time"}}'; echo '{{"not-here":{{"en":"none","zh":"none"}}}}'"#
        ))
    }

    #[test]
    fn chk_08_what_hangs_breaks_or_floods_is_given_up_and_the_others_finish() {
        for (first, why) in [
            ("exec sleep 60", "no result within 1 s"),
            ("exit 3", "its process ended"),
            ("kill -9 $$", "its process ended"),
            ("echo junk; exec sleep 60", "given up"),
            ("head -c 3000000 /dev/zero | tr '\\0' x; exec sleep 60", "more than 1 MiB"),
        ] {
            let [hung, other] = second_answers(first);
            assert_eq!(hung.0, Status::Unknown, "{first}");
            assert!(hung.1.contains(why), "{first}: {}", hung.1);
            assert_eq!(other, (Status::Ok, "none".to_owned()), "{first}");
        }
    }

    #[test]
    fn a_checker_that_never_begins_leaves_no_check_out() {
        for script in ["exit 1", "exec sleep 60"] {
            for (status, _) in outcome(script) {
                assert_eq!(status, Status::Unknown, "{script}");
            }
        }
    }
}
