//! What several checks need and one reads for all, during one run.

use crate::host::Process;
use crate::lb::Fleet;
use std::cell::OnceCell;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    /// Empty when there is no nginx here.
    pub(crate) nginx: OnceCell<Vec<crate::lb::nginx::Instance>>,
    pub(crate) access_logs: OnceCell<crate::web::access_log::Logs>,
    pub(crate) processes: OnceCell<Vec<Process>>,
}
