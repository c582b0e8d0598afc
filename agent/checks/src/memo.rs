//! What several checks need and one reads for all, during one run.

use crate::container::docker::Container;
use crate::db::redis::Instance;
use crate::found::Gap;
use crate::host::{Clock, KernelLog, Process, Sockets, Systemd};
use crate::lb::Fleet;
use crate::log::text_logs::TextLogs;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

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
    pub(crate) sockets: OnceCell<Result<Sockets, Gap>>,
    /// Bytes of files that were read line by line.
    pub(crate) bytes_by_line: Cell<u64>,
    /// The containers of this host, as Docker tells them.
    pub(crate) containers: OnceCell<Result<Vec<Container>, Gap>>,
    /// What each Redis of this host said.
    pub(crate) redis: OnceCell<Vec<Instance>>,
    /// Process ids by the inode of a listening socket.
    pub(crate) socket_owners: OnceCell<BTreeMap<u64, u32>>,
}

/// Paths.
type Files = std::collections::BTreeSet<String>;
