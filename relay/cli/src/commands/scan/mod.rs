//! `scan`: what is wrong with many servers, asked through the relay in waves, believed from nobody but the servers.
//!
//! Never: a server that is healthy because the relay says so, or that is missing because the relay leaves it out of an
//! unlabelled scan.

mod csv;
mod gather;
mod human;
mod json;
mod junit;
mod outcome;
mod plans;
mod progress;

use super::{App, SignedIn};
use crate::args::{Format, Scan, ScanCommand, ScanShow, ScanShown, ScanWhich};
use crate::fail::{Fail, TRUST};
use crate::output::{self, ago};
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{ScanLine, ScanWish};
use cloud_doctor_proto::ids::{ScanId, ScanSeed};
use cloud_doctor_proto::refusal::Language;
use gather::Fleet;
use progress::End;
use std::path::Path;

/// Shortest beginning of an id that counts as one.
const PREFIX_MIN: usize = 4;
/// Servers that a sentence names.
const NAMED_MAX: usize = 20;

/// Runs the command; the exit status is what the results make of it.
pub(super) async fn run(app: &App, asked: Scan) -> Result<u8, Fail> {
    match asked.command {
        None => begin(app, &asked.which, asked.no_wait, &asked.shown).await,
        Some(ScanCommand::Show(show)) => again(app, &show).await,
        Some(ScanCommand::List(listing)) => list(app, listing.json).await.map(|()| 0),
        Some(ScanCommand::Cancel { id }) => cancel(app, &id).await.map(|()| 0),
        Some(ScanCommand::Plan(plan)) => plans::run(app, plan).await.map(|()| 0),
    }
}

fn wish(which: &ScanWhich) -> ScanWish {
    ScanWish { labels: which.label.clone(), checks: which.check.clone(), at_once: which.at_once, seed: None }
}

async fn begin(app: &App, which: &ScanWhich, no_wait: bool, shown: &ScanShown) -> Result<u8, Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    // Listened to before anything begins: whoever leaves early is told how to come back.
    let signals = super::signals::Signals::new().map_err(|error| Fail::system("signals", &error))?;
    let seed = ScanSeed(clock::random());
    let wanted = ScanWish { seed: Some(seed.to_string()), ..wish(which) };
    let line = signed_in.relay.start_scan(&wanted).await?;
    let id = seed.scan();
    if line.scan != id.to_string() {
        return Err(Fail::Say(Id::ScanOther.with(&[&line.scan]), TRUST));
    }
    app.say(Id::ScanBegan.with(&[&id.short(), &line.servers]));
    if no_wait {
        app.say(Id::ScanLater.with(&[&id.short()]));
        output::data(&id.to_string());
        return Ok(0);
    }
    if progress::watch(app, &signed_in, &id, signals).await? == End::Left {
        app.say(Id::ScanLater.with(&[&id.short()]));
        return Ok(crate::fail::UNTOLD);
    }
    let mut fleet = gather::gather(&signed_in, trust.log(), &seed, &which.check).await?;
    if which.label.is_empty() {
        fleet.left_out = gather::left_out(trust.log(), &fleet);
    }
    print(app, &fleet, shown)
}

async fn again(app: &App, show: &ScanShow) -> Result<u8, Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let (id, line) = find(&signed_in, &show.id).await?;
    // The seed makes the id: another one could pass off older reports.
    let seed = line.seed.parse::<ScanSeed>().ok().filter(|seed| seed.scan() == id);
    let seed = seed.ok_or_else(|| Fail::Say(Id::ScanOther.with(&[&id.short()]), TRUST))?;
    if line.ended_at.is_none() && !show.no_wait {
        let signals = super::signals::Signals::new().map_err(|error| Fail::system("signals", &error))?;
        if progress::watch(app, &signed_in, &id, signals).await? == End::Left {
            app.say(Id::ScanLater.with(&[&id.short()]));
            return Ok(crate::fail::UNTOLD);
        }
    }
    let fleet = gather::gather(&signed_in, trust.log(), &seed, &line.checks).await?;
    print(app, &fleet, &show.shown)
}

/// The scan that an id or the beginning of one means.
async fn find(signed_in: &SignedIn, text: &str) -> Result<(ScanId, ScanLine), Fail> {
    if let Ok(id) = text.parse::<ScanId>() {
        return Ok((id, signed_in.relay.scan(&id.to_string()).await?.line));
    }
    let none = || Fail::from(Id::NoScan.with(&[&text]));
    let scans = signed_in.relay.scans().await?;
    let meant = |line: &&ScanLine| text.len() >= PREFIX_MIN && line.scan.starts_with(&text.to_lowercase());
    let found: Vec<&ScanLine> = scans.iter().filter(meant).collect();
    match found.as_slice() {
        [one] => Ok((one.scan.parse().map_err(|_| none())?, (*one).clone())),
        [] => Err(none()),
        [_, ..] => Err(Id::ManyScans.with(&[&text]).into()),
    }
}

