//! The subcommands.

use crate::service;
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_relay::access::{PASSWORD_CHARS, Passwords};
use cloud_doctor_relay::backup;
use cloud_doctor_relay::config::{ConfigErrors, DEFAULT_FILE, RelayConfig, database};
use cloud_doctor_relay::messages::Message;
use cloud_doctor_relay::store::{FirstAccount, Store};
use cloud_doctor_relay::{clock, http};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Longest password file that is read.
const PASSWORD_FILE_BYTES: u64 = 4_096;

/// Cloud Doctor's relay: accepts agents and clients, pipes sealed streams between them, is trusted with nothing.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay.
    Serve(Place),
    /// Write the commented relay.toml.
    Init(Place),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Write a backup into a new folder, also while the relay runs.
    Backup {
        #[command(flatten)]
        place: DataDirPlace,
        /// The folder to make.
        target: PathBuf,
    },
    /// Put a backup into a data directory that no relay uses.
    Restore {
        #[command(flatten)]
        place: DataDirPlace,
        /// The backup's folder.
        source: PathBuf,
        /// Move what is in the data directory aside.
        #[arg(long)]
        force: bool,
    },
    /// Customers of this relay, beyond the one of the first set-up.
    #[command(subcommand)]
    Tenant(TenantCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report all errors of relay.toml, and change nothing.
    Check(Place),
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Add a customer with its first account, an admin; also while the relay runs.
    Add {
        #[command(flatten)]
        place: DataDirPlace,
        /// The customer's name.
        #[arg(long)]
        name: String,
        /// The account's name.
        #[arg(long)]
        account: String,
        /// File with the account's password in its first line; - is standard input.
        #[arg(long)]
        password_file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct DataDirPlace {
    /// Database, keys and certificates.
    #[arg(long, default_value = "/var/lib/cloud-doctor-relay")]
    data_dir: PathBuf,
}

#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    dir: DataDirPlace,
    /// Configuration; relay.toml in the data directory when absent.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// The configuration is wrong; its text has all errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigRefused(String);

impl Place {
    fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.dir.data_dir.join("relay.toml"))
    }

    /// Reads the configuration; without a file it is the default one.
    fn read(&self, language: Language) -> anyhow::Result<RelayConfig> {
        let file = self.file();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.config.is_none() => String::new(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
        };
        RelayConfig::parse(&text, self.dir.data_dir.clone()).map_err(|ConfigErrors(lines)| {
            let lines = lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
            ConfigRefused(Message::ConfigBad.with(language, &[&file.display().to_string(), &lines])).into()
        })
    }
}

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments, language: Language) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(place) => service::run(place.read(language)?, language),
        Command::Init(place) => init(&place, language),
        Command::Config(ConfigCommand::Check(place)) => {
            place.read(language)?;
            say(&Message::ConfigGood.with(language, &[&place.file().display().to_string()]))
        }
        Command::Openapi => say(&http::openapi().to_pretty_json()?),
        Command::Backup { place, target } => {
            runtime()?.block_on(backup::backup(&place.data_dir, &target))?;
            say(&Message::BackedUp.with(language, &[&target.display().to_string()]))
        }
        Command::Restore { place, source, force } => restore(&place.data_dir, &source, force, language),
        Command::Tenant(TenantCommand::Add { place, name, account, password_file }) => {
            runtime()?.block_on(add_tenant(&place.data_dir, &name, &account, &password_file))?;
            say(&Message::TenantAdded.with(language, &[&name, &account]))
        }
    }
}

/// One thread is enough for a command.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn init(place: &Place, language: Language) -> anyhow::Result<()> {
    let file = place.file();
    let shown = file.display().to_string();
    if let Some(dir) = file.parent() {
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(dir)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        Ok(mut new) => {
            new.write_all(DEFAULT_FILE.as_bytes()).with_context(|| shown.clone())?;
            say(&Message::Written.with(language, &[&shown]))
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => say(&Message::Exists.with(language, &[&shown])),
        Err(e) => Err(e).context(shown),
    }
}

fn restore(data_dir: &Path, source: &Path, force: bool, language: Language) -> anyhow::Result<()> {
    let aside = runtime()?.block_on(backup::restore(source, data_dir, force, clock::now()))?;
    if let Some(aside) = aside {
        say(&Message::MovedAside.with(language, &[&aside.display().to_string()]))?;
    }
    say(&Message::Restored.with(language, &[&data_dir.display().to_string()]))
}

async fn add_tenant(data_dir: &Path, name: &str, account: &str, password_file: &Path) -> anyhow::Result<()> {
    let file = database(data_dir);
    anyhow::ensure!(file.exists(), "there is no relay in {}: run serve first", data_dir.display());
    let password = first_line(password_file)?;
    anyhow::ensure!(PASSWORD_CHARS.contains(&password.chars().count()), "a password has 12 to 256 characters");
    let password = Passwords::new().hash(&password).await?;
    let first = FirstAccount { tenant_name: name.to_owned(), account: account.to_owned(), password };
    let store = Store::open(&file).await?;
    let added = store.add_tenant(&first, clock::now()).await;
    store.close().await;
    added?;
    Ok(())
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let shown = || format!("cannot read {}", file.display());
    if file == Path::new("-") {
        std::io::stdin().lock().take(PASSWORD_FILE_BYTES).read_to_string(&mut text).with_context(shown)?;
    } else {
        let open = std::fs::File::open(file).with_context(shown)?;
        open.take(PASSWORD_FILE_BYTES).read_to_string(&mut text).with_context(shown)?;
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// One line for whoever started the program, at once.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
