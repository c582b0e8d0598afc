//! systemd's journal, read from its files without systemd: what services and the kernel said on hosts that have no other
//! log.
//!
//! Only the system's own files of this machine are read, not those of users, other hosts or namespaces; the newest entries
//! first, bounded in files, entries, bytes and age, and what was left out is told. Long messages are compressed: with
//! Zstandard by every systemd of today, which is read (`unpack`); with LZ4 or XZ by older ones, which is counted. It must never follow what a file says beyond the file, and never take anybody's word for being
//! the kernel or systemd: fields with an underscore come from journald itself.

mod file;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use super::{Entry, Host, date};
use crate::found::Gap;
use crate::number::span;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use file::{Item, JournalFile, Raw};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Where journald keeps files: over restarts, and until the next one.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Files whose header is read.
const FILES_MAX: usize = 300;
/// Bytes that one question may cost, all files together.
const BYTES_MAX: u64 = 8 << 20;
/// Bytes of all messages that are kept.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Characters of one message.
const MESSAGE_CHARS_MAX: usize = 2000;
/// Entries older than asked for, in a row, after which nothing newer is expected: a clock may have been set.
const OLDER_MAX: usize = 50;
/// What anybody here asks for.
const FIELDS: [&str; 9] = [
    "MESSAGE",
    "MESSAGE_ID",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_FACILITY",
    "UNIT",
    "_COMM",
    "_PID",
    "_TRANSPORT",
    "SYSLOG_PID",
];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// A field, and the values of it that count; all entries without.
    pub(crate) only: Option<(&'a str, &'a [&'a str])>,
    /// Seconds before now.
    pub(crate) secs: u64,
    /// Entries, the newest.
    pub(crate) most: usize,
}

/// One message of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    /// In microseconds since 1970.
    pub(crate) micros: u64,
    /// Who says it: `kernel` only for the kernel itself.
    pub(crate) name: String,
    pub(crate) pid: String,
    /// The unit that systemd speaks of, and what kind of message it is; empty when anybody else says so.
    pub(crate) unit: String,
    pub(crate) id: String,
    pub(crate) message: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Journal {
    /// The oldest first.
    pub(crate) entries: Vec<JournalEntry>,
    /// The folder that it was read in.
    pub(crate) path: String,
    /// Whether everything in the time that was asked for was read, as far as it is kept.
    pub(crate) whole: bool,
    /// Messages that are compressed in another way, or too large, and were not read.
    pub(crate) compressed: u64,
    /// Entries that are damaged.
    pub(crate) damaged: u64,
    text_bytes: usize,
}

impl Host {
    /// Entries of the journal.
    ///
    /// # Errors
    /// [`Gap::NotHere`] where there is none; [`Gap::Unknown`] when it cannot be read.
    pub(crate) fn journal(&self, query: &Query<'_>) -> Result<Journal, Gap> {
        let left = Cell::new(BYTES_MAX);
        let Files { path, mut files, all } = self.journal_files(&left)?;
        files.sort_unstable_by(|one, other| other.cmp(one));
        let since = self.now().0.saturating_sub(query.secs).saturating_mul(1_000_000);
        let mut journal = Journal { path, whole: all, ..Journal::default() };
        for (_, path) in files.into_iter().filter(|(newest, _)| *newest >= since) {
            if journal.entries.len() >= query.most {
                journal.whole = false;
                break;
            }
            match JournalFile::open(self, &path, &left) {
                Ok(Some(mut file)) => journal.take(&mut file, query, since),
                // It was rotated away meanwhile.
                Ok(None) | Err(Gap::NotHere(_) | Gap::Unknown(_)) => journal.whole = false,
            }
        }
        journal.entries.sort_by_key(|entry| entry.micros);
        let too_many = journal.entries.len().saturating_sub(query.most);
        journal.whole &= too_many == 0;
        journal.entries.drain(..too_many);
        Ok(journal)
    }

    fn journal_files(&self, left: &Cell<u64>) -> Result<Files, Gap> {
        let own = self.read("/etc/machine-id").map(|id| id.trim().to_owned()).ok().filter(|id| is_id(id));
        let mut found = Files { path: String::new(), files: Vec::new(), all: true };
        let mut why = None;
        for folder in FOLDERS {
            let machines = self.list(folder).unwrap_or_else(|gap| remember(&mut why, gap));
            let is_own = |name: &str| own.as_ref().map_or_else(|| is_id(name), |own| name == own);
            for machine in machines.into_iter().filter(|entry| is_own(&entry.name)) {
                let folder = format!("{folder}/{}", machine.name);
                for file in self.list(&folder).unwrap_or_else(|gap| remember(&mut why, gap)) {
                    if !is_system(&file.name) || found.files.len() == FILES_MAX {
                        found.all &= !is_system(&file.name);
                        continue;
                    }
                    let path = format!("{folder}/{}", file.name);
                    match JournalFile::open(self, &path, left) {
                        Ok(Some(file)) => found.files.push((file.newest, path)),
                        Ok(None) => {
                            why.get_or_insert_with(|| unknown_form(&path));
                        }
                        Err(gap) => drop(remember(&mut why, gap)),
                    }
                    if found.path.is_empty() {
                        found.path.clone_from(&folder);
                    }
                }
            }
        }
        match why {
            Some(why) if found.files.is_empty() => Err(Gap::Unknown(why)),
            None if found.files.is_empty() => Err(Gap::NotHere(words!("there is no journal", "此主机没有 journal"))),
            why => Ok(Files { all: found.all && why.is_none(), ..found }),
        }
    }
}

/// The journal's files: when the newest entry of each was written, and its path.
struct Files {
    path: String,
    files: Vec<(u64, String)>,
    /// Whether all of them could be read.
    all: bool,
}

/// Keeps the first reason why something could not be read; there is nothing in what could not.
fn remember(why: &mut Option<Words>, gap: Gap) -> Vec<Entry> {
    match gap {
        Gap::NotHere(_) => {}
        Gap::Unknown(words) => {
            why.get_or_insert(words);
        }
    }
    Vec::new()
}

fn unknown_form(path: &str) -> Words {
    words!("{path} is no journal of a form that is known here", "{path} 不是可识别格式的 journal 文件")
}

/// A machine's id, as folders are named.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `system.journal`, those that were rotated (`system@…`), and those that a crash left behind (`…~`).
fn is_system(name: &str) -> bool {
    (name.starts_with("system.") || name.starts_with("system@")) && name.trim_end_matches('~').ends_with(".journal")
}

impl Journal {
    fn take(&mut self, file: &mut JournalFile<'_>, query: &Query<'_>, since: u64) {
        let lists = match query.only {
            Some((field, values)) => file.lists(field, values),
            None => vec![file.all()],
        };
        for list in lists {
            let mut older = 0;
            for place in file.newest(list, query.most.saturating_add(1)) {
                match file.entry(place) {
                    Some(raw) if raw.micros < since => older += 1,
                    Some(raw) => {
                        older = 0;
                        self.add(raw);
                    }
                    None if file.cut => break,
                    None => self.damaged += 1,
                }
                file.cut |= self.text_bytes > TEXT_BYTES_MAX;
                if older > OLDER_MAX || file.cut {
                    break;
                }
            }
        }
        self.whole &= !file.cut && !file.torn;
    }

    fn add(&mut self, raw: Raw) {
        let has_compressed = raw.items.contains(&Item::Compressed);
        let fields: BTreeMap<&str, &str> = raw
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Text(text) => text.split_once('='),
                Item::Other | Item::Compressed => None,
            })
            .collect();
        let Some(message) = fields.get("MESSAGE") else {
            self.compressed += u64::from(has_compressed);
            return;
        };
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let is_kernel = field("_TRANSPORT") == "kernel" && field("SYSLOG_FACILITY") == "0";
        let is_systemd = field("_PID") == "1";
        let of_systemd = |name: &str| if is_systemd { one_line(field(name), 255) } else { String::new() };
        let pid = if field("_PID").is_empty() { field("SYSLOG_PID") } else { field("_PID") };
        let message = one_line(message, MESSAGE_CHARS_MAX);
        self.text_bytes += message.len();
        self.entries.push(JournalEntry {
            micros: raw.micros,
            name: name(is_kernel, field("SYSLOG_IDENTIFIER"), field("_COMM")),
            pid: pid.chars().filter(char::is_ascii_digit).take(10).collect(),
            unit: of_systemd("UNIT"),
            id: of_systemd("MESSAGE_ID"),
            message,
        });
    }

    /// As lines of a system log: `2026-01-01T00:00:00+00:00 host name[pid]: message`.
    pub(crate) fn text(&self, host: &Host) -> String {
        let name = host.name();
        let name = if name.is_empty() || name.contains(char::is_whitespace) { "localhost" } else { &name };
        let lines = self.entries.iter().map(|JournalEntry { micros, name: who, pid, message, .. }| {
            let stamp = date::rfc_3339_utc(micros / 1_000_000);
            let pid = if pid.is_empty() { String::new() } else { format!("[{pid}]") };
            format!("{stamp} {name} {who}{pid}: {message}\n")
        });
        lines.collect()
    }

    /// What was left out, for a sentence; nothing when that is nothing.
    pub(crate) fn left_out(&self, now: UnixTime) -> Option<Words> {
        let (path, compressed, damaged) = (&self.path, self.compressed, self.damaged);
        let (mut en, mut zh) = (Vec::new(), Vec::new());
        if !self.whole {
            let oldest = self.entries.first().map_or(0, |entry| entry.micros / 1_000_000);
            #[expect(clippy::cast_precision_loss, reason = "an age for people")]
            let back = span(now.0.saturating_sub(oldest) as f64);
            en.push(format!("only the newest entries were read, those of the last {back}"));
            zh.push(format!("仅读取了最近 {back} 的条目"));
        }
        if compressed > 0 {
            en.push(format!(
                "{compressed} long messages are compressed with LZ4 or XZ, damaged or above 64 KiB, and were not read"
            ));
            zh.push(format!("{compressed} 条较长的日志以 LZ4 或 XZ 压缩、已损坏或超过 64 KiB，未读取"));
        }
        if damaged > 0 {
            en.push(format!("{damaged} entries are damaged"));
            zh.push(format!("{damaged} 个条目已损坏"));
        }
        let (en, zh, anything) = (en.join("; "), zh.join("；"), !en.is_empty());
        anything.then(|| words!("{path}: {en}", "{path}：{zh}"))
    }
}

/// Who said it, as one word; nobody but the kernel is called that.
fn name(is_kernel: bool, identifier: &str, command: &str) -> String {
    if is_kernel {
        return "kernel".to_owned();
    }
    let name =
        [identifier, command].into_iter().find(|name| !name.is_empty() && *name != "kernel").unwrap_or("unnamed");
    one_line(name, 60).replace(|one: char| one.is_whitespace() || one == ':', "_")
}
