//! A report as one file to send: tar.gz, manifest first. It only makes bytes; who has a place for them writes them.
//!
//! Files are redacted here, one at a time and each whole, so that a private key over many lines is seen as one. It must
//! never hold an entry that has not passed the redactor.

use super::files::{Collector, FileText};
use super::json::timeline_json;
use super::manifest::{Item, manifest};
use super::model::Report;
use crate::host::boot_time;
use crate::redact::Redactor;
use crate::show::{self, Results, Style};
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::time::BootTime;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The most that a bundle may be: chats of support teams take files of 50 MB.
pub const BUNDLE_BYTES_MAX: u64 = 45 << 20;
/// Of all entries, unpacked: deflate adds five bytes to 16 KiB that it cannot pack, and tar at most 1.5 KiB to an entry.
const ENTRIES_BYTES_MAX: usize = 43 << 20;
/// Of findings.json.
const FINDINGS_BYTES_MAX: usize = 8 << 20;
/// Parts of a file's name in a bundle.
const NAME_CHARS_MAX: usize = 180;

/// A bundle in the making.
#[derive(Debug)]
pub struct Bundle {
    entries: Vec<(String, Vec<u8>)>,
    items: Vec<Item>,
    names: BTreeSet<String>,
    bytes: usize,
}

impl Bundle {
    /// Everything of a report that has passed [`Report::redact`]. Files are redacted here; those for which there is no time
    /// or room are left out, and the report says so.
    ///
    /// # Errors
    /// None are expected: every value has a JSON form.
    pub fn new(
        report: &mut Report,
        redactor: &mut Redactor,
        language: Language,
        deadline: BootTime,
    ) -> serde_json::Result<Self> {
        let mut bundle = Self { entries: Vec::new(), items: Vec::new(), names: BTreeSet::new(), bytes: 0 };
        let findings = findings(report, language)?;
        if findings.len() <= FINDINGS_BYTES_MAX {
            bundle.made("findings.json", "checks", findings);
        } else {
            report
                .gathered
                .gap(words!("findings.json is left out: it is larger than 8 MiB", "未收录 findings.json：超过 8 MiB"));
        }
        bundle.made("timeline.json", "timeline", timeline_json(report, language)?);
        let files = std::mem::take(&mut report.gathered.files);
        for file in files {
            if let Err(why) = bundle.file(file, redactor, deadline) {
                report.gathered.gap(why);
            }
        }
        for (language, name) in [(Language::En, "en"), (Language::Zh, "zh")] {
            let page = super::page(report, language);
            bundle.made(&format!("report.{name}.html"), "report", show::html(&page));
            bundle.made(&format!("report.{name}.md"), "report", show::markdown(&page));
        }
        bundle.drop_what_is_too_much(report);
        Ok(bundle)
    }

    /// Writes it, packed.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write<W: Write>(&self, report: &Report, out: W) -> io::Result<W> {
        let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
        let manifest = serde_json::to_vec_pretty(&manifest(report, &self.items))?;
        let folder = report.file_name();
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(report.at.0);
            tar.append_data(&mut header, format!("{folder}/{name}"), bytes)
        };
        add("manifest.json", &manifest)?;
        // What is read first stands first; files come last.
        let (made, files): (Vec<_>, Vec<_>) = self.entries.iter().partition(|(name, _)| !name.contains('/'));
        made.into_iter().chain(files).try_for_each(|(name, bytes)| add(name, bytes))?;
        tar.into_inner()?.finish()
    }

    fn file(&mut self, file: FileText, redactor: &mut Redactor, deadline: BootTime) -> Result<(), Words> {
        let FileText { collector, source, text, truncated } = file;
        if boot_time() >= deadline {
            return Err(words!("{source} is left out: there was no time for it", "未收录 {source}：时间不足"));
        }
        let before = redactor.taken().clone();
        let text = redactor.text(&text);
        if self.bytes.saturating_add(text.len()) > ENTRIES_BYTES_MAX {
            return Err(words!("{source} is left out: the bundle is full", "未收录 {source}：报告包已满"));
        }
        let taken = redactor.taken().iter().filter_map(|(kind, count)| {
            let new = count.saturating_sub(before.get(kind).copied().unwrap_or(0));
            (new > 0).then(|| ((*kind).to_owned(), new))
        });
        let taken = taken.collect();
        let name = self.name(collector, &source);
        self.push(name, collector.name(), source, text, truncated, taken);
        Ok(())
    }

    /// Leaves out the last files while all is too large: pages of hostile findings can be.
    fn drop_what_is_too_much(&mut self, report: &mut Report) {
        while self.bytes > ENTRIES_BYTES_MAX {
            let Some(at) = self.items.iter().rposition(|item| item.name.contains('/')) else { return };
            let (item, _) = (self.items.remove(at), self.entries.remove(at));
            self.bytes = self.bytes.saturating_sub(item.bytes);
            let source = item.source;
            report.gathered.gap(words!("{source} is left out: the bundle is full", "未收录 {source}：报告包已满"));
        }
    }

    /// Something that was made of what has passed the redactor.
    fn made(&mut self, name: &str, collector: &'static str, text: String) {
        self.push(name.to_owned(), collector, "cloud-doctor-agent".to_owned(), text, false, BTreeMap::new());
    }

    fn push(
        &mut self,
        name: String,
        collector: &'static str,
        source: String,
        text: String,
        truncated: bool,
        redactions: BTreeMap<String, u64>,
    ) {
        let bytes = text.into_bytes();
        self.bytes += bytes.len();
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.items.push(Item {
            name: name.clone(),
            collector,
            source,
            bytes: bytes.len(),
            truncated,
            redactions,
            sha256,
        });
        self.entries.push((name, bytes));
    }

    /// Where a file stands in the bundle: `config/etc/haproxy/haproxy.cfg`, never outside of its folder, never twice.
    fn name(&mut self, collector: Collector, source: &str) -> String {
        let folder = match collector {
            Collector::Configuration => "config",
            Collector::KernelLog | Collector::Log => "raw",
        };
        let parts = source.split('/').map(part_of_name).filter(|part| !part.is_empty());
        let path: String = parts.collect::<Vec<_>>().join("/").chars().take(NAME_CHARS_MAX).collect();
        let path = match collector {
            Collector::KernelLog => "kernel.log".to_owned(),
            Collector::Configuration | Collector::Log => path,
        };
        let whole = format!("{folder}/{path}");
        let mut name = whole.clone();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{whole}.{count}");
        }
        name
    }
}

/// Also what is fine, while that is no flood.
fn findings(report: &Report, language: Language) -> serde_json::Result<String> {
    let results = Results {
        host: &report.host,
        at: report.at,
        findings: &report.findings,
        absent: &report.absent,
        open: &report.open,
    };
    let style = |all| Style { language, all, colour: false, width: 100 };
    let whole = show::json(&results, style(true))?;
    if whole.len() <= FINDINGS_BYTES_MAX { Ok(whole) } else { show::json(&results, style(false)) }
}

/// A part of a path, of letters that no system minds.
pub(super) fn part_of_name(part: &str) -> String {
    let one = |one: char| if one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_') { one } else { '_' };
    let name: String = part.chars().take(100).map(one).collect();
    name.trim_matches('.').to_owned()
}
