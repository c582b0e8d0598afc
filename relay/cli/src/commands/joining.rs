//! `tenant engineer invite`, `invitations` and `accept`: new people by a link, without fingerprints to compare.
//!
//! ```text
//!  invite ─▶ link, kept here too ─▶ the person's page sends a key ─▶ accept: does the link vouch for it? ─▶ a root signs
//! ```
//!
//! The relay carries token and key and cannot swap the key: it never sees the link's secret. Never: a key signed that
//! the link does not vouch for.

use super::people::until_in;
use super::tenant::{day, named, publish, role_id, root_of};
use super::{App, SignedIn};
use crate::args::{Invitations, PersonInvite};
use crate::fail::{FAILED, Fail, REFUSED, TRUST};
use crate::output;
use cloud_doctor::clock;
use cloud_doctor::home::JoinNote;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{JoinLine, JoinState, JoinWish, RelayError};
use cloud_doctor::trust_store::TrustStore;
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::join::{JoinId, JoinLink};
use cloud_doctor_proto::signer::{KeyKind, SshKey};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::trust::{NamedKey, Role, What};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// A relay that cannot be asked for a moment is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Shortest beginning of an id that counts as one.
const PREFIX_MIN: usize = 4;

pub(super) async fn invite(app: &App, role: Role, asked: PersonInvite) -> Result<(), Fail> {
    named(&asked.name)?;
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    // Whoever cannot sign the key in hears of it before the link is sent.
    root_of(&trust, &app.keys(Some(&signed_in.entry)).await?)?;
    let approver = asked.approver || role == Role::Approver;
    let wish = JoinWish {
        name: &asked.name,
        r#as: if approver { "approver" } else { "engineer" },
        device: asked.device,
        valid_secs: asked.hours.saturating_mul(3600),
    };
    let (id, link) = make(&signed_in, &wish, trust.log().tenant()).await?;
    let note = JoinNote::new(&signed_in.name, &link, &asked.name);
    let note = note.becoming(approver, asked.days, asked.device);
    app.home.write_join(&id, &note)?;
    let console = asked.console.clone().unwrap_or_else(|| signed_in.relay.address.to_string());
    let text = format!("{}/#/join/{}", console.trim_end_matches('/'), *link.text());
    if asked.json {
        output::json("invitation", &json!({ "id": id.to_string(), "link": text }));
    } else {
        output::data(&text);
    }
    app.say(Id::JoinMade.with(&[&asked.name, &asked.hours]));
    if !asked.wait {
        app.say(Id::JoinNext);
        return Ok(());
    }
    app.say(Id::JoinWaiting.with(&[&asked.name]));
    let join = until_key(&signed_in, &id).await?;
    take_in(app, &signed_in, &mut trust, (&id, &note), &join, asked.device).await
}

/// Makes a link: the relay's half, and a secret of our own.
async fn make(signed_in: &SignedIn, wish: &JoinWish<'_>, tenant: TenantId) -> Result<(JoinId, JoinLink), Fail> {
    let made = signed_in.relay.make_join(wish).await?;
    let odd = || RelayError::Odd { why: "a link's token has 16 bytes".to_owned() };
    let token = made.token.0.as_slice().try_into().map_err(|_| odd())?;
    Ok((JoinId::of(&token), JoinLink { token, secret: clock::random(), tenant }))
}

