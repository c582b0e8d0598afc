//! The API under `/api/v1`: a skin over access, store, logs, tunnels and broker. It decides nothing of its own.
//!
//! Routes and the OpenAPI document come from the same annotations, so neither can forget the other. Who may call is
//! in a handler's arguments ([`caller`]); every refusal is a [`problem`]. Never: a secret in a log or an URL, an
//! answer that may be cached, a path without a limit.

#![allow(unused_qualifications, reason = "utoipa's macros write full paths")]

mod accounts;
mod approvals;
mod arrival;
pub mod caller;
mod check_plans;
mod checks;
pub mod console;
mod edge;
mod encoding;
mod invitations;
mod join;
mod joins;
mod live;
mod logins;
mod metrics;
mod oidc;
mod page;
mod passkeys;
pub mod problem;
mod resets;
mod scan_plans;
mod scan_shapes;
mod scans;
mod server;
mod servers;
mod sessions;
mod set_up;
mod sign_in;
mod site;
mod stream;
mod tokens;
mod totp;
mod trust_log;
mod wait;
mod ways;

pub use console::Console;
pub use server::{Server, ServerLimits};
pub use stream::InUse;

use crate::access::Access;
use crate::broker::Broker;
use crate::checks::Checks;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::scan::Scans;
use crate::store::Store;
use crate::tunnels::registry::Registry;
use crate::watch::{Recorder, Watch};
use axum::Router;
use cloud_doctor_proto::pin::Pin;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::Modify;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Requests that may be held at once: a page has one or two open.
const WAITING_MAX: usize = 1024;

/// Everything that handlers reach: the parts of the relay, and what only requests share among themselves.
#[derive(Debug)]
pub struct Api {
    parts: Parts,
    /// Logins with open streams: those are in use.
    pub in_use: InUse,
    /// Where clients reach this relay, once that is bound.
    pub clients: OnceLock<SocketAddr>,
    approvals: watch::Sender<u64>,
    joins: watch::Sender<u64>,
    waiting: Semaphore,
}

/// What an [`Api`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Sign-in and its limits.
    pub access: Access,
    /// Trust logs.
    pub logs: Logs,
    /// Live tunnels.
    pub registry: Arc<Registry>,
    /// The way to them.
    pub broker: Arc<Broker>,
    /// Asks servers for checks.
    pub checks: Arc<Checks>,
    /// Runs scans.
    pub scans: Arc<Scans>,
    /// Servers' metrics on their way through.
    pub watch: Arc<Watch>,
    /// Their last minutes.
    pub recorder: Arc<Recorder>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Work that goes on after an answer.
    pub tasks: TaskTracker,
    /// The console's files.
    pub console: Console,
    /// Clients reach this relay by TLS of its own.
    pub tls: bool,
    /// The name that clients must use, if one is configured.
    pub public_name: Option<String>,
    /// Origins of consoles besides the relay's own.
    pub console_origins: Vec<String>,
    /// The port by which pages reach this relay, if it is not the one that it listens on.
    pub public_port: Option<u16>,
    /// Says that the relay stops.
    pub stop: CancellationToken,
    /// Where agents reach this relay.
    pub agents: AgentsListener,
    /// Changes when a guest's tunnel comes.
    pub guests: watch::Sender<u64>,
}

/// What a server that is being enrolled must be told.
#[derive(Debug, Clone, Copy)]
pub struct AgentsListener {
    /// UDP address, as bound.
    pub addr: SocketAddr,
    /// Keys to pin: the one in use and the next.
    pub pins: [Pin; 2],
}

impl Api {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (approvals, joins) = (watch::Sender::new(0), watch::Sender::new(0));
        let waiting = Semaphore::new(WAITING_MAX);
        Arc::new(Self { parts, in_use: InUse::default(), clients: OnceLock::new(), approvals, joins, waiting })
    }

    /// Ends when the relay begins to stop.
    async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}

/// Handlers say `api.store`: that it lies among the parts is nothing to them.
impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Cloud Doctor relay",
        description = "Lists, sign-in and the carrying of signed things. Nothing here can start anything on a server: \
                       that takes a grant that the server itself verifies. Ids are lower-case hex, bytes are \
                       base64url without padding, times are Unix seconds. A program shows its login as a bearer token; \
                       a page of the relay itself as a cookie, with `X-Cloud-Doctor: console` beside each change."
    ),
    components(schemas(problem::ProblemBody)),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("cd_ses_").build();
        let components = document.components.get_or_insert_with(utoipa::openapi::Components::default);
        components.add_security_scheme("login", SecurityScheme::Http(scheme));
    }
}

