//! What tells this relay's own page from any other page that a browser has open: cookie, origin, header, ticket.
//!
//! A browser adds the cookie by itself, so the cookie alone changes nothing and opens nothing: a change needs a header
//! that no other page can send (H-05), a stream the exact origin and a ticket (H-04). Programs with a token in
//! `Authorization` are no browsers and need none of this. A console that the operator has named counts as our own, at its
//! exact origin, on another host of our site: browsers send the cookie to no other. Never: a rule that trusts
//! `X-Forwarded-*` or the referrer.

use super::Api;
use super::problem::{Code, Problem};
use crate::access::BearerToken;
use crate::clock;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

/// What our page sends with each change; no other page may send it without asking, and only a named console
/// is allowed to.
const OURS: (HeaderName, &str) = (HeaderName::from_static("x-cloud-doctor"), "console");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// In front of a ticket, among the subprotocols: a browser lets a page say nothing else in a handshake.
const TICKET: &str = "ticket.";

/// The cookie's name. It holds the relay's id, so that two relays of one host name do not sign each other out.
fn cookie_name(api: &Api) -> String {
    let [pin, _] = api.agents.pins;
    format!("__Host-cd-{}", data_encoding::HEXLOWER.encode(&pin.0[..6]))
}

/// The login in the request's cookie. Two cookies of our name are none: one of them is not ours.
pub(super) fn cookie(api: &Api, headers: &HeaderMap) -> Option<BearerToken> {
    BearerToken::parse(named_cookie(headers, &cookie_name(api))?)
}

/// The one cookie of this name.
fn named_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    let (value, None) = (ours.next()?, ours.next()) else { return None };
    Some(value)
}

/// The cookie that knows the browser again when it comes back from an identity provider.
fn browser_cookie_name(api: &Api) -> String {
    format!("{}-oidc", cookie_name(api))
}

/// What that cookie holds.
pub(super) fn browser_cookie<'a>(api: &Api, headers: &'a HeaderMap) -> Option<&'a str> {
    named_cookie(headers, &browser_cookie_name(api))
}

/// `Set-Cookie` before a browser goes to an identity provider; as long as it may take there.
pub(super) fn set_browser_cookie(api: &Api, value: &str) -> Result<HeaderValue, Problem> {
    header_of(&format!("{}={value}; {ATTRIBUTES}; Max-Age=300", browser_cookie_name(api)))
}

/// `Set-Cookie` of a new login. It ends with the browser's session, and earlier as the login does.
pub(super) fn set_cookie(api: &Api, token: &BearerToken) -> Result<HeaderValue, Problem> {
    header_of(&format!("{}={}; {ATTRIBUTES}", cookie_name(api), token.reveal()))
}

/// `Set-Cookie` of a logout.
pub(super) fn clear_cookie(api: &Api) -> Result<HeaderValue, Problem> {
    header_of(&format!("{}=; {ATTRIBUTES}; Max-Age=0", cookie_name(api)))
}

/// Also what the prefix `__Host-` demands (H-03).
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

fn header_of(text: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Code::Failed)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a change comes from our own page.
pub(super) fn may_change(api: &Api, headers: &HeaderMap) -> Result<(), Code> {
    let said = only(headers, &OURS.0) == Some(OURS.1);
    let from_here = match only(headers, &FETCH_SITE) {
        Some("same-origin") => true,
        Some("same-site") => named_origin(api, headers).is_some(),
        Some(_) => false,
        None => !headers.contains_key(&FETCH_SITE) && is_our_origin(api, headers),
    };
    if said && from_here { Ok(()) } else { Err(Code::ForeignPage) }
}

/// Whether a stream that this login's cookie asks for comes from our own page, which has a ticket.
pub(super) fn may_stream(api: &Api, headers: &HeaderMap, login: &[u8; 32]) -> Result<(), Code> {
    if !is_our_origin(api, headers) {
        return Err(Code::ForeignPage);
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut tickets = offered.flat_map(|value| value.split(',')).filter_map(|name| name.trim().strip_prefix(TICKET));
    let (Some(ticket), None) = (tickets.next(), tickets.next()) else { return Err(Code::Ticket) };
    if api.access.tickets.redeem(ticket, login, clock::instant()) { Ok(()) } else { Err(Code::Ticket) }
}

/// Whether a token comes from a program, which is no page and names no origin, or from our own page.
pub(super) fn may_bring_a_token(api: &Api, headers: &HeaderMap) -> Result<(), Code> {
    let from_a_page = headers.contains_key(header::ORIGIN);
    if from_a_page && !is_our_origin(api, headers) { Err(Code::ForeignPage) } else { Ok(()) }
}

fn is_our_origin(api: &Api, headers: &HeaderMap) -> bool {
    let own = origin(api, headers).is_some_and(|ours| only(headers, &header::ORIGIN) == Some(&*ours));
    own || named_origin(api, headers).is_some()
}

/// The request's origin, if it is that of a console that the operator has named.
pub(super) fn named_origin<'a>(api: &'a Api, headers: &HeaderMap) -> Option<&'a str> {
    let sent = only(headers, &header::ORIGIN)?;
    api.console_origins.iter().map(String::as_str).find(|named| *named == sent)
}

/// What lets a named console read our answers, with its visitors' cookies (H-05); no other page is ever told anything.
pub(super) fn let_read(api: &Api, origin: Option<&str>, answer: &mut HeaderMap) {
    if api.console_origins.is_empty() {
        return;
    }
    answer.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(Ok(origin)) = origin.map(HeaderValue::from_str) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// What a named console may send: a browser asks before it does.
pub(super) fn may_send(answer: &mut HeaderMap) {
    let all = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, x-cloud-doctor, x-cloud-doctor-by-itself"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in all {
        answer.insert(name, HeaderValue::from_static(value));
    }
}

/// The origin of our own page, as a browser that reached us so writes it. Nothing when we cannot tell: without a
/// configured name, a name in a request may be anybody's that points here for a moment; an address cannot.
pub(super) fn origin(api: &Api, headers: &HeaderMap) -> Option<String> {
    let (host, scheme) = authority(api, headers)?;
    Some(format!("{}://{host}", scheme.page))
}

/// Where our page may open streams to, for its policy.
pub(super) fn stream_origin(api: &Api, headers: &HeaderMap) -> Option<String> {
    let (host, scheme) = authority(api, headers)?;
    Some(format!("{}://{host}", scheme.stream))
}

struct Scheme {
    page: &'static str,
    stream: &'static str,
}

fn authority(api: &Api, headers: &HeaderMap) -> Option<(Authority, Scheme)> {
    let host = only(headers, &header::HOST)?.to_ascii_lowercase();
    let host: Authority = host.parse().ok().filter(|host: &Authority| !host.as_str().contains('@'))?;
    let known = match &api.public_name {
        Some(name) => host.host().eq_ignore_ascii_case(name),
        None => host.host() == "localhost" || host.host().trim_matches(['[', ']']).parse::<IpAddr>().is_ok(),
    };
    // A public name without TLS of our own has a proxy in front that speaks it.
    let scheme = if api.tls || api.public_name.is_some() {
        Scheme { page: "https", stream: "wss" }
    } else {
        Scheme { page: "http", stream: "ws" }
    };
    known.then_some((host, scheme))
}

/// The one value of a header that must not come twice.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut sent = headers.get_all(name).iter();
    let (value, None) = (sent.next()?, sent.next()) else { return None };
    value.to_str().ok()
}
