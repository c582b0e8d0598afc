//! What several checks need and one reads for all, during one run.

use crate::found::Gap;
use crate::host::{KernelLog, Process};
use crate::lb::Fleet;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    pub(crate) kernel_log: OnceCell<Result<KernelLog, Gap>>,
    pub(crate) processes: OnceCell<Vec<Process>>,
    /// Files that were read, without the kernel's own.
    pub(crate) files_read: RefCell<BTreeSet<String>>,
    /// Those of them that the readers of load balancers have read.
    pub(crate) fleet_files: OnceCell<BTreeSet<String>>,
}
