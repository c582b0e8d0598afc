//! The few system calls that no safe wrapper offers: the only `unsafe` of the session side.
//!
//! Each function is a handful of lines around one libc call and is called only in processes of one thread
//! (`pty-child`, `shell-exec`, a tunnel before it begins). It must never grow logic.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Highest signal number of Linux.
const SIGNAL_MAX: libc::c_int = 64;
/// Bytes of the kernel's signal set.
const KERNEL_SIGSET_BYTES: usize = 8;
/// Where the fallback of [`close_others_on_exec`] stops looking: the kernel's default limit of descriptors.
const FD_FALLBACK_MAX: RawFd = 4096;

/// Duplicates a descriptor that a library shows only as a number; the duplicate closes itself on exec.
///
/// # Errors
/// The kernel's, for example when the number is no open descriptor.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the borrow lives for this call only, and the kernel checks the number (EBADF) before it duplicates.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}

/// Sets every signal to its default: an ignored SIGHUP or SIGINT survives exec and would make a shell that cannot be
/// interrupted.
pub(crate) fn default_signals() {
    // The kernel's own structure, all zero: default handler, no flags, empty mask. Longer than any architecture's.
    let default = [0_u64; 8];
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: a default handler runs no code of ours, and the kernel only reads `default`. By number, because the C
        // library keeps signals 32 and 33 to itself; those that may not be changed are refused with EINVAL.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                KERNEL_SIGSET_BYTES,
            )
        };
    }
}

/// Marks every descriptor but 0, 1 and 2 as closed on exec.
pub(crate) fn close_others_on_exec() {
    let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_uint;
    // SAFETY: only flags change; no descriptor that Rust owns is closed under it. By number, because musl has no wrapper.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, flags) };
    if done == 0 {
        return;
    }
    for fd in 3..FD_FALLBACK_MAX {
        // SAFETY: as above; a number that is not open is refused with EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Closes every descriptor but 0, 1 and 2. Only for the first moment of a process, before it has any of its own.
pub(crate) fn close_others() {
    // SAFETY: nothing in this process owns a descriptor above 2 yet. By number, because musl has no wrapper.
    unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint) };
}

/// Lets the runtime watch a descriptor that is already non-blocking.
///
/// # Errors
/// The kernel's, when nothing more can be watched.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, and it always names the same descriptor.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
