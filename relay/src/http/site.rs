//! The one origin that passkeys are made for. Passkeys ignore ports, so we do not: a page on another port of our host
//! name is not ours, and what somebody signs there must not count here.

use super::problem::{Code, Problem};
use super::{Api, page};
use crate::access::Site;
use axum::http::HeaderMap;

/// The site of a request. Passkeys need a host name and our own port.
pub(super) fn site(api: &Api, headers: &HeaderMap) -> Result<Site, Problem> {
    let origin = page::origin(api, headers).ok_or(Code::NoPasskeys)?;
    let (scheme, authority) = origin.split_once("://").ok_or(Code::NoPasskeys)?;
    let port = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((_, port)) => port.parse().ok(),
        None => Some(default_port(scheme)),
    };
    let ours = port.is_some() && port == expected_port(api);
    Site::of(&origin).filter(|_| ours).ok_or_else(|| Code::NoPasskeys.into())
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// The port by which pages reach this relay: as configured; or our own; or, where a proxy of a public name speaks TLS
/// for us, that of TLS.
fn expected_port(api: &Api) -> Option<u16> {
    let proxied = api.public_name.is_some() && !api.tls;
    api.public_port.or_else(|| if proxied { Some(443) } else { api.clients.get().map(std::net::SocketAddr::port) })
}
