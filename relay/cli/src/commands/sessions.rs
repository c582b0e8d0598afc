//! `sessions`: those the relay has noted, attaching to one that lives on, ending one.
//!
//! The relay's list is what passed by; which of them live is known by their servers, and asked with a signature.

use super::opening::{Opened, Wanted, open_on};
use super::servers::find;
use super::{App, exec, shell};
use crate::args::{OneSession, SessionCommand, Sessions};
use crate::fail::Fail;
use crate::output::{self, ago};
use crate::terminal::own_size;
use cloud_doctor::clock;
use cloud_doctor::home::SessionNote;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::SessionLine;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::trust::TrustLog;
use serde_json::{Value, json};

/// No visit is longer than this: what this computer noted before is over.
const NOTE_SECS: u64 = cloud_doctor_proto::limits::VISIT_SECS_MAX + 3600;
/// Digits of a session's id that are needed when the relay's list is searched.
const ID_DIGITS_MIN: usize = 8;

pub(super) async fn run(app: &App, asked: Sessions) -> Result<u8, Fail> {
    match &asked.command {
        None => list(app, &asked).await.map(|()| 0),
        Some(SessionCommand::Attach(one)) => attach(app, one).await,
        Some(SessionCommand::End(one)) => end(app, one).await.map(|()| 0),
    }
}

/// Remembers a shell of this person, for attaching to it later.
pub(super) fn note(app: &App, opened: &Opened) {
    let note = SessionNote {
        channel: opened.channel.id().to_string(),
        server: opened.target.agent.to_string(),
        name: opened.target.name.clone(),
        user: opened.user.clone(),
        began: clock::wall().0,
    };
    // Only comfort is lost without it: `--user` can be given by hand.
    drop(app.home.write_session(&note));
    for old in app.home.sessions() {
        if old.began + NOTE_SECS < clock::wall().0 {
            drop(app.home.remove_session(&old.channel));
        }
    }
}

/// Tells of shells that this person left on the same server.
pub(super) fn remind(app: &App, opened: &Opened) {
    let left = opened.others.iter().filter(|other| !other.attached && other.channel != opened.channel.id());
    for other in left.filter(|other| other.kind == ChannelKind::Shell) {
        let since = ago(other.age_secs);
        app.say(Id::LeftShell.with(&[&opened.target.name, &since, &other.user, &other.channel.short()]));
    }
}

/// Forgets a shell that is over.
pub(super) fn forget(app: &App, channel: ChannelId) {
    drop(app.home.remove_session(&channel.to_string()));
}

async fn list(app: &App, asked: &Sessions) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust(&signed_in.entry)?;
    let mut lines = signed_in.relay.sessions().await?;
    newest_of_each(&mut lines);
    // A question is over when it is answered.
    lines.retain(|line| line.purpose != "ask");
    lines.retain(|line| asked.all || line.closed_at.is_none() || app.home.session(line.channel.as_deref()).is_some());
    if asked.json {
        let lines: Vec<Value> = lines.iter().map(|line| as_json(trust.log(), line)).collect();
        output::json("sessions", &lines);
        return Ok(());
    }
    if lines.is_empty() {
        app.say(Id::NoSessions);
        return Ok(());
    }
    let head = [Id::HeadSession, Id::HeadServer, Id::HeadAccount, Id::HeadKind, Id::HeadState];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for line in &lines {
        let id = line.channel.clone().unwrap_or_default().chars().take(12).collect();
        let (state, at) = match line.closed_at {
            None => (Id::SessionOpen, line.opened_at),
            Some(at) => (Id::SessionClosed, at),
        };
        let since = ago(clock::wall().0.saturating_sub(at));
        let state = state.with(&[&since]).text(app.language);
        rows.push(vec![id, server_name(trust.log(), line), line.account.clone(), line.purpose.clone(), state]);
    }
    output::table(&rows);
    Ok(())
}

/// A channel has a stream for each of its links: the first in the list, open ones before closed ones, tells enough.
fn newest_of_each(lines: &mut Vec<SessionLine>) {
    let mut seen = std::collections::BTreeSet::new();
    lines.retain(|line| line.channel.as_ref().is_none_or(|channel| seen.insert(channel.clone())));
}

