//! Asks servers by the clock: one look a minute, jitter, sixteen at once. The deciding part takes `now` and chance.
//!
//! An absent server is a result, not an error: it is skipped and looked for at the next look. It must never ask one server
//! twice at once, ask all of them in the same second after a restart, or let one customer's silent servers hold up another's.

use super::{Ask, AskError, Checks};
use crate::clock;
use crate::store::{RunWhy, Scheduled};
use crate::tunnels::registry::Registry;
use crate::turns::in_turn;
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::time::UnixTime;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often it is looked whose time has come.
const LOOK: Duration = Duration::from_secs(60);
/// Servers asked at once: a report each of a megabyte at most.
const AT_ONCE: usize = 16;
/// Servers asked in one look, each customer's in turn: were all of them silent, the next look would come ten minutes later.
const LOOK_MAX: usize = 128;
/// A server whose time has passed long ago, or that is new here, is asked within so many seconds: a relay that comes back
/// must not ask a whole fleet in one second.
const SPREAD_SECS: u64 = 300;

/// When each server is asked next.
#[derive(Debug, Default)]
pub struct Plan(BTreeMap<AgentId, Next>);

#[derive(Debug, Clone, Copy)]
struct Next {
    every_secs: u64,
    at: UnixTime,
}

impl Plan {
    /// Servers to ask now: of each customer one after the other, those first whose time has passed longest. Each is planned
    /// again; what does not fit into a look is due at the next one. `random` gives a number below its argument.
    pub fn due(
        &mut self,
        all: &[Scheduled],
        here: impl Fn(&AgentId) -> bool,
        now: UnixTime,
        mut random: impl FnMut(u64) -> u64,
    ) -> Vec<Scheduled> {
        let mut plan = BTreeMap::new();
        let mut late = Vec::new();
        for one in all {
            let known = self.0.get(&one.agent).filter(|next| next.every_secs == one.every_secs);
            let at = known.map_or_else(|| first(one, now, &mut random), |next| next.at);
            plan.insert(one.agent, Next { every_secs: one.every_secs, at });
            if at <= now && here(&one.agent) {
                late.push((at, *one));
            }
        }
        late.sort_by_key(|(at, _)| *at);
        let due: Vec<_> = in_turn(late, |(_, one)| one.tenant).into_iter().take(LOOK_MAX).map(|(_, one)| one).collect();
        for one in &due {
            let at = now.plus_secs(one.every_secs + random(one.every_secs / 20));
            plan.insert(one.agent, Next { every_secs: one.every_secs, at });
        }
        // What is not there any more is forgotten with the old plan.
        self.0 = plan;
        due
    }

    /// A server that could not do it just now is asked at the next look.
    pub fn soon(&mut self, agent: &AgentId, now: UnixTime) {
        if let Some(next) = self.0.get_mut(agent) {
            next.at = now;
        }
    }
}

/// An interval after the last run; when that is over, or there was none, soon.
fn first(one: &Scheduled, now: UnixTime, random: &mut impl FnMut(u64) -> u64) -> UnixTime {
    let next = one.last.map(|last| last.plus_secs(one.every_secs)).filter(|next| *next > now);
    next.unwrap_or_else(|| now.plus_secs(random(SPREAD_SECS)))
}

/// Asks until `stop`.
pub async fn keep_asking(checks: Arc<Checks>, registry: Arc<Registry>, stop: CancellationToken) {
    let plan = Mutex::new(Plan::default());
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look(&checks, &registry, &plan, clock::now()) => {}
        }
    }
}

/// Asks those whose time has come at `now`; returns when all have answered.
pub async fn look(checks: &Checks, registry: &Registry, plan: &Mutex<Plan>, now: UnixTime) {
    let all = match checks.store.check_schedules().await {
        Ok(all) => all,
        Err(error) => return warn!(%error, "cannot read which servers to ask for checks"),
    };
    let here = |agent: &AgentId| registry.live(agent).is_some();
    // The lock is for one look at the plan.
    let due = plan.lock().unwrap_or_else(PoisonError::into_inner).due(&all, here, now, chance);
    futures_util::stream::iter(due)
        .for_each_concurrent(AT_ONCE, async |one| {
            if run(checks, one).await == Went::TooEarly {
                plan.lock().unwrap_or_else(PoisonError::into_inner).soon(&one.agent, clock::now());
            }
        })
        .await;
}

#[derive(Debug, PartialEq, Eq)]
enum Went {
    /// As well as it could.
    On,
    /// Somebody else had just asked, or it left just now.
    TooEarly,
}

async fn run(checks: &Checks, Scheduled { tenant, agent, .. }: Scheduled) -> Went {
    let mut nonce = [0; 16];
    if let Err(error) = getrandom::fill(&mut nonce) {
        warn!(%error, "no randomness");
        return Went::TooEarly;
    }
    let ask = Ask {
        tenant,
        agent,
        checks: Vec::new(),
        nonce: Nonce(nonce),
        why: RunWhy::Schedule,
        account: String::new(),
        client: String::new(),
    };
    match checks.run(&ask).await {
        Ok(_) => Went::On,
        Err(AskError::Refused(refused)) if refused.code == Refusal::ChecksTooOften => Went::TooEarly,
        Err(AskError::Broker(_) | AskError::Broke) => Went::TooEarly,
        Err(error) => {
            debug!(agent = %agent.short(), %error, "no checks by schedule");
            Went::On
        }
    }
}

