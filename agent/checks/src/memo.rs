//! What several checks need and one reads for all, during one run.

use crate::found::Gap;
use crate::host::{KernelLog, Process};
use crate::lb::Fleet;
use std::cell::OnceCell;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Files that were read, without the kernel's own.
    pub(crate) files_read: std::cell::RefCell<Files>,
    /// Those of them that the readers of load balancers have read.
    pub(crate) fleet_files: OnceCell<Files>,
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    pub(crate) kernel_log: OnceCell<Result<KernelLog, Gap>>,
    pub(crate) processes: OnceCell<Vec<Process>>,
}

/// Paths.
type Files = std::collections::BTreeSet<String>;
