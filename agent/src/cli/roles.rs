//! Starting the roles that run for long.

use super::{Exit, say};
use crate::fence;
use crate::guard;
use crate::guest;
use crate::messages::Message;
use crate::session::user::{self, Ids};
use crate::standalone;
use crate::state::Places;
use crate::state::config::Config;
use crate::stop::Stop;
use crate::tunnel;
use rustix::process::{Signal as KernelSignal, set_parent_process_death_signal};
use std::io::{self, Write};
use std::path::Path;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

/// `run`.
pub(super) fn run(places: &Places, state_dir: Option<&Path>, standalone: bool) -> Exit {
    if !standalone {
        say::problem(Message::RunByServices, &[]);
        return Exit::Usage;
    }
    let Some(dir) = state_dir else {
        say::problem(Message::StandaloneNeedsDir, &[]);
        return Exit::Usage;
    };
    let config = match Config::load(&places.config()) {
        Ok(config) => config,
        Err(error) => {
            say::problem(Message::NotEnrolled, &[&error.to_string()]);
            return Exit::Config;
        }
    };
    log(LevelFilter::INFO);
    let run = |runtime: Runtime| {
        runtime.block_on(async {
            let mut stop = Stop::usual()?;
            let until = async {
                say::tell(Message::StandaloneReady, &[&config.name]);
                stop.asked().await;
            };
            standalone::run(standalone::Roles { places, dir, tunnel_user: None }, until).await
        })
    };
    match runtime().and_then(run) {
        Ok(Some(()) | None) => Exit::Done,
        Err(error) => cannot_start(&error),
    }
}

/// `guard`.
pub(super) fn guard(places: &Places, supervised: bool) -> Exit {
    if !places.config().exists() {
        say::problem(Message::NotEnrolled, &[&places.config().display().to_string()]);
        return Exit::Config;
    }
    log(LevelFilter::INFO);
    end_with_supervisor(supervised);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&error),
    };
    let ready = || {
        if supervised {
            // The supervisor may have gone; then we go too.
            writeln!(io::stdout(), "ready").ok();
        }
    };
    match runtime.block_on(guard::run(places, ready)) {
        Ok(()) => Exit::Done,
        Err(error) => cannot_start(&error),
    }
}

/// `tunnel`.
pub(super) fn tunnel(places: &Places, supervised: bool, user: Option<u32>) -> Exit {
    if let Some(Err(error)) = user.map(|user| become_nobody(places, user)) {
        return cannot_start(&error);
    }
    let config = match Config::load(&places.config()) {
        Ok(config) => config,
        Err(error) => {
            say::problem(Message::NotEnrolled, &[&error.to_string()]);
            return Exit::Config;
        }
    };
    log(if config.guest { LevelFilter::ERROR } else { LevelFilter::INFO });
    end_with_supervisor(supervised);
    let settings = tunnel::Settings {
        state_dir: places.tunnel.clone(),
        guard_socket: places.guard_socket(),
        relays: config.relays().into_iter().map(|relay| (relay.url, relay.pins)).collect(),
        guest: config.guest,
    };
    let run = |runtime: Runtime| {
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let mut asked = Stop::usual()?;
            let tunnel = tunnel::run(settings, stop.clone());
            tokio::pin!(tunnel);
            tokio::select! {
                ended = &mut tunnel => return ended.map_err(io::Error::other),
                () = asked.asked() => {}
            }
            stop.cancel();
            tunnel.await.map_err(io::Error::other)
        })
    };
    match runtime().and_then(run) {
        Ok(()) => Exit::Done,
        Err(error) => cannot_start(&error),
    }
}

/// `visit-contact`.
pub(super) fn visit_contact(places: &Places, user: u32) -> Exit {
    let met = become_nobody(places, user).and_then(|()| {
        log(LevelFilter::ERROR);
        end_with_supervisor(true);
        guest::contact::run(places, &runtime()?)
    });
    // Its parent says what there is to say.
    if met.is_ok() { Exit::Done } else { Exit::Failed }
}

/// Gives up root for good, before anything is read: this user and group own the tunnel's key and nothing else. No
/// terminal, no descriptor and no file to write stays behind, and none to read but what it needs.
fn become_nobody(places: &Places, user: u32) -> io::Result<()> {
    rustix::process::setsid()?;
    crate::session::close_inherited();
    let nothing = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    for resource in [rustix::process::Resource::Fsize, rustix::process::Resource::Core] {
        rustix::process::setrlimit(resource, nothing)?;
    }
    user::take(&Ids { uid: user, gid: user, groups: &[] }).map_err(|(_, error)| error)?;
    rustix::thread::set_no_new_privs(true)?;
    // An old kernel has none: then what stands above is all there is.
    fence::raise(&[&places.etc, &places.tunnel]).ok();
    Ok(())
}

fn cannot_start(error: &dyn std::error::Error) -> Exit {
    say::problem(Message::CannotStart, &[&error.to_string()]);
    Exit::Failed
}

/// One thread: what a role does is wait.
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn end_with_supervisor(supervised: bool) {
    if supervised {
        // Refused only to who leads a session already.
        rustix::process::setsid().ok();
    }
    if supervised && let Err(error) = set_parent_process_death_signal(Some(KernelSignal::TERM)) {
        tracing::warn!(%error, "this role will outlive its supervisor");
    }
}

/// Logs to standard error, from the level that `RUST_LOG` names, else from `level`; systemd adds the time itself.
pub(super) fn log(level: LevelFilter) {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(level);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false);
    let set = if std::env::var_os("JOURNAL_STREAM").is_some() {
        tracing::subscriber::set_global_default(builder.with_ansi(false).without_time().finish())
    } else {
        tracing::subscriber::set_global_default(builder.with_ansi(false).finish())
    };
    set.expect("set once, at the start of a role");
}
