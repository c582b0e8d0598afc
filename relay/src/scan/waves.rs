//! Which servers of a scan are asked when, as pure code: it takes the time, who is here, and chance.
//!
//! ```text
//!  first ──▶ asked ──▶ answered
//!    │         ▲ │
//!    │         │ └──▶ later: it said "too early", and is asked once more
//!    ├──▶ away: not here while tunnels still come back after a start; asked when it comes
//!    └──▶ absent: not here, which is a result
//! ```
//!
//! A wave is a bounded number of servers that were asked within the last second. Who is silent longer leaves its wave and
//! holds up nobody; only memory bounds how many are waited for. Never: a server that is asked twice at once, one that is
//! forgotten, or one that is waited for beyond its own deadline, which begins when it is asked first.

use cloud_doctor_proto::ids::AgentId;
use std::collections::{BTreeMap, VecDeque};

/// A server that was asked this long ago is not of the newest wave any more.
const WAVE_MS: u64 = 1_000;
/// Servers waited for at once, per place in a wave: each may answer with a megabyte.
const WAITING_PER_PLACE: usize = 16;
/// How often it is looked who of those that are away has come.
const LOOK_MS: u64 = 1_000;
/// What a server asks for when it says "later" without a number that could be right: no pause is longer than this.
const PAUSE_SECS_MAX: u64 = 30;
/// After that a server that is asked again is on the safe side of its own clock.
const PAUSE_MORE_MS: u64 = 500;

/// How a scan goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Servers of a wave.
    pub at_once: usize,
    /// How long one server may take, from when it is asked first.
    pub wait_ms: u64,
    /// Until then a server that is not here may still come back: the relay itself has just started.
    pub absent_from_ms: u64,
}

/// What is to be done about a server now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask it, and give up after that long.
    Ask(AgentId, u64),
    /// It is not here.
    Absent(AgentId),
    /// Its time was over before its turn came again.
    Silent(AgentId),
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: u64,
    until: u64,
    again: bool,
}

/// All servers of a scan that have no result yet. Times are milliseconds since the scan began to run.
#[derive(Debug)]
pub struct Waves {
    limits: Limits,
    first: VecDeque<AgentId>,
    away: Vec<AgentId>,
    looked: Option<u64>,
    later: BTreeMap<AgentId, Asked>,
    asked: BTreeMap<AgentId, Asked>,
}

impl Waves {
    /// Of these servers, in an order by chance: neighbours in a list may share a rack. `random` gives a number below its
    /// argument.
    #[must_use]
    pub fn new(mut servers: Vec<AgentId>, limits: Limits, mut random: impl FnMut(usize) -> usize) -> Self {
        for at in (1..servers.len()).rev() {
            servers.swap(at, random(at + 1).min(at));
        }
        let (later, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { limits, first: servers.into(), away: Vec::new(), looked: None, later, asked }
    }

    /// Every server has its result.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.first.is_empty() && self.away.is_empty() && self.later.is_empty() && self.asked.is_empty()
    }

    /// What to do at `now`.
    pub fn steps(&mut self, now: u64, here: impl Fn(&AgentId) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut free = self.free(now);
        self.once_more(now, &here, &mut free, &mut steps);
        self.look_for_those_away(now, &here);
        while let Some(agent) = self.first.pop_front() {
            if !here(&agent) {
                if now < self.limits.absent_from_ms {
                    self.away.push(agent);
                } else {
                    steps.push(Step::Absent(agent));
                }
                continue;
            }
            if free == 0 {
                self.first.push_front(agent);
                break;
            }
            free -= 1;
            steps.push(Step::Ask(agent, self.limits.wait_ms));
            self.asked.insert(agent, Asked { at: now, until: now + self.limits.wait_ms, again: false });
        }
        steps
    }

    /// Those that said "later" go first: their deadlines run.
    fn once_more(&mut self, now: u64, here: &impl Fn(&AgentId) -> bool, free: &mut usize, steps: &mut Vec<Step>) {
        let due: Vec<AgentId> = self.later.iter().filter(|(_, one)| one.at <= now).map(|(agent, _)| *agent).collect();
        for agent in due {
            if *free == 0 {
                return;
            }
            let Some(one) = self.later.remove(&agent) else { continue };
            if one.until <= now || !here(&agent) {
                steps.push(if one.until <= now { Step::Silent(agent) } else { Step::Absent(agent) });
                continue;
            }
            *free -= 1;
            steps.push(Step::Ask(agent, one.until - now));
            self.asked.insert(agent, Asked { at: now, ..one });
        }
    }

    fn look_for_those_away(&mut self, now: u64, here: &impl Fn(&AgentId) -> bool) {
        if self.away.is_empty() || self.looked.is_some_and(|looked| now < looked + LOOK_MS) {
            return;
        }
        self.looked = Some(now);
        let late = now >= self.limits.absent_from_ms;
        let (back, away) = std::mem::take(&mut self.away).into_iter().partition(|agent| late || here(agent));
        self.away = away;
        self.first.extend::<Vec<AgentId>>(back);
    }

