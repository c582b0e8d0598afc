//! Thermal zones against the points at which the firmware wants the system to be shut down.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "hardware.thermal-zone",
    title: Text { en: "Thermal zones", zh: "温控区域" },
    reads: &["/sys/class/thermal/thermal_zone*/temp, type, trip_point_*_type, trip_point_*_temp"],
    needs: Needs::LIVE,
    params: &[
        Param::below("warning", 10.0, 15.0, "degrees below the critical point", "our recommendation: time to act"),
        Param::below(
            "critical",
            3.0,
            6.0,
            "degrees below the critical point",
            "our recommendation: it is about to switch off",
        ),
    ],
    impact: Text {
        en: "At the critical point the kernel switches the server off at once.",
        zh: "温度达到临界点时，内核会立即关闭服务器。",
    },
    remedy: Text {
        en: "Check fans, air flow, dust and the temperature of the room; take load off the server until it is cool.",
        zh: "检查风扇、风道、积灰和机房温度；在降温之前先减少该服务器的负载。",
    },
    run,
};

/// Points of one zone (kernel THERMAL_MAX_TRIPS).
const POINTS_MAX: usize = 12;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let zones = host.glob("/sys/class/thermal/thermal_zone[0-9]*")?;
    let found: Vec<Found> = zones.iter().filter_map(|zone| judge(host, settings, zone)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "no thermal zone here has a critical point (virtual machines have none)",
            "没有设置临界点的温控区域（虚拟机通常没有）"
        )));
    }
    Ok(found)
}

/// Nothing for a zone without a critical point, or one that does not tell its temperature.
fn judge(host: &Host, settings: &Settings<'_>, zone: &str) -> Option<Found> {
    let point = (0..POINTS_MAX).find(|point| {
        host.read(&format!("{zone}/trip_point_{point}_type")).is_ok_and(|kind| kind.trim() == "critical")
    })?;
    let limit_path = format!("{zone}/trip_point_{point}_temp");
    let critical: i32 = host.number(&limit_path).ok().filter(|limit| *limit > 0)?;
    let path = format!("{zone}/temp");
    let now: i32 = host.number(&path).ok()?;
    let kind = host.read(&format!("{zone}/type")).unwrap_or_default();
    let name = zone.rsplit('/').next().unwrap_or(zone);
    let subject = format!("{name} {}", kind.trim());
    let left = f64::from(critical.saturating_sub(now)) / 1000.0;
    let (at, limit) = (f64::from(now) / 1000.0, f64::from(critical) / 1000.0);
    let summary = words!(
        "{subject} is at {at:.0} C and switches the server off at {limit:.0} C",
        "{subject} 的温度为 {at:.0} 摄氏度，达到 {limit:.0} 摄氏度时服务器会被关闭"
    );
    let found = Found::new(&subject, settings.level(&subject, left), summary).value(at, "C");
    Some(found.evidence(path, now.to_string()).evidence(limit_path, critical.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    fn zone(now: &str, kind: &str, limit: &str) -> Fixture {
        let file = |what: &str| format!("/sys/class/thermal/thermal_zone0/{what}");
        Fixture::live()
            .file(&file("type"), "acpitz\n")
            .file(&file("temp"), now)
            .file(&file("trip_point_0_type"), "passive\n")
            .file(&file("trip_point_1_type"), kind)
            .file(&file("trip_point_1_temp"), limit)
    }

    #[test]
    fn krn_09_zones_near_their_critical_point() {
        for (now, expected) in [("45000\n", Status::Ok), ("91000\n", Status::Warning), ("98000\n", Status::Critical)] {
            let findings = zone(now, "critical\n", "100000\n").run(&CHECK);
            assert_eq!((findings[0].status, findings[0].subject.as_str()), (expected, "thermal_zone0 acpitz"), "{now}");
        }
        assert!(zone("45000\n", "hot\n", "100000\n").has_none_of(&CHECK));
        assert!(zone("hot\n", "critical\n", "100000\n").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
