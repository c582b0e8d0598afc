//! A small client of the relay's API, for tests and figures: one request per connection, and WebSockets of live values.
//!
//! It trusts one certificate, byte for byte, or speaks plain HTTP on the loopback. Not for people: they have `cloud-doctor`.

use anyhow::{Context as _, Result, bail, ensure};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::limits::WS_PROTOCOL;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use tokio_tungstenite::{WebSocketStream, client_async};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes both ways.
pub trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// A relay's API, as one signed-in person sees it.
#[derive(Clone)]
pub struct Api {
    addr: SocketAddr,
    tls: Option<TlsConnector>,
    token: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Api {
    /// At this address, by this certificate, as whoever signed in last with the client that keeps its tokens there.
    ///
    /// # Errors
    /// When the address or the certificate is none, or nobody signed in.
    pub fn new(url: &str, certificate: Option<&Path>, tokens: &Path) -> Result<Self> {
        let (_, addr) = url.split_once("://").context("clients reach the relay at an address")?;
        let addr = addr.parse().with_context(|| format!("{url} is no address"))?;
        let tls = certificate.map(only).transpose()?;
        let mut files = fs::read_dir(tokens).context("nobody signed in yet")?;
        let file = files.next().context("nobody signed in yet")??;
        let token = fs::read_to_string(file.path())?.trim().to_owned();
        Ok(Self { addr, tls, token })
    }

    async fn connect(&self) -> Result<Box<dyn Both>> {
        let plain = TcpStream::connect(self.addr).await?;
        plain.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(plain)) };
        Ok(Box::new(tls.connect(ServerName::from(self.addr.ip()), plain).await?))
    }

    /// One request; returns what was answered.
    ///
    /// # Errors
    /// When the relay is away or says no.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let asked = async {
            let mut stream = self.connect().await?;
            let body = body.map(Value::to_string).unwrap_or_default();
            let (addr, token, len) = (self.addr, &self.token, body.len());
            let request = format!(
                "{method} /api/v1{path} HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {token}\r\n\
                 connection: close\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.context("the relay does not answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let status: u16 =
            head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("an answer has a status")?;
        ensure!((200..300).contains(&status), "{method} {path}: {status}: {body}");
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_str(body)? })
    }

    /// Looks at a server's values as they come.
    ///
    /// # Errors
    /// When the relay is away or says no.
    pub async fn watch(&self, agent: &AgentId) -> Result<WebSocketStream<Box<dyn Both>>> {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let (addr, token) = (self.addr, &self.token);
        let request = Request::builder()
            .uri(format!("{scheme}://{addr}/api/v1/servers/{agent}/metrics/live"))
            .header("Host", addr.to_string())
            .header("Authorization", format!("Bearer {token}"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header("Sec-WebSocket-Protocol", WS_PROTOCOL)
            .body(())?;
        let opened = async { Ok::<_, anyhow::Error>(client_async(request, self.connect().await?).await?.0) };
        tokio::time::timeout(PATIENCE, opened).await.context("the relay does not answer")?
    }

    /// Begins a scan and waits for its end, at most so long; returns it as the relay shows it.
    ///
    /// # Errors
    /// When it does not begin, or does not end in time.
    pub async fn scan(&self, terms: &Value, within: Duration) -> Result<Value> {
        let begun = self.call("POST", "/scans", Some(terms)).await?;
        let path = format!("/scans/{}", begun["scan"].as_str().context("a scan has a name")?);
        let ended = async {
            loop {
                let scan = self.call("GET", &path, None).await?;
                if scan["ended_at"].is_u64() {
                    return Ok::<_, anyhow::Error>(scan);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        match tokio::time::timeout(within, ended).await {
            Ok(scan) => scan,
            Err(_) => bail!("the scan did not end: {}", self.call("GET", &path, None).await?),
        }
    }
}

/// Takes this certificate and no other.
fn only(certificate: &Path) -> Result<TlsConnector> {
    let certificate = CertificateDer::from_pem_file(certificate)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Only { certificate, provider });
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()).into())
}

#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another certificate than the relay's".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
