//! The kernel's own messages: `/dev/kmsg`, the journal, or the files that a logger keeps of them.
//!
//! `/dev/kmsg` is a device, so [`Host::read`] does not open it. It is opened here without waiting and for reading only, and
//! only on a running host: in another root it would be this host's log. What other programs have written into it is left
//! out. Bounded in bytes, records and readings; when there is more, the newest stay.

use super::journal::Query;
use super::{Host, date};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::DAY_SECS;
use rustix::fs::{FileType, OFlags};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read as _};

/// Bytes of messages that are kept.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// Messages that are kept.
const MESSAGES_MAX: usize = 10_000;
/// Readings of the device: a kernel that goes on writing must not keep us.
const READINGS_MAX: usize = 200_000;
/// Longest record of the device (kernel `CONSOLE_EXT_LOG_MAX`, 8 KiB), with room.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// How far back the journal is read; nothing that is said of the kernel goes back further.
const JOURNAL_SECS: u64 = 7 * DAY_SECS;
const DEVICE: &str = "/dev/kmsg";
/// `/dev/kmsg` is character device 1:11 (kernel Documentation/admin-guide/devices.txt).
const DEVICE_NUMBER: (u32, u32) = (1, 11);
/// What loggers write kernel messages to: Debian, Red Hat, and the messages of the last boot.
const FILES: [&str; 3] = ["/var/log/kern.log", "/var/log/messages", "/var/log/dmesg"];

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelMessage {
    /// How long ago it was, in seconds, where that can be told.
    pub age_secs: Option<f64>,
    /// Where it stands, for evidence.
    pub source: String,
    /// What it says.
    pub text: String,
}

/// How far back a log goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    /// To the start of the kernel.
    Boot,
    /// So many seconds.
    Secs(f64),
    /// Nobody knows.
    Unknown,
}

/// The messages that could be read, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelLog {
    /// The messages.
    pub messages: Vec<KernelMessage>,
    /// Where they were read.
    pub path: String,
    reach: Reach,
}

impl KernelLog {
    /// Where they were read and how far back they go, for a sentence.
    #[must_use]
    pub fn reach(&self) -> Words {
        let path = &self.path;
        match self.reach {
            Reach::Boot => words!("{path} since the kernel started", "{path}（自内核启动以来）"),
            Reach::Secs(secs) => {
                let hours = secs / 3600.0;
                words!("{path}, the last {hours:.1} h of it", "{path}（最近 {hours:.1} 小时）")
            }
            Reach::Unknown => words!("the end of {path}", "{path} 的末尾部分"),
        }
    }
}

impl Host {
    /// The kernel's messages, read once.
    ///
    /// # Errors
    /// [`Gap::Unknown`] when none can be read, and why; there is no host without a kernel.
    pub fn kernel_log(&self) -> Result<&KernelLog, Gap> {
        self.memo.kernel_log.get_or_init(|| self.read_kernel_log()).as_ref().map_err(Gap::clone)
    }

    fn read_kernel_log(&self) -> Result<KernelLog, Gap> {
        let why = match self.read_device() {
            Ok(records) => return Ok(from_records(&records, self.uptime_secs())),
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => why,
        };
        if let Ok(log) = self.kernel_journal() {
            return Ok(log);
        }
        for path in FILES {
            if let Ok(text) = self.tail(path, LOG_BYTES_MAX) {
                let lines: Vec<&str> = text.lines().collect();
                let first = lines.len().saturating_sub(MESSAGES_MAX);
                let messages = lines[first..].iter().filter_map(|line| from_line(path, line, self.now().0)).collect();
                return Ok(KernelLog { messages, path: path.to_owned(), reach: Reach::Unknown });
            }
        }
        let Words { en, zh } = why;
        Err(Gap::Unknown(words!(
            "no kernel log can be read: {en}, and neither the journal nor /var/log/kern.log, messages or dmesg",
            "无法读取内核日志：{zh}；journal 以及 /var/log 下的 kern.log、messages、dmesg 也均不可读"
        )))
    }

