//! Temperatures (`/sys/class/hwmon`). A sensor may hang with its disk, so this runs in the thread of `slow` alone.

use crate::metrics::parse::alone;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Sensors shown.
const SENSORS_MAX: usize = 64;
/// Entries looked at.
const ENTRIES_MAX: usize = 4 << 10;
/// Beyond these a sensor is not connected, or lies.
const CREDIBLE_MILLIS: std::ops::RangeInclusive<i64> = -100_000..=250_000;

/// A sensor's name and the file that tells its thousandths of degrees.
#[derive(Debug, Clone)]
pub(in crate::metrics) struct Sensor {
    pub(in crate::metrics) id: String,
    path: PathBuf,
}

/// All sensors, by name.
pub(in crate::metrics) fn sensors(root: &Path) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    for chip in entries(&root.join("sys/class/hwmon")) {
        let name = text(&chip.join("name")).unwrap_or_default();
        for path in entries(&chip) {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(number) = file.strip_prefix("temp").and_then(|rest| rest.strip_suffix("_input")) else { continue };
            let label = text(&chip.join(format!("temp{number}_label"))).unwrap_or_else(|| format!("temp{number}"));
            sensors.push(Sensor { id: format!("{name}/{label}"), path });
        }
    }
    sensors.sort_by(|a, b| a.path.cmp(&b.path));
    sensors.truncate(SENSORS_MAX);
    // Several disks are all called `nvme/Composite`.
    for place in 1..sensors.len() {
        let same = sensors[..place].iter().filter(|before| before.id == sensors[place].id).count();
        if same > 0 {
            sensors[place].id = format!("{}#{}", sensors[place].id, sensors[place].path.display());
        }
    }
    sensors
}

/// Its temperature in thousandths of degrees.
pub(in crate::metrics) fn ask(sensor: &Sensor) -> Option<i64> {
    let told = text(&sensor.path)?;
    let digits = told.strip_prefix('-');
    let size = i64::try_from(alone(digits.unwrap_or(&told).as_bytes())?).ok()?;
    let millis = if digits.is_some() { -size } else { size };
    CREDIBLE_MILLIS.contains(&millis).then_some(millis)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX);
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(256).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sensors_have_names_and_those_that_lie_no_value() {
        let root = tempfile::tempdir().unwrap();
        for (chip, name, temperature) in
            [("hwmon0", "nvme", "41850"), ("hwmon1", "nvme", "-128000"), ("hwmon2", "acpi", "-2000")]
        {
            let folder = root.path().join("sys/class/hwmon").join(chip);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("temp1_input"), format!("{temperature}\n")).unwrap();
            std::fs::write(folder.join("temp1_label"), "Composite\n").unwrap();
        }
        let sensors = sensors(root.path());
        assert_eq!(sensors[0].id, "nvme/Composite");
        assert!(sensors[1].id.starts_with("nvme/Composite#"), "{}", sensors[1].id);
        assert_eq!(sensors.iter().map(ask).collect::<Vec<_>>(), [Some(41_850), None, Some(-2_000)]);
    }
}
