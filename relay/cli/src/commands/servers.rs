//! `servers`, and which server a person means.
//!
//! Names and keys come from the trust log; the relay only adds who is reachable now.

use super::App;
use crate::args::{Servers, ServersCommand};
use crate::fail::Fail;
use crate::output::{self, ago};
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::ServerLine;
use cloud_doctor::visit::Target;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::trust::{AgentRecord, TrustLog};
use serde_json::{Value, json};

/// Shortest beginning of an id that counts as one.
const PREFIX_MIN: usize = 4;
/// Servers that an error names.
const NAMED_MAX: usize = 8;

/// The server that a name or the beginning of an id means.
pub(super) fn find(log: &TrustLog, text: &str) -> Result<Target, Fail> {
    let by_name: Vec<_> = log.agents.iter().filter(|(_, record)| record.name == text).collect();
    let by_id = || {
        let fits = text.len() >= PREFIX_MIN;
        log.agents.iter().filter(|(id, _)| fits && id.to_string().starts_with(&text.to_lowercase())).collect()
    };
    let found: Vec<_> = if by_name.is_empty() { by_id() } else { by_name };
    match found.as_slice() {
        [(id, record)] => Ok(target(id, record)),
        [] => Err(Id::NoServer.with(&[&log.name, &text, &named(log.agents.iter())]).into()),
        many => Err(Id::ManyServers.with(&[&text, &named(many.iter().copied())]).into()),
    }
}

fn target(id: &AgentId, record: &AgentRecord) -> Target {
    Target { agent: *id, identity: record.identity, name: record.name.clone() }
}

fn named<'a>(agents: impl Iterator<Item = (&'a AgentId, &'a AgentRecord)>) -> String {
    let mut names: Vec<String> = agents.map(|(id, record)| format!("{} ({})", record.name, id.short())).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    if more > 0 {
        names.push(format!("+{more}"));
    }
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

pub(super) async fn run(app: &App, asked: Servers) -> Result<(), Fail> {
    match asked.command {
        None => list(app, &asked).await,
        Some(ServersCommand::Label { server, labels, remove }) => label(app, &server, &labels, &remove).await,
    }
}

async fn list(app: &App, asked: &Servers) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let seen = signed_in.relay.servers(&asked.label).await?;
    let line = |id: &AgentId| seen.iter().find(|line| line.id == id.to_string());
    // Only the relay knows labels; what a server is called stands in the log.
    let meant = |(id, _): &(&AgentId, &AgentRecord)| asked.label.is_empty() || line(id).is_some();
    let mut agents: Vec<_> = trust.log().agents.iter().filter(meant).collect();
    if asked.json {
        let servers: Vec<Value> = agents.iter().map(|(id, record)| as_json(id, record, line(id))).collect();
        output::json("servers", &servers);
        return Ok(());
    }
    if agents.is_empty() {
        app.say(if asked.label.is_empty() { Id::NoServersYet } else { Id::NoServersSuch });
        return Ok(());
    }
    let head = [Id::HeadServer, Id::HeadState, Id::HeadSystem, Id::HeadLabels, Id::HeadId];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    agents.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    for (id, record) in agents {
        let line = line(id);
        let system = line.map(|line| line.os.clone()).unwrap_or_default();
        let labels = line.map(|line| line.labels.join(" ")).unwrap_or_default();
        rows.push(vec![record.name.clone(), state(app, line), system, labels, id.short()]);
    }
    output::table(&rows);
    Ok(())
}

async fn label(app: &App, server: &str, add: &[String], remove: &[String]) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), server)?;
    let labels = signed_in.relay.label(&target.agent, add, remove).await?;
    let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(" ") };
    app.say(Id::ServerLabels.with(&[&target.name, &labels]));
    Ok(())
}

fn state(app: &App, line: Option<&ServerLine>) -> String {
    let now = clock::wall().0;
    let say = match line {
        Some(ServerLine { online: Some(online), .. }) => Id::StateConnected.with(&[&online.rtt_ms]),
        Some(ServerLine { last_seen_at: Some(at), .. }) => Id::StateSeen.with(&[&ago(now.saturating_sub(*at))]),
        Some(_) | None => Id::StateNever.into(),
    };
    say.text(app.language)
}

fn as_json(id: &AgentId, record: &AgentRecord, line: Option<&ServerLine>) -> Value {
    json!({
        "name": record.name,
        "id": id.to_string(),
        "connected": line.is_some_and(|line| line.online.is_some()),
        "rtt_ms": line.and_then(|line| line.online.as_ref()).map(|online| online.rtt_ms),
        "last_seen_at": line.and_then(|line| line.last_seen_at),
        "os": line.map(|line| line.os.clone()),
        "agent": line.map(|line| line.build.clone()),
        "labels": line.map(|line| line.labels.clone()),
    })
}
