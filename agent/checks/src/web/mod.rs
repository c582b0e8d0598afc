//! Web traffic as access logs tell it.

pub(crate) mod access_log;
mod latency;
mod probe_answers;
mod server_errors;

use crate::check::Check;
use crate::found::Found;
use access_log::Logs;
use cloud_doctor_proto::finding::Status;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[&server_errors::CHECK, &latency::CHECK, &probe_answers::CHECK];

/// One finding for each log that could not be read.
fn unread(logs: &Logs) -> impl Iterator<Item = Found> + '_ {
    logs.troubles.iter().map(|(path, why)| Found::new(path, Status::Unknown, why.clone()).evidence(path, ""))
}
