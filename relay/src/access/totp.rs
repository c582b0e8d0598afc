//! The second step after a password: six digits from an app, or one of ten codes on paper.
//!
//! The secret of an app stands in the database under a key that is not in it. A code counts once: whoever looks over a
//! shoulder, or copies what a page sent, has nothing (AUT-05). Never: asked before the password was right, which would
//! tell strangers that an account exists.

use super::SignInRefused;
use super::codes::{OneTimeCode, hash_of_typed};
use super::pending::Pending;
use crate::store::{Account, AccountRef, Actor, NewTotp, Store};
use crate::tunnels::gate::{Buckets, Rate};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use cloud_doctor_proto::time::UnixTime;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use totp_rs::{Builder, Totp};

/// Codes on paper.
pub const RECOVERY_CODES: usize = 10;
/// Guesses at the codes of an account whose password is known: a million codes outlast two years of it.
const GUESSES: Rate = Rate { per_minute: 1, burst: 5 };
/// What apps call us.
const ISSUER: &str = "Cloud Doctor";
const STEP_SECS: u64 = 30;
const SECRET_BYTES: usize = 20;

/// The second step did not begin.
#[derive(Debug, thiserror::Error)]
pub enum TotpRefused {
    /// Nothing of this id waits, or it is another login's.
    #[error("nothing of this id was begun")]
    NotBegun,
    /// Not the code of this moment.
    #[error("this is not the code of this moment")]
    Code,
    /// It is on already.
    #[error("the second step is on already")]
    On,
    /// The library or the cipher said no, which our own values give no reason for.
    #[error("cannot make or keep a secret")]
    Failed,
    /// See there.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The operating system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A secret that an app is to learn.
struct Starting {
    account: AccountRef,
    login: [u8; 32],
    secret: [u8; SECRET_BYTES],
}

/// What an app is shown, once.
#[derive(Debug)]
pub struct Begun {
    /// Comes back with the first code.
    pub id: String,
    /// In base32, to be typed.
    pub secret: String,
    /// As `otpauth:` URI, to be shown as a picture.
    pub uri: String,
}

/// The second steps of all accounts.
pub struct SecondStep {
    key: LessSafeKey,
    starting: Pending<Starting>,
    guesses: Mutex<Buckets<AccountRef>>,
}

impl std::fmt::Debug for SecondStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecondStep").field("starting", &self.starting).finish_non_exhaustive()
    }
}

