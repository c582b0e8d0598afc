//! What the checks of the kernel's messages have in common: which messages count, and how bad they are by their age.

use crate::found::{Found, Outcome};
use crate::host::{Host, KernelMessage};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};

/// Messages that are shown.
const SHOWN_MAX: usize = 5;

/// Judges the messages that fit: `worst` up to the parameter `recent`, a warning up to `past`, advice after that. One whose
/// time is unknown is a warning. `what` names them in the plural.
pub(crate) fn judge(
    host: &Host,
    settings: &Settings<'_>,
    what: &Words,
    worst: Status,
    fits: impl Fn(&str) -> bool,
) -> Outcome {
    let log = host.kernel_log()?;
    let hits: Vec<&KernelMessage> = log.messages.iter().filter(|message| fits(&message.text)).collect();
    let (reach, count) = (log.reach(), hits.len());
    let Some(last) = hits.last() else {
        let summary =
            Words { en: format!("no {} in {}", what.en, reach.en), zh: format!("{} 中没有{}", reach.zh, what.zh) };
        return Ok(vec![
            Found::new("", Status::Ok, summary).evidence(&log.path, format!("{} messages", log.messages.len())),
        ]);
    };
    let within = |name: &str| last.age_secs.is_some_and(|age| age <= settings.number(name));
    let when = last.age_secs.map_or_else(
        || words!("at a time that the log does not tell", "时间未知"),
        |age| {
            let span = span(age);
            words!("{span} ago", "{span} 前")
        },
    );
    let summary = Words {
        en: format!("{count} {} ({}), the last one {}", what.en, reach.en, when.en),
        zh: format!("{}共 {count} 条，最近一条：{}（日志来源：{}）", what.zh, when.zh, reach.zh),
    };
    let found = if within("recent") {
        Found::new("", worst, summary)
    } else if within("past") || last.age_secs.is_none() {
        Found::new("", Status::Warning, summary)
    } else {
        Found::advice("", summary)
    };
    let found = found.value(f64::from(u32::try_from(count).unwrap_or(u32::MAX)), "");
    Ok(vec![hits.iter().rev().take(SHOWN_MAX).fold(found, |found, hit| found.evidence(&hit.source, &hit.text))])
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::host::fixture::Fixture;

    /// A host that has been up for 200000 s, with one message of its kernel at a time.
    pub(crate) fn logged(at_secs: u64, text: &str) -> Fixture {
        Fixture::live()
            .file("/proc/uptime", "200000.00 1.00\n")
            .file("/dev/kmsg", format!("6,0,0,-;Linux version 6.1.0-18-amd64\n3,1,{at_secs}000000,-;{text}\n"))
    }
}