    /// What the journal keeps of the kernel's messages, over restarts.
    ///
    /// # Errors
    /// As [`Host::journal`]; also when it has none.
    pub(crate) fn kernel_journal(&self) -> Result<KernelLog, Gap> {
        let only = Some(("_TRANSPORT", &["kernel"][..]));
        let journal = self.journal(&Query { only, secs: JOURNAL_SECS, most: MESSAGES_MAX })?;
        let path = journal.path;
        #[expect(clippy::cast_precision_loss, reason = "an age for people")]
        let age = |micros: u64| self.now().0.saturating_sub(micros / 1_000_000) as f64;
        // Other programs may write to the kernel's log.
        let own = journal.entries.into_iter().filter(|entry| entry.name == "kernel");
        let messages: Vec<_> = own
            .map(|entry| KernelMessage { age_secs: Some(age(entry.micros)), source: path.clone(), text: entry.message })
            .collect();
        match messages.first().and_then(|first| first.age_secs) {
            Some(oldest) => Ok(KernelLog { messages, path, reach: Reach::Secs(oldest) }),
            None => Err(Gap::NotHere(words!("{path} has no message of the kernel", "{path} 中没有内核日志"))),
        }
    }

    /// The device's records, or a regular file in its place, as one text.
    fn read_device(&self) -> Result<String, Gap> {
        let other = || Gap::Unknown(words!("{DEVICE} is not the kernel's", "{DEVICE} 不是内核日志设备"));
        // Nothing but the kernel's device may be opened: opening others can have effects.
        let kind = self.resolve(DEVICE, OFlags::PATH).and_then(|fd| rustix::fs::fstat(&fd));
        match kind.map(|stat| (FileType::from_raw_mode(stat.st_mode), stat.st_rdev)) {
            Ok((FileType::CharacterDevice, device))
                if self.live && (rustix::fs::major(device), rustix::fs::minor(device)) == DEVICE_NUMBER => {}
            Ok((FileType::RegularFile, _)) | Err(_) => return self.read(DEVICE),
            Ok(_) => return Err(other()),
        }
        let fd = self.resolve(DEVICE, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(|errno| {
            let why = std::io::Error::from(errno).to_string();
            Gap::Unknown(words!(
                "{DEVICE} may not be read by this user ({why}); run it as root",
                "当前用户无权读取 {DEVICE}（{why}）；请以 root 运行"
            ))
        })?;
        Ok(drain(File::from(fd)))
    }
}

/// Reads record after record until there is none; each reading gives one.
fn drain(mut device: File) -> String {
    let mut records: VecDeque<String> = VecDeque::new();
    let (mut bytes, mut buffer) = (0, vec![0; RECORD_BYTES_MAX]);
    for _ in 0..READINGS_MAX {
        match device.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                bytes += count;
                records.push_back(String::from_utf8_lossy(&buffer[..count]).into_owned());
            }
            // A record was overwritten before it was read: the next reading gives the oldest that is left.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
        while records.len() > MESSAGES_MAX || bytes as u64 > LOG_BYTES_MAX {
            bytes -= records.pop_front().map_or(bytes, |record| record.len().min(bytes));
        }
    }
    records.into_iter().collect()
}

/// Reads records as Documentation/ABI/testing/dev-kmsg describes them: `priority,sequence,microseconds,flags;text`, then
/// lines that begin with a space for what belongs to it.
fn from_records(text: &str, uptime_secs: Option<f64>) -> KernelLog {
    let mut messages = VecDeque::new();
    let mut first = None;
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        let Some((header, text)) = line.split_once(';') else { continue };
        let mut fields = header.split(',').map(|field| field.parse::<u64>().ok());
        let (Some(Some(priority)), Some(Some(sequence)), Some(Some(micros))) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "an age for people")]
        let age_secs = uptime_secs.map(|uptime| (uptime - micros as f64 / 1e6).max(0.0));
        first = first.or(Some((sequence, age_secs)));
        // The facility stands above the level; all but 0 are what programs wrote.
        if priority >> 3 == 0 {
            messages.push_back(KernelMessage {
                age_secs,
                source: format!("{DEVICE} #{sequence}"),
                text: text.to_owned(),
            });
        }
        if messages.len() > MESSAGES_MAX {
            messages.pop_front();
            first = messages.front().map(|message| (u64::MAX, message.age_secs));
        }
    }
    let reach = match first {
        Some((0, _)) => Reach::Boot,
        Some((_, Some(secs))) => Reach::Secs(secs),
        Some((_, None)) | None => Reach::Unknown,
    };
    KernelLog { messages: messages.into(), path: DEVICE.to_owned(), reach }
}

