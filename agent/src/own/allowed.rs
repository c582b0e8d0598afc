//! Which of a host's own checks a relay may have, by names alone: guard knows the ceiling and reads no pack, the process
//! that reads packs knows no ceiling.
//!
//! It must never allow what no rule names.

use cloud_doctor_proto::ceiling::{Ceiling, Mode, OWN_CHECKS, ScopeName};
use cloud_doctor_proto::time::UnixTime;
use serde::{Deserialize, Serialize};

/// What the ceiling says now, and what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allowed {
    /// The names that each rule is about, in the ceiling's order, and whether it lets them run now.
    rules: Vec<(Vec<String>, bool)>,
    /// Nothing: all.
    asked: Vec<String>,
}

/// Whether this names one of a host's own checks, or all of them.
pub(crate) fn is_own(name: &str) -> bool {
    name.split('.').next() == Some(OWN_CHECKS)
}

impl Allowed {
    /// What `ceiling` says at this moment.
    pub(crate) fn new(ceiling: &Ceiling, now: UnixTime, zone_secs: i32, asked: &[String]) -> Self {
        let about = ceiling.rules.iter().filter(|rule| rule.scope == ScopeName::Checks);
        let rules = about.filter_map(|rule| {
            let names = match (rule.checks.is_empty(), rule.mode) {
                (true, Mode::Never) => vec![OWN_CHECKS.to_owned()],
                (true, Mode::Ask | Mode::Allow) => Vec::new(),
                (false, _) => rule.checks.iter().filter(|name| is_own(name)).cloned().collect(),
            };
            (!names.is_empty()).then(|| (names, rule.mode == Mode::Allow && rule.open_at(now, zone_secs)))
        });
        Self { rules: rules.collect(), asked: asked.to_vec() }
    }

    /// Whether the ceiling lets this check run now.
    pub(crate) fn may(&self, id: &str) -> bool {
        let names = |names: &[String]| names.iter().any(|name| name == id || name == OWN_CHECKS);
        is_own(id) && self.rules.iter().find(|(rule, _)| names(rule)).is_some_and(|(_, open)| *open)
    }

    /// Whether this check runs: it was asked for, and may.
    pub(crate) fn runs(&self, id: &str) -> bool {
        let is_asked = self.asked.is_empty() || self.asked.iter().any(|name| name == id || name == OWN_CHECKS);
        is_asked && self.may(id)
    }

    /// Whether a check of this name, or one of all own ones, could run now.
    pub(crate) fn could(&self, name: &str) -> bool {
        if name != OWN_CHECKS {
            return self.may(name);
        }
        let is_for_all = |names: &[String]| names.iter().any(|name| name == OWN_CHECKS);
        // No rule behind one for all decides about anything.
        let last = self.rules.iter().position(|(names, _)| is_for_all(names));
        let deciding = self.rules.iter().take(last.map_or(self.rules.len(), |last| last + 1));
        deciding
            .filter(|(_, open)| *open)
            .any(|(names, _)| is_for_all(names) || names.iter().any(|name| self.may(name)))
    }

    /// Whether anything of what was asked for could run here.
    pub(crate) fn any(&self) -> bool {
        if self.asked.is_empty() { self.could(OWN_CHECKS) } else { self.asked.iter().any(|name| self.could(name)) }
    }

    /// What was asked for and could run, if it were among `ids`, which are all there are.
    pub(crate) fn missing(&self, ids: &[&str]) -> Vec<String> {
        let is_there = |name: &str| if name == OWN_CHECKS { !ids.is_empty() } else { ids.contains(&name) };
        self.asked.iter().filter(|name| self.could(name) && !is_there(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allowed(rules: &[(&str, &str)], asked: &[&str]) -> Allowed {
        let rule = |(mode, more): &(&str, &str)| format!("[[rule]]\nscope = 'checks'\nmode = '{mode}'\n{more}\n");
        let text = rules.iter().map(rule).collect::<String>();
        let ceiling: Ceiling = format!("version = 1\n{text}\n[end]\n").parse().unwrap();
        let asked: Vec<_> = asked.iter().map(|name| (*name).to_owned()).collect();
        let allowed = Allowed::new(&ceiling, UnixTime(1_800_000_000), 0, &asked);
        // The ceiling itself says the same of each.
        for id in ["x.a.b", "x.a.c", "x.refused"] {
            let rule = ceiling.check_rule(id, OWN_CHECKS);
            let open = rule.is_some_and(|rule| rule.mode == Mode::Allow && rule.open_at(UnixTime(1_800_000_000), 0));
            assert_eq!(allowed.may(id), open, "{id}: {text}");
        }
        allowed
    }

    #[test]
    fn r_17_own_checks_run_for_a_relay_only_where_a_rule_names_them() {
        let one = ("allow", "checks = ['x.a.b', 'cpu']");
        let group = ("allow", "checks = ['x']");
        let never = ("never", "checks = ['x.a.b']");
        for (rules, asked, b, c, any) in [
            (&[][..], &[][..], false, false, false),
            (&[("allow", "")], &[], false, false, false),
            (&[one], &[], true, false, true),
            (&[("allow", ""), one], &[], true, false, true),
            (&[group], &[], true, true, true),
            (&[never, group], &[], false, true, true),
            (&[("never", ""), one], &[], false, false, false),
            (&[("ask", "checks = ['x']")], &[], false, false, false),
            (&[("allow", "checks = ['x']\nhours = ['Mon 00:00-00:01']")], &[], false, false, false),
            (&[group], &["x.a.b"], true, false, true),
            (&[group], &["x"], true, true, true),
            (&[one], &["x"], true, false, true),
            (&[one], &["x.a.c"], false, false, false),
            (&[one], &["cpu"], false, false, false),
        ] {
            let allowed = allowed(rules, asked);
            assert_eq!(
                (allowed.runs("x.a.b"), allowed.runs("x.a.c"), allowed.any()),
                (b, c, any),
                "{rules:?} {asked:?}"
            );
            assert!(!allowed.may("cpu.usage"), "that is not for this to say");
        }
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_told() {
        let allowed =
            allowed(&[("never", "checks = ['x.a.d']"), ("allow", "checks = ['x']")], &["x.a.b", "x", "x.a.d", "cpu"]);
        assert_eq!(allowed.missing(&["x.a.b"]), Vec::<String>::new());
        assert_eq!(allowed.missing(&["x.a.c"]), ["x.a.b"]);
        assert_eq!(allowed.missing(&[]), ["x.a.b", "x"]);
    }
}
