//! Asking systemd over D-Bus: one connection, one deadline and one bound of bytes for everything that is asked.
//!
//! It says who it is (SASL EXTERNAL: the kernel vouches for the user), and calls methods. It must never call one that
//! changes anything: the callers' methods are `ListUnits` and `Get`, and nothing is started to answer them.

pub(super) mod codec;

use super::{Host, boot_time};
use cloud_doctor_proto::time::BootTime;
use codec::{Answer, Call, HEAD_BYTES};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// For everything that is asked on one connection.
const DEADLINE_MS: u64 = 5000;
/// Of all answers of one connection.
const BYTES_MAX: usize = 4 << 20;
/// Calls that wait for an answer at a time; a system bus allows 128 (bus/config-parser.c, max_replies_per_connection).
const IN_FLIGHT_MAX: usize = 32;
/// For systemd to read `BEGIN`.
const BEGIN_TAKES: Duration = Duration::from_millis(200);
/// The longest line of the handshake.
const LINE_BYTES_MAX: usize = 512;

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    deadline: BootTime,
    bytes_left: usize,
    received: Vec<u8>,
    serial: u32,
}

impl Bus {
    /// Connects to the bus at `path` of the host and says hello. A socket that systemd itself listens on has no bus
    /// between, and wants no hello.
    pub(super) fn connect(host: &Host, path: &str, is_bus: bool) -> io::Result<Self> {
        let below = format!("/proc/self/fd/{}/{}", host.root.as_raw_fd(), path.trim_start_matches('/'));
        let deadline = BootTime(boot_time().0 + DEADLINE_MS);
        let stream = UnixStream::connect(below)?;
        let mut bus = Self { stream, deadline, bytes_left: BYTES_MAX, received: Vec::new(), serial: 0 };
        bus.say_who()?;
        if is_bus {
            let bus_itself = "org.freedesktop.DBus";
            let path = "/org/freedesktop/DBus";
            let hello = Call { destination: bus_itself, path, interface: bus_itself, member: "Hello", arguments: &[] };
            bus.call(&hello)?;
        } else {
            bus.let_it_begin()?;
        }
        Ok(bus)
    }

    /// The answer to one call.
    pub(super) fn call(&mut self, call: &Call<'_>) -> io::Result<Answer> {
        let mut answers = self.call_all(std::slice::from_ref(call))?;
        answers.pop().ok_or_else(|| io::Error::other("no answer"))
    }

    /// The answers to all calls, in their order.
    pub(super) fn call_all(&mut self, calls: &[Call<'_>]) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(calls.len());
        for some in calls.chunks(IN_FLIGHT_MAX) {
            self.exchange(some, &mut answers)?;
        }
        Ok(answers)
    }

    fn exchange(&mut self, calls: &[Call<'_>], answers: &mut Vec<Answer>) -> io::Result<()> {
        let first = self.serial + 1;
        let mut request = Vec::new();
        for call in calls {
            self.serial += 1;
            request.extend_from_slice(&codec::encode(call, self.serial));
        }
        self.wait_at_most()?;
        self.stream.write_all(&request)?;
        let mut waiting: Vec<Option<Answer>> = vec![None; calls.len()];
        let mut missing = calls.len();
        while missing > 0 {
            let bytes = self.message()?;
            let message = codec::decode(&bytes).ok_or_else(no_dbus)?;
            // Signals come in between, and answer nothing.
            let index = message.reply_to.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            if let Some(slot) = index.and_then(|index| waiting.get_mut(index)).filter(|slot| slot.is_none()) {
                *slot = Some(message.answer);
                missing -= 1;
            }
        }
        answers.extend(waiting.into_iter().flatten());
        Ok(())
    }

    fn say_who(&mut self) -> io::Result<()> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let hex: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.wait_at_most()?;
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let end = loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            if self.received.len() > LINE_BYTES_MAX {
                return Err(no_dbus());
            }
            self.receive()?;
        };
        let line: Vec<u8> = self.received.drain(..end + 2).collect();
        if !line.starts_with(b"OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    /// systemd itself (252, seen) forgets a call that it reads together with `BEGIN`, until another one comes. It says
    /// nothing to `BEGIN`, so that there is nothing to wait for but time.
    fn let_it_begin(&self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(BEGIN_TAKES))?;
        match (&self.stream).read(&mut [0]) {
            Ok(_) => Err(no_dbus()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(head) = self.received.first_chunk::<HEAD_BYTES>() {
                let whole = codec::message_length(head).ok_or_else(no_dbus)?;
                if self.received.len() >= whole {
                    return Ok(self.received.drain(..whole).collect());
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        self.wait_at_most()?;
        let mut buffer = [0; 16 << 10];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        self.bytes_left =
            self.bytes_left.checked_sub(count).ok_or_else(|| io::Error::other("it answers more than 4 MiB"))?;
        self.received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    fn wait_at_most(&self) -> io::Result<()> {
        let left = boot_time().millis_until(self.deadline);
        if left == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Some(Duration::from_millis(left));
        self.stream.set_read_timeout(left).and_then(|()| self.stream.set_write_timeout(left))
    }
}

fn no_dbus() -> io::Error {
    io::Error::other("it does not speak D-Bus")
}
