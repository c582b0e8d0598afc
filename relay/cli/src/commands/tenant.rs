//! `tenant init`, `tenant show`, `tenant server`: the customer's trust log.

use super::sign_in::{remember, yes};
use super::{App, SignedIn};
use crate::args::{Listing, TenantInit, TenantServer};
use crate::fail::Fail;
use crate::output;
use crate::terminal::ask;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::signer::{Candidate, Keyring, write_new_key};
use cloud_doctor::trust_store::{TrustError, TrustStore};
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::ids::{Hash, KeyId, Nonce, TenantId};
use cloud_doctor_proto::limits::ENGINEER_DAYS_MAX;
use cloud_doctor_proto::signer::NAMESPACE_LOG;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_proto::trust::{Entry, NamedKey, Role, SignedEntry, TrustLog, What, broken_by_name};
use cloud_doctor_proto::words::words;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(super) async fn init(app: &App, asked: TenantInit) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    if signed_in.entry.tenant.is_some() || signed_in.relay.log_page(0).await?.head.is_some() {
        return Err(Id::TenantThere.into());
    }
    let person = asked.person.clone().unwrap_or_else(|| signed_in.entry.account.clone());
    for name in [&asked.name, &person] {
        named(name)?;
    }
    let mut keys = app.keys_of(asked.root.clone().or_else(|| app.key.clone())).await?;
    let root = keys.pick(|_| true).ok_or(cloud_doctor::signer::SignError::NoKey)?;
    keys.unlock(&mut app.seat())?;
    let seed = Zeroizing::new(clock::random());
    let recovery = write_new_key(&asked.recovery_out, &seed, &format!("recovery key of {}", asked.name))?;
    let what = What::Genesis {
        name: asked.name.clone(),
        roots: vec![NamedKey::held(root.key.clone(), person.as_str())],
        recovery: NamedKey::ssh(recovery, "recovery"),
        salt: Nonce(clock::random()),
        first: vec![],
    };
    let entry = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at: clock::wall(), by: root.key.id(), what };
    let genesis = sign(app, &keys, &root, &entry).await?;
    let log = TrustLog::genesis(&genesis, None).map_err(TrustError::Refused)?;
    signed_in.relay.log_append(&genesis).await?;
    let mut trust = remember(app, &signed_in.name, &signed_in.relay, log.tenant(), &genesis).await?;
    let until = clock::wall().plus_secs(ENGINEER_DAYS_MAX * DAY_SECS);
    let key = NamedKey::held(root.key.clone(), person);
    let owner = What::AddPerson { key, role: Role::Engineer, until };
    publish_with(app, &signed_in, &mut trust, (keys, &root), owner).await?;
    tell_init(app, &asked, log.tenant());
    Ok(())
}

fn tell_init(app: &App, asked: &TenantInit, tenant: TenantId) {
    let six = words(&Hash(tenant.0));
    if asked.json {
        output::json("tenant", &json!({ "name": asked.name, "id": tenant.to_string(), "words": six }));
    } else {
        output::data(&six);
    }
    app.say(Id::TenantMade.with(&[&asked.name, &six]));
    app.say(Id::RecoveryMade.with(&[&asked.recovery_out.display()]));
    app.say(Id::TenantNext);
}

/// Signs an entry, made here, with a person's key.
async fn sign(app: &App, keys: &Keyring, key: &Candidate, entry: &Entry) -> Result<Vec<u8>, Fail> {
    let bytes = entry.to_bytes();
    let signature = keys.sign(key, NAMESPACE_LOG, &bytes, &mut app.seat()).await?;
    Ok(SignedEntry { entry: ByteBuf::from(bytes), signature: ByteBuf::from(signature) }.to_bytes())
}

/// A name that may stand in the log: said before anything is written or signed.
pub(super) fn named(name: &str) -> Result<(), Fail> {
    match broken_by_name(name) {
        Some(rule) => Err(Id::NameForm.with(&[&name]).and(|language| rule.text(language).to_owned()).into()),
        None => Ok(()),
    }
}

/// Appends what a root says; the root is found among this person's keys.
pub(super) async fn publish(app: &App, signed_in: &SignedIn, trust: &mut TrustStore, what: What) -> Result<(), Fail> {
    let keys = app.keys(Some(&signed_in.entry)).await?;
    let root = root_of(trust, &keys)?;
    publish_with(app, signed_in, trust, (keys, &root), what).await
}

/// A root among this person's keys.
pub(super) fn root_of(trust: &TrustStore, keys: &Keyring) -> Result<Candidate, Fail> {
    let log = trust.log();
    keys.pick(|id| log.roots.contains_key(id)).ok_or_else(|| Id::NotARoot.with(&[&log.name]).into())
}

/// Appends what this key says.
pub(super) async fn publish_with(
    app: &App,
    signed_in: &SignedIn,
    trust: &mut TrustStore,
    (keys, signer): (Keyring, &Candidate),
    what: What,
) -> Result<(), Fail> {
    let entry = next_entry(trust.log(), signer, what)?;
    publish_entry(app, signed_in, trust, (keys, signer), &entry).await
}

/// The entry that this key would sign. A rule that it breaks is named before anybody is asked for a touch or passphrase.
pub(super) fn next_entry(log: &TrustLog, signer: &Candidate, what: What) -> Result<Entry, Fail> {
    let entry = log.next_entry(signer.key.id(), clock::wall(), what);
    let allowed = log.allows(&entry);
    allowed.map_err(|error| Fail::from(Id::EntryForm.with(&[]).and(|language| error.text(language))))?;
    Ok(entry)
}

