//! Ending everything that a shell has started: to a fixpoint, so that nothing outlives the grant (PTY-12, PTY-14).
//!
//! The holder is a subreaper: whatever its descendants do (setsid, nohup, double fork), their line of parents leads to
//! it. Each pass reads `/proc`, stops what is new (a stopped process cannot fork) and kills when a pass finds nothing
//! new. It must never signal a process that is not below the holder.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use std::collections::{HashMap, HashSet};

/// A child that the kernel reported as ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reaped {
    pub(crate) pid: Pid,
    pub(crate) end: End,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It returned this status.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

/// Collects one ended child, if there is one. Never waits.
pub(crate) fn reap() -> Option<Reaped> {
    loop {
        let (pid, status) = wait(WaitOptions::NOHANG).ok().flatten()?;
        if let Some(end) = end_of(status) {
            return Some(Reaped { pid, end });
        }
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    let code = status.exit_status().map(|code| End::Code(small(code)));
    code.or_else(|| status.terminating_signal().map(|signal| End::Signal(small(signal))))
}

/// Everything below the holder that is not already dead.
pub(crate) fn descendants() -> HashSet<Pid> {
    below(getpid(), &parents())
}

/// Sends a signal to everything below the holder, and wakes what is stopped so that it can act on it.
pub(crate) fn signal_all(signal: Signal) {
    for pid in descendants() {
        // Gone in between, or a process of another user that this holder may not signal: the next pass sees it.
        kill_process(pid, signal).ok();
        kill_process(pid, Signal::CONT).ok();
    }
}

/// One pass towards the fixpoint; returns how many are still alive.
///
/// `stopped` carries what earlier passes have stopped.
pub(crate) fn kill_pass(stopped: &mut HashSet<Pid>) -> usize {
    loop {
        let alive = descendants();
        let fresh: Vec<Pid> = alive.iter().copied().filter(|pid| stopped.insert(*pid)).collect();
        for pid in &fresh {
            kill_process(*pid, Signal::STOP).ok();
        }
        if fresh.is_empty() {
            for pid in &alive {
                kill_process(*pid, Signal::KILL).ok();
            }
            stopped.clear();
            return alive.len();
        }
    }
}

/// Process id to parent, of all that are not zombies.
fn parents() -> HashMap<Pid, Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter_map(|number| {
            let stat = std::fs::read(format!("/proc/{number}/stat")).ok()?;
            let parent = parse_parent(&String::from_utf8_lossy(&stat))?;
            Some((Pid::from_raw(number)?, parent))
        })
        .collect()
}

/// The parent in a line of `/proc/PID/stat`; none for a zombie. The name in the middle may hold any character.
fn parse_parent(stat: &str) -> Option<Pid> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    if state == "Z" || state == "X" { None } else { Pid::from_raw(parent) }
}

fn below(root: Pid, parents: &HashMap<Pid, Pid>) -> HashSet<Pid> {
    let leads_to_root = |pid: Pid| {
        // Process ids are reused while /proc is read, so a line of parents could even be a circle.
        let mut line = std::iter::successors(parents.get(&pid), |parent| parents.get(*parent)).take(parents.len());
        line.any(|parent| *parent == root)
    };
    parents.keys().copied().filter(|pid| leads_to_root(*pid)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    #[test]
    fn names_with_parentheses_do_not_hide_a_process() {
        assert_eq!(parse_parent("12 (a) S 5) R 7 12 12 0 -1"), Some(pid(7)));
        assert_eq!(parse_parent("12 (sleep) S 1 12 12 0"), Some(pid(1)));
        assert_eq!(parse_parent("12 (sleep) Z 1 12 12 0"), None);
        assert_eq!(parse_parent("12 (sleep"), None);
    }

    #[test]
    fn everything_below_is_found_and_nothing_else() {
        let lines = [(10, 1), (11, 10), (12, 11), (20, 1), (21, 20), (30, 31), (31, 30)];
        let parents = lines.map(|(child, parent)| (pid(child), pid(parent))).into();
        assert_eq!(below(pid(10), &parents), [pid(11), pid(12)].into());
        assert_eq!(below(pid(20), &parents), [pid(21)].into());
        assert_eq!(below(pid(99), &parents), HashSet::new());
    }
}
