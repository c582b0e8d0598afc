//! How quinn's tasks run in the relay: as tokio tasks that take up their own unfinished work at once.
//!
//! quinn's drivers bound the work of one turn and ask for another one when some may be left, often after a single cold
//! packet. tokio answers a task that wakes itself by waking a second worker as well: a sleeping processor per packet,
//! paid on the way of a keystroke. So a driver gets its second turn here. It must never get more than that without
//! letting others run, and never lose a wake-up.

use futures_util::task::AtomicWaker;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// Turns of a driver before others have theirs.
const TURNS: usize = 2;

/// tokio, with [`Driver`] around each task.
#[derive(Debug)]
pub(super) struct Drivers;

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(Box::pin(Driver::new(future)));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// A task that is polled again at once when it was woken meanwhile.
struct Driver {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Nobody polls: a ring wakes the task.
const IDLE: u8 = 0;
/// The future is being polled, and nobody has rung since.
const POLLED: u8 = 1;
/// Somebody has rung while it was polled.
const RUNG: u8 = 2;

#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.compare_exchange(POLLED, RUNG, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(RUNG) => {}
            Err(_idle) => self.task.wake(),
        }
    }
}

impl Driver {
    fn new(future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        let bell = Arc::<Bell>::default();
        Self { future, waker: Waker::from(bell.clone()), bell }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { future, bell, waker } = &mut *self;
        bell.task.register(cx.waker());
        for _ in 0..TURNS {
            bell.state.store(POLLED, Ordering::Release);
            if future.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                return Poll::Ready(());
            }
            if bell.state.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        bell.state.store(IDLE, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts rings that reach the task.
    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls a driver whose future wakes itself `busy` times; says how often it was polled and its task was woken.
    fn polls(busy: usize) -> (usize, usize) {
        let (rings, polls) = (Arc::<Rings>::default(), Arc::<AtomicUsize>::default());
        let seen = polls.clone();
        let future = std::future::poll_fn(move |cx| {
            if seen.fetch_add(1, Ordering::Relaxed) < busy {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let mut driver = Driver::new(Box::pin(future));
        let waker = Waker::from(rings.clone());
        assert!(Pin::new(&mut driver).poll(&mut Context::from_waker(&waker)).is_pending());
        (polls.load(Ordering::Relaxed), rings.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_driver_has_its_second_turn_at_once_and_no_third() {
        assert_eq!(polls(0), (1, 0));
        assert_eq!(polls(1), (2, 0));
        assert_eq!(polls(2), (2, 1), "others run before the third");
    }

    #[test]
    fn no_ring_between_turns_is_lost() {
        let (send, receive) = std::sync::mpsc::sync_channel::<()>(1);
        let bell = Arc::<AtomicWaker>::default();
        let (theirs, mut left) = (bell.clone(), 10_000);
        let future = std::future::poll_fn(move |cx| {
            theirs.register(cx.waker());
            while left > 0 {
                if receive.try_recv().is_err() {
                    return Poll::Pending;
                }
                left -= 1;
            }
            Poll::Ready(())
        });
        let ringing = std::thread::spawn(move || {
            for _ in 0..10_000 {
                send.send(()).unwrap();
                bell.wake();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let driven =
            async { tokio::time::timeout(std::time::Duration::from_secs(10), Driver::new(Box::pin(future))).await };
        runtime.block_on(driven).unwrap();
        ringing.join().unwrap();
    }
}
