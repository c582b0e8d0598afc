//! `tenant root` and `tenant recover`: the keys that may change who is trusted.
//!
//! Roots come and go by a root's word, or by the recovery key's (`--key recovery.key`). `recover` is for the day on which
//! no root is left, or a stolen one is in the wrong hands: one entry of the recovery key replaces all of them.

use super::App;
use super::sign_in::yes;
use super::tenant::{key_json, publish_with};
use crate::args::{Listing, Recover, Roots};
use crate::fail::{Fail, TRUST};
use crate::output;
use crate::terminal::ask;
use cloud_doctor::messages::Id;
use cloud_doctor_proto::ids::KeyId;
use cloud_doctor_proto::signer::SshKey;
use cloud_doctor_proto::trust::{NamedKey, TrustLog, What};
use serde_json::Value;
use std::path::Path;

pub(super) async fn run(app: &App, asked: Roots) -> Result<(), Fail> {
    match asked {
        Roots::Add { key_file, name } => {
            let key = NamedKey::held(read_root(&key_file)?, name.as_str());
            change(app, What::AddRoot { key }).await?;
            app.say(Id::RootAdded.with(&[&name]));
        }
        Roots::Remove { who, yes: sure } => return remove(app, &who, sure).await,
        Roots::List(listing) => return list(app, listing).await,
    }
    Ok(())
}

/// Appends what a root, or the recovery key, says about roots.
async fn change(app: &App, what: What) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let keys = app.keys(Some(&signed_in.entry)).await?;
    let log = trust.log();
    let signer = keys.pick(|id| log.roots.contains_key(id) || log.recovery.key.id() == *id);
    let signer = signer.ok_or_else(|| Fail::from(Id::NotARoot.with(&[&log.name])))?;
    publish_with(app, &signed_in, &mut trust, (keys, &signer), what).await
}

async fn remove(app: &App, who: &str, sure: bool) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let (key, root) = find(trust.log(), who)?;
    let print = root.key.fingerprint();
    if !sure && !yes(&ask(&Id::AskRemoveRoot.with(&[&root.person, &print]).text(app.language))?) {
        return Ok(());
    }
    change(app, What::RemoveRoot { key }).await?;
    app.say(Id::RootRemoved.with(&[&root.person, &print]));
    Ok(())
}

/// The one root that a name, key id or fingerprint means.
fn find(log: &TrustLog, who: &str) -> Result<(KeyId, NamedKey), Fail> {
    let means = |id: &KeyId, root: &NamedKey| {
        root.person == who || root.key.fingerprint() == who || (who.len() >= 8 && id.to_string().starts_with(who))
    };
    let mut found = log.roots.iter().filter(|(id, root)| means(id, root)).map(|(id, root)| (*id, root.clone()));
    match (found.next(), found.next()) {
        (Some(root), None) => Ok(root),
        (Some(_), Some(_)) => Err(Id::ManyRoots.with(&[&who]).into()),
        (None, _) => Err(Id::NobodyThere.with(&[&who]).into()),
    }
}

async fn list(app: &App, listing: Listing) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let roots = &trust.log().roots;
    if listing.json {
        output::json("roots", &roots.iter().map(|(id, root)| key_json(id, root)).collect::<Vec<Value>>());
        return Ok(());
    }
    let mut rows = vec![vec![app.words(Id::HeadPerson), app.words(Id::HeadKey)]];
    rows.extend(roots.values().map(|root| vec![root.person.clone(), root.key.fingerprint()]));
    output::table(&rows);
    Ok(())
}

/// `tenant recover`.
pub(super) async fn recover(app: &App, asked: Recover) -> Result<(), Fail> {
    let root = NamedKey::held(read_root(&asked.root)?, asked.name.as_str());
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let keys = app.keys_of(Some(asked.recovery_file.clone())).await?;
    let signer = keys.pick(|_| true).ok_or(cloud_doctor::signer::SignError::NoKey)?;
    let (log, file) = (trust.log(), asked.recovery_file.display());
    if signer.key != log.recovery.key {
        let prints = (signer.key.fingerprint(), log.recovery.key.fingerprint());
        return Err(Fail::Say(Id::RecoveryOther.with(&[&file, &log.name, &prints.0, &prints.1]), TRUST));
    }
    let before: Vec<&str> = log.roots.values().map(|root| root.person.as_str()).collect();
    let question = Id::AskRecover.with(&[&log.name, &before.join(", "), &root.person, &root.key.fingerprint()]);
    if !asked.yes && !yes(&ask(&question.text(app.language))?) {
        return Ok(());
    }
    let what = What::ReplaceRoots { roots: vec![root] };
    publish_with(app, &signed_in, &mut trust, (keys, &signer), what).await?;
    app.say(Id::Recovered.with(&[&trust.log().name, &asked.name]));
    app.say(Id::RecoveredNext.with(&[&file]));
    Ok(())
}

/// A public key file.
/// A key that may be a root: never one that a browser could have made, whatever it is called.
fn read_root(path: &Path) -> Result<SshKey, Fail> {
    let key = read_public(path)?;
    if key.may_be_a_browsers() { Err(Id::RootKeyKind.with(&[&path.display()]).into()) } else { Ok(key) }
}

pub(super) fn read_public(path: &Path) -> Result<SshKey, Fail> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Fail::system(&file.to_string(), &error))?;
    SshKey::from_openssh(&text).map_err(|error| Fail::from(Id::KeyFile.with(&[&file, &error])))
}
