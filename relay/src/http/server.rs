//! Serving HTTP/1.1 over TCP: admission, TLS handshake, limits (H-11), an end in good order.
//!
//! Everything slow happens in the connection's own task, under a deadline. Never: a handshake in the accept loop, a
//! connection without a place, plain HTTP on an address that others can reach (the configuration refuses it).

use super::caller::Client;
use crate::tunnels::gate::Prefix;
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// A handshake that takes longer is given up (TLS-08).
const HANDSHAKE: Duration = Duration::from_secs(5);
/// All headers of a request, in bytes and in number (H-11).
const HEADER_BYTES_MAX: usize = 8 << 10;
/// See [`HEADER_BYTES_MAX`].
const HEADERS_MAX: usize = 100;
/// From the connection's beginning, or the end of the last request, to the end of the next one's headers: one number
/// for a slow sender and an idle connection, because the library has one.
const HEADERS: Duration = Duration::from_secs(10);
/// Pause after the kernel has no descriptor left: something must end first.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How many connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Of everybody. Each holds about 20 KiB.
    pub connections: usize,
    /// Of one network (/24, /56): an office behind one address fits.
    pub per_network: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections: 4_096, per_network: 1_024 }
    }
}

/// A bound listener with what it serves.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Arc<Places>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds; nobody is answered before [`Self::run`].
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn bind(
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        router: Router,
        limits: ServerLimits,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let places = Arc::new(Places {
            free: Arc::new(Semaphore::new(limits.connections)),
            per_network: limits.per_network,
            networks: Mutex::new(HashMap::new()),
        });
        Ok(Self { listener, tls: tls.map(TlsAcceptor::from), router, places })
    }

    /// The address with its real port.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until `stop`; connections end after the request that they are at.
    pub async fn run(self, tasks: TaskTracker, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => self.welcome(stream, client, &tasks, &stop),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, client: SocketAddr, tasks: &TaskTracker, stop: &CancellationToken) {
        let Some(place) = self.places.take(client) else {
            return debug!(%client, "no place for another connection");
        };
        // A key stroke is one small packet; it must not wait for the answer to the one before.
        if let Err(error) = stream.set_nodelay(true) {
            return debug!(%client, %error, "a connection ended before it began");
        }
        let (tls, router, stop) = (self.tls.clone(), self.router.clone(), stop.clone());
        tasks.spawn(async move {
            let _place = place;
            match tls {
                None => converse(stream, client, router, stop).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, client, router, stop).await,
                    Ok(Err(error)) => debug!(%client, %error, "TLS handshake failed"),
                    Err(_) => debug!(%client, "TLS handshake took too long"),
                },
            }
        });
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Client(client));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(2 * HEADER_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        debug!(%client, %error, "connection ended");
    }
}

/// Room for connections.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    per_network: usize,
    networks: Mutex<HashMap<Prefix, usize>>,
}

/// One connection's room, free again when dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    places: Arc<Places>,
    network: Prefix,
}

impl Places {
    fn take(self: &Arc<Self>, client: SocketAddr) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let network = Prefix::of(client.ip());
        // The lock is for one look at a table.
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let count = networks.entry(network).or_default();
        if *count >= self.per_network {
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, places: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut networks = self.places.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&self.network);
            }
        }
    }
}
