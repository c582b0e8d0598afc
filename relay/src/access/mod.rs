//! Who may use the relay: accounts, sign-in, its limits, and the one-time set-up.
//!
//! Signing in opens no server; it only lets somebody see lists and carry sealed bytes. What decides is synchronous
//! and takes `now`. Never: a default password, a secret stored in clear, an answer that tells whether an account
//! exists (AUT-02), a limit that locks a person out of a place where they signed in before (AUT-01).

mod codes;
mod oidc;
mod passkeys;
mod passwords;
mod pending;
mod setup;
mod tickets;
mod token;
mod totp;

pub use codes::{OneTimeCode, hash_of_typed};
pub use oidc::{FetchError, Oidc, OidcGuests, OidcRefused, OidcSettings, Person, Purpose, Sent};
pub use passkeys::{EXCLUDED_MAX, Made, Owner, PasskeyRefused, Passkeys, Site, User};
pub use passwords::{Busy, PASSWORD_CHARS, Passwords, Queue};
pub use setup::{SETUP_CODE_LIFETIME, SetupAnswer, SetupCode, SetupDoor};
pub use tickets::{NoTicket, Tickets};
pub use token::{BearerToken, Lasting, needs_touch};
pub use totp::{RECOVERY_CODES, SecondStep, TotpRefused, recovery_codes, step_after};

use crate::store::{Account, Lifetime, LoginKind, NewLogin, Store, StoreError, Way};
use crate::tunnels::gate::{Buckets, Prefix, Rate};
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use webauthn_rs::prelude::PublicKeyCredential;

/// Attempts per account from places where it never signed in (H-12).
const PER_ACCOUNT: Rate = Rate::per_minute(5);
/// Attempts per network (H-12).
const PER_PREFIX: Rate = Rate::per_minute(30);
/// How long a place stays known after the last sign-in there.
const PLACE_DAYS: u64 = 90;
/// What is kept of what a client calls itself.
const USER_AGENT_CHARS: usize = 200;
/// Requests of a signed-in account: a console with many open lists stays far below.
const CALLS: Rate = Rate { per_minute: 1_200, burst: 200 };

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefused {
    /// No such account, or not its password: the relay does not say which.
    #[error("account or password is wrong")]
    Wrong,
    /// The password was right; the account asks for a code as well.
    #[error("a code is needed as well")]
    CodeNeeded,
    /// The password was right, the code is not, or was used.
    #[error("the code is wrong")]
    WrongCode,
    /// The account's secret cannot be opened: `factors.key` is another one than it was sealed under.
    #[error("the secret of the second step cannot be opened")]
    Secret,
    /// See there.
    #[error(transparent)]
    Passkey(#[from] PasskeyRefused),
    /// Too many attempts for this account or from this network.
    #[error("too many attempts")]
    Limited,
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A sign-in that succeeded.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub account: Account,
    /// What proves it from now on. Shown once.
    pub token: BearerToken,
    /// When it ends whatever happens.
    pub ends_at: UnixTime,
}

/// Somebody who wants to sign in.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The account's name.
    pub account: &'a str,
    /// What was typed.
    pub password: &'a str,
    /// The second step's code, if one was typed.
    pub code: &'a str,
    /// From where, and for how long.
    pub by: Newcomer<'a>,
}

/// Who signs in, apart from what they show.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// The address they come from.
    pub client: IpAddr,
    /// What their client calls itself.
    pub user_agent: &'a str,
    /// What the login will be kept in.
    pub kind: LoginKind,
    /// For how long.
    pub lasting: Lasting,
}

/// Sign-in and its limits.
#[derive(Debug)]
pub struct Access {
    store: Store,
    /// Checks and makes password hashes, few at a time.
    pub passwords: Passwords,
    /// The one-time set-up, while it is open.
    pub setup: SetupDoor,
    /// The second step after a password.
    pub second_step: SecondStep,
    /// The identity provider, if one is configured.
    pub oidc: Option<Oidc>,
    /// Passkeys that are being made and asked for.
    pub passkeys: Passkeys,
    /// One-time tickets for the streams of pages.
    pub tickets: Tickets,
    limits: Mutex<Limits>,
}

