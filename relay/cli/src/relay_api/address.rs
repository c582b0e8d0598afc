//! Where a relay is: `https://host[:port]`, or `http://` to this very computer.
//!
//! Never: plain HTTP over a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A relay's address, as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// TLS, or plain HTTP on loopback.
    pub secure: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is no address of a relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not like `https://relay.example:8443`.
    #[error("not like https://relay.example:8443")]
    Form,
    /// Plain HTTP to another computer.
    #[error("plain http reaches only this computer; write https://")]
    Plain,
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (secure, rest) = match text.trim().split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(AddressError::Form),
            None => (true, text.trim()),
        };
        let authority = rest.trim_end_matches('/');
        let (host, port) = split_port(authority).ok_or(AddressError::Form)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(AddressError::Form);
        }
        if !secure && !is_loopback(host) {
            return Err(AddressError::Plain);
        }
        Ok(Self { secure, host: host.to_owned(), port: port.unwrap_or(if secure { 443 } else { 80 }) })
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Address {
    /// `host:port`, for the `Host` header and for messages.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (text, shown) in [
            ("https://relay.example", "https://relay.example:443"),
            ("relay.example:8443/", "https://relay.example:8443"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        assert_eq!("http://relay.example".parse::<Address>(), Err(AddressError::Plain));
        assert_eq!("http://10.0.0.1:80".parse::<Address>(), Err(AddressError::Plain));
        for bad in
            ["", "https://", "ftp://x", "https://a b", "https://x:99999", "https://x/path", "https://a@b", "[::1"]
        {
            assert_eq!(bad.parse::<Address>(), Err(AddressError::Form), "{bad}");
        }
    }
}