fn server_name(log: &TrustLog, line: &SessionLine) -> String {
    let record = line.server.parse().ok().and_then(|id| log.agents.get(&id));
    record.map_or_else(|| line.server.chars().take(12).collect(), |record| record.name.clone())
}

fn as_json(log: &TrustLog, line: &SessionLine) -> Value {
    json!({
        "session": line.channel,
        "server": server_name(log, line),
        "server_id": line.server,
        "account": line.account,
        "kind": line.purpose,
        "opened_at": line.opened_at,
        "closed_at": line.closed_at,
    })
}

/// A session that a person means: where it is, and as whom it runs if this computer opened it.
struct Found {
    channel: ChannelId,
    server: String,
    kind: ChannelKind,
    user: Option<String>,
}

/// Sessions that this computer opened, by its own notes.
fn noted(app: &App, id: &str) -> Vec<Found> {
    let found = |note: SessionNote| {
        let channel = note.channel.parse().ok()?;
        Some(Found { channel, server: note.server, kind: ChannelKind::Shell, user: Some(note.user) })
    };
    app.home.sessions().into_iter().filter(|note| note.channel.starts_with(id)).filter_map(found).collect()
}

/// A session that was opened elsewhere. On which server is said by the person: the relay does not choose for what a
/// grant is signed.
async fn elsewhere(app: &App, one: &OneSession, server: &str) -> Result<Vec<Found>, Fail> {
    if one.id.len() < ID_DIGITS_MIN {
        return Err(Id::ManySessions.with(&[&one.id]).into());
    }
    let lines = app.signed_in()?.relay.sessions().await?;
    let mut fits: Vec<Found> = Vec::new();
    for line in lines {
        let Some(channel) = line.channel.and_then(|channel| channel.parse::<ChannelId>().ok()) else { continue };
        let kind = if line.purpose == "exec" { ChannelKind::Exec } else { ChannelKind::Shell };
        // A later stream of the same channel says "attach"; the first one said what it is.
        match fits.iter_mut().find(|found| found.channel == channel) {
            Some(found) if kind == ChannelKind::Exec => found.kind = kind,
            Some(_) => {}
            None if channel.to_string().starts_with(&one.id) => {
                fits.push(Found { channel, server: server.to_owned(), kind, user: None });
            }
            None => {}
        }
    }
    Ok(fits)
}

async fn look_up(app: &App, one: &OneSession) -> Result<Found, Fail> {
    let mut fits = match &one.server {
        None => noted(app, &one.id),
        Some(server) => elsewhere(app, one, server).await?,
    };
    match (fits.pop(), fits.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => Err(Id::ManySessions.with(&[&one.id]).into()),
        (None, _) => Err(Id::NoSession.with(&[&one.id]).into()),
    }
}

async fn reopen(app: &App, one: &OneSession, found: &Found) -> Result<Opened, Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust(&signed_in.entry)?;
    let target = find(trust.log(), &found.server)?;
    let size = if found.kind == ChannelKind::Shell { own_size() } else { (0, 0) };
    let wanted = Wanted { kind: found.kind, attach: Some(found.channel), argv: Vec::new(), size };
    let mut asking = one.asking.clone();
    asking.user = asking.user.or_else(|| found.user.clone());
    open_on(app, &signed_in, &mut trust, target, &asking, wanted).await
}

async fn attach(app: &App, one: &OneSession) -> Result<u8, Fail> {
    let found = look_up(app, one).await?;
    let opened = reopen(app, one, &found).await?;
    match found.kind {
        ChannelKind::Shell => {
            note(app, &opened);
            shell::attend(app, opened).await
        }
        ChannelKind::Exec | ChannelKind::Watch | ChannelKind::Ask => exec::drive(app, opened.channel, false).await,
    }
}

async fn end(app: &App, one: &OneSession) -> Result<(), Fail> {
    let found = look_up(app, one).await?;
    let mut opened = reopen(app, one, &found).await?;
    opened.channel.end().await?;
    forget(app, found.channel);
    app.say(Id::SessionEnded.with(&[&found.channel.short(), &opened.target.name]));
    Ok(())
}
