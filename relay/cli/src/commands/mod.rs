//! One file per command; here what they share: files, relay, trust log, keys.

mod accounts;
mod ahead;
mod approve;
mod audit;
mod check;
mod check_schedule;
mod exec;
pub(crate) mod help;
mod help_chinese;
mod invite;
mod joining;
mod opening;
mod people;
mod policy;
mod roots;
mod scan;
mod servers;
mod sessions;
mod shell;
mod sign_in;
mod signals;
mod tenant;
mod token;
mod top;
mod waiver;
mod watch;

use crate::args::{Cli, Command, Tenant, TokenCommand, TokenOrRevoke};
use crate::fail::Fail;
use crate::output;
use crate::terminal::Seat;
use cloud_doctor::home::{Home, RelayEntry};
use cloud_doctor::messages::{Id, Say};
use cloud_doctor::relay_api::{Address, Relay};
use cloud_doctor::signer::Keyring;
use cloud_doctor::trust_store::TrustStore;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::refusal::Language;
use std::path::PathBuf;

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct App {
    home: Home,
    language: Language,
    relay: Option<String>,
    key: Option<PathBuf>,
}

/// A relay, signed in, with its entry in the config file.
#[derive(Debug)]
struct SignedIn {
    name: String,
    entry: RelayEntry,
    relay: Relay,
}

pub(crate) async fn run(cli: Cli, language: Language) -> Result<u8, Fail> {
    let get = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = Home::find(get("CLOUD_DOCTOR_HOME"), get("XDG_CONFIG_HOME"), get("HOME"))?;
    let app = App { home, language, relay: cli.relay, key: cli.key };
    match cli.command {
        Command::Setup(asked) => sign_in::set_up(&app, asked).await?,
        Command::Login(asked) => sign_in::login(&app, asked).await?,
        Command::Logout => sign_in::logout(&app).await?,
        Command::Servers(asked) => servers::run(&app, asked).await?,
        Command::Shell(asked) => return shell::run(&app, asked).await,
        Command::Exec(asked) => return exec::run(&app, asked).await,
        Command::Check(asked) => return check::run(&app, asked).await,
        Command::CheckSchedule(asked) => check_schedule::run(&app, asked).await?,
        Command::Waiver(asked) => waiver::run(&app, asked).await?,
        Command::Scan(asked) => return scan::run(&app, asked).await,
        Command::Top(asked) => return top::run(&app, asked).await,
        Command::Sessions(asked) => return sessions::run(&app, asked).await,
        Command::Invite(asked) => return invite::run(&app, asked).await,
        Command::Tenant(tenant) => run_tenant(&app, tenant).await?,
        Command::Account(asked) => accounts::run(&app, asked).await?,
        Command::Approve(asked) => approve::run(&app, asked).await?,
        Command::Watch(asked) => return watch::run(&app, asked).await,
        Command::Audit(asked) => return audit::fetch(&app, asked).await,
        Command::VerifyAudit(asked) => return audit::run(&app, &asked),
        Command::Completion { shell } => help::completion(shell),
        Command::Man { dir } => help::man(&dir)?,
    }
    Ok(0)
}

async fn run_tenant(app: &App, tenant: Tenant) -> Result<(), Fail> {
    use cloud_doctor_proto::trust::Role;
    match tenant {
        Tenant::Init(asked) => tenant::init(app, asked).await,
        Tenant::Show(listing) => tenant::show(app, listing).await,
        Tenant::Trust { words } => sign_in::trust(app, &words.join(" ")).await,
        Tenant::Root(asked) => roots::run(app, asked).await,
        Tenant::Recover(asked) => roots::recover(app, asked).await,
        Tenant::Engineer(people) => people::run(app, Role::Engineer, people).await,
        Tenant::Approver(people) => people::run(app, Role::Approver, people).await,
        Tenant::Policy(policy) => policy::run(app, policy).await,
        Tenant::Token(TokenOrRevoke { command: Some(TokenCommand::Revoke { id }), .. }) => {
            token::revoke(app, &id).await
        }
        Tenant::Token(TokenOrRevoke { command: None, make }) => token::make(app, make).await,
        Tenant::Tokens(listing) => token::list(app, listing).await,
        Tenant::Server(asked) => tenant::server(app, asked).await,
    }
}

impl App {
    fn seat(&self) -> Seat {
        Seat { language: self.language }
    }

    fn say(&self, say: impl Into<Say>) {
        output::tell(&say.into().text(self.language));
    }

    fn words(&self, id: Id) -> String {
        Say::from(id).text(self.language)
    }

    /// The relay that is meant, signed in as far as the files know.
    fn signed_in(&self) -> Result<SignedIn, Fail> {
        let config = self.home.config()?;
        let (name, entry) = config.relay(self.relay.as_deref())?;
        let token = self.home.token(&name)?;
        let relay = reach(&entry.url, entry.pin.as_deref(), self.language)?;
        let Some(token) = token else {
            return Err(Fail::Say(Id::SignedOutHere.with(&[&entry.url]), crate::fail::SIGN_IN));
        };
        Ok(SignedIn { entry: entry.clone(), relay: relay.signed_in(token.to_string()), name })
    }

    /// This computer's copy of the customer's trust log.
    fn trust(&self, entry: &RelayEntry) -> Result<TrustStore, Fail> {
        let none = || Fail::Say(Id::NoTenant.into(), crate::fail::TRUST);
        let tenant = entry.tenant.ok_or_else(none)?.0;
        TrustStore::load(&self.home.tenant_folder(&tenant), tenant)?.ok_or_else(none)
    }

    /// The copy, brought up to the relay's.
    async fn trust_now(&self, signed_in: &SignedIn) -> Result<TrustStore, Fail> {
        let mut trust = self.trust(&signed_in.entry)?;
        trust.sync(&signed_in.relay).await?;
        Ok(trust)
    }

    /// The keys to sign with: `--key`, else the one in the config file, else all of the ssh-agent.
    async fn keys(&self, entry: Option<&RelayEntry>) -> Result<Keyring, Fail> {
        let file = self.key.clone().or_else(|| entry.and_then(|entry| entry.key.clone()));
        self.keys_of(file).await
    }

    async fn keys_of(&self, file: Option<PathBuf>) -> Result<Keyring, Fail> {
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Keyring::open(agent.as_deref(), file.as_deref()).await?)
    }

    fn tenant_folder(&self, tenant: &TenantId) -> PathBuf {
        self.home.tenant_folder(tenant)
    }
}

/// A relay from what a person or the config file says.
fn reach(url: &str, pin: Option<&str>, language: Language) -> Result<Relay, Fail> {
    let address: Address = url.parse().map_err(|error| Fail::from(Id::AddressForm.with(&[&url, &error])))?;
    let pin = pin.map(str::parse::<Pin>).transpose();
    let pin = pin.map_err(|error| Fail::from(Id::PinForm.with(&[&error])))?;
    Ok(Relay::new(address, pin, None)?.speaking(language))
}
