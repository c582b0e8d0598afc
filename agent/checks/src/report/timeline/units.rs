//! Units that failed, ran out of memory or were started again, as systemd told the journal. Only what process 1 said
//! counts; of a message its kind and its unit, never its text.

use super::{Confidence, Row, RowKind, Seen, WINDOW_SECS};
use crate::check::Text;
use crate::found::Gap;
use crate::host::Host;
use crate::host::journal::{JournalEntry, Query};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use std::collections::BTreeMap;

/// Entries that are read; a unit that starts again every second has many.
const ENTRIES_MAX: usize = 5000;
/// The same of one unit within this time is one row.
const TOGETHER_SECS: u64 = 600;

/// What systemd says of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Failed,
    OutOfMemory,
    Restarted,
    /// Of the system itself: it has started.
    Up,
}

/// systemd's sd-messages.h, and what each means.
const EVENTS: [(&str, Said, Text); 4] = [
    ("d9b373ed55a64feb8242e02dbe79a49c", Said::Failed, Text { en: "failed", zh: "失败" }),
    (
        "fe6faa94e7774663a0da52717891d8ef",
        Said::OutOfMemory,
        Text {
            en: "lost a process to the kernel's out-of-memory killer", zh: "有进程因内存不足被内核终止"
        },
    ),
    (
        "5eb03494b6584870a536b337290809b3",
        Said::Restarted,
        Text { en: "was started again by systemd", zh: "被 systemd 自动重启" },
    ),
    (UP, Said::Up, Text { en: "the system has started", zh: "系统已启动" }),
];
/// It names no unit.
pub(super) const UP: &str = "b07a249cd024414a82dd00cd181378ff";

/// The same of one unit within ten minutes.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) unit: String,
    pub(super) said: Said,
    words: Text,
    /// The last time.
    pub(super) at: UnixTime,
    pub(super) count: u32,
}

/// What the journal tells.
#[derive(Debug, Default)]
pub(super) struct Journaled {
    pub(super) told: Vec<Told>,
    path: String,
    /// What could not be read.
    pub(super) gaps: Vec<Words>,
}

pub(super) fn look(host: &Host) -> Seen {
    let Journaled { told, path, gaps } = journaled(host);
    // That the kernel started is a row already, by what says when.
    let units = told.iter().filter(|one| one.said != Said::Up);
    Seen { rows: units.map(|one| row(one, &path)).collect(), gaps }
}

/// What systemd has said of units.
pub(super) fn journaled(host: &Host) -> Journaled {
    let mut found = Journaled::default();
    let ids = EVENTS.map(|(id, _, _)| id);
    let query = Query { only: Some(("MESSAGE_ID", &ids)), secs: WINDOW_SECS, most: ENTRIES_MAX };
    match host.journal(&query) {
        Ok(journal) => {
            if !journal.whole || journal.damaged > 0 {
                let path = &journal.path;
                found.gaps.push(words!(
                    "{path}: not all events of units could be read; older ones are missing in the timeline",
                    "{path}：未能读取全部单元事件，时间线缺少较早的部分"
                ));
            }
            found.told = together(&journal.entries);
            found.path = journal.path;
        }
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => found.gaps.push(why),
    }
    found
}

pub(super) fn together(entries: &[JournalEntry]) -> Vec<Told> {
    let mut together: BTreeMap<(&str, &str), Vec<(u64, u32)>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.unit.is_empty() == (entry.id == UP)) {
        let at = entry.micros / 1_000_000;
        let runs = together.entry((&entry.unit, &entry.id)).or_default();
        match runs.last_mut().filter(|(last, _)| at.saturating_sub(*last) <= TOGETHER_SECS) {
            Some((last, count)) => (*last, *count) = (at, *count + 1),
            None => runs.push((at, 1)),
        }
    }
    let all = together.into_iter().flat_map(|((unit, id), runs)| runs.into_iter().map(move |run| (unit, id, run)));
    all.filter_map(|(unit, id, (at, count))| {
        let (_, said, words) = *EVENTS.iter().find(|(event, _, _)| *event == id)?;
        Some(Told { unit: unit.to_owned(), said, words, at: UnixTime(at), count })
    })
    .collect()
}

fn row(Told { unit, words, at, count, .. }: &Told, path: &str) -> Row {
    let Text { en, zh } = words;
    let times = if *count > 1 {
        words!(" ({count} times, the last)", "（{count} 次，最近一次）")
    } else {
        words!("", "")
    };
    let (times_en, times_zh) = (times.en, times.zh);
    Row {
        at: *at,
        kind: RowKind::Restart,
        what: words!("{unit} {en}{times_en}", "{unit} {zh}{times_zh}"),
        evidence: path.to_owned(),
        confidence: Confidence::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;
    use crate::report::Step;

    #[test]
    fn chk_what_systemd_says_of_units_is_in_the_timeline() {
        let seen = super::super::look(&Step::Starts, &recorded(Fixture::image(), "compact").host());
        let told: Vec<_> = seen.rows.iter().map(|row| (row.what.en.as_str(), 1_767_225_600 - row.at.0)).collect();
        assert_eq!(
            told,
            [
                ("shop.service was started again by systemd", 4196),
                ("shop.service failed", 4197),
                ("shop.service lost a process to the kernel's out-of-memory killer", 4198),
            ],
            "and not what anybody else says of it"
        );
        assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
    }

    #[test]
    fn chk_a_start_of_the_system_has_no_unit_and_nothing_else_is_one() {
        let entry = |id: &str, unit: &str| JournalEntry {
            micros: 1_767_000_000_000_000,
            name: "systemd".to_owned(),
            pid: "1".to_owned(),
            unit: unit.to_owned(),
            id: id.to_owned(),
            message: String::new(),
        };
        let told = together(&[entry(UP, ""), entry(UP, "a.service"), entry(EVENTS[0].0, ""), entry("", "")]);
        assert_eq!(told.iter().map(|one| (one.said, one.unit.as_str())).collect::<Vec<_>>(), [(Said::Up, "")]);
    }

    #[test]
    fn chk_a_unit_that_goes_on_starting_is_one_row() {
        let entry = |at: u64| JournalEntry {
            micros: (1_767_000_000 + at) * 1_000_000,
            name: "systemd".to_owned(),
            pid: "1".to_owned(),
            unit: "a.service".to_owned(),
            id: EVENTS[2].0.to_owned(),
            message: String::new(),
        };
        let told = together(&[entry(0), entry(10), entry(20), entry(5000)]);
        let told: Vec<_> = told.iter().map(|one| row(one, "/run/log/journal/x")).collect();
        let told: Vec<_> = told.iter().map(|row| (row.what.en.as_str(), row.at.0 - 1_767_000_000)).collect();
        assert_eq!(
            told,
            [
                ("a.service was started again by systemd (3 times, the last)", 20),
                ("a.service was started again by systemd", 5000)
            ]
        );
    }
}