impl SecondStep {
    /// Under the key from `factors.key`.
    ///
    /// # Panics
    /// Never: the key has the cipher's length.
    #[must_use]
    pub fn new(key: &[u8; 32], now: Instant) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("32 bytes are a key of this cipher");
        let guesses = Mutex::new(Buckets::new(GUESSES, now));
        Self { key: LessSafeKey::new(key), starting: Pending::default(), guesses }
    }

    /// A new secret for this login's account. It counts from [`SecondStep::confirm`] on.
    ///
    /// # Errors
    /// [`TotpRefused`].
    pub fn begin(&self, account: &Account, login: &[u8; 32], now: Instant) -> Result<Begun, TotpRefused> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        // Apps part issuer and account at a colon.
        let shown = Builder::new().with_secret(secret.to_vec()).with_issuer(Some(ISSUER));
        let shown = shown.with_account_name(account.name.replace(':', "-")).build();
        let shown = shown.map_err(|_| TotpRefused::Failed)?;
        let uri = shown.to_url().map_err(|_| TotpRefused::Failed)?;
        let starting = Starting { account: account.account, login: *login, secret };
        Ok(Begun { id: self.starting.keep(starting, now)?, secret: shown.secret().to_base32(), uri })
    }

    /// Turns the second step on when the app shows the right code; returns the codes on paper.
    ///
    /// # Errors
    /// [`TotpRefused`]. After a wrong code the same secret may be confirmed again.
    pub async fn confirm(
        &self,
        store: &Store,
        (id, code): (&str, &str),
        account: &Account,
        login: &[u8; 32],
        by: Actor<'_>,
        (now, instant): (UnixTime, Instant),
    ) -> Result<Vec<String>, TotpRefused> {
        let mut step = None;
        let fits = |starting: &Starting| {
            let ours = starting.account == account.account && starting.login == *login;
            step = totp(&starting.secret).filter(|_| ours).map(|totp| totp.check(code, now.0));
            step.flatten().is_some()
        };
        let started = self.starting.take_if(id, instant, fits);
        let (started, last_step) = match (started, step) {
            (Some(started), Some(Some(step))) => (started, step),
            (_, Some(None)) => return Err(TotpRefused::Code),
            (Some(_) | None, _) => return Err(TotpRefused::NotBegun),
        };
        let (codes, hashes) = recovery_codes()?;
        let sealed = self.seal(&started.secret, account)?;
        let new = NewTotp { sealed, last_step, recovery: hashes };
        let on = store.of(account.tenant).set_totp(account.account, &new, by, now).await?;
        if on { Ok(codes) } else { Err(TotpRefused::On) }
    }

    /// Asks whoever knew the password for the second step, if the account has one.
    ///
    /// # Errors
    /// [`SignInRefused`].
    pub async fn ask(
        &self,
        store: &Store,
        account: &Account,
        code: &str,
        client: &str,
        (now, instant): (UnixTime, Instant),
    ) -> Result<(), SignInRefused> {
        let scoped = store.of(account.tenant);
        let Some(kept) = scoped.totp(account.account).await? else { return Ok(()) };
        if code.trim().is_empty() {
            return Err(SignInRefused::CodeNeeded);
        }
        // The lock is for one look at a table.
        if !self.guesses.lock().unwrap_or_else(PoisonError::into_inner).take(account.account, instant) {
            return Err(SignInRefused::Limited);
        }
        let secret = self.open(&kept.sealed, account).ok_or(SignInRefused::Secret)?;
        let step = totp(&secret).and_then(|totp| totp.check(code.trim(), now.0));
        let right = match step {
            Some(step) => scoped.take_totp_step(account.account, step).await?,
            None => {
                let by = Actor { account: &account.name, client };
                scoped.take_recovery_code(account.account, &hash_of_typed(code), by, now).await?
            }
        };
        if right { Ok(()) } else { Err(SignInRefused::WrongCode) }
    }

    fn seal(&self, secret: &[u8], account: &Account) -> Result<Vec<u8>, TotpRefused> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut sealed = secret.to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        let bound = Aad::from(account.name.as_bytes());
        self.key.seal_in_place_append_tag(sealing, bound, &mut sealed).map_err(|_| TotpRefused::Failed)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// `None`: it was sealed under another key or for another account.
    fn open(&self, sealed: &[u8], account: &Account) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let bound = Aad::from(account.name.as_bytes());
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut sealed).ok()?;
        Some(opened.to_vec())
    }
}

/// What every app does: SHA-1, six digits, thirty seconds, and one step of patience in each direction.
fn totp(secret: &[u8]) -> Option<Totp> {
    Builder::new().with_secret(secret.to_vec()).with_step_duration(STEP_SECS).with_skew(1).build().ok()
}

/// The step after which codes count again when those before may have been used.
#[must_use]
pub fn step_after(now: UnixTime) -> u64 {
    now.0 / STEP_SECS + 1
}

