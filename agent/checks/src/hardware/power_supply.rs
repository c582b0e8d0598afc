//! Batteries and uninterruptible power supplies: whether the server runs on them, and how much is left.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "hardware.power-supply",
    title: Text { en: "Batteries and UPS", zh: "电池与不间断电源" },
    reads: &["/sys/class/power_supply/*/type, scope, status, capacity, health"],
    needs: Needs::LIVE,
    params: &[Param::below(
        "critical",
        30.0,
        40.0,
        "%",
        "our recommendation: while it discharges, time to shut down in order",
    )],
    impact: Text {
        en: "The mains are gone or the battery is worn out: the server will lose its power.",
        zh: "市电中断或电池老化，服务器即将断电。",
    },
    remedy: Text {
        en: "Bring the mains back or shut the server down in order; have a worn battery replaced.",
        zh: "恢复市电供应，或有序关机；更换老化的电池。",
    },
    run,
};

/// What a battery says of its health when nothing is wrong, Documentation/ABI/testing/sysfs-class-power.
const HEALTHY: [&str; 4] = ["", "Good", "Unknown", "Calibration required"];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    host.must_live()?;
    let folders = host.glob("/sys/class/power_supply/*")?;
    let found: Vec<Found> = folders.iter().filter_map(|folder| judge(host, settings, folder)).collect();
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "there is no battery and no UPS that the kernel sees",
            "内核未识别到电池或 UPS"
        )));
    }
    Ok(found)
}

/// Nothing for what is no battery of this server: mains, and those of mice and keyboards.
fn judge(host: &Host, settings: &Settings<'_>, folder: &str) -> Option<Found> {
    let says =
        |what: &str| host.read(&format!("{folder}/{what}")).map(|text| text.trim().to_owned()).unwrap_or_default();
    if !matches!(says("type").as_str(), "Battery" | "UPS") || says("scope") == "Device" {
        return None;
    }
    let name = folder.rsplit('/').next()?;
    let (state, health, capacity) = (says("status"), says("health"), says("capacity"));
    let left = capacity.parse::<f64>().ok().filter(|left| (0.0..=100.0).contains(left));
    let evidence = format!("status {state}, capacity {capacity}, health {health}");
    let Some(left) = left.filter(|_| !state.is_empty()) else {
        let why = words!("{name} does not say how full it is", "{name} 未提供电量信息");
        return Some(Found::new(name, Status::Unknown, why).evidence(folder, evidence));
    };
    let discharging = state == "Discharging";
    let worn = !HEALTHY.contains(&health.as_str());
    let status = match (discharging, worn) {
        (true, _) => settings.level(name, left).max(Status::Warning),
        (false, true) => Status::Warning,
        (false, false) => Status::Ok,
    };
    let health = if health.is_empty() { "Unknown" } else { &health };
    let summary = words!(
        "{name} is {left:.0} % full, {state}; its health: {health}",
        "{name} 的电量为 {left:.0}%，状态 {state}，健康度 {health}"
    );
    Some(Found::new(name, status, summary).value(left, "%").evidence(folder, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn supply(kind: &str, state: &str, capacity: &str, health: &str) -> Fixture {
        let file = |what: &str| format!("/sys/class/power_supply/BAT0/{what}");
        Fixture::live()
            .file(&file("type"), format!("{kind}\n"))
            .file(&file("status"), format!("{state}\n"))
            .file(&file("capacity"), format!("{capacity}\n"))
            .file(&file("health"), format!("{health}\n"))
    }

    #[test]
    fn hardware_power_supply() {
        for (kind, state, capacity, health, expected) in [
            ("UPS", "Full", "100", "Good", Status::Ok),
            ("Battery", "Not charging", "100", "", Status::Ok),
            ("UPS", "Discharging", "90", "Good", Status::Warning),
            ("UPS", "Discharging", "20", "Good", Status::Critical),
            ("UPS", "Full", "100", "Dead", Status::Warning),
            ("UPS", "Full", "?", "Good", Status::Unknown),
        ] {
            assert_eq!(supply(kind, state, capacity, health).status(&CHECK), expected, "{state} {capacity} {health}");
        }
        assert!(supply("Mains", "", "", "").has_none_of(&CHECK));
        let mouse =
            supply("Battery", "Discharging", "5", "Good").file("/sys/class/power_supply/BAT0/scope", "Device\n");
        assert!(mouse.has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
