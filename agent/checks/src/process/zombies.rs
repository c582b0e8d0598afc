//! Processes that have ended and that their parent has not asked about: each keeps its number.

use super::all;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "process.zombies",
    title: Text { en: "Zombie processes", zh: "僵尸进程" },
    reads: &["/proc/*/stat"],
    needs: Needs::LIVE,
    params: &[Param::above("warning", 50.0, 25.0, "", "our recommendation, as Lynis PROC-3612 but with a number")],
    impact: Text {
        en: "Each zombie keeps a process number. When they run out, nothing on this server can be started any more.",
        zh: "每个僵尸进程都占用一个进程号。进程号耗尽后，此服务器将无法启动任何新进程。",
    },
    remedy: Text {
        en: "A zombie cannot be killed: restart its parent, and have the parent's makers fix that it does not wait for its children. In a container, start the program under an init (docker run --init).",
        zh: "僵尸进程无法被杀死：请重启其父进程，并让开发者修复未回收子进程的缺陷。在容器中请用 init 启动程序（docker run --init）。",
    },
    run,
};

/// Parents that are named.
const PARENTS_SHOWN: usize = 5;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let processes = all(host)?;
    let mut by_parent: BTreeMap<u32, usize> = BTreeMap::new();
    for zombie in processes.iter().filter(|process| process.state == 'Z') {
        *by_parent.entry(zombie.ppid).or_default() += 1;
    }
    let count: usize = by_parent.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "20,000 processes at most")]
    let number = count as f64;
    let status = settings.level("", number);
    let mut found = Found::new(
        "",
        status,
        words!("{count} processes have ended and were not cleaned up", "有 {count} 个已结束的进程未被回收"),
    )
    .value(number, "");
    if status > Status::Unknown {
        let mut parents: Vec<(usize, u32)> = by_parent.into_iter().map(|(parent, count)| (count, parent)).collect();
        parents.sort_unstable_by(|one, other| other.cmp(one));
        for (count, parent) in parents.into_iter().take(PARENTS_SHOWN) {
            let name = processes.iter().find(|process| process.pid == parent).map_or("?", Process::program);
            found = found.evidence("/proc/*/stat", format!("{count} below process {parent} ({name})"));
        }
    }
    Ok(vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(zombies: u32) -> Fixture {
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]);
        (2..2 + zombies).fold(host, |host, pid| host.process(pid, 'Z', &[]))
    }

    #[test]
    fn prc_03_zombies_are_counted_and_their_parent_named() {
        for (zombies, expected) in [(0, Status::Ok), (50, Status::Ok), (51, Status::Warning)] {
            assert_eq!(host(zombies).status(&CHECK), expected, "{zombies}");
        }
        let found = host(51).run(&CHECK);
        assert_eq!(found[0].evidence[0].text, "51 below process 1 (init)");
        assert_eq!(Fixture::live().process(7, 'S', &["sh"]).status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