/// Signs an entry and appends it.
pub(super) async fn publish_entry(
    app: &App,
    signed_in: &SignedIn,
    trust: &mut TrustStore,
    (mut keys, signer): (Keyring, &Candidate),
    entry: &Entry,
) -> Result<(), Fail> {
    keys.unlock(&mut app.seat())?;
    let entry = sign(app, &keys, signer, entry).await?;
    Ok(trust.publish(&signed_in.relay, &entry).await?)
}

pub(super) async fn show(app: &App, listing: Listing) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let log = trust.log();
    if listing.json {
        output::json("tenant", &as_json(log));
        return Ok(());
    }
    let six = words(&Hash(log.tenant().0));
    let said = [
        Id::ShowTenant.with(&[&log.name, &log.tenant().short()]),
        Id::ShowWords.with(&[&six]),
        Id::ShowHead.with(&[&log.head().seq, &rfc3339(log.newest_claim())]),
    ];
    for say in said {
        output::data(&say.text(app.language));
    }
    people_table(app, log);
    let mut rows = vec![vec![app.words(Id::HeadServer), app.words(Id::HeadId)]];
    rows.extend(log.agents.iter().map(|(id, record)| vec![record.name.clone(), id.short()]));
    output::data("");
    output::table(&rows);
    if !log.ahead.is_empty() {
        output::data("");
        super::ahead::table(app, log);
    }
    Ok(())
}

fn people_table(app: &App, log: &TrustLog) {
    let head = [Id::HeadPerson, Id::HeadRole, Id::HeadKind, Id::HeadUntil, Id::HeadKey];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    let row = |key: &NamedKey, role: Id, until: String| {
        vec![key.person.clone(), app.words(role), kind(key), until, key.key.fingerprint()]
    };
    for root in log.roots.values() {
        rows.push(row(root, Id::RoleRoot, "-".to_owned()));
    }
    rows.push(row(&log.recovery, Id::RoleRecovery, "-".to_owned()));
    for person in log.people.values() {
        rows.push(row(&person.key, role_id(person.role), day(person.until)));
    }
    output::data("");
    output::table(&rows);
}

pub(super) fn role_id(role: Role) -> Id {
    match role {
        Role::Engineer => Id::RoleEngineer,
        Role::Approver => Id::RoleApprover,
    }
}

/// What a ceiling must name for this key to count.
pub(super) fn kind(key: &NamedKey) -> String {
    key.kind.signer().id().to_owned()
}

/// The day of a moment.
pub(super) fn day(at: UnixTime) -> String {
    rfc3339(at).chars().take(10).collect()
}

fn as_json(log: &TrustLog) -> Value {
    let roots: Vec<Value> = log.roots.iter().map(|(id, root)| key_json(id, root)).collect();
    let people: Vec<Value> = log.people.iter().map(|(id, person)| person_json(id, person)).collect();
    let servers: Vec<Value> =
        log.agents.iter().map(|(id, record)| json!({ "name": record.name, "id": id.to_string() })).collect();
    json!({
        "name": log.name,
        "id": log.tenant().to_string(),
        "words": words(&Hash(log.tenant().0)),
        "head": { "seq": log.head().seq, "hash": log.head().hash.to_string() },
        "roots": roots,
        "recovery": key_json(&log.recovery.key.id(), &log.recovery),
        "people": people,
        "servers": servers,
        "ahead": super::ahead::as_json(log),
        "policy": super::policy::as_json(&log.policy),
    })
}

pub(super) fn key_json(id: &KeyId, key: &NamedKey) -> Value {
    json!({ "person": key.person, "kind": kind(key), "key": id.to_string(), "fingerprint": key.key.fingerprint() })
}

pub(super) fn person_json(id: &KeyId, person: &cloud_doctor_proto::trust::Person) -> Value {
    let role = match person.role {
        Role::Engineer => "engineer",
        Role::Approver => "approver",
    };
    json!({
        "person": person.key.person,
        "role": role,
        "kind": kind(&person.key),
        "until": rfc3339(person.until),
        "key": id.to_string(),
        "fingerprint": person.key.key.fingerprint(),
    })
}

pub(super) async fn server(app: &App, asked: TenantServer) -> Result<(), Fail> {
    match asked {
        TenantServer::Rename { server, name } => rename_server(app, &server, name).await,
        TenantServer::Remove { server, yes } => remove_server(app, &server, yes).await,
    }
}

async fn rename_server(app: &App, server: &str, name: String) -> Result<(), Fail> {
    named(&name)?;
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let target = super::servers::find(trust.log(), server)?;
    let said = Id::ServerRenamed.with(&[&target.name, &name]);
    publish(app, &signed_in, &mut trust, What::RenameAgent { agent: target.agent, name }).await?;
    app.say(said);
    Ok(())
}

async fn remove_server(app: &App, server: &str, sure: bool) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let target = super::servers::find(trust.log(), server)?;
    if !sure && !yes(&ask(&Id::AskRemoveServer.with(&[&target.name, &target.agent.short()]).text(app.language))?) {
        return Ok(());
    }
    publish(app, &signed_in, &mut trust, What::RemoveAgent { agent: target.agent }).await?;
    app.say(Id::ServerRemoved.with(&[&target.name]));
    Ok(())
}
