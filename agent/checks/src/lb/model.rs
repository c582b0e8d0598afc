//! What every load balancer has: pools of members, each probed in some way, each setting with the place it comes from.
//! Times are in seconds throughout, whatever unit a bare number has in a system's file.

use super::{Accepted, Liveness};
use crate::found::Found;
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Pools of a host, and members of all of them, that are looked at (CHK-02): whoever writes a file may list millions.
const POOLS_MAX: usize = 5000;
const MEMBERS_MAX: usize = 20_000;

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) pools: Vec<Pool>,
    pub(crate) troubles: Vec<Trouble>,
    /// Statuses that somebody has set for a pool's probes.
    pub(crate) accepted: Vec<Accepted>,
    /// Liveness probes of containers that get traffic.
    pub(crate) liveness: Vec<Liveness>,
}

impl Fleet {
    /// Adds a pool while there is room; what is left out is said.
    pub(crate) fn add(&mut self, mut pool: Pool) {
        let members: usize = self.pools.iter().map(|pool| pool.members.len()).sum();
        let room = MEMBERS_MAX.saturating_sub(members);
        let is_full = self.pools.len() >= POOLS_MAX || room == 0;
        if is_full || pool.members.len() > room {
            pool.members.truncate(room);
            let why = words!(
                "more than {POOLS_MAX} pools or {MEMBERS_MAX} members; the rest was not looked at",
                "超过 {POOLS_MAX} 个服务器组或 {MEMBERS_MAX} 个成员，其余未检查"
            );
            if !self.troubles.iter().any(|trouble| trouble.why == why) {
                self.troubles.push(Trouble { system: pool.system, place: pool.place.clone(), why });
            }
        }
        if !is_full {
            self.pools.push(pool);
        }
    }

    /// Adds what another reader has read.
    pub(crate) fn extend(&mut self, other: Self) {
        let Self { pools, troubles, accepted, liveness } = other;
        for pool in pools {
            self.add(pool);
        }
        self.troubles.extend(troubles);
        self.accepted.extend(accepted);
        self.liveness.extend(liveness);
    }
}

/// Configuration that could not be read, or not be understood to its end.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) system: System,
    /// The file, with its line.
    pub(crate) place: Place,
    pub(crate) why: Words,
}

/// Which load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Haproxy,
    Nginx,
    NginxPlus,
    Tengine,
    Envoy,
    Traefik,
    Caddy,
    Keepalived,
    Apache,
    Kubernetes,
}

impl System {
    /// As subjects name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Haproxy => "haproxy",
            System::Nginx => "nginx",
            System::NginxPlus => "nginx-plus",
            System::Tengine => "tengine",
            System::Envoy => "envoy",
            System::Traefik => "traefik",
            System::Caddy => "caddy",
            System::Keepalived => "keepalived",
            System::Apache => "apache",
            System::Kubernetes => "kubernetes",
        }
    }

    /// What it calls a pool.
    pub(crate) fn pool_word(self) -> &'static str {
        match self {
            System::Haproxy => "backend",
            System::Nginx | System::NginxPlus | System::Tengine => "upstream",
            System::Envoy => "cluster",
            System::Traefik => "service",
            System::Caddy => "reverse_proxy",
            System::Keepalived => "virtual_server",
            System::Apache => "balancer",
            System::Kubernetes => "workload",
        }
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// From 1; 0 when the file as a whole is meant.
    pub(crate) line: u32,
    /// The line, as it stands there.
    pub(crate) text: String,
}

impl Place {
    /// `file:line`.
    pub(crate) fn source(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}", self.file, self.line) }
    }
}

/// Servers that share a service.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) system: System,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// What it speaks to its members; a probe of a lower layer accepts dead applications.
    pub(crate) layer: Layer,
    pub(crate) members: Vec<Member>,
}

