//! What several checks need and one reads for all, during one run.

use crate::container::docker::Container;
use crate::db::redis::Instance;
use crate::found::Gap;
use crate::host::{Process, Sockets};
use crate::lb::Fleet;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

/// Everything that is read once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Nothing when there is no load balancer here.
    pub(crate) fleet: OnceCell<Option<Fleet>>,
    pub(crate) processes: OnceCell<Vec<Process>>,
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
