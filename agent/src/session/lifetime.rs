//! How long a channel may live: its grant, its views, its silence. Pure: `now` comes in, a verdict goes out.
//!
//! ```text
//!  grant's end − 5 min, − 1 min: warn ──▶ grant's end: Expired
//!  no view for the detached limit: Detached        no input for the idle limit: Idle
//! ```
//!
//! It must never prolong a life by being asked late: verdicts depend on `now` only.

use super::door::Limits;
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::time::BootTime;

/// Seconds before the end at which the engineer is warned (PTY-12).
const WARNINGS_SECS: [u64; 2] = [300, 60];

/// The clocks of one channel.
#[derive(Debug)]
pub(crate) struct Lifetime {
    limits: Limits,
    ends_at: BootTime,
    /// Since when nobody watches; `None` while a view is attached.
    detached_since: Option<BootTime>,
    input_at: BootTime,
    /// How many of [`WARNINGS_SECS`] were given or are not wanted any more.
    warned: usize,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// End the channel.
    End(FinReason),
    /// Tell the view that so many seconds are left; then ask again.
    Warn(u64),
    /// Ask again at this time, or when something changes.
    Wait(BootTime),
}

impl Lifetime {
    /// A life that begins now, with a view.
    pub(crate) fn new(now: BootTime, ends_at: BootTime, limits: Limits) -> Self {
        let mut life = Self { limits, ends_at, detached_since: None, input_at: now, warned: 0 };
        life.extend_to(now, ends_at);
        life
    }

    /// When the grant ends.
    pub(crate) fn ends_at(&self) -> BootTime {
        self.ends_at
    }

    /// Another grant holds now. Warnings whose time has passed are not given late.
    pub(crate) fn extend_to(&mut self, now: BootTime, ends_at: BootTime) {
        self.ends_at = ends_at;
        self.warned = WARNINGS_SECS.iter().filter(|secs| now.plus_secs(**secs) >= ends_at).count();
    }

    /// A view attached.
    pub(crate) fn attached(&mut self) {
        self.detached_since = None;
    }

    /// The last view went away.
    pub(crate) fn detached(&mut self, now: BootTime) {
        self.detached_since.get_or_insert(now);
    }

    /// Something was typed.
    pub(crate) fn typed(&mut self, now: BootTime) {
        self.input_at = now;
    }

    /// What is to be done at `now`.
    pub(crate) fn verdict(&mut self, now: BootTime) -> Verdict {
        let detached_end = self.detached_since.map(|since| since.plus_secs(self.limits.detached_secs));
        let idle_end = self.limits.idle_secs.map(|secs| self.input_at.plus_secs(secs));
        if now >= self.ends_at {
            return Verdict::End(FinReason::Expired);
        }
        if detached_end.is_some_and(|end| now >= end) {
            return Verdict::End(FinReason::Detached);
        }
        if idle_end.is_some_and(|end| now >= end) {
            return Verdict::End(FinReason::Idle);
        }
        let warn_at = |secs: &u64| BootTime(self.ends_at.0.saturating_sub(secs * 1000));
        let next_warning = WARNINGS_SECS.get(self.warned).map(warn_at);
        if next_warning.is_some_and(|at| now >= at) {
            self.warned += 1;
            return Verdict::Warn(now.millis_until(self.ends_at).div_ceil(1000));
        }
        let times = [detached_end, idle_end, next_warning];
        Verdict::Wait(times.into_iter().flatten().fold(self.ends_at, BootTime::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: u64 = 60_000;
    const LIMITS: Limits = Limits { idle_secs: None, detached_secs: 900, linger_secs: 600 };

    #[test]
    fn pty_12_warnings_at_five_and_one_minute_then_the_end() {
        let mut life = Lifetime::new(BootTime(0), BootTime(60 * MIN), LIMITS);
        assert_eq!(life.verdict(BootTime(0)), Verdict::Wait(BootTime(55 * MIN)));
        assert_eq!(life.verdict(BootTime(55 * MIN)), Verdict::Warn(300));
        assert_eq!(life.verdict(BootTime(55 * MIN)), Verdict::Wait(BootTime(59 * MIN)));
        assert_eq!(life.verdict(BootTime(59 * MIN + 500)), Verdict::Warn(60));
        assert_eq!(life.verdict(BootTime(60 * MIN - 1)), Verdict::Wait(BootTime(60 * MIN)));
        assert_eq!(life.verdict(BootTime(60 * MIN)), Verdict::End(FinReason::Expired));
    }

    #[test]
    fn short_grants_are_not_warned_late_and_a_new_grant_warns_again() {
        let mut life = Lifetime::new(BootTime(0), BootTime(2 * MIN), LIMITS);
        assert_eq!(life.verdict(BootTime(0)), Verdict::Wait(BootTime(MIN)));
        life.extend_to(BootTime(0), BootTime(30 * MIN));
        assert_eq!(life.verdict(BootTime(0)), Verdict::Wait(BootTime(25 * MIN)));
    }

    #[test]
    fn flt_11_a_shell_without_a_view_ends_after_its_limit() {
        let mut life = Lifetime::new(BootTime(0), BootTime(600 * MIN), LIMITS);
        life.detached(BootTime(MIN));
        life.detached(BootTime(10 * MIN));
        assert_eq!(life.verdict(BootTime(15 * MIN)), Verdict::Wait(BootTime(16 * MIN)));
        assert_eq!(life.verdict(BootTime(16 * MIN)), Verdict::End(FinReason::Detached));
        life.attached();
        assert_eq!(life.verdict(BootTime(16 * MIN)), Verdict::Wait(BootTime(595 * MIN)));
    }

    #[test]
    fn silence_ends_only_where_it_is_limited() {
        let limits = Limits { idle_secs: Some(60), ..LIMITS };
        let mut life = Lifetime::new(BootTime(0), BootTime(600 * MIN), limits);
        life.typed(BootTime(30_000));
        assert_eq!(life.verdict(BootTime(MIN)), Verdict::Wait(BootTime(90_000)));
        assert_eq!(life.verdict(BootTime(90_000)), Verdict::End(FinReason::Idle));
    }
}
