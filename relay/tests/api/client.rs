//! A client that says exactly what a test wants, byte by byte.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Patience of tests: what takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(9);

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem's code.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert!(self.head.to_lowercase().contains("content-type: application/problem+json"), "{self:?}");
        let body = self.json();
        for part in ["title", "detail", "remedy"] {
            assert!(body[part].as_str().is_some_and(|text| !text.is_empty()), "{part} in {body}");
        }
        assert_eq!(body["status"], self.status);
        body["code"].as_str().unwrap().to_owned()
    }

    /// What `content-length` says.
    pub(crate) fn length(&self) -> Option<usize> {
        let head = self.head.to_lowercase();
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
    }

    pub(crate) fn has(&self, header: &str) -> bool {
        self.head.to_lowercase().contains(&header.to_lowercase())
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Sends these bytes and reads until the relay closes.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> Answer {
    try_raw(addr, bytes).await.expect("the relay listens")
}

/// The same to a relay that may be gone.
pub(crate) async fn try_raw(addr: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await.ok()?;
        // A relay that refuses may close before it has read everything.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        Some(parse(&answer))
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the relay answers or closes")
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: relay.test\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}
