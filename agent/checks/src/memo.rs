//! What several checks need and one reads for all, during one run.

use crate::found::Gap;
use crate::host::{Clock, KernelLog, Process, Systemd};
use crate::lb::Fleet;
use crate::log::text_logs::TextLogs;
use std::cell::OnceCell;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    pub(crate) kernel_log: OnceCell<Result<KernelLog, Gap>>,
    pub(crate) backups: OnceCell<crate::backup::Backups>,
    pub(crate) certificates: OnceCell<crate::tls::Known>,
    /// Filled together with `fleet`.
    pub(crate) haproxy: OnceCell<crate::lb::haproxy::Extras>,
    pub(crate) haproxy_runtimes: OnceCell<Vec<crate::haproxy::Runtime>>,
    /// Empty when there is no nginx here.
    pub(crate) nginx: OnceCell<Vec<crate::lb::nginx::Instance>>,
    pub(crate) access_logs: OnceCell<crate::web::access_log::Logs>,
    pub(crate) processes: OnceCell<Vec<Process>>,
    pub(crate) systemd: OnceCell<Result<Systemd, Gap>>,
    pub(crate) logs: OnceCell<TextLogs>,
    pub(crate) clock: OnceCell<Result<Clock, Gap>>,
}