/// The buckets of sign-in, and of calls afterwards.
#[derive(Debug)]
struct Limits {
    /// By the hash of the name as typed, which is short whatever was typed; places that the account knows have
    /// buckets of their own.
    accounts: Buckets<([u8; 32], Option<Prefix>)>,
    prefixes: Buckets<Prefix>,
    calls: Buckets<String>,
}

impl Access {
    /// Over the store; `setup` is open when the relay has no account yet.
    #[must_use]
    pub fn new(
        store: Store,
        passwords: Passwords,
        second_step: SecondStep,
        oidc: Option<Oidc>,
        setup: SetupDoor,
        now: Instant,
    ) -> Self {
        let limits = Limits {
            accounts: Buckets::new(PER_ACCOUNT, now),
            prefixes: Buckets::new(PER_PREFIX, now),
            calls: Buckets::new(CALLS, now),
        };
        let (passkeys, tickets, limits) = (Passkeys::new(now), Tickets::default(), Mutex::new(limits));
        Self { store, passwords, setup, second_step, oidc, passkeys, tickets, limits }
    }

    /// Checks a password and begins a login.
    ///
    /// # Errors
    /// [`SignInRefused`]. Unknown accounts cost the same time as wrong passwords.
    pub async fn sign_in(
        &self,
        attempt: Attempt<'_>,
        now: UnixTime,
        instant: Instant,
    ) -> Result<SignedIn, SignInRefused> {
        let prefix = Prefix::of(attempt.by.client);
        self.may_guess(prefix, instant)?;
        // No account has a longer name, and what no account has must cost nothing.
        if attempt.account.len() > 4 * NAME_CHARS_MAX {
            return Err(SignInRefused::Wrong);
        }
        let place = prefix.bytes();
        let since = UnixTime(now.0.saturating_sub(PLACE_DAYS * DAY_SECS));
        let found = self.store.account_by_name(attempt.account, &place, since).await?;
        let known = found.as_ref().is_some_and(|found| found.knows_place);
        let key = (Sha256::digest(attempt.account).into(), known.then_some(prefix));
        if !self.lock().accounts.take(key, instant) {
            return Err(SignInRefused::Limited);
        }
        let queue = if known { Queue::Known } else { Queue::Strangers };
        let (account, hash) = found.map(|found| (found.account, found.password)).unzip();
        let right = self.passwords.verify(attempt.password, hash.flatten(), queue).await?;
        let Some(account) = account.filter(|_| right) else { return Err(SignInRefused::Wrong) };
        let client = attempt.by.client.to_string();
        self.second_step.ask(&self.store, &account, attempt.code, &client, (now, instant)).await?;
        self.begin(account, Way::Password, &attempt.by, now).await?.ok_or(SignInRefused::Wrong)
    }

    /// Checks a passkey and begins a login. Nobody named an account before; the passkey says whose it is.
    ///
    /// # Errors
    /// [`SignInRefused`]. Whatever is wrong with a passkey is [`SignInRefused::Passkey`].
    pub async fn sign_in_by_passkey(
        &self,
        id: &str,
        brought: &PublicKeyCredential,
        by: &Newcomer<'_>,
        now: UnixTime,
        instant: Instant,
    ) -> Result<SignedIn, SignInRefused> {
        self.may_guess(Prefix::of(by.client), instant)?;
        let asked = self.passkeys.asked(id, instant)?;
        let credential_id = brought.get_credential_id();
        let known = self.store.passkey(credential_id).await?.ok_or(PasskeyRefused::Unknown)?;
        let passkey = asked.answered(&known, brought)?;
        self.store.of(known.account.tenant).used_passkey(credential_id, &passkey, now).await?;
        let signed_in = self.begin(known.account, Way::Passkey, by, now).await?;
        Ok(signed_in.ok_or(PasskeyRefused::Unknown)?)
    }

