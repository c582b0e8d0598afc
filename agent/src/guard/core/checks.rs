//! Checks that a relay asks for: which of them the ceiling lists, how often, and the signature under what was found.

use super::Core;
use crate::audit::Event;
use crate::guard::visits::Claims;
use crate::own::{Allowed, is_own};
use cloud_doctor_checks::Check;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ceiling::{Ceiling, Mode, Rule, Setting};
use cloud_doctor_proto::checks::{CheckReport, CheckRequest, REQUEST_CHECKS_MAX, RUN_PAUSE_SECS, Report};
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::plugin::Plugin;
use cloud_doctor_proto::refusal::{Refusal, Refused, one_line};
use cloud_doctor_proto::time::{BootTime, UnixTime};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// The longest that a check watches for a relay: a run ends within a minute.
const OBSERVE_SECS_MAX: f64 = 30.0;
/// Of a name that was asked for, as it is told back.
const NAME_CHARS_MAX: usize = 100;

const REDACTION_CONTEXT: &[u8] = b"cloud-doctor redaction v1\0";

/// The run before the next one.
#[derive(Debug, Default)]
pub(super) struct Runs {
    began: Option<BootTime>,
    running: bool,
}

/// What may run.
#[derive(Debug)]
pub(in crate::guard) struct Chosen {
    pub(in crate::guard) checks: Vec<&'static Check>,
    /// Which of the host's own: guard does not know which there are.
    pub(in crate::guard) own: Allowed,
    /// The plugins among them.
    pub(in crate::guard) plugins: Vec<Plugin>,
    /// What was asked for.
    pub(in crate::guard) asked: Vec<String>,
    /// What of it is not allowed or not known.
    pub(in crate::guard) refused: Vec<String>,
    /// Numbers that the ceiling sets for them, as `CHECK.PARAMETER=NUMBER`.
    pub(in crate::guard) set: Vec<String>,
}

impl Core {
    /// Chooses what runs now, and holds the next run back.
    ///
    /// # Errors
    /// [`Refused`]: nothing runs.
    pub(in crate::guard) fn begin_checks(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &CheckRequest,
    ) -> Result<Chosen, Refused> {
        let chosen = self.choose_checks(moment, request);
        match chosen {
            Ok(chosen) => {
                self.runs = Runs { began: Some(moment.boot), running: true };
                Ok(chosen)
            }
            Err(refused) => {
                self.refused(moment, "checks", claims, &refused, "");
                Err(refused)
            }
        }
    }

    fn choose_checks(&self, moment: Moment, request: &CheckRequest) -> Result<Chosen, Refused> {
        if self.is_locked() {
            return Err(Refusal::Lockdown.into());
        }
        if request.checks.len() > REQUEST_CHECKS_MAX {
            return Err(Refusal::Malformed.with(format!("more than {REQUEST_CHECKS_MAX} checks")));
        }
        let next = self.runs.began.map_or(moment.boot, |began| began.plus_secs(RUN_PAUSE_SECS));
        if self.runs.running || next > moment.boot {
            let secs = moment.boot.millis_until(next).div_ceil(1000).max(1);
            return Err(Refusal::ChecksTooOften.with(secs.to_string()));
        }
        let ceiling = self.ceiling().map_err(|problem| Refusal::Ceiling.telling(problem.told()))?;
        let chosen = choose(&ceiling, moment.at, (self.host.zone_secs)(), &request.checks);
        if chosen.checks.is_empty() && !chosen.own.any() { Err(Refusal::ChecksNotAllowed.into()) } else { Ok(chosen) }
    }

    /// What secrets' tokens are made under: this server's own, for as long as it has its identity.
    pub(in crate::guard) fn redaction_key(&self) -> [u8; 32] {
        Sha256::new().chain_update(REDACTION_CONTEXT).chain_update(self.identity.to_bytes()).finalize().into()
    }

