//! Agents that do not exist: thousands in one process, each with keys of its own, over real QUIC, for tests and figures.
//!
//! ```text
//!  Fleet ── one task per agent: shakes hands, says hello, serves ──▶ answer.rs  a request for checks
//!    │        as its nature says, comes back when it is cut off ───▶ values.rs  series, samples, history
//!    └─ networks.rs: which address it calls from, and when           enrol.rs   first contact with a token
//! ```
//!
//! The relay that they call is real and sees no difference. They check nothing and run nothing: what an agent decides on its
//! host is tested elsewhere. Never: a figure of the fleet's own cost taken for the product's.

mod answer;
mod enrol;
mod nature;
mod networks;
pub mod rows;
mod simulated;
mod tunnel;
mod values;
mod wire;

pub use enrol::{Enrolment, NotEnrolled, enrol};
pub use nature::{Lie, Mix, Nature, NotAMix, Share};
pub use simulated::Simulated;
pub use tunnel::NotTheRelay;

use anyhow::{Result, bail};
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::pin::Pin;
use networks::Networks;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a whole fleet may take to be there, beyond what its pace takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(20);
/// How long agents may take to say good-bye.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// What a fleet needs to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where agents reach the relay.
    pub relay: SocketAddr,
    /// Keys that it may have; none: any, for a relay that was started here.
    pub pins: Vec<Pin>,
    /// The newest entry of the customer's log that agents have.
    pub trust: TrustHead,
    /// How long checks take at most; each agent takes its own share of it.
    pub checks: Duration,
    /// Series of one host; none: its ceiling lets nobody see metrics.
    pub series: usize,
    /// Handshakes per second, all together.
    pub per_second: u32,
}

impl Plan {
    /// The usual one, for a relay on this machine.
    #[must_use]
    pub fn new(relay: SocketAddr, trust: TrustHead) -> Self {
        let (pins, per_second) = (Vec::new(), networks::per_second(relay));
        Self { relay, pins, trust, checks: Duration::from_secs(3), series: 250, per_second }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the fleet has done so far.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* $name: AtomicU64,)* }

        /// The same at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Agents whose tunnel stands now.
    connected,
    /// Tunnels that ever stood.
    handshakes,
    /// Tries that led to none.
    failed,
    /// Tunnels that ended although the fleet did not want it.
    lost,
    /// Requests for checks.
    asked,
    /// Reports as a server should send them.
    reports,
    /// Requests on which nothing was said.
    unanswered,
    /// Answers that no relay may believe.
    garbage,
    /// Streams of live values that are open now.
    live,
    /// Samples sent, those of floods among them.
    samples,
    /// Summaries sent.
    summaries,
    /// Ranges of history and lists of processes.
    answers,
}

impl Counters {
    fn add(which: &AtomicU64) {
        which.fetch_add(1, Ordering::Relaxed);
    }

    fn take(which: &AtomicU64) {
        which.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the fleet.
#[derive(Debug)]
struct Member {
    simulated: Simulated,
    nature: Nature,
    /// Its place in the fleet.
    number: usize,
    /// Asks it to hang up and come back.
    again: Notify,
    /// Tunnels that it had.
    handshakes: AtomicU64,
}

/// What all agents share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    counters: Counters,
    networks: Networks,
    values: values::Values,
    findings: answer::Findings,
    stop: CancellationToken,
    /// Why the last try failed. The lock is for one look.
    trouble: Mutex<Option<String>>,
}

/// Agents that are connected, or try to be.
#[derive(Debug)]
pub struct Fleet {
    runtime: Runtime,
    shared: Arc<Shared>,
    members: Vec<Arc<Member>>,
    started: usize,
    tasks: TaskTracker,
}

impl Fleet {
    /// A fleet that is not connected yet. `mix` says how many of them are how.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn new(plan: Plan, mix: &Mix, agents: Vec<Simulated>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let total = agents.len();
        let member = |(number, simulated)| {
            let nature = mix.nature(number, total);
            let (again, handshakes) = (Notify::new(), AtomicU64::new(0));
            Arc::new(Member { simulated, nature, number, again, handshakes })
        };
        let members = agents.into_iter().enumerate().map(member).collect();
        let networks = Networks::new(plan.relay, plan.per_second);
        let values = values::Values::new(plan.series);
        let (counters, stop, trouble) = (Counters::default(), CancellationToken::new(), Mutex::default());
        let findings = answer::Findings::new();
        let shared = Arc::new(Shared { plan, counters, networks, values, findings, stop, trouble });
        Ok(Self { runtime, shared, members, started: 0, tasks: TaskTracker::new() })
    }

    /// Has the agents up to this number live, without waiting for them.
    pub fn start(&mut self, until: usize) {
        let _inside = self.runtime.enter();
        for member in &self.members[self.started.min(until)..until] {
            if member.nature != Nature::Absent {
                self.tasks.spawn(tunnel::live(member.clone(), self.shared.clone()));
            }
        }
        self.started = self.started.max(until);
    }

    /// Connects the agents with these numbers and waits for them. Those that are connected leave first and come back.
    ///
    /// # Errors
    /// When they are not all there in time, with the last reason.
    pub fn connect(&mut self, numbers: std::ops::Range<usize>) -> Result<()> {
        let wanted: Vec<_> = self.members[numbers.clone()].iter().filter(|one| one.nature != Nature::Absent).collect();
        let wanted: Vec<_> =
            wanted.into_iter().map(|one| (one.clone(), one.handshakes.load(Ordering::Relaxed))).collect();
        let known = self.started;
        for (member, _) in wanted.iter().filter(|(one, _)| one.number < known) {
            member.again.notify_one();
        }
        self.start(numbers.end.max(known));
        let begun = Instant::now();
        let patience = PATIENCE + Duration::from_secs(1) * u32::try_from(wanted.len())? / self.shared.plan.per_second;
        while wanted.iter().any(|(one, before)| one.handshakes.load(Ordering::Relaxed) <= *before) {
            if begun.elapsed() > patience {
                let why = self.trouble().unwrap_or_else(|| "the relay does not answer".to_owned());
                let missing = wanted.iter().filter(|(one, before)| one.handshakes.load(Ordering::Relaxed) <= *before);
                bail!("{} agents are not connected after {patience:?}: {why}", missing.count());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// How many agents there are, absent ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many will ever connect.
    #[must_use]
    pub fn present(&self) -> usize {
        self.members.iter().filter(|one| one.nature != Nature::Absent).count()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Why the last try to connect failed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The relay has let none of the agents go.
    ///
    /// # Errors
    /// When it has.
    pub fn check(&self) -> Result<()> {
        match self.counts().lost {
            0 => Ok(()),
            lost => bail!("the relay let {lost} agents go: {}", self.trouble().unwrap_or_default()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.tasks.close();
        let tasks = self.tasks.clone();
        let ended = self.runtime.block_on(async {
            let ended = tokio::time::timeout(GOOD_BYE, tasks.wait()).await;
            self.shared.networks.flush().await;
            ended
        });
        // What did not end in time ends with the runtime.
        drop(ended);
    }
}
