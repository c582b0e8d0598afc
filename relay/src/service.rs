//! The running service: what it prints, which signals it hears, what it tells systemd.

use crate::command::say;
use anyhow::Context as _;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_relay::config::{LogConfig, LogLevel, RelayConfig};
use cloud_doctor_relay::messages::Message;
use cloud_doctor_relay::{Running, serve};
use sd_notify::NotifyState;
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How often the status line is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(15);

/// Runs until a signal says stop.
pub(crate) fn run(config: RelayConfig, language: Language) -> anyhow::Result<()> {
    log_to_stderr(&config.log)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async move {
        let signals = Signals::new()?;
        let running = serve(config).await?;
        print(&running, language)?;
        notify(&[NotifyState::Ready, NotifyState::Status(&status(&running))]);
        until_stopped(&running, signals).await;
        notify(&[NotifyState::Stopping]);
        running.stop().await;
        Ok(())
    })
}

/// The log goes to standard error; standard output is for who starts the relay.
fn log_to_stderr(config: &LogConfig) -> anyhow::Result<()> {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries log what they like at their own levels; ours is what the operator asked for.
    let quiet = level.min(LevelFilter::WARN);
    let targets = tracing_subscriber::filter::Targets::new()
        .with_default(quiet)
        .with_target("cloud_doctor_relay", level)
        .with_target("cloud_doctor_proto", level);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let registry = tracing_subscriber::registry().with(targets);
    if config.json { registry.with(text.json()).try_init() } else { registry.with(text).try_init() }
        .context("cannot start the log")
}

fn print(running: &Running, language: Language) -> anyhow::Result<()> {
    let bound = running.bound();
    let [pin, next] = bound.agent_pins.map(|pin| pin.to_string());
    say(&Message::Agents.with(language, &[&bound.agents.to_string(), &pin, &next]))?;
    let clients = bound.clients.to_string();
    let pin = bound.client_pin.map(|pin| pin.to_string());
    match &pin {
        Some(pin) => say(&Message::Clients.with(language, &[&clients, pin]))?,
        None => say(&Message::ClientsPlain.with(language, &[&clients]))?,
    }
    if let Some(admin) = bound.admin {
        say(&Message::Admin.with(language, &[&admin.to_string()]))?;
    }
    if let Some(code) = running.setup_code() {
        let scheme = if pin.is_some() { "https" } else { "http" };
        let pin = pin.map_or_else(String::new, |pin| format!(" --pin {pin}"));
        say(&Message::SetUp.with(language, &[&code.reveal()]))?;
        say(&Message::SetUpHow.with(language, &[&format!("{scheme}://{clients}"), &pin]))?;
        if let Some(link) = running.setup_link() {
            say(&Message::SetUpLink.with(language, &[&link]))?;
        }
    }
    say(&Message::Ready.with(language, &[]))
}

/// The signals that the relay hears.
struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

async fn until_stopped(running: &Running, mut signals: Signals) {
    // Twice per watchdog time, so that one lost datagram is no death.
    let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let mut tick = tokio::time::interval(watchdog.map_or(STATUS_EVERY, |half| half.min(STATUS_EVERY)));
    loop {
        tokio::select! {
            biased;
            _ = signals.interrupt.recv() => return,
            _ = signals.terminate.recv() => return,
            _ = signals.hang_up.recv() => reload(running),
            _ = tick.tick() => sign_of_life(running, watchdog.is_some()).await,
        }
    }
}

fn reload(running: &Running) {
    match running.reload() {
        Ok(()) => info!("certificate files read again"),
        Err(error) => warn!(%error, "the certificate cannot be used; the one in use stays"),
    }
}

/// A full disk or a busy database is no reason to be killed: the watchdog is about a relay that hangs.
async fn sign_of_life(running: &Running, watched: bool) {
    let text = match running.check().await {
        Ok(()) => status(running),
        Err(error) => format!("{}; {error}", status(running)),
    };
    notify(&[NotifyState::Status(&text)]);
    if watched {
        notify(&[NotifyState::Watchdog]);
    }
}

fn status(running: &Running) -> String {
    let (agents, streams) = running.counts();
    let bound = running.bound();
    format!("{agents} agents connected on udp {}, {streams} streams opened on tcp {}", bound.agents, bound.clients)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell the service manager");
    }
}