/// Reads a line of a file: `Nov 26 00:37:08 host kernel: [12.3] text`, the same with an RFC 3339 time, or `[12.3] text`.
fn from_line(path: &str, line: &str, now: u64) -> Option<KernelMessage> {
    let from_dmesg = line.starts_with('[');
    let text = if from_dmesg {
        line
    } else {
        // The program's name has its place: what others write into their text is none.
        let name = if line.starts_with(|first: char| first.is_ascii_digit()) { 2 } else { 4 };
        (line.split_ascii_whitespace().nth(name)? == "kernel:").then(|| line.split_once(" kernel: "))??.1
    };
    let text = text.trim_start();
    let text = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_, text)| text);
    let stamp = line.split_ascii_whitespace().next();
    #[expect(clippy::cast_precision_loss, reason = "an age for people")]
    let age_secs =
        if from_dmesg { None } else { stamp.and_then(date::rfc_3339).map(|at| now.saturating_sub(at) as f64) };
    Some(KernelMessage { age_secs, source: path.to_owned(), text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;

    #[test]
    fn krn_log_records_have_ages_and_are_the_kernels_own() {
        let records = "6,0,0,-;Linux version 6.1.0-18-amd64\n SUBSYSTEM=x\n DEVICE=+x:y\n\
                       30,7,500000,-;systemd[1]: task a:1 blocked for more than 9 seconds.\n\
                       3,9,90000000,-,caller=T1;INFO: task b:2 blocked for more than 120 seconds.\nbroken\nx,y,z;no\n";
        let fixture = Fixture::live().file("/dev/kmsg", records).file("/proc/uptime", "100.00 1.00\n");
        let host = fixture.host();
        let log = host.kernel_log().unwrap();
        let found: Vec<_> = log.messages.iter().map(|message| (message.source.as_str(), message.age_secs)).collect();
        assert_eq!(found, [("/dev/kmsg #0", Some(100.0)), ("/dev/kmsg #9", Some(10.0))]);
        assert_eq!(log.reach().en, "/dev/kmsg since the kernel started");
    }

    #[test]
    fn krn_log_files_stand_in_for_the_device() {
        let now = 1_767_225_600;
        for (line, expected) in [
            ("2025-12-31T23:59:50.123456+00:00 web1 kernel: [12.5] EXT4-fs error", Some((Some(10.0), "EXT4-fs error"))),
            ("2026-01-01T07:59:50+08:00 web1 kernel: x", Some((Some(10.0), "x"))),
            ("Dec 31 23:59:50 web1 kernel: [   12.500000] x", Some((None, "x"))),
            ("[    0.000000] Linux version 6.1", Some((None, "Linux version 6.1"))),
            ("Dec 31 23:59:50 web1 app[1]: he said kernel: x", None),
            ("2026-01-01", None),
            ("", None),
        ] {
            let message = from_line("/var/log/kern.log", line, now);
            let found = message.as_ref().map(|message| (message.age_secs, message.text.as_str()));
            assert_eq!(found, expected, "{line}");
        }
        let image = Fixture::image().file("/var/log/messages", "Dec 31 23:59:50 web1 kernel: x\n");
        assert_eq!(image.host().kernel_log().unwrap().path, "/var/log/messages");
        assert!(matches!(Fixture::live().host().kernel_log(), Err(Gap::Unknown(_))));
    }

    #[test]
    fn krn_log_the_journal_stands_in_for_the_device() {
        for form in ["regular", "compact"] {
            let fixture =
                recorded(Fixture::image(), form).file("/var/log/messages", "Dec 31 23:59:50 web1 kernel: x\n");
            let host = fixture.host();
            let log = host.kernel_log().unwrap();
            let told: Vec<_> = log.messages.iter().map(|one| (one.age_secs, one.text.as_str())).collect();
            assert_eq!(told, [(Some(4199.0), "Out of memory: Killed process 812 (java) total-vm:8123kB")]);
            assert!(log.path.starts_with("/var/log/journal/"));
        }
    }

    #[test]
    fn krn_log_keeps_the_newest() {
        let records: String = (5..10_010).map(|at| format!("6,{at},{at}000000,-;x\n")).collect();
        let log = from_records(&records, Some(20_000.0));
        assert_eq!((log.messages.len(), log.messages[0].source.as_str()), (MESSAGES_MAX, "/dev/kmsg #10"));
        assert_eq!(log.reach, Reach::Secs(19_990.0));
    }
}
