//! `check`: what is wrong with a server, asked through the relay, shown as the server's own `check` shows it.
//!
//! Never: a finding that was not signed by the identity which this computer's trust log names for that server, an answer
//! to another request, or a finding that is missing because a relay says that somebody answers for it. Who does is said
//! beside the report, as the relay's word.

use super::App;
use super::servers::find;
use super::waiver;
use crate::args::Check;
use crate::fail::{Fail, TRUST};
use crate::output::{self, ago};
use crate::terminal;
use cloud_doctor::clock;
use cloud_doctor::messages::{Id, Say, Sentence as _};
use cloud_doctor::relay_api::SignedRun;
use cloud_doctor::visit::Target;
use cloud_doctor_checks::show::{self, Results, Style};
use cloud_doctor_proto::checks::{CheckReport, Report, ReportError};
use cloud_doctor_proto::ids::Nonce;
use cloud_doctor_proto::refusal::Language;
use serde_bytes::ByteBuf;
use std::io::IsTerminal as _;

/// Columns of a line when nobody says how many there are.
const WIDTH_DEFAULT: usize = 100;
/// Longer lines are hard to read.
const WIDTH_MAX: usize = 120;
/// Checks that a sentence names.
const NAMED_MAX: usize = 20;

/// Runs the command; the exit status is the worst finding's.
pub(super) async fn run(app: &App, asked: Check) -> Result<u8, Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), &asked.server)?;
    let (report, waivers) = if asked.last {
        let known = signed_in.relay.known_checks(&target.agent).await?;
        let newest = known.latest.ok_or_else(|| Fail::from(Id::CheckNone.with(&[&target.name])))?;
        let report = verified(&target, &newest, None)?;
        let age = ago(clock::wall().0.saturating_sub(report.at.0));
        app.say(Id::CheckLast.with(&[&target.name, &age]));
        (report, Ok(known.waivers))
    } else {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| Fail::system("getrandom", &error))?;
        let nonce = Nonce(nonce);
        let run = signed_in.relay.ask_checks(&target.agent, &asked.which, &nonce).await?;
        let report = verified(&target, &run, Some(&nonce))?;
        (report, signed_in.relay.known_checks(&target.agent).await.map(|known| known.waivers))
    };
    let status = print(app, &asked, &target, &report)?;
    match waivers {
        Ok(waivers) => {
            let remarks = waiver::remarks(&target, &report, &waivers, clock::wall());
            remarks.into_iter().for_each(|say| app.say(say));
        }
        // What the server found was shown all the same.
        Err(error) => app.say(Id::CheckNoWaivers.with(&[]).and(|language| error.text(language))),
    }
    Ok(status)
}

/// What the server signed, and nothing that the relay says besides.
pub(super) fn verified(target: &Target, run: &SignedRun, nonce: Option<&Nonce>) -> Result<Report, Fail> {
    let bad = |error: &ReportError| {
        let why = Id::CheckUnverified.with(&[&target.name]).and(|language| why(error, language).to_owned());
        Fail::Say(why, TRUST)
    };
    let signature = run.signature.0.as_slice().try_into().map_err(|_| bad(&ReportError::Signature))?;
    let signed = CheckReport { report: ByteBuf::from(run.report.0.clone()), signature };
    let report = match nonce {
        Some(nonce) => signed.answers(&target.agent, nonce),
        None => signed.verify(&target.agent),
    };
    report.map_err(|error| bad(&error))
}

fn why(error: &ReportError, language: Language) -> &'static str {
    match (error, language) {
        (ReportError::Malformed(_), Language::En) => "it is damaged or not in its one form",
        (ReportError::Malformed(_), Language::Zh) => "内容已损坏或格式不符",
        (ReportError::Signature, Language::En) => "its signature is not by that server over these bytes",
        (ReportError::Signature, Language::Zh) => "签名不是该服务器对此内容所作",
        (ReportError::Stranger, Language::En) => "another key signed it than the trust log names",
        (ReportError::Stranger, Language::Zh) => "签名密钥与信任日志中的不符",
        (ReportError::Nonce, Language::En) => "it answers another request; an old one may have been sent again",
        (ReportError::Nonce, Language::Zh) => "它回答的是另一个请求，可能是旧报告的重放",
    }
}

