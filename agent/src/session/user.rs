//! Becoming somebody else for good: groups, group and user of a process of one thread.

use rustix::io::Errno;
use rustix::thread::{Gid, Uid};

/// The ids of an account.
#[derive(Debug)]
pub(crate) struct Ids<'a> {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Besides `gid`.
    pub(crate) groups: &'a [u32],
}

/// Takes these ids and nothing of the old ones, in the one order that works: who is no longer root changes no groups.
///
/// # Errors
/// The name of the call that the kernel refused; then the process is nobody that it should be, and must end.
pub(crate) fn take(ids: &Ids<'_>) -> Result<(), (&'static str, Errno)> {
    let groups: Vec<Gid> = ids.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    // These change the calling thread only: such a process has one.
    rustix::thread::set_thread_groups(&groups).map_err(|error| ("setgroups", error))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|error| ("setgid", error))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|error| ("setuid", error))
}
