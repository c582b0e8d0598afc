//! `setup`, `login`, `logout`, `tenant trust`: who one is at a relay, and which customer counts.

use super::{App, reach};
use crate::args::{Login, Setup};
use crate::fail::{Fail, REFUSED, SIGN_IN, TRUST};
use crate::terminal::{ask, ask_hidden};
use cloud_doctor::home::{Config, RelayEntry, TenantText};
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{Address, Relay, RelayError, SetUp, SignedIn as SignedInAs};
use cloud_doctor::trust_store::{TrustError, TrustStore};
use cloud_doctor_proto::ids::{Hash, TenantId};
use cloud_doctor_proto::trust::TrustLog;
use cloud_doctor_proto::words::{Pin as WordPin, words};
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

/// A password file or code file: one line.
const SECRET_BYTES_MAX: u64 = 4096;

pub(super) async fn set_up(app: &App, asked: Setup) -> Result<(), Fail> {
    let relay = reach(&asked.at.url, asked.at.pin.as_deref(), app.language)?;
    let code = match &asked.code_file {
        Some(file) => secret(file)?,
        None => Zeroizing::new(ask(&app.words(Id::AskCode))?),
    };
    let account = asked.account.map_or_else(|| ask(&app.words(Id::AskAccount)), Ok)?;
    let tenant = asked.tenant.map_or_else(|| ask(&app.words(Id::AskTenant)), Ok)?;
    let password = match &asked.password_file {
        Some(file) => secret(file)?,
        None => new_password(app)?,
    };
    let wish = SetUp { code: code.trim(), account: &account, password: &password, tenant_name: &tenant };
    relay.set_up(&wish).await?;
    app.say(Id::SetUpDone.with(&[&account, &relay.address]));
    enter(app, &relay, asked.at.pin, (&account, &password, None)).await?;
    app.say(Id::SetUpNext.with(&[&tenant]));
    Ok(())
}

pub(super) fn new_password(app: &App) -> Result<Zeroizing<String>, Fail> {
    let first = ask_hidden(&app.words(Id::AskNewPassword))?;
    let second = ask_hidden(&app.words(Id::AskAgain))?;
    if first == second { Ok(first) } else { Err(Id::PasswordsDiffer.into()) }
}

pub(super) async fn login(app: &App, asked: Login) -> Result<(), Fail> {
    let config = app.home.config()?;
    let known = config.relays.values().find(|entry| same_address(&entry.url, &asked.at.url));
    let pin = asked.at.pin.or_else(|| known.and_then(|entry| entry.pin.clone()));
    let relay = reach(&asked.at.url, pin.as_deref(), app.language)?;
    let account = asked.account.or_else(|| known.map(|entry| entry.account.clone()).filter(|name| !name.is_empty()));
    let account = account.unwrap_or_else(user_name);
    let password = match &asked.password_file {
        Some(file) => secret(file)?,
        None => ask_hidden(&Id::AskPassword.with(&[&account]).text(app.language))?,
    };
    let (name, relay) = enter(app, &relay, pin, (&account, &password, asked.code_file.as_deref())).await?;
    app.say(Id::SignedIn.with(&[&account, &relay.address]));
    first_trust(app, &name, &relay, asked.trust.as_deref()).await
}

fn same_address(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<Address>();
    matches!((parse(one), parse(other)), (Ok(one), Ok(other)) if one == other)
}

/// Signs in and writes the files.
async fn enter(
    app: &App,
    relay: &Relay,
    pin: Option<String>,
    (account, password, code_file): (&str, &str, Option<&Path>),
) -> Result<(String, Relay), Fail> {
    let signed_in = prove(app, relay, (account, password), code_file).await?;
    let mut config = app.home.config()?;
    let url = relay.address.to_string();
    let known = config.relays.iter().find(|(_, entry)| same_address(&entry.url, &url)).map(|(name, _)| name.clone());
    let name = app.relay.clone().or(known).unwrap_or_else(|| new_name(&config, &relay.address));
    let entry = config.relays.entry(name.clone()).or_default();
    *entry = RelayEntry { url, pin, account: account.to_owned(), ..entry.clone() };
    if config.default.is_empty() {
        config.default.clone_from(&name);
    }
    app.home.write_config(&config)?;
    app.home.write_token(&name, &signed_in.token)?;
    Ok((name, relay.signed_in(signed_in.token)))
}