fn print(app: &App, fleet: &Fleet, shown: &ScanShown) -> Result<u8, Fail> {
    let language = app.language;
    let text = match shown.format() {
        Format::Human => None,
        Format::Json => Some(json::document(fleet, language, shown.all)?),
        Format::Csv => Some(csv::document(fleet, language, shown.all)),
        Format::Junit => Some(junit::document(fleet, language, shown.fail_on)),
    };
    match (text, &shown.output) {
        (Some(text), None) => output::document(&text),
        (None, None) => output::data(human::text(fleet, language, shown.all).trim_end()),
        (text, Some(path)) => {
            write(path, &text.unwrap_or_else(|| human::text(fleet, language, shown.all)))?;
            app.say(Id::ScanWrote.with(&[&path.display()]));
        }
    }
    remarks(app, fleet);
    Ok(outcome::exit(fleet, shown.fail_on, shown.fail_on_absent))
}

fn write(path: &Path, text: &str) -> Result<(), Fail> {
    let failed = |error: std::io::Error| Fail::system(&path.display().to_string(), &error);
    std::fs::write(path, text).map_err(failed)
}

/// What the numbers are, what is missing, and whose word something is.
fn remarks(app: &App, fleet: &Fleet) {
    let count = outcome::count(fleet);
    let all = fleet.servers.len() + fleet.left_out.len();
    app.say(Id::ScanSum.with(&[&all, &count.critical, &count.warning, &count.unknown, &count.ok]));
    let line = &fleet.glance.line;
    if line.ended_at.is_none() {
        app.say(Id::ScanRuns.with(&[&line.servers.saturating_sub(line.done())]));
    }
    if line.cancelled {
        app.say(Id::ScanWasEnded);
    }
    if let Some(before) = &fleet.glance.before {
        let changed = |what: &str| -> u64 {
            fleet.glance.found.iter().filter(|one| one.change == what).map(|one| one.findings).sum()
        };
        let [new, worse, better, gone] = ["new", "worse", "better", "gone"].map(changed);
        app.say(Id::ScanSince.with(&[&before.get(..12).unwrap_or(before), &new, &worse, &better, &gone]));
    }
    if count.waived > 0 {
        app.say(Id::ScanWaived.with(&[&count.waived]));
    }
    if !fleet.left_out.is_empty() {
        app.say(Id::ScanLeftOut.with(&[&named(&fleet.left_out)]));
    }
}

fn named(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut shown: Vec<String> = names.iter().take(NAMED_MAX).cloned().collect();
    if more > 0 {
        shown.push(format!("+{more}"));
    }
    shown.join(", ")
}

async fn list(app: &App, as_json: bool) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let scans = signed_in.relay.scans().await?;
    if as_json {
        output::json("scans", &scans);
        return Ok(());
    }
    if scans.is_empty() {
        app.say(Id::NoScans);
        return Ok(());
    }
    let heads =
        [Id::HeadScan, Id::HeadBegan, Id::HeadState, Id::HeadServers, Id::HeadFound, Id::HeadLabels, Id::HeadBy];
    let mut rows: Vec<Vec<String>> = vec![heads.iter().map(|id| app.words(*id)).collect()];
    let now = clock::wall().0;
    for scan in scans {
        let state = match (scan.ended_at, scan.cancelled) {
            (None, _) => format!("{}/{}", scan.done(), scan.servers),
            (Some(_), true) => app.words(Id::ScanStateCancelled),
            (Some(_), false) => app.words(Id::ScanStateDone),
        };
        let worst = |what: &str| scan.worst.get(what).copied().unwrap_or(0);
        let found = ["critical", "warning", "unknown", "ok"].map(|what| worst(what).to_string()).join("/");
        let by = if scan.plan.is_empty() { scan.by.clone() } else { scan.plan.clone() };
        let (id, began) =
            (scan.scan.get(..12).unwrap_or(&scan.scan).to_owned(), ago(now.saturating_sub(scan.started_at)));
        rows.push(vec![id, began, state, scan.servers.to_string(), found, scan.labels.join(" "), by]);
    }
    output::table(&rows);
    Ok(())
}

async fn cancel(app: &App, id: &str) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let (id, _) = find(&signed_in, id).await?;
    signed_in.relay.cancel_scan(&id.to_string()).await?;
    app.say(Id::ScanCancelled.with(&[&id.short()]));
    Ok(())
}

/// A status of a finding as people read it.
fn status_word(status: cloud_doctor_proto::finding::Status, language: Language) -> &'static str {
    use cloud_doctor_proto::finding::Status;
    match (status, language) {
        (Status::Critical, Language::En) => "critical",
        (Status::Critical, Language::Zh) => "严重",
        (Status::Warning, Language::En) => "warning",
        (Status::Warning, Language::Zh) => "警告",
        (Status::Unknown, Language::En) => "unknown",
        (Status::Unknown, Language::Zh) => "未知",
        (Status::Ok, Language::En) => "ok",
        (Status::Ok, Language::Zh) => "正常",
    }
}