    /// Places for servers to ask now.
    fn free(&self, now: u64) -> usize {
        let wave = self.asked.values().filter(|one| now < one.at + WAVE_MS).count();
        let waiting_max = self.limits.at_once.saturating_mul(WAITING_PER_PLACE);
        let left = waiting_max.saturating_sub(self.asked.len());
        self.limits.at_once.saturating_sub(wave).min(left)
    }

    /// When there may be something to do again, should nobody answer before.
    #[must_use]
    pub fn wake(&self, now: u64) -> u64 {
        let mut times = Vec::new();
        if !self.away.is_empty() {
            times.push(now + LOOK_MS);
        }
        if let Some(next) = self.later.values().map(|one| one.at).min() {
            times.push(next);
        }
        if !self.first.is_empty() || self.later.values().any(|one| one.at <= now) {
            times.extend(self.asked.values().map(|one| one.at + WAVE_MS).filter(|old| *old > now).min());
        }
        times.into_iter().min().map_or(now + self.limits.wait_ms, |at| at.max(now + 1))
    }

    /// A server answered for good, or its time is over.
    pub fn answered(&mut self, agent: &AgentId) {
        self.asked.remove(agent);
    }

    /// A server said that it cannot just now, and maybe in how many seconds it can. `false`: it was asked twice already, or
    /// its time would be over.
    pub fn early(&mut self, agent: &AgentId, secs: Option<u64>, now: u64) -> bool {
        let Some(one) = self.asked.remove(agent) else { return false };
        let pause = secs.unwrap_or(PAUSE_SECS_MAX).clamp(1, PAUSE_SECS_MAX) * 1_000 + PAUSE_MORE_MS;
        let at = now + pause;
        if one.again || at >= one.until {
            return false;
        }
        self.later.insert(*agent, Asked { at, again: true, ..one });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LIMITS: Limits = Limits { at_once: 128, wait_ms: 75_000, absent_from_ms: 0 };

    fn server(number: u16) -> AgentId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        AgentId(id)
    }

    fn number(agent: AgentId) -> u16 {
        u16::from_be_bytes([agent.0[0], agent.0[1]])
    }

