//! Asking a service on this host: one request, one bounded answer, one deadline for all of it (CHK-11).

use super::{Host, boot_time};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::time::BootTime;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// For connecting, asking and the whole answer.
const DEADLINE_MS: u64 = 5000;
/// Of one answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What an HTTP service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status, like 200.
    pub status: u16,
    /// The headers as they came.
    pub head: String,
    /// The body; a chunked one is put together.
    pub body: String,
}

/// What both kinds of stream can do.
trait Stream: Read + Write {
    fn wait_at_most(&self, time: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Stream for TcpStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Host {
    /// What the service at a unix socket answers, until it closes.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when there is no socket; [`Gap::Unknown`] when it does not answer in time, or too much, or on a
    /// root that is not running.
    pub fn ask_unix(&self, path: &str, request: &[u8]) -> Result<String, Gap> {
        self.must_live()?;
        self.stat(path)?;
        let below = format!("/proc/self/fd/{}/{}", self.root.as_raw_fd(), path.trim_start_matches('/'));
        let answer = UnixStream::connect(below).and_then(|stream| exchange(stream, request, deadline()));
        answer.map_err(|error| no_answer(path, &error))
    }

    /// What the service at a TCP address of this host answers, until it closes.
    ///
    /// # Errors
    /// As [`Host::ask_unix`]; also for an address that is not this host's loopback.
    pub fn ask_tcp(&self, address: SocketAddr, request: &[u8]) -> Result<String, Gap> {
        self.must_live()?;
        let place = address.to_string();
        if !address.ip().is_loopback() {
            return Err(Gap::Unknown(words!(
                "{place} was not asked: only this host's own services are",
                "未询问 {place}：只询问本机自身的服务"
            )));
        }
        let deadline = deadline();
        let answer =
            TcpStream::connect_timeout(&address, left(deadline)).and_then(|stream| exchange(stream, request, deadline));
        answer.map_err(|error| no_answer(&place, &error))
    }

    /// What an HTTP service of this host answers to a GET. No redirect is followed.
    ///
    /// # Errors
    /// As [`Host::ask_tcp`]; also when the answer is no HTTP.
    pub fn http_get(&self, address: SocketAddr, name: &str, path: &str) -> Result<HttpAnswer, Gap> {
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {name}\r\nUser-Agent: cloud-doctor-check\r\nConnection: close\r\n\r\n"
        );
        let answer = self.ask_tcp(address, request.as_bytes())?;
        parse_http(&answer).ok_or_else(|| {
            let place = address.to_string();
            Gap::Unknown(words!("{place} does not speak HTTP", "{place} 不是 HTTP 服务"))
        })
    }
}

fn deadline() -> BootTime {
    BootTime(boot_time().0 + DEADLINE_MS)
}

fn left(deadline: BootTime) -> Duration {
    Duration::from_millis(boot_time().millis_until(deadline).max(1))
}

fn exchange(mut stream: impl Stream, request: &[u8], deadline: BootTime) -> io::Result<String> {
    stream.wait_at_most(left(deadline))?;
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        if boot_time() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.wait_at_most(left(deadline))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(io::Error::other("it answers more than 1 MiB"));
        }
    }
}

fn no_answer(place: &str, error: &io::Error) -> Gap {
    let kind = error.kind();
    let (en, zh) = if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        ("no answer within 5 s".to_owned(), "5 秒内无响应".to_owned())
    } else if kind == io::ErrorKind::PermissionDenied {
        ("this user may not; run it as root".to_owned(), "当前用户无权访问；请以 root 运行".to_owned())
    } else {
        (error.to_string(), error.to_string())
    };
    Gap::Unknown(words!("{place} cannot be asked: {en}", "无法询问 {place}：{zh}"))
}

/// Reads a whole HTTP/1 answer.
pub(super) fn parse_http(answer: &str) -> Option<HttpAnswer> {
    let (head, body) = answer.split_once("\r\n\r\n").or_else(|| answer.split_once("\n\n"))?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(HttpAnswer { status, head: head.to_owned(), body })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let plain = parse_http("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (200, "hello"));
        let chunked = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse_http(chunked).unwrap().body, "abcde");
        for bad in [
            "",
            "HTTP/1.1\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        ] {
            assert_eq!(parse_http(bad), None, "{bad}");
        }
    }
}
