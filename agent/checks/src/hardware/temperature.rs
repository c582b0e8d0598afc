//! Temperatures of processors, disks and boards, against the limits that their makers gave.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.temperature",
    title: Text { en: "Temperatures", zh: "硬件温度" },
    reads: &["/sys/class/hwmon/hwmon*/temp*_input, temp*_max, temp*_crit, temp*_crit_alarm, temp*_label"],
    needs: Needs::LIVE,
    params: &[
        Param::above(
            "warning",
            0.0,
            -5.0,
            "degrees above the maker's maximum",
            "awesome-prometheus-alerts, Host physical component too hot",
        ),
        Param::above(
            "critical",
            0.0,
            -5.0,
            "degrees above the maker's critical limit",
            "awesome-prometheus-alerts, Host node overtemperature alarm",
        ),
    ],
    impact: Text {
        en: "Hardware slows down, then switches itself off; what stays hot fails earlier.",
        zh: "硬件会先降频，随后自行断电；长期高温会缩短寿命。",
    },
    remedy: Text {
        en: "Check fans, air flow, dust and the temperature of the room; take load off the server until it is cool.",
        zh: "检查风扇、风道、积灰和机房温度；在降温之前先减少该服务器的负载。",
    },
    run,
};

/// Sensors that are looked at.
const SENSORS_MAX: usize = 500;
/// Above it a sensor is not connected or not right: nothing that computes is so hot or so cold.
const BELIEVED: std::ops::RangeInclusive<i64> = -50_000..=150_000;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let paths = host.glob("/sys/class/hwmon/hwmon[0-9]*/temp[0-9]*_input")?;
    let found: Vec<Found> = paths.iter().take(SENSORS_MAX).filter_map(|path| judge(host, settings, path)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no sensor here tells a temperature and its limit (virtual machines have none)",
            "没有同时提供温度和上限的传感器（虚拟机通常没有）"
        )));
    }
    Ok(found)
}

/// Nothing for a sensor without a limit, or one that cannot be believed.
fn judge(host: &Host, settings: &Settings<'_>, path: &str) -> Option<Found> {
    let (folder, sensor) = path.strip_suffix("_input")?.rsplit_once('/')?;
    let thousandths = |what: &str| host.number::<i64>(&format!("{folder}/{sensor}_{what}")).ok();
    let limit = |what: &str| thousandths(what).filter(|limit| *limit > 0 && BELIEVED.contains(limit));
    let (most, critical) = (limit("max"), limit("crit"));
    let alarm = thousandths("crit_alarm") == Some(1);
    if most.is_none() && critical.is_none() && !alarm {
        return None;
    }
    let now = thousandths("input").filter(|now| BELIEVED.contains(now))?;
    let chip = host.read(&format!("{folder}/name")).unwrap_or_default();
    let label = host.read(&format!("{folder}/{sensor}_label")).unwrap_or_else(|_| sensor.to_owned());
    let device = device(host, folder).map(|device| format!(" {device}")).unwrap_or_default();
    let subject = format!("{}{device} {}", chip.trim(), label.trim());
    let above = |limit: Option<i64>| limit.map_or(f64::MIN, |limit| degrees(now.saturating_sub(limit)));
    let status = settings.level_of(&subject, above(most), "warning", "");
    let status = status.max(settings.level_of(&subject, above(critical), "", "critical"));
    let status = if alarm { Status::Critical } else { status };
    let (at, limit) = (degrees(now), degrees(critical.or(most).unwrap_or_default()));
    let summary = words!(
        "{subject} is at {at:.0} C, its limit is {limit:.0} C",
        "{subject} 的温度为 {at:.0} 摄氏度，上限为 {limit:.0} 摄氏度"
    );
    let found = Found::new(subject, status, summary).value(at, "C").evidence(path, now.to_string());
    let limits = [("max", most), ("crit", critical), ("crit_alarm", alarm.then_some(1))];
    let limits = limits.into_iter().filter_map(|(what, limit)| Some((format!("{folder}/{sensor}_{what}"), limit?)));
    Some(limits.fold(found, |found, (path, limit)| found.evidence(path, limit.to_string())))
}

/// What tells two chips of one kind apart: the name of the device. `hwmon3` is another one after the next boot.
fn device(host: &Host, folder: &str) -> Option<String> {
    Some(host.link(&format!("{folder}/device")).ok()?.rsplit('/').next()?.to_owned())
}

fn degrees(thousandths: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "temperatures are small")]
    let thousandths = thousandths as f64;
    thousandths / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn sensor(now: &str, most: &str, critical: &str, alarm: &str) -> Fixture {
        let file = |what: &str| format!("/sys/class/hwmon/hwmon0/{what}");
        let limits = [("temp1_max", most), ("temp1_crit", critical), ("temp1_crit_alarm", alarm)];
        let fixture = Fixture::live()
            .file(&file("name"), "coretemp\n")
            .file(&file("temp1_label"), "Package id 0\n")
            .file(&file("temp1_input"), now);
        limits
            .iter()
            .filter(|(_, limit)| !limit.is_empty())
            .fold(fixture, |fixture, (name, limit)| fixture.file(&file(name), limit))
    }

    #[test]
    fn krn_09_temperatures_against_the_makers_limits() {
        for (now, most, critical, alarm, expected) in [
            ("45000\n", "84000\n", "100000\n", "0\n", Status::Ok),
            ("85000\n", "84000\n", "100000\n", "0\n", Status::Warning),
            ("101000\n", "84000\n", "100000\n", "0\n", Status::Critical),
            ("60000\n", "84000\n", "", "1\n", Status::Critical),
            // NVMe disks without a maximum say 65261.
            ("45000\n", "65261850\n", "84850\n", "0\n", Status::Ok),
        ] {
            let findings = sensor(now, most, critical, alarm).run(&CHECK);
            assert_eq!(
                (findings[0].status, findings[0].subject.as_str()),
                (expected, "coretemp Package id 0"),
                "{now}"
            );
        }
        for (now, most, critical) in [("45000\n", "", ""), ("-128000\n", "84000\n", ""), ("hot\n", "84000\n", "")] {
            assert!(sensor(now, most, critical, "").has_none_of(&CHECK), "{now}");
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
