//! `waiver`: who answers for which finding of a server, until when.
//!
//! A waiver is the relay's word: it changes no report, hides no finding and no exit status here. Which finding is meant is
//! looked up in the newest report, as the server signed it, so that none is waived that is only misspelt. Never: a waiver
//! of something that this computer has not verified was found.

use super::App;
use super::check::verified;
use super::servers::find;
use crate::args::{Listing, Waive, Waiver as Asked};
use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::{Id, Say};
use cloud_doctor::relay_api::{Waiver, WaiverWish};
use cloud_doctor::visit::Target;
use cloud_doctor::{clock, moments, zone};
use cloud_doctor_proto::checks::Report;
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;

/// Subjects that an error names.
const NAMED_MAX: usize = 12;
/// Digits of an id that lists show.
const ID_CHARS: usize = 12;

pub(super) async fn run(app: &App, asked: Asked) -> Result<(), Fail> {
    match asked {
        Asked::Add(asked) => add(app, asked).await,
        Asked::List { server, listing } => list(app, &server, &listing).await,
        Asked::Remove { server, waiver } => remove(app, &server, &waiver).await,
    }
}

async fn add(app: &App, asked: Waive) -> Result<(), Fail> {
    let until = moments::read(&asked.until, clock::wall(), &zone::offset_secs);
    let until = until.map_err(|_| Fail::from(Id::MomentForm.with(&[&asked.until])))?;
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), &asked.server)?;
    let newest = signed_in.relay.known_checks(&target.agent).await?.latest;
    let newest = newest.ok_or_else(|| Fail::from(Id::CheckNone.with(&[&target.name])))?;
    let report = verified(&target, &newest, None)?;
    let found = pick(&report, &asked.check, asked.subject.as_deref());
    let found = found.map_err(|missing| missing.sentence(&target, &asked.check))?;
    let wish = WaiverWish { check: &found.check, subject: &found.subject, reason: &asked.reason, until: until.0 };
    let made = signed_in.relay.waive(&target.agent, &wish).await?;
    if asked.json {
        output::json("waiver", &made);
        return Ok(());
    }
    let (what, id) = (what(&made), brief(&made.waiver));
    app.say(Id::WaiverAdded.with(&[&made.owner, &what, &target.name, &local(made.until), &id]));
    Ok(())
}

/// Why no finding can be waived.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    /// The report has none of that check.
    Check,
    /// None about that; these are there.
    Subject(String, Vec<String>),
    /// Several may be meant.
    Which(Vec<String>),
}

impl Missing {
    fn sentence(self, target: &Target, check: &str) -> Say {
        match self {
            Missing::Check => Id::WaiverNoCheck.with(&[&target.name, &check]),
            Missing::Subject(subject, there) => {
                Id::WaiverNoSubject.with(&[&target.name, &check, &subject, &quoted(there)])
            }
            Missing::Which(there) => Id::WaiverWhich.with(&[&target.name, &check, &quoted(there)]),
        }
    }
}

fn quoted(mut subjects: Vec<String>) -> String {
    let more = subjects.len().saturating_sub(NAMED_MAX);
    subjects.truncate(NAMED_MAX);
    let mut named: Vec<String> = subjects.into_iter().map(|subject| format!("\"{subject}\"")).collect();
    if more > 0 {
        named.push(format!("+{more}"));
    }
    named.join(", ")
}

/// The finding that is meant: by its subject as it is or as it is shown, else the only one, else the only bad one.
fn pick<'a>(report: &'a Report, check: &str, subject: Option<&str>) -> Result<&'a Finding, Missing> {
    let all: Vec<&Finding> = report.findings.iter().filter(|finding| finding.check == check).collect();
    let shown = |finding: &Finding| one_line(&finding.subject, usize::MAX);
    let named = |some: &[&Finding]| some.iter().copied().map(shown).collect();
    if all.is_empty() {
        return Err(Missing::Check);
    }
    if let Some(subject) = subject {
        let meant = |finding: &&&Finding| finding.subject == subject || shown(finding) == subject;
        let none = || Missing::Subject(subject.to_owned(), named(&all));
        return all.iter().find(meant).copied().ok_or_else(none);
    }
    let bad: Vec<&Finding> = all.iter().copied().filter(|finding| finding.status != Status::Ok).collect();
    match (all.as_slice(), bad.as_slice()) {
        ([one], _) | (_, [one]) => Ok(one),
        (_, []) => Err(Missing::Which(named(&all))),
        (_, many) => Err(Missing::Which(named(many))),
    }
}