async fn until_key(signed_in: &SignedIn, id: &JoinId) -> Result<JoinLine, Fail> {
    loop {
        match signed_in.relay.wait_join(id).await {
            Ok(join) if matches!(join.state, JoinState::Open | JoinState::Joined) => {}
            Ok(join) => return Ok(join),
            Err(error) if error.may_pass() => sleep(ASK_AGAIN).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Signs in whoever has sent a key by one of the links that were made here.
pub(super) async fn accept(app: &App, who: Option<&str>, device: bool) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let ours = app.home.joins()?.into_iter().filter(|(_, note)| note.relay == signed_in.name);
    let meant: Vec<(JoinId, JoinNote)> = ours.filter(|(id, note)| who.is_none_or(|who| is(id, note, who))).collect();
    if meant.is_empty() {
        app.say(Id::NoJoins);
        return Ok(());
    }
    let mut failed = None;
    for (id, note) in &meant {
        let join = signed_in.relay.join(id).await?;
        // One person's swapped key is no reason to keep the others waiting.
        if let Err(fail) = take_in(app, &signed_in, &mut trust, (id, note), &join, device || note.device).await {
            output::tell(&fail.text(app.language));
            failed = Some(fail.code());
        }
    }
    match failed {
        Some(code) => Err(Fail::Say(Id::JoinsFailed.into(), code)),
        None => Ok(()),
    }
}

fn is(id: &JoinId, note: &JoinNote, who: &str) -> bool {
    note.person == who || (who.len() >= PREFIX_MIN && id.to_string().starts_with(who))
}

/// Does what the state of a link asks for: signs its key in, waits on, or forgets it.
async fn take_in(
    app: &App,
    signed_in: &SignedIn,
    trust: &mut TrustStore,
    (id, note): (&JoinId, &JoinNote),
    join: &JoinLine,
    device: bool,
) -> Result<(), Fail> {
    match join.state {
        JoinState::Key => {}
        JoinState::Open | JoinState::Joined => {
            app.say(Id::JoinNotYet.with(&[&note.person]));
            return Ok(());
        }
        JoinState::Accepted | JoinState::Refused | JoinState::Revoked | JoinState::Expired => {
            app.home.remove_join(id)?;
            app.say(Id::JoinOver.with(&[&note.person, &state(app, join.state)]));
            return Ok(());
        }
    }
    let account = join.account.clone().unwrap_or_default();
    let Some((key, kind)) = vouched(note, trust.log().tenant(), join) else {
        // The link is dead: somebody knows its token.
        drop(signed_in.relay.end_join(id, false).await);
        app.home.remove_join(id)?;
        return Err(Fail::Say(Id::JoinForged.with(&[&note.person, &account]), TRUST));
    };
    let key = named_key(note, key, &kind, device)?;
    let role = if note.approver { Role::Approver } else { Role::Engineer };
    let until = until_in(note.days);
    if trust.log().people.get(&key.key.id()).is_none_or(|known| known.key != key || known.role != role) {
        publish(app, signed_in, trust, What::AddPerson { key, role, until }).await?;
    }
    signed_in.relay.end_join(id, true).await?;
    app.home.remove_join(id)?;
    app.say(Id::PersonAdded.with(&[&note.person, &app.words(role_id(role)), &day(until)]));
    Ok(())
}

/// The key and its kind, if whoever sent them had the link, and the link is for this customer.
fn vouched(note: &JoinNote, tenant: TenantId, join: &JoinLine) -> Option<(SshKey, String)> {
    let (link, sent) = (note.link().ok().filter(|link| link.tenant == tenant)?, join.key.as_ref()?);
    let key = SshKey::from_openssh(&sent.key).ok()?;
    link.vouches(&sent.kind, key.blob(), &sent.mac.0).then(|| (key, sent.kind.clone()))
}

/// The key as it goes into the log, if it is of a kind that the inviter wants.
fn named_key(note: &JoinNote, key: SshKey, kind: &str, device: bool) -> Result<NamedKey, Fail> {
    let odd = || Fail::Say(Id::JoinKind.with(&[&note.person, &kind]), FAILED);
    let parsed: KeyKind = serde_json::from_value(Value::String(kind.to_owned())).map_err(|_| odd())?;
    let person = note.person.as_str();
    if parsed == KeyKind::Device {
        let refused = || Fail::Say(Id::JoinDevice.with(&[&person]), REFUSED);
        return if device { Ok(NamedKey::device(key, person)) } else { Err(refused()) };
    }
    // A page makes no SSH keys of the kind that browsers have: such a one would count for more than it is.
    let browsers = key.may_be_a_browsers();
    let held = NamedKey::held(key, person);
    if held.kind == parsed && !browsers { Ok(held) } else { Err(odd()) }
}

pub(super) async fn invitations(app: &App, asked: Invitations) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let joins = signed_in.relay.joins().await?;
    if let Some(who) = &asked.revoke {
        return revoke(app, &signed_in, &joins, who).await;
    }
    let here = app.home.joins()?;
    let is_here = |join: &JoinLine| here.iter().any(|(id, _)| id.to_string() == join.id);
    if asked.json {
        let all: Vec<Value> = joins.iter().map(|join| as_json(join, is_here(join))).collect();
        output::json("invitations", &all);
        return Ok(());
    }
    if joins.is_empty() {
        app.say(Id::NoJoins);
        return Ok(());
    }
    let head = [Id::HeadPerson, Id::HeadRole, Id::HeadState, Id::HeadExpires, Id::HeadBy, Id::HeadId];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for join in &joins {
        let role = if join.r#as == "approver" { Id::RoleApprover } else { Id::RoleEngineer };
        let id: String = join.id.chars().take(12).collect();
        let expires = rfc3339(UnixTime(join.expires_at));
        let state = state(app, join.state);
        rows.push(vec![join.name.clone(), app.words(role), state, expires, join.created_by.clone(), id]);
    }
    output::table(&rows);
    Ok(())
}

async fn revoke(app: &App, signed_in: &SignedIn, joins: &[JoinLine], who: &str) -> Result<(), Fail> {
    let open = |join: &&JoinLine| matches!(join.state, JoinState::Open | JoinState::Joined | JoinState::Key);
    let means = |join: &&JoinLine| join.name == who || (who.len() >= PREFIX_MIN && join.id.starts_with(who));
    let found: Vec<&JoinLine> = joins.iter().filter(open).filter(means).collect();
    let [join] = found.as_slice() else { return Err(Id::NoJoin.with(&[&who]).into()) };
    let odd = |_| Fail::from(RelayError::Odd { why: "a link's id is one".to_owned() });
    let id: JoinId = join.id.parse().map_err(odd)?;
    signed_in.relay.revoke_join(&id).await?;
    if app.home.joins()?.iter().any(|(known, _)| *known == id) {
        app.home.remove_join(&id)?;
    }
    app.say(Id::JoinRevoked.with(&[&join.name]));
    Ok(())
}

fn state(app: &App, state: JoinState) -> String {
    app.words(match state {
        JoinState::Open => Id::JoinStateOpen,
        JoinState::Joined => Id::JoinStateJoined,
        JoinState::Key => Id::JoinStateKey,
        JoinState::Accepted => Id::JoinStateAccepted,
        JoinState::Refused => Id::JoinStateRefused,
        JoinState::Revoked => Id::JoinStateRevoked,
        JoinState::Expired => Id::JoinStateExpired,
    })
}

fn as_json(join: &JoinLine, here: bool) -> Value {
    json!({
        "id": join.id,
        "person": join.name,
        "role": join.r#as,
        "device": join.device,
        "state": join.state,
        "account": join.account,
        "created_by": join.created_by,
        "expires_at": rfc3339(UnixTime(join.expires_at)),
        "made_here": here,
    })
}