fn api() -> (Router<Arc<Api>>, utoipa::openapi::OpenApi) {
    let quick = OpenApiRouter::new()
        .routes(routes!(set_up::set_up))
        .routes(routes!(set_up::begin))
        .routes(routes!(set_up::finish))
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::logout))
        .routes(routes!(sign_in::me))
        .routes(routes!(sign_in::change_password))
        .routes(routes!(ways::list))
        .routes(routes!(logins::list, logins::end_others))
        .routes(routes!(logins::end_one))
        .routes(routes!(totp::show, totp::confirm))
        .routes(routes!(totp::begin))
        .routes(routes!(totp::remove))
        .routes(routes!(totp::renew))
        .routes(routes!(oidc::start))
        .routes(routes!(oidc::sign_in))
        .routes(routes!(oidc::show, oidc::link, oidc::unlink))
        .routes(routes!(oidc::start_link))
        .routes(routes!(passkeys::ask))
        .routes(routes!(passkeys::sign_in))
        .routes(routes!(passkeys::list, passkeys::finish))
        .routes(routes!(passkeys::begin))
        .routes(routes!(passkeys::rename, passkeys::remove))
        .routes(routes!(servers::list))
        .routes(routes!(servers::facts, servers::remove))
        .routes(routes!(servers::label))
        .merge(of_checks())
        .merge(of_scans())
        .routes(routes!(trust_log::read, trust_log::append))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(stream::ticket))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::cut))
        .routes(routes!(sessions::audit))
        .routes(routes!(approvals::ask))
        .routes(routes!(approvals::past))
        .routes(routes!(approvals::withdraw))
        .routes(routes!(approvals::sign))
        .routes(routes!(approvals::deny))
        .routes(routes!(accounts::list, accounts::add))
        .routes(routes!(accounts::change, accounts::remove))
        .routes(routes!(resets::make))
        .routes(routes!(resets::to_password))
        .routes(routes!(resets::begin))
        .routes(routes!(resets::to_passkey))
        .merge(of_newcomers())
        .routes(routes!(invitations::invite))
        .routes(routes!(invitations::end))
        .layer(axum::middleware::from_fn(edge::deadline));
    let slow = OpenApiRouter::new()
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::wait))
        .routes(routes!(checks::ask))
        .routes(routes!(stream::open))
        .merge(of_metrics())
        .routes(routes!(joins::wait))
        .routes(routes!(join::mine))
        .routes(routes!(invitations::wait))
        .routes(routes!(invitations::open));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", quick.merge(slow)).split_for_parts()
}

fn of_newcomers() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(joins::list, joins::make))
        .routes(routes!(joins::revoke))
        .routes(routes!(joins::end))
        .routes(routes!(join::enter))
        .routes(routes!(join::look))
        .routes(routes!(join::begin))
        .routes(routes!(join::finish))
        .routes(routes!(join::key))
}

fn of_metrics() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(live::watch))
        .routes(routes!(metrics::range))
        .routes(routes!(metrics::processes))
        .routes(routes!(metrics::happened))
        .routes(routes!(metrics::recorder))
}

fn of_checks() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(checks::show))
        .routes(routes!(checks::runs))
        .routes(routes!(checks::run))
        .routes(routes!(check_plans::schedule))
        .routes(routes!(check_plans::waive))
        .routes(routes!(check_plans::unwaive))
}

fn of_scans() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(scans::list, scans::start))
        .routes(routes!(scans::show))
        .routes(routes!(scans::cancel))
        .routes(routes!(scans::servers))
        .routes(routes!(scans::findings))
        .routes(routes!(scans::reports))
        .routes(routes!(scan_plans::list, scan_plans::add))
        .routes(routes!(scan_plans::change, scan_plans::remove))
        .routes(routes!(scan_plans::pause))
        .routes(routes!(scan_plans::resume))
}

/// The OpenAPI document of this build.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().1
}

/// The whole service.
///
/// # Panics
/// Never: the document is made of strings and numbers.
pub fn router(state: Arc<Api>) -> Router {
    let (routes, document) = api();
    let text = document.to_json().expect("a document of strings and numbers serialises");
    let document = move || {
        let text = text.clone();
        async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], text) }
    };
    let routes = routes.route("/api/v1/openapi.json", axum::routing::get(document));
    edge::around(routes.fallback(console::serve), &state).with_state(state)
}
