//! For node_exporter's textfile collector: a status and, where there is one, a value for each finding.

use super::Results;
use std::fmt::Write as _;

/// The Prometheus text format, version 0.0.4. Status: 0 ok, 1 warning, 2 critical, 3 unknown.
#[must_use]
pub fn prometheus(results: &Results<'_>) -> String {
    let mut out = String::from(
        "# HELP cloud_doctor_check_status 0 ok, 1 warning, 2 critical, 3 unknown.\n# TYPE cloud_doctor_check_status gauge\n",
    );
    let findings = results.findings();
    for finding in &findings {
        let (check, subject) = (label(&finding.check), label(&finding.subject));
        let status = finding.status.exit_code();
        writeln!(out, "cloud_doctor_check_status{{check=\"{check}\",subject=\"{subject}\"}} {status}").ok();
    }
    out.push_str("# HELP cloud_doctor_check_value What a check measured, in the unit of its label.\n# TYPE cloud_doctor_check_value gauge\n");
    for finding in &findings {
        let Some(value) = finding.value else { continue };
        let (check, subject, unit) = (label(&finding.check), label(&finding.subject), label(&finding.unit));
        writeln!(out, "cloud_doctor_check_value{{check=\"{check}\",subject=\"{subject}\",unit=\"{unit}\"}} {value}")
            .ok();
    }
    let at = results.at.0;
    writeln!(
        out,
        "# HELP cloud_doctor_check_time_seconds When the checks ran, since 1970.\n# TYPE cloud_doctor_check_time_seconds gauge\ncloud_doctor_check_time_seconds {at}"
    )
    .ok();
    out
}

/// A label's value: backslash, quote and line break are escaped, other control characters are shown.
fn label(text: &str) -> String {
    super::safe(text).replace('\\', "\\\\").replace('"', "\\\"")
}