    /// Begins a login of somebody who has shown who they are. `None`: their account was disabled meanwhile.
    ///
    /// # Errors
    /// [`SignInRefused::Store`] and [`SignInRefused::Randomness`].
    pub async fn begin(
        &self,
        account: Account,
        way: Way,
        by: &Newcomer<'_>,
        now: UnixTime,
    ) -> Result<Option<SignedIn>, SignInRefused> {
        let token = BearerToken::random()?;
        let ends_at = now.plus_secs(by.lasting.age_secs());
        let new = NewLogin {
            token_hash: &token.hash(),
            kind: by.kind,
            way,
            place: &Prefix::of(by.client).bytes(),
            client: &by.client.to_string(),
            user_agent: &one_line(by.user_agent, USER_AGENT_CHARS),
            lifetime: Lifetime { ends_at, idle_secs: by.lasting.idle_secs() },
        };
        let begun = self.store.of(account.tenant).begin_login(&account, &new, now).await?;
        Ok(begun.then_some(SignedIn { account, token, ends_at }))
    }

    /// Counts a guess of anything (a password, a set-up code) against the network it comes from.
    ///
    /// # Errors
    /// [`SignInRefused::Limited`].
    pub fn may_guess(&self, prefix: Prefix, now: Instant) -> Result<(), SignInRefused> {
        if self.lock().prefixes.take(prefix, now) { Ok(()) } else { Err(SignInRefused::Limited) }
    }

