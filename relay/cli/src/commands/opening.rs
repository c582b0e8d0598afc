//! What `shell`, `exec` and `sessions` share: from a server's name to an open channel.

use super::servers::find;
use super::{App, SignedIn};
use crate::args::{Asking, VisitTerms};
use crate::fail::{Fail, REFUSED};
use cloud_doctor::channel::Channel;
use cloud_doctor::messages::Id;
use cloud_doctor::signer::{Candidate, Keyring};
use cloud_doctor::trust_store::TrustStore;
use cloud_doctor::visit::{self, First, Hands, Target, Terms, Wish};
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::trust::{Role, TrustLog};
use cloud_doctor_proto::visit::ChannelInfo;

/// What is to be opened.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) kind: ChannelKind,
    pub(super) attach: Option<ChannelId>,
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) size: (u16, u16),
}

/// An open channel with what a person wants to know about it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) channel: Channel,
    pub(super) target: Target,
    pub(super) user: String,
    /// This engineer's other channels there.
    pub(super) others: Vec<ChannelInfo>,
}

/// Opens a visit with its first channel on the server that `server` names.
pub(super) async fn open(app: &App, server: &str, asking: &Asking, wanted: Wanted) -> Result<Opened, Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust(&signed_in.entry)?;
    let target = target(&signed_in, &mut trust, server).await?;
    open_on(app, &signed_in, &mut trust, target, asking, wanted).await
}

/// The server that a person means, as the trust log has it now.
pub(super) async fn target(signed_in: &SignedIn, trust: &mut TrustStore, server: &str) -> Result<Target, Fail> {
    if let Ok(target) = find(trust.log(), server) {
        return Ok(target);
    }
    // A server that was installed since this copy was fetched.
    trust.sync(&signed_in.relay).await?;
    find(trust.log(), server)
}

pub(super) async fn open_on(
    app: &App,
    signed_in: &SignedIn,
    trust: &mut TrustStore,
    target: Target,
    asking: &Asking,
    wanted: Wanted,
) -> Result<Opened, Fail> {
    let mut keys = app.keys(Some(&signed_in.entry)).await?;
    let engineer = signer(signed_in, trust, &keys, &[Role::Engineer], Id::NotAnEngineer).await?;
    let mut seat = app.seat();
    keys.unlock(&mut seat)?;
    let user = asking.user.clone().unwrap_or_else(|| usual_user(signed_in));
    let wish = wish(asking, &user, wanted)?;
    let mut hands = Hands { relay: &signed_in.relay, trust, keys: &keys, engineer: &engineer, person: &mut seat };
    let (visit, channel) = visit::open(&mut hands, &target, &wish).await?;
    Ok(Opened { channel, target, user, others: visit.opened.channels })
}

/// Whom a person works as when nothing is said.
pub(super) fn usual_user(signed_in: &SignedIn) -> String {
    signed_in.entry.user.clone().unwrap_or_else(super::sign_in::user_name)
}

/// The key that signs for one of these roles, the first that has one. Says `none` when there is no such key.
pub(super) async fn signer(
    signed_in: &SignedIn,
    trust: &mut TrustStore,
    keys: &Keyring,
    roles: &[Role],
    none: Id,
) -> Result<Candidate, Fail> {
    if let Some(signer) = able(trust.log(), keys, roles) {
        return Ok(signer);
    }
    // A key that was added since this copy was fetched.
    trust.sync(&signed_in.relay).await?;
    able(trust.log(), keys, roles).ok_or_else(|| Fail::Say(none.with(&[&trust.log().name]), REFUSED))
}

/// A key that may sign now; else one that might by the server's clock, so that the server says what is wrong with it.
fn able(log: &TrustLog, keys: &Keyring, roles: &[Role]) -> Option<Candidate> {
    let now = cloud_doctor::clock::wall();
    let good = |role: &Role| keys.pick(|id| log.person(id, *role).is_some_and(|person| person.until >= now));
    let any = |role: &Role| keys.pick(|id| log.person(id, *role).is_some());
    roles.iter().find_map(good).or_else(|| roles.iter().find_map(any))
}

/// What a person asks for, as a grant says it.
pub(super) fn wish(asking: &Asking, user: &str, wanted: Wanted) -> Result<Wish, Fail> {
    let user = user.to_owned();
    let scope = match wanted.kind {
        ChannelKind::Shell => Scope::Shell { user },
        ChannelKind::Exec => Scope::Exec { user },
        ChannelKind::Watch => Scope::Watch { user },
        ChannelKind::Ask => Scope::Audit {},
    };
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let first = First {
        scope: scope.clone(),
        attach: wanted.attach,
        term: get("TERM").unwrap_or_else(|| "dumb".to_owned()),
        lang: get("LC_ALL").or_else(|| get("LANG")).unwrap_or_default(),
        argv: wanted.argv,
        size: wanted.size,
    };
    Ok(Wish { terms: terms(&asking.visit, vec![scope])?, first })
}

/// What a grant is to say, from what a person typed.
pub(super) fn terms(visit: &VisitTerms, scopes: Vec<Scope>) -> Result<Terms, Fail> {
    let VisitTerms { time, reason, ticket } = visit;
    let time: Span = time.parse().map_err(|error| Fail::from(Id::TimeForm.with(&[&error])))?;
    Ok(Terms { scopes, ttl_secs: time.0, reason: reason.clone(), ticket: ticket.clone() })
}