/// New codes on paper, and what the store knows them by.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn recovery_codes() -> Result<(Vec<String>, Vec<[u8; 32]>), getrandom::Error> {
    let codes: Result<Vec<OneTimeCode>, _> = (0..RECOVERY_CODES).map(|_| OneTimeCode::short()).collect();
    Ok(codes?.into_iter().map(|code| (code.reveal(), code.hash())).unzip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use crate::store::FirstAccount;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const WHO: Actor<'static> = Actor { account: "ann", client: "192.0.2.1" };

    struct World {
        _dir: tempfile::TempDir,
        store: Store,
        account: Account,
        second: SecondStep,
        start: Instant,
    }

    async fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("relay.db")).await.unwrap();
        let first = FirstAccount { tenant_name: "t".into(), account: "a:nn".into(), password: "$".into() };
        let tenant = store.set_up(&first, "", NOW).await.unwrap();
        let account = store.of(tenant).accounts().await.unwrap().remove(0);
        let start = Instant::now();
        World { _dir: dir, store, account, second: SecondStep::new(&[7; 32], start), start }
    }

    impl World {
        async fn on(&self) -> (Totp, Vec<String>) {
            let begun = self.second.begin(&self.account, &[1; 32], self.start).unwrap();
            let app = Totp::from_url(&begun.uri).unwrap();
            let code = app.generate(NOW.0).to_string();
            let asked = (begun.id.as_str(), code.as_str());
            let paper = self.second.confirm(&self.store, asked, &self.account, &[1; 32], WHO, (NOW, self.start)).await;
            (app, paper.unwrap())
        }

        async fn ask(&self, code: &str, secs: u64) -> Result<(), SignInRefused> {
            // Far apart for the limit, at one moment for the code.
            let instant = self.start + std::time::Duration::from_secs(60 * secs);
            self.second.ask(&self.store, &self.account, code, "", (NOW.plus_secs(secs), instant)).await
        }
    }

    #[tokio::test]
    async fn aut_05_a_code_counts_once_and_no_earlier_one_after_it() {
        let world = world().await;
        assert!(world.ask("", 0).await.is_ok(), "off");
        let (app, _) = world.on().await;
        let code = |secs: u64| app.generate(NOW.0 + secs).to_string();
        assert!(matches!(world.ask("  ", 30).await, Err(SignInRefused::CodeNeeded)));
        let wrong = async |code: String, secs| matches!(world.ask(&code, secs).await, Err(SignInRefused::WrongCode));
        assert!(wrong(code(0), 1).await, "the one that turned it on");
        assert!(world.ask(&code(60), 60).await.is_ok());
        assert!(wrong(code(60), 61).await, "again");
        assert!(wrong(code(30), 62).await, "an earlier one, still within its window");
        assert!(world.ask(&code(120), 95).await.is_ok(), "a clock that is ahead");
        assert!(wrong(code(240), 150).await && wrong(code(150), 240).await, "two steps away");
        for junk in ["000000000", "abcdef", "١٢٣٤٥٦", "-1", "1e5"] {
            assert!(wrong(junk.to_owned(), 300).await, "{junk}");
        }
    }

    #[tokio::test]
    async fn aut_05_codes_on_paper_count_once_each() {
        let world = world().await;
        let (_, paper) = world.on().await;
        assert_eq!(paper.len(), RECOVERY_CODES);
        assert!(world.ask(&paper[0].to_lowercase(), 30).await.is_ok());
        assert!(matches!(world.ask(&paper[0], 60).await, Err(SignInRefused::WrongCode)));
        assert!(world.ask(&paper[9].replace('-', " "), 90).await.is_ok());
        let left = world.store.of(world.account.tenant).totp(world.account.account).await.unwrap().unwrap();
        assert_eq!(left.recovery_left, 8);
    }

    #[tokio::test]
    async fn aut_01_codes_are_guessed_five_times_and_then_once_a_minute() {
        let world = world().await;
        world.on().await;
        let guess = async |secs: u64| {
            let instant = world.start + std::time::Duration::from_secs(secs);
            world.second.ask(&world.store, &world.account, "000000", "", (NOW, instant)).await
        };
        for _ in 0..5 {
            assert!(matches!(guess(0).await, Err(SignInRefused::WrongCode)));
        }
        assert!(matches!(guess(0).await, Err(SignInRefused::Limited)));
        assert!(matches!(guess(60).await, Err(SignInRefused::WrongCode)));
        assert!(matches!(guess(60).await, Err(SignInRefused::Limited)));
    }

    #[tokio::test]
    async fn a_secret_opens_under_its_key_for_its_account_only() {
        let world = world().await;
        let sealed = world.second.seal(b"secret", &world.account).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(world.second.open(&sealed, &world.account).unwrap(), b"secret");
        let other = Account { name: "eve".into(), ..world.account.clone() };
        assert!(world.second.open(&sealed, &other).is_none());
        assert!(SecondStep::new(&[8; 32], world.start).open(&sealed, &world.account).is_none());
        assert!(world.second.open(&sealed[..5], &world.account).is_none());
    }

    #[tokio::test]
    async fn aut_07_a_secret_is_confirmed_by_the_login_that_began_it() {
        let world = world().await;
        let begun = world.second.begin(&world.account, &[1; 32], world.start).unwrap();
        assert!(begun.uri.starts_with("otpauth://totp/Cloud%20Doctor:a-nn?secret="), "{}", begun.uri);
        let code = Totp::from_url(&begun.uri).unwrap().generate(NOW.0).to_string();
        let confirm = async |code: &str, login: u8| {
            let asked = (begun.id.as_str(), code);
            world.second.confirm(&world.store, asked, &world.account, &[login; 32], WHO, (NOW, world.start)).await
        };
        assert!(matches!(confirm(&code, 2).await, Err(TotpRefused::NotBegun)));
        assert!(matches!(confirm("000000", 1).await, Err(TotpRefused::Code)));
        assert!(confirm(&code, 1).await.is_ok(), "a slip of the finger costs nothing");
        assert!(matches!(confirm(&code, 1).await, Err(TotpRefused::NotBegun)));
    }
}
