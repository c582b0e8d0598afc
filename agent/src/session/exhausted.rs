//! What a server has run out of, in words, where the kernel has a number that says something else: "temporarily
//! unavailable" is a bound on processes (LOC-04).

use rustix::io::Errno;
use std::io;

/// The same error, with what is exhausted in front.
pub(crate) fn named(error: io::Error) -> io::Error {
    let what = match Errno::from_io_error(&error) {
        Some(Errno::AGAIN) => "no more processes can be started on this server",
        Some(Errno::MFILE | Errno::NFILE) => "no more files can be opened on this server",
        Some(Errno::NOMEM) => "no memory is left on this server",
        Some(Errno::NOSPC) => "no space is left on this server",
        Some(_) | None => return error,
    };
    io::Error::new(error.kind(), format!("{what} ({error})"))
}
