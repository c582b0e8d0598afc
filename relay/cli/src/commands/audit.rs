//! `verify-audit`: a server's audit log checked offline, with nothing but its identity. `audit`: fetched from the server
//! under a grant and checked as it comes.
//!
//! Never: a line that is shown before it was verified.

use super::App;
use super::servers::find;
use super::watch::{Opened, open};
use crate::args::{Audit, VerifyAudit};
use crate::fail::{Fail, TRUST};
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor::visit::Target;
use cloud_doctor_proto::audit::{Fault, LINE_BYTES_MAX, Payload, Verifier};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::look::{Answer, Question};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
    tell(app, &verifier, &report, asked.json, asked.show);
    Ok(0)
}

fn tell(app: &App, verifier: &Verifier, report: &Report, json: bool, show: bool) {
    let (first, head) = (verifier.first(), verifier.head());
    if json {
        let audit = json!({
            "valid": true,
            "lines": report.lines,
            "first": first,
            "next": head.next,
            "head": head.hash.to_string(),
            "events": show.then_some(&report.events),
        });
        return output::json("audit", &audit);
    }
    app.say(Id::AuditGood.with(&[&report.lines, &head.hash]));
    if first.is_some_and(|first| first > 0) {
        app.say(Id::AuditBegins.with(&[&first.unwrap_or_default()]));
    }
}

/// `audit`.
pub(super) async fn fetch(app: &App, asked: Audit) -> Result<u8, Fail> {
    // No file begins with that line: the answer names those that there are.
    let question = Question::Audit { file: u64::MAX, offset: 0 };
    let opened = open(app, &asked.server, &asked.visit, |_| vec![Scope::Audit {}], question).await?;
    let Opened { mut look, target, answer } = opened;
    let saved = asked.out.as_deref().map(create).transpose()?;
    let (verifier, report) = (Verifier::new(target.identity), Report::default());
    let mut fetched = Fetched { target: &target, verifier, report, rest: Vec::new(), json: asked.json, saved };
    let mut files = match answer {
        Answer::Audit(page) => page.files,
        Answer::Shells { .. } => Vec::new(),
    };
    while let Some(file) = files.first().map(|file| file.first) {
        let mut offset = 0;
        loop {
            let page = look.audit(file, offset).await?;
            files = page.files;
            if page.data.is_empty() {
                break;
            }
            offset += page.data.len() as u64;
            fetched.take(&page.data)?;
        }
        files.retain(|later| later.first > file);
    }
    tell(app, &fetched.verifier, &fetched.report, asked.json, true);
    if let Some((_, path)) = &fetched.saved {
        app.say(Id::AuditSaved.with(&[path, &target.name]));
    }
    Ok(0)
}

/// A new file, and its name for people.
fn create(path: &Path) -> Result<(File, String), Fail> {
    let name = path.display().to_string();
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    made.map(|file| (file, name.clone())).map_err(|error| Fail::system(&name, &error))
}

/// Lines of a log that comes in pieces.
struct Fetched<'a> {
    target: &'a Target,
    verifier: Verifier,
    report: Report,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    json: bool,
    /// Where the signed lines are kept too.
    saved: Option<(File, String)>,
}

impl Fetched<'_> {
    /// Verifies and shows every line that is whole now.
    fn take(&mut self, data: &[u8]) -> Result<(), Fail> {
        if let Some((file, name)) = &mut self.saved {
            file.write_all(data).map_err(|error| Fail::system(name, &error))?;
        }
        self.rest.extend_from_slice(data);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        if self.rest.len() > LINE_BYTES_MAX {
            return Err(self.bad(Fault::Malformed));
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let payload = self.verifier.line(text.trim_end_matches('\n')).map_err(|fault| self.bad(fault))?;
            self.report.lines += 1;
            match self.json {
                true => self.report.events.push(payload),
                false => output::data(&plain(&payload)),
            }
        }
        Ok(())
    }

    fn bad(&self, fault: Fault) -> Fail {
        Fail::Say(Id::AuditBad.with(&[&self.target.name, &(self.report.lines + 1), &fault]), TRUST)
    }
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