    /// Counts a request of a signed-in account.
    pub fn may_call(&self, account: &str, now: Instant) -> bool {
        self.lock().calls.take(account.to_owned(), now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Limits> {
        // The lock is for one look at a table.
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use crate::store::FirstAccount;
    use std::time::Duration;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const PASSWORD: &str = "correct horse battery";

    async fn access() -> (tempfile::TempDir, Access, Instant) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("relay.db")).await.unwrap();
        let passwords = Passwords::new();
        let password = passwords.hash(PASSWORD).await.unwrap();
        let first = FirstAccount { tenant_name: "t".into(), account: "ann".into(), password };
        store.set_up(&first, "", NOW).await.unwrap();
        let start = Instant::now();
        let second_step = SecondStep::new(&[7; 32], start);
        (dir, Access::new(store, passwords, second_step, None, SetupDoor::closed(), start), start)
    }

    fn attempt<'a>(password: &'a str, client: &str) -> Attempt<'a> {
        let (client, lasting) = (client.parse().unwrap(), Lasting::Short);
        let by = Newcomer { client, user_agent: "", kind: LoginKind::Program, lasting };
        Attempt { account: "ann", password, code: "", by }
    }

    #[tokio::test]
    async fn h_12_dos_07_two_hundred_calls_at_once_and_then_twenty_a_second() {
        let (_dir, access, start) = access().await;
        assert!((0..200).all(|_| access.may_call("ann", start)));
        assert!(!access.may_call("ann", start));
        assert!(access.may_call("eve", start), "of each account");
        let later = start + Duration::from_millis(1_000);
        assert!((0..20).all(|_| access.may_call("ann", later)));
        assert!(!access.may_call("ann", later));
    }

    #[tokio::test]
    async fn aut_08_logins_end_by_idleness_and_by_age() {
        let (_dir, access, start) = access().await;
        for (lasting, idle, age) in [(Lasting::Short, 900, 12 * 3600), (Lasting::Long, 12 * 3600, 30 * DAY_SECS)] {
            let attempt = attempt(PASSWORD, "192.0.2.1");
            let attempt = Attempt { by: Newcomer { lasting, ..attempt.by }, ..attempt };
            let signed_in = access.sign_in(attempt, NOW, start).await.unwrap();
            assert_eq!(signed_in.ends_at, NOW.plus_secs(age));
            let (store, hash) = (&access.store, signed_in.token.hash());
            let alive =
                async |now: UnixTime| store.login(&hash).await.unwrap().is_some_and(|login| login.is_alive(now));
            assert!(alive(NOW.plus_secs(idle)).await && !alive(NOW.plus_secs(idle + 1)).await, "{lasting:?}");
            // Used again and again it ends all the same.
            let last = NOW.plus_secs(age - 1);
            assert!(store.touch_login(&hash, None, last).await.unwrap());
            assert!(alive(last).await && !alive(NOW.plus_secs(age)).await, "{lasting:?}");
            // What has ended is forgotten, what has not stays.
            store.forget_logins(last).await.unwrap();
            assert!(alive(last).await);
            store.forget_logins(NOW.plus_secs(age)).await.unwrap();
            assert!(store.login(&hash).await.unwrap().is_none());
            let unused = access.sign_in(attempt, NOW, start).await.unwrap().token.hash();
            store.forget_logins(NOW.plus_secs(idle)).await.unwrap();
            assert!(store.login(&unused).await.unwrap().is_some());
            store.forget_logins(NOW.plus_secs(idle + 1)).await.unwrap();
            assert!(store.login(&unused).await.unwrap().is_none(), "{lasting:?}");
        }
    }

    #[tokio::test]
    async fn aut_01_guessers_elsewhere_do_not_lock_out_who_signed_in_here_before() {
        let (_dir, access, start) = access().await;
        access.sign_in(attempt(PASSWORD, "192.0.2.1"), NOW, start).await.unwrap();
        let mut limited = 0;
        for host in 0..12 {
            let guess = access.sign_in(attempt("guess", &format!("203.0.{host}.1")), NOW, start).await;
            limited += usize::from(matches!(guess, Err(SignInRefused::Limited)));
        }
        assert_eq!(limited, 8, "one attempt was ann's first");
        let here = access.sign_in(attempt(PASSWORD, "192.0.2.200"), NOW, start).await;
        assert!(here.is_ok(), "the same network: {here:?}");
        let elsewhere = access.sign_in(attempt(PASSWORD, "198.51.100.1"), NOW, start).await;
        assert!(matches!(elsewhere, Err(SignInRefused::Limited)));
        let later = access.sign_in(attempt(PASSWORD, "198.51.100.1"), NOW, start + Duration::from_secs(12)).await;
        assert!(later.is_ok(), "one more every 12 seconds: {later:?}");
    }

    #[tokio::test]
    async fn aut_01_the_thirty_first_attempt_of_a_network_is_refused() {
        let (_dir, access, start) = access().await;
        let prefix = Prefix::of("2001:db8:0:1::1".parse().unwrap());
        for _ in 0..30 {
            access.may_guess(prefix, start).unwrap();
        }
        assert!(access.may_guess(prefix, start).is_err());
        access.may_guess(Prefix::of("2001:db8:1::1".parse().unwrap()), start).unwrap();
    }

    #[tokio::test]
    async fn aut_02_an_unknown_name_takes_as_long_as_a_wrong_password() {
        let (_dir, access, start) = access().await;
        let mut took = [Vec::new(), Vec::new()];
        for round in 0..9_u64 {
            for (at, account) in ["ann", "nobody"].into_iter().enumerate() {
                let wrong = Attempt { account, ..attempt("guess", "192.0.2.1") };
                let began = Instant::now();
                let refused = access.sign_in(wrong, NOW, start + Duration::from_secs(60 * round)).await;
                took[at].push(began.elapsed());
                assert!(matches!(refused, Err(SignInRefused::Wrong)), "{refused:?}");
            }
        }
        let [known, unknown] = took.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        // Without the decoy an unknown name would answer a hundred times faster; a busy machine blurs the rest.
        assert!(known < 3 * unknown && unknown < 3 * known, "{known:?} and {unknown:?}");
    }

    #[tokio::test]
    async fn dos_names_that_no_account_has_are_not_kept() {
        let (_dir, access, start) = access().await;
        let long = "x".repeat(250_000);
        let refused = access.sign_in(Attempt { account: &long, ..attempt("guess", "192.0.2.1") }, NOW, start).await;
        assert!(matches!(refused, Err(SignInRefused::Wrong)));
        assert!(!format!("{access:?}").contains("xxxx"), "neither this name");
        let short = "y".repeat(100);
        let refused = access.sign_in(Attempt { account: &short, ..attempt("guess", "192.0.2.1") }, NOW, start).await;
        assert!(matches!(refused, Err(SignInRefused::Wrong)));
        assert!(!format!("{access:?}").contains("yyyy"), "nor a shorter one");
    }
}
