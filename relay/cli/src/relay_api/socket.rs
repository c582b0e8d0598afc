//! One connection to a relay, plain on loopback or TLS: dialled here, used by HTTP calls and by streams.

use super::{Relay, RelayError};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error as TlsError};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Name, TCP and TLS together; a relay that needs longer is not usable for a terminal.
const DIAL_WAIT: Duration = Duration::from_secs(10);
/// One read of the network: rustls itself asks for 4 KiB at a time, which would cost a system call each.
const READ_BYTES: usize = 64 << 10;

/// A connection to a relay.
#[derive(Debug)]
pub enum Socket {
    /// To this very computer.
    Plain(TcpStream),
    /// To everywhere.
    Tls(Box<TlsStream<BufReader<TcpStream>>>),
}

/// Connects to the relay.
pub(super) async fn dial(relay: &Relay) -> Result<Socket, RelayError> {
    let address = relay.address.authority();
    let late = || RelayError::Unreachable { relay: address.clone(), why: io::ErrorKind::TimedOut.to_string() };
    timeout(DIAL_WAIT, connect(relay)).await.map_err(|_| late())?
}

async fn connect(relay: &Relay) -> Result<Socket, RelayError> {
    let address = &relay.address;
    let unreachable = |error: io::Error| RelayError::Unreachable { relay: address.authority(), why: error.to_string() };
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let Some(tls) = &relay.tls else {
        return Ok(Socket::Plain(tcp));
    };
    let name = ServerName::try_from(address.host.clone())
        .map_err(|error| RelayError::Tls { relay: address.authority(), why: error.to_string() })?;
    let tcp = BufReader::with_capacity(READ_BYTES, tcp);
    let connected = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
    Ok(Socket::Tls(Box::new(connected.map_err(|error| tls_failed(relay, &error))?)))
}

fn tls_failed(relay: &Relay, error: &io::Error) -> RelayError {
    let address = relay.address.authority();
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match cause {
        Some(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            RelayError::Pin { relay: address }
        }
        Some(TlsError::InvalidCertificate(why)) => RelayError::Certificate { relay: address, why: format!("{why:?}") },
        Some(other) => RelayError::Tls { relay: address, why: other.to_string() },
        None => RelayError::Tls { relay: address, why: error.to_string() },
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
