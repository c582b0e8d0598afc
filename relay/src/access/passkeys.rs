//! Passkeys for signing in: what a browser is asked for, and whether what it brings back is that.
//!
//! A passkey here is a credential of its own: made for the console's host name, found by the browser itself, so that
//! nobody names an account before they have proved it (AUT-02). Never: a signature over anything but a challenge of
//! ours, a challenge that counts twice, a person who was not verified, RSA.

use super::pending::Pending;
use crate::store::{AccountRef, KnownPasskey, NewPasskey};
use crate::tunnels::gate::{Buckets, Prefix, Rate};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use webauthn_rs::prelude::{
    COSEAlgorithm, CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

/// Challenges that one network may ask for: a page asks for one when somebody opens it.
const STARTS: Rate = Rate::per_minute(60);
/// Passkeys that a page may name to be left out when another is made.
pub const EXCLUDED_MAX: usize = 64;
/// What browsers call us.
const RP_NAME: &str = "Cloud Doctor";

/// The one origin that passkeys are made for and asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    origin: Url,
    host: String,
}

impl Site {
    /// Of a page's origin. `None`: passkeys need a host name, and this is an address.
    #[must_use]
    pub fn of(origin: &str) -> Option<Self> {
        let origin: Url = origin.parse().ok()?;
        let host = origin.domain()?.to_owned();
        // A name that is an address in other letters is none either.
        (host.parse::<IpAddr>().is_err()).then_some(Self { origin, host })
    }

    fn webauthn(&self) -> Result<Webauthn, WebauthnError> {
        WebauthnBuilder::new(&self.host, &self.origin)?.rp_name(RP_NAME).build()
    }
}

/// For whom a passkey is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An account, in this login of its own.
    Account(AccountRef, [u8; 32]),
    /// The first account, which is made together with it.
    SetUp {
        /// Its name.
        account: String,
        /// The customer's.
        tenant: String,
    },
    /// The account that a link makes, together with it.
    Join {
        /// Hash of the link's token.
        token: [u8; 32],
        /// The account's name.
        account: String,
    },
    /// The account that the code with this hash lets in.
    Reset([u8; 32]),
}

/// The account as authenticators show it.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// Random: tells nothing.
    pub handle: [u8; 16],
    /// Its name.
    pub name: &'a str,
}

/// Why a passkey was not made or does not count.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyRefused {
    /// Too many challenges for this network.
    #[error("too many challenges")]
    Limited,
    /// Nothing of this id waits: it was used, or its time is over.
    #[error("nothing of this id was begun")]
    NotBegun,
    /// What the browser brought is not what was asked for.
    #[error("not what was asked for: {0}")]
    Refused(#[source] WebauthnError),
    /// Another page had ours inside it when it asked.
    #[error("signed inside another page")]
    Framed,
    /// Its algorithm is none that we take.
    #[error("this algorithm is not taken")]
    Algorithm,
    /// It is none that the relay knows, or of another account than it says.
    #[error("this passkey is not known")]
    Unknown,
    /// It cannot be written or read, as when the store is damaged.
    #[error("a passkey cannot be written or read: {0}")]
    Damaged(#[source] serde_json::Error),
    /// The operating system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A passkey that is being made.
struct Making {
    state: PasskeyRegistration,
    owner: Owner,
    handle: [u8; 16],
    site: Site,
}

/// A passkey that was made.
#[derive(Debug)]
pub struct Made {
    /// For whom.
    pub owner: Owner,
    /// What passkeys call that account.
    pub handle: [u8; 16],
    /// To be kept.
    pub passkey: NewPasskey,
}

/// What waits for a browser.
#[derive(Debug)]
pub struct Passkeys {
    making: Pending<Making>,
    asking: Pending<(DiscoverableAuthentication, Site)>,
    starts: Mutex<Buckets<Prefix>>,
}

impl Passkeys {
    pub(super) fn new(now: Instant) -> Self {
        Self { making: Pending::default(), asking: Pending::default(), starts: Mutex::new(Buckets::new(STARTS, now)) }
    }

    /// Counts a challenge against the network that asks for it.
    ///
    /// # Errors
    /// [`PasskeyRefused::Limited`].
    pub fn may_start(&self, prefix: Prefix, now: Instant) -> Result<(), PasskeyRefused> {
        // The lock is for one look at a table.
        let taken = self.starts.lock().unwrap_or_else(PoisonError::into_inner).take(prefix, now);
        if taken { Ok(()) } else { Err(PasskeyRefused::Limited) }
    }

    /// What a browser needs to make a passkey, and the id under which it brings it.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub fn begin_making(
        &self,
        site: &Site,
        user: User<'_>,
        owner: Owner,
        excluded: Vec<Vec<u8>>,
        now: Instant,
    ) -> Result<(String, Value), PasskeyRefused> {
        let excluded = excluded.into_iter().take(EXCLUDED_MAX).collect();
        let webauthn = site.webauthn().map_err(PasskeyRefused::Refused)?;
        let handle = Uuid::from_bytes(user.handle);
        let begun = webauthn.start_passkey_registration(handle, user.name, user.name, Some(excluded));
        let (options, state) = begun.map_err(PasskeyRefused::Refused)?;
        let making = Making { state, owner, handle: user.handle, site: site.clone() };
        let options = discoverable(options).map_err(PasskeyRefused::Damaged)?;
        Ok((self.making.keep(making, now)?, options))
    }

    /// Whether what a browser brings is the passkey that was asked for.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub fn finish_making(
        &self,
        id: &str,
        name: &str,
        brought: &RegisterPublicKeyCredential,
        now: Instant,
    ) -> Result<Made, PasskeyRefused> {
        let Making { state, owner, handle, site } = self.making.take(id, now).ok_or(PasskeyRefused::NotBegun)?;
        let webauthn = site.webauthn().map_err(PasskeyRefused::Refused)?;
        let made = webauthn.finish_passkey_registration(brought, &state).map_err(PasskeyRefused::Refused)?;
        if *made.cred_algorithm() != COSEAlgorithm::ES256 {
            return Err(PasskeyRefused::Algorithm);
        }
        let passkey = NewPasskey {
            credential_id: made.cred_id().to_vec(),
            name: name.to_owned(),
            passkey: serde_json::to_string(&made).map_err(PasskeyRefused::Damaged)?,
        };
        Ok(Made { owner, handle, passkey })
    }

    /// What a browser needs to find a passkey for this site, whoever sits there.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub fn ask(&self, site: &Site, now: Instant) -> Result<(String, Value), PasskeyRefused> {
        let webauthn = site.webauthn().map_err(PasskeyRefused::Refused)?;
        let (options, state) = webauthn.start_discoverable_authentication().map_err(PasskeyRefused::Refused)?;
        let options = serde_json::to_value(options.public_key).map_err(PasskeyRefused::Damaged)?;
        Ok((self.asking.keep((state, site.clone()), now)?, options))
    }

    /// The challenge that was asked under this id. It counts no more, whatever comes of it.
    ///
    /// # Errors
    /// [`PasskeyRefused::NotBegun`].
    pub fn asked(&self, id: &str, now: Instant) -> Result<Asked, PasskeyRefused> {
        let (state, site) = self.asking.take(id, now).ok_or(PasskeyRefused::NotBegun)?;
        Ok(Asked { state, site })
    }
}

