//! A filter of system calls around a checker: those that reading needs, and, where its checks speak to sockets, those for
//! them. Everything else fails with EPERM.
//!
//! Classic BPF, one comparison per call: `seccomp(2)`, `struct seccomp_data`. It must never allow a call that starts,
//! writes, traces or mounts.
#![allow(unsafe_code)]

use std::io;

/// For reading, memory, threads with a deadline, time, and the end.
const READING: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_getuid,
    libc::SYS_uname,
    libc::SYS_prlimit64,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    // Without CAP_SYS_TIME they only read.
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_ppoll,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What the older numbers of this processor add: libraries still use them.
#[cfg(target_arch = "x86_64")]
const OLD: &[libc::c_long] =
    &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_poll, libc::SYS_arch_prctl];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[libc::c_long] = &[];

/// For asking services.
const SOCKETS: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_ioctl,
];

/// `AUDIT_ARCH_*` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
const AT_NUMBER: u32 = 0;
const AT_ARCH: u32 = 4;
const ALLOW: u32 = 0x7FFF_0000;
const EPERM: u32 = 0x0005_0000 | 1;

/// Closes it around every thread of this process, for good. It must have given up new privileges.
///
/// # Errors
/// The kernel's: one without seccomp filters says so.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn close(net: bool) -> io::Result<()> {
    install(&program(net))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            std::ptr::from_ref(&filter),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No filter is known for this processor.
///
/// # Errors
/// Always.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn close(_net: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// For a plugin: everything but leaving its process group, by which it is ended. 32-bit programs included, whose calls
/// have other numbers.
///
/// # Errors
/// As [`close`].
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn keep_group() -> io::Result<()> {
    install(&group_program())
}

/// No filter is known for this processor.
///
/// # Errors
/// Always.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn keep_group() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// `AUDIT_ARCH_I386` and `AUDIT_ARCH_ARM`.
#[cfg(target_arch = "x86_64")]
const ARCH_32: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const ARCH_32: u32 = 0x4000_0028;
/// `setsid` and `setpgid` there: the same numbers in both tables.
const GROUP_CALLS_32: [u32; 2] = [66, 57];
/// Calls of the x32 ABI have this bit (asm/unistd.h).
const X32: u32 = 0x4000_0000;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn group_program() -> Vec<libc::sock_filter> {
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let own = [libc::SYS_setsid, libc::SYS_setpgid]
        .map(|number| u32::try_from(number).expect("numbers of system calls are small"));
    let native: Vec<u32> = own.into_iter().chain(own.map(|number| number | X32)).collect();
    let mut program = vec![step(LOAD_WORD, AT_ARCH)];
    for (arch, calls) in [(ARCH, native), (ARCH_32, GROUP_CALLS_32.to_vec())] {
        let mut block = vec![step(LOAD_WORD, AT_NUMBER)];
        for number in calls {
            block.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: number });
            block.push(step(RETURN, EPERM));
        }
        block.push(step(RETURN, ALLOW));
        let over = u8::try_from(block.len()).expect("a block is short");
        program.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: over, k: arch });
        program.append(&mut block);
    }
    // An ABI that no kernel of this processor has.
    program.push(step(RETURN, EPERM));
    program
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn program(net: bool) -> Vec<libc::sock_filter> {
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = vec![
        step(LOAD_WORD, AT_ARCH),
        // Another ABI's numbers mean other calls.
        libc::sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: ARCH },
        step(RETURN, EPERM),
        step(LOAD_WORD, AT_NUMBER),
    ];
    let sockets = if net { SOCKETS } else { &[] };
    for number in READING.iter().chain(OLD).chain(sockets) {
        let number = u32::try_from(*number).expect("numbers of system calls are small");
        program.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: number });
        program.push(step(RETURN, ALLOW));
    }
    program.push(step(RETURN, EPERM));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with one call: every jump of this program goes forward.
    fn verdict(program: &[libc::sock_filter], arch: u32, number: libc::c_long) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD_WORD if step.k == AT_ARCH => loaded = arch,
                LOAD_WORD => loaded = u32::try_from(number).unwrap_or(u32::MAX),
                JUMP_IF_EQUAL => at += usize::from(if loaded == step.k { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn chk_08_a_plugin_cannot_leave_its_group() {
        let program = group_program();
        for (arch, number, expected) in [
            (ARCH, libc::SYS_setsid, EPERM),
            (ARCH, libc::SYS_setpgid, EPERM),
            (ARCH, libc::SYS_setsid | libc::c_long::from(X32), EPERM),
            (ARCH_32, 66, EPERM),
            (ARCH_32, 57, EPERM),
            (ARCH, libc::SYS_execve, ALLOW),
            (ARCH, libc::SYS_clone, ALLOW),
            (ARCH_32, 11, ALLOW),
            (7, 1, EPERM),
        ] {
            assert_eq!(verdict(&program, arch, number), expected, "{arch:x} {number}");
        }
    }

    #[test]
    fn chk_08_a_checker_reads_and_does_nothing_else() {
        let (plain, net) = (program(false), program(true));
        for number in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_kill,
            libc::SYS_unlinkat,
            libc::SYS_renameat2,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_init_module,
            libc::SYS_setuid,
            libc::SYS_listen,
            libc::SYS_accept4,
            libc::SYS_io_uring_setup,
        ] {
            assert_eq!(verdict(&plain, ARCH, number), EPERM, "{number}");
            assert_eq!(verdict(&net, ARCH, number), EPERM, "{number}");
        }
        assert_eq!(verdict(&plain, ARCH, libc::SYS_socket), EPERM);
        assert_eq!(verdict(&net, ARCH, libc::SYS_socket), ALLOW);
        assert_eq!(verdict(&plain, ARCH, libc::SYS_read), ALLOW);
        assert_eq!(verdict(&net, 0x4000_0003, libc::SYS_read), EPERM, "i386's numbers mean other calls");
    }
}
