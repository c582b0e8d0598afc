//! Help without an account: everything that one visit needs on this server, made for it and gone after it.
//!
//! ```text
//!  code ─▶ contact (as nobody) ─▶ offer ─▶ log of one visit, identity, ceiling ─▶ supervisor: guard, tunnel as nobody
//!                                                                                      │
//!                                                       six words, typed by root here ◀──┘ grant
//! ```
//!
//! Root's word opens the visit, on the terminal where the command runs. It must never leave anything behind but the
//! audit, or go beyond the ceiling of a server that has one.

pub(crate) mod contact;
mod folder;

pub(crate) use folder::Folder;

use crate::guard::random;
use crate::session::clock;
use crate::state::config::{Config, Relay};
use crate::state::files::{self, FileError};
use crate::state::identity;
use crate::state::trust::TrustStore;
use crate::tunnel::facts;
use crate::tunnel::key::{KeyError, TransportKey};
use cloud_doctor_proto::ceiling::Ceiling;
use cloud_doctor_proto::control::TransportBinding;
use cloud_doctor_proto::guest::{self, Code, GuestCommit, GuestOffer, Seeds};
use cloud_doctor_proto::ids::Nonce;
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::trust::{LogError, NamedKey, Policy, TrustLog};
use ed25519_dalek::SigningKey;
use std::io;

/// A visit could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// A file of the visit.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tunnel's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What the relay says about the engineer is not fit for a log.
    #[error("the relay's words about who asks cannot be used: {0}")]
    Offer(#[from] LogError),
    /// Processes.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The relay's key is not the one that the code names.
    #[error("the relay has another key than the code names")]
    OtherKey,
    /// Wrong, used, or too old.
    #[error("the relay does not know this code")]
    UnknownCode,
    /// The road to the relay, in its own words.
    #[error("{0}")]
    Road(String),
}

/// What the server's own customer has laid down: holds for visits too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) ceiling: Ceiling,
    pub(crate) policy: Option<Policy>,
}

/// Meets the relay and writes what guard and tunnel need for this visit.
///
/// # Errors
/// [`GuestError`]; the folder is the caller's to remove.
pub(crate) async fn prepare(folder: &Folder, code: &Code, own: Option<&Own>) -> Result<GuestOffer, GuestError> {
    let identity = SigningKey::from_bytes(&random());
    identity::create(&folder.places.guard, &identity)?;
    let transport = TransportKey::load_or_create(&folder.places.tunnel)?;
    let mut met = None;
    let commit = |offer: &GuestOffer| {
        let log = log(offer, &identity, own.and_then(|own| own.policy.as_ref()))?;
        let binding = TransportBinding::sign(&identity, transport.public(), log.tenant());
        met = Some((offer.clone(), log));
        Ok(GuestCommit { binding })
    };
    let pin = contact::meet(folder, code, commit).await?;
    let (offer, log) = met.ok_or_else(|| io::Error::other("the relay was met without an offer"))?;
    write(folder, code, pin, &log, own.map(|own| &own.ceiling))?;
    Ok(offer)
}

fn log(offer: &GuestOffer, identity: &SigningKey, policy: Option<&Policy>) -> Result<TrustLog, LogError> {
    let key = || SigningKey::from_bytes(&random());
    let seeds = Seeds { root: key(), recovery: key(), batch: key(), salt: Nonce(random()) };
    let named = |text: &str| one_line(text, NAME_CHARS_MAX).chars().take(NAME_CHARS_MAX).collect::<String>();
    let engineer = NamedKey::ssh(offer.engineer.clone(), named(&offer.account));
    let host = named(&facts::read().hostname);
    guest::log_of_one_visit(&seeds, &engineer, identity::public(identity), &host, policy, clock::unix_time())
}

fn write(folder: &Folder, code: &Code, pin: Pin, log: &TrustLog, own: Option<&Ceiling>) -> Result<(), FileError> {
    let places = &folder.places;
    TrustStore::create(&places.guard, log)?;
    let ceiling = guest::ceiling_of_one_visit(own);
    let text = toml::to_string(&ceiling).expect("a ceiling of texts and numbers serialises");
    files::create(&places.ceiling(), files::PUBLIC, text.as_bytes())?;
    let relay = Relay { url: code.relay.clone(), pins: vec![pin] };
    Config::new(log.tenant(), "one visit", &[relay]).for_one_visit().save(&places.config())
}
