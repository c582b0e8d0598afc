//! Starting and stopping the relay: everything is checked and bound before anything is said to be ready.

use crate::access::{
    Access, FetchError, Oidc, OidcSettings, Passwords, SETUP_CODE_LIFETIME, SecondStep, SetupCode, SetupDoor,
};
use crate::broker::Broker;
use crate::checks::{self, Checks};
use crate::config::{MetricsConfig, RelayConfig, TargetConfig, TargetLogin, database};
use crate::data_dir::{DataDir, DataDirError};
use crate::http::{self, AgentsListener, Api, Console, Server};
use crate::logs::Logs;
use crate::metrics::{self, Metrics};
use crate::scan::{self, Scans};
use crate::store::{OpenError, RUNS_BYTES_MAX, SCAN_ROWS_MAX, Store, StoreError};
use crate::tls::{self, CertificateError, CertificateFiles, CertificateSource, Certificates, FilesError};
use crate::tunnels::gate::GateLimits;
use crate::tunnels::registry::Registry;
use crate::tunnels::{Heads, KeyFileError, ListenError, ListenerKeys, Tunnels, secret_file};
use crate::watch::out::{Exports, Plan, Target, TargetError};
use crate::watch::{self, Pace, Recorder, RecorderPace, Watch};
use crate::{admin, clock};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// How often ended logins, approvals and old streams are forgotten, and logins with open streams noted as used.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// How long the lists of streams, requests and links go back. Longer than anybody asks "who was on that server", and
/// bounded; what must never be lost stands in the audit, which is never pruned.
const HISTORY_DAYS: u64 = 90;
/// How long runs of checks are kept, if a server has no newer ones that push them out.
const RUNS_DAYS: u64 = 30;
/// Batches of old runs forgotten in one round.
const RUN_BATCHES: u32 = 10;
/// Batches of old scans' rows forgotten in one round.
const SCAN_BATCHES: u32 = 20;
/// Batches of old streams forgotten in one round, so that a round is short whatever has gathered.
const STREAM_BATCHES: u32 = 20;
/// Under this key stand the secrets of second steps in the database.
const FACTORS_FILE: &str = "factors.key";
/// How often certificate files are looked at.
const FILES_LOOK: Duration = Duration::from_secs(10);
/// How long stopping may take before what is left is cut.
const GRACE: Duration = Duration::from_secs(8);

