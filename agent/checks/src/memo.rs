//! What several checks need and one reads for all, during one run.

use crate::found::Gap;
use crate::host::{Clock, Process, Systemd};
use crate::lb::Fleet;
use crate::log::text_logs::TextLogs;
use std::cell::OnceCell;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    pub(crate) processes: OnceCell<Vec<Process>>,
    pub(crate) systemd: OnceCell<Result<Systemd, Gap>>,
    pub(crate) logs: OnceCell<TextLogs>,
    pub(crate) clock: OnceCell<Result<Clock, Gap>>,
}
