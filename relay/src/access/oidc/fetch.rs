//! The way to the identity provider: one request, one answer, over rustls.
//!
//! Redirects are not followed: what the provider's documents name is asked and nothing else (SSRF). An answer has a
//! bound in bytes and in time.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A provider's documents, keys and tokens are a few KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Less than a page waits for the relay.
const ANSWER: Duration = Duration::from_secs(4);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Without TLS, to another machine; or no address at all.
    #[error("the address is neither https nor this machine's")]
    Address,
    /// This machine trusts no certificate authority.
    #[error("no certificate authority is trusted here: {0}")]
    Roots(#[source] std::io::Error),
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
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The provider runs on this machine, without TLS.
    plain: bool,
}

impl Fetch {
    pub(super) fn new(plain: bool) -> Result<Self, FetchError> {
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(crate::tls::provider());
        let builder = builder.map_err(FetchError::Roots)?;
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), plain })
    }

    fn may_ask(&self, uri: &hyper::Uri) -> bool {
        let here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match uri.scheme_str() {
            Some("https") => true,
            Some("http") => self.plain && here,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn aut_10_nothing_is_asked_without_tls_but_on_this_machine_when_the_provider_is_here() {
        let (tls, plain) = (Fetch::new(false).unwrap(), Fetch::new(true).unwrap());
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
}
