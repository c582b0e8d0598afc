//! The host that is looked at: a running one, or another root (a copied `/etc`, a mounted image).
//!
//! The only door to files for checks. Every path is resolved below the root, so that no link leads out of it; only
//! regular files are read, with a bound for each and for all; what cannot be read is a [`Gap`] that says why. It must never
//! write, start a program, or wait for a FIFO.

mod addresses;
mod adjtimex;
mod clock;
mod connections;
pub(crate) mod control_groups;
mod counters;
pub(crate) mod date;
mod dbus;
mod deadline;
mod descriptors;
mod dns_query;
mod files;
#[cfg(test)]
pub(crate) mod fixture;
mod glob;
mod http_unix;
pub(crate) mod journal;
mod kernel_log;
mod kernel_values;
mod lines;
mod listening;
mod mounts;
mod open_files;
pub(crate) mod os_release;
pub(crate) mod pressure;
mod processes;
mod reach;
mod read_at;
mod real_path;
mod samples;
pub(crate) mod sock_diag;
mod sockets;
mod tls_hello;
mod tls_newer;
mod within;
pub(crate) mod zone;
mod zone_rule;

pub use addresses::ADDRESSES_FROM;
pub use clock::{boot_time, unix_millis, unix_time};
pub(crate) use control_groups::name as group_name;
pub use deadline::{Asked, Space};
pub use files::{Entry, Kind, Stat};
pub use kernel_log::{KernelLog, KernelMessage};
pub use mounts::{Family, Mount, Row};
pub use open_files::{Deleted, DeletedFiles};
pub use reach::{Addresses, Reach};
mod systemd;
mod walk;
pub(crate) use adjtimex::Clock;
#[cfg(test)]
pub(crate) use connections::PRETENDED as CONNECTIONS_PRETENDED;
pub(crate) use connections::Watched;
pub(crate) use dns_query::{DnsAnswer, is_name};
pub(crate) use glob::matches;
pub use listening::{Listener, Protocol, Sockets};
pub use processes::Process;
pub use samples::Twice;
pub use sock_diag::Listening;
#[cfg(test)]
pub(crate) use sock_diag::PRETENDED as SOCK_DIAG_PRETENDED;
pub use sockets::HttpAnswer;
pub(crate) use systemd::{Systemd, Unit};
pub use tls_hello::Shown;
pub(crate) use walk::Walked;

use crate::found::Gap;
use crate::memo::Memo;
use crate::words;
use cloud_doctor_proto::time::UnixTime;
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Most that is read of one file (CHK-01).
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Most that is read of all files of one run (CHK-01).
pub const ALL_BYTES_MAX: u64 = 64 << 20;
/// Entries of one folder that are looked at.
pub const ENTRIES_MAX: usize = 20_000;

/// A host.
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    live: bool,
    now: UnixTime,
    bytes_left: Cell<u64>,
    samples: samples::Samples,
    pub(crate) memo: Memo,
}

impl Host {
    /// This host, as it is now.
    ///
    /// # Errors
    /// The kernel's, when `/` cannot be opened.
    pub fn live() -> io::Result<Self> {
        Self::open(Path::new("/"), true)
    }

    /// What stands in `root`: nothing is known of it but its files.
    ///
    /// # Errors
    /// The kernel's, when `root` is no folder that can be opened.
    pub fn image(root: &Path) -> io::Result<Self> {
        Self::open(root, false)
    }

    fn open(root: &Path, live: bool) -> io::Result<Self> {
        let root = files::open_root(root)?;
        let (bytes_left, samples) = (Cell::new(ALL_BYTES_MAX), samples::Samples::default());
        Ok(Self { root, live, now: unix_time(), bytes_left, samples, memo: Memo::default() })
    }

    /// Whether this is a running host.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Wall time of this run.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.now
    }

    /// Nothing, on a running host.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on any other.
    pub fn must_live(&self) -> Result<(), Gap> {
        if self.live {
            return Ok(());
        }
        Err(Gap::Unknown(words!("only the running host can tell", "只有运行中的主机才能判断")))
    }

    /// The host's own name, from `/etc/hostname` or the kernel.
    #[must_use]
    pub fn name(&self) -> String {
        let kernel = self.live.then(|| self.read("/proc/sys/kernel/hostname").ok()).flatten();
        let name = kernel.or_else(|| self.read("/etc/hostname").ok()).unwrap_or_default();
        cloud_doctor_proto::refusal::one_line(name.trim(), 255)
    }
}
