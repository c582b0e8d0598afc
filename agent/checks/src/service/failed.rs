//! Units of systemd that are in the state `failed`.

use super::SOURCE;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::{Host, Unit};
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "service.failed",
    title: Text { en: "Failed services and other units", zh: "失败的服务及其他单元" },
    reads: &["systemd over D-Bus: ListUnits, Get"],
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[Param::above(
        "warning",
        300.0,
        0.0,
        "s",
        "node_exporter's mixin NodeSystemdServiceFailed: failed for 5 min",
    )],
    impact: Text {
        en: "What this unit does is not done until somebody starts it again.",
        zh: "在有人重新启动之前，该单元负责的工作不会进行。",
    },
    remedy: Text {
        en: "systemctl status UNIT and journalctl -u UNIT say why. Mend that, then systemctl restart UNIT. For a unit that nobody needs: systemctl disable UNIT, systemctl reset-failed UNIT.",
        zh: "用 systemctl status UNIT 与 journalctl -u UNIT 查明原因，修复后执行 systemctl restart UNIT。如果不再需要该单元，请执行 systemctl disable UNIT 与 systemctl reset-failed UNIT。",
    },
    run,
};

/// Units that are told one by one.
const SHOWN_MAX: usize = 50;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let systemd = host.systemd()?;
    let failed: Vec<&Unit> = systemd.units.iter().filter(|unit| unit.active == "failed").collect();
    let mut found: Vec<Found> = failed.iter().take(SHOWN_MAX).map(|unit| judge(host, settings, unit)).collect();
    if let Some(rest) = failed.len().checked_sub(SHOWN_MAX).filter(|rest| *rest > 0) {
        let summary = words!("{rest} more units have failed", "另有 {rest} 个单元失败");
        found.push(Found::new("more units", Status::Warning, summary).evidence(SOURCE, "ActiveState=failed"));
    }
    if found.is_empty() {
        let count = systemd.units.len();
        let summary = words!("none of {count} units has failed", "{count} 个单元均未失败");
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

fn judge(host: &Host, settings: &Settings<'_>, unit: &Unit) -> Found {
    let name = &unit.name;
    let result = unit.result.as_deref().unwrap_or("failed");
    let exit = unit.exit_status.filter(|_| result == "exit-code");
    let why = exit.map_or_else(|| result.to_owned(), |exit| format!("{result} {exit}"));
    let seen = format!("ActiveState=failed Result={why}");
    let Some(changed) = unit.changed else {
        // Since when is the one thing missing: that it has failed is certain.
        let summary = words!("{name} has failed ({why})", "{name} 已失败（{why}）");
        return Found::new(name, Status::Warning, summary).evidence(SOURCE, seen);
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds since a failure")]
    let secs = host.now().0.saturating_sub(changed.0) as f64;
    let ago = span(secs);
    let summary = words!("{name} failed {ago} ago ({why})", "{name} 已于 {ago} 前失败（{why}）");
    Found::new(name, settings.level(name, secs), summary).value(secs, "s").evidence(SOURCE, seen)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::Systemd;
    use crate::host::fixture::Fixture;
    use crate::run::{Ran, run};
    use cloud_doctor_proto::finding::Finding;
    use cloud_doctor_proto::time::UnixTime;

    pub(crate) const NOW: u64 = 1_767_225_600;

    /// What `check` finds on `fixture` with these units.
    pub(crate) fn with_units(fixture: &Fixture, check: &'static Check, units: Vec<Unit>) -> Vec<Finding> {
        let host = fixture.host();
        host.memo.systemd.set(Ok(Systemd { units, unasked: 0 })).unwrap();
        let Ran::Findings(findings) = run(check, &host, &fixture.wanted) else { panic!("nothing to look at") };
        findings
    }

    pub(crate) fn unit(name: &str, active: &str, sub: &str) -> Unit {
        let text = str::to_owned;
        Unit { name: text(name), load: text("loaded"), active: text(active), sub: text(sub), ..Unit::default() }
    }

    #[test]
    fn prc_01_units_that_failed_are_told_after_five_minutes() {
        for (active, ago, expected) in [
            ("active", Some(9000), Status::Ok),
            ("failed", Some(60), Status::Ok),
            ("failed", Some(301), Status::Warning),
            // An old systemd may not say since when.
            ("failed", None, Status::Warning),
        ] {
            let changed = ago.map(|secs| UnixTime(NOW - secs));
            let (result, exit_status) = (Some("exit-code".to_owned()), Some(203));
            let unit = Unit { changed, result, exit_status, ..unit("nginx.service", active, "failed") };
            let found = with_units(&Fixture::live(), &CHECK, vec![unit]);
            assert_eq!(found[0].status, expected, "{active} {ago:?}");
            assert!(expected == Status::Ok || found[0].summary.en.contains("(exit-code 203)"), "{found:?}");
        }
        let many = (0..80).map(|number| unit(&format!("a{number}.mount"), "failed", "failed")).collect();
        assert_eq!(with_units(&Fixture::live(), &CHECK, many).len(), SHOWN_MAX + 1);
    }

    #[test]
    fn prc_01_without_systemd_there_is_nothing_and_a_silent_one_is_unknown() {
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/run/systemd/system/x", "").status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