    /// A number that looks like chance, and is the same each time.
    fn chance(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Went {
        Well,
        Absent,
        Silent,
        Garbage,
        Early,
    }

    /// A fleet in simulated time: what became of whom, when the last result came, and how many were waited for at most.
    struct Played {
        went: BTreeMap<u16, Went>,
        ended: u64,
        waiting: usize,
        asks: usize,
    }

    /// How a server behaves: nothing for one that is not here; else how long it takes, and what comes then.
    type Nature = Option<(u64, Went)>;

    fn play(servers: u16, limits: Limits, nature: impl Fn(u16, usize, u64) -> Nature) -> Played {
        let mut seed = 7;
        let all: Vec<AgentId> = (0..servers).map(server).collect();
        let random = |below: usize| usize::try_from(chance(&mut seed)).unwrap_or(0) % below;
        let mut waves = Waves::new(all, limits, random);
        let mut played = Played { went: BTreeMap::new(), ended: 0, waiting: 0, asks: 0 };
        let mut answers: BTreeSet<(u64, u16, Went)> = BTreeSet::new();
        let mut asked = BTreeMap::<u16, usize>::new();
        let mut now = 0;
        while !waves.is_over() {
            let times = asked.clone();
            let asks = |agent: &AgentId| times.get(&number(*agent)).copied().unwrap_or(0);
            for step in waves.steps(now, |agent| nature(number(*agent), asks(agent), now).is_some()) {
                match step {
                    Step::Absent(agent) => assert_eq!(played.went.insert(number(agent), Went::Absent), None),
                    Step::Silent(agent) => assert_eq!(played.went.insert(number(agent), Went::Silent), None),
                    Step::Ask(agent, wait) => {
                        let times = asked.entry(number(agent)).or_default();
                        let (takes, went) = nature(number(agent), *times, now).unwrap_or((0, Went::Absent));
                        *times += 1;
                        played.asks += 1;
                        let (takes, went) = if takes > wait { (wait, Went::Silent) } else { (takes, went) };
                        answers.insert((now + takes, number(agent), went));
                    }
                }
            }
            played.waiting = played.waiting.max(answers.len());
            let wake = waves.wake(now);
            let next = answers.first().map_or(wake, |(at, _, _)| (*at).min(wake));
            assert!(next > now || !answers.is_empty(), "time goes on");
            now = next.max(now);
            while let Some((at, one, went)) = answers.first().copied().filter(|(at, _, _)| *at <= now) {
                answers.remove(&(at, one, went));
                if went == Went::Early && waves.early(&server(one), Some(12), now) {
                    continue;
                }
                waves.answered(&server(one));
                assert_eq!(played.went.insert(one, went), None, "one result each");
                played.ended = now;
            }
            assert!(now < 3_600_000, "it ends");
        }
        played
    }

    fn count(played: &Played, went: Went) -> usize {
        played.went.values().filter(|one| **one == went).count()
    }

    #[test]
    fn chk_12_a_thousand_servers_are_accounted_for_within_ninety_seconds() {
        // 10 % absent, 5 % hanging, 5 % garbage, 5 % that have just run checks, and the rest within 2 to 12 s.
        let nature = |one: u16, asked: usize, _: u64| match one % 20 {
            0 | 1 => None,
            2 => Some((u64::MAX, Went::Well)),
            3 => Some((300, Went::Garbage)),
            4 if asked == 0 => Some((20, Went::Early)),
            _ => Some((2_000 + u64::from(one % 10) * 1_000, Went::Well)),
        };
        let played = play(1_000, LIMITS, nature);
        assert_eq!(played.went.len(), 1_000, "every server is accounted for");
        let counts = [Went::Well, Went::Absent, Went::Silent, Went::Garbage, Went::Early].map(|w| count(&played, w));
        assert_eq!(counts, [800, 100, 50, 50, 0]);
        assert!(played.ended <= 90_000, "{} ms", played.ended);
        assert_eq!(played.asks, 950, "those that were too early are asked once more");
        assert!(played.waiting <= 128 * 16, "{}", played.waiting);
    }

    #[test]
    fn chk_12_silent_servers_hold_up_nobody() {
        // Half of them hang: the others are through as if they were alone.
        let hanging =
            |one: u16, _: usize, _: u64| Some((if one.is_multiple_of(2) { u64::MAX } else { 500 }, Went::Well));
        let limits = Limits { at_once: 16, ..LIMITS };
        let played = play(200, limits, hanging);
        assert_eq!((count(&played, Went::Well), count(&played, Went::Silent)), (100, 100));
        assert!(played.ended <= 75_000 + 200 / 16 * 1_000 + 1_000, "{} ms", played.ended);
    }

    #[test]
    fn a_wave_is_bounded_and_the_next_follows_answers() {
        let mut waves = Waves::new((0..10).map(server).collect(), Limits { at_once: 4, ..LIMITS }, |_| 0);
        let asked = |steps: &[Step]| steps.iter().filter(|step| matches!(step, Step::Ask(..))).count();
        let first = waves.steps(0, |_| true);
        assert_eq!(asked(&first), 4);
        assert!(waves.steps(10, |_| true).is_empty() && waves.wake(10) == 1_000);
        let Step::Ask(agent, 75_000) = first[0] else { panic!("{first:?}") };
        waves.answered(&agent);
        assert_eq!(asked(&waves.steps(20, |_| true)), 1, "a place that is free is taken at once");
        assert_eq!(asked(&waves.steps(1_000, |_| true)), 3, "who is silent leaves the wave");
    }

    #[test]
    fn memory_bounds_how_many_are_waited_for() {
        let mut waves = Waves::new((0..100).map(server).collect(), Limits { at_once: 2, ..LIMITS }, |_| 0);
        let asked: usize = (0..100).map(|second| waves.steps(second * 1_000, |_| true).len()).sum();
        assert_eq!(asked, 32);
    }

    #[test]
    fn a_server_that_said_later_is_asked_once_more_within_its_time() {
        let early = |one: u16, _: usize, _: u64| Some((if one == 0 { 10 } else { 20 }, Went::Early));
        let played = play(2, LIMITS, early);
        assert_eq!((played.asks, count(&played, Went::Early)), (4, 2), "twice each, and then that is the result");
        let short = play(1, Limits { wait_ms: 5_000, ..LIMITS }, early);
        assert_eq!((short.asks, count(&short, Went::Early)), (1, 1), "its time would be over");
    }

    #[test]
    fn after_a_start_servers_have_time_to_come_back() {
        let comes = |one: u16, _: usize, now: u64| match one {
            0 => (now >= 20_000).then_some((100, Went::Well)),
            1 => None,
            _ => Some((100, Went::Well)),
        };
        let played = play(10, Limits { absent_from_ms: 60_000, ..LIMITS }, comes);
        assert_eq!(played.went.get(&0), Some(&Went::Well));
        assert_eq!((played.went.get(&1), count(&played, Went::Well)), (Some(&Went::Absent), 9));
        let at_once = play(10, LIMITS, comes);
        assert_eq!(count(&at_once, Went::Absent), 2);
        assert!(at_once.ended <= 200, "nobody waits for who is absent: {}", at_once.ended);
    }

    #[test]
    fn the_order_is_by_chance_and_loses_nobody() {
        let mut seed = 3;
        let random = |below: usize| usize::try_from(chance(&mut seed)).unwrap_or(0) % below;
        let waves = Waves::new((0..500).map(server).collect(), LIMITS, random);
        let order: Vec<u16> = waves.first.iter().map(|agent| number(*agent)).collect();
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 500);
        assert!(order.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count() < 20, "{order:?}");
    }
}
