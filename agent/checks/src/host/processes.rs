//! Processes of a running host, from `/proc`, once for all checks.

use super::Host;
use crate::found::Gap;

/// Processes that are looked at.
const PROCESSES_MAX: usize = 20_000;

/// A process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// Its short name, 15 bytes at most; anybody can choose it.
    pub name: String,
    /// One letter: R, S, D, Z, T, I.
    pub state: char,
    /// Its arguments; empty for kernel threads, and where it may not be seen.
    pub argv: Vec<String>,
    /// Ticks after boot at which it started; there are 100 a second.
    pub start_ticks: u64,
    /// Ticks of processor time that it has used, its own threads together.
    pub cpu_ticks: u64,
    /// Threads.
    pub threads: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

impl Process {
    /// The last part of the program that it was started with.
    #[must_use]
    pub fn program(&self) -> &str {
        let first = self.argv.first().map_or(self.name.as_str(), String::as_str);
        // `nginx: master process /usr/sbin/nginx -g …` and `sshd: …` are titles.
        let first = first.split([' ', ':']).next().unwrap_or(first);
        first.rsplit('/').next().unwrap_or(first)
    }
}

impl Host {
    /// All processes, by id. Empty for a root that is not running.
    #[must_use]
    pub fn processes(&self) -> &[Process] {
        self.memo
            .processes
            .get_or_init(|| if self.live { self.read_processes().unwrap_or_default() } else { Vec::new() })
    }

    fn read_processes(&self) -> Result<Vec<Process>, Gap> {
        let pids = self.list("/proc")?.into_iter().filter_map(|entry| entry.name.parse::<u32>().ok());
        let mut pids: Vec<_> = pids.take(PROCESSES_MAX).collect();
        pids.sort_unstable();
        // One that ends meanwhile is none.
        Ok(pids.into_iter().filter_map(|pid| self.read_process(pid)).collect())
    }

    fn read_process(&self, pid: u32) -> Option<Process> {
        let stat = self.read(&format!("/proc/{pid}/stat")).ok()?;
        let arguments = self.read_bytes(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let argv = arguments.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let mut argv: Vec<_> = argv.collect();
        if argv.last().is_some_and(String::is_empty) {
            argv.pop();
        }
        parse_stat(&stat).map(|process| Process { argv, ..process })
    }
}

/// Reads proc_pid_stat(5). The name may hold anything, brackets and spaces included.
fn parse_stat(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        ppid: u32::try_from(number(1)?).ok()?,
        cpu_ticks: number(11)?.saturating_add(number(12)?),
        threads: number(17)?,
        start_ticks: number(19)?,
        resident_bytes: number(21)?.saturating_mul(rustix::param::page_size() as u64),
        argv: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 50 7 0 0 20 0 3 0 9000 1000 25 18446744073709551615 1";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.name.as_str(), process.state, process.ppid), (42, "a) b (c", 'S', 1));
        assert_eq!((process.cpu_ticks, process.threads, process.start_ticks), (57, 3, 9000));
        assert_eq!(parse_stat("42 (a"), None);
        let huge = line.replace(" 50 7 ", &format!(" {0} {0} ", u64::MAX)).replace(" 25 ", &format!(" {} ", u64::MAX));
        assert_eq!(parse_stat(&huge).map(|process| process.cpu_ticks), Some(u64::MAX));
    }

    #[test]
    fn the_program_is_the_last_part_of_its_path() {
        for (argv, program) in
            [("/usr/sbin/haproxy", "haproxy"), ("nginx: master process /usr/sbin/nginx", "nginx"), ("sshd:", "sshd")]
        {
            assert_eq!(Process { argv: vec![argv.into()], ..Process::default() }.program(), program);
        }
    }
}