/// The relay did not start. Nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// See there.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// See there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See there.
    #[error("a key file: {0}")]
    Keys(#[from] KeyFileError),
    /// See there.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The TLS library refuses our settings.
    #[error("the TLS library: {0}")]
    Tls(#[from] rustls::Error),
    /// See there.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An address cannot be had.
    #[error("cannot listen for {who} on tcp {addr}: {source}. Is another relay running? Set {key} in relay.toml")]
    Bind {
        /// For whom.
        who: &'static str,
        /// The key that sets it.
        key: &'static str,
        /// As configured.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel does not tell where we listen.
    #[error("cannot tell the address that was bound: {0}")]
    Address(#[source] io::Error),
    /// The identity provider cannot be used.
    #[error("the identity provider: {0}")]
    Oidc(#[from] FetchError),
    /// Its secret cannot be read.
    #[error("oidc.client_secret_file: {path}: {source}", path = path.display())]
    OidcSecret {
        /// Which file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A system that takes metrics cannot be used.
    #[error("remote_write or otlp: {0}")]
    Target(#[from] TargetError),
    /// Its secret cannot be read.
    #[error("remote_write or otlp: {path}: {source}", path = path.display())]
    TargetSecret {
        /// Which file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// What was bound, with its pins.
#[derive(Debug, Clone)]
pub struct Bound {
    /// UDP address for agents.
    pub agents: SocketAddr,
    /// Keys that agents pin: the one in use and the next.
    pub agent_pins: [Pin; 2],
    /// TCP address for clients.
    pub clients: SocketAddr,
    /// Key of the clients' certificate; `None` is plain HTTP.
    pub client_pin: Option<Pin>,
    /// TCP address of the operator's listener.
    pub admin: Option<SocketAddr>,
}

/// A relay that runs.
#[derive(Debug)]
pub struct Running {
    bound: Bound,
    setup_code: Option<SetupCode>,
    api: Arc<Api>,
    certificates: Option<Certificates>,
    files: Option<CertificateFiles>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _dir: DataDir,
}

/// Starts a relay.
///
/// # Errors
/// [`ServeError`]; nothing listens then.
pub async fn serve(config: RelayConfig) -> Result<Running, ServeError> {
    let dir = DataDir::lock(&config.data_dir)?;
    let keys = ListenerKeys::load_or_create(dir.path())?;
    let factors = secret_file(&dir.path().join(FACTORS_FILE))?;
    let certificates = match &config.certificate {
        Some(source) => Some(Certificates::load(source, &config.tls_dir(), &config.certificate_names())?),
        None => None,
    };
    let store = Store::open(&database(dir.path())).await?;
    store.close_stale_streams(clock::now()).await?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (registry, heads) = (Arc::<Registry>::default(), Arc::<Heads>::default());
    let cores = u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1);
    let limits = GateLimits { per_prefix: config.limits.agents, ..GateLimits::for_cores(cores) };
    let tunnels = Tunnels::listen(config.agents_listen, limits, &keys, store.clone(), registry.clone(), heads.clone())?;
    let (door, setup_code) = set_up_door(&store).await?;
    let oidc = config.oidc.clone().map(identity_provider).transpose()?;
    let second_step = SecondStep::new(&factors, clock::instant());
    let broker = Arc::new(Broker::new(registry.clone(), config.limits.opens, clock::instant()));
    let metrics = Arc::new(Metrics::default());
    let checks = Arc::new(Checks::new(store.clone(), broker.clone(), metrics.clone(), checks::ANSWER_WAIT));
    let scans = Scans::new(store.clone(), checks.clone(), registry.clone(), tasks.clone(), stop.clone());
    let run = (tasks.clone(), stop.clone());
    let watch = Watch::new(broker.clone(), registry.clone(), metrics.clone(), run, Pace::default());
    let recorder = Recorder::new(watch.clone(), store.clone(), config.metrics.recorder_bytes, RecorderPace::default());
    let console = Console::embedded();
    let packed_early = console.clone();
    drop(tokio::task::spawn_blocking(move || packed_early.pack()));
    let api = Api::new(http::Parts {
        access: Access::new(store.clone(), Passwords::new(), second_step, oidc, door, clock::instant()),
        logs: Logs::new(store.clone(), heads, registry.clone()),
        metrics,
        checks,
        scans,
        watch,
        recorder,
        tasks: tasks.clone(),
        guests: tunnels.guests(),
        console,
        tls: config.certificate.is_some(),
        public_name: config.public_name.clone(),
        console_origins: config.console_origins.clone(),
        public_port: config.public_port,
        stop: stop.clone(),
        agents: AgentsListener { addr: tunnels.local_addr().map_err(ServeError::Address)?, pins: keys.pins() },
        store,
        registry,
        broker,
    });
    let clients = bind_clients(&config, certificates.as_ref(), &api).await?;
    let clients_addr = clients.local_addr().map_err(ServeError::Address)?;
    let exports = exports(&config, &api)?;
    let operator = bind_admin(&config, &api, exports.clone()).await?;
    let bound = Bound {
        agents: api.agents.addr,
        agent_pins: api.agents.pins,
        clients: *api.clients.get_or_init(|| clients_addr),
        client_pin: certificates.as_ref().and_then(Certificates::pin),
        admin: operator.as_ref().map(Server::local_addr).transpose().map_err(ServeError::Address)?,
    };
    tasks.spawn(tunnels.run(stop.clone()));
    for server in [Some(clients), operator].into_iter().flatten() {
        tasks.spawn(server.run(tasks.clone(), stop.clone()));
    }
    keep_going(&api, exports, &tasks, &stop);
    let files = follow_certificate(&config, certificates.as_ref(), &api);
    Ok(Running { bound, setup_code, api, certificates, files, tasks, stop, _dir: dir })
}

/// What the relay does by itself, until `stop`.
fn keep_going(api: &Arc<Api>, exports: Option<Arc<Exports>>, tasks: &TaskTracker, stop: &CancellationToken) {
    tasks.spawn(checks::keep_asking(api.checks.clone(), api.registry.clone(), stop.clone()));
    tasks.spawn(scan::keep_time(api.scans.clone(), stop.clone()));
    if let Some(exports) = exports {
        tasks.spawn(watch::out::keep_exporting(exports, stop.clone()));
    }
    tasks.spawn(watch::keep_recording(api.recorder.clone(), stop.clone()));
    tasks.spawn(housekeeping(api.clone(), stop.clone()));
}

fn identity_provider(settings: OidcSettings) -> Result<Oidc, ServeError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ServeError::OidcSecret { path: path.clone(), source })?;
        Ok::<_, ServeError>(text.trim().to_owned())
    };
    let secret = settings.client_secret_file.as_ref().map(read).transpose()?;
    Ok(Oidc::new(settings, secret, clock::instant())?)
}

/// What leaves for other systems, if anything does.
fn exports(config: &RelayConfig, api: &Api) -> Result<Option<Arc<Exports>>, ServeError> {
    let MetricsConfig { export_label, export_every, remote_write, otlp, .. } = &config.metrics;
    let Some(label) = export_label.clone() else { return Ok(None) };
    let made = |config: &Option<TargetConfig>, make: fn(_, _, _) -> Result<Target, TargetError>| {
        let Some(TargetConfig { url, login, queue_bytes }) = config else { return Ok::<_, ServeError>(None) };
        let uri = url.parse().map_err(|_| ServeError::Target(TargetError::Address))?;
        Ok(Some(make(uri, authorization(login)?, *queue_bytes)?))
    };
    let targets = (made(remote_write, Target::remote_write)?, made(otlp, Target::otlp)?);
    let plan = Plan { label, every: *export_every };
    Ok(Some(Exports::new(api.watch.clone(), api.store.clone(), plan, targets)))
}

/// The header by which a target knows us.
fn authorization(login: &TargetLogin) -> Result<Option<String>, ServeError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ServeError::TargetSecret { path: path.clone(), source })?;
        Ok::<_, ServeError>(text.trim().to_owned())
    };
    Ok(match login {
        TargetLogin::Nothing => None,
        TargetLogin::Bearer(file) => Some(format!("Bearer {}", read(file)?)),
        TargetLogin::Basic(name, file) => {
            let pair = format!("{name}:{}", read(file)?);
            Some(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
        }
    })
}

async fn set_up_door(store: &Store) -> Result<(SetupDoor, Option<SetupCode>), ServeError> {
    if store.has_accounts().await? {
        return Ok((SetupDoor::closed(), None));
    }
    let code = SetupCode::random()?;
    Ok((SetupDoor::open(code.clone(), clock::instant() + SETUP_CODE_LIFETIME), Some(code)))
}

async fn bind_clients(
    config: &RelayConfig,
    certificates: Option<&Certificates>,
    api: &Arc<Api>,
) -> Result<Server, ServeError> {
    let addr = config.clients_listen;
    let tls = certificates.map(Certificates::server_config).transpose()?;
    let bound = Server::bind(addr, tls, http::router(api.clone()), config.limits.server).await;
    bound.map_err(|source| ServeError::Bind { who: "clients", key: "clients.listen", addr, source })
}

async fn bind_admin(
    config: &RelayConfig,
    api: &Api,
    exports: Option<Arc<Exports>>,
) -> Result<Option<Server>, ServeError> {
    let Some(addr) = config.admin_listen else { return Ok(None) };
    let metrics = metrics::registry(&api.metrics, api.registry.clone(), api.broker.clone());
    let bound =
        Server::bind(addr, None, admin::router(api.store.clone(), metrics, exports), config.limits.server).await;
    let bound = bound.map_err(|source| ServeError::Bind { who: "the operator", key: "admin.listen", addr, source })?;
    Ok(Some(bound))
}

/// Starts whatever renews the certificate; returns its files when they are somebody else's.
fn follow_certificate(
    config: &RelayConfig,
    certificates: Option<&Certificates>,
    api: &Arc<Api>,
) -> Option<CertificateFiles> {
    let certificates = certificates?.clone();
    match config.certificate.clone()? {
        CertificateSource::SelfSigned => None,
        CertificateSource::Files(files) => {
            api.tasks.spawn(watch_files(files.clone(), certificates, api.metrics.clone(), api.stop.clone()));
            Some(files)
        }
        CertificateSource::Acme(settings) => {
            let (metrics, stop) = (api.metrics.clone(), api.stop.clone());
            api.tasks.spawn(tls::renew_regularly(settings, config.tls_dir(), certificates, metrics, stop));
            None
        }
    }
}

async fn watch_files(
    files: CertificateFiles,
    certificates: Certificates,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut seen = files.stamp().ok();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FILES_LOOK) => {}
        }
        let now = files.stamp().ok();
        if now == seen {
            continue;
        }
        // Whoever renews writes two files; a pair that does not fit yet is tried again when it changes.
        seen = now;
        match reload(&files, &certificates, &metrics) {
            Ok(()) => info!("certificate reloaded"),
            Err(error) => warn!(%error, "the new certificate cannot be used; the one in use stays"),
        }
    }
}