/// A number below `below`.
fn chance(below: u64) -> u64 {
    // Without randomness all come at once, which is what this only softens.
    getrandom::u64().map_or(0, |random| if below == 0 { 0 } else { random % below })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::TenantRef;

    const NOW: u64 = 1_800_000_000;

    fn one(agent: u8, every_secs: u64, last: Option<u64>) -> Scheduled {
        Scheduled { tenant: TenantRef::of_test(1), agent: AgentId([agent; 32]), every_secs, last: last.map(UnixTime) }
    }

    /// Looks each minute for a while; seconds after [`NOW`] and which server.
    fn asked(
        plan: &mut Plan,
        all: &[Scheduled],
        minutes: u64,
        here: impl Fn(u8, u64) -> bool,
        chance: u64,
    ) -> Vec<(u64, u8)> {
        let mut asked = Vec::new();
        for minute in 0..minutes {
            let secs = minute * 60;
            let at_home = |agent: &AgentId| here(agent.0[0], secs);
            let random = |below: u64| if below == 0 { 0 } else { chance % below };
            let due = plan.due(all, at_home, UnixTime(NOW + secs), random);
            asked.extend(due.iter().map(|one| (secs, one.agent.0[0])));
        }
        asked
    }

    #[test]
    fn each_server_is_asked_once_an_interval() {
        let all = [one(1, 600, None), one(2, 3600, Some(NOW - 600))];
        assert_eq!(
            asked(&mut Plan::default(), &all, 60, |_, _| true, 0),
            [(0, 1), (600, 1), (1200, 1), (1800, 1), (2400, 1), (3000, 1), (3000, 2)]
        );
    }

    #[test]
    fn a_fleet_whose_time_has_passed_is_spread() {
        let all: Vec<_> = (0..100).map(|agent| one(agent, 3600, Some(NOW - 9000))).collect();
        let mut number = 0;
        let mut plan = Plan::default();
        let mut counts = Vec::new();
        for minute in 0..7 {
            let random = |below: u64| {
                number += 37;
                number % below
            };
            counts.push(plan.due(&all, |_| true, UnixTime(NOW + minute * 60), random).len());
        }
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert!(counts.iter().all(|count| *count <= 30), "{counts:?}");
    }

    #[test]
    fn a_customer_with_many_servers_holds_up_nobody() {
        let mut all: Vec<_> = (0..=255).map(|agent| one(agent, 300, None)).collect();
        let small = Scheduled { tenant: TenantRef::of_test(2), agent: AgentId([1; 32]), ..all[0] };
        let other = |n: u8| Scheduled { agent: AgentId([n, 1].repeat(16).try_into().unwrap()), ..small };
        all.extend([other(1), other(2)]);
        let mut plan = Plan::default();
        let mut look = |minute: u64| plan.due(&all, |_| true, UnixTime(NOW + minute * 60), |_| 0);
        let first = look(0);
        assert_eq!(first.len(), 128);
        assert_eq!(first.iter().take(4).filter(|one| one.tenant == small.tenant).count(), 2, "one after the other");
        assert_eq!([look(1).len(), look(2).len(), look(3).len()], [128, 2, 0], "the rest comes later, each once");
    }

    #[test]
    fn an_absent_server_is_tried_at_the_next_look() {
        let all = [one(1, 3600, None)];
        let here = |_, secs| secs >= 300;
        assert_eq!(asked(&mut Plan::default(), &all, 10, here, 0), [(300, 1)]);
    }

    #[test]
    fn a_server_that_was_just_asked_by_somebody_is_tried_again_soon() {
        let mut plan = Plan::default();
        let all = [one(1, 3600, None)];
        assert_eq!(plan.due(&all, |_| true, UnixTime(NOW), |_| 0).len(), 1);
        plan.soon(&all[0].agent, UnixTime(NOW + 1));
        assert_eq!(plan.due(&all, |_| true, UnixTime(NOW + 60), |_| 0).len(), 1);
        assert!(plan.due(&all, |_| true, UnixTime(NOW + 120), |_| 0).is_empty());
    }

    #[test]
    fn another_interval_counts_at_once_and_what_is_off_is_forgotten() {
        let mut plan = Plan::default();
        assert_eq!(plan.due(&[one(1, 604_800, None)], |_| true, UnixTime(NOW), |_| 0).len(), 1);
        let sooner = [one(1, 300, Some(NOW))];
        assert!(plan.due(&sooner, |_| true, UnixTime(NOW + 60), |_| 0).is_empty());
        assert_eq!(plan.due(&sooner, |_| true, UnixTime(NOW + 300), |_| 0).len(), 1);
        assert!(plan.due(&[], |_| true, UnixTime(NOW + 360), |_| 0).is_empty() && plan.0.is_empty());
    }
}
