//! Signing in at an identity provider (OpenID Connect): what a browser is sent there with, and whether what it brings
//! back proves who somebody is.
//!
//! The code flow with PKCE, a nonce, and a state that only the browser that began it can bring back. Who somebody is,
//! is issuer and subject; an e-mail address never finds an account (AUT-10). Never: a redirect that is followed, a
//! token without a signature by the provider's own key, a symmetric algorithm.

mod fetch;

pub use fetch::FetchError;

use super::pending::Pending;
use crate::causes::with_causes;
use crate::store::{AccountRef, TenantRef};
use crate::tunnels::gate::{Buckets, Prefix, Rate};
use fetch::Fetch;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, IssuerUrl,
    Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// Sign-ins that one network may begin.
const STARTS: Rate = Rate::per_minute(30);
/// How long what the provider says about itself is believed.
const METADATA: Duration = Duration::from_secs(5 * 60);
/// Signatures that we take: by a key of the provider's, never by a secret that we share.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 6] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider, as configured.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Its issuer, exactly as it writes it.
    pub issuer: String,
    /// Further hosts of it, which may be private as the issuer's may.
    pub hosts: Vec<String>,
    /// What it calls this relay.
    pub client_id: String,
    /// The file with the secret that it gave this relay; none for a public client.
    pub client_secret_file: Option<std::path::PathBuf>,
    /// What people call it.
    pub name: String,
    /// Who may come.
    pub guests: OidcGuests,
    /// Make an account for whoever may come and has none.
    pub create_accounts: bool,
}

/// Who may come: whoever fits each rule that is given.
#[derive(Debug, Clone, Default)]
pub struct OidcGuests {
    /// Domains of verified e-mail addresses; empty: any, or none.
    pub domains: Vec<String>,
    /// The claim that lists somebody's groups.
    pub groups_claim: String,
    /// Groups of which one must be listed; empty: any, or none.
    pub groups: Vec<String>,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum OidcRefused {
    /// Too many sign-ins were begun from this network.
    #[error("too many attempts")]
    Limited,
    /// The provider cannot be reached or does not answer as one.
    #[error("the identity provider: {0}")]
    Provider(String),
    /// Nothing of this state waits for this browser.
    #[error("nothing of this state was begun here")]
    State,
    /// What it brought back proves nothing.
    #[error("not proved: {0}")]
    Proof(String),
    /// The rules do not let this person in.
    #[error("the rules of this relay do not let this person in")]
    NotAllowed,
    /// The operating system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// For whom a sign-in was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// For whoever comes back.
    SignIn,
    /// To add the identity to an account, in this login of its own.
    Link(TenantRef, AccountRef, [u8; 32]),
}

/// Where a browser is sent.
#[derive(Debug)]
pub struct Sent {
    /// The provider's page.
    pub url: String,
    /// For a cookie: proves that it is the same browser that comes back.
    pub browser: String,
}

/// Somebody who proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// At the provider, for ever.
    pub subject: String,
    /// For lists: an e-mail address or a name.
    pub label: String,
    /// What an account of theirs might be called.
    pub username: String,
}

struct Begun {
    browser: [u8; 32],
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
    purpose: Purpose,
}

/// Claims beyond the standard: where groups are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct MoreClaims(HashMap<String, serde_json::Value>);

impl AdditionalClaims for MoreClaims {}

type Claims = IdTokenClaims<MoreClaims, CoreGenderClaim>;
type TokenFields = IdTokenFields<
    MoreClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type TokenResponse = StandardTokenResponse<TokenFields, CoreTokenType>;