fn reload(files: &CertificateFiles, certificates: &Certificates, metrics: &Metrics) -> Result<(), FilesError> {
    certificates.replace(files.load()?);
    metrics.certificate();
    Ok(())
}

async fn housekeeping(api: Arc<Api>, stop: CancellationToken) {
    loop {
        if let Err(error) = tidy_up(&api, clock::now()).await {
            warn!(%error, "housekeeping failed");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
    }
}

async fn tidy_up(api: &Api, now: UnixTime) -> Result<(), StoreError> {
    for (login, is_used) in api.in_use.logins() {
        let lives = match is_used {
            true => api.store.touch_login(&login, None, now).await?,
            false => api.store.login_lives(&login, now).await?,
        };
        // What has ended carries nothing any more, however it ended.
        if !lives {
            api.in_use.cut_login(&login);
        }
    }
    api.store.forget_logins(now).await?;
    let days_ago = |days: u64| UnixTime(now.0.saturating_sub(days * DAY_SECS));
    // Longer ago than any visit lasts.
    api.store.forget_invitations(days_ago(1)).await?;
    let ended_before = days_ago(HISTORY_DAYS);
    api.store.forget_approvals(ended_before).await?;
    api.store.forget_joins(ended_before).await?;
    api.store.forget_recordings(days_ago(RUNS_DAYS).0.saturating_mul(1000)).await?;
    for _ in 0..STREAM_BATCHES {
        if !api.store.forget_streams(ended_before).await? {
            break;
        }
    }
    for _ in 0..RUN_BATCHES {
        if !api.store.forget_check_runs(days_ago(RUNS_DAYS), RUNS_BYTES_MAX).await? {
            break;
        }
    }
    for _ in 0..SCAN_BATCHES {
        if !api.store.forget_scans(ended_before, SCAN_ROWS_MAX).await? {
            break;
        }
    }
    Ok(())
}

impl Running {
    /// What was bound.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The one-time code of first-run set-up, for the relay's own terminal. `None`: there are accounts.
    #[must_use]
    pub fn setup_code(&self) -> Option<&SetupCode> {
        self.setup_code.as_ref()
    }

    /// The link to the console that carries the code behind its `#`, where no server sees it. `None`: there are accounts,
    /// or there is no console.
    #[must_use]
    pub fn setup_link(&self) -> Option<String> {
        let code = self.setup_code.as_ref().filter(|_| self.api.console.is_there())?;
        let origin = console_origin(self.api.public_name.as_deref(), self.api.tls, self.bound.clients);
        Some(format!("{origin}/#/setup/{}", code.reveal()))
    }

    /// Reads certificate files again at once.
    ///
    /// # Errors
    /// [`FilesError`]: the certificate in use stays.
    pub fn reload(&self) -> Result<(), FilesError> {
        match (&self.files, &self.certificates) {
            (Some(files), Some(certificates)) => reload(files, certificates, &self.api.metrics),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Whether the database answers; for the watchdog.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.api.store.check().await
    }

    /// How many agents are connected, and how many streams were opened since the start.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        (self.api.registry.count(), self.api.broker.counts().opened)
    }

    /// Stops: nobody new, streams are closed with a reason, rows are written, the database is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            warn!(tasks = self.tasks.len(), "some work did not end in time");
        }
        if let Err(error) = self.api.recorder.write_all().await {
            warn!(%error, "the last minutes of some servers were not written");
        }
        self.api.store.close().await;
    }
}

/// Where a browser finds the console.
fn console_origin(public_name: Option<&str>, tls: bool, clients: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    let here = clients.ip().is_loopback() || clients.ip().is_unspecified();
    match public_name {
        Some(name) if tls => format!("https://{name}:{}", clients.port()),
        // A proxy of that name speaks TLS for us.
        Some(name) => format!("https://{name}"),
        // Passkeys need a name, and this computer has one for itself.
        None if here => format!("{scheme}://localhost:{}", clients.port()),
        None => format!("{scheme}://{clients}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aut_03_the_set_up_link_leads_where_a_browser_reaches_the_console() {
        let check = |name, tls, clients: [u8; 4], expected| {
            assert_eq!(console_origin(name, tls, SocketAddr::from((clients, 8443))), expected);
        };
        check(None, false, [127, 0, 0, 1], "http://localhost:8443");
        check(None, true, [0, 0, 0, 0], "https://localhost:8443");
        check(None, true, [192, 0, 2, 7], "https://192.0.2.7:8443");
        check(Some("relay.example"), true, [0, 0, 0, 0], "https://relay.example:8443");
        check(Some("relay.example"), false, [127, 0, 0, 1], "https://relay.example");
    }
}