    /// Signs what was found, and writes down that it left this host.
    pub(in crate::guard) fn report_checks(&mut self, moment: Moment, claims: &Claims, report: Report) -> CheckReport {
        let count = |status| report.findings.iter().filter(|finding| finding.status == status).count();
        let own = report.findings.iter().filter(|finding| is_own(&finding.check)).count();
        let event = Event::new("checks-reported")
            .with("findings", report.findings.len())
            .with("critical", count(Status::Critical))
            .with("warning", count(Status::Warning))
            .with("own", own)
            .with("claimed-account", claims.account.as_str());
        self.audit.note_often(moment, "checks-reported", event);
        CheckReport::sign(&self.identity, report)
    }

    /// The run is over, however it went.
    pub(in crate::guard) fn end_checks(&mut self) {
        self.runs.running = false;
    }
}

/// The checks that are wanted and allowed. Nothing wanted: all that are allowed. Whether an own check that may run is there
/// at all, the run itself says.
fn choose(ceiling: &Ceiling, now: UnixTime, zone_secs: i32, wanted: &[String]) -> Chosen {
    let rule = |check: &&'static Check| {
        let rule = ceiling.check_rule(check.id, check.group().name());
        rule.filter(|rule| rule.mode == Mode::Allow && rule.open_at(now, zone_secs))
    };
    let names = |check: &Check, name: &str| check.id == name || check.group().name() == name;
    let is_wanted = |check: &&'static Check| wanted.is_empty() || wanted.iter().any(|name| names(check, name));
    let checks: Vec<_> = cloud_doctor_checks::all().filter(is_wanted).filter(|check| rule(check).is_some()).collect();
    let set =
        checks.iter().flat_map(|check| rule(check).into_iter().flat_map(|rule| settings(rule, check.id))).collect();
    let own = Allowed::new(ceiling, now, zone_secs, wanted);
    let may = |name: &String| checks.iter().any(|check| names(check, name)) || own.could(name);
    let missing = wanted.iter().filter(|name| !may(name));
    let refused: BTreeSet<String> = missing.map(|name| one_line(name, NAME_CHARS_MAX)).collect();
    let asked: BTreeSet<String> = wanted.iter().map(|name| one_line(name, NAME_CHARS_MAX)).collect();
    let plugins = ceiling.plugins.iter().filter(|plugin| own.may(&plugin.id)).cloned().collect();
    Chosen { checks, own, plugins, set, asked: asked.into_iter().collect(), refused: refused.into_iter().collect() }
}

