//! A run for guard: an order on standard input, what was found on standard output, ready to leave the host.
//!
//! Packs are read here, and plugins started, so that guard does neither. It must never pass on a secret: what leaves goes
//! through the redactor, whoever asked. Nor may it run an own check that the order does not allow.

use super::{ended, run};
use crate::own::{self, Allowed};
use cloud_doctor_checks::host::{boot_time, unix_time};
use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::{Check, Group, Host, Record, Wanted, all, apart, by_id, pack};
use cloud_doctor_proto::checks::Report;
use cloud_doctor_proto::plugin::Plugin;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What guard wants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wants {
    /// Ids of checks that come with the agent.
    pub(crate) checks: Vec<String>,
    /// Their numbers that the ceiling sets, as `CHECK.PARAMETER=NUMBER`.
    pub(crate) set: Vec<String>,
    /// Where the host's owner keeps packs.
    pub(crate) etc: PathBuf,
    /// Which of the host's own checks may run.
    pub(crate) own: Allowed,
    /// The plugins among them, as the ceiling declares them.
    pub(crate) plugins: Vec<Plugin>,
    /// What secrets' tokens are made under, so that they are the same from run to run.
    pub(crate) redaction: [u8; 32],
    /// Where the host keeps its metrics' history.
    pub(crate) history: PathBuf,
    /// What the runs before found.
    pub(crate) record: String,
}

/// What guard gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Guard's report, but for nonce, key and what was asked for.
    pub(crate) report: Report,
    /// What the next run has to know.
    pub(crate) record: String,
    /// Why the record began anew, when it did.
    pub(crate) anew: Option<String>,
}

/// Ids, a record and a ceiling's plugins are below it together.
const ORDER_BYTES_MAX: u64 = 2 << 20;

/// Runs the role.
pub(crate) fn role() -> ExitCode {
    ended(answer())
}

fn answer() -> io::Result<()> {
    let mut order = Vec::new();
    io::stdin().take(ORDER_BYTES_MAX).read_to_end(&mut order)?;
    let wants: Wants = serde_json::from_slice(&order)?;
    let answer = look(wants)?;
    serde_json::to_writer(io::stdout().lock(), &answer)?;
    Ok(())
}

fn look(wants: Wants) -> io::Result<Answer> {
    let (mut record, anew) = match Record::read(&wants.record) {
        Ok(record) => (record, None),
        Err(damaged) => (Record::default(), Some(damaged.words().en)),
    };
    let (since, at) = (boot_time(), unix_time());
    let mut wanted = Wanted::default();
    record.tell(&mut wanted, at);
    for setting in &wants.set {
        // `ceiling check` says which ones no check has.
        wanted.set(setting).ok();
    }
    wanted.history_from = Some(wants.history);
    let here = own::load(&wants.etc, wants.plugins);
    pack::install(&here.sources);
    let own: Vec<_> = own_checks().filter(|check| wants.own.runs(check.id)).collect();
    let refused = wants.own.missing(&own.iter().map(|check| check.id).collect::<Vec<_>>());
    let ours = wants.checks.iter().filter_map(|id| by_id(id)).filter(|check| check.group() != Group::Own);
    let checks: Vec<_> = ours.chain(own).collect();
    let mut done = run(None, &checks, &wanted, &here);
    record.learn(&mut done.ran, at);
    let mut redactor = Redactor::new(wants.redaction);
    let (mut findings, absent) = apart(done.ran);
    findings.iter_mut().for_each(|finding| redactor.finding(finding));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.status), !finding.note));
    let report = Report {
        refused,
        millis: since.millis_until(boot_time()),
        findings,
        absent,
        sandbox_open: done.open,
        ..Report::empty(Host::live()?.name(), env!("CARGO_PKG_VERSION").to_owned(), at)
    };
    Ok(Answer { report, record: record.text(), anew })
}

fn own_checks() -> impl Iterator<Item = &'static Check> {
    all().filter(|check| check.group() == Group::Own)
}
