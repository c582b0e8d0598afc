//! One call of the relay's API at a time, byte by byte, as a page or a program of somebody else would make it.

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Calls a relay that speaks plain HTTP; `login` is a bearer token, or empty. Status and JSON.
///
/// # Panics
/// When the relay does not answer.
#[must_use]
#[track_caller]
pub fn call(relay: SocketAddr, login: &str, (method, path): (&str, &str), body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(relay).expect("the relay listens");
    let login = if login.is_empty() { String::new() } else { format!("authorization: Bearer {login}\r\n") };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nhost: {relay}\r\nconnection: close\r\n{login}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the relay reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the relay answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}