async fn list(app: &App, server: &str, listing: &Listing) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), server)?;
    let waivers = signed_in.relay.known_checks(&target.agent).await?.waivers;
    if listing.json {
        output::json("waivers", &waivers);
        return Ok(());
    }
    if waivers.is_empty() {
        app.say(Id::NoWaivers.with(&[&target.name]));
        return Ok(());
    }
    let head =
        [Id::HeadCheck, Id::HeadSubject, Id::HeadOwner, Id::HeadUntil, Id::HeadState, Id::HeadId, Id::HeadReason];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    let now = clock::wall();
    rows.extend(waivers.into_iter().map(|waiver| {
        let state = if waiver.counts(now) { Id::TokenCounts } else { Id::TokenExpired };
        let (until, id) = (local(waiver.until), brief(&waiver.waiver));
        vec![waiver.check, waiver.subject, waiver.owner, until, app.words(state), id, waiver.reason]
    }));
    output::table(&rows);
    Ok(())
}

async fn remove(app: &App, server: &str, id: &str) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), server)?;
    let waivers = signed_in.relay.known_checks(&target.agent).await?.waivers;
    let mut found = waivers.into_iter().filter(|waiver| !id.is_empty() && waiver.waiver.starts_with(id));
    let waiver = match (found.next(), found.next()) {
        (Some(waiver), None) => waiver,
        (Some(_), Some(_)) => return Err(Id::ManyWaivers.with(&[&id]).into()),
        (None, _) => return Err(Id::NoWaiver.with(&[&target.name, &id]).into()),
    };
    signed_in.relay.unwaive(&target.agent, &waiver.waiver).await?;
    app.say(Id::WaiverRemoved.with(&[&what(&waiver), &target.name]));
    Ok(())
}

/// What `check` says of waivers that meet a finding which is not well; `now` by the clock of this computer.
pub(super) fn remarks(target: &Target, report: &Report, waivers: &[Waiver], now: UnixTime) -> Vec<Say> {
    let bad = |waiver: &&Waiver| {
        let is_it = |finding: &Finding| finding.check == waiver.check && finding.subject == waiver.subject;
        report.findings.iter().any(|finding| finding.status != Status::Ok && is_it(finding))
    };
    let standing: Vec<&Waiver> = waivers.iter().filter(|waiver| waiver.counts(now)).filter(bad).collect();
    let say =
        |waiver: &&Waiver| Id::CheckWaived.with(&[&what(waiver), &waiver.owner, &local(waiver.until), &waiver.reason]);
    let mut says: Vec<Say> = standing.iter().take(NAMED_MAX).map(say).collect();
    if let more @ 1.. = standing.len().saturating_sub(NAMED_MAX) {
        says.push(Id::CheckWaivedMore.with(&[&target.name, &more]));
    }
    says
}

/// `disk.space /var`
fn what(waiver: &Waiver) -> String {
    if waiver.subject.is_empty() { waiver.check.clone() } else { format!("{} {}", waiver.check, waiver.subject) }
}

/// By the clock of this computer.
fn local(at: u64) -> String {
    moments::shown(UnixTime(at), &zone::offset_secs)
}