type ProviderClient = Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider in use.
pub struct Oidc {
    settings: OidcSettings,
    issuer: IssuerUrl,
    secret: Option<ClientSecret>,
    fetch: Fetch,
    begun: Pending<Begun>,
    starts: Mutex<Buckets<Prefix>>,
    known: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Oidc {
    /// Of a provider; `secret` is what its file holds. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`FetchError`] when this machine trusts no certificate authority, or the issuer is no address.
    pub fn new(settings: OidcSettings, secret: Option<String>, now: Instant) -> Result<Self, FetchError> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| FetchError::Address)?;
        let fetch = Fetch::new(&settings.issuer, &settings.hosts)?;
        let secret = secret.map(ClientSecret::new);
        let starts = Mutex::new(Buckets::new(STARTS, now));
        Ok(Self { settings, issuer, secret, fetch, begun: Pending::default(), starts, known: Mutex::new(None) })
    }

    /// As configured.
    #[must_use]
    pub fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// Where to send a browser that is to come back to `redirect`.
    ///
    /// # Errors
    /// [`OidcRefused`].
    pub async fn begin(
        &self,
        purpose: Purpose,
        redirect: String,
        prefix: Prefix,
        now: Instant,
    ) -> Result<Sent, OidcRefused> {
        if !self.starts.lock().unwrap_or_else(PoisonError::into_inner).take(prefix, now) {
            return Err(OidcRefused::Limited);
        }
        let redirect = RedirectUrl::new(redirect).map_err(|e| OidcRefused::Provider(e.to_string()))?;
        let client = self.client(self.metadata(false, now).await?, redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (nonce, mut browser) = (Nonce::new_random(), [0; 32]);
        getrandom::fill(&mut browser)?;
        let browser = data_encoding::BASE64URL_NOPAD.encode(&browser);
        let begun =
            Begun { browser: Sha256::digest(&browser).into(), nonce: nonce.clone(), verifier, redirect, purpose };
        let state = CsrfToken::new(self.begun.keep(begun, now)?);
        let (url, _, _) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Sent { url: url.into(), browser })
    }

    /// Who came back, for what: with the code that the provider gave to the browser, and the browser's own secret.
    ///
    /// # Errors
    /// [`OidcRefused`]. The state counts no more, whatever comes of it, unless another browser brought it.
    pub async fn finish(
        &self,
        (state, code, issuer): (&str, &str, Option<&str>),
        browser: &str,
        now: Instant,
    ) -> Result<(Person, Purpose), OidcRefused> {
        let browser: [u8; 32] = Sha256::digest(browser).into();
        let same = |begun: &Begun| begun.browser.ct_eq(&browser).into();
        let begun = self.begun.take_if(state, now, same).ok_or(OidcRefused::State)?;
        if issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(OidcRefused::State);
        }
        let metadata = self.metadata(false, now).await?;
        let client = self.client(metadata, begun.redirect.clone());
        let ask = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let ask = ask.map_err(|e| OidcRefused::Provider(e.to_string()))?.set_pkce_verifier(begun.verifier);
        let asked = ask.request_async(&self.fetch).await;
        let tokens: TokenResponse = asked.map_err(not_exchanged)?;
        let claims = self.claims(&client, &tokens, &begun.nonce, &begun.redirect, now).await?;
        self.admit(&claims).map(|person| (person, begun.purpose))
    }

    /// What the provider signed. A key that we do not know may be a new one: it is asked for its keys once more.
    async fn claims(
        &self,
        client: &ProviderClient,
        tokens: &TokenResponse,
        nonce: &Nonce,
        redirect: &RedirectUrl,
        now: Instant,
    ) -> Result<Claims, OidcRefused> {
        let token = tokens.id_token().ok_or_else(|| OidcRefused::Proof("there is no id token".to_owned()))?;
        let verify = |client: &ProviderClient| {
            let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
            token.claims(&verifier, nonce).cloned()
        };
        let verified = match verify(client) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => verify(&self.client(self.metadata(true, now).await?, redirect.clone())),
            verified => verified,
        };
        let claims = verified.map_err(|e| OidcRefused::Proof(with_causes(&e)))?;
        // The library leaves this to us.
        match claims.authorized_party() {
            Some(party) if party.as_str() != self.settings.client_id => {
                Err(OidcRefused::Proof("the token is for another client".to_owned()))
            }
            Some(_) | None => Ok(claims),
        }
    }

    /// Whether the rules let this person in.
    fn admit(&self, claims: &Claims) -> Result<Person, OidcRefused> {
        let guests = &self.settings.guests;
        let email = claims.email().map(|email| email.as_str()).unwrap_or_default();
        if !guests.domains.is_empty() {
            let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
            let fits = domain.is_some_and(|domain| guests.domains.contains(&domain));
            if !fits || claims.email_verified() != Some(true) {
                return Err(OidcRefused::NotAllowed);
            }
        }
        if !guests.groups.is_empty() {
            let listed = claims.additional_claims().0.get(&guests.groups_claim).and_then(|value| value.as_array());
            let of_ours = |group: &serde_json::Value| guests.groups.iter().any(|ours| group == ours.as_str());
            if !listed.is_some_and(|listed| listed.iter().any(of_ours)) {
                return Err(OidcRefused::NotAllowed);
            }
        }
        let username = claims.preferred_username().map(|name| name.as_str()).unwrap_or(email).to_owned();
        let label = if email.is_empty() { username.clone() } else { email.to_owned() };
        Ok(Person { subject: claims.subject().as_str().to_owned(), label, username })
    }

    fn client(&self, metadata: Arc<CoreProviderMetadata>, redirect: RedirectUrl) -> ProviderClient {
        let id = ClientId::new(self.settings.client_id.clone());
        Client::from_provider_metadata((*metadata).clone(), id, self.secret.clone()).set_redirect_uri(redirect)
    }

    /// What the provider says about itself; asked anew when it is old, or `fresh` is wanted.
    async fn metadata(&self, fresh: bool, now: Instant) -> Result<Arc<CoreProviderMetadata>, OidcRefused> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, metadata)) = known.filter(|(at, _)| !fresh && now < *at + METADATA) {
            return Ok(metadata);
        }
        let asked = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.fetch).await;
        let metadata = Arc::new(asked.map_err(|e| OidcRefused::Provider(with_causes(&e)))?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, metadata.clone()));
        Ok(metadata)
    }
}

