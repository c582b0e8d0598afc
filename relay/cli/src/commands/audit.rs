//! `verify-audit`: a server's audit log checked offline, with nothing but its identity.

use super::App;
use super::servers::find;
use crate::args::VerifyAudit;
use crate::fail::{Fail, TRUST};
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor_proto::audit::{LINE_BYTES_MAX, Payload, Verifier};
use cloud_doctor_proto::ids::VerifyKey;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// What was found.
#[derive(Debug, Default)]
struct Report {
    lines: u64,
    events: Vec<Payload>,
}

pub(super) fn run(app: &App, asked: &VerifyAudit) -> Result<u8, Fail> {
    let identity = identity(app, asked)?;
    let mut verifier = Verifier::new(identity);
    let mut report = Report::default();
    for file in &asked.files {
        verify(file, asked, &mut verifier, &mut report)?;
    }
    let (first, head) = (verifier.first(), verifier.head());
    if asked.json {
        let audit = json!({
            "valid": true,
            "lines": report.lines,
            "first": first,
            "next": head.next,
            "head": head.hash.to_string(),
            "events": asked.show.then_some(&report.events),
        });
        output::json("audit", &audit);
        return Ok(0);
    }
    app.say(Id::AuditGood.with(&[&report.lines, &head.hash]));
    if first.is_some_and(|first| first > 0) {
        app.say(Id::AuditBegins.with(&[&first.unwrap_or_default()]));
    }
    Ok(0)
}

fn identity(app: &App, asked: &VerifyAudit) -> Result<VerifyKey, Fail> {
    if let Some(text) = &asked.identity {
        return text.parse().map_err(|error| Id::IdentityForm.with(&[&error]).into());
    }
    let config = app.home.config()?;
    let (_, entry) = config.relay(app.relay.as_deref())?;
    let trust = app.trust(entry)?;
    Ok(find(trust.log(), asked.server.as_deref().unwrap_or_default())?.identity)
}

fn verify(path: &Path, asked: &VerifyAudit, verifier: &mut Verifier, report: &mut Report) -> Result<(), Fail> {
    let failed = |error: std::io::Error| Fail::system(&path.display().to_string(), &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let payload = verifier.line(text.trim_end_matches('\n'));
        let bad = |fault| Fail::Say(Id::AuditBad.with(&[&path.display(), &number, &fault]), TRUST);
        let payload = payload.map_err(bad)?;
        report.lines += 1;
        if asked.show && asked.json {
            report.events.push(payload);
        } else if asked.show {
            output::data(&plain(&payload));
        }
    }
    Ok(())
}

/// An event on one line. Its texts were made safe when they were written; they are so again when they are shown.
fn plain(payload: &Payload) -> String {
    let fields: Vec<String> = payload.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let line = format!("{} {} {} {}", payload.seq, payload.at, payload.event, fields.join(" "));
    cloud_doctor_proto::refusal::one_line(&line, 4000)
}
