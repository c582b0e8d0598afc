//! Landlock: around the networked part of a guest's visit, in place of what systemd gives an installed agent, and around
//! a checker, which only looks ([`raise_read_only`]).
//!
//! Inside a guest's, a process reads what a look-up of names needs and its own folder, and that is all: no other file, nothing
//! written, made or executed, no TCP but to name servers, no signal and no abstract socket beyond itself. It holds for
//! good, and for every thread and process made later. It must never be taken for more than it is: UDP and sockets with
//! a path are open, and a kernel without Landlock (before 5.13) has no fence.
#![allow(unsafe_code)]

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

/// Where a look-up of names reads: `resolv.conf` is a link into `/run` on many systems, and what follows it is
/// replaced when the network changes. `/usr/lib` has the release's name, and what a C library loads for this.
const READABLE: [&str; 3] = ["/etc", "/run", "/usr/lib"];
/// Answers that do not fit a datagram come by TCP.
const DNS_PORT: u64 = 53;

const ASK_VERSION: libc::c_ulong = 1;
const RULE_BENEATH: libc::c_ulong = 1;
const RULE_PORT: libc::c_ulong = 2;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const CONNECT_TCP: u64 = 1 << 1;

/// `struct landlock_ruleset_attr`: what is forbidden where no rule allows it.
#[repr(C)]
struct Handled {
    files: u64,
    net: u64,
    scoped: u64,
}

impl Handled {
    /// Everything that a version of the interface knows, up to that of this file: 7.
    fn all(version: libc::c_long) -> Self {
        let files = match version {
            ..=1 => (1 << 13) - 1,
            2 => (1 << 14) - 1,
            3..=4 => (1 << 15) - 1,
            5.. => (1 << 16) - 1,
        };
        Self { files, net: if version >= 4 { 0b11 } else { 0 }, scoped: if version >= 6 { 0b11 } else { 0 } }
    }
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: libc::c_int,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct Port {
    allowed: u64,
    port: u64,
}

/// Raises the fence around the calling thread, which must have given up new privileges. `own`: folders that it may read.
///
/// # Errors
/// The kernel's: one without Landlock says that it has none.
pub(crate) fn raise(own: &[&Path]) -> io::Result<()> {
    let handled = Handled::all(version()?);
    let ruleset = Ruleset::new(&handled)?;
    for readable in READABLE.iter().map(Path::new).chain(own.iter().copied()) {
        ruleset.allow_beneath(readable, READ_FILE)?;
    }
    if handled.net & CONNECT_TCP != 0 {
        ruleset.add(RULE_PORT, &Port { allowed: CONNECT_TCP, port: DNS_PORT })?;
    }
    ruleset.restrict()
}

/// A fence for who only looks: everything below `root` may be read and listed, nothing written, made, started or
/// listened on. It must have given up new privileges.
///
/// # Errors
/// As [`raise`].
pub(crate) fn raise_read_only(root: &Path) -> io::Result<()> {
    let all = Handled::all(version()?);
    let ruleset = Ruleset::new(&Handled { net: all.net & !CONNECT_TCP, ..all })?;
    ruleset.allow_beneath(root, READ_FILE | READ_DIR)?;
    ruleset.restrict()
}

/// Rules in the making.
struct Ruleset(OwnedFd);

impl Ruleset {
    fn new(handled: &Handled) -> io::Result<Self> {
        // SAFETY: the kernel reads `handled` during the call; an older one takes the longer structure because what it
        // does not know is zero.
        unsafe {
            let size = size_of::<Handled>();
            let fd =
                libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(handled), size, 0 as libc::c_ulong);
            Ok(Self(OwnedFd::from_raw_fd(libc::c_int::try_from(done(fd)?).map_err(io::Error::other)?)))
        }
    }

    /// Nothing is allowed below a path that is not there.
    fn allow_beneath(&self, path: &Path, allowed: u64) -> io::Result<()> {
        let Ok(parent) = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return Ok(()) };
        self.add(RULE_BENEATH, &Beneath { allowed, parent: parent.as_raw_fd() })
    }

    fn add<T>(&self, kind: libc::c_ulong, rule: &T) -> io::Result<()> {
        let (number, none) = (libc::SYS_landlock_add_rule, 0 as libc::c_ulong);
        // SAFETY: `rule` is the structure that belongs to `kind`; the kernel reads it during the call.
        done(unsafe { libc::syscall(number, self.0.as_raw_fd(), kind, std::ptr::from_ref(rule), none) }).map(drop)
    }

    fn restrict(self) -> io::Result<()> {
        // SAFETY: numbers only.
        done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0 as libc::c_ulong) })
            .map(drop)
    }
}

/// Of the kernel's interface.
fn version() -> io::Result<libc::c_long> {
    // SAFETY: with these arguments the kernel answers with a number and touches nothing.
    done(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Handled>(), 0_usize, ASK_VERSION) })
}

fn done(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use std::fs;
    use std::io::ErrorKind::{PermissionDenied, Unsupported};
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    /// The fence stands around a thread alone, so a test can look from both sides.
    #[test]
    fn loc_02_what_speaks_to_the_network_reads_and_starts_nothing() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&own, &other] {
            fs::write(dir.path().join("file"), "x").unwrap();
        }
        let guard = UnixListener::bind(own.path().join("guard.sock")).unwrap();
        let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = web.local_addr().unwrap();
        let inside = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                rustix::thread::set_no_new_privs(true).unwrap();
                raise(&[own.path()])?;
                let denied = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
                fs::read(own.path().join("file")).unwrap();
                fs::read("/etc/passwd").unwrap();
                UnixStream::connect(own.path().join("guard.sock")).unwrap();
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                denied(fs::read(other.path().join("file")).map(drop));
                denied(fs::read("/proc/self/environ").map(drop));
                denied(fs::read_dir("/etc").map(drop));
                denied(fs::write(own.path().join("file"), "y"));
                denied(fs::write(own.path().join("new"), "y"));
                denied(fs::remove_file(own.path().join("file")));
                denied(std::process::Command::new("/bin/true").status().map(drop));
                if version()? >= 4 {
                    denied(TcpStream::connect(address).map(drop));
                    denied(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop));
                }
                Ok(())
            });
            inside.join().unwrap()
        });
        match inside.map_err(|error: io::Error| error.kind()) {
            Ok(()) => {}
            Err(Unsupported) => eprintln!("NOT TESTED: this kernel has no Landlock"),
            Err(other) => panic!("{other}"),
        }
        drop(guard);
        fs::write(own.path().join("file"), "z").unwrap();
    }

    #[test]
    fn chk_08_who_only_looks_writes_makes_and_starts_nothing() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(root.path().join("file"), "x").unwrap();
        fs::write(other.path().join("file"), "x").unwrap();
        let inside = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                rustix::thread::set_no_new_privs(true).unwrap();
                raise_read_only(root.path())?;
                let denied = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
                fs::read(root.path().join("file")).unwrap();
                fs::read_dir(root.path()).unwrap();
                denied(fs::read(other.path().join("file")).map(drop));
                denied(fs::write(root.path().join("file"), "y"));
                denied(fs::create_dir(root.path().join("new")));
                denied(fs::remove_file(root.path().join("file")));
                denied(std::process::Command::new("/bin/true").status().map(drop));
                Ok(())
            });
            inside.join().unwrap()
        });
        match inside.map_err(|error: io::Error| error.kind()) {
            Ok(()) => {}
            Err(Unsupported) => eprintln!("NOT TESTED: this kernel has no Landlock"),
            Err(other) => panic!("{other}"),
        }
    }
}
