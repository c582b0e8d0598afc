//! The way to the identity provider: one request, one answer, over rustls.
//!
//! Redirects are not followed: what the provider's documents name is asked and nothing else (SSRF). Where the issuer
//! lives is the operator's choice, and so are further hosts that the configuration lists; another host that its documents
//! name must have a public address, whatever its name says, and is connected to at the address that was looked at (WEB-15).
//! An answer has a bound in bytes and in time.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// A provider's documents, keys and tokens are a few KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Less than a page waits for the relay.
const ANSWER: Duration = Duration::from_secs(4);
/// Names of this machine.
const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Without TLS, to another machine; not in public, and not of the operator's choice; or no address at all.
    #[error(
        "the address is neither https nor this machine's, or is private and neither the issuer's nor in oidc.hosts"
    )]
    Address,
    /// This machine trusts no certificate authority.
    #[error("no certificate authority is trusted here: {0}")]
    Roots(#[source] io::Error),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] hyper_util::client::legacy::Error),
    /// It broke off, or is too long.
    #[error("the answer broke off or is too long")]
    Body,
    /// It took too long.
    #[error("no answer within 4 seconds")]
    Late,
}

/// A client for one provider.
#[derive(Debug)]
pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    /// Hosts that may be private, as the operator named them.
    own: Arc<[String]>,
    /// The provider runs on this machine, without TLS.
    plain: bool,
}

impl Fetch {
    /// Of an issuer; `hosts`: further ones of the provider that may be private.
    pub(super) fn new(issuer: &str, hosts: &[String]) -> Result<Self, FetchError> {
        let issuer: hyper::Uri = issuer.parse().map_err(|_| FetchError::Address)?;
        let host = issuer.host().ok_or(FetchError::Address)?.to_owned();
        let plain = issuer.scheme_str() == Some("http");
        // A provider on this machine may go by any of its names.
        let here = THIS_MACHINE.iter().filter(|_| plain).map(|&name| name.to_owned());
        let own: Arc<[String]> = std::iter::once(host).chain(hosts.iter().cloned()).chain(here).collect();
        let mut http = HttpConnector::new_with_resolver(Resolver { own: own.clone() });
        http.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(crate::tls::provider());
        let builder = builder.map_err(FetchError::Roots)?;
        let connector = builder.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, own, plain })
    }

    fn may_ask(&self, uri: &hyper::Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        match uri.scheme_str() {
            // What is written as an address is never resolved.
            Some("https") => is_own(&self.own, host) || address(host).is_none_or(is_public),
            Some("http") => self.plain && THIS_MACHINE.contains(&host),
            Some(_) | None => false,
        }
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        if !self.may_ask(request.uri()) {
            return Err(FetchError::Address);
        }
        let answer = self.client.request(request.map(|body| Full::new(Bytes::from(body)))).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| FetchError::Body)?;
        Ok(HttpResponse::from_parts(head, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { tokio::time::timeout(ANSWER, self.ask(request)).await.map_err(|_| FetchError::Late)? })
    }
}

/// Finds hosts by their names; of those that the operator did not name, public addresses only.
#[derive(Debug, Clone)]
struct Resolver {
    own: Arc<[String]>,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let any = is_own(&self.own, name.as_str());
        let finding = GaiResolver::new().call(name.clone());
        Box::pin(async move {
            let found: Vec<SocketAddr> = finding.await?.filter(|found| any || is_public(found.ip())).collect();
            if found.is_empty() {
                return Err(io::Error::other(format!("{name} leads into a private network and is not in oidc.hosts")));
            }
            Ok(found.into_iter())
        })
    }
}

fn is_own(own: &[String], host: &str) -> bool {
    own.iter().any(|one| one.eq_ignore_ascii_case(host))
}

/// A host that is written as an address.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Neither this machine nor a network that the internet does not reach; there are services there that trust whoever asks.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let lab = a == 198 && (18..20).contains(&b);
            let nobody = a == 0 || ip.is_broadcast() || ip.is_multicast();
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared || lab || nobody)
        }
        // NAT64: what leads to an IPv4 address, and what a network uses for that as it likes.
        IpAddr::V6(ip) if ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = ip.octets();
            is_public(IpAddr::from([a, b, c, d]))
        }
        IpAddr::V6(ip) if ip.segments()[..3] == [0x64, 0xff9b, 1] => false,
        IpAddr::V6(ip) => {
            let nobody = ip.is_unspecified() || ip.is_multicast();
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || nobody)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn aut_10_nothing_is_asked_without_tls_but_on_this_machine_when_the_provider_is_here() {
        let tls = Fetch::new("https://id.example", &[]).unwrap();
        let plain = Fetch::new("http://127.0.0.1:9", &[]).unwrap();
        for (uri, expected) in [
            ("https://id.example/keys", [true, true]),
            ("http://127.0.0.1:9/keys", [false, true]),
            ("http://localhost/keys", [false, true]),
            ("http://169.254.169.254/latest", [false, false]),
            ("http://localhost.evil.example/", [false, false]),
            ("/keys", [false, false]),
        ] {
            let uri = uri.parse().unwrap();
            assert_eq!([tls.may_ask(&uri), plain.may_ask(&uri)], expected, "{uri}");
        }
    }

    const INSIDE: [&str; 21] = [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::101:101",
    ];

    #[tokio::test]
    async fn web_15_what_the_documents_name_leads_to_no_private_address() {
        let fetch = Fetch::new("https://id.example", &[]).unwrap();
        for inside in INSIDE {
            let host = if inside.contains(':') { format!("[{inside}]") } else { inside.to_owned() };
            assert!(!fetch.may_ask(&format!("https://{host}/keys").parse().unwrap()), "{inside}");
            let of_issuer = Fetch::new(&format!("https://{host}"), &[]).unwrap();
            let listed = Fetch::new("https://id.example", std::slice::from_ref(&host)).unwrap();
            for named in [of_issuer, listed] {
                assert!(
                    named.may_ask(&format!("https://{host}/keys").parse().unwrap()),
                    "{inside}: the operator's word"
                );
            }
        }
        let public =
            ["192.0.2.1", "1.1.1.1", "198.17.0.1", "198.20.0.1", "[2001:db8::1]", "[64:ff9b::101:101]", "keys.example"];
        for public in public {
            assert!(fetch.may_ask(&format!("https://{public}/keys").parse().unwrap()), "{public}");
        }
        for no_address in ["file:///etc/passwd", "gopher://id.example/", "ftp://id.example/", "//id.example/"] {
            let uri = no_address.parse();
            assert!(uri.map_or(true, |uri| !fetch.may_ask(&uri)), "{no_address}");
        }
        // Names, and numbers that the system takes for addresses: looked at after they were resolved.
        for name in ["localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1"] {
            let mut resolver = Resolver { own: fetch.own.clone() };
            let refused = resolver.call(name.parse().unwrap()).await;
            assert!(refused.is_err(), "{name}: {:?}", refused.unwrap().collect::<Vec<_>>());
        }
        let listed = Fetch::new("https://id.example", &["LocalHost".to_owned()]).unwrap();
        let here = Fetch::new("http://127.0.0.1:9", &[]).unwrap();
        for named in [Fetch::new("https://localhost", &[]).unwrap(), listed, here] {
            let mut resolver = Resolver { own: named.own };
            let mut found = resolver.call("localhost".parse().unwrap()).await.unwrap();
            assert!(found.all(|found| found.ip().is_loopback()));
        }
    }
}