/// A challenge that somebody answers.
#[derive(Debug)]
pub struct Asked {
    state: DiscoverableAuthentication,
    site: Site,
}

impl Asked {
    /// Whether the answer was signed by the passkey that is known; returns that with the counter it has now.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub fn answered(self, by: &KnownPasskey, brought: &PublicKeyCredential) -> Result<String, PasskeyRefused> {
        let webauthn = self.site.webauthn().map_err(PasskeyRefused::Refused)?;
        not_framed(&brought.response.client_data_json)?;
        let said = webauthn.identify_discoverable_authentication(brought);
        let (handle, _) = said.map_err(PasskeyRefused::Refused)?;
        if handle.into_bytes() != by.handle {
            return Err(PasskeyRefused::Unknown);
        }
        let mut passkey: Passkey = serde_json::from_str(&by.passkey).map_err(PasskeyRefused::Damaged)?;
        let answer = webauthn.finish_discoverable_authentication_v2(brought, self.state, &passkey);
        let answer = answer.map_err(PasskeyRefused::Refused)?;
        passkey.update_credential(&answer).ok_or(PasskeyRefused::Unknown)?;
        serde_json::to_string(&passkey).map_err(PasskeyRefused::Damaged)
    }
}

/// The library looks at this when a passkey is made, and not when it signs.
fn not_framed(client_data: &[u8]) -> Result<(), PasskeyRefused> {
    let said: Value = serde_json::from_slice(client_data).map_err(|_| PasskeyRefused::Framed)?;
    let framed = said.get("crossOrigin").is_some_and(|framed| *framed != false) || said.get("topOrigin").is_some();
    if framed { Err(PasskeyRefused::Framed) } else { Ok(()) }
}

/// The library leaves it to authenticators whether a passkey can be found without a name; here it must be. It also
/// offers algorithms that we do not take.
fn discoverable(options: CreationChallengeResponse) -> Result<Value, serde_json::Error> {
    let mut options = options.public_key;
    options.pub_key_cred_params.retain(|offered| offered.alg == COSEAlgorithm::ES256 as i64);
    let mut options = serde_json::to_value(options)?;
    let selection = &mut options["authenticatorSelection"];
    selection["residentKey"] = "required".into();
    selection["requireResidentKey"] = true.into();
    Ok(options)
}