fn print(app: &App, asked: &Check, target: &Target, report: &Report) -> Result<u8, Fail> {
    let columns = terminal::size(std::io::stdout()).map(|(columns, _)| usize::from(columns));
    let style = Style {
        language: app.language,
        all: asked.all,
        colour: std::io::stdout().is_terminal() && crate::words::colours_wanted(),
        width: columns.filter(|columns| *columns > 40).unwrap_or(WIDTH_DEFAULT).min(WIDTH_MAX),
    };
    let results = Results {
        host: &target.name,
        at: report.at,
        findings: &report.findings,
        absent: &report.absent,
        open: &report.sandbox_open,
    };
    if asked.json {
        let text = show::json(&results, style).map_err(|error| Fail::system("json", &error))?;
        output::json_line(&text);
    } else {
        output::shown(&show::human(&results, style));
    }
    remarks(target, report).into_iter().for_each(|say| app.say(say));
    Ok(results.status().exit_code())
}

/// What is missing from the findings.
fn remarks(target: &Target, report: &Report) -> Vec<Say> {
    let mut says = Vec::new();
    if !report.asked.is_empty() {
        says.push(Id::CheckAskedSome.with(&[&report.asked.join(", ")]));
    }
    if !report.refused.is_empty() {
        let mut names: Vec<&str> = report.refused.iter().map(String::as_str).take(NAMED_MAX).collect();
        if report.refused.len() > NAMED_MAX {
            names.push("…");
        }
        says.push(Id::CheckRefusedSome.with(&[&target.name, &names.join(", ")]));
    }
    if report.left_out > 0 {
        says.push(Id::CheckLeftOut.with(&[&report.left_out]));
    }
    says
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor::relay_api::TextBytes;
    use cloud_doctor_proto::ids::{AgentId, VerifyKey};
    use cloud_doctor_proto::time::UnixTime;
    use ed25519_dalek::SigningKey;

    fn key(seed: u8) -> (SigningKey, VerifyKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = VerifyKey(key.verifying_key().to_bytes());
        (key, public)
    }

    fn run(by: u8, nonce: Nonce) -> SignedRun {
        let empty = Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000));
        let report = Report { nonce, ..empty };
        let signed = CheckReport::sign(&key(by).0, report);
        SignedRun { report: TextBytes(signed.report.into_vec()), signature: TextBytes(signed.signature.to_vec()) }
    }

    #[test]
    fn chk_10_a_relay_passes_off_no_other_report() {
        let identity = key(1).1;
        let target = Target { agent: AgentId::of(&identity), identity, name: "web-1".into() };
        let nonce = Nonce([7; 16]);
        let check = |run: &SignedRun, expected: &str| match verified(&target, run, Some(&nonce)) {
            Ok(report) => assert_eq!(report.host, expected),
            Err(fail) => assert!(fail.text(Language::En).contains(expected), "{}", fail.text(Language::En)),
        };
        check(&run(1, nonce), "web-1");
        check(&run(1, Nonce([8; 16])), "answers another request");
        check(&run(2, nonce), "another key signed it");
        check(&SignedRun { signature: run(1, Nonce([8; 16])).signature, ..run(1, nonce) }, "its signature is not");
        check(&SignedRun { signature: TextBytes(vec![1]), ..run(1, nonce) }, "its signature is not");
        check(&SignedRun { report: TextBytes(vec![1]), ..run(1, nonce) }, "it is damaged");
        assert!(verified(&target, &run(1, Nonce([8; 16])), None).is_ok(), "the newest run answers some request");
    }
}
