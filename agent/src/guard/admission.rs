//! Who may connect, and how many at once of each kind.
//!
//! ```text
//!  connection ─▶ greeting (64, 5 s) ─┬─ StreamHead ─▶ client (48)       over any bound: one sentence, and good-bye
//!                                    └─ the tunnel's own ─▶ (16)
//! ```
//!
//! A relay that holds all places of clients must not keep another relay's revocations out: the tunnel's own questions
//! have places of their own. It must never let anybody wait for a place.

use super::server::Guard;
use super::stream::FrameStream;
use super::visits::Claims;
use super::{admin, client, control, sockets};
use cloud_doctor_proto::control::StreamHead;
use cloud_doctor_proto::frame::{Frame, Kind};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// A peer says what it wants within this time.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Connections that have not said what they want.
const GREETINGS_MAX: usize = 64;
/// Clients' streams: every engineer's tabs, and a bound for what a relay can make guard hold.
const CLIENTS_MAX: usize = 48;
/// Connections of the tunnel itself: one or two per relay.
const TUNNELS_MAX: usize = 16;
/// Connections over these bounds that are told so before they are closed: a script that opens 500 shells at once reads
/// 500 sentences.
const TURNED_AWAY_MAX: usize = 512;
/// Root's commands at once.
const ADMINS_MAX: usize = 8;
/// Frames above 64 KiB that may be on their way at once: a megabyte each.
const LARGE_MAX: usize = 8;

/// How many places are taken.
#[derive(Debug)]
pub(super) struct Taken {
    greetings: Cell<usize>,
    clients: Cell<usize>,
    tunnels: Cell<usize>,
    turned_away: Cell<usize>,
    admins: Cell<usize>,
    large: Arc<Semaphore>,
}

impl Default for Taken {
    fn default() -> Self {
        let none = || Cell::new(0);
        Self {
            greetings: none(),
            clients: none(),
            tunnels: none(),
            turned_away: none(),
            admins: none(),
            large: Arc::new(Semaphore::new(LARGE_MAX)),
        }
    }
}

/// Counts a connection while it lives.
struct Place {
    guard: Rc<Guard>,
    counter: fn(&Taken) -> &Cell<usize>,
}

impl Place {
    fn take(guard: &Rc<Guard>, max: usize, counter: fn(&Taken) -> &Cell<usize>) -> Option<Self> {
        let cell = counter(&guard.places_taken);
        (cell.get() < max).then(|| {
            cell.set(cell.get() + 1);
            Self { guard: guard.clone(), counter }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let cell = (self.counter)(&self.guard.places_taken);
        cell.set(cell.get() - 1);
    }
}

/// A connection to `guard.sock`.
pub(super) fn peer(guard: &Rc<Guard>, stream: UnixStream) {
    if !sockets::is_tunnel(&stream, guard.tunnel) {
        let refused = Refusal::Malformed.with("a user that is not the tunnel connected to guard.sock");
        return guard.refused(&Claims::default(), "peer", &refused);
    }
    let stream = FrameStream::new(stream, guard.places_taken.large.clone());
    match Place::take(guard, GREETINGS_MAX, |taken| &taken.greetings) {
        Some(place) => guard.spawn(greet(guard.clone(), stream, place)),
        None => turn_away(guard, stream),
    }
}

/// A connection to `admin.sock`.
pub(super) fn root(guard: &Rc<Guard>, stream: UnixStream) {
    if !sockets::is_admin(&stream) {
        let refused = Refusal::Malformed.with("a user that is not root connected to admin.sock");
        return guard.refused(&Claims::default(), "peer", &refused);
    }
    if let Some(place) = Place::take(guard, ADMINS_MAX, |taken| &taken.admins) {
        let guard_again = guard.clone();
        guard.spawn(async move {
            admin::serve(&guard_again, stream).await;
            drop(place);
        });
    }
}

/// Says no in a sentence. Whoever does not read it is let go.
fn turn_away(guard: &Rc<Guard>, mut stream: FrameStream) {
    guard.refused(&Claims::default(), "connection", &Refusal::Busy.into());
    let Some(place) = Place::take(guard, TURNED_AWAY_MAX, |taken| &taken.turned_away) else { return };
    guard.spawn(async move {
        if stream.refuse(&Refusal::Busy.into()).await.is_ok() {
            stream.close().await;
        }
        drop(place);
    });
}

async fn greet(guard: Rc<Guard>, mut stream: FrameStream, greeting: Place) {
    let frame = match stream.next(GREETING).await {
        Ok(frame) => frame,
        Err(error) => return tracing::debug!(%error, "a connection ended"),
    };
    let place = match frame.kind == Kind::StreamHead {
        true => Place::take(&guard, CLIENTS_MAX, |taken| &taken.clients),
        false => Place::take(&guard, TUNNELS_MAX, |taken| &taken.tunnels),
    };
    drop(greeting);
    let Some(_place) = place else { return turn_away(&guard, stream) };
    if frame.kind == Kind::StreamHead {
        meet_client(guard, stream, &frame).await;
    } else {
        answer_tunnel(guard, stream, frame).await;
    }
}

async fn meet_client(guard: Rc<Guard>, mut stream: FrameStream, frame: &Frame) {
    match pack::from_bytes::<StreamHead>(&frame.body, Kind::StreamHead.bytes_max()) {
        Ok(head) => client::serve(guard, stream, head).await,
        Err(error) => {
            let refused = Refusal::Malformed.with(error.to_string());
            guard.refused(&Claims::default(), "frame", &refused);
            // Nothing can be done about a peer that does not take the answer.
            stream.refuse(&refused).await.ok();
            stream.close().await;
        }
    }
}

async fn answer_tunnel(guard: Rc<Guard>, mut stream: FrameStream, mut frame: Frame) {
    loop {
        match control::answer(&guard, &mut stream, &frame).await {
            Ok(true) => {}
            Ok(false) => return stream.close().await,
            Err(error) => return tracing::debug!(%error, "the tunnel's connection ended"),
        }
        frame = match stream.next(GREETING).await {
            Ok(frame) => frame,
            Err(error) => return tracing::debug!(%error, "a connection ended"),
        };
    }
}
