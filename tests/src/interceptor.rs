//! The relay's web side in an attacker's hands: stands between client and relay and passes everything on, except what
//! a test tells it to do to the sealed streams.
//!
//! The client reaches it by plain HTTP on the loopback, as it may reach a relay there. Ordinary calls are copied byte
//! by byte; a stream's WebSocket is taken apart, because attacks are about frames.

use cloud_doctor_proto::frame::{self, Decoder, Frame, Kind};
use cloud_doctor_proto::limits::WS_PROTOCOL;
use futures_util::{SinkExt as _, StreamExt as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

/// Looks at every frame of a stream; returns what is sent instead.
type Hook = dyn FnMut(Direction, Frame) -> Deed + Send;

/// Which way a frame travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It is passed on.
    Pass,
    /// Other bytes are sent instead, possibly none.
    Instead(Vec<u8>),
    /// Other bytes are sent back to where it came from; the far end sees nothing.
    Answer(Vec<u8>),
    /// Both ends are cut off.
    Cut,
}

/// A running interceptor. Ends when dropped.
pub struct Interceptor {
    addr: SocketAddr,
    inner: Arc<Inner>,
    _runtime: Runtime,
}

struct Inner {
    relay: SocketAddr,
    hook: Mutex<Box<Hook>>,
    /// New streams are refused.
    closed: AtomicBool,
    streams: AtomicUsize,
}

impl std::fmt::Debug for Interceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interceptor").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Interceptor {
    /// Stands before a relay that speaks plain HTTP on the loopback.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(relay: SocketAddr) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime can be started");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let addr = listener.local_addr().expect("a listener has an address");
        let pass: Box<Hook> = Box::new(|_, _| Deed::Pass);
        let inner =
            Inner { relay, hook: Mutex::new(pass), closed: AtomicBool::default(), streams: AtomicUsize::new(0) };
        let inner = Arc::new(inner);
        let shared = Arc::clone(&inner);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let inner = Arc::clone(&shared);
                tokio::spawn(async move { drop(serve(client, inner).await) });
            }
        });
        Self { addr, inner, _runtime: runtime }
    }

    /// What a client takes for the relay.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Does this to every frame from now on.
    pub fn attack(&self, hook: impl FnMut(Direction, Frame) -> Deed + Send + 'static) {
        *self.inner.hook.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(hook);
    }

    /// Refuses new streams, or takes them again.
    pub fn close(&self, closed: bool) {
        self.inner.closed.store(closed, Ordering::Release);
    }

    /// Streams that were opened so far.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inner.streams.load(Ordering::Acquire)
    }
}

async fn serve(mut client: TcpStream, inner: Arc<Inner>) -> anyhow::Result<()> {
    let mut relay = TcpStream::connect(inner.relay).await?;
    if !is_stream(&client).await? {
        tokio::io::copy_bidirectional(&mut client, &mut relay).await?;
        return Ok(());
    }
    anyhow::ensure!(!inner.closed.load(Ordering::Acquire), "closed");
    inner.streams.fetch_add(1, Ordering::AcqRel);
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let copy = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        asked = Some((request.uri().clone(), request.headers().get(AUTHORIZATION).cloned()));
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WS_PROTOCOL));
        Ok(response)
    };
    let client = accept_hdr_async(client, copy).await?;
    let (uri, token) = asked.ok_or_else(|| anyhow::anyhow!("no request"))?;
    let mut request = Request::builder().uri(format!("ws://{}{uri}", inner.relay));
    request = request.header(HOST, inner.relay.to_string()).header("Connection", "Upgrade");
    request = request.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
    request = request.header(SEC_WEBSOCKET_KEY, generate_key()).header(SEC_WEBSOCKET_PROTOCOL, WS_PROTOCOL);
    request = token.into_iter().fold(request, |request, token| request.header(AUTHORIZATION, token));
    let (relay, _) = client_async(request.body(())?, relay).await?;
    pass(client, relay, &inner).await
}

/// Looks at the first line without taking it.
async fn is_stream(client: &TcpStream) -> anyhow::Result<bool> {
    let mut head = [0; 512];
    loop {
        let len = client.peek(&mut head).await?;
        anyhow::ensure!(len > 0, "closed");
        if let Some(end) = head[..len].windows(2).position(|window| window == b"\r\n") {
            return Ok(String::from_utf8_lossy(&head[..end]).contains("/stream"));
        }
        anyhow::ensure!(len < head.len(), "a first line without end");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn pass(
    mut client: WebSocketStream<TcpStream>,
    mut relay: WebSocketStream<TcpStream>,
    inner: &Inner,
) -> anyhow::Result<()> {
    let (mut up, mut down) = (Decoder::new(), Decoder::new());
    loop {
        let (direction, message) = tokio::select! {
            message = client.next() => (Direction::Up, message),
            message = relay.next() => (Direction::Down, message),
        };
        let message = message.ok_or_else(|| anyhow::anyhow!("ended"))??;
        let (decoder, from, to) = match direction {
            Direction::Up => (&mut up, &mut client, &mut relay),
            Direction::Down => (&mut down, &mut relay, &mut client),
        };
        let Message::Binary(bytes) = &message else {
            to.send(message).await?;
            continue;
        };
        if bytes.is_empty() {
            to.send(message).await?;
            continue;
        }
        decoder.push(bytes);
        while let Some(frame) = decoder.next_frame()? {
            let whole = frame::encode(frame.kind, &frame.body);
            let deed = inner.hook.lock().unwrap_or_else(PoisonError::into_inner)(direction, frame);
            match deed {
                Deed::Pass => to.send(Message::binary(whole)).await?,
                Deed::Instead(bytes) if bytes.is_empty() => {}
                Deed::Instead(bytes) => to.send(Message::binary(bytes)).await?,
                Deed::Answer(bytes) => from.send(Message::binary(bytes)).await?,
                Deed::Cut => anyhow::bail!("cut"),
            }
        }
    }
}

/// Counts sealed records on their way down and cuts before number `count`; `usize::MAX` only counts.
pub fn cut_before(count: usize, counted: Arc<AtomicUsize>) -> impl FnMut(Direction, Frame) -> Deed + Send + 'static {
    move |direction, frame| {
        if direction == Direction::Up || frame.kind != Kind::Record {
            return Deed::Pass;
        }
        if counted.fetch_add(1, Ordering::AcqRel) >= count { Deed::Cut } else { Deed::Pass }
    }
}
