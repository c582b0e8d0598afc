//! A backend behind a load balancer under test: it answers, refuses, hangs or says 503, and remembers who asked when.
//!
//! Its port stays its own while it refuses: its socket stays bound and only stops to listen. Once [`Backend::behave`] has
//! returned it must never answer as it did before.

use rustix::net::{AddressFamily, Shutdown, SocketType, bind, listen, shutdown, socket, sockopt};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a health check asks for; users ask for anything else.
pub const PROBED: &str = "/health";

const BACKLOG: i32 = 128;
/// How often a connection that hangs looks whether the backend is over.
const LOOK: Duration = Duration::from_millis(20);
const REQUEST_BYTES_MAX: usize = 8192;

/// What it does with whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// 200, with its name.
    Answers,
    /// Its port is closed.
    Refuses,
    /// It accepts and says nothing.
    Hangs,
    /// 503, with its name.
    Unavailable,
}

/// Somebody who came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When the connection was accepted.
    pub at: Instant,
    /// What was asked for; nothing when it was a connection and no more.
    pub path: String,
    /// What it met.
    pub met: Behaviour,
}

/// A backend on loopback. It ends with its value.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    port: u16,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    listener: TcpListener,
    state: Mutex<State>,
    over: AtomicBool,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    seen: Vec<Seen>,
}

impl Backend {
    /// A backend that answers with its name.
    ///
    /// # Panics
    /// When this machine gives no socket.
    #[must_use]
    pub fn start(name: &str) -> Self {
        // A port that was asked for by number stays bound while nobody listens; one that the kernel chose does not.
        let chosen = bound(0);
        let port = chosen.local_addr().expect("a bound socket has an address").port();
        let listener = bound(port);
        drop(chosen);
        listen(&listener, BACKLOG).expect("a bound socket can listen");
        let state = Mutex::new(State { behaviour: Behaviour::Answers, seen: Vec::new() });
        let shared = Arc::new(Shared { name: name.to_owned(), listener, state, over: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&accepting));
        Self { shared, port, accepting: Some(accepting) }
    }

    /// Where it is.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Behaves so from now on.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.state();
        let was = std::mem::replace(&mut state.behaviour, behaviour);
        match (was, behaviour) {
            (Behaviour::Refuses, Behaviour::Refuses) => {}
            (_, Behaviour::Refuses) => {
                shutdown(&self.shared.listener, Shutdown::Read).expect("a listening socket can stop to listen");
            }
            (Behaviour::Refuses, _) => listen(&self.shared.listener, BACKLOG).expect("a bound socket can listen"),
            (Behaviour::Answers | Behaviour::Hangs | Behaviour::Unavailable, _) => {}
        }
    }

    /// Everybody who came and was not refused, in the order in which they were served.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many health checks have met this.
    #[must_use]
    pub fn probes(&self, met: Behaviour) -> usize {
        self.shared.state().seen.iter().filter(|seen| seen.path == PROBED && seen.met == met).count()
    }

    /// How many users came.
    #[must_use]
    pub fn users(&self) -> usize {
        self.shared.state().seen.iter().filter(|seen| seen.path != PROBED && !seen.path.is_empty()).count()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes who waits in accept; it may not be listening.
        let _refuses = shutdown(&self.shared.listener, Shutdown::Read);
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Notes who came; says what they meet.
    fn meet(&self, at: Instant, path: &str) -> Behaviour {
        let mut state = self.state();
        let met = state.behaviour;
        state.seen.push(Seen { at, path: path.to_owned(), met });
        met
    }
}

/// A socket that does not listen yet.
fn bound(port: u16) -> TcpListener {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket can be made");
    sockopt::set_socket_reuseaddr(&socket, true).expect("an address may be used again");
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("loopback has a free port");
    TcpListener::from(socket)
}

fn accept(shared: &Arc<Shared>) {
    while !shared.is_over() {
        match shared.listener.accept() {
            Ok((stream, _)) => {
                let (at, shared) = (Instant::now(), Arc::clone(shared));
                std::thread::spawn(move || serve(&shared, stream, at));
            }
            // It does not listen.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// One request, and never a second one: a connection that is kept would outlive the behaviour that it met.
fn serve(shared: &Shared, mut stream: TcpStream, at: Instant) {
    let Some(request) = read_request(shared, &mut stream) else { return };
    let path = request.split(' ').nth(1).unwrap_or_default();
    let status = match shared.meet(at, path) {
        Behaviour::Answers => "200 OK",
        Behaviour::Unavailable => "503 Service Unavailable",
        Behaviour::Hangs => return drop(read_request(shared, &mut stream)),
        Behaviour::Refuses => return,
    };
    let (name, len) = (&shared.name, shared.name.len());
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{name}");
    // A balancer may have lost its patience.
    let _gone = stream.write_all(answer.as_bytes());
}

/// A request's head; nothing when the far end or the backend ends before.
fn read_request(shared: &Shared, stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(LOOK)).ok()?;
    let mut request = Vec::new();
    let mut some = [0; 1024];
    while request.len() < REQUEST_BYTES_MAX && !shared.is_over() {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(len) => request.extend_from_slice(&some[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if request.windows(4).any(|end| end == b"\r\n\r\n") {
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::ask;

    #[test]
    fn a_backend_behaves_as_it_is_told_and_remembers() {
        const SOON: Duration = Duration::from_secs(5);
        let backend = Backend::start("one");
        let ask = |path: &str, within| ask(backend.port(), path, within).map(|answer| (answer.status, answer.body));
        assert_eq!(ask(PROBED, SOON), Ok((200, "one".to_owned())));
        backend.behave(Behaviour::Unavailable);
        assert_eq!(ask("/", SOON), Ok((503, "one".to_owned())));
        backend.behave(Behaviour::Refuses);
        backend.behave(Behaviour::Refuses);
        assert_eq!(ask(PROBED, SOON), Err(std::io::ErrorKind::ConnectionRefused));
        backend.behave(Behaviour::Hangs);
        assert_eq!(ask(PROBED, Duration::from_millis(200)), Err(std::io::ErrorKind::WouldBlock));
        backend.behave(Behaviour::Answers);
        assert_eq!(ask("/", SOON), Ok((200, "one".to_owned())));
        let met: Vec<_> = backend.seen().into_iter().map(|seen| (seen.path, seen.met)).collect();
        let expected = [
            (PROBED, Behaviour::Answers),
            ("/", Behaviour::Unavailable),
            (PROBED, Behaviour::Hangs),
            ("/", Behaviour::Answers),
        ];
        assert_eq!(met, expected.map(|(path, met)| (path.to_owned(), met)));
        assert_eq!((backend.probes(Behaviour::Answers), backend.probes(Behaviour::Hangs), backend.users()), (1, 1, 2));
    }
}
