//! Guard's two sockets, made so that nobody else can ever connect or stand in their place.
//!
//! They live in a directory that only we can write; each is born with mode 0600 and widened afterwards; each peer's
//! user id is checked again on every connection. It must never trust a path.

use crate::state::Places;
use crate::state::files::{self, FileError};
use rustix::fs::{Gid, Mode, Uid};
use rustix::process::umask;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tokio::net::{UnixListener, UnixStream};

/// The user and group that the tunnel runs as: the owner of its state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TunnelUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl TunnelUser {
    /// Finds out who owns the tunnel's directory.
    ///
    /// # Errors
    /// [`FileError`] when it does not exist: the agent is not installed.
    pub(crate) fn find(places: &Places) -> Result<Self, FileError> {
        let meta = std::fs::symlink_metadata(&places.tunnel).map_err(FileError::at(&places.tunnel))?;
        Ok(Self { uid: meta.uid(), gid: meta.gid() })
    }

    /// The tunnel could do whatever root's commands do here: then nobody on the host is told apart from it.
    pub(crate) fn is_us(self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }
}

/// Guard's listening sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) guard: UnixListener,
    pub(crate) admin: UnixListener,
}

/// Makes the run directory and both sockets.
///
/// # Errors
/// [`FileError`].
pub(crate) fn listen(places: &Places, tunnel: TunnelUser) -> Result<Sockets, FileError> {
    make_run_dir(places, tunnel)?;
    let guard = bind(&places.guard_socket())?;
    if !tunnel.is_us() {
        give(&places.guard_socket(), tunnel.gid, 0o660)?;
    }
    Ok(Sockets { guard, admin: bind(&places.admin_socket())? })
}

/// The run directory, which the tunnel's group may enter but not list, and the holders' directory, which is ours alone.
///
/// # Errors
/// [`FileError`].
pub(crate) fn make_run_dir(places: &Places, tunnel: TunnelUser) -> Result<(), FileError> {
    files::make_dir(&places.run, 0o700)?;
    if !tunnel.is_us() {
        give(&places.run, tunnel.gid, 0o710)?;
    }
    files::make_dir(&crate::session::door::folder(&places.run), 0o700)
}

fn bind(path: &Path) -> Result<UnixListener, FileError> {
    files::remove(path)?;
    // The socket is born with this mode; guard has one thread, so nothing else is made meanwhile.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(FileError::at(path))
}

fn give(path: &Path, gid: u32, mode: u32) -> Result<(), FileError> {
    let give = || {
        rustix::fs::chown(path, None::<Uid>, Some(Gid::from_raw(gid)))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    give().map_err(FileError::at(path))
}

/// Whether a peer of `guard.sock` may speak there: the tunnel, or we ourselves.
pub(crate) fn is_tunnel(stream: &UnixStream, tunnel: TunnelUser) -> bool {
    peer(stream).is_some_and(|uid| uid == tunnel.uid || uid == rustix::process::geteuid().as_raw())
}

/// Whether a peer of `admin.sock` may speak there: root, or we ourselves.
pub(crate) fn is_admin(stream: &UnixStream) -> bool {
    peer(stream).is_some_and(|uid| uid == 0 || uid == rustix::process::geteuid().as_raw())
}

fn peer(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|cred| cred.uid())
}

/// The process that listens on a holder's socket: who it is by the kernel's word, whatever it calls itself.
pub(crate) fn listener_pid(socket: &Path) -> Option<rustix::process::Pid> {
    let stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    let cred = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    (cred.uid == rustix::process::geteuid()).then_some(cred.pid)
}
