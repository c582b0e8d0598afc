//! `tenant engineer` and `tenant approver`: people's keys in the trust log.

use super::roots::read_public;
use super::tenant::{day, kind, person_json, publish, role_id};
use super::{App, joining};
use crate::args::{Listing, People, PersonAdd};
use crate::fail::Fail;
use crate::output;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor_proto::ids::KeyId;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_proto::trust::{NamedKey, Person, Role, TrustLog, What};
use serde_json::Value;

pub(super) async fn run(app: &App, role: Role, people: People) -> Result<(), Fail> {
    match people {
        People::Add(asked) => add(app, role, asked).await,
        People::Remove { who } => remove(app, role, &who).await,
        People::List(listing) => list(app, role, listing).await,
        People::Invite(asked) => joining::invite(app, role, asked).await,
        People::Invitations(asked) => joining::invitations(app, asked).await,
        People::Accept { who, device } => joining::accept(app, who.as_deref(), device).await,
        People::Renew { who, days } => renew(app, role, &who, days).await,
    }
}

async fn add(app: &App, role: Role, asked: PersonAdd) -> Result<(), Fail> {
    let key = read_public(&asked.key_file)?;
    if key.may_be_a_browsers() && !asked.device && !asked.ssh {
        return Err(Id::KeyKindUnsaid.with(&[&asked.key_file.display()]).into());
    }
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let until = until_in(asked.days);
    let name = asked.name.as_str();
    let key = if asked.device { NamedKey::device(key, name) } else { NamedKey::held(key, name) };
    publish(app, &signed_in, &mut trust, What::AddPerson { key, role, until }).await?;
    app.say(Id::PersonAdded.with(&[&asked.name, &app.words(role_id(role)), &day(until)]));
    Ok(())
}

async fn remove(app: &App, role: Role, who: &str) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let found = find(trust.log(), role, who)?;
    for (key, person) in found {
        publish(app, &signed_in, &mut trust, What::RemovePerson { key }).await?;
        app.say(Id::PersonRemoved.with(&[&person.key.person, &person.key.key.fingerprint()]));
    }
    Ok(())
}

async fn renew(app: &App, role: Role, who: &str, days: u64) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let until = until_in(days);
    for (_, person) in find(trust.log(), role, who)? {
        let name = person.key.person.clone();
        publish(app, &signed_in, &mut trust, What::AddPerson { key: person.key, role, until }).await?;
        app.say(Id::PersonAdded.with(&[&name, &app.words(role_id(role)), &day(until)]));
    }
    Ok(())
}

/// So many days from now.
pub(super) fn until_in(days: u64) -> UnixTime {
    clock::wall().plus_secs(days.saturating_mul(DAY_SECS))
}

/// The keys that a name, key id or fingerprint means.
pub(super) fn find(log: &TrustLog, role: Role, who: &str) -> Result<Vec<(KeyId, Person)>, Fail> {
    let means = |id: &KeyId, person: &Person| {
        person.key.person == who
            || person.key.key.fingerprint() == who
            || (who.len() >= 8 && id.to_string().starts_with(who))
    };
    let found: Vec<_> = log
        .people
        .iter()
        .filter(|(id, person)| person.role == role && means(id, person))
        .map(|(id, person)| (*id, person.clone()))
        .collect();
    if found.is_empty() { Err(Id::NobodyThere.with(&[&who]).into()) } else { Ok(found) }
}

async fn list(app: &App, role: Role, listing: Listing) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let people: Vec<_> = trust.log().people.iter().filter(|(_, person)| person.role == role).collect();
    if listing.json {
        let people: Vec<Value> = people.iter().map(|(id, person)| person_json(id, person)).collect();
        output::json("people", &people);
        return Ok(());
    }
    let head = [Id::HeadPerson, Id::HeadKind, Id::HeadUntil, Id::HeadKey];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for (_, Person { key, until, .. }) in people {
        rows.push(vec![key.person.clone(), kind(key), day(*until), key.key.fingerprint()]);
    }
    output::table(&rows);
    Ok(())
}
