//! Asking a service at a unix socket over HTTP: one GET, as [`Host::http_get`] does over TCP.

use super::sockets::parse_http;
use super::{Host, HttpAnswer};
use crate::found::Gap;
use crate::words;

impl Host {
    /// What an HTTP service at a unix socket answers to a GET.
    ///
    /// # Errors
    /// As [`Host::ask_unix`]; also when the answer is no HTTP.
    pub fn http_get_unix(&self, socket: &str, path: &str) -> Result<HttpAnswer, Gap> {
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: cloud-doctor-check\r\n\r\n");
        let answer = self.ask_unix(socket, request.as_bytes())?;
        parse_http(&answer)
            .ok_or_else(|| Gap::Unknown(words!("{socket} does not speak HTTP", "{socket} 不是 HTTP 服务")))
    }
}