/// The numbers that a rule sets for one check. Who watches does so within the time of a run.
fn settings(rule: &Rule, check: &str) -> Vec<String> {
    let own = rule.set.iter().filter(|setting| setting.check() == check);
    let told = |setting: &Setting| match setting.param() {
        "observe" => format!("{check}.observe={}", setting.number().min(OBSERVE_SECS_MAX)),
        _ => setting.to_string(),
    };
    own.map(told).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::preset::Preset;

    fn chosen(ceiling: &str, wanted: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let ceiling: Ceiling = format!("version = 1\n{ceiling}\n[end]\n").parse().unwrap();
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let chosen = choose(&ceiling, UnixTime(1_800_000_000), 0, &wanted);
        (chosen.checks.iter().map(|check| check.id).collect(), chosen.refused)
    }

    #[test]
    fn r_17_a_checks_numbers_are_the_ceilings() {
        let rule = "[[rule]]\nscope = 'checks'\nmode = 'allow'\nset = ['lb.measured-interval.observe=900', 'cpu.usage.warning=50']";
        let ceiling: Ceiling = format!("version = 1\n{rule}\n[end]\n").parse().unwrap();
        let set = |wanted: &[String]| choose(&ceiling, UnixTime(1_800_000_000), 0, wanted).set;
        assert_eq!(set(&["cpu.usage".into()]), ["cpu.usage.warning=50"]);
        let mut all = set(&[]);
        all.sort();
        assert_eq!(all, ["cpu.usage.warning=50", "lb.measured-interval.observe=30"]);
        for wrong in ["observe", "a=1", "cpu.usage.warning=NaN", "cpu.usage.warning=", "=1", "cpu.usage.=1"] {
            let text = format!("version = 1\n[[rule]]\nscope = 'checks'\nmode = 'allow'\nset = ['{wrong}']\n[end]\n");
            assert!(text.parse::<Ceiling>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn r_17_only_what_the_ceiling_lists_runs_for_a_relay() {
        let one = "[[rule]]\nscope = 'checks'\nmode = 'allow'\nchecks = ['cpu.usage']";
        assert_eq!(chosen(one, &[]), (vec!["cpu.usage"], vec![]));
        assert_eq!(chosen(one, &["cpu.usage"]), (vec!["cpu.usage"], vec![]));
        assert_eq!(chosen(one, &["lb.detection-time", "no.such"]).1, ["lb.detection-time", "no.such"]);
        assert!(chosen("", &[]).0.is_empty(), "no rule means never");
        let group = "[[rule]]\nscope = 'checks'\nmode = 'allow'\nchecks = ['cpu']";
        assert!(chosen(group, &[]).0.contains(&"cpu.usage") && !chosen(group, &[]).0.contains(&"lb.detection-time"));
        let but_one = "[[rule]]\nscope = 'checks'\nmode = 'never'\nchecks = ['cpu.usage']\n[[rule]]\nscope = 'checks'\nmode = 'allow'";
        assert!(
            !chosen(but_one, &[]).0.contains(&"cpu.usage") && chosen(but_one, &[]).0.contains(&"lb.detection-time")
        );
        for (mode, hours) in [("ask", ""), ("never", ""), ("allow", "hours = ['Mon 00:00-00:01']")] {
            let text = format!("[[rule]]\nscope = 'checks'\nmode = '{mode}'\n{hours}");
            assert!(chosen(&text, &[]).0.is_empty(), "{text}");
        }
    }

    #[test]
    fn r_17_a_plugin_runs_for_a_relay_only_where_a_rule_names_it() {
        let declared = "[[plugin]]\nid = 'x.a.b'\nexec = '/bin/true'\n[[plugin]]\nid = 'x.a.c'\nexec = '/bin/true'\n";
        let rule = |mode: &str, checks: &str| format!("[[rule]]\nscope = 'checks'\nmode = '{mode}'\n{checks}\n");
        for (rules, wanted, plugins, refused) in [
            (rule("allow", ""), &["x.a.b"][..], &[][..], &["x.a.b"][..]),
            (rule("allow", "checks = ['x.a.b']"), &[], &["x.a.b"], &[]),
            (rule("allow", "checks = ['x.a.b']"), &["x.a.b", "x.a.c"], &["x.a.b"], &["x.a.c"]),
            (rule("allow", "checks = ['x']"), &["x"], &["x.a.b", "x.a.c"], &[]),
            (rule("never", "checks = ['x.a.b']") + &rule("allow", "checks = ['x']"), &[], &["x.a.c"], &[]),
            (rule("ask", "checks = ['x']"), &["x.a.b"], &[], &["x.a.b"]),
        ] {
            let ceiling: Ceiling = format!("version = 1\n{declared}{rules}\n[end]\n").parse().unwrap();
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let chosen = choose(&ceiling, UnixTime(1_800_000_000), 0, &wanted);
            let ids: Vec<_> = chosen.plugins.iter().map(|plugin| plugin.id.as_str()).collect();
            assert_eq!(
                (ids, chosen.refused),
                (plugins.to_vec(), refused.iter().map(|one| (*one).to_owned()).collect()),
                "{rules}"
            );
        }
    }

    #[test]
    fn every_preset_allows_checks_and_names_only_what_there_is() {
        for preset in [Preset::Own, Preset::Vendor, Preset::ChecksOnly] {
            let ceiling: Ceiling = preset.text().parse().unwrap();
            let chosen = choose(&ceiling, UnixTime(1_800_000_000), 0, &[]);
            assert!(!chosen.checks.is_empty(), "{preset}");
            assert!(!chosen.own.any(), "{preset}: what its owner puts on the host later is for its owner to allow");
            for name in ceiling.rules.iter().flat_map(|rule| &rule.checks) {
                let known = cloud_doctor_checks::all().any(|check| check.id == name || check.group().name() == name);
                let group = cloud_doctor_checks::Group::ALL.iter().any(|group| group.name() == name);
                assert!(known || group, "{preset}: {name}");
            }
        }
    }
}