/// One server of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// `host:port` as written.
    pub(crate) address: String,
    pub(crate) place: Place,
    pub(crate) probe: Probe,
    /// Taken out of service by configuration.
    pub(crate) disabled: bool,
    /// Gets traffic only when the others are down.
    pub(crate) backup: bool,
}

/// How it is noticed that a member is dead.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// The balancer asks on its own.
    Active(Box<Active>),
    /// Only users' requests tell. `per_request_secs`: how long one of them may hang.
    Passive { per_request_secs: Setting<f64>, fails: Setting<u32>, window_secs: Setting<f64> },
    /// Nothing tells: it is taken for alive for ever.
    Never,
    /// As another member's.
    Tracks(String),
    /// It is probed, but with a value that cannot be resolved here.
    Unresolved(Words),
}

/// An active probe with its values in effect.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) layer: Layer,
    pub(crate) cadence: Cadence,
    /// Between probes of a member that is up.
    pub(crate) interval: Setting<f64>,
    /// Between probes while its state is changing.
    pub(crate) fast: Setting<f64>,
    /// Between probes of a member that is down.
    pub(crate) down: Setting<f64>,
    /// The longest that one probe of a hanging member takes, as the system applies its settings.
    pub(crate) hang_secs: Setting<f64>,
    /// Failures until it is taken out.
    pub(crate) fall: Setting<u32>,
    /// Successes until it is taken back.
    pub(crate) rise: Setting<u32>,
    /// Whether `fall` failures must follow each other.
    pub(crate) consecutive: bool,
    /// Until full weight after it is back.
    pub(crate) slow_start_secs: f64,
    /// Longest wait for probes of other members that go first, when all those hang.
    pub(crate) queue_secs: f64,
    /// Where it is probed, when that is not where traffic goes.
    pub(crate) elsewhere: Option<Place>,
}

/// What a probe or a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// A connection is enough, or nothing more is known.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// A protocol of its own: MySQL, Redis, LDAP, gRPC, a script.
    Protocol,
    /// A request and its status.
    Http,
}

/// When the next probe begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cadence {
    /// An interval after the last one ended: HAProxy, keepalived, mod_proxy_hcheck, Envoy, Alibaba Cloud.
    AfterEnd,
    /// Every interval, however long a probe takes: Caddy, Traefik, kubelet, AWS.
    Fixed,
    /// A timer of half an interval that probes once a whole one has passed: 1.0 to 1.5 intervals (Tengine).
    HalfTicks,
}

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// A line.
    At(Place),
    /// Nobody has set it: the system's default, and where that is documented.
    Default(&'static str),
}

impl<T> Setting<T> {
    /// A value that stands in a file.
    pub(crate) fn at(value: T, place: Place) -> Self {
        Self { value, origin: Origin::At(place) }
    }

    /// A system's default.
    pub(crate) fn default(value: T, source: &'static str) -> Self {
        Self { value, origin: Origin::Default(source) }
    }

    /// Adds where it comes from to `found`, once for each line.
    pub(crate) fn show(&self, found: Found, name: &str) -> Found {
        match &self.origin {
            Origin::At(place) if found.evidence.iter().any(|one| one.source == place.source()) => found,
            Origin::At(place) => found.evidence(place.source(), &place.text),
            Origin::Default(source) => found.evidence("default", format!("{name}: {source}")),
        }
    }
}

impl Pool {
    /// `haproxy backend web`.
    pub(crate) fn subject(&self) -> String {
        format!("{} {} {}", self.system.name(), self.system.pool_word(), self.name)
    }

    /// `haproxy backend web/web1`.
    pub(crate) fn subject_of(&self, member: &Member) -> String {
        format!("{}/{}", self.subject(), member.name)
    }

    /// Members that get traffic, with their active probes.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Member, &Active)> {
        self.members.iter().filter(|member| !member.disabled).filter_map(|member| match &member.probe {
            Probe::Active(active) => Some((member, &**active)),
            Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) | Probe::Unresolved(_) => None,
        })
    }
}