/// Signs in by password, and by a code where the account has a second step. A wrong code is not asked for again: the relay
/// counts, and who waits for the next digits may as well start anew.
async fn prove(
    app: &App,
    relay: &Relay,
    (account, password): (&str, &str),
    code_file: Option<&Path>,
) -> Result<SignedInAs, Fail> {
    let given = code_file.map(secret).transpose()?;
    match relay.sign_in(account, password, given.as_deref().map(|code| code.trim())).await {
        Err(RelayError::Problem { code, .. }) if code == "code-needed" => {
            let code = ask_hidden(&Id::AskLoginCode.with(&[&account]).text(app.language));
            let code = code.map_err(|_| Fail::Say(Id::CodeNeeded.with(&[&account]), SIGN_IN))?;
            Ok(relay.sign_in(account, password, Some(code.trim())).await?)
        }
        Err(RelayError::Problem { code, .. }) if code == "wrong-login" => {
            Err(Fail::Say(Id::LoginWrong.into(), REFUSED))
        }
        signed_in => Ok(signed_in?),
    }
}

/// A name for a relay that is new here: its host, or with its port when that name is another relay's.
fn new_name(config: &Config, address: &Address) -> String {
    if config.relays.contains_key(&address.host) { address.authority() } else { address.host.clone() }
}

pub(super) async fn logout(app: &App) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    // A sign-in that the relay has forgotten is ended all the same.
    match signed_in.relay.sign_out().await {
        Ok(()) | Err(RelayError::SignIn { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    app.home.remove_token(&signed_in.name)?;
    app.say(Id::SignedOut.with(&[&signed_in.relay.address]));
    Ok(())
}

pub(super) async fn trust(app: &App, words: &str) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    first_trust(app, &signed_in.name, &signed_in.relay, Some(words)).await
}

/// Trusts the relay's customer if the words fit, or a person says that they do. Once trusted, a customer stays.
async fn first_trust(app: &App, name: &str, relay: &Relay, pin: Option<&str>) -> Result<(), Fail> {
    let config = app.home.config()?;
    let (_, entry) = config.relay(Some(name))?;
    if let Some(TenantText(tenant)) = entry.tenant {
        return still(relay, tenant, pin).await;
    }
    let Some(genesis) = relay.log_page(0).await?.entries().into_iter().next() else {
        app.say(Id::NoLogYet);
        return Ok(());
    };
    let log = TrustLog::genesis(&genesis, None).map_err(TrustError::Refused)?;
    let tenant = log.tenant();
    let theirs = words(&Hash(tenant.0));
    match pin {
        Some(pin) => {
            let pin: WordPin = pin.parse().map_err(|error| Fail::Say(Id::WordsForm.with(&[&error]), TRUST))?;
            if !pin.matches(&Hash(tenant.0)) {
                return Err(Fail::Say(Id::TrustOther.with(&[&theirs]), TRUST));
            }
        }
        None if std::io::stdin().is_terminal() => {
            app.say(Id::CompareWords.with(&[&log.name, &theirs]));
            if !yes(&ask(&app.words(Id::AskSame))?) {
                app.say(Id::NotTrusted);
                return Ok(());
            }
        }
        None => {
            app.say(Id::NoTenant);
            return Ok(());
        }
    }
    remember(app, name, relay, tenant, &genesis).await?;
    app.say(Id::Trusted.with(&[&log.name, &theirs]));
    Ok(())
}

/// A customer that is trusted already: the words may only confirm it.
async fn still(relay: &Relay, tenant: TenantId, pin: Option<&str>) -> Result<(), Fail> {
    if let Some(pin) = pin {
        let pin: WordPin = pin.parse().map_err(|error| Fail::Say(Id::WordsForm.with(&[&error]), TRUST))?;
        if !pin.matches(&Hash(tenant.0)) {
            return Err(Fail::Say(Id::TrustedOther.with(&[&words(&Hash(tenant.0))]), TRUST));
        }
    }
    let theirs = relay.me().await?.tenant_id();
    if theirs.is_some_and(|theirs| theirs != tenant) {
        return Err(Fail::Say(Id::RelayOther.with(&[&words(&Hash(tenant.0))]), TRUST));
    }
    Ok(())
}

/// Writes down that a customer counts here, and fetches its log.
pub(super) async fn remember(
    app: &App,
    name: &str,
    relay: &Relay,
    tenant: TenantId,
    genesis: &[u8],
) -> Result<TrustStore, Fail> {
    let mut store = TrustStore::start(&app.tenant_folder(&tenant), genesis, tenant)?;
    store.sync(relay).await?;
    let mut config = app.home.config()?;
    if let Some(entry) = config.relays.get_mut(name) {
        entry.tenant = Some(TenantText(tenant));
    }
    app.home.write_config(&config)?;
    Ok(store)
}

/// The first line of a file, or of standard input.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>, Fail> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Fail::system(&file.display().to_string(), &error))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Whether an answer means yes.
pub(crate) fn yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是")
}

/// The name of the user who runs this.
pub(crate) fn user_name() -> String {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "root".to_owned())
}