/// Why there are no tokens for a code. What the provider answered may be a secret, and so only where it is wrong is told.
fn not_exchanged(error: RequestTokenError<FetchError, StandardErrorResponse<CoreErrorResponseType>>) -> OidcRefused {
    match error {
        RequestTokenError::Request(error) => {
            OidcRefused::Provider(format!("its token endpoint: {}", with_causes(&error)))
        }
        RequestTokenError::Parse(error, _) => OidcRefused::Proof(format!("tokens that are none, at {}", error.path())),
        RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_) => OidcRefused::Proof(with_causes(&error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock;
    use openidconnect::{AuthUrl, EmptyAdditionalProviderMetadata, JsonWebKeySetUrl, ResponseTypes, TokenUrl};

    fn oidc(issuer: &str) -> Oidc {
        let settings = OidcSettings {
            issuer: issuer.to_owned(),
            hosts: Vec::new(),
            client_id: "relay".to_owned(),
            client_secret_file: None,
            name: "Work".to_owned(),
            guests: OidcGuests::default(),
            create_accounts: false,
        };
        Oidc::new(settings, None, clock::instant()).unwrap()
    }

    async fn begin(oidc: &Oidc) -> Result<Sent, OidcRefused> {
        let prefix = Prefix::of("192.0.2.1".parse().unwrap());
        oidc.begin(Purpose::SignIn, "https://relay.example/oidc/callback".to_owned(), prefix, clock::instant()).await
    }

    #[tokio::test]
    async fn a_provider_that_cannot_be_asked_is_told_with_what_led_to_it() {
        // Nobody listens there.
        let refused = begin(&oidc("http://127.0.0.1:1")).await.unwrap_err();
        assert!(matches!(&refused, OidcRefused::Provider(why) if why.contains("refused")), "{refused}");
    }

    #[tokio::test]
    async fn web_15_a_private_token_host_is_named_as_what_keeps_people_out() {
        let oidc = oidc("https://id.example");
        let metadata = CoreProviderMetadata::new(
            oidc.issuer.clone(),
            AuthUrl::new("https://id.example/auth".to_owned()).unwrap(),
            JsonWebKeySetUrl::new("https://id.example/keys".to_owned()).unwrap(),
            vec![ResponseTypes::new(Vec::new())],
            Vec::new(),
            Vec::new(),
            EmptyAdditionalProviderMetadata {},
        );
        for (token, expected) in
            [("https://10.0.0.1/token", "oidc.hosts"), ("https://localhost/token", "localhost leads")]
        {
            let metadata = metadata.clone().set_token_endpoint(Some(TokenUrl::new(token.to_owned()).unwrap()));
            *oidc.known.lock().unwrap() = Some((clock::instant(), Arc::new(metadata)));
            let sent = begin(&oidc).await.unwrap();
            let state = sent.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
            let refused = oidc.finish((state, "code", None), &sent.browser, clock::instant()).await.unwrap_err();
            assert!(matches!(&refused, OidcRefused::Provider(why) if why.contains(expected)), "{token}: {refused}");
        }
    }
}