fn brief(id: &str) -> String {
    id.chars().take(ID_CHARS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::finding::Words;
    use cloud_doctor_proto::ids::{AgentId, VerifyKey};
    use cloud_doctor_proto::refusal::Language;

    fn report(findings: &[(&str, &str, Status)]) -> Report {
        let finding = |(check, subject, status): &(&str, &str, Status)| Finding {
            check: (*check).into(),
            subject: (*subject).into(),
            status: *status,
            note: false,
            since: None,
            value: None,
            unit: String::new(),
            evidence: Vec::new(),
            summary: Words::same("x"),
            impact: Words::same("x"),
            remedy: Words::same("x"),
            details: std::collections::BTreeMap::new(),
        };
        let findings = findings.iter().map(finding).collect();
        Report { findings, ..Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000)) }
    }

    #[test]
    fn a_finding_is_meant_by_its_subject_or_by_being_the_only_bad_one() {
        let report = report(&[
            ("disk.space", "/", Status::Ok),
            ("disk.space", "/var", Status::Critical),
            ("cpu.usage", "", Status::Ok),
            ("tls.expiry", "a", Status::Warning),
            ("tls.expiry", "b\u{202e}", Status::Unknown),
            ("net.mtu", "eth0", Status::Ok),
            ("net.mtu", "eth1", Status::Ok),
        ]);
        let meant = |check, subject| pick(&report, check, subject).map(|finding| finding.subject.as_str());
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (check, subject, expected) in [
            ("disk.space", Some("/"), Ok("/")),
            ("disk.space", None, Ok("/var")),
            ("cpu.usage", None, Ok("")),
            ("cpu.usage", Some(""), Ok("")),
            // As it is, and as a screen shows it.
            ("tls.expiry", Some("b\u{202e}"), Ok("b\u{202e}")),
            ("tls.expiry", Some("b\\u{202e}"), Ok("b\u{202e}")),
            ("disk.spac", None, Err(Missing::Check)),
            ("disk.space", Some("/srv"), Err(Missing::Subject("/srv".into(), owned(&["/", "/var"])))),
            ("tls.expiry", None, Err(Missing::Which(owned(&["a", "b\\u{202e}"])))),
            ("net.mtu", None, Err(Missing::Which(owned(&["eth0", "eth1"])))),
        ] {
            assert_eq!(meant(check, subject), expected, "{check} {subject:?}");
        }
    }

    #[test]
    fn a_waiver_is_told_where_it_counts_and_meets_something_bad() {
        let waiver = |check: &str, subject: &str, until| Waiver {
            waiver: "ab".repeat(16),
            check: check.into(),
            subject: subject.into(),
            reason: "a cache\u{1b}[2J".into(),
            owner: "ann".into(),
            created_at: 5,
            until,
        };
        let identity = VerifyKey([1; 32]);
        let target = Target { agent: AgentId::of(&identity), identity, name: "web-1".into() };
        let said = |report: &Report, waivers: &[Waiver]| -> Vec<String> {
            let says = remarks(&target, report, waivers, UnixTime(100));
            says.iter().map(|say| say.text(Language::En)).collect()
        };
        let found = report(&[("disk.space", "/", Status::Critical), ("disk.space", "/a", Status::Ok)]);
        let told = said(&found, &[waiver("disk.space", "/", 100)]);
        assert!(told.len() == 1 && told[0].contains("disk.space / is waived by ann until "), "{told:?}");
        assert!(told[0].contains("a cache\\u{1b}[2J"), "{told:?}");
        for other in [waiver("disk.space", "/", 99), waiver("disk.space", "/a", 100), waiver("disk.space", "", 100)] {
            assert_eq!(said(&found, &[other]), Vec::<String>::new());
        }
        let names: Vec<String> = (0..15).map(|number| number.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| ("disk.space", name.as_str(), Status::Warning)).collect();
        let waivers: Vec<Waiver> = names.iter().map(|name| waiver("disk.space", name, 100)).collect();
        let told = said(&report(&many), &waivers);
        assert_eq!(told.len(), NAMED_MAX + 1);
        assert!(told[NAMED_MAX].contains("3 more") && told[NAMED_MAX].contains("waiver list web-1"), "{told:?}");
    }
}
